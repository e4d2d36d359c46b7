package onebit.ops.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OpenBlasTest {
  private static final String LIBRARY = "org/bytedeco/openblas/linux-x86_64/libquadmath.so.0";
  private static final String SHA256 = "67d3147512460e56dc805582ed5d32b66a7a199247ba5a27b7cb3054d2b2fef2";

  private interface Sgemm {
    void run(boolean ta, boolean tb, int m, int n, int k, float[] a, int aFrom, int aStride, float[] b, int bFrom, int bStride, float beta, float[] c,
        int cFrom, int cStride);
  }

  @Test
  void bothSgemmsEqualTheNaiveProductAtOffsetsAndStrides() {
    Random random = new Random(1);
    int[][] sizes = {{1, 1, 1}, {3, 5, 7}, {17, 33, 9}, {2, 600, 6}, {64, 16, 144}};
    for (Sgemm sgemm : List.<Sgemm>of(OpenBlas::sgemm, PlainSgemm::sgemm)) {
      for (int[] size : sizes) {
        for (int order = 0; order < 8; order++) {
          compare(sgemm, (order & 1) != 0, (order & 2) != 0, (order & 4) / 4f, size[0], size[1], size[2], random);
        }
      }
    }
  }

  private static void compare(Sgemm sgemm, boolean ta, boolean tb, float beta, int m, int n, int k, Random random) {
    int aStride = (ta ? m : k) + 3, bStride = (tb ? k : n) + 1, cStride = n + 2;
    float[] a = values(random, 5 + (ta ? k : m) * aStride), b = values(random, 4 + (tb ? n : k) * bStride), c = values(random, 3 + m * cStride);
    float[] got = c.clone();
    sgemm.run(ta, tb, m, n, k, a, 5, aStride, b, 4, bStride, beta, got, 3, cStride);
    for (int at = 0; at < c.length; at++) {
      int i = at < 3 ? 0 : (at - 3) / cStride, j = at < 3 ? n : (at - 3) % cStride;
      double want = c[at];
      if (j < n) {
        want *= beta;
        for (int l = 0; l < k; l++) want += (double) a[5 + (ta ? l * aStride + i : i * aStride + l)] * b[4 + (tb ? j * bStride + l : l * bStride + j)];
      }
      assertEquals(want, got[at], 1e-5 * (1 + Math.sqrt(k)), m + "x" + n + "x" + k + " at " + i + "," + j);
    }
  }

  @Test
  void anArrayThatIsTooShortIsRefusedBeforeNativeCode() {
    float[] four = new float[4];
    assertThrows(IllegalArgumentException.class, () -> OpenBlas.sgemm(false, false, 2, 2, 3, four, 0, 3, new float[6], 0, 2, 0, four, 0, 2));
    assertThrows(IllegalArgumentException.class, () -> OpenBlas.sgemm(false, false, 2, 2, 2, four, 1, 2, four, 0, 2, 0, four, 0, 2));
    assertThrows(IllegalArgumentException.class, () -> OpenBlas.sgemm(false, false, 2, 2, 2, four, -1, 2, four, 0, 2, 0, four, 0, 2));
  }

  @Test
  void anAvx512ProcessorGetsAnAvx512Core() {
    org.junit.jupiter.api.Assumptions.assumeTrue(OpenBlas.available() && OpenBlas.processorFlags().contains("avx512vl"), "needs OpenBLAS and AVX-512");
    org.junit.jupiter.api.Assumptions.assumeTrue(System.getenv("OPENBLAS_CORETYPE") == null, "the user chose the core");
    assertEquals("SkylakeX", OpenBlas.core());
    assertTrue(OpenBlas.status().contains("SkylakeX"), OpenBlas.status());
  }

  @Test
  void aLibraryIsUnpackedIntoAPrivateFolderAndADamagedCopyIsReplaced(@TempDir Path cache) throws IOException {
    String before = System.getProperty("onebit.cache");
    System.setProperty("onebit.cache", cache.toString());
    try {
      UnpackedLibrary library = new UnpackedLibrary(LIBRARY, SHA256);
      Path file = library.unpack();
      assertEquals(cache.resolve(SHA256).resolve("libquadmath.so.0"), file);
      assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(file.getParent())));
      byte[] whole = Files.readAllBytes(file);
      Files.write(file, new byte[] {1, 2, 3});
      assertEquals(file, library.unpack());
      assertEquals(whole.length, Files.size(file));
      try (var files = Files.list(file.getParent())) {
        assertEquals(1, files.count(), "no part file stays");
      }
      var wrong = assertThrows(IOException.class, () -> new UnpackedLibrary(LIBRARY, SHA256.replace('6', '7')).unpack());
      assertTrue(wrong.getMessage().contains(SHA256), wrong.getMessage());
      var absent = assertThrows(IOException.class, () -> new UnpackedLibrary("no/such.so", SHA256).unpack());
      assertEquals("the class path has no no/such.so", absent.getMessage());
    } finally {
      if (before == null) System.clearProperty("onebit.cache");
      else System.setProperty("onebit.cache", before);
    }
  }

  private static float[] values(Random random, int count) {
    float[] x = new float[count];
    for (int i = 0; i < count; i++) x[i] = (float) random.nextGaussian();
    return x;
  }
}
