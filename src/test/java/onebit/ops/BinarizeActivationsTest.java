package onebit.ops;

import static onebit.ops.Fresh.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.UnaryOperator;
import onebit.binarize.Curve;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Activations to bits and sets and back: every gradient equals the derivative of the forward with the sign's slope replaced. */
class BinarizeActivationsTest {
  private static final List<Surrogate> SURROGATES = List.of(Surrogate.polynomial(), Surrogate.clipped(1.3f), Surrogate.hat(1, 1), Surrogate.hat(1, 3),
      Surrogate.curve(-2, 2.5f, 9));

  private static int rows(Shape image) {
    return image.d0() * image.d1() * image.d2();
  }

  private static Dual[] map(Dual[] x, UnaryOperator<Dual> f) {
    return Arrays.stream(x).map(f).toArray(Dual[]::new);
  }

  /** The gradient of sum y g by x, sample by sample. */
  private static double[] gradient(float[] x, float[] g, int m, UnaryOperator<Dual[]> forward) {
    double[] all = new double[x.length];
    for (int n = 0; n < x.length / m; n++) {
      float[] part = Arrays.copyOfRange(g, n * m, (n + 1) * m);
      double[] one = Dual.gradient(at -> Dual.dot(forward.apply(at), part), Arrays.copyOfRange(x, n * m, (n + 1) * m));
      System.arraycopy(one, 0, all, n * m, m);
    }
    return all;
  }

  @OnEveryPrecision
  void signBitsAndSlopesFollowTheBinarizer(Backend backend) {
    Fresh fresh = new Fresh(backend, 1);
    for (Shape shape : Fresh.IMAGES) {
      for (Surrogate s : SURROGATES) {
        float[] x = fresh.normal(shape.size()), g = fresh.normal(shape.size());
        double[] want = new double[x.length];
        boolean[] bits = new boolean[x.length];
        for (int i = 0; i < x.length; i++) {
          bits[i] = x[i] >= 0;
          want[i] = g[i] * s.slope().applyAsDouble(x[i]);
        }
        BitTensor got = fresh.garbageBits(rows(shape), shape.d3());
        Tensor gradX = fresh.garbage(shape), input = fresh.tensor(shape, x);
        backend.binarize().sign(got, input, s.binarizer());
        backend.binarize().slope(gradX, fresh.tensor(shape, g), input, s.binarizer());
        fresh.assertBits(bits, got);
        fresh.assertClose(s + " gradX", want, gradX);
      }
    }
  }

  @OnEveryBackend
  void curvesHaveTheSameBitsOnEveryBackend(Backend backend) {
    float[] ends = {-3, -2.9999998f, -3.1f, 5, 4.9999995f, 5.1f, 0, -0f, 1e30f, -1e30f, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.NaN, Float.MIN_VALUE};
    for (int pieces : new int[] {1, 7, 1000, 1 << 16}) {
      Curve curve = Curve.of(Surrogate.tanhSlope(1, 1.5), -3, 5, pieces);
      float[] u = new float[4000], ones = new float[u.length], want = new float[u.length];
      Random random = new Random(pieces);
      for (int i = 0; i < u.length; i++) {
        u[i] = i < ends.length ? ends[i] : (float) (2.5 * random.nextGaussian());
        ones[i] = 1;
        want[i] = curve.slope(u[i]);
      }
      Tensor x = backend.create(Shape.vector(u.length)), g = backend.create(Shape.vector(u.length)), out = backend.create(Shape.vector(u.length));
      backend.write(x, u);
      backend.write(g, ones);
      for (int times = 0; times < 2; times++) {
        backend.binarize().slope(out, g, x, Curve.of(Surrogate.tanhSlope(1, 1.5), -3, 5, pieces));
        assertArrayEquals(want, backend.read(out), pieces + " pieces");
      }
    }
  }

  /** alpha (s + beta) in the code's form, alpha s + beta in the paper's, with u = (x - beta) / alpha. */
  private static Dual learned(Dual x, Dual alpha, Dual beta, Surrogate s, boolean code) {
    Dual sign = x.minus(beta).over(alpha).sign(s.slope());
    return code ? alpha.times(sign.plus(beta)) : alpha.times(sign).plus(beta);
  }

  @OnEveryPrecision
  void theLearnedSetAndItsThreeGradientsEqualTheDerivativesInBothForms(Backend backend) {
    Fresh fresh = new Fresh(backend, 2);
    float[][] pairs = {{1, 0}, {0.23f, 0.82f}, {1.08f, -0.08f}, {-0.7f, 0.3f}, {-1, 0}, {2, 1.5f}};
    for (Shape shape : Fresh.IMAGES) {
      for (float[] pair : pairs) {
        for (boolean code : new boolean[] {true, false}) {
          Surrogate s = Surrogate.polynomial();
          int n = shape.size();
          float[] x = fresh.normal(n), g = fresh.normal(n);
          Tensor alpha = fresh.vector(pair[0]), beta = fresh.vector(pair[1]), input = fresh.tensor(shape, x);
          BinarySet set = new BinarySet(fresh.garbage(1), fresh.garbage(1));
          BitTensor bits = fresh.garbageBits(rows(shape), shape.d3());
          backend.binarize().learnedSet(bits, set, input, alpha, beta, code);
          Tensor y = fresh.garbage(shape);
          backend.bits().unpack(y, bits, set);
          double[] want = new double[n];
          for (int i = 0; i < n; i++) want[i] = learned(Dual.of(x[i]), Dual.of(pair[0]), Dual.of(pair[1]), s, code).v();
          fresh.assertClose("y", want, y, 1e-6);
          Tensor gradX = fresh.garbage(shape), gradAlpha = fresh.garbage(1), gradBeta = fresh.garbage(1);
          backend.binarize().learnedSetBackward(gradX, gradAlpha, gradBeta, fresh.tensor(shape, g), input, alpha, beta, s.binarizer(), code);
          for (int i = 0; i < n; i++) want[i] = g[i] * learned(new Dual(x[i], 1), Dual.of(pair[0]), Dual.of(pair[1]), s, code).d();
          fresh.assertClose("gradX", want, gradX);
          double[] set2 = Dual.gradient(at -> {
            Dual sum = Dual.of(0);
            for (int i = 0; i < n; i++) sum = sum.plus(learned(Dual.of(x[i]), at[0], at[1], s, code).times(g[i]));
            return sum;
          }, pair);
          String at = (code ? "code" : "paper") + " alpha " + pair[0] + " beta " + pair[1] + " " + shape;
          assertEquals(set2[0], backend.read(gradAlpha)[0], 1e-5 * n + 1e-5, "gradAlpha " + at);
          assertEquals(set2[1], backend.read(gradBeta)[0], 1e-5 * n + 1e-5, "gradBeta " + at);
        }
      }
    }
  }

  @OnEveryPrecision
  void aValueOnTheThresholdCountsAsPlusOneForwardAndBackward(Backend backend) {
    Fresh fresh = new Fresh(backend, 3);
    Shape shape = Shape.image(1, 1, 1, 2);
    for (float sign : new float[] {1, -1}) {
      Tensor x = fresh.tensor(shape, -0f, 0f), alpha = fresh.vector(sign), beta = fresh.vector(0);
      BitTensor bits = fresh.garbageBits(1, 2);
      backend.binarize().learnedSet(bits, new BinarySet(fresh.garbage(1), fresh.garbage(1)), x, alpha, beta, true);
      fresh.assertBits(new boolean[] {true, true}, bits);
      Tensor gradAlpha = fresh.garbage(1);
      backend.binarize().learnedSetBackward(fresh.garbage(shape), gradAlpha, fresh.garbage(1), fresh.tensor(shape, 1, 1), x, alpha, beta,
          Surrogate.polynomial().binarizer(), true);
      fresh.assertExactly("gradAlpha of two plus ones", new float[] {2}, gradAlpha);
    }
  }

  @OnEveryPrecision
  void bipersActivationGradientPassesThroughTheVarianceOfItsSample(Backend backend) {
    Fresh fresh = new Fresh(backend, 4);
    for (Shape shape : Fresh.IMAGES) {
      for (float epsilon : new float[] {1e-5f, 0.5f}) {
        if (shape.rowSize() == 1) continue;
        Surrogate s = Surrogate.polynomial();
        float[] x = fresh.normal(shape.size()), g = fresh.normal(shape.size());
        for (int i = 0; i < x.length; i++) x[i] = fresh.rounded(0.6f * x[i] + 0.2f);
        Tensor gradX = fresh.garbage(shape);
        backend.binarize().sampleScaleBackward(gradX, fresh.tensor(shape, g), fresh.tensor(shape, x), s.binarizer(), epsilon);
        fresh.assertClose("gradX", gradient(x, g, shape.rowSize(), all -> {
          Dual r = Dual.variance(all, 1).plus(epsilon).sqrt();
          return map(all, v -> v.over(r).sign(s.slope()));
        }), gradX, 1e-4);
      }
    }
  }

  @OnEveryPrecision
  void rbnnsActivationsAreStandardisedPerSampleForwardAndBackward(Backend backend) {
    Fresh fresh = new Fresh(backend, 5);
    for (Shape shape : Fresh.IMAGES) {
      for (Surrogate s : List.of(Surrogate.hat(1, 1), Surrogate.hat(1, 4), Surrogate.polynomial())) {
        int m = shape.rowSize(), samples = shape.d0();
        if (m == 1) continue;
        float[] x = fresh.normal(shape.size()), g = fresh.normal(shape.size());
        for (int i = 0; i < x.length; i++) x[i] = fresh.rounded(0.4f * x[i] + i / m);
        double[] statistics = new double[2 * samples];
        boolean[] want = new boolean[x.length];
        for (int n = 0; n < samples; n++) {
          Dual[] sample = new Dual[m];
          for (int i = 0; i < m; i++) sample[i] = Dual.of(x[n * m + i]);
          statistics[2 * n] = Dual.mean(sample).v();
          statistics[2 * n + 1] = 1 / Math.sqrt(Dual.variance(sample, 1).v());
          for (int i = 0; i < m; i++) want[n * m + i] = x[n * m + i] >= statistics[2 * n];
        }
        BitTensor bits = fresh.garbageBits(rows(shape), shape.d3());
        Tensor stats = fresh.garbage(Shape.matrix(samples, 2)), gradX = fresh.garbage(shape), input = fresh.tensor(shape, x);
        backend.binarize().sampleStandard(bits, stats, input);
        fresh.assertBits(want, bits);
        fresh.assertClose("statistics", statistics, stats);
        backend.binarize().sampleStandardBackward(gradX, fresh.tensor(shape, g), input, stats, s.binarizer());
        fresh.assertClose("gradX", gradient(x, g, m, all -> {
          Dual mean = Dual.mean(all), deviation = Dual.variance(all, 1).sqrt();
          return map(all, v -> v.minus(mean).over(deviation).sign(s.slope()));
        }), gradX, 2e-4);
      }
    }
  }

  /** Activations that stay real: the gradient is by u as it is stored. */
  @OnEveryPrecision
  void samplesThatStayRealAreStandardisedForwardAndBackward(Backend backend) {
    Fresh fresh = new Fresh(backend, 12);
    for (Shape shape : Fresh.IMAGES) {
      int m = shape.rowSize(), samples = shape.d0();
      if (m == 1) continue;
      float[] x = fresh.normal(shape.size()), q = fresh.normal(shape.size());
      for (int i = 0; i < x.length; i++) x[i] = fresh.rounded(0.4f * x[i] + i / m);
      double[] want = new double[x.length], deviations = new double[samples], gradient = new double[x.length];
      for (int n = 0; n < samples; n++) {
        Dual[] sample = new Dual[m];
        for (int i = 0; i < m; i++) sample[i] = Dual.of(x[n * m + i]);
        deviations[n] = Math.sqrt(Dual.variance(sample, 1).v());
        for (int i = 0; i < m; i++) want[n * m + i] = (x[n * m + i] - Dual.mean(sample).v()) / deviations[n];
      }
      Tensor u = fresh.garbage(shape), deviation = fresh.garbage(samples), gradX = fresh.garbage(shape);
      backend.binarize().standardize(u, deviation, fresh.tensor(shape, x));
      fresh.assertClose("u", want, u);
      fresh.assertClose("deviation", deviations, deviation);
      float[] stored = backend.read(u);
      for (int n = 0; n < samples; n++) {
        double sum = 0, dot = 0;
        for (int i = n * m; i < (n + 1) * m; i++) {
          sum += q[i];
          dot += (double) q[i] * stored[i];
        }
        for (int i = n * m; i < (n + 1) * m; i++) gradient[i] = (q[i] - sum / m - stored[i] * dot / (m - 1)) / deviations[n];
      }
      backend.binarize().standardizeBackward(gradX, fresh.tensor(shape, q), u, deviation);
      fresh.assertClose("gradX", gradient, gradX, 2e-4);
    }
  }

  @OnEveryPrecision
  void standardisedRowsOfAMatrixUseTheirOwnMean(Backend backend) {
    Fresh fresh = new Fresh(backend, 6);
    Tensor x = fresh.tensor(Shape.matrix(2, 3), 1, 2, 6, 101, 106, 102);
    BitTensor bits = fresh.garbageBits(2, 3);
    backend.binarize().sampleStandard(bits, fresh.garbage(Shape.matrix(2, 2)), x);
    fresh.assertBits(new boolean[] {false, false, true, false, true, false}, bits);
  }

  @OnEveryPrecision
  void aConstantOrOneValueSampleGivesNoNaN(Backend backend) {
    Fresh fresh = new Fresh(backend, 7);
    for (Shape shape : new Shape[] {Shape.image(2, 2, 2, 3), Shape.image(2, 1, 1, 1)}) {
      float[] x = new float[shape.size()];
      Arrays.fill(x, 0.1f);
      Tensor input = fresh.tensor(shape, x), stats = fresh.garbage(Shape.matrix(2, 2)), gradX = fresh.garbage(shape);
      Tensor g = fresh.tensor(shape, fresh.normal(x.length));
      BitTensor bits = fresh.garbageBits(rows(shape), shape.d3());
      boolean[] ones = new boolean[x.length];
      Arrays.fill(ones, true);
      backend.binarize().sampleStandard(bits, stats, input);
      fresh.assertBits(ones, bits);
      backend.binarize().sampleStandardBackward(gradX, g, input, stats, Surrogate.hat(1, 1).binarizer());
      for (float v : backend.read(gradX)) assertEquals(0, Math.abs(v));
      backend.binarize().sampleScaleBackward(gradX, g, input, Surrogate.polynomial().binarizer(), 1e-5f);
      for (float v : backend.read(gradX)) assertEquals(0, Math.abs(v));
    }
  }

  @OnEveryPrecision
  void manyRowsAndASmallerBatchGiveTheSameSums(Backend backend) {
    Fresh fresh = new Fresh(backend, 8);
    Shape all = Shape.image(5, 20, 20, 33);
    float[] x = fresh.normal(all.size()), g = fresh.normal(all.size());
    Tensor gradX = fresh.garbage(all), gradAlpha = fresh.garbage(1), gradBeta = fresh.garbage(1);
    int n = 2 * all.rowSize();
    backend.binarize().learnedSetBackward(gradX.first(2), gradAlpha, gradBeta, fresh.tensor(all, g).first(2), fresh.tensor(all, x).first(2),
        fresh.vector(0.8f), fresh.vector(0.1f), Surrogate.polynomial().binarizer(), true);
    double alpha = 0, beta = 0;
    for (int i = 0; i < n; i++) {
      double u = (x[i] - 0.1) / 0.8, p = Surrogate.polynomialSlope(u);
      alpha += g[i] * ((u >= 0 ? 1 : -1) + 0.1 - u * p);
      beta += g[i] * (0.8 - p);
    }
    assertEquals(alpha, backend.read(gradAlpha)[0], 5e-3);
    assertEquals(beta, backend.read(gradBeta)[0], 5e-3);
    assertEquals(Fresh.GARBAGE, backend.read(gradX)[n]);
  }

  @OnEveryBackend
  void wrongShapesAreRefusedInWords(Backend backend) {
    Fresh fresh = new Fresh(backend, 9);
    Tensor x = fresh.garbage(Shape.image(2, 1, 2, 3)), g = fresh.garbage(Shape.image(2, 1, 2, 3)), one = fresh.garbage(1), two = fresh.garbage(2);
    BitTensor bits = backend.createBits(4, 3), wrong = backend.createBits(2, 3), odd = backend.createBits(3, 4);
    BinarizeOps ops = backend.binarize();
    BinarySet set = new BinarySet(one, fresh.garbage(1));
    var f = Surrogate.polynomial().binarizer();
    assertRefused("slope: gradQ [2] has 2 values, x [2, 1, 2, 3] has 12; they must be equal", () -> ops.slope(g, two, x, f));
    assertRefused("learnedSet: 2 rows of 3 bits are 6 values, x has 12", () -> ops.learnedSet(wrong, set, x, one, one, true));
    assertRefused("learnedSet: alpha has 2 values; it must have 1", () -> ops.learnedSet(bits, set, x, two, one, true));
    assertRefused("learnedSetBackward: beta has 2 values; it must have 1", () -> ops.learnedSetBackward(g, one, two, g, x, one, one, f, true));
    assertRefused("sampleScaleBackward: gradX [1] has 1 values, x [2, 1, 2, 3] has 12; they must be equal",
        () -> ops.sampleScaleBackward(one, g, x, f, 1));
    assertRefused("sampleStandard: statistics has 2 values; it must have 4", () -> ops.sampleStandard(bits, two, x));
    assertRefused("sampleStandard: 3 rows of bits do not divide into 2 samples", () -> ops.sampleStandard(odd, two, x));
    assertRefused("sampleStandardBackward: statistics has 2 values; it must have 4", () -> ops.sampleStandardBackward(g, g, x, two, f));
  }
}
