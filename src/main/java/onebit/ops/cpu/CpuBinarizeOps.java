package onebit.ops.cpu;

import onebit.binarize.Binarizer;
import onebit.ops.BinarizeOps;
import onebit.ops.Rotation;
import onebit.ops.Shapes;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Binarization on the CPU; sums per sample and per filter are double, in index order.
 *
 * <p>The fields are what the running op works on: one caller at a time.
 */
final class CpuBinarizeOps implements BinarizeOps {
  private static final int GRAIN = 1 << 14;
  private final CpuBitOps bitOps;
  private final ChannelTiles<CpuBinarizeOps> tiles = new ChannelTiles<>();
  private final ThreadLocal<FilterRotation> rotations = ThreadLocal.withInitial(FilterRotation::new);
  private float[] xs, ys, gs, out, perRow, second, third, angles, r1s, r2s;
  private long[] words;
  private int k, width, bits, rowsPerSample;
  private float a, b, scale, added;
  private boolean flag;
  private Shape shape;
  private Binarizer f;
  private BitTest test;

  CpuBinarizeOps(CpuBitOps bitOps) {
    this.bitOps = bitOps;
  }

  /** [test of value i] for every bit. */
  @FunctionalInterface
  private interface BitTest {
    boolean isOne(CpuBinarizeOps op, int index);
  }

  private void setBits(BitTensor to, BitTest isOne) {
    bits = to.bits();
    width = to.words();
    words = to.longs();
    test = isOne;
    CpuThreads.range(to.rows(), Math.max(1, GRAIN / bits), this, (op, from, until) -> {
      for (int row = from; row < until; row++) {
        for (int word = 0; word < op.width; word++) {
          long packed = 0;
          int first = word << 6, last = Math.min(op.bits, first + 64);
          for (int k = first; k < last; k++) {
            if (op.test.isOne(op, row * op.bits + k)) packed |= 1L << k;
          }
          op.words[row * op.width + word] = packed;
        }
      }
    });
  }

  /** Runs over the filters of w. */
  private void filters(Tensor w, CpuThreads.Range<CpuBinarizeOps> body) {
    k = w.shape().rowSize();
    CpuThreads.range(w.shape().d0(), Math.max(1, GRAIN / k), this, body);
  }

  /** Runs over the samples of x. */
  private void samples(Tensor x, CpuThreads.Range<CpuBinarizeOps> body) {
    k = x.shape().rowSize();
    CpuThreads.range(x.shape().d0(), 1, this, body);
  }

  @Override
  public void sign(BitTensor bits, Tensor x, Binarizer f) {
    Shapes.requireBits("sign", bits, x);
    xs = x.floats();
    this.f = f;
    setBits(bits, (op, i) -> op.f.level(op.xs[i]) >= 0);
  }

  @Override
  public void level(Tensor y, Tensor x, Binarizer f) {
    Shapes.requireEqual("level", "y", y, "x", x);
    xs = x.floats();
    out = y.floats();
    this.f = f;
    CpuThreads.range(x.size(), GRAIN, this, (op, from, to) -> {
      float[] xs = op.xs, ys = op.out;
      for (int i = from; i < to; i++) ys[i] = op.f.level(xs[i]);
    });
  }

  @Override
  public void scaleFilters(Tensor y, Tensor x, Tensor scale) {
    Shapes.requireEqual("scaleFilters", "y", y, "x", x);
    Shapes.requirePerFilter("scaleFilters", "scale", scale, x);
    int k = x.shape().rowSize();
    float[] xs = x.floats(), ys = y.floats(), scales = scale.floats();
    for (int o = 0; o < x.shape().d0(); o++) {
      for (int i = o * k; i < (o + 1) * k; i++) ys[i] = scales[o] * xs[i];
    }
  }

  @Override
  public void slope(Tensor gradX, Tensor gradQ, Tensor x, Binarizer f) {
    Shapes.requireEqual("slope", "gradX", gradX, "x", x);
    Shapes.requireEqual("slope", "gradQ", gradQ, "x", x);
    xs = x.floats();
    gs = gradQ.floats();
    out = gradX.floats();
    this.f = f;
    CpuThreads.range(x.size(), GRAIN, this, (op, from, to) -> {
      float[] xs = op.xs, gs = op.gs, out = op.out;
      for (int i = from; i < to; i++) out[i] = gs[i] * op.f.slope(xs[i]);
    });
  }

  @Override
  public void learnedSet(BitTensor bits, BinarySet set, Tensor x, Tensor alpha, Tensor beta, boolean codeForm) {
    Shapes.requireBits("learnedSet", bits, x);
    Shapes.requireLearnedSet("learnedSet", alpha, beta);
    Shapes.requireCount("learnedSet", "the set's centre", set.centre(), 1);
    float a = alpha.floats()[0], b = beta.floats()[0];
    set.centre().floats()[0] = codeForm ? a * b : b;
    set.distance().floats()[0] = a;
    if (a > 0) {
      bitOps.pack(bits, x, b);
    } else {
      xs = x.floats();
      this.a = a;
      this.b = b;
      setBits(bits, (op, i) -> (op.xs[i] - op.b) / op.a >= 0);
    }
  }

  @Override
  public void learnedSetBackward(Tensor gradX, Tensor gradAlpha, Tensor gradBeta, Tensor gradQ, Tensor x, Tensor alpha, Tensor beta,
      Binarizer f, boolean codeForm) {
    Shapes.requireLearnedSet("learnedSetBackward", alpha, beta);
    Shapes.requireLearnedSet("learnedSetBackward", gradAlpha, gradBeta);
    Shapes.requireEqual("learnedSetBackward", "gradX", gradX, "x", x);
    Shapes.requireEqual("learnedSetBackward", "gradQ", gradQ, "x", x);
    int channels = x.shape().channels();
    a = alpha.floats()[0];
    b = beta.floats()[0];
    scale = codeForm ? a : 1;
    added = codeForm ? b : 0;
    width = ChannelTiles.tile(channels);
    xs = x.floats();
    gs = gradQ.floats();
    out = gradX.floats();
    this.f = f;
    double[] sums = tiles.sum(x.size(), channels, 2, this, (op, acc, at, base, length) -> {
      float[] xs = op.xs, gs = op.gs, out = op.out;
      float b = op.b, inverse = 1 / op.a, added = op.added, sWeight = op.scale;
      int tile = op.width;
      for (int j = 0; j < length; j++) out[base + j] = gs[base + j] * op.f.slope((xs[base + j] - b) * inverse);
      for (int j = 0; j < length; j++) {
        float u = (xs[base + j] - b) * inverse;
        acc[at + j] += gs[base + j] * (Math.signum(Math.signum(u) + 0.5f) + added) - u * out[base + j];
      }
      for (int j = 0; j < length; j++) acc[at + tile + j] += gs[base + j] * sWeight - out[base + j];
    });
    gradAlpha.floats()[0] = (float) total(sums, 0, channels);
    gradBeta.floats()[0] = (float) total(sums, channels, channels);
  }

  private static double total(double[] values, int from, int count) {
    double sum = 0;
    for (int i = from; i < from + count; i++) sum += values[i];
    return sum;
  }

  @Override
  public void sampleScaleBackward(Tensor gradX, Tensor gradQ, Tensor x, Binarizer f, float epsilon) {
    Shapes.requireEqual("sampleScaleBackward", "gradX", gradX, "x", x);
    Shapes.requireEqual("sampleScaleBackward", "gradQ", gradQ, "x", x);
    xs = x.floats();
    gs = gradQ.floats();
    out = gradX.floats();
    a = epsilon;
    this.f = f;
    samples(x, (op, n, last) -> {
      float[] xs = op.xs, gs = op.gs, out = op.out;
      int m = op.k, from = n * m, to = from + m;
      double mean = mean(xs, from, m), var = squares(xs, from, m, mean) / Math.max(1, m - 1), r = Math.sqrt(var + op.a), hx = 0;
      float inverse = (float) (1 / r);
      for (int i = from; i < to; i++) {
        out[i] = gs[i] * op.f.slope(xs[i] * inverse);
        hx += (double) out[i] * xs[i];
      }
      float pull = (float) (hx / (Math.max(1, m - 1) * r * r * r)), centre = (float) mean;
      for (int i = from; i < to; i++) out[i] = out[i] * inverse - (xs[i] - centre) * pull;
    });
  }

  @Override
  public void sampleStandard(BitTensor bits, Tensor statistics, Tensor x) {
    Shapes.requireSampleBits("sampleStandard", bits, x);
    Shapes.requireCount("sampleStandard", "statistics", statistics, 2 * x.shape().d0());
    rowsPerSample = bits.rows() / x.shape().d0();
    this.bits = bits.bits();
    words = bits.longs();
    xs = x.floats();
    perRow = statistics.floats();
    samples(x, (op, n, last) -> {
      float[] xs = op.xs, stats = op.perRow;
      int m = op.k, rows = op.rowsPerSample;
      double mean = mean(xs, n * m, m), sd = Math.sqrt(squares(xs, n * m, m, mean) / Math.max(1, m - 1));
      stats[2 * n] = (float) mean;
      stats[2 * n + 1] = (float) (sd > 0 ? 1 / sd : 0);
      op.bitOps.packRows(op.words, xs, n * rows, (n + 1) * rows, op.bits, stats[2 * n]);
    });
  }

  @Override
  public void sampleStandardBackward(Tensor gradX, Tensor gradQ, Tensor x, Tensor statistics, Binarizer f) {
    Shapes.requireEqual("sampleStandardBackward", "gradX", gradX, "x", x);
    Shapes.requireEqual("sampleStandardBackward", "gradQ", gradQ, "x", x);
    Shapes.requireCount("sampleStandardBackward", "statistics", statistics, 2 * x.shape().d0());
    xs = x.floats();
    gs = gradQ.floats();
    out = gradX.floats();
    perRow = statistics.floats();
    this.f = f;
    samples(x, (op, n, last) -> {
      float[] xs = op.xs, gs = op.gs, out = op.out, stats = op.perRow;
      int m = op.k, from = n * m, to = from + m;
      float mean = stats[2 * n], inverse = stats[2 * n + 1];
      double h = 0, ha = 0;
      for (int i = from; i < to; i++) {
        float a = (xs[i] - mean) * inverse;
        out[i] = gs[i] * op.f.slope(a);
        h += out[i];
        ha += (double) out[i] * a;
      }
      float meanH = (float) (h / m), pull = (float) (ha / Math.max(1, m - 1));
      for (int i = from; i < to; i++) out[i] = (out[i] - meanH - (xs[i] - mean) * inverse * pull) * inverse;
    });
  }

  private static double mean(float[] x, int from, int count) {
    double sum = 0;
    for (int i = from; i < from + count; i++) sum += x[i];
    return sum / count;
  }

  private static double squares(float[] x, int from, int count, double mean) {
    double sum = 0;
    for (int i = from; i < from + count; i++) sum += (x[i] - mean) * (x[i] - mean);
    return sum;
  }

  @Override
  public void meanAbsolute(Tensor distance, Tensor w, float factor) {
    Shapes.requirePerFilter("meanAbsolute", "distance", distance, w);
    int k = w.shape().rowSize();
    float[] ws = w.floats();
    for (int o = 0; o < w.shape().d0(); o++) {
      double sum = 0;
      for (int i = o * k; i < (o + 1) * k; i++) sum += Math.abs(ws[i]);
      distance.floats()[o] = (float) (factor * sum / k);
    }
  }

  @Override
  public void signWeightsBackward(Tensor gradW, Tensor gradE, Tensor w, Tensor scale, Binarizer f, boolean throughMeanAbsolute) {
    Shapes.requireEqual("signWeightsBackward", "gradW", gradW, "w", w);
    Shapes.requireEqual("signWeightsBackward", "gradE", gradE, "w", w);
    Shapes.requireScale("signWeightsBackward", scale, w);
    xs = w.floats();
    gs = gradE.floats();
    out = gradW.floats();
    perRow = scale.floats();
    width = scale.size();
    flag = throughMeanAbsolute;
    this.f = f;
    filters(w, (op, from, to) -> {
      float[] ws = op.xs, gs = op.gs, out = op.out;
      int k = op.k;
      for (int o = from; o < to; o++) {
        float s = op.perRow[op.width > 1 ? o : 0];
        double gradScale = 0;
        for (int i = o * k; i < (o + 1) * k; i++) {
          gradScale += op.f.level(ws[i]) >= 0 ? gs[i] : -gs[i];
          out[i] = s * gs[i] * op.f.slope(ws[i]);
        }
        if (op.flag) {
          float share = (float) (gradScale / k);
          for (int i = o * k; i < (o + 1) * k; i++) out[i] += share * Math.signum(ws[i]);
        }
      }
    });
  }

  @Override
  public void scaleBackward(Tensor gradScale, Tensor gradE, Tensor w, Binarizer f, boolean real) {
    Shapes.requireEqual("scaleBackward", "gradE", gradE, "w", w);
    Shapes.requirePerFilter("scaleBackward", "gradScale", gradScale, w);
    xs = w.floats();
    gs = gradE.floats();
    perRow = gradScale.floats();
    flag = real;
    this.f = f;
    filters(w, (op, from, to) -> {
      float[] ws = op.xs, gs = op.gs;
      int k = op.k;
      for (int o = from; o < to; o++) {
        double sum = 0;
        for (int i = o * k; i < (o + 1) * k; i++) {
          float level = op.f.level(ws[i]);
          sum += op.flag ? (double) gs[i] * level : level >= 0 ? gs[i] : -gs[i];
        }
        op.perRow[o] = (float) sum;
      }
    });
  }

  @Override
  public void centreDistance(BitTensor bits, BinarySet set, Tensor w) {
    Shapes.requireBits("centreDistance", bits, w);
    Shapes.requireFilterSet("centreDistance", set, w);
    xs = w.floats();
    perRow = set.centre().floats();
    second = set.distance().floats();
    words = bits.longs();
    filters(w, (op, from, to) -> {
      float[] ws = op.xs, centre = op.perRow;
      int k = op.k;
      for (int o = from; o < to; o++) {
        double mean = mean(ws, o * k, k);
        centre[o] = (float) mean;
        op.second[o] = (float) Math.sqrt(squares(ws, o * k, k, mean) / k);
        op.bitOps.packRows(op.words, ws, o, o + 1, k, centre[o]);
      }
    });
  }

  @Override
  public void centreDistanceBackward(Tensor gradW, Tensor gradE, Tensor w, BinarySet set, Binarizer f) {
    Shapes.requireEqual("centreDistanceBackward", "gradW", gradW, "w", w);
    Shapes.requireEqual("centreDistanceBackward", "gradE", gradE, "w", w);
    Shapes.requireFilterSet("centreDistanceBackward", set, w);
    xs = w.floats();
    gs = gradE.floats();
    out = gradW.floats();
    perRow = set.centre().floats();
    second = set.distance().floats();
    this.f = f;
    filters(w, (op, from, to) -> {
      float[] ws = op.xs, gs = op.gs, out = op.out, centre = op.perRow, distance = op.second;
      int k = op.k;
      for (int o = from; o < to; o++) {
        float c = centre[o], inverse = distance[o] > 0 ? 1 / distance[o] : 0;
        double ge = 0, geu = 0, gsign = 0, g = 0;
        for (int i = o * k; i < (o + 1) * k; i++) {
          float u = (ws[i] - c) * inverse, given = gs[i], e = given * op.f.slope(u);   // out may be gs
          ge += e;
          geu += (double) e * u;
          gsign += ws[i] >= c ? given : -given;
          g += given;
          out[i] = e;
        }
        float constant = (float) ((g - ge) / k), linear = (float) ((gsign - geu) / k);
        for (int i = o * k; i < (o + 1) * k; i++) out[i] += constant + (ws[i] - c) * inverse * linear;
      }
    });
  }

  @Override
  public void standardize(Tensor u, Tensor deviation, Tensor w) {
    Shapes.requireEqual("standardize", "u", u, "w", w);
    Shapes.requirePerFilter("standardize", "deviation", deviation, w);
    xs = w.floats();
    out = u.floats();
    perRow = deviation.floats();
    filters(w, (op, from, to) -> {
      float[] ws = op.xs, us = op.out, deviations = op.perRow;
      int k = op.k;
      for (int o = from; o < to; o++) {
        double mean = mean(ws, o * k, k), sd = Math.sqrt(squares(ws, o * k, k, mean) / Math.max(1, k - 1)), inverse = sd > 0 ? 1 / sd : 0;
        deviations[o] = (float) sd;
        for (int i = o * k; i < (o + 1) * k; i++) us[i] = (float) ((ws[i] - mean) * inverse);
      }
    });
  }

  @Override
  public void standardizeBackward(Tensor gradW, Tensor q, Tensor u, Tensor deviation) {
    Shapes.requireEqual("standardizeBackward", "gradW", gradW, "u", u);
    Shapes.requireEqual("standardizeBackward", "q", q, "u", u);
    Shapes.requirePerFilter("standardizeBackward", "deviation", deviation, u);
    xs = u.floats();
    gs = q.floats();
    out = gradW.floats();
    perRow = deviation.floats();
    filters(u, (op, from, to) -> {
      float[] us = op.xs, qs = op.gs, out = op.out, deviations = op.perRow;
      int k = op.k;
      for (int o = from; o < to; o++) {
        double sum = 0, dot = 0;
        for (int i = o * k; i < (o + 1) * k; i++) {
          sum += qs[i];
          dot += (double) qs[i] * us[i];
        }
        float meanQ = (float) (sum / k), pull = (float) (dot / Math.max(1, k - 1));
        float inverse = deviations[o] > 0 ? 1 / deviations[o] : 0;
        for (int i = o * k; i < (o + 1) * k; i++) out[i] = (qs[i] - meanQ - us[i] * pull) * inverse;
      }
    });
  }

  @Override
  public void rotateMix(Tensor mixed, Tensor rotated, Tensor u, Tensor r1, Tensor r2, Tensor angle) {
    Shapes.requireRotateMix(mixed, rotated, u, r1, r2, angle);
    shape = u.shape();
    xs = u.floats();
    ys = rotated.floats();
    out = mixed.floats();
    angles = angle.floats();
    r1s = r1.floats();
    r2s = r2.floats();
    width = r1.shape().d0();
    samples(u, (op, o, last) -> {
      float[] us = op.xs, vs = op.ys, out = op.out, angles = op.angles;
      int k = op.k;
      op.rotations.get().rotate(vs, us, o, op.shape, op.width, op.r1s, op.r2s);
      float share = Math.abs((float) Math.sin(angles[o]));
      for (int i = o * k; i < (o + 1) * k; i++) out[i] = us[i] + share * (vs[i] - us[i]);
    });
  }

  @Override
  public void rotateMixBackward(Tensor q, Tensor gradAngle, Tensor gradE, Tensor mixed, Tensor rotated, Tensor u, Tensor angle, Tensor scale,
      Binarizer f) {
    Shapes.requireRotateMixBackward(q, gradAngle, gradE, mixed, rotated, u, angle, scale);
    xs = u.floats();
    ys = rotated.floats();
    third = mixed.floats();
    gs = gradE.floats();
    out = q.floats();
    angles = angle.floats();
    perRow = scale.floats();
    second = gradAngle.floats();
    this.f = f;
    filters(u, (op, from, to) -> {
      float[] us = op.xs, vs = op.ys, ms = op.third, gs = op.gs, out = op.out, angles = op.angles, scales = op.perRow;
      int k = op.k;
      for (int o = from; o < to; o++) {
        float sine = (float) Math.sin(angles[o]), kept = 1 - Math.abs(sine);
        double sum = 0;
        for (int i = o * k; i < (o + 1) * k; i++) {
          float h = scales[o] * gs[i] * op.f.slope(ms[i]);
          sum += (double) h * (vs[i] - us[i]);
          out[i] = kept * h;
        }
        op.second[o] = (float) (Math.signum(sine) * (float) Math.cos(angles[o]) * sum);
      }
    });
  }

  @Override
  public void rotationRounds(Tensor r1, Tensor r2, Tensor u, int rounds) {
    Shapes.requireRotation("rotationRounds", r1, r2, u);
    new Rotation(u.shape(), r1.shape().d0(), r2.shape().d0(), r1.floats(), r2.floats(),
        (count, body) -> CpuThreads.range(count, 1, body, (each, from, to) -> each.accept(from))).improve(u.floats(), rounds);
  }

  @Override
  public void squaredLevelPenalty(Tensor sum, Tensor gradW, Tensor w, Binarizer f, float factor) {
    Shapes.requireCount("squaredLevelPenalty", "sum", sum, 1);
    Shapes.requireEqual("squaredLevelPenalty", "gradW", gradW, "w", w);
    int n = w.size();
    float[] ws = w.floats(), out = gradW.floats();
    double total = 0;
    float each = 2 * factor / n;
    for (int i = 0; i < n; i++) {
      float level = f.level(ws[i]);
      total += (double) level * level;
      out[i] += each * level * f.slope(ws[i]);
    }
    sum.floats()[0] += (float) (factor * total / n);
  }
}
