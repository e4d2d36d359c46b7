package onebit.ops.cpu;

import onebit.tensor.Shape;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;

/**
 * One filter rotated, R1^T X R2 in double; a scratch of one thread, reused.
 *
 * <pre>
 * Shapes  a filter in C,R,S order is X [a][b] row by row; R1 [a][a], R2 [b][b]
 * Source  Lin et al. 2020 (RBNN, arXiv 2009.13055); the rotations themselves are found by {@link onebit.ops.Rotation}
 * </pre>
 */
final class FilterRotation {
  private final DMatrixRMaj x = new DMatrixRMaj(1, 1), left = new DMatrixRMaj(1, 1), v = new DMatrixRMaj(1, 1);
  private final DMatrixRMaj first = new DMatrixRMaj(1, 1), second = new DMatrixRMaj(1, 1);

  /** Filter o of to = R1^T X R2, in memory order O,R,S,C. */
  void rotate(float[] to, float[] u, int o, Shape w, int a, float[] r1, float[] r2) {
    int k = w.rowSize(), b = k / a, taps = w.d1() * w.d2(), channels = w.d3();
    copy(first, r1, a);
    copy(second, r2, b);
    x.reshape(a, b);
    for (int c = 0, i = 0; c < channels; c++) {
      for (int t = 0; t < taps; t++) x.data[i++] = u[o * k + t * channels + c];
    }
    left.reshape(a, b);
    v.reshape(a, b);
    CommonOps_DDRM.multTransA(first, x, left);
    CommonOps_DDRM.mult(left, second, v);
    for (int c = 0, i = 0; c < channels; c++) {
      for (int t = 0; t < taps; t++) to[o * k + t * channels + c] = (float) v.data[i++];
    }
  }

  private static void copy(DMatrixRMaj to, float[] square, int n) {
    to.reshape(n, n);
    for (int i = 0; i < n * n; i++) to.data[i] = square[i];
  }
}
