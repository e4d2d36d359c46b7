package onebit.layers;

import onebit.ops.Backend;
import onebit.ops.NormOps;
import onebit.ops.RankExchange;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Batch normalisation over a batch that lies on several ranks: as one process would compute it on the whole, up to float summation.
 *
 * <pre>
 * Keeps   the statistics of the whole batch between forward and backward
 * Cost    over a batch norm of its own: an exchange of 2 C + 1 values forward and 2 C backward, and three passes over the values
 * </pre>
 *
 * Gradients of gamma and beta stay those of this rank's rows: the mean of gradients over the ranks joins them.
 */
final class SharedStatistics {
  private final Backend backend;
  private final RankExchange ranks;
  private final Tensor partMean;
  private final Tensor partVar;
  private final Tensor partInverse;
  private final Tensor rows;
  private final Tensor meanAndVar;
  private final Tensor moments;
  private final Tensor allMoments;
  private final Tensor sums;
  private final Tensor allSums;
  private final Tensor var;
  private final Tensor scale;
  private final Tensor shift;
  private final Tensor correction;

  SharedStatistics(Backend backend, RankExchange ranks, Shape input) {
    this.backend = backend;
    this.ranks = ranks;
    int channels = input.channels();
    partMean = backend.create(Shape.matrix(1, channels));
    partVar = backend.create(Shape.matrix(1, channels));
    partInverse = backend.create(Shape.vector(channels));
    rows = backend.create(Shape.matrix(1, 1));
    meanAndVar = backend.create(Shape.matrix(1, 2 * channels));
    moments = backend.create(Shape.matrix(1, 2 * channels + 1));
    allMoments = backend.create(Shape.matrix(ranks.size(), 2 * channels + 1));
    sums = backend.create(Shape.matrix(1, 2 * channels));
    allSums = backend.create(Shape.matrix(ranks.size(), 2 * channels));
    var = backend.create(Shape.vector(channels));
    scale = backend.create(Shape.vector(channels));
    shift = backend.create(Shape.vector(channels));
    correction = backend.create(input, backend.activations());
  }

  /** As NormOps.batchNorm over the rows of all ranks. */
  void forward(Tensor y, Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVar, Tensor mean, Tensor inverse, float momentum,
      BatchNorm.Rule rule) {
    NormOps norm = backend.norm();
    backend.fill(partMean, 0);
    backend.fill(partVar, 0);
    norm.batchNorm(y, x, gamma, beta, partMean, partVar, mean, partInverse, 1, rule.epsilon(), false);
    backend.fill(rows, (float) x.size() / x.shape().channels());
    backend.point().concat(meanAndVar, partMean, partVar);
    backend.point().concat(moments, meanAndVar, rows);
    ranks.allGather(allMoments, moments);
    norm.mergeMoments(mean, var, inverse, runningMean, runningVar, allMoments, momentum, rule.epsilon(), rule.unbiased());
    norm.batchNormInference(y, x, gamma, beta, mean, var, rule.epsilon());
  }

  /** As NormOps.batchNormBackward, with gradX that of the whole batch. */
  void backward(Tensor gradX, Tensor gradGamma, Tensor gradBeta, Tensor gradY, Tensor x, Tensor gamma, Tensor mean, Tensor inverse,
      BatchNorm.Rule rule) {
    int channels = x.shape().channels();
    Shape row = Shape.matrix(1, channels);
    backend.norm().batchNormBackward(gradX, gradGamma, gradBeta, gradY, x, gamma, mean, inverse);
    backend.point().concat(sums, gradGamma.reshaped(row), gradBeta.reshaped(row));
    ranks.allGather(allSums, sums);
    backend.norm().mergeSums(scale, shift, sums, allSums, allMoments, x.size() / channels, gamma, inverse);
    Tensor missing = correction.first(x.shape().d0());
    backend.norm().batchNormInference(missing, x, scale, shift, mean, var, rule.epsilon());
    backend.point().accumulate(gradX, missing);
  }
}
