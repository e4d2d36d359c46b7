package onebit.ops;

import onebit.tensor.Tensor;

/**
 * Batch normalisation over all but the innermost extent, and L2 normalisation over it.
 *
 * <pre>
 * Shapes  x, y, gradX, gradY: rows of C values; the rest: C values
 * Source  Ioffe and Szegedy 2015 (arXiv 1502.03167)
 * </pre>
 */
public interface NormOps {
  /**
   * y = gamma (x - mean) / sqrt(var + epsilon) + beta with the batch's mean and biased variance; running statistics move towards them.
   *
   * <pre>
   * Keeps   mean and inverse deviation of the batch, for backward
   * Units   momentum: weight of the batch in the running statistics (torch's convention; MXNet's 0.9 is 0.1 here)
   * Differs the running variance is unbiased in PyTorch and cuDNN, biased where MXNet runs on a CPU: unbiased tells which
   * </pre>
   */
  void batchNorm(Tensor y, Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVar, Tensor mean, Tensor inverse,
      float momentum, float epsilon, boolean unbiased);

  /** y = gamma (x - runningMean) / sqrt(runningVar + epsilon) + beta. */
  void batchNormInference(Tensor y, Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVar, float epsilon);

  /** gradX = gamma inverse (gradY - mean(gradY) - xhat mean(gradY xhat)); gradGamma = sum(gradY xhat); gradBeta = sum(gradY). */
  void batchNormBackward(Tensor gradX, Tensor gradGamma, Tensor gradBeta, Tensor gradY, Tensor x, Tensor gamma, Tensor mean, Tensor inverse);

  /**
   * Mean and biased variance of a batch that lies on several ranks, its inverse deviation, and the running statistics moved towards them.
   *
   * <pre>
   * mean = sum over r of n_r mean_r / N;  var = sum over r of n_r (var_r + (mean_r - mean)^2) / N;  N = sum of n_r
   * Shapes  all [ranks][2 C + 1]: mean, biased variance and number of rows of each rank; the rest C values
   * Source  Chan, Golub and LeVeque 1979, for variances of parts
   * </pre>
   */
  void mergeMoments(Tensor mean, Tensor var, Tensor inverse, Tensor runningMean, Tensor runningVar, Tensor all, float momentum, float epsilon,
      boolean unbiased);

  /**
   * What the gradient of a batch on one rank lacks for that of all ranks: gradX of the whole = gradX of the part + scale xhat + shift.
   *
   * <pre>
   * scale = gamma inverse (sum of g xhat of this rank / n - the same over all ranks / N); shift likewise of the sums of g
   * Shapes  own [2 C]: sums of g xhat, then of g; all [ranks][2 C] of every rank; moments as mergeMoments takes them; the rest C values
   * </pre>
   */
  void mergeSums(Tensor scale, Tensor shift, Tensor own, Tensor all, Tensor moments, int rows, Tensor gamma, Tensor inverse);

  /**
   * y = scale x / (norm + 1e-10) with the scale of each channel and the norm of each pixel, the square root of the sum of its squares.
   *
   * <pre>
   * Source  Liu et al. 2016 (ParseNet, arXiv 1506.04579), section 3.3; ssd.pytorch layers/modules/l2norm.py for the 1e-10
   * </pre>
   */
  void l2Normalize(Tensor y, Tensor x, Tensor scale);

  /**
   * gradX = (scale gradY - x sum(scale gradY x) / (norm (norm + 1e-10))) / (norm + 1e-10), the sum over a pixel; gradScale = sum(gradY x / (norm + 1e-10)).
   *
   * <pre>
   * Differs gradX of a pixel whose values are all 0 is 0; the formula's limit is scale gradY 1e10 there, PyTorch's is NaN
   * </pre>
   */
  void l2NormalizeBackward(Tensor gradX, Tensor gradScale, Tensor gradY, Tensor x, Tensor scale);
}
