package onebit.ops;

import onebit.tensor.Tensor;

/**
 * Real-valued convolution and matrix products; results overwrite their destination.
 *
 * <pre>
 * Shapes  x N,H,W,C; w O,R,S,C/groups; y N,P,Q,O; linear: x N rows of I values, w [O][I], y [N][O]
 * Types   x and y of a convolution are equal; where they are bfloat16, float32 filters are rounded to it before, and a float32 gradW is
 *         widened from it after. Where one of the three matrices of a product is bfloat16, both factors are rounded to it
 * </pre>
 */
public interface ConvOps {
  /** y = x * w; outside taps of x hold the value border: 0, or the low value of a set under {@link Padding#MINUS_ONE}. */
  void conv2d(Tensor y, Tensor x, Tensor w, ConvGeometry g, float border);

  /** gradX = the transposed convolution of gradY by w; gradients of border taps are dropped. */
  void conv2dGradX(Tensor gradX, Tensor gradY, Tensor w, ConvGeometry g);

  /** gradW = the correlation of x with gradY over the batch, float32 or rounded to the type of x; outside taps of x hold the value border. */
  void conv2dGradW(Tensor gradW, Tensor gradY, Tensor x, ConvGeometry g, float border);

  /**
   * y = x * w with x = the values that {@link PointOps#normalize} makes of pixels, in the type of y; outside taps hold 0.
   *
   * <pre>
   * Shapes  pixels N,H,W,C UINT8
   * Cost    where {@link ConvRules#takesPixels} holds, values are made on the way and no tensor of them is stored
   * </pre>
   */
  void conv2dOfPixels(Tensor y, Tensor pixels, PixelScale scale, Tensor w, ConvGeometry g);

  /** gradW = what conv2dGradW gives for those values. */
  void conv2dOfPixelsGradW(Tensor gradW, Tensor gradY, Tensor pixels, PixelScale scale, ConvGeometry g);

  /** y = x w^T. */
  default void linear(Tensor y, Tensor x, Tensor w) {
    ConvRules.requireLinear("linear", y, x, w);
    gemm(y, x, false, w, true, x.shape().d0(), w.shape().d0(), w.shape().rowSize());
  }

  /** gradX = gradY w. */
  default void linearGradX(Tensor gradX, Tensor gradY, Tensor w) {
    ConvRules.requireLinear("linearGradX", gradY, gradX, w);
    gemm(gradX, gradY, false, w, false, gradX.shape().d0(), w.shape().rowSize(), w.shape().d0());
  }

  /** gradW = gradY^T x. */
  default void linearGradW(Tensor gradW, Tensor gradY, Tensor x) {
    ConvRules.requireLinear("linearGradW", gradY, x, gradW);
    gemm(gradW, gradY, true, x, false, gradW.shape().d0(), gradW.shape().rowSize(), x.shape().d0());
  }

  /** c = op(a) op(b), row major; a is [M][K] (or [K][M] when transposed), b is [K][N] (or [N][K]). */
  void gemm(Tensor c, Tensor a, boolean transposeA, Tensor b, boolean transposeB, int m, int n, int k);
}
