package onebit.ops.cpu;

import onebit.binarize.Binarizer;
import onebit.ops.BinarizeOps;
import onebit.ops.BitOps;
import onebit.ops.Rotation;
import onebit.ops.Shapes;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Tensor;

/** Binarization on the CPU; sums per sample and per filter are double, in index order. */
final class CpuBinarizeOps implements BinarizeOps {
  private static final int GRAIN = 1 << 14;
  private final BitOps bitOps;

  CpuBinarizeOps(BitOps bitOps) {
    this.bitOps = bitOps;
  }

  /** [test of value i] for every bit. */
  @FunctionalInterface
  private interface BitTest {
    boolean isOne(int index, int row);
  }

  private static void setBits(BitTensor bits, BitTest test) {
    int width = bits.bits(), words = bits.words();
    long[] to = bits.longs();
    CpuThreads.range(bits.rows(), Math.max(1, GRAIN / width), (from, until) -> {
      for (int row = from; row < until; row++) {
        for (int word = 0; word < words; word++) {
          long packed = 0;
          int first = word << 6, last = Math.min(width, first + 64);
          for (int k = first; k < last; k++) {
            if (test.isOne(row * width + k, row)) packed |= 1L << k;
          }
          to[row * words + word] = packed;
        }
      }
    });
  }

  @Override
  public void sign(BitTensor bits, Tensor x, Binarizer f) {
    Shapes.requireBits("sign", bits, x);
    float[] xs = x.floats();
    setBits(bits, (i, row) -> f.level(xs[i]) >= 0);
  }

  @Override
  public void level(Tensor y, Tensor x, Binarizer f) {
    Shapes.requireEqual("level", "y", y, "x", x);
    float[] xs = x.floats(), ys = y.floats();
    CpuThreads.range(x.size(), GRAIN, (from, to) -> {
      for (int i = from; i < to; i++) ys[i] = f.level(xs[i]);
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
    float[] xs = x.floats(), gs = gradQ.floats(), out = gradX.floats();
    CpuThreads.range(x.size(), GRAIN, (from, to) -> {
      for (int i = from; i < to; i++) out[i] = gs[i] * f.slope(xs[i]);
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
      float[] xs = x.floats();
      setBits(bits, (i, row) -> (xs[i] - b) / a >= 0);
    }
  }

  @Override
  public void learnedSetBackward(Tensor gradX, Tensor gradAlpha, Tensor gradBeta, Tensor gradQ, Tensor x, Tensor alpha, Tensor beta,
      Binarizer f, boolean codeForm) {
    Shapes.requireLearnedSet("learnedSetBackward", alpha, beta);
    Shapes.requireLearnedSet("learnedSetBackward", gradAlpha, gradBeta);
    Shapes.requireEqual("learnedSetBackward", "gradX", gradX, "x", x);
    Shapes.requireEqual("learnedSetBackward", "gradQ", gradQ, "x", x);
    float a = alpha.floats()[0], b = beta.floats()[0];
    float sWeight = codeForm ? a : 1, added = codeForm ? b : 0, inverse = 1 / a;
    float[] xs = x.floats(), gs = gradQ.floats(), out = gradX.floats();
    int channels = x.shape().channels(), tile = ChannelTiles.tile(channels);
    double[] sums = new double[2 * channels];
    ChannelTiles.sum(x.size(), channels, 2, sums, (acc, at, base, length) -> {
      for (int j = 0; j < length; j++) out[base + j] = gs[base + j] * f.slope((xs[base + j] - b) * inverse);
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
    int m = x.shape().rowSize();
    float[] xs = x.floats(), gs = gradQ.floats(), out = gradX.floats();
    CpuThreads.pieces(x.shape().d0(), n -> {
      int from = n * m, to = from + m;
      double mean = mean(xs, from, m), var = squares(xs, from, m, mean) / Math.max(1, m - 1), r = Math.sqrt(var + epsilon), hx = 0;
      float inverse = (float) (1 / r);
      for (int i = from; i < to; i++) {
        out[i] = gs[i] * f.slope(xs[i] * inverse);
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
    int m = x.shape().rowSize(), rowsPerSample = bits.rows() / x.shape().d0();
    float[] xs = x.floats(), stats = statistics.floats();
    CpuThreads.pieces(x.shape().d0(), n -> {
      double mean = mean(xs, n * m, m), sd = Math.sqrt(squares(xs, n * m, m, mean) / Math.max(1, m - 1));
      stats[2 * n] = (float) mean;
      stats[2 * n + 1] = (float) (sd > 0 ? 1 / sd : 0);
    });
    setBits(bits, (i, row) -> xs[i] >= stats[2 * (row / rowsPerSample)]);
  }

  @Override
  public void sampleStandardBackward(Tensor gradX, Tensor gradQ, Tensor x, Tensor statistics, Binarizer f) {
    Shapes.requireEqual("sampleStandardBackward", "gradX", gradX, "x", x);
    Shapes.requireEqual("sampleStandardBackward", "gradQ", gradQ, "x", x);
    Shapes.requireCount("sampleStandardBackward", "statistics", statistics, 2 * x.shape().d0());
    int m = x.shape().rowSize();
    float[] xs = x.floats(), gs = gradQ.floats(), out = gradX.floats(), stats = statistics.floats();
    CpuThreads.pieces(x.shape().d0(), n -> {
      int from = n * m, to = from + m;
      float mean = stats[2 * n], inverse = stats[2 * n + 1];
      double h = 0, ha = 0;
      for (int i = from; i < to; i++) {
        float a = (xs[i] - mean) * inverse;
        out[i] = gs[i] * f.slope(a);
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
    int k = w.shape().rowSize();
    float[] ws = w.floats(), gs = gradE.floats(), out = gradW.floats(), scales = scale.floats();
    CpuThreads.range(w.shape().d0(), Math.max(1, GRAIN / k), (from, to) -> {
      for (int o = from; o < to; o++) {
        float s = scales[scale.size() > 1 ? o : 0];
        double gradScale = 0;
        for (int i = o * k; i < (o + 1) * k; i++) {
          gradScale += f.level(ws[i]) >= 0 ? gs[i] : -gs[i];
          out[i] = s * gs[i] * f.slope(ws[i]);
        }
        if (throughMeanAbsolute) {
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
    int k = w.shape().rowSize();
    float[] ws = w.floats(), gs = gradE.floats();
    CpuThreads.range(w.shape().d0(), Math.max(1, GRAIN / k), (from, to) -> {
      for (int o = from; o < to; o++) {
        double sum = 0;
        for (int i = o * k; i < (o + 1) * k; i++) {
          float level = f.level(ws[i]);
          sum += real ? (double) gs[i] * level : level >= 0 ? gs[i] : -gs[i];
        }
        gradScale.floats()[o] = (float) sum;
      }
    });
  }

  @Override
  public void centreDistance(BitTensor bits, BinarySet set, Tensor w) {
    Shapes.requireBits("centreDistance", bits, w);
    Shapes.requireFilterSet("centreDistance", set, w);
    int k = w.shape().rowSize();
    float[] ws = w.floats(), centre = set.centre().floats(), distance = set.distance().floats();
    CpuThreads.range(w.shape().d0(), Math.max(1, GRAIN / k), (from, to) -> {
      for (int o = from; o < to; o++) {
        double mean = mean(ws, o * k, k);
        centre[o] = (float) mean;
        distance[o] = (float) Math.sqrt(squares(ws, o * k, k, mean) / k);
      }
    });
    setBits(bits, (i, row) -> ws[i] >= centre[row]);
  }

  @Override
  public void centreDistanceBackward(Tensor gradW, Tensor gradE, Tensor w, BinarySet set, Binarizer f) {
    Shapes.requireEqual("centreDistanceBackward", "gradW", gradW, "w", w);
    Shapes.requireEqual("centreDistanceBackward", "gradE", gradE, "w", w);
    Shapes.requireFilterSet("centreDistanceBackward", set, w);
    int k = w.shape().rowSize();
    float[] ws = w.floats(), gs = gradE.floats(), out = gradW.floats(), centre = set.centre().floats(), distance = set.distance().floats();
    CpuThreads.range(w.shape().d0(), Math.max(1, GRAIN / k), (from, to) -> {
      for (int o = from; o < to; o++) {
        float c = centre[o], inverse = distance[o] > 0 ? 1 / distance[o] : 0;
        double ge = 0, geu = 0, gsign = 0, g = 0;
        for (int i = o * k; i < (o + 1) * k; i++) {
          float u = (ws[i] - c) * inverse;
          out[i] = gs[i] * f.slope(u);
          ge += out[i];
          geu += (double) out[i] * u;
          gsign += ws[i] >= c ? gs[i] : -gs[i];
          g += gs[i];
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
    int k = w.shape().rowSize();
    float[] ws = w.floats(), us = u.floats(), deviations = deviation.floats();
    CpuThreads.range(w.shape().d0(), Math.max(1, GRAIN / k), (from, to) -> {
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
    int k = u.shape().rowSize();
    float[] us = u.floats(), qs = q.floats(), out = gradW.floats(), deviations = deviation.floats();
    CpuThreads.range(u.shape().d0(), Math.max(1, GRAIN / k), (from, to) -> {
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

  private static Rotation rotation(Tensor u, Tensor r1, Tensor r2) {
    return new Rotation(u.shape(), r1.shape().d0(), r2.shape().d0(), r1.floats(), r2.floats(), (count, body) -> CpuThreads.pieces(count, body::accept));
  }

  @Override
  public void rotateMix(Tensor mixed, Tensor rotated, Tensor u, Tensor r1, Tensor r2, Tensor angle) {
    Shapes.requireEqual("rotateMix", "mixed", mixed, "u", u);
    Shapes.requireEqual("rotateMix", "rotated", rotated, "u", u);
    Shapes.requireRotation("rotateMix", r1, r2, u);
    Shapes.requirePerFilter("rotateMix", "angle", angle, u);
    Rotation rotation = rotation(u, r1, r2);
    float[] us = u.floats(), vs = rotated.floats(), out = mixed.floats(), angles = angle.floats();
    int k = u.shape().rowSize();
    CpuThreads.pieces(u.shape().d0(), o -> {
      rotation.rotate(vs, us, o);
      float share = Math.abs((float) Math.sin(angles[o]));
      for (int i = o * k; i < (o + 1) * k; i++) out[i] = us[i] + share * (vs[i] - us[i]);
    });
  }

  @Override
  public void rotateMixBackward(Tensor q, Tensor gradAngle, Tensor gradE, Tensor mixed, Tensor rotated, Tensor u, Tensor angle, Tensor scale,
      Binarizer f) {
    Shapes.requireEqual("rotateMixBackward", "q", q, "u", u);
    Shapes.requireEqual("rotateMixBackward", "gradE", gradE, "u", u);
    Shapes.requireEqual("rotateMixBackward", "mixed", mixed, "u", u);
    Shapes.requireEqual("rotateMixBackward", "rotated", rotated, "u", u);
    Shapes.requirePerFilter("rotateMixBackward", "gradAngle", gradAngle, u);
    Shapes.requirePerFilter("rotateMixBackward", "angle", angle, u);
    Shapes.requirePerFilter("rotateMixBackward", "scale", scale, u);
    int k = u.shape().rowSize();
    float[] us = u.floats(), vs = rotated.floats(), ms = mixed.floats(), gs = gradE.floats(), out = q.floats(), angles = angle.floats();
    float[] scales = scale.floats();
    CpuThreads.range(u.shape().d0(), Math.max(1, GRAIN / k), (from, to) -> {
      for (int o = from; o < to; o++) {
        float sine = (float) Math.sin(angles[o]), kept = 1 - Math.abs(sine);
        double sum = 0;
        for (int i = o * k; i < (o + 1) * k; i++) {
          float h = scales[o] * gs[i] * f.slope(ms[i]);
          sum += (double) h * (vs[i] - us[i]);
          out[i] = kept * h;
        }
        gradAngle.floats()[o] = (float) (Math.signum(sine) * (float) Math.cos(angles[o]) * sum);
      }
    });
  }

  @Override
  public void rotationRounds(Tensor r1, Tensor r2, Tensor u, int rounds) {
    Shapes.requireRotation("rotationRounds", r1, r2, u);
    rotation(u, r1, r2).improve(u.floats(), rounds);
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
