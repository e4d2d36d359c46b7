package onebit.ops.cpu;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * The sgemm of OpenBLAS on one thread, called through java.lang.foreign on Java arrays without copying them.
 *
 * <p>OpenBLAS takes some AVX-512 processors for Haswell, at half their speed, so the core is chosen before the library is loaded
 * unless {@code OPENBLAS_CORETYPE} is set.
 */
public final class OpenBlas {
  private static final String FOLDER = "org/bytedeco/openblas/linux-x86_64/";
  private static final List<UnpackedLibrary> LIBRARIES = List.of(
      new UnpackedLibrary(FOLDER + "libgcc_s.so.1", "a93ec41b336a895a7f0d7b789d66f6fc816de1a5ad0da37e8cfc428d7e9f8dd4"),
      new UnpackedLibrary(FOLDER + "libquadmath.so.0", "67d3147512460e56dc805582ed5d32b66a7a199247ba5a27b7cb3054d2b2fef2"),
      new UnpackedLibrary(FOLDER + "libgfortran.so.5", "3ec471016fbfea6ccda4736fbbf2d0098e6386d2c34fb7ae9b15d91fa1b38874"),
      new UnpackedLibrary(FOLDER + "libopenblas.so.0", "e3a80f7696735e6bcd374fbe6c91e42f83dc8bfb09c5b92a5f73d67c76b55ec1"));
  private static final int ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112;
  private static final String STATUS;
  private static final String CORE;
  private static final MethodHandle SGEMM;

  static {
    String core = "none", status;
    MethodHandle sgemm = null;
    try {
      if (Boolean.getBoolean("onebit.openblas.off")) throw new IOException("the system property onebit.openblas.off is set");
      SymbolLookup library = load();
      Linker linker = Linker.nativeLinker();
      MethodHandle handle = linker.downcallHandle(library.findOrThrow("cblas_sgemm"), FunctionDescriptor.ofVoid(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT,
          JAVA_INT, JAVA_INT, JAVA_FLOAT, ADDRESS, JAVA_INT, ADDRESS, JAVA_INT, JAVA_FLOAT, ADDRESS, JAVA_INT), Linker.Option.critical(true));
      linker.downcallHandle(library.findOrThrow("openblas_set_num_threads"), FunctionDescriptor.ofVoid(JAVA_INT)).invoke(1);
      MemorySegment name = (MemorySegment) linker.downcallHandle(library.findOrThrow("openblas_get_corename"), FunctionDescriptor.of(ADDRESS)).invoke();
      core = name.reinterpret(64).getString(0);
      sgemm = handle;
      status = "OpenBLAS with the core " + core;
    } catch (Throwable t) {
      status = "plain Java sgemm, because OpenBLAS could not be loaded: " + t.getMessage();
    }
    STATUS = status;
    CORE = core;
    SGEMM = sgemm;
  }

  private OpenBlas() {}

  public static boolean available() {
    return SGEMM != null;
  }

  /** Which sgemm is used, and why if it is not OpenBLAS: one sentence. */
  public static String status() {
    return STATUS;
  }

  /** The name of the processor core that OpenBLAS computes for, or "none". */
  public static String core() {
    return CORE;
  }

  /**
   * c = op(a) op(b) + beta c, row major, on OpenBLAS or else in plain Java.
   *
   * <pre>
   * Shapes  op(a) [m][k], op(b) [k][n], c [m][n]; each begins at its offset and has its own row stride
   * </pre>
   */
  public static void sgemm(boolean transposeA, boolean transposeB, int m, int n, int k, float[] a, int aFrom, int aStride, float[] b, int bFrom, int bStride,
      float beta, float[] c, int cFrom, int cStride) {
    if (m == 0 || n == 0) return;
    if (SGEMM == null) {
      PlainSgemm.sgemm(transposeA, transposeB, m, n, k, a, aFrom, aStride, b, bFrom, bStride, beta, c, cFrom, cStride);
      return;
    }
    reach("a", a, aFrom, transposeA ? k : m, transposeA ? m : k, aStride);
    reach("b", b, bFrom, transposeB ? n : k, transposeB ? k : n, bStride);
    reach("c", c, cFrom, m, n, cStride);
    try {
      SGEMM.invokeExact(ROW_MAJOR, transposeA ? TRANSPOSED : PLAIN, transposeB ? TRANSPOSED : PLAIN, m, n, k, 1f, at(a, aFrom), aStride,
          at(b, bFrom), bStride, beta, at(c, cFrom), cStride);
    } catch (Throwable t) {
      throw new IllegalStateException("cblas_sgemm of " + m + "x" + n + "x" + k + " failed", t);
    }
  }

  private static MemorySegment at(float[] values, int from) {
    return MemorySegment.ofArray(values).asSlice(4L * from);
  }

  /** Refuses what native code would read or write outside the array. */
  private static void reach(String name, float[] values, int from, int rows, int columns, int stride) {
    if (columns == 0 || rows == 0) return;
    if (from < 0 || stride < columns || from + (rows - 1L) * stride + columns > values.length) {
      throw new IllegalArgumentException("sgemm: " + name + " has " + values.length + " values, too few for " + rows + " rows of " + columns
          + " with stride " + stride + " from " + from);
    }
  }

  private static SymbolLookup load() throws Throwable {
    String machine = System.getProperty("os.arch"), system = System.getProperty("os.name");
    if (!machine.equals("amd64") || !system.equals("Linux")) throw new IOException("its library is for Linux on x86-64, this is " + system + " on " + machine);
    Set<String> flags = processorFlags();
    if (flags.containsAll(List.of("avx512f", "avx512bw", "avx512dq", "avx512vl"))) setUnlessSet("OPENBLAS_CORETYPE", "SkylakeX");
    setUnlessSet("OPENBLAS_NUM_THREADS", "1");
    SymbolLookup last = null;
    for (UnpackedLibrary library : LIBRARIES) last = SymbolLookup.libraryLookup(library.unpack(), Arena.global());
    return last;
  }

  private static void setUnlessSet(String name, String value) throws Throwable {
    Linker linker = Linker.nativeLinker();
    MethodHandle setenv = linker.downcallHandle(linker.defaultLookup().findOrThrow("setenv"), FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, JAVA_INT));
    try (Arena arena = Arena.ofConfined()) {
      int unused = (int) setenv.invoke(arena.allocateFrom(name), arena.allocateFrom(value), 0);
    }
  }

  /** The feature words of /proc/cpuinfo; none where there is no such file. */
  static Set<String> processorFlags() {
    Path file = Path.of("/proc/cpuinfo");
    try (var lines = Files.lines(file)) {
      return new HashSet<>(Arrays.asList(lines.filter(line -> line.startsWith("flags")).findFirst().orElse("").split("\\s+")));
    } catch (IOException | java.io.UncheckedIOException e) {
      return Set.of();
    }
  }
}
