package onebit.ops.cuda;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/**
 * The emulated CUDA device of the source tree: the same kernels compiled by g++, a driver that runs them on the host.
 *
 * <p>It is a test device: never as fast as anything, never shown as a GPU. A process has either it or a real driver.
 */
public final class EmulatedDriver {
  private static final String VARIANT = System.getProperty("onebit.hostcuda", "normal");
  private static final long LONGEST_ERROR = 1 << 16;
  private static EmulatedDriver opened;

  private final Path folder;
  private final Path image;
  private final NativeLibraries.Loaded libraries;
  private final MethodHandle counter;
  private final MethodHandle lastError;
  private final MethodHandle declareBytes;

  private EmulatedDriver(Path folder) throws IOException {
    this.folder = folder;
    Path driver = folder.resolve("libcuda.so.1");
    libraries = NativeLibraries.load(CudaLibraries.in(folder));
    image = folder.resolve("onebit_kernels_host.module");
    if (!Files.exists(image)) throw new IOException("cuda-emulated: " + image + " is missing; native-tests/hostcuda/build.sh makes it");
    Linker linker = Linker.nativeLinker();
    SymbolLookup symbols = SymbolLookup.libraryLookup(driver, Arena.global());
    counter = linker.downcallHandle(symbols.find("hostcuda_counter").orElseThrow(), FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.ADDRESS));
    declareBytes = linker.downcallHandle(symbols.find("hostcuda_declare_bytes").orElseThrow(),
        FunctionDescriptor.ofVoid(ValueLayout.ADDRESS, ValueLayout.JAVA_LONG));
    lastError = linker.downcallHandle(symbols.find("hostcuda_last_error").orElseThrow(), FunctionDescriptor.of(ValueLayout.ADDRESS));
  }

  /** Why there can be no emulated device here, in one sentence; null if there can. */
  public static String refusal() {
    if (source() == null) return "cuda-emulated: native-tests/hostcuda is not here; the emulated device is built from the source tree";
    for (String folder : System.getenv().getOrDefault("PATH", "").split(":")) {
      if (!folder.isEmpty() && Files.isExecutable(Path.of(folder, "g++"))) return null;
    }
    return "cuda-emulated: g++ is not installed; the emulated device needs g++ 12 or newer";
  }

  /** build.sh of the source tree this program belongs to, or of the one it was started in; null if there is none. */
  private static Path source() {
    String home = System.getProperty("onebit.home", "");
    for (Path root : new Path[] {Path.of(home), Path.of("")}) {
      Path script = root.resolve("native-tests/hostcuda/build.sh").toAbsolutePath();
      if (Files.isRegularFile(script)) return script;
    }
    return null;
  }

  /** Builds what is older than its sources and loads it, once per process. */
  static synchronized EmulatedDriver open() throws IOException {
    if (opened != null) return opened;
    String refusal = refusal();
    if (refusal != null) throw new IOException(refusal);
    Process build = new ProcessBuilder("bash", source().toString(), "--variant", VARIANT).redirectErrorStream(true).start();
    build.onExit().orTimeout(5, TimeUnit.SECONDS).whenComplete((ended, late) -> { if (late != null) System.err.println("onebit: building the emulated device, which takes minutes, once"); });
    String output = new String(build.getInputStream().readAllBytes());
    try {
      if (build.waitFor() != 0) throw new IOException("cuda-emulated: native-tests/hostcuda/build.sh failed:\n" + output);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("cuda-emulated: interrupted while the emulated device was built", e);
    }
    opened = new EmulatedDriver(source().getParent().getParent().getParent().resolve("target/hostcuda").resolve(VARIANT));
    return opened;
  }

  static synchronized boolean isOpen() {
    return opened != null;
  }

  /** Where the open emulated device's libraries are. */
  static synchronized Path folder() {
    return opened.folder;
  }

  NativeLibraries.Loaded libraries() {
    return libraries;
  }

  /** The kernels' image for the driver. */
  byte[] image() throws IOException {
    return Files.readAllBytes(image);
  }

  /** A counter of the emulated driver (native-tests/hostcuda/counters.h), or -1 if the name is unknown. */
  public static long counter(String name) {
    EmulatedDriver device;
    synchronized (EmulatedDriver.class) {
      device = opened;
    }
    if (device == null) throw new IllegalStateException("cuda-emulated: no emulated device is open in this process");
    try (Arena arena = Arena.ofConfined()) {
      return (long) device.counter.invokeExact(arena.allocateFrom(name));
    } catch (Throwable e) {
      throw new IllegalStateException("cuda-emulated: the counter " + name + " could not be read", e);
    }
  }

  /** Adds to the counter declared_bytes:ENTRY what a launch reads and writes; entry is a name that ends in 0. */
  static void declare(MemorySegment entry, long bytes) {
    EmulatedDriver device;
    synchronized (EmulatedDriver.class) {
      device = opened;
    }
    try {
      device.declareBytes.invokeExact(entry, bytes);
    } catch (Throwable e) {
      throw new IllegalStateException("cuda-emulated: " + bytes + " bytes could not be declared", e);
    }
  }

  /** What the emulated device found wrong last, with kernel, block and thread; empty if it found nothing or none is open. */
  static synchronized String lastError() {
    if (opened == null) return "";
    try {
      return ((MemorySegment) opened.lastError.invokeExact()).reinterpret(LONGEST_ERROR).getString(0);
    } catch (Throwable e) {
      return "";
    }
  }
}
