package onebit.ops;

import onebit.tensor.Tensor;

/**
 * Batch normalisation over all but the innermost extent.
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
   * Differs the running variance is unbiased in PyTorch, biased in MXNet: unbiased tells which
   * </pre>
   */
  void batchNorm(Tensor y, Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVar, Tensor mean, Tensor inverse,
      float momentum, float epsilon, boolean unbiased);

  /** y = gamma (x - runningMean) / sqrt(runningVar + epsilon) + beta. */
  void batchNormInference(Tensor y, Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVar, float epsilon);

  /** gradX = gamma inverse (gradY - mean(gradY) - xhat mean(gradY xhat)); gradGamma = sum(gradY xhat); gradBeta = sum(gradY). */
  void batchNormBackward(Tensor gradX, Tensor gradGamma, Tensor gradBeta, Tensor gradY, Tensor x, Tensor gamma, Tensor mean, Tensor inverse);
}
