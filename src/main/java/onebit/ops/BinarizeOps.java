package onebit.ops;

import onebit.binarize.Binarizer;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Tensor;

/**
 * Binarization of latent weights and of activations, forward and backward.
 *
 * <pre>
 * Shapes  x, gradX, gradQ: activations N,H,W,C (gradQ: gradient at the binarized activations)
 *         w, gradW, gradE: latent weights O,R,S,C (gradE: gradient at the weights that are really convolved)
 *         bits of x: N*H*W rows of C; bits of w: O rows of R*S*C; centre, distance, scale: O values
 * </pre>
 *
 * Gradients of weights and of their sets overwrite their destination.
 */
public interface BinarizeOps {
  /** bit = [level(x) >= 0]. */
  void sign(BitTensor bits, Tensor x, Binarizer f);

  /** y = level(x): the real-valued forward of BiPer's stage 1. */
  void level(Tensor y, Tensor x, Binarizer f);

  /** y = scale of the filter * x. */
  void scaleFilters(Tensor y, Tensor x, Tensor scale);

  /** gradX = gradQ slope(x). */
  void slope(Tensor gradX, Tensor gradQ, Tensor x, Binarizer f);

  /**
   * bit = [(x - beta) / alpha >= 0]; set = centre alpha beta (code form) or beta (paper form), distance alpha.
   *
   * <pre>
   * Shapes  alpha, beta, and the set's centre and distance: 1 value
   * Source  Tu et al. 2022 (AdaBin, arXiv 2208.08084); code binarylib.py lines 41-69
   * Differs the released code computes alpha (s + beta), the paper alpha s + beta; the code is the default
   * </pre>
   */
  void learnedSet(BitTensor bits, BinarySet set, Tensor x, Tensor alpha, Tensor beta, boolean codeForm);

  /**
   * With u = (x - beta) / alpha and p = slope(u): gradX = g p; code form gradBeta = sum g (alpha - p), gradAlpha = sum g (s + beta - u p);
   * paper form gradBeta = sum g (1 - p), gradAlpha = sum g (s - u p).
   */
  void learnedSetBackward(Tensor gradX, Tensor gradAlpha, Tensor gradBeta, Tensor gradQ, Tensor x, Tensor alpha, Tensor beta,
      Binarizer f, boolean codeForm);

  /**
   * gradX of bits of a0 = x / r, r = sqrt(var + epsilon) per sample: h / r - (x - mean) sum(h x) / ((M - 1) r^3), h = gradQ slope(a0).
   *
   * <pre>
   * Source  BiPer binarized_modules.py (variance over C,H,W, unbiased, not detached); the forward bit is that of x itself
   * </pre>
   */
  void sampleScaleBackward(Tensor gradX, Tensor gradQ, Tensor x, Binarizer f, float epsilon);

  /**
   * bit = [x >= mean of its sample]; statistics = {mean, 1 / unbiased deviation} per sample.
   *
   * <pre>
   * Source  RBNN binarized_modules.py (no epsilon)
   * Differs a constant sample gets the inverse deviation 0, so gradient 0 and no NaN
   * </pre>
   */
  void sampleStandard(BitTensor bits, Tensor statistics, Tensor x);

  /** gradX = (h - mean(h) - a sum(h a) / (M - 1)) / deviation, a = (x - mean) / deviation, h = gradQ slope(a), per sample. */
  void sampleStandardBackward(Tensor gradX, Tensor gradQ, Tensor x, Tensor statistics, Binarizer f);

  /** distance = factor * mean |w| per filter. */
  void meanAbsolute(Tensor distance, Tensor w, float factor);

  /**
   * gradW = scale gradE slope(w), plus mean(gradE s) sign(w) per filter where the scale is mean |w| and carries gradient.
   *
   * <pre>
   * Units  s = +1 or -1 by the bit; scale: 1 or O values
   * </pre>
   */
  void signWeightsBackward(Tensor gradW, Tensor gradE, Tensor w, Tensor scale, Binarizer f, boolean throughMeanAbsolute);

  /** gradScale = sum over a filter of gradE s, s = +1 or -1 by the sign of level(w), or level(w) itself when real. */
  void scaleBackward(Tensor gradScale, Tensor gradE, Tensor w, Binarizer f, boolean real);

  /**
   * bit = [w >= mean of its filter]; centre = mean, distance = biased deviation of the filter.
   *
   * <pre>
   * Source  AdaBin binarylib.py lines 102-107 (no epsilon; a constant filter gets distance 0 and no NaN here)
   * </pre>
   */
  void centreDistance(BitTensor bits, BinarySet set, Tensor w);

  /** gradW, which may be the memory of gradE, = G e - mean(G e) - u mean(G e u) + u mean(G s) + mean(G), with u = (w - centre) / distance, e = slope(u), means per filter. */
  void centreDistanceBackward(Tensor gradW, Tensor gradE, Tensor w, BinarySet set, Binarizer f);

  /** u = (w - mean) / deviation per filter, or per sample of activations, unbiased, no epsilon; deviation is kept; a constant filter gives u = 0, gradient 0 and no NaN. */
  void standardize(Tensor u, Tensor deviation, Tensor w);

  /** gradW = (q - mean(q) - u sum(q u) / (K - 1)) / deviation per filter. */
  void standardizeBackward(Tensor gradW, Tensor q, Tensor u, Tensor deviation);

  /**
   * mixed = u + |sin angle| (rotated - u), rotated = R1^T X R2 with X the filter in C,R,S order seen as a x b.
   *
   * <pre>
   * Shapes  u, rotated, mixed O,R,S,C; r1 [a][a]; r2 [b][b]; angle O values
   * Source  Lin et al. 2020 (RBNN, arXiv 2009.13055); code binarized_modules.py: per filter, R shared by the layer
   * </pre>
   */
  void rotateMix(Tensor mixed, Tensor rotated, Tensor u, Tensor r1, Tensor r2, Tensor angle);

  /** With h = scale gradE slope(mixed): q = (1 - |sin angle|) h; gradAngle = sign(sin angle) cos angle sum h (rotated - u). */
  void rotateMixBackward(Tensor q, Tensor gradAngle, Tensor gradE, Tensor mixed, Tensor rotated, Tensor u, Tensor angle, Tensor scale,
      Binarizer f);

  /** Three rounds of B = sign(R1^T X R2), R1 = V1 U1^T of sum B R2^T X^T, R2 = U2 V2^T of sum X^T R1 B (orthogonal Procrustes). */
  void rotationRounds(Tensor r1, Tensor r2, Tensor u, int rounds);

  /** sum[0] += factor * mean(level(w)^2); gradW += factor * d/dw of it (BiPer's regulariser with level = sin(omega w)). */
  void squaredLevelPenalty(Tensor sum, Tensor gradW, Tensor w, Binarizer f, float factor);
}
