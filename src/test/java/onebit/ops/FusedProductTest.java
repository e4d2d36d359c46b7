package onebit.ops;

import static onebit.ops.Fresh.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.Stream;
import onebit.binarize.AdaBin;
import onebit.binarize.Binarizer;
import onebit.ops.FusedOps.Binarization;
import onebit.ops.FusedOps.Incoming;
import onebit.ops.FusedOps.Nonlinearity;
import onebit.ops.FusedOps.Norm;
import onebit.ops.FusedOps.Product;
import onebit.ops.FusedOps.Running;
import onebit.ops.FusedOps.Shortcut;
import onebit.ops.FusedOps.Unit;
import onebit.ops.FusedOps.UnitGradients;
import onebit.ops.cuda.CudaBackend;
import onebit.ops.cuda.EmulatedDriver;
import onebit.tensor.Bfloat16;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;

/** A unit over the product of bits as it comes up gives, bit for bit, what it gives over the convolution's stored result. */
class FusedProductTest {
  private static final float EPSILON = 1e-5f;

  /** Geometry and what of the unit is there: filters on both sides of a word, borders, strides, dilation, images of one pixel, several tiles of rows. */
  private record Case(ConvGeometry g, Padding padding, boolean maxout, boolean learned, boolean shortcut) {}

  private static final List<Case> NAMED = List.of(
      new Case(new ConvGeometry(2, 5, 4, 33, 33, 3, 3, 1, 1, 1, 1), Padding.ZERO, true, true, true),
      new Case(new ConvGeometry(3, 1, 1, 20, 8, 3, 3, 1, 1, 1, 1), Padding.ZERO, false, false, true),
      new Case(new ConvGeometry(1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1), Padding.ZERO, true, false, false),
      new Case(new ConvGeometry(3, 9, 9, 32, 70, 3, 3, 1, 1, 1, 1), Padding.ZERO, true, true, true),
      new Case(new ConvGeometry(5, 9, 8, 64, 64, 3, 3, 2, 1, 1, 1), Padding.MINUS_ONE, false, true, false),
      new Case(new ConvGeometry(2, 12, 12, 16, 16, 3, 3, 1, 1, 1, 1), Padding.ZERO, true, true, true),
      new Case(new ConvGeometry(3, 9, 7, 160, 64, 3, 3, 1, 1, 1, 1), Padding.ZERO, true, true, true),
      new Case(new ConvGeometry(2, 13, 8, 128, 40, 3, 3, 2, 1, 1, 1), Padding.MINUS_ONE, false, true, false),
      new Case(new ConvGeometry(1, 19, 19, 64, 40, 3, 3, 1, 6, 6, 1), Padding.ZERO, true, true, true),
      new Case(new ConvGeometry(1, 19, 19, 160, 24, 3, 3, 1, 6, 6, 1), Padding.MINUS_ONE, false, true, false),
      new Case(new ConvGeometry(5, 3, 3, 96, 40, 3, 3, 1, 0, 1, 1), Padding.ZERO, true, false, true));
  private static final List<Case> CASES = Stream.concat(NAMED.stream(), RandomShapes.and(List.of(), "fused product", 1.5e6, 520, 200).stream().map(FusedProductTest::drawn)).toList();

  private static Case drawn(ConvGeometry g) {
    int kind = Math.floorMod(g.hashCode(), 16);
    return new Case(g, kind < 8 ? Padding.ZERO : Padding.MINUS_ONE, kind % 2 == 0, kind / 2 % 2 == 0, kind / 4 % 2 == 0);
  }

  /** All tensors of a case, from one seed. */
  private static final class Bench {
    final Backend backend;
    final Case test;
    final Tensor mean, inverse, gamma, beta, runningMean, runningVar, x, positive, negative, alpha, betaOfSet, z, gradQ, over, gradT, gradY;
    final Tensor gradGamma, gradBeta, gradPositive, gradNegative, gradAlpha, gradBetaOfSet;
    final BinarySet next;
    final BitTensor bits;
    final Product product;

    Bench(Backend backend, Case test, long seed) {
      this.backend = backend;
      this.test = test;
      Fresh fresh = new Fresh(backend, seed, true);
      ConvGeometry g = test.g;
      Shape s = g.y();
      int c = g.o();
      BitTensor xBits = backend.createBits(g.n() * g.h() * g.w(), g.c()), w = backend.createBits(g.o(), g.taps());
      backend.bits().pack(xBits, fresh.tensor(g.x(), fresh.normal(g.x().size())), 0);
      backend.bits().pack(w, fresh.tensor(g.filters(), fresh.normal(g.filters().size())), 0);
      BinarySet xSet = new BinarySet(fresh.vector(0.3f), fresh.vector(0.7f)), wSet = new BinarySet(fresh.vector(fresh.normal(c)), fresh.vector(fresh.uniform(c, 0.5, 2)));
      product = new Product(xBits, w, xSet, wSet, g, test.padding, 0.25f);
      mean = fresh.garbage(c);
      inverse = fresh.garbage(c);
      gamma = fresh.vector(fresh.normal(c));
      beta = fresh.vector(fresh.normal(c));
      runningMean = fresh.vector(fresh.normal(c));
      runningVar = fresh.vector(fresh.uniform(c, 0.5, 2));
      x = image(s, fresh.normal(s.size()));
      positive = fresh.vector(fresh.normal(c));
      negative = fresh.vector(fresh.normal(c));
      alpha = fresh.vector(0.7f);
      betaOfSet = fresh.vector(0.2f);
      next = new BinarySet(fresh.garbage(1), fresh.garbage(1));
      z = empty();
      bits = fresh.garbageBits(s.size() / c, c);
      gradQ = image(s, fresh.normal(s.size()));
      over = image(s, fresh.normal(s.size()));
      gradT = empty();
      gradY = empty();
      gradGamma = fresh.garbage(c);
      gradBeta = fresh.garbage(c);
      gradPositive = fresh.garbage(c);
      gradNegative = fresh.garbage(c);
      gradAlpha = fresh.garbage(1);
      gradBetaOfSet = fresh.garbage(1);
    }

    Tensor empty() {
      float[] values = new float[test.g.y().size()];
      java.util.Arrays.fill(values, 1e9f);
      return image(test.g.y(), values);
    }

    Tensor image(Shape shape, float[] values) {
      for (int i = 0; i < values.length; i++) values[i] = Bfloat16.round(values[i]);
      Tensor image = backend.create(shape, backend.activations());
      backend.write(image, values);
      return image;
    }

    Unit unit(Tensor y, Product of) {
      return new Unit(y, of, new Norm(gamma, beta, mean, inverse), test.shortcut ? Shortcut.same(x) : Shortcut.NONE,
          test.maxout ? new Nonlinearity(null, positive, negative) : Nonlinearity.NONE);
    }

    Binarization next() {
      return test.learned ? new Binarization(Binarization.Kind.LEARNED, next, alpha, betaOfSet, true) : Binarization.SIGN;
    }

    void backward(Tensor gradY, Unit unit) {
      Incoming g = new Incoming(gradQ, null, next(), test.g.o() % 8 == 0 ? new Binarizer.Polynomial() : new AdaBin.TanhSlope(2, 1.5f), test.learned ? gradAlpha : null, test.learned ? gradBetaOfSet : null,
          test.shortcut ? Shortcut.same(over) : Shortcut.NONE);
      backend.fused().backward(gradY, gradT, new UnitGradients(gradGamma, gradBeta, test.maxout ? gradPositive : null, test.maxout ? gradNegative : null), unit, g);
    }

    Running running() {
      return new Running(runningMean, runningVar, 0.1f, EPSILON, true);
    }

    List<Tensor> results() {
      List<Tensor> all = new ArrayList<>(List.of(mean, inverse, runningMean, runningVar, z, gradT, gradGamma, gradBeta));
      if (test.maxout) all.addAll(List.of(gradPositive, gradNegative));
      if (test.learned) all.addAll(List.of(gradAlpha, gradBetaOfSet, next.centre(), next.distance()));
      return all;
    }
  }

  private static void assertEqual(Bench want, Bench got, String what) {
    for (int i = 0; i < want.results().size(); i++) {
      assertArrayEquals(want.backend.read(want.results().get(i)), got.backend.read(got.results().get(i)), "tensor " + i + " of " + what);
    }
    assertArrayEquals(want.backend.read(want.bits), got.backend.read(got.bits), "bits of " + what);
  }

  private static void compare(Backend backend) {
    long seed = 400;
    for (Case test : CASES) {
      // stored: the convolution on its own, then each pass over its result
      Bench stored = new Bench(backend, test, ++seed), kept = new Bench(backend, test, seed), computed = new Bench(backend, test, seed);
      Tensor y = stored.empty(), keptY = kept.empty(), keptAgain = kept.empty();
      Product p = stored.product;
      backend.bits().xnorConv2d(y, p.x(), p.w(), p.xSet(), p.wSet(), p.g(), p.padding(), p.offset());
      Unit unit = stored.unit(y, null);
      backend.fused().statistics(unit, stored.running());
      // kept: statistics come from the convolution's tiles, y is stored by them, and gradY takes its place
      backend.fused().forwardOf(kept.bits, kept.z, kept.unit(keptY, kept.product), kept.next(), kept.running());
      String what = backend + " " + test;
      assertArrayEquals(backend.read(y), backend.read(keptY), "y of " + what);
      takeStatistics(stored, kept, what);
      backend.fused().forward(stored.bits, stored.z, unit, stored.next());
      stored.backward(stored.gradY, unit);
      assertEqual(stored, keptForward(stored, kept, keptY), what);
      assertArrayEquals(backend.read(stored.gradY), backend.read(keptY), "gradY in the place of y of " + what);
      // computed: no y anywhere
      Unit of = computed.unit(null, computed.product);
      backend.fused().forwardOf(computed.bits, computed.z, of, computed.next(), computed.running());
      computed.backward(computed.gradY, of);
      assertEqual(stored, computed, what + ", y stored nowhere");
      assertArrayEquals(backend.read(stored.gradY), backend.read(computed.gradY), "gradY of " + what);
      // evaluation leaves y alone
      float[] before = backend.read(keptAgain);
      backend.fused().forwardOf(computed.bits, computed.z, computed.unit(keptAgain, computed.product), computed.next(), null);
      assertArrayEquals(backend.read(stored.z), backend.read(computed.z), "z in evaluation of " + what);
      assertArrayEquals(before, backend.read(keptAgain), "y in evaluation of " + what);
      // other filters in the same memory, as after a step
      Fresh fresh = new Fresh(backend, -seed, true);
      Product q = computed.product;
      backend.bits().pack(q.w(), fresh.tensor(test.g.filters(), fresh.normal(test.g.filters().size())), 0);
      backend.bits().xnorConv2d(y, q.x(), q.w(), q.xSet(), q.wSet(), q.g(), q.padding(), q.offset());
      backend.fused().forward(stored.bits, stored.z, computed.unit(y, null), stored.next());
      backend.fused().forwardOf(computed.bits, computed.z, of, computed.next(), null);
      assertArrayEquals(backend.read(stored.z), backend.read(computed.z), "z of other filters of " + what);
    }
  }

  /** Statistics of a stored y beside those of the convolution's tiles, which on bfloat16 are first added in float; the rest goes on with these on both sides. */
  private static void takeStatistics(Bench stored, Bench kept, String what) {
    List<Tensor> from = List.of(kept.mean, kept.inverse, kept.runningMean, kept.runningVar), to = List.of(stored.mean, stored.inverse, stored.runningMean, stored.runningVar);
    Backend backend = kept.backend;
    for (int i = 0; i < 4; i++) {
      float[] want = backend.read(to.get(i)), got = backend.read(from.get(i));
      float largest = 0;
      for (float v : want) largest = Math.max(largest, Math.abs(v));
      if (backend.activations() == ElementType.FLOAT32) assertArrayEquals(want, got, "statistics " + i + " of " + what);
      else assertArrayEquals(want, got, 2e-6f * largest, "statistics " + i + " of " + what);
      backend.write(to.get(i), got);
    }
  }

  private static Bench keptForward(Bench stored, Bench kept, Tensor y) {
    kept.backward(y, kept.unit(y, null));
    return kept;
  }

  @OnEveryBackend
  void aProductThatIsStoredNowhereGivesTheSameBits(Backend backend) {
    compare(backend);
  }

  @Test
  void inBfloat16AProductThatIsStoredNowhereGivesTheSameBits() {
    List<Supplier<Backend>> devices = Backends.rounding(true);
    assumeTrue(!devices.isEmpty(), "there is no device with bfloat16");
    for (Supplier<Backend> open : devices) {
      try (Backend device = open.get()) {
        compare(device);
      }
    }
  }

  @OnEveryPrecision
  void theSumOfAProductAndAShortcutComesWithItsStatistics(Backend backend) {
    for (Case test : CASES) {
      Fresh fresh = new Fresh(backend, 11);
      Bench b = new Bench(backend, test, 900 + test.g.c());
      Product p = b.product;
      Tensor y = b.empty(), z = b.empty(), alone = b.empty();
      backend.bits().xnorConv2d(y, p.x(), p.w(), p.xSet(), p.wSet(), p.g(), p.padding(), p.offset());
      float[] ys = backend.read(y), xs = backend.read(b.x), sums = new float[ys.length], oldMean = backend.read(b.runningMean), oldVar = backend.read(b.runningVar);
      for (int i = 0; i < sums.length; i++) sums[i] = fresh.rounded(ys[i] + xs[i]);
      backend.fused().sumOf(z, p, b.x, new Norm(b.gamma, b.beta, b.mean, b.inverse), b.running());
      backend.fused().sumOf(alone, p, b.x, null, null);
      fresh.assertExactly("sum", sums, z);
      fresh.assertExactly("sum without statistics", sums, alone);
      int c = test.g.o(), rows = sums.length / c;
      double[] mean = new double[c], inverse = new double[c], movedMean = new double[c], movedVar = new double[c];
      for (int i = 0; i < sums.length; i++) mean[i % c] += (double) sums[i] / rows;
      for (int i = 0; i < sums.length; i++) inverse[i % c] += Math.pow(sums[i] - mean[i % c], 2) / rows;
      Running running = b.running();
      for (int j = 0; j < c; j++) {
        double var = running.unbiased() && rows > 1 ? inverse[j] * rows / (rows - 1) : inverse[j];
        inverse[j] = 1 / Math.sqrt(inverse[j] + running.epsilon());
        movedMean[j] = oldMean[j] + running.momentum() * (mean[j] - oldMean[j]);
        movedVar[j] = oldVar[j] + running.momentum() * (var - oldVar[j]);
      }
      fresh.assertClose("mean", mean, b.mean, 1e-6);
      fresh.assertClose("inverse", inverse, b.inverse, 1e-5);
      fresh.assertClose("running mean", movedMean, b.runningMean, 1e-6);
      fresh.assertClose("running var", movedVar, b.runningVar, 1e-6);
      // other filters in the same memory, as after a step
      backend.bits().pack(p.w(), fresh.tensor(test.g.filters(), fresh.normal(test.g.filters().size())), 0);
      backend.bits().xnorConv2d(y, p.x(), p.w(), p.xSet(), p.wSet(), p.g(), p.padding(), p.offset());
      ys = backend.read(y);
      for (int i = 0; i < sums.length; i++) sums[i] = fresh.rounded(ys[i] + xs[i]);
      backend.fused().sumOf(alone, p, b.x, null, null);
      fresh.assertExactly("sum of other filters", sums, alone);
    }
  }

  @OnEveryBackend
  void aSumThatDoesNotFitIsRefusedInWords(Backend backend) {
    Bench b = new Bench(backend, CASES.get(1), 7);
    Tensor small = new Fresh(backend, 8).garbage(Shape.image(1, 1, 1, 8)), three = new Fresh(backend, 8).garbage(3);
    Norm norm = new Norm(b.gamma, b.beta, b.mean, b.inverse);
    assertRefused("sumOf: added [1, 1, 1, 8] has 8 values, z [3, 1, 1, 8] has 24; they must be equal", () -> backend.fused().sumOf(b.z, b.product, small, null, null));
    assertRefused("sumOf: next and running must be given together", () -> backend.fused().sumOf(b.z, b.product, b.x, norm, null));
    assertRefused("sumOf: mean has 3 values, rows of [3, 1, 1, 8] have 8 channels; they must be equal",
        () -> backend.fused().sumOf(b.z, b.product, b.x, new Norm(b.gamma, b.beta, three, b.inverse), b.running()));
  }

  /** The plan's bytes of an op are those its launches declare, but for values per channel that two launches read. */
  @Test
  void thePlanCountsTheBytesThatLaunchesDeclare() throws Exception {
    List<Supplier<Backend>> devices = Backends.rounding(false);
    assumeTrue(!devices.isEmpty(), "there is no device with bfloat16");
    Case test = new Case(new ConvGeometry(2, 24, 24, 32, 32, 3, 3, 1, 1, 1, 1), Padding.ZERO, true, true, true);
    try (Backend device = devices.getFirst().get()) {
      assumeTrue(((CudaBackend) device).isEmulated(), "only the emulated device counts bytes");
      for (boolean stored : new boolean[] {true, false}) {
        PlanBackend plan = new PlanBackend(device.activations(), true);
        long[] declared = new long[2];
        for (Backend backend : new Backend[] {plan, device}) {
          Bench b = new Bench(backend, test, 500);
          Tensor y = stored ? b.empty() : null;
          long before = declared();
          backend.fused().forwardOf(b.bits, b.z, b.unit(y, b.product), b.next(), b.running());
          long between = declared();
          b.backward(stored ? y : b.gradY, stored ? b.unit(y, null) : b.unit(null, b.product));
          declared = new long[] {between - before, declared() - between};
        }
        assertEquals(declared[0], bytes(plan, "forwardOf"), 0.01 * declared[0], "forwardOf, y stored: " + stored);
        assertEquals(declared[1], bytes(plan, "backward"), 0.01 * declared[1], "backward, y stored: " + stored);
      }
    }
  }

  private static long bytes(PlanBackend plan, String op) {
    return plan.calls().stream().filter(call -> call.op().equals(op)).mapToLong(PlanBackend.Call::bytes).sum();
  }

  private static long declared() {
    return Stream.of("xnor_conv2d_filters", "unit_forward_bf16", "unit_backward_bf16", "unit_backward_adabin_bf16", "unit_backward_apply_bf16", "unit_product_statistics_bf16",
        "unit_product_forward_bf16", "unit_product_backward_bf16", "unit_product_apply_bf16").mapToLong(entry -> EmulatedDriver.counter("declared_bytes:" + entry)).sum();
  }

  @OnEveryBackend
  void aUnitWithoutResultAndProductIsRefusedInWords(Backend backend) {
    Bench b = new Bench(backend, CASES.get(1), 7);
    assertRefused("forwardOf: the unit has neither y nor a product that makes it", () -> backend.fused().forwardOf(b.bits, b.z, b.unit(null, null), b.next(), null));
    assertRefused("backward: the unit has neither y nor a product that makes it", () -> b.backward(b.gradY, b.unit(null, null)));
    assertRefused("backward: z is given; it must be null, for the unit computes it again", () -> backend.fused().backward(b.gradY, b.gradT,
        new UnitGradients(b.gradGamma, b.gradBeta, null, null), b.unit(b.gradY, null),
        new Incoming(b.gradQ, b.z, Binarization.SIGN, new AdaBin.TanhSlope(2, 1.5f), null, null, Shortcut.NONE)));
    assertRefused("forward: the unit has no y", () -> backend.fused().forward(b.bits, b.z, b.unit(null, b.product), b.next()));
    Tensor small = new Fresh(backend, 8).garbage(Shape.image(1, 1, 1, 8));
    assertRefused("xnorConv2d: y has shape [1, 1, 1, 8], 8 values; [3, 1, 1, 8] wanted",
        () -> backend.fused().forwardOf(b.bits, small, b.unit(null, b.product), Binarization.NONE, null));
  }
}
