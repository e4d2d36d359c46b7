package onebit.ops.cpu;

/** sgemm in plain Java, for machines where OpenBLAS cannot be loaded. */
final class PlainSgemm {
  private static final int COLUMNS = 512;

  private PlainSgemm() {}

  /** c = op(a) op(b) + beta c, row major; arguments as in {@link OpenBlas#sgemm}. */
  static void sgemm(boolean transposeA, boolean transposeB, int m, int n, int k, float[] a, int aFrom, int aStride, float[] b, int bFrom, int bStride,
      float beta, float[] c, int cFrom, int cStride) {
    float[] panel = b;
    int panelFrom = bFrom, panelStride = bStride;
    if (transposeB) {
      panel = new float[Math.multiplyExact(k, n)];
      panelFrom = 0;
      panelStride = n;
      for (int j = 0; j < n; j++) {
        for (int i = 0; i < k; i++) panel[i * n + j] = b[bFrom + j * bStride + i];
      }
    }
    float[] sum = new float[Math.min(n, COLUMNS)];
    int rowStep = transposeA ? 1 : aStride, depthStep = transposeA ? aStride : 1;
    for (int j0 = 0; j0 < n; j0 += COLUMNS) {
      int width = Math.min(COLUMNS, n - j0);
      for (int i = 0; i < m; i++) {
        int at = cFrom + i * cStride + j0;
        for (int j = 0; j < width; j++) sum[j] = beta == 0 ? 0 : beta * c[at + j];
        int row = aFrom + i * rowStep;
        int p = 0;
        for (; p + 4 <= k; p += 4) {
          int d = row + p * depthStep;
          fourRows(sum, panel, panelFrom + p * panelStride + j0, panelStride, width, a[d], a[d + depthStep], a[d + 2 * depthStep], a[d + 3 * depthStep]);
        }
        for (; p < k; p++) oneRow(sum, panel, panelFrom + p * panelStride + j0, width, a[row + p * depthStep]);
        System.arraycopy(sum, 0, c, at, width);
      }
    }
  }

  private static void fourRows(float[] sum, float[] b, int from, int stride, int width, float a0, float a1, float a2, float a3) {
    int b1 = from + stride, b2 = b1 + stride, b3 = b2 + stride;
    for (int j = 0; j < width; j++) sum[j] += a0 * b[from + j] + a1 * b[b1 + j] + a2 * b[b2 + j] + a3 * b[b3 + j];
  }

  private static void oneRow(float[] sum, float[] b, int from, int width, float a0) {
    for (int j = 0; j < width; j++) sum[j] += a0 * b[from + j];
  }
}
