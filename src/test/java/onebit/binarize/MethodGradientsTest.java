package onebit.binarize;

import static onebit.binarize.LatentLayer.map;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.function.DoubleUnaryOperator;
import onebit.ops.Backend;
import onebit.ops.Dual;
import onebit.ops.Fresh;
import onebit.ops.OnEveryBackend;
import onebit.ops.Padding;
import onebit.ops.Surrogate;
import onebit.tensor.BitTensor;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Each method end to end: convolved weights, binary activations and all gradients equal the published formulas, epoch by epoch. */
class MethodGradientsTest {
  private static final DoubleUnaryOperator POLYNOMIAL = Surrogate::polynomialSlope;

  @OnEveryBackend
  void adabinBinarizesAroundMeanAndDeviationWithTheScheduledSlope(Backend backend) {
    for (boolean progressive : new boolean[] {true, false}) {
      AdaBin method = new AdaBin(AdaBin.Form.CODE, progressive, false);
      for (int epoch : LatentLayer.epochs()) {
        double t = progressive ? Math.pow(10, -3 + 4 * epoch / 100.0) : 0.1, k = t < 1 ? 1 / t : 1;
        LatentLayer layer = new LatentLayer(backend, method, epoch, 0.2);
        layer.use(method.at(epoch, 100));
        layer.checkWeights((w, o) -> {
          Dual centre = Dual.mean(w), distance = Dual.variance(w, 0).sqrt();
          return map(w, v -> distance.times(v.minus(centre).over(distance).sign(Surrogate.tanhSlope(k, t))).plus(centre));
        });
      }
    }
  }

  @OnEveryBackend
  void adabinLearnsTheActivationSetInTheCodesAndThePapersForm(Backend backend) {
    for (AdaBin.Form form : AdaBin.Form.values()) {
      AdaBin method = new AdaBin(form, true, false);
      LatentLayer layer = new LatentLayer(backend, method, 5, 0.2);
      layer.use(method.at(3, 100));
      assertEquals(1f, layer.value("conv.binary_a.alpha_a")[0]);
      assertEquals(0f, layer.value("conv.binary_a.beta_a")[0]);
      float[] set = {0.6f, 0.3f};
      backend.write(layer.parameters().get("conv.binary_a.alpha_a").value(), new float[] {set[0]});
      backend.write(layer.parameters().get("conv.binary_a.beta_a").value(), new float[] {set[1]});
      layer.checkActivations((x, n) -> map(x, v -> learned(v, Dual.of(set[0]), Dual.of(set[1]), form)));
      double[] want = Dual.gradient(at -> {
        Dual sum = Dual.of(0);
        for (int i = 0; i < layer.x.length; i++) sum = sum.plus(learned(Dual.of(layer.x[i]), at[0], at[1], form).times(layer.gx[i]));
        return sum;
      }, set);
      layer.fresh.assertClose("alpha", new double[] {want[0]}, layer.gradient("conv.binary_a.alpha_a"), 1e-4);
      layer.fresh.assertClose("beta", new double[] {want[1]}, layer.gradient("conv.binary_a.beta_a"), 1e-4);
    }
  }

  private static Dual learned(Dual x, Dual alpha, Dual beta, AdaBin.Form form) {
    Dual s = x.minus(beta).over(alpha).sign(POLYNOMIAL);
    return form == AdaBin.Form.CODE ? alpha.times(s.plus(beta)) : alpha.times(s).plus(beta);
  }

  @OnEveryBackend
  void adabinsFirstOfTwoStepsConvolvesTheRealWeights(Backend backend) {
    LatentLayer layer = new LatentLayer(backend, new AdaBin(AdaBin.Form.CODE, true, true), 6, 0.2);
    layer.use(new AdaBin(AdaBin.Form.CODE, true, true).at(0, 10));
    assertEquals(true, layer.weights.real());
    layer.checkWeights((w, o) -> w);
    BitTensor signs = backend.createBits(3, 36);
    backend.bits().pack(signs, layer.latent.value(), 0);
    assertArrayEquals(backend.read(signs), backend.read(layer.weights.bits()));
  }

  @OnEveryBackend
  void bmxnetTakesPlainSignsWithIdentityGradientAndCancelsActivations(Backend backend) {
    for (BmxNet.Scaling scaling : BmxNet.Scaling.values()) {
      BmxNet method = new BmxNet(1.3f, false, scaling);
      LatentLayer layer = new LatentLayer(backend, method, 7, 0.5);
      layer.use(method.at(4, 10));
      layer.checkWeights((w, o) -> {
        Dual mean = Dual.mean(map(w, Dual::abs)), scale = switch (scaling) {
          case NONE -> Dual.of(0.5);
          case BINET -> mean;
          case XNOR -> mean.detached();
        };
        return map(w, v -> v.sign(u -> 1).times(scale));
      });
      layer.checkActivations((x, n) -> map(x, v -> v.sign(u -> Math.abs(u) <= 1.3f ? 1 : 0)));
      assertEquals(Padding.MINUS_ONE, method.padding());
      assertEquals(scaling == BmxNet.Scaling.NONE ? 4.5f : 0, method.offset(9));
    }
    BmxNet approximate = new BmxNet(0.9f, true, BmxNet.Scaling.NONE);
    LatentLayer layer = new LatentLayer(backend, approximate, 8, 0.5);
    layer.use(approximate.at(0, 10));
    layer.checkActivations((x, n) -> map(x, v -> v.sign(u -> Math.abs(u) <= 0.9f ? u < 0 ? 2 + 2 * u : 2 - 2 * u : 0)));
  }

  @OnEveryBackend
  void biperConvolvesTheSineThenItsSquareWaveWithTheSinesGradient(Backend backend) {
    double tau = 50;
    for (int stage = 1; stage <= 2; stage++) {
      boolean real = stage == 1;
      BiPer method = new BiPer(stage, 20, (float) tau);
      LatentLayer layer = new LatentLayer(backend, method, 9 + stage, 0.1);
      layer.use(method.at(0, 600));
      float[] alpha = layer.value("conv.alpha");
      for (float a : alpha) assertEquals(true, a > 0 && a < 1, "drawn");
      LatentLayer.Forward forward = (w, o) -> map(w, v -> {
        Dual sine = v.times(20).sin();
        return (real ? sine : new Dual(sine.v() >= 0 ? 1 : -1, sine.d())).times(alpha[o]);
      });
      layer.runWeights();
      layer.fresh.assertClose("effective, a second time", LatentLayer.values(layer.w, 36, forward), layer.runWeights(), 1e-5);
      double[] want = LatentLayer.gradient(layer.w, layer.g, 36, forward), scale = new double[alpha.length];
      double penalty = 0;
      for (int i = 0; i < want.length; i++) {
        want[i] += tau * 20 * Math.sin(2 * 20 * layer.w[i]) / want.length;
        penalty += tau * (0.5 - 0.5 * Math.cos(2 * 20 * layer.w[i])) / want.length;
        double sine = Math.sin(20 * layer.w[i]);
        scale[i / 36] += layer.g[i] * (real ? sine : sine >= 0 ? 1 : -1);
      }
      layer.fresh.assertClose("gradW", want, layer.latent.gradient(), 1e-4);
      layer.fresh.assertClose("alpha", scale, layer.gradient("conv.alpha"), 1e-5);
      assertEquals(penalty, backend.read(layer.weights.penalty())[0], 1e-6 * tau);
      layer.checkActivations((x, n) -> {
        Dual r = Dual.variance(x, 1).plus(1e-5).sqrt();
        return map(x, v -> v.over(r).sign(POLYNOMIAL));
      });
      assertEquals(Padding.ZERO, method.padding());
    }
  }

  @OnEveryBackend
  void rbnnStandardisesMixesWithTheRotationAndDetachesIt(Backend backend) {
    Rbnn method = new Rbnn(1, false);
    for (int epoch : LatentLayer.epochs()) {
      double t = Math.pow(10, -2 + 3 * epoch / 100.0), k = t < 1 ? 1 / t : 1, ta = t < 1 ? 1 : t;
      LatentLayer layer = new LatentLayer(backend, method, 20 + epoch, 0.2);
      layer.use(method.at(epoch, 100));
      for (float a : layer.value("conv.rotate")) assertEquals((float) (Math.PI / 2), a);
      float[] angle = {0.3f, -1.2f, 2.6f}, alpha = layer.value("conv.alpha");
      for (float a : alpha) assertEquals(0.5 / Math.sqrt(36), a, 0.25 / Math.sqrt(36));
      backend.write(layer.parameters().get("conv.rotate").value(), angle);
      layer.weights.startEpoch(epoch);
      for (int i = 0; i < layer.w.length; i++) layer.w[i] += (i % 5 - 2) * 0.05f;   // a step's update, after the rotation
      backend.write(layer.latent.value(), layer.w);
      float[] r1 = backend.read(layer.weights.state().get(0).value()), r2 = backend.read(layer.weights.state().get(1).value());
      LatentLayer.Forward forward = (w, o) -> mixed(w, angle[o], r1, r2, v -> v.sign(Surrogate.hatSlope(k, t)).times(alpha[o]));
      layer.fresh.assertClose("effective", LatentLayer.values(layer.w, 36, forward), layer.runWeights(), 1e-5);
      layer.fresh.assertClose("gradW", LatentLayer.gradient(layer.w, layer.g, 36, forward), layer.latent.gradient(), 1e-4);
      double[] angles = new double[3], scales = new double[3];
      for (int o = 0; o < 3; o++) {
        Dual[] filter = new Dual[36];
        for (int i = 0; i < 36; i++) filter[i] = Dual.of(layer.w[o * 36 + i]);
        Dual[] byAngle = mixed(filter, new Dual(angle[o], 1), r1, r2, v -> v.sign(Surrogate.hatSlope(k, t)));
        for (int i = 0; i < 36; i++) {
          angles[o] += byAngle[i].d() * alpha[o] * layer.g[o * 36 + i];
          scales[o] += byAngle[i].v() * layer.g[o * 36 + i];
        }
      }
      layer.fresh.assertClose("rotate", angles, layer.gradient("conv.rotate"), 1e-4);
      layer.fresh.assertClose("alpha", scales, layer.gradient("conv.alpha"), 1e-5);
      layer.checkActivations((x, n) -> {
        Dual mean = Dual.mean(x), deviation = Dual.variance(x, 1).sqrt();
        return map(x, v -> v.minus(mean).over(deviation).sign(Surrogate.hatSlope(1, ta)));
      });
      assertEquals(Padding.ZERO, method.padding());
    }
  }

  @OnEveryBackend
  void rbnnLeavesItsStandardisedActivationsRealWhereAsked(Backend backend) {
    LatentLayer layer = new LatentLayer(backend, new Rbnn(1, true), 21, 0.2);
    layer.use(new Rbnn(1, true).at(80, 100));
    layer.checkActivations((x, n) -> {
      Dual mean = Dual.mean(x), deviation = Dual.variance(x, 1).sqrt();
      return map(x, v -> v.minus(mean).over(deviation));
    });
    assertEquals(true, layer.activations.real());
  }

  private static Dual[] mixed(Dual[] w, double angle, float[] r1, float[] r2, java.util.function.UnaryOperator<Dual> end) {
    return mixed(w, Dual.of(angle), r1, r2, end);
  }

  /** end(u + |sin angle| (R1^T X R2 - u)) of one 3x3x4 filter, X the 6 x 6 matrix of u in C,R,S order, taken as a constant. */
  private static Dual[] mixed(Dual[] w, Dual angle, float[] r1, float[] r2, java.util.function.UnaryOperator<Dual> end) {
    Dual mean = Dual.mean(w), deviation = Dual.variance(w, 1).sqrt(), share = angle.sin().abs();
    Dual[] u = map(w, v -> v.minus(mean).over(deviation)), out = new Dual[36];
    double[][] x = new double[6][6];
    for (int c = 0, at = 0; c < 4; c++) for (int tap = 0; tap < 9; tap++, at++) x[at / 6][at % 6] = u[tap * 4 + c].v();
    for (int c = 0, at = 0; c < 4; c++) {
      for (int tap = 0; tap < 9; tap++, at++) {
        double rotated = 0;
        for (int i = 0; i < 6; i++) for (int j = 0; j < 6; j++) rotated += r1[i * 6 + at / 6] * x[i][j] * r2[j * 6 + at % 6];
        Dual own = u[tap * 4 + c];
        out[tap * 4 + c] = end.apply(own.plus(share.times(Dual.of(rotated).minus(own))));
      }
    }
    return out;
  }

  @OnEveryBackend
  void rbnnRotatesOnlyInTheEpochsItShould(Backend backend) {
    LatentLayer layer = new LatentLayer(backend, new Rbnn(3, false), 30, 0.2);
    layer.use(new Rbnn(3, false).at(0, 10));
    Tensor r1 = layer.weights.state().get(0).value(), r2 = layer.weights.state().get(1).value();
    float[] start = backend.read(r1), start2 = backend.read(r2);
    for (float[] r : new float[][] {start, start2}) {
      for (int i = 0; i < 6; i++) {
        for (int j = 0; j < 6; j++) {
          double dot = 0;
          for (int k = 0; k < 6; k++) dot += (double) r[i * 6 + k] * r[j * 6 + k];
          assertEquals(i == j ? 1 : 0, dot, 1e-5, "orthogonal");
        }
      }
    }
    layer.weights.startEpoch(1);
    layer.weights.startEpoch(2);
    layer.fresh.assertExactly("R1", start, r1);
    layer.weights.startEpoch(3);
    // three rounds from the filters as they are now
    Tensor u = layer.fresh.garbage(LatentLayer.FILTERS), want1 = layer.fresh.tensor(r1.shape(), start), want2 = layer.fresh.tensor(r2.shape(), start2);
    backend.binarize().standardize(u, layer.fresh.garbage(Shape.vector(3)), layer.latent.value());
    backend.binarize().rotationRounds(want1, want2, u, 3);
    layer.fresh.assertExactly("R1", backend.read(want1), r1);
    layer.fresh.assertExactly("R2", backend.read(want2), r2);
    double moved = 0;
    float[] now = backend.read(r1);
    for (int i = 0; i < now.length; i++) moved = Math.max(moved, Math.abs(now[i] - start[i]));
    assertEquals(true, moved > 0.01);
  }

  @OnEveryBackend
  void biRealScalesSignsByTheMeanMagnitudeWithGradient(Backend backend) {
    BiReal method = new BiReal(0.6f);
    LatentLayer layer = new LatentLayer(backend, method, 31, 0.5);
    layer.use(method.at(0, 10));
    layer.checkWeights((w, o) -> {
      Dual mean = Dual.mean(map(w, Dual::abs));
      return map(w, v -> v.sign(u -> Math.abs(u) <= 0.6f ? 1 : 0).times(mean));
    });
    layer.checkActivations((x, n) -> map(x, v -> v.sign(POLYNOMIAL)));
    assertEquals(Padding.ZERO, method.padding());
    assertEquals(0f, method.offset(9));
  }

  @OnEveryBackend
  void evaluationGivesTheSameBitsAsTraining(Backend backend) {
    for (Method method : new Method[] {new BiPer(1, 20, 0), new Rbnn(1, false), new BiReal(1), new AdaBin(AdaBin.Form.CODE, true, false)}) {
      LatentLayer layer = new LatentLayer(backend, method, 32, 0.2);
      layer.use(method.at(0, 10));
      Fresh fresh = layer.fresh;
      Tensor x = fresh.tensor(LatentLayer.IMAGE, layer.x);
      var training = fresh.garbageBits(12, 5);
      var evaluation = fresh.garbageBits(12, 5);
      layer.activations.forward(training, x, true);
      layer.activations.forward(evaluation, x, false);
      assertArrayEquals(backend.read(training), backend.read(evaluation));
    }
  }
}
