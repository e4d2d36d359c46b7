package onebit.ops.cpu;

import onebit.ops.PixelScale;
import onebit.ops.PointOps;
import onebit.ops.Shapes;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Element-wise ops on the CPU. The fields are what the running op works on: one caller at a time. */
final class CpuPointOps implements PointOps {
  private static final int GRAIN = 1 << 15;

  private final ChannelTiles<CpuPointOps> tiles = new ChannelTiles<>();
  private float[] xs, ys, zs;
  private byte[] pixels;
  private double[] p, q;
  private int channels, otherChannels, width;
  private float factor;
  private Activation f;
  private boolean planar;

  @Override
  public void copy(Tensor y, Tensor x) {
    Shapes.requireEqual("copy", "y", y, "x", x);
    xs = x.floats();
    ys = y.floats();
    CpuThreads.range(x.size(), GRAIN, this, (op, from, to) -> System.arraycopy(op.xs, from, op.ys, from, to - from));
  }

  @Override
  public void add(Tensor y, Tensor a, Tensor b) {
    Shapes.requireEqual("add", "a", a, "y", y);
    Shapes.requireEqual("add", "b", b, "y", y);
    xs = a.floats();
    zs = b.floats();
    ys = y.floats();
    CpuThreads.range(y.size(), GRAIN, this, (op, from, to) -> {
      float[] as = op.xs, bs = op.zs, ys = op.ys;
      for (int i = from; i < to; i++) ys[i] = as[i] + bs[i];
    });
  }

  @Override
  public void accumulateScaled(Tensor y, Tensor x, float factor) {
    Shapes.requireEqual("accumulateScaled", "x", x, "y", y);
    this.factor = factor;
    xs = x.floats();
    ys = y.floats();
    CpuThreads.range(y.size(), GRAIN, this, (op, from, to) -> {
      float[] xs = op.xs, ys = op.ys;
      for (int i = from; i < to; i++) ys[i] += op.factor * xs[i];
    });
  }

  @Override
  public void addBias(Tensor y, Tensor x, Tensor bias) {
    Shapes.requireEqual("addBias", "y", y, "x", x);
    Shapes.requirePerChannel("addBias", "bias", bias, x);
    int channels = x.shape().channels();
    xs = x.floats();
    ys = y.floats();
    p = tiles.repeat(0, bias.floats(), channels);
    tiles.run(x.size(), channels, this, (op, base, length) -> {
      float[] xs = op.xs, ys = op.ys;
      double[] b = op.p;
      for (int j = 0; j < length; j++) ys[base + j] = (float) (xs[base + j] + b[j]);
    });
  }

  @Override
  public void biasBackward(Tensor gradBias, Tensor rounded, Tensor gradY) {
    Shapes.requireBias(gradBias, rounded, gradY);
    if (rounded != null) throw new IllegalArgumentException("biasBackward: the CPU holds no bfloat16");
    int channels = gradY.shape().channels();
    ys = gradY.floats();
    double[] sums = tiles.sum(gradY.size(), channels, 1, this, (op, acc, at, base, length) -> {
      float[] gys = op.ys;
      for (int j = 0; j < length; j++) acc[at + j] += gys[base + j];
    });
    for (int c = 0; c < channels; c++) gradBias.floats()[c] = (float) sums[c];
  }

  @Override
  public void activate(Tensor y, Tensor x, Activation f) {
    Shapes.requireEqual("activate", "y", y, "x", x);
    this.f = f;
    xs = x.floats();
    ys = y.floats();
    CpuThreads.range(x.size(), GRAIN, this, (op, from, to) -> {
      float[] xs = op.xs, ys = op.ys;
      switch (op.f) {
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
    if (VectorCpu.REFUSAL == null) VectorMath.tanh(ys, xs, from, to);
    else PlainMath.tanh(ys, xs, from, to);
  }

  @Override
  public void activateBackward(Tensor gradX, Tensor gradY, Tensor x, Activation f) {
    Shapes.requireEqual("activateBackward", "gradX", gradX, "x", x);
    Shapes.requireEqual("activateBackward", "gradY", gradY, "x", x);
    this.f = f;
    xs = x.floats();
    ys = gradY.floats();
    zs = gradX.floats();
    CpuThreads.range(x.size(), GRAIN, this, (op, from, to) -> {
      float[] xs = op.xs, gys = op.ys, gxs = op.zs;
      switch (op.f) {
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
    xs = x.floats();
    ys = y.floats();
    p = tiles.repeat(0, positive.floats(), channels);
    q = tiles.repeat(1, negative.floats(), channels);
    tiles.run(x.size(), channels, this, (op, base, length) -> {
      float[] xs = op.xs, ys = op.ys;
      double[] p = op.p, q = op.q;
      for (int j = 0; j < length; j++) {
        float v = xs[base + j];
        ys[base + j] = (float) (p[j] * Math.max(v, 0) + q[j] * Math.min(v, 0));
      }
    });
  }

  @Override
  public void maxoutBackward(Tensor gradX, Tensor gradPositive, Tensor gradNegative, Tensor gradY, Tensor x, Tensor positive, Tensor negative) {
    Shapes.requireMaxoutBackward(gradX, gradPositive, gradNegative, gradY, x, positive, negative);
    int channels = x.shape().channels();
    width = ChannelTiles.tile(channels);
    xs = x.floats();
    ys = gradY.floats();
    zs = gradX.floats();
    p = tiles.repeat(0, positive.floats(), channels);
    q = tiles.repeat(1, negative.floats(), channels);
    double[] sums = tiles.sum(x.size(), channels, 2, this, (op, acc, at, base, length) -> {
      float[] xs = op.xs, gys = op.ys, gxs = op.zs;
      double[] p = op.p, q = op.q;
      int tile = op.width;
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
    channels = a.shape().channels();
    otherChannels = b.shape().channels();
    xs = a.floats();
    zs = b.floats();
    ys = y.floats();
    CpuThreads.range(a.size() / channels, Math.max(1, GRAIN / (channels + otherChannels)), this, (op, from, to) -> {
      int ca = op.channels, cb = op.otherChannels;
      float[] as = op.xs, bs = op.zs, ys = op.ys;
      for (int r = from; r < to; r++) {
        System.arraycopy(as, r * ca, ys, r * (ca + cb), ca);
        System.arraycopy(bs, r * cb, ys, r * (ca + cb) + ca, cb);
      }
    });
  }

  @Override
  public void split(Tensor gradA, Tensor gradB, Tensor gradY) {
    Shapes.requireConcat("split", gradY, gradA, gradB);
    channels = gradA.shape().channels();
    otherChannels = gradB.shape().channels();
    xs = gradA.floats();
    zs = gradB.floats();
    ys = gradY.floats();
    CpuThreads.range(gradA.size() / channels, Math.max(1, GRAIN / (channels + otherChannels)), this, (op, from, to) -> {
      int ca = op.channels, cb = op.otherChannels;
      float[] as = op.xs, bs = op.zs, gys = op.ys;
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

  private void transpose(float[] target, float[] source, Shape image, boolean toPlanar) {
    planar = toPlanar;
    xs = source;
    ys = target;
    channels = image.d3();
    width = image.d1() * image.d2();
    CpuThreads.range(image.d0(), Math.max(1, GRAIN / image.rowSize()), this, (op, first, last) -> {
      int pixels = op.width, channels = op.channels, row = pixels * channels;
      float[] from = op.xs, to = op.ys;
      for (int n = first; n < last; n++) {
        for (int p = 0; p < pixels; p++) {
          for (int c = 0; c < channels; c++) {
            int last1 = n * row + p * channels + c, plane = n * row + c * pixels + p;
            if (op.planar) to[plane] = from[last1];
            else to[last1] = from[plane];
          }
        }
      }
    });
  }

  @Override
  public void rows(Tensor y, Tensor x, int first) {
    Shapes.requireRows("rows", y, x, first);
    System.arraycopy(x.memory(), x.shape().rowSize() * first, y.memory(), 0, y.size());
  }

  @Override
  public void place(Tensor y, Tensor x, Tensor bias, int column) {
    Shapes.requireColumns("place", "y", y, "x", x, column);
    Shapes.requirePerChannel("place", "bias", bias, x);
    int row = x.shape().rowSize(), pitch = y.shape().d1(), channels = x.shape().channels();
    float[] to = y.floats(), from = x.floats(), more = bias.floats();
    for (int n = 0; n < x.shape().d0(); n++) {
      for (int i = 0; i < row; i += channels) {
        int at = n * pitch + column + i, source = n * row + i;
        for (int k = 0; k < channels; k++) to[at + k] = from[source + k] + more[k];
      }
    }
  }

  @Override
  public void take(Tensor gradX, Tensor gradY, int column) {
    Shapes.requireColumns("take", "gradY", gradY, "gradX", gradX, column);
    int row = gradX.shape().rowSize(), pitch = gradY.shape().d1();
    for (int n = 0; n < gradX.shape().d0(); n++) System.arraycopy(gradY.floats(), n * pitch + column, gradX.floats(), n * row, row);
  }

  @Override
  public void normalize(Tensor y, Tensor pixels, PixelScale scale) {
    int channels = y.shape().channels();
    Shapes.requireEqual("normalize", "pixels", pixels, "y", y);
    Shapes.requirePixels("normalize", pixels, scale, channels);
    p = tiles.repeat(0, scale.mean(), channels);
    q = tiles.repeat(1, scale.deviation(), channels);
    ys = y.floats();
    this.pixels = pixels.bytes();
    tiles.run(y.size(), channels, this, (op, base, length) -> {
      double[] m = op.p, d = op.q;
      float[] ys = op.ys;
      byte[] from = op.pixels;
      for (int j = 0; j < length; j++) ys[base + j] = ((from[base + j] & 255) / 255f - (float) m[j]) / (float) d[j];   // rounded three times, as torchvision does
    });
  }

  @Override
  public void augment(Tensor y, Tensor pixels, Tensor choices, PixelScale scale) {
    Shapes.requireAugment(y, pixels, choices, scale);
    int height = y.shape().d1(), width = y.shape().d2(), channels = y.shape().d3(), fromHeight = pixels.shape().d1(), fromWidth = pixels.shape().d2();
    float[] ys = y.floats();
    byte[] from = pixels.bytes();
    int[] chosen = choices.ints();
    for (int i = 0, n = y.size(); i < n; i++) {
      int c = i % channels, w = i / channels % width, h = i / channels / width % height, image = i / channels / width / height;
      int down = chosen[3 * image] + h, along = chosen[3 * image + 1] + (chosen[3 * image + 2] != 0 ? width - 1 - w : w);
      boolean inside = down >= 0 && down < fromHeight && along >= 0 && along < fromWidth;
      float pixel = inside ? from[((image * fromHeight + down) * fromWidth + along) * channels + c] & 255 : 0;
      ys[i] = (pixel / 255f - scale.mean()[c]) / scale.deviation()[c];
    }
  }
}
