package onebit.ops.cpu;

import onebit.ops.NormOps;
import onebit.ops.Shapes;
import onebit.tensor.Tensor;

/** Batch normalisation on the CPU; sums as {@link ChannelTiles} adds them. */
final class CpuNormOps implements NormOps {
  @Override
  public void batchNorm(Tensor y, Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVar, Tensor mean, Tensor inverse,
      float momentum, float epsilon, boolean unbiased) {
    Shapes.requireBatchNorm("batchNorm", y, x, gamma, beta, runningMean, runningVar);
    Shapes.requirePerChannel("batchNorm", "mean", mean, x);
    Shapes.requirePerChannel("batchNorm", "inverse", inverse, x);
    int size = x.size(), channels = x.shape().channels(), rows = size / channels;
    float[] xs = x.floats(), means = mean.floats(), inverses = inverse.floats(), movingMean = runningMean.floats(), movingVar = runningVar.floats();
    double[] sums = new double[channels];
    ChannelTiles.sum(size, channels, 1, sums, (acc, at, base, length) -> {
      for (int j = 0; j < length; j++) acc[at + j] += xs[base + j];
    });
    for (int c = 0; c < channels; c++) means[c] = (float) (sums[c] / rows);
    double[] centre = ChannelTiles.repeat(means, channels);
    ChannelTiles.sum(size, channels, 1, sums, (acc, at, base, length) -> {
      for (int j = 0; j < length; j++) {
        double d = xs[base + j] - centre[j];
        acc[at + j] += d * d;
      }
    });
    for (int c = 0; c < channels; c++) {
      double var = sums[c] / rows;
      inverses[c] = (float) (1 / Math.sqrt(var + epsilon));
      double kept = unbiased && rows > 1 ? var * rows / (rows - 1) : var;
      movingMean[c] += momentum * (means[c] - movingMean[c]);
      movingVar[c] += momentum * ((float) kept - movingVar[c]);
    }
    affine(y, x, gamma.floats(), beta.floats(), means, inverses);
  }

  @Override
  public void batchNormInference(Tensor y, Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVar, float epsilon) {
    Shapes.requireBatchNorm("batchNormInference", y, x, gamma, beta, runningMean, runningVar);
    int channels = x.shape().channels();
    float[] inverses = new float[channels], vars = runningVar.floats();
    for (int c = 0; c < channels; c++) inverses[c] = (float) (1 / Math.sqrt((double) vars[c] + epsilon));
    affine(y, x, gamma.floats(), beta.floats(), runningMean.floats(), inverses);
  }

  private static void affine(Tensor y, Tensor x, float[] gamma, float[] beta, float[] mean, float[] inverse) {
    int channels = x.shape().channels();
    float[] factor = new float[channels];
    for (int c = 0; c < channels; c++) factor[c] = gamma[c] * inverse[c];
    double[] a = ChannelTiles.repeat(factor, channels), b = ChannelTiles.repeat(beta, channels), m = ChannelTiles.repeat(mean, channels);
    float[] xs = x.floats(), ys = y.floats();
    ChannelTiles.run(x.size(), channels, (base, length) -> {
      for (int j = 0; j < length; j++) ys[base + j] = (float) ((xs[base + j] - m[j]) * a[j] + b[j]);
    });
  }

  @Override
  public void batchNormBackward(Tensor gradX, Tensor gradGamma, Tensor gradBeta, Tensor gradY, Tensor x, Tensor gamma, Tensor mean,
      Tensor inverse) {
    Shapes.requireBatchNorm("batchNormBackward", gradX, x, gradGamma, gradBeta, mean, inverse);
    Shapes.requireEqual("batchNormBackward", "gradY", gradY, "x", x);
    Shapes.requirePerChannel("batchNormBackward", "gamma", gamma, x);
    int size = x.size(), channels = x.shape().channels(), rows = size / channels, tile = ChannelTiles.tile(channels);
    float[] xs = x.floats(), gys = gradY.floats(), gxs = gradX.floats(), gammas = gamma.floats(), inverses = inverse.floats();
    double[] m = ChannelTiles.repeat(mean.floats(), channels), s = ChannelTiles.repeat(inverses, channels);
    double[] sums = new double[2 * channels];
    ChannelTiles.sum(size, channels, 2, sums, (acc, at, base, length) -> {
      for (int j = 0; j < length; j++) acc[at + j] += gys[base + j];
      for (int j = 0; j < length; j++) acc[at + tile + j] += gys[base + j] * ((xs[base + j] - m[j]) * s[j]);
    });
    float[] meanG = new float[channels], meanGx = new float[channels], factor = new float[channels];
    for (int c = 0; c < channels; c++) {
      gradBeta.floats()[c] = (float) sums[c];
      gradGamma.floats()[c] = (float) sums[channels + c];
      meanG[c] = (float) (sums[c] / rows);
      meanGx[c] = (float) (sums[channels + c] / rows) * inverses[c];
      factor[c] = gammas[c] * inverses[c];
    }
    double[] a = ChannelTiles.repeat(factor, channels), g0 = ChannelTiles.repeat(meanG, channels), g1 = ChannelTiles.repeat(meanGx, channels);
    ChannelTiles.run(size, channels, (base, length) -> {
      for (int j = 0; j < length; j++) gxs[base + j] = (float) (a[j] * (gys[base + j] - g0[j] - (xs[base + j] - m[j]) * g1[j]));
    });
  }
}
