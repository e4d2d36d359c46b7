package onebit.ops;

import static onebit.ops.Fresh.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.List;
import java.util.function.BiFunction;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Latent weights to bits and sets and back: every gradient equals the derivative of the forward with the sign's slope replaced. */
class BinarizeWeightsTest {
  private static final List<Surrogate> SURROGATES = List.of(Surrogate.identity(), Surrogate.clipped(0.8f), Surrogate.polynomial(),
      Surrogate.tanh(1000, 0.001), Surrogate.tanh(1, 1), Surrogate.tanh(1, 9.26), Surrogate.hat(100, 0.01), Surrogate.hat(1, 1), Surrogate.hat(1, 2.5),
      Surrogate.sine(20), Surrogate.sine(3), Surrogate.curve(-2, 2.5f, 9));

  /** The gradient of sum y g by w, filter by filter: y = effective(values of the filter, filter). */
  private static double[] gradient(float[] w, float[] g, int k, BiFunction<Dual[], Integer, Dual[]> effective) {
    double[] all = new double[w.length];
    for (int o = 0; o < w.length / k; o++) {
      int filter = o;
      float[] part = Arrays.copyOfRange(g, o * k, (o + 1) * k);
      double[] one = Dual.gradient(at -> Dual.dot(effective.apply(at, filter), part), Arrays.copyOfRange(w, o * k, (o + 1) * k));
      System.arraycopy(one, 0, all, o * k, k);
    }
    return all;
  }

  private static Dual[] map(Dual[] x, java.util.function.UnaryOperator<Dual> f) {
    return Arrays.stream(x).map(f).toArray(Dual[]::new);
  }

  @OnEveryBackend
  void adabinsBitsCentreAndDistanceAreSideMeanAndBiasedDeviation(Backend backend) {
    Fresh fresh = new Fresh(backend, 1);
    for (Shape shape : Fresh.FILTERS) {
      int filters = shape.d0(), k = shape.rowSize();
      float[] w = fresh.normal(shape.size());
      for (int i = 0; i < w.length; i++) w[i] += 0.3f;
      double[] centres = new double[filters], distances = new double[filters];
      boolean[] bits = new boolean[w.length];
      for (int o = 0; o < filters; o++) {
        for (int i = o * k; i < (o + 1) * k; i++) centres[o] += (double) w[i] / k;
        for (int i = o * k; i < (o + 1) * k; i++) {
          distances[o] += Math.pow(w[i] - centres[o], 2) / k;
          bits[i] = w[i] >= centres[o];
        }
        distances[o] = Math.sqrt(distances[o]);
      }
      BitTensor got = fresh.garbageBits(filters, k);
      BinarySet set = new BinarySet(fresh.garbage(filters), fresh.garbage(filters));
      backend.binarize().centreDistance(got, set, fresh.tensor(shape, w));
      fresh.assertBits(bits, got);
      fresh.assertClose("centre", centres, set.centre(), 1e-6);
      fresh.assertClose("distance", distances, set.distance(), 1e-6);
    }
  }

  @OnEveryBackend
  void adabinsWeightGradientIsTheDerivativeThroughMeanAndDeviation(Backend backend) {
    Fresh fresh = new Fresh(backend, 2);
    for (Shape shape : Fresh.FILTERS) {
      for (Surrogate s : SURROGATES.subList(2, 9)) {
        int filters = shape.d0(), k = shape.rowSize();
        float[] w = fresh.normal(shape.size()), g = fresh.normal(shape.size());
        for (int i = 0; i < w.length; i++) w[i] = 0.2f * w[i] - 0.05f;
        BinarySet set = new BinarySet(fresh.garbage(filters), fresh.garbage(filters));
        Tensor latent = fresh.tensor(shape, w), gradW = fresh.garbage(shape);
        backend.binarize().centreDistance(fresh.garbageBits(filters, k), set, latent);
        backend.binarize().centreDistanceBackward(gradW, fresh.tensor(shape, g), latent, set, s.binarizer());
        fresh.assertClose(s + " " + shape, gradient(w, g, k, (x, o) -> {
          Dual centre = Dual.mean(x), distance = Dual.variance(x, 0).sqrt();
          return map(x, v -> distance.times(v.minus(centre).over(distance).sign(s.slope())).plus(centre));
        }), gradW, 1e-4);
      }
    }
  }

  @OnEveryBackend
  void aConstantFilterGivesDistanceZeroAndNoNaN(Backend backend) {
    Fresh fresh = new Fresh(backend, 3);
    Shape shape = Shape.filters(2, 3, 3, 5);
    float[] w = fresh.normal(90), g = fresh.normal(90);
    Arrays.fill(w, 0, 45, 0.1f);
    Tensor latent = fresh.tensor(shape, w), gradW = fresh.garbage(shape), gradE = fresh.tensor(shape, g);
    BinarySet set = new BinarySet(fresh.garbage(2), fresh.garbage(2));
    BitTensor bits = fresh.garbageBits(2, 45);
    backend.binarize().centreDistance(bits, set, latent);
    backend.binarize().centreDistanceBackward(gradW, gradE, latent, set, Surrogate.tanh(2, 0.5).binarizer());
    assertEquals(0.1f, backend.read(set.centre())[0]);
    assertEquals(0f, backend.read(set.distance())[0]);
    for (float v : backend.read(gradW)) assertEquals(true, Float.isFinite(v));
    Tensor u = fresh.garbage(shape), deviation = fresh.garbage(2);
    backend.binarize().standardize(u, deviation, latent);
    backend.binarize().standardizeBackward(gradW, gradE, u, deviation);
    for (int i = 0; i < 45; i++) {
      assertEquals(0f, backend.read(u)[i]);
      assertEquals(0f, Math.abs(backend.read(gradW)[i]));
    }
    Tensor one = fresh.tensor(Shape.filters(2, 1, 1, 1), 3, -4), gradOne = fresh.garbage(one.shape()), uOne = fresh.garbage(one.shape());
    backend.binarize().standardize(uOne, deviation, one);
    backend.binarize().standardizeBackward(gradOne, fresh.tensor(one.shape(), 1, 1), uOne, deviation);
    fresh.assertExactly("u of one tap", new float[] {0, 0}, uOne);
    fresh.assertExactly("gradient of one tap", new float[] {0, 0}, gradOne);
  }

  @OnEveryBackend
  void signsFollowTheLevelAndZeroIsOne(Backend backend) {
    Fresh fresh = new Fresh(backend, 4);
    for (Shape shape : Fresh.FILTERS) {
      for (Surrogate s : SURROGATES) {
        float[] w = fresh.normal(shape.size());
        w[0] = 0;
        w[w.length - 1] = -0f;
        boolean[] want = new boolean[w.length];
        double[] levels = new double[w.length];
        for (int i = 0; i < w.length; i++) {
          levels[i] = s.level().applyAsDouble(w[i]);
          want[i] = levels[i] >= 0;
        }
        BitTensor bits = fresh.garbageBits(shape.d0(), shape.rowSize());
        Tensor y = fresh.garbage(shape), latent = fresh.tensor(shape, w);
        backend.binarize().sign(bits, latent, s.binarizer());
        backend.binarize().level(y, latent, s.binarizer());
        fresh.assertBits(want, bits);
        fresh.assertClose(s + " level", levels, y, 1e-6);
      }
    }
  }

  @OnEveryBackend
  void meanAbsoluteScalesAndFilterScalesAreThoseOfTheFilter(Backend backend) {
    Fresh fresh = new Fresh(backend, 5);
    for (Shape shape : Fresh.FILTERS) {
      int filters = shape.d0(), k = shape.rowSize();
      float[] w = fresh.normal(shape.size()), scale = fresh.normal(filters);
      double[] means = new double[filters], scaled = new double[w.length];
      for (int i = 0; i < w.length; i++) {
        means[i / k] += 0.5 * Math.abs(w[i]) / k;
        scaled[i] = (double) scale[i / k] * w[i];
      }
      Tensor distance = fresh.garbage(filters), y = fresh.tensor(shape, w);
      backend.binarize().meanAbsolute(distance, y, 0.5f);
      fresh.assertClose("distance", means, distance, 1e-6);
      backend.binarize().scaleFilters(y, y, fresh.vector(scale));
      fresh.assertClose("scaled in place", scaled, y, 1e-6);
    }
  }

  @OnEveryBackend
  void signWeightsBackwardIsTheDerivativeOfScaleTimesSign(Backend backend) {
    Fresh fresh = new Fresh(backend, 6);
    for (Shape shape : Fresh.FILTERS) {
      for (Surrogate s : SURROGATES) {
        int filters = shape.d0(), k = shape.rowSize();
        float[] w = fresh.normal(shape.size()), g = fresh.normal(shape.size()), scale = fresh.normal(filters);
        Tensor latent = fresh.tensor(shape, w), gradE = fresh.tensor(shape, g), gradW = fresh.garbage(shape);
        BinarizeOps ops = backend.binarize();
        ops.signWeightsBackward(gradW, gradE, latent, fresh.vector(scale), s.binarizer(), false);
        fresh.assertClose(s + " scale per filter", gradient(w, g, k, (x, o) -> map(x, v -> s.sign(v).times(scale[o]))), gradW, 1e-4);
        ops.signWeightsBackward(gradW, gradE, latent, fresh.vector(0.5f), s.binarizer(), false);
        fresh.assertClose(s + " one scale", gradient(w, g, k, (x, o) -> map(x, v -> s.sign(v).times(0.5))), gradW, 1e-4);
        Tensor means = fresh.garbage(filters), gradScale = fresh.garbage(filters);
        ops.meanAbsolute(means, latent, 1);
        ops.signWeightsBackward(gradW, gradE, latent, means, s.binarizer(), true);
        fresh.assertClose(s + " through mean |w|", gradient(w, g, k, (x, o) -> {
          Dual mean = Dual.mean(map(x, Dual::abs));
          return map(x, v -> s.sign(v).times(mean));
        }), gradW, 1e-4);
        ops.signWeightsBackward(gradW, gradE, latent, means, s.binarizer(), false);
        fresh.assertClose(s + " with mean |w| detached", gradient(w, g, k, (x, o) -> {
          Dual mean = Dual.mean(map(x, Dual::abs)).detached();
          return map(x, v -> s.sign(v).times(mean));
        }), gradW, 1e-4);
        for (boolean real : new boolean[] {false, true}) {
          ops.scaleBackward(gradScale, gradE, latent, s.binarizer(), real);
          double[] want = Dual.gradient(at -> {
            Dual sum = Dual.of(0);
            for (int i = 0; i < w.length; i++) {
              Dual factor = real ? s.level(Dual.of(w[i])) : s.sign(Dual.of(w[i]));
              sum = sum.plus(at[i / k].times(factor).times(g[i]));
            }
            return sum;
          }, scale);
          fresh.assertClose(s + " scale, real " + real, want, gradScale, 1e-5);
        }
      }
    }
  }

  @OnEveryBackend
  void theSlopeOfMeanAbsoluteAtZeroIsZero(Backend backend) {
    Fresh fresh = new Fresh(backend, 7);
    Shape shape = Shape.filters(1, 1, 1, 4);
    Tensor gradW = fresh.garbage(shape), w = fresh.tensor(shape, 0, 2, -2, 4), g = fresh.tensor(shape, 1, 1, 1, 1);
    backend.binarize().signWeightsBackward(gradW, g, w, fresh.vector(2), Surrogate.clipped(1).binarizer(), true);
    fresh.assertExactly("gradW", new float[] {2, 0.5f, -0.5f, 0.5f}, gradW);
  }

  @OnEveryBackend
  void theRealSineAndItsPenaltyEqualFiniteDifferences(Backend backend) {
    Fresh fresh = new Fresh(backend, 8);
    for (Shape shape : Fresh.FILTERS) {
      for (double omega : new double[] {1, 3, 20}) {
        float[] w = fresh.normal(shape.size()), g = fresh.normal(shape.size()), scale = fresh.normal(shape.d0());
        for (int i = 0; i < w.length; i++) w[i] *= 0.1f;
        Surrogate s = Surrogate.sine(omega);
        Tensor latent = fresh.tensor(shape, w), gradW = fresh.garbage(shape), sum = fresh.vector(0.25f);
        backend.binarize().signWeightsBackward(gradW, fresh.tensor(shape, g), latent, fresh.vector(scale), s.binarizer(), false);
        int k = shape.rowSize();
        fresh.assertClose("gradW of the sine", Fresh.slopes(at -> {
          double loss = 0;
          for (int i = 0; i < at.length; i++) loss += g[i] * scale[i / k] * Math.sin(omega * at[i]);
          return loss;
        }, Fresh.doubles(w)), gradW, 1e-4);
        double tau = 0.037;
        float[] start = fresh.normal(w.length);
        for (int i = 0; i < w.length; i++) start[i] *= 0.01f;
        backend.write(gradW, start);
        backend.binarize().squaredLevelPenalty(sum, gradW, latent, s.binarizer(), (float) tau);
        java.util.function.ToDoubleFunction<double[]> penalty = at -> {
          double total = 0;
          for (double v : at) total += tau * (0.5 - 0.5 * Math.cos(2 * omega * v)) / at.length;
          return total;
        };
        double[] added = Fresh.slopes(penalty, Fresh.doubles(w));
        for (int i = 0; i < added.length; i++) added[i] += start[i];
        fresh.assertClose("gradW with the penalty", added, gradW, 1e-4);
        assertEquals(0.25 + penalty.applyAsDouble(Fresh.doubles(w)), backend.read(sum)[0], 1e-6);
      }
    }
  }

  @OnEveryBackend
  void standardisedFiltersAndTheirGradientUseTheUnbiasedDeviation(Backend backend) {
    Fresh fresh = new Fresh(backend, 9);
    for (Shape shape : Fresh.FILTERS) {
      int filters = shape.d0(), k = shape.rowSize();
      float[] w = fresh.normal(shape.size()), q = fresh.normal(shape.size());
      for (int i = 0; i < w.length; i++) w[i] = 0.03f * w[i] + 0.4f;
      BiFunction<Dual[], Integer, Dual[]> forward = (x, o) -> {
        Dual mean = Dual.mean(x), deviation = Dual.variance(x, 1).sqrt();
        return map(x, v -> v.minus(mean).over(deviation));
      };
      double[] want = new double[w.length], deviations = new double[filters];
      for (int o = 0; o < filters; o++) {
        Dual[] filter = new Dual[k];
        for (int i = 0; i < k; i++) filter[i] = Dual.of(w[o * k + i]);
        deviations[o] = Math.sqrt(Dual.variance(filter, 1).v());
        Dual[] u = forward.apply(filter, o);
        for (int i = 0; i < k; i++) want[o * k + i] = u[i].v();
      }
      Tensor u = fresh.garbage(shape), deviation = fresh.garbage(filters), gradW = fresh.garbage(shape);
      backend.binarize().standardize(u, deviation, fresh.tensor(shape, w));
      fresh.assertClose("u", want, u);
      fresh.assertClose("deviation", deviations, deviation);
      backend.binarize().standardizeBackward(gradW, fresh.tensor(shape, q), u, deviation);
      fresh.assertClose("gradW", gradient(w, q, k, forward), gradW, 1e-4);
    }
  }

  @OnEveryBackend
  void theRotationMixPassesGradientThroughTheUnrotatedPartAndTheAngleOnly(Backend backend) {
    Fresh fresh = new Fresh(backend, 10);
    for (Shape shape : Fresh.FILTERS) {
      for (Surrogate s : List.of(Surrogate.hat(100, 0.01), Surrogate.hat(1, 1), Surrogate.hat(1, 1.7))) {
        int filters = shape.d0(), k = shape.rowSize(), n = shape.size();
        float[] u = fresh.normal(n), v = fresh.normal(n), g = fresh.normal(n), scale = fresh.normal(filters), angle = fresh.uniform(filters, -7, 7);
        float[] mix = new float[n];
        for (int i = 0; i < n; i++) mix[i] = (float) (u[i] + Math.abs(Math.sin(angle[i / k])) * (v[i] - u[i]));
        Tensor q = fresh.tensor(shape, g), gradAngle = fresh.garbage(filters);
        backend.binarize().rotateMixBackward(q, gradAngle, q, fresh.tensor(shape, mix), fresh.tensor(shape, v), fresh.tensor(shape, u),
            fresh.vector(angle), fresh.vector(scale), s.binarizer());
        fresh.assertClose("q, written over gradE", gradient(u, g, k, (x, o) -> {
          Dual[] y = new Dual[k];
          Dual share = Dual.of(angle[o]).sin().abs();
          for (int i = 0; i < k; i++) {
            y[i] = x[i].plus(share.times(Dual.of(v[o * k + i]).minus(x[i]))).sign(s.slope()).times(scale[o]);
          }
          return y;
        }), q, 1e-4);
        fresh.assertClose("gradAngle", Dual.gradient(at -> {
          Dual sum = Dual.of(0);
          for (int i = 0; i < n; i++) {
            Dual mixed = at[i / k].sin().abs().times(v[i] - u[i]).plus(u[i]);
            sum = sum.plus(mixed.sign(s.slope()).times((double) scale[i / k] * g[i]));
          }
          return sum;
        }, angle), gradAngle, 1e-4);
      }
    }
  }

  @OnEveryBackend
  void wrongShapesAreRefusedInWords(Backend backend) {
    Fresh fresh = new Fresh(backend, 11);
    Tensor w = fresh.garbage(Shape.filters(2, 1, 1, 4)), g = fresh.garbage(Shape.filters(2, 1, 1, 4)), three = fresh.garbage(3), two = fresh.garbage(2);
    BitTensor bits = backend.createBits(2, 4), wrong = backend.createBits(2, 5);
    BinarySet set = new BinarySet(two, fresh.garbage(2)), one = new BinarySet(fresh.garbage(1), fresh.garbage(1));
    BinarizeOps ops = backend.binarize();
    var f = Surrogate.identity().binarizer();
    assertRefused("sign: 2 rows of 5 bits are 10 values, x has 8", () -> ops.sign(wrong, w, f));
    assertRefused("level: y [3] has 3 values, x [2, 1, 1, 4] has 8; they must be equal", () -> ops.level(three, w, f));
    assertRefused("scaleFilters: scale has 3 values for 2 filters; they must be equal", () -> ops.scaleFilters(g, w, three));
    assertRefused("meanAbsolute: distance has 3 values for 2 filters; they must be equal", () -> ops.meanAbsolute(three, w, 1));
    assertRefused("signWeightsBackward: scale has 3 values for 2 filters; they must be equal",
        () -> ops.signWeightsBackward(g, g, w, three, f, false));
    assertRefused("scaleBackward: gradScale has 3 values for 2 filters; they must be equal", () -> ops.scaleBackward(three, g, w, f, false));
    assertRefused("centreDistance: the set's centre has 1 values for 2 filters; they must be equal", () -> ops.centreDistance(bits, one, w));
    assertRefused("centreDistance: 2 rows of 5 bits are 10 values, x has 8", () -> ops.centreDistance(wrong, set, w));
    assertRefused("centreDistanceBackward: gradE [3] has 3 values, w [2, 1, 1, 4] has 8; they must be equal",
        () -> ops.centreDistanceBackward(g, three, w, set, f));
    assertRefused("standardize: deviation has 3 values for 2 filters; they must be equal", () -> ops.standardize(g, three, w));
    assertRefused("standardizeBackward: q [3] has 3 values, u [2, 1, 1, 4] has 8; they must be equal",
        () -> ops.standardizeBackward(g, three, w, two));
    Tensor r2 = fresh.garbage(Shape.matrix(2, 2)), r3 = fresh.garbage(Shape.matrix(3, 3));
    assertRefused("rotateMix: R1 [3, 3] and R2 [2, 2] must be square and 3 x 2 the size of a filter, 4", () -> ops.rotateMix(g, g, w, r3, r2, two));
    assertRefused("rotateMix: angle has 3 values for 2 filters; they must be equal", () -> ops.rotateMix(g, g, w, r2, r2, three));
    assertRefused("rotateMixBackward: scale has 3 values for 2 filters; they must be equal",
        () -> ops.rotateMixBackward(g, two, g, w, w, w, two, three, f));
    assertRefused("rotateMix: mixed [3] has 3 values, u [2, 1, 1, 4] has 8; they must be equal", () -> ops.rotateMix(three, g, w, r2, r2, two));
    assertRefused("rotateMix: rotated [3] has 3 values, u [2, 1, 1, 4] has 8; they must be equal", () -> ops.rotateMix(g, three, w, r2, r2, two));
    assertRefused("rotateMixBackward: q [3] has 3 values, u [2, 1, 1, 4] has 8; they must be equal", () -> ops.rotateMixBackward(three, two, g, w, w, w, two, two, f));
    assertRefused("rotateMixBackward: gradE [3] has 3 values, u [2, 1, 1, 4] has 8; they must be equal", () -> ops.rotateMixBackward(g, two, three, w, w, w, two, two, f));
    assertRefused("rotateMixBackward: mixed [3] has 3 values, u [2, 1, 1, 4] has 8; they must be equal", () -> ops.rotateMixBackward(g, two, g, three, w, w, two, two, f));
    assertRefused("rotateMixBackward: rotated [3] has 3 values, u [2, 1, 1, 4] has 8; they must be equal", () -> ops.rotateMixBackward(g, two, g, w, three, w, two, two, f));
    assertRefused("rotateMixBackward: gradAngle has 3 values for 2 filters; they must be equal", () -> ops.rotateMixBackward(g, three, g, w, w, w, two, two, f));
    assertRefused("rotateMixBackward: angle has 3 values for 2 filters; they must be equal", () -> ops.rotateMixBackward(g, two, g, w, w, w, three, two, f));
    assertRefused("rotationRounds: R1 [2, 2] and R2 [3, 3] must be square and 2 x 3 the size of a filter, 4", () -> ops.rotationRounds(r2, r3, w, 1));
    assertRefused("squaredLevelPenalty: sum has 3 values; it must have 1", () -> ops.squaredLevelPenalty(three, g, w, f, 1));
  }
}
