package onebit.ops.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

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
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;
import onebit.ops.Backend;
import onebit.ops.ConvGeometry;

/** The emulated device for tests: built by native-tests/hostcuda/build.sh, loaded once per JVM, its counters by name. */
public final class EmulatedDevice {
  private static final Path SOURCES = Path.of("native-tests/hostcuda").toAbsolutePath();
  private static Path loaded;

  private EmulatedDevice() {}

  /** Makes a device give memory up, so that what was recorded holds no longer: the second convolution's bordered images need more room than the first one's. */
  public static void moveMemory(Backend backend) {
    for (int images : new int[] {1, 64}) {
      ConvGeometry g = new ConvGeometry(images, 16, 16, 32, 4, 3, 3, 1, 1, 1, 1);
      backend.conv().conv2d(backend.create(g.y()), backend.create(g.x()), backend.create(g.filters()), g, -1);
    }
  }

  /**
   * Builds what is out of date and returns the folder with libcuda.so.1 and the library stand-ins; with kernels, also lib{module}.so and
   * its image {module}.module. Skips the test, saying so, where there is no C++ compiler.
   */
  public static synchronized Path build(String variant, String module, List<Path> kernels) throws IOException, InterruptedException {
    assumeTrue(compilerPresent(), "no g++ on this machine: the emulated CUDA device cannot be built");
    Path out = Path.of("target/hostcuda", variant).toAbsolutePath();
    List<String> command = new ArrayList<>(List.of(SOURCES.resolve("build.sh").toString(), "--variant", variant, "--out", out.toString(), "--name", module));
    if (!kernels.isEmpty()) {
      command.add("--kernels");
      kernels.forEach(k -> command.add(k.toString()));
    }
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), java.nio.charset.StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
    return out;
  }

  /** Builds the variant of property onebit.hostcuda (normal, or checked) with the module, and loads it with JCuda unless this JVM did that before. */
  public static synchronized Path load(String module, List<Path> kernels) throws IOException, InterruptedException {
    Path folder = build(System.getProperty("onebit.hostcuda", "normal"), module, kernels);
    if (loaded == null) {
      NativeLibraries.load(CudaLibraries.in(folder));
      loaded = folder;
    }
    return folder;
  }

  /** The counter of that name: launches, live_bytes, bytes_to_device, launches:KERNEL ... (native-tests/hostcuda/counters.h). */
  public static long counter(String name) {
    return call("hostcuda_counter", name);
  }

  public static void resetCounters() {
    invokeVoid("hostcuda_reset_counters");
  }

  /** What all launches of own kernels so far said they read and write; of the device of this process, opened by whomever. */
  public static long declaredBytes() {
    Path driver = Path.of("target/hostcuda", System.getProperty("onebit.hostcuda", "normal"), "libcuda.so.1").toAbsolutePath();
    SymbolLookup symbols = SymbolLookup.libraryLookup(driver, Arena.global());
    try {
      MethodHandle table = Linker.nativeLinker().downcallHandle(symbols.find("hostcuda_kernel_table").orElseThrow(), FunctionDescriptor.of(ValueLayout.ADDRESS));
      String rows = ((MemorySegment) table.invokeExact()).reinterpret(1 << 20).getString(0);
      return rows.lines().mapToLong(row -> Long.parseLong(row.substring(row.lastIndexOf(' ') + 1))).sum();
    } catch (Throwable t) {
      throw new AssertionError(t);
    }
  }

  /** Whether the driver puts work off until somebody waits for it: the latest order a device may choose, where its usual one is the earliest. */
  public static void lazy(boolean whether) {
    set("hostcuda_lazy", whether);
  }

  /** Whether the driver counts kernels and calls of the libraries without doing them: enough, and much sooner, where a test looks at counters alone. */
  public static void idle(boolean whether) {
    set("hostcuda_idle", whether);
  }

  private static void set(String function, boolean whether) {
    Path driver = Path.of("target/hostcuda", System.getProperty("onebit.hostcuda", "normal"), "libcuda.so.1").toAbsolutePath();
    SymbolLookup symbols = SymbolLookup.libraryLookup(driver, Arena.global());
    try {
      Linker.nativeLinker().downcallHandle(symbols.find(function).orElseThrow(), FunctionDescriptor.ofVoid(ValueLayout.JAVA_INT)).invokeExact(whether ? 1 : 0);
    } catch (Throwable t) {
      throw new AssertionError(t);
    }
  }

  /** Lets a backend take what is fastest by a clock of the test's, in milliseconds; the device itself is never timed. */
  public static void tune(CudaBackend backend, Tuning tuning, ToDoubleFunction<Runnable> clock) {
    backend.tune(tuning, clock);
  }

  public static void clearError() {
    invokeVoid("hostcuda_clear_error");
  }

  /** What went wrong last, in words. */
  public static String lastError() {
    try {
      MethodHandle h = handle("hostcuda_last_error", FunctionDescriptor.of(ValueLayout.ADDRESS));
      return ((MemorySegment) h.invokeExact()).reinterpret(1 << 16).getString(0);
    } catch (Throwable t) {
      throw new AssertionError(t);
    }
  }

  private static long call(String function, String text) {
    try (Arena arena = Arena.ofConfined()) {
      MethodHandle h = handle(function, FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.ADDRESS));
      return (long) h.invokeExact(arena.allocateFrom(text));
    } catch (Throwable t) {
      throw new AssertionError(t);
    }
  }

  private static void invokeVoid(String function) {
    try {
      handle(function, FunctionDescriptor.ofVoid()).invokeExact();
    } catch (Throwable t) {
      throw new AssertionError(t);
    }
  }

  private static MethodHandle handle(String function, FunctionDescriptor descriptor) {
    SymbolLookup driver = SymbolLookup.libraryLookup(loaded.resolve("libcuda.so.1"), Arena.global());
    return Linker.nativeLinker().downcallHandle(driver.find(function).orElseThrow(), descriptor);
  }

  static boolean compilerPresent() {
    for (String folder : System.getenv("PATH").split(":")) {
      if (Files.isExecutable(Path.of(folder, "g++"))) {
        return true;
      }
    }
    return false;
  }
}
