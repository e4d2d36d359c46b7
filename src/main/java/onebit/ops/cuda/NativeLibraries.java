package onebit.ops.cuda;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import jcuda.driver.JCudaDriver;
import jcuda.jcublas.JCublas2;
import jcuda.jcudnn.JCudnn;
import onebit.ops.LibraryFolder;

/**
 * JCuda's native libraries in a private folder, byte for byte what the class path holds, relabelled for the cuBLAS and cuDNN found.
 *
 * <pre>
 * Keeps    a {@link LibraryFolder} named by the SHA-256 of the contents; that of each file is compared on every start
 * Differs  JCuda itself unpacks to a fixed name in the shared temporary folder, without a lock, and loads whatever lies there
 * </pre>
 */
public final class NativeLibraries {
  private static final String JCUDA = "12.6.0";
  private static final String JCUDNN = "11.7.0";

  private NativeLibraries() {}

  /** What {@link #load} made usable, with one sentence per library that is missing or was relabelled. */
  public record Loaded(Path folder, boolean cublas, boolean cudnn, List<String> notes) {
    public Loaded {
      notes = List.copyOf(notes);
    }
  }

  /** {@link #prepare(CudaLibraries)} for the libraries of this machine. */
  public static Path prepare() throws IOException {
    return prepare(CudaLibraries.find());
  }

  /**
   * The folder with verified libraries: a JVM started with {@code -Djava.library.path=} this folder loads JCuda from there.
   *
   * @throws IOException if the class path lacks a library, or the folder is not the user's own or cannot be written
   */
  public static Path prepare(CudaLibraries found) throws IOException {
    Map<String, byte[]> files = contents(found);
    MessageDigest whole = LibraryFolder.sha256();
    for (Map.Entry<String, byte[]> file : files.entrySet()) {
      whole.update((file.getKey() + " " + hash(file.getValue()) + "\n").getBytes(java.nio.charset.StandardCharsets.UTF_8));
    }
    LibraryFolder folder = LibraryFolder.named(HexFormat.of().formatHex(whole.digest()));
    for (Map.Entry<String, byte[]> file : files.entrySet()) {
      folder.install(file.getKey(), hash(file.getValue()), () -> new ByteArrayInputStream(file.getValue()));
    }
    return folder.path();
  }

  /** {@link #load(CudaLibraries)} for the libraries of this machine. */
  public static Loaded load() throws IOException {
    return load(CudaLibraries.find());
  }

  /**
   * Loads the CUDA libraries found and JCuda's natives from the private folder into this running JVM; to be called before any other
   * use of JCuda.
   *
   * @throws IOException if there is no CUDA driver, or the folder cannot be prepared
   */
  public static synchronized Loaded load(CudaLibraries found) throws IOException {
    Path folder = prepare(found);
    List<String> notes = new ArrayList<>();
    open(found.driver(), notes);
    boolean cublas = open(found.cublasLt(), notes) & open(found.cublas(), notes) && found.cublas().isPresent();
    boolean cudnn = open(found.cudnn(), notes) && found.cudnn().isPresent();
    // JCuda asks the library path, then java.io.tmpdir, for a file of the right name: here that is the private folder
    String shared = System.setProperty("java.io.tmpdir", folder.toString());
    try {
      loadDriver();
      cublas = cublas && loads(JCublas2::initialize, "cuBLAS", notes);
      cudnn = cudnn && loads(JCudnn::initialize, "cuDNN", notes);
    } finally {
      System.setProperty("java.io.tmpdir", shared);
    }
    describe(found, notes);
    return new Loaded(folder, cublas, cudnn, notes);
  }

  private static void loadDriver() throws IOException {
    try {
      JCudaDriver.setExceptionsEnabled(false);
    } catch (LinkageError missing) {
      throw new IOException("no CUDA driver: libcuda.so.1 cannot be loaded (" + reason(missing) + "); install the NVIDIA driver or use --device cpu", missing);
    }
  }

  /** The loader's own words, without the file that asked for the driver. */
  private static String reason(LinkageError missing) {
    String line = firstLine(missing);
    return line.substring(Math.max(0, line.lastIndexOf("libcuda.so.1: ")));
  }

  private static boolean loads(Runnable library, String name, List<String> notes) {
    try {
      library.run();
      return true;
    } catch (LinkageError broken) {
      notes.add(name + " was found but its JCuda binding does not load: " + firstLine(broken));
      return false;
    }
  }

  private static boolean open(Optional<Path> library, List<String> notes) {
    try {
      library.ifPresent(file -> System.load(file.toString()));
      return true;
    } catch (UnsatisfiedLinkError broken) {
      notes.add(library.orElseThrow() + " does not load: " + firstLine(broken));
      return false;
    }
  }

  private static void describe(CudaLibraries found, List<String> notes) {
    if (found.cublasVersion() == 13) {
      notes.add("JCublas2 was relabelled from libcublas.so.12 to libcublas.so.13");
    } else if (found.cublasVersion() == 0) {
      notes.add("cuBLAS was not found (libcublas.so.12 or .13); set ONEBIT_CUDA_LIBS to its folder");
    }
    if (found.cudnnVersion() == 9) {
      notes.add("JCudnn was relabelled from libcudnn.so.8 to libcudnn.so.9");
    } else if (found.cudnnVersion() == 0) {
      notes.add("cuDNN was not found (libcudnn.so.8 or .9); set ONEBIT_CUDA_LIBS to its folder");
    }
  }

  /** File name to bytes; JCudnn 11.7.0 also under the name that JCuda 12.6.0 asks for. */
  private static Map<String, byte[]> contents(CudaLibraries found) throws IOException {
    Map<String, byte[]> files = new TreeMap<>();
    for (String name : List.of("JCudaDriver", "JCudaRuntime", "JCublas2")) {
      files.put(fileName(name, JCUDA), resource(fileName(name, JCUDA)));
    }
    byte[] cudnn = resource(fileName("JCudnn", JCUDNN));
    if (found.cublasVersion() == 13) {
      files.computeIfPresent(fileName("JCublas2", JCUDA), (name, bytes) -> ElfLabels.relabel(bytes, "libcublas.so.12", "libcublas.so.13"));
    }
    if (found.cudnnVersion() == 9) {
      cudnn = ElfLabels.relabel(cudnn, "libcudnn.so.8", "libcudnn.so.9");
    }
    files.put(fileName("JCudnn", JCUDNN), cudnn);
    files.put(fileName("JCudnn", JCUDA), cudnn);
    return files;
  }

  private static String fileName(String name, String version) {
    return "lib" + name + "-" + version + "-linux-x86_64.so";
  }

  private static byte[] resource(String name) throws IOException {
    try (InputStream in = JCudaDriver.class.getResourceAsStream("/lib/" + name)) {
      if (in == null) {
        throw new IOException("the class path holds no lib/" + name + ": JCuda's linux-x86_64 natives are missing");
      }
      return in.readAllBytes();
    }
  }

  private static String hash(byte[] bytes) {
    return HexFormat.of().formatHex(LibraryFolder.sha256().digest(bytes));
  }

  private static String firstLine(Throwable t) {
    return String.valueOf(t.getMessage()).lines().map(String::strip).filter(line -> line.contains("lib") && line.contains(".so")).findFirst()
        .orElseGet(() -> String.valueOf(t.getMessage()).lines().findFirst().orElse(t.toString()));
  }
}
