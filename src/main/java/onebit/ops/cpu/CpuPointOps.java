package onebit.ops.cpu;

import onebit.ops.PointOps;
import onebit.ops.Shapes;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Element-wise ops on the CPU. */
final class CpuPointOps implements PointOps {
  private static final int GRAIN = 1 << 15;

  @Override
  public void copy(Tensor y, Tensor x) {
    Shapes.requireEqual("copy", "y", y, "x", x);
    float[] xs = x.floats(), ys = y.floats();
    CpuThreads.range(x.size(), GRAIN, (from, to) -> System.arraycopy(xs, from, ys, from, to - from));
  }

  @Override
  public void add(Tensor y, Tensor a, Tensor b) {
    Shapes.requireEqual("add", "a", a, "y", y);
    Shapes.requireEqual("add", "b", b, "y", y);
    float[] as = a.floats(), bs = b.floats(), ys = y.floats();
    CpuThreads.range(y.size(), GRAIN, (from, to) -> {
      for (int i = from; i < to; i++) ys[i] = as[i] + bs[i];
    });
  }

  @Override
  public void accumulate(Tensor y, Tensor x) {
    Shapes.requireEqual("accumulate", "x", x, "y", y);
    add(y, y, x);
  }

  @Override
  public void accumulateScaled(Tensor y, Tensor x, float factor) {
    Shapes.requireEqual("accumulateScaled", "x", x, "y", y);
    float[] xs = x.floats(), ys = y.floats();
    CpuThreads.range(y.size(), GRAIN, (from, to) -> {
      for (int i = from; i < to; i++) ys[i] += factor * xs[i];
    });
  }

  @Override
  public void addBias(Tensor y, Tensor x, Tensor bias) {
    Shapes.requireEqual("addBias", "y", y, "x", x);
    Shapes.requirePerChannel("addBias", "bias", bias, x);
    int channels = x.shape().channels();
    float[] xs = x.floats(), ys = y.floats();
    double[] b = ChannelTiles.repeat(bias.floats(), channels);
    ChannelTiles.run(x.size(), channels, (base, length) -> {
      for (int j = 0; j < length; j++) ys[base + j] = (float) (xs[base + j] + b[j]);
    });
  }

  @Override
  public void biasBackward(Tensor gradBias, Tensor gradY) {
    Shapes.requirePerChannel("biasBackward", "gradBias", gradBias, gradY);
    int channels = gradY.shape().channels();
    float[] gys = gradY.floats();
    double[] sums = new double[channels];
    ChannelTiles.sum(gradY.size(), channels, 1, sums, (acc, at, base, length) -> {
      for (int j = 0; j < length; j++) acc[at + j] += gys[base + j];
    });
    for (int c = 0; c < channels; c++) gradBias.floats()[c] = (float) sums[c];
  }

  @Override
  public void activate(Tensor y, Tensor x, Activation f) {
    Shapes.requireEqual("activate", "y", y, "x", x);
    float[] xs = x.floats(), ys = y.floats();
    CpuThreads.range(x.size(), GRAIN, (from, to) -> {
      switch (f) {
        case RELU -> {
          for (int i = from; i < to; i++) ys[i] = Math.max(xs[i], 0);
        }
        case HARD_TANH -> {
          for (int i = from; i < to; i++) ys[i] = Math.min(Math.max(xs[i], -1), 1);
        }
        case TANH -> {
          tanh(ys, xs, from, to);
        }
      }
    });
  }

  private static void tanh(float[] ys, float[] xs, int from, int to) {
    if (VectorCpu.REFUSAL == null) {
      VectorMath.tanh(ys, xs, from, to);
    } else {
      for (int i = from; i < to; i++) ys[i] = (float) Math.tanh(xs[i]);
    }
  }

  @Override
  public void activateBackward(Tensor gradX, Tensor gradY, Tensor x, Activation f) {
    Shapes.requireEqual("activateBackward", "gradX", gradX, "x", x);
    Shapes.requireEqual("activateBackward", "gradY", gradY, "x", x);
    float[] xs = x.floats(), gys = gradY.floats(), gxs = gradX.floats();
    CpuThreads.range(x.size(), GRAIN, (from, to) -> {
      switch (f) {
        case RELU -> {
          for (int i = from; i < to; i++) gxs[i] = gys[i] * Math.signum(Math.max(xs[i], 0));
        }
        case HARD_TANH -> {
          for (int i = from; i < to; i++) gxs[i] = gys[i] * Math.signum(Math.max(1 - Math.abs(xs[i]), 0));
        }
        case TANH -> {
          tanh(gxs, xs, from, to);
          for (int i = from; i < to; i++) gxs[i] = gys[i] * (1 - gxs[i] * gxs[i]);
        }
      }
    });
  }

  @Override
  public void maxout(Tensor y, Tensor x, Tensor positive, Tensor negative) {
    Shapes.requireEqual("maxout", "y", y, "x", x);
    Shapes.requirePerChannel("maxout", "positive", positive, x);
    Shapes.requirePerChannel("maxout", "negative", negative, x);
    int channels = x.shape().channels();
    float[] xs = x.floats(), ys = y.floats();
    double[] p = ChannelTiles.repeat(positive.floats(), channels), q = ChannelTiles.repeat(negative.floats(), channels);
    ChannelTiles.run(x.size(), channels, (base, length) -> {
      for (int j = 0; j < length; j++) {
        float v = xs[base + j];
        ys[base + j] = (float) (p[j] * Math.max(v, 0) + q[j] * Math.min(v, 0));
      }
    });
  }

  @Override
  public void maxoutBackward(Tensor gradX, Tensor gradPositive, Tensor gradNegative, Tensor gradY, Tensor x, Tensor positive, Tensor negative) {
    Shapes.requireEqual("maxoutBackward", "gradX", gradX, "x", x);
    Shapes.requireEqual("maxoutBackward", "gradY", gradY, "x", x);
    Shapes.requirePerChannel("maxoutBackward", "positive", positive, x);
    Shapes.requirePerChannel("maxoutBackward", "negative", negative, x);
    Shapes.requirePerChannel("maxoutBackward", "gradPositive", gradPositive, x);
    Shapes.requirePerChannel("maxoutBackward", "gradNegative", gradNegative, x);
    int channels = x.shape().channels(), tile = ChannelTiles.tile(channels);
    float[] xs = x.floats(), gys = gradY.floats(), gxs = gradX.floats();
    double[] p = ChannelTiles.repeat(positive.floats(), channels), q = ChannelTiles.repeat(negative.floats(), channels);
    double[] sums = new double[2 * channels];
    ChannelTiles.sum(x.size(), channels, 2, sums, (acc, at, base, length) -> {
      for (int j = 0; j < length; j++) acc[at + j] += gys[base + j] * Math.max(xs[base + j], 0);
      for (int j = 0; j < length; j++) acc[at + tile + j] += gys[base + j] * Math.min(xs[base + j], 0);
      for (int j = 0; j < length; j++) {
        float side = Math.signum(xs[base + j]);
        gxs[base + j] = (float) (gys[base + j] * (p[j] * Math.max(side, 0) - q[j] * Math.min(side, 0)));
      }
    });
    for (int c = 0; c < channels; c++) {
      gradPositive.floats()[c] = (float) sums[c];
      gradNegative.floats()[c] = (float) sums[channels + c];
    }
  }

  @Override
  public void concat(Tensor y, Tensor a, Tensor b) {
    Shapes.requireConcat("concat", y, a, b);
    int ca = a.shape().channels(), cb = b.shape().channels(), rows = a.size() / ca;
    float[] ys = y.floats(), as = a.floats(), bs = b.floats();
    CpuThreads.range(rows, Math.max(1, GRAIN / (ca + cb)), (from, to) -> {
      for (int r = from; r < to; r++) {
        System.arraycopy(as, r * ca, ys, r * (ca + cb), ca);
        System.arraycopy(bs, r * cb, ys, r * (ca + cb) + ca, cb);
      }
    });
  }

  @Override
  public void split(Tensor gradA, Tensor gradB, Tensor gradY) {
    Shapes.requireConcat("split", gradY, gradA, gradB);
    int ca = gradA.shape().channels(), cb = gradB.shape().channels(), rows = gradA.size() / ca;
    float[] gys = gradY.floats(), as = gradA.floats(), bs = gradB.floats();
    CpuThreads.range(rows, Math.max(1, GRAIN / (ca + cb)), (from, to) -> {
      for (int r = from; r < to; r++) {
        System.arraycopy(gys, r * (ca + cb), as, r * ca, ca);
        System.arraycopy(gys, r * (ca + cb) + ca, bs, r * cb, cb);
      }
    });
  }

  @Override
  public void toPlanar(Tensor y, Tensor x) {
    Shapes.requireEqual("toPlanar", "y", y, "x", x);
    transpose(y.floats(), x.floats(), x.shape(), true);
  }

  @Override
  public void fromPlanar(Tensor y, Tensor x) {
    Shapes.requireEqual("fromPlanar", "y", y, "x", x);
    transpose(y.floats(), x.floats(), y.shape(), false);
  }

  private static void transpose(float[] to, float[] from, Shape image, boolean planar) {
    int pixels = image.d1() * image.d2(), channels = image.d3(), row = image.rowSize();
    CpuThreads.range(image.d0(), Math.max(1, GRAIN / row), (first, last) -> {
      for (int n = first; n < last; n++) {
        for (int p = 0; p < pixels; p++) {
          for (int c = 0; c < channels; c++) {
            int last1 = n * row + p * channels + c, plane = n * row + c * pixels + p;
            if (planar) to[plane] = from[last1];
            else to[last1] = from[plane];
          }
        }
      }
    });
  }

  @Override
  public void normalize(Tensor y, Tensor pixels, float[] mean, float[] deviation) {
    Shapes.requireEqual("normalize", "pixels", pixels, "y", y);
    Shapes.requireType("normalize", "pixels", pixels, ElementType.UINT8);
    int channels = y.shape().channels();
    if (mean.length != channels || deviation.length != channels) {
      throw new IllegalArgumentException("normalize: images have " + channels + " channels, mean has " + mean.length + " and deviation "
          + deviation.length + "; they must be equal");
    }
    double[] m = ChannelTiles.repeat(mean, channels), d = ChannelTiles.repeat(deviation, channels);
    float[] ys = y.floats();
    byte[] from = pixels.bytes();
    ChannelTiles.run(y.size(), channels, (base, length) -> {
      for (int j = 0; j < length; j++) ys[base + j] = (float) (((from[base + j] & 255) / 255f - m[j]) / d[j]);
    });
  }

  @Override
  public void countNonFinite(Tensor count, Tensor x) {
    Shapes.requireCount("countNonFinite", "count", count, 1);
    count.floats()[0] = nonFinite(x);
  }

  static int nonFinite(Tensor x) {
    float[] xs = x.floats();
    float sum = 0;
    for (int i = 0, n = x.size(); i < n; i++) sum += xs[i] * 0f;
    int bad = 0;
    if (sum != 0) {
      for (int i = 0, n = x.size(); i < n; i++) bad += Float.isFinite(xs[i]) ? 0 : 1;
    }
    return bad;
  }
}
