package onebit.ops.cpu;

import onebit.ops.NormOps;
import onebit.ops.Shapes;
import onebit.tensor.Tensor;

/** Batch and L2 normalisation on the CPU; sums as {@link ChannelTiles} adds them. The fields are what the running op works on: one caller at a time. */
final class CpuNormOps implements NormOps {
  private static final double L2_EPSILON = 1e-10;

  private final ChannelTiles<CpuNormOps> tiles = new ChannelTiles<>();
  private float[] xs, ys, zs;
  private double[] a, b, m, s, g0, g1;
  private int tile;
  private double[] shares = new double[0];
  private float[] factor = new float[0], inverses = new float[0], meanG = new float[0], meanGx = new float[0];

  @Override
  public void batchNorm(Tensor y, Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVar, Tensor mean, Tensor inverse,
      float momentum, float epsilon, boolean unbiased) {
    Shapes.requireBatchNorm("batchNorm", y, x, gamma, beta, runningMean, runningVar);
    Shapes.requirePerChannel("batchNorm", "mean", mean, x);
    Shapes.requirePerChannel("batchNorm", "inverse", inverse, x);
    int size = x.size(), channels = x.shape().channels(), rows = size / channels;
    float[] means = mean.floats(), spreads = inverse.floats(), movingMean = runningMean.floats(), movingVar = runningVar.floats();
    xs = x.floats();
    double[] sums = tiles.sum(size, channels, 1, this, (op, acc, at, base, length) -> {
      float[] xs = op.xs;
      for (int j = 0; j < length; j++) acc[at + j] += xs[base + j];
    });
    for (int c = 0; c < channels; c++) means[c] = (float) (sums[c] / rows);
    m = tiles.repeat(0, means, channels);
    sums = tiles.sum(size, channels, 1, this, (op, acc, at, base, length) -> {
      float[] xs = op.xs;
      double[] centre = op.m;
      for (int j = 0; j < length; j++) {
        double d = xs[base + j] - centre[j];
        acc[at + j] += d * d;
      }
    });
    for (int c = 0; c < channels; c++) {
      double var = sums[c] / rows;
      spreads[c] = (float) (1 / Math.sqrt(var + epsilon));
      double kept = unbiased && rows > 1 ? var * rows / (rows - 1) : var;
      movingMean[c] += momentum * (means[c] - movingMean[c]);
      movingVar[c] += momentum * ((float) kept - movingVar[c]);
    }
    affine(y, x, gamma.floats(), beta.floats(), means, spreads);
  }

  @Override
  public void batchNormInference(Tensor y, Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVar, float epsilon) {
    Shapes.requireBatchNorm("batchNormInference", y, x, gamma, beta, runningMean, runningVar);
    int channels = x.shape().channels();
    float[] vars = runningVar.floats();
    inverses = grown(inverses, channels);
    for (int c = 0; c < channels; c++) inverses[c] = (float) (1 / Math.sqrt((double) vars[c] + epsilon));
    affine(y, x, gamma.floats(), beta.floats(), runningMean.floats(), inverses);
  }

  private static float[] grown(float[] array, int length) {
    return array.length < length ? new float[length] : array;
  }

  /** y = gamma (x - mean) inverse + beta. */
  void affine(Tensor y, Tensor x, float[] gamma, float[] beta, float[] mean, float[] inverse) {
    int channels = x.shape().channels();
    factor = grown(factor, channels);
    for (int c = 0; c < channels; c++) factor[c] = gamma[c] * inverse[c];
    a = tiles.repeat(0, factor, channels);
    b = tiles.repeat(1, beta, channels);
    m = tiles.repeat(2, mean, channels);
    xs = x.floats();
    ys = y.floats();
    tiles.run(x.size(), channels, this, (op, base, length) -> {
      float[] xs = op.xs, ys = op.ys;
      double[] a = op.a, b = op.b, m = op.m;
      for (int j = 0; j < length; j++) ys[base + j] = (float) ((xs[base + j] - m[j]) * a[j] + b[j]);
    });
  }

  @Override
  public void batchNormBackward(Tensor gradX, Tensor gradGamma, Tensor gradBeta, Tensor gradY, Tensor x, Tensor gamma, Tensor mean,
      Tensor inverse) {
    Shapes.requireBatchNorm("batchNormBackward", gradX, x, gradGamma, gradBeta, mean, inverse);
    Shapes.requireEqual("batchNormBackward", "gradY", gradY, "x", x);
    Shapes.requirePerChannel("batchNormBackward", "gamma", gamma, x);
    int size = x.size(), channels = x.shape().channels(), rows = size / channels;
    float[] gammas = gamma.floats(), spreads = inverse.floats();
    tile = ChannelTiles.tile(channels);
    xs = x.floats();
    ys = gradY.floats();
    zs = gradX.floats();
    m = tiles.repeat(0, mean.floats(), channels);
    s = tiles.repeat(1, spreads, channels);
    double[] sums = tiles.sum(size, channels, 2, this, (op, acc, at, base, length) -> {
      float[] xs = op.xs, gys = op.ys;
      double[] m = op.m, s = op.s;
      int tile = op.tile;
      for (int j = 0; j < length; j++) acc[at + j] += gys[base + j];
      for (int j = 0; j < length; j++) acc[at + tile + j] += gys[base + j] * ((xs[base + j] - m[j]) * s[j]);
    });
    meanG = grown(meanG, channels);
    meanGx = grown(meanGx, channels);
    factor = grown(factor, channels);
    for (int c = 0; c < channels; c++) {
      gradBeta.floats()[c] = (float) sums[c];
      gradGamma.floats()[c] = (float) sums[channels + c];
      meanG[c] = (float) (sums[c] / rows);
      meanGx[c] = (float) (sums[channels + c] / rows) * spreads[c];
      factor[c] = gammas[c] * spreads[c];
    }
    a = tiles.repeat(2, factor, channels);
    g0 = tiles.repeat(3, meanG, channels);
    g1 = tiles.repeat(4, meanGx, channels);
    tiles.run(size, channels, this, (op, base, length) -> {
      float[] xs = op.xs, gys = op.ys, gxs = op.zs;
      double[] a = op.a, m = op.m, g0 = op.g0, g1 = op.g1;
      for (int j = 0; j < length; j++) gxs[base + j] = (float) (a[j] * (gys[base + j] - g0[j] - (xs[base + j] - m[j]) * g1[j]));
    });
  }

  @Override
  public void mergeMoments(Tensor mean, Tensor var, Tensor inverse, Tensor runningMean, Tensor runningVar, Tensor all, float momentum, float epsilon,
      boolean unbiased) {
    int channels = mean.size(), ranks = Shapes.requireMoments("mergeMoments", all, mean);
    float[] parts = all.floats(), movingMean = runningMean.floats(), movingVar = runningVar.floats();
    int width = 2 * channels + 1;
    double rows = totalRows(parts, ranks, width);
    for (int c = 0; c < channels; c++) {
      double m = 0, v = 0;
      for (int r = 0; r < ranks; r++) m += (double) parts[r * width + 2 * channels] * parts[r * width + c];
      m /= rows;
      for (int r = 0; r < ranks; r++) {
        double d = parts[r * width + c] - m;
        v += parts[r * width + 2 * channels] * (parts[r * width + channels + c] + d * d);
      }
      v /= rows;
      mean.floats()[c] = (float) m;
      var.floats()[c] = (float) v;
      inverse.floats()[c] = (float) (1 / Math.sqrt(v + epsilon));
      double kept = unbiased && rows > 1 ? v * rows / (rows - 1) : v;
      movingMean[c] += momentum * ((float) m - movingMean[c]);
      movingVar[c] += momentum * ((float) kept - movingVar[c]);
    }
  }

  @Override
  public void l2Normalize(Tensor y, Tensor x, Tensor scale) {
    Shapes.requireL2("l2Normalize", y, x, scale);
    xs = x.floats();
    ys = y.floats();
    a = tiles.repeat(0, scale.floats(), x.shape().channels());
    tile = x.shape().channels();
    CpuThreads.range(x.size() / tile, Math.max(1, (1 << 14) / tile), this, (op, from, to) -> {
      int channels = op.tile;
      float[] xs = op.xs, ys = op.ys;
      double[] a = op.a;
      for (int base = from * channels; base < to * channels; base += channels) {
        double inverse = 1 / (norm(xs, base, channels) + L2_EPSILON);
        for (int c = 0; c < channels; c++) ys[base + c] = (float) (xs[base + c] * a[c] * inverse);
      }
    });
  }

  private static double norm(float[] xs, int base, int channels) {
    double sum = 0;
    for (int i = base; i < base + channels; i++) sum += (double) xs[i] * xs[i];
    return Math.sqrt(sum);
  }

  @Override
  public void l2NormalizeBackward(Tensor gradX, Tensor gradScale, Tensor gradY, Tensor x, Tensor scale) {
    Shapes.requireL2("l2NormalizeBackward", gradX, x, scale);
    Shapes.requireEqual("l2NormalizeBackward", "gradY", gradY, "x", x);
    Shapes.requirePerChannel("l2NormalizeBackward", "gradScale", gradScale, x);
    tile = x.shape().channels();
    int pixels = x.size() / tile;
    if (shares.length < pixels) shares = new double[pixels];
    xs = x.floats();
    ys = gradY.floats();
    zs = gradX.floats();
    a = tiles.repeat(0, scale.floats(), tile);
    CpuThreads.range(pixels, Math.max(1, (1 << 14) / tile), this, (op, from, to) -> {
      int channels = op.tile;
      float[] xs = op.xs, gys = op.ys, gxs = op.zs;
      double[] a = op.a;
      for (int pixel = from; pixel < to; pixel++) {
        int base = pixel * channels;
        double norm = norm(xs, base, channels), share = 1 / (norm + L2_EPSILON), along = 0;
        for (int c = 0; c < channels; c++) along += gys[base + c] * a[c] * xs[base + c];
        along = along * share / norm;
        for (int c = 0; c < channels; c++) gxs[base + c] = norm == 0 ? 0 : (float) ((gys[base + c] * a[c] - xs[base + c] * along) * share);
        op.shares[pixel] = share;
      }
    });
    double[] sums = tiles.sum(x.size(), tile, 1, this, (op, acc, at, base, length) -> {
      int channels = op.tile;
      float[] xs = op.xs, gys = op.ys;
      for (int i = 0; i < length; i += channels) {
        double share = op.shares[(base + i) / channels];
        for (int c = i; c < i + channels; c++) acc[at + c] += (double) gys[base + c] * xs[base + c] * share;
      }
    });
    for (int c = 0; c < tile; c++) gradScale.floats()[c] = (float) sums[c];
  }

  private static double totalRows(float[] moments, int ranks, int width) {
    double rows = 0;
    for (int r = 0; r < ranks; r++) rows += moments[r * width + width - 1];
    return rows;
  }

  @Override
  public void mergeSums(Tensor scale, Tensor shift, Tensor own, Tensor all, Tensor moments, int rows, Tensor gamma, Tensor inverse) {
    int channels = scale.size(), ranks = Shapes.requireMoments("mergeSums", moments, scale), width = 2 * channels;
    Shapes.requireSums("mergeSums", own, all, scale, ranks);
    double total = totalRows(moments.floats(), ranks, width + 1);
    for (int c = 0; c < channels; c++) {
      double gx = 0, g = 0;
      for (int r = 0; r < ranks; r++) {
        gx += all.floats()[r * width + c];
        g += all.floats()[r * width + channels + c];
      }
      double factor = (double) gamma.floats()[c] * inverse.floats()[c];
      scale.floats()[c] = (float) (factor * (own.floats()[c] / (double) rows - gx / total));
      shift.floats()[c] = (float) (factor * (own.floats()[channels + c] / (double) rows - g / total));
    }
  }
}
