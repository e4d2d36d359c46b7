package onebit.ops;

import static onebit.ops.Fresh.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

class OptimOpsTest {
  private static final int[] SIZES = {1, 33, 20000};
  private static final float[] DECAY = {0, 1e-2f, 0.3f};

  /** Tensors of three decay groups with their exact twins in double. */
  private static final class Group {
    final Fresh fresh;
    final List<Tensor> tensors = new ArrayList<>();
    final List<double[]> exact = new ArrayList<>();

    Group(Fresh fresh, boolean random) {
      this.fresh = fresh;
      for (int size : SIZES) {
        float[] start = random ? fresh.normal(size) : new float[size];
        tensors.add(fresh.vector(start));
        exact.add(Fresh.doubles(start));
      }
    }

    void draw(Backend backend) {
      for (int i = 0; i < SIZES.length; i++) {
        float[] g = fresh.normal(SIZES[i]);
        backend.write(tensors.get(i), g);
        exact.set(i, Fresh.doubles(g));
      }
    }

    void compare(String name) {
      for (int i = 0; i < SIZES.length; i++) fresh.assertClose(name + " of group " + i, exact.get(i), tensors.get(i), 1e-4);
    }
  }

  /** A rate that is written anew for each step, a count, and a verdict that says go. */
  private static OptimOps.Pace pace(Fresh fresh) {
    return pace(fresh, 0, 0, 0, 1);
  }

  private static OptimOps.Pace pace(Fresh fresh, float rate, float steps, float wrong, float share) {
    return new OptimOps.Pace(fresh.vector(rate), fresh.vector(steps), fresh.vector(wrong, 7, 8, 9, 10, 11, share));
  }

  @OnEveryBackend
  void sgdFollowsTheScalarRuleOverManySteps(Backend backend) {
    Fresh fresh = new Fresh(backend, 1);
    Group w = new Group(fresh, true), g = new Group(fresh, false), v = new Group(fresh, false);
    OptimOps.Pace pace = pace(fresh);
    for (int step = 0; step < 40; step++) {
      float rate = 0.1f / (1 + step), momentum = 0.9f, share = step % 2 == 0 ? 1 : 0.3f;
      g.draw(backend);
      backend.fill(pace.rate(), rate);
      backend.write(pace.verdict(), new float[] {0, 7, 8, 9, 10, 11, share});
      backend.optim().sgd(w.tensors, g.tensors, v.tensors, DECAY, momentum, pace);
      for (int i = 0; i < SIZES.length; i++) {
        double[] ws = w.exact.get(i), vs = v.exact.get(i);
        for (int k = 0; k < ws.length; k++) {
          vs[k] = momentum * vs[k] + share * g.exact.get(i)[k] + DECAY[i] * ws[k];
          ws[k] -= rate * vs[k];
        }
      }
    }
    w.compare("w");
    v.compare("v");
  }

  @OnEveryBackend
  void adamWithTheCorrectionsInItsRateFollowsMxnetsRuleOverManySteps(Backend backend) {
    Fresh fresh = new Fresh(backend, 2);
    Group w = new Group(fresh, true), g = new Group(fresh, false), m = new Group(fresh, false), v = new Group(fresh, false);
    double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
    float share = 0.3f;
    OptimOps.Pace pace = pace(fresh, 1e-2f, 0, 0, share);
    for (int step = 1; step <= 40; step++) {
      double rate = 1e-2 * Math.sqrt(1 - Math.pow(beta2, step)) / (1 - Math.pow(beta1, step));
      g.draw(backend);
      backend.optim().adam(w.tensors, g.tensors, m.tensors, v.tensors, DECAY, (float) beta1, (float) beta2, (float) epsilon, false, pace);
      for (int i = 0; i < SIZES.length; i++) {
        for (int k = 0; k < SIZES[i]; k++) {
          double grad = share * g.exact.get(i)[k] + DECAY[i] * w.exact.get(i)[k];
          m.exact.get(i)[k] = beta1 * m.exact.get(i)[k] + (1 - beta1) * grad;
          v.exact.get(i)[k] = beta2 * v.exact.get(i)[k] + (1 - beta2) * grad * grad;
          w.exact.get(i)[k] -= rate * m.exact.get(i)[k] / (Math.sqrt(v.exact.get(i)[k]) + epsilon);
        }
      }
    }
    w.compare("w");
    m.compare("m");
    v.compare("v");
  }

  @OnEveryBackend
  void radamChangesFromPlainMomentumToTheRectifiedStepPastALengthOfFive(Backend backend) {
    Fresh fresh = new Fresh(backend, 3);
    Group w = new Group(fresh, true), g = new Group(fresh, false), m = new Group(fresh, false), v = new Group(fresh, false);
    double beta1 = 0.95, beta2 = 0.999, epsilon = 1e-5, longest = 2 / (1 - beta2) - 1;
    int plain = 0, rectified = 0;
    OptimOps.Pace pace = pace(fresh);
    backend.fill(pace.rate(), 2e-3f);
    for (int step = 1; step <= 20; step++) {
      double power = Math.pow(beta2, step), length = longest - 2 * step * power / (1 - power);
      boolean divide = length > 5;
      double rate = 2e-3 / (1 - Math.pow(beta1, step));
      if (divide) {
        rate *= Math.sqrt((1 - power) * (length - 4) / (longest - 4) * (length - 2) / length * longest / (longest - 2));
        rectified++;
      } else {
        plain++;
      }
      g.draw(backend);
      backend.optim().adam(w.tensors, g.tensors, m.tensors, v.tensors, DECAY, (float) beta1, (float) beta2, (float) epsilon, true, pace);
      for (int i = 0; i < SIZES.length; i++) {
        for (int k = 0; k < SIZES[i]; k++) {
          double grad = g.exact.get(i)[k] + DECAY[i] * w.exact.get(i)[k];
          m.exact.get(i)[k] = beta1 * m.exact.get(i)[k] + (1 - beta1) * grad;
          v.exact.get(i)[k] = beta2 * v.exact.get(i)[k] + (1 - beta2) * grad * grad;
          w.exact.get(i)[k] -= rate * (divide ? m.exact.get(i)[k] / (Math.sqrt(v.exact.get(i)[k]) + epsilon) : m.exact.get(i)[k]);
        }
      }
    }
    assertTrue(plain > 0 && rectified > 0);
    w.compare("w");
  }

  @OnEveryBackend
  void oneStepFromZeroIsExactlyTheRule(Backend backend) {
    Fresh fresh = new Fresh(backend, 4);
    Tensor w = fresh.vector(2), v = fresh.vector(0);
    OptimOps.Pace pace = pace(fresh, 0.25f, 41, 0, 1);
    backend.optim().sgd(List.of(w), List.of(fresh.vector(1)), List.of(v), new float[] {0.5f}, 0.9f, pace);
    fresh.assertExactly("steps", new float[] {42}, pace.steps());
    fresh.assertExactly("v", new float[] {2}, v);
    fresh.assertExactly("w", new float[] {1.5f}, w);
  }

  @OnEveryBackend
  void aSkippedUpdateChangesNothingAndIsNotCounted(Backend backend) {
    Fresh fresh = new Fresh(backend, 7);
    float[] start = fresh.normal(5000), bad = fresh.normal(5000);
    bad[4321] = Float.NaN;
    for (float flag : new float[] {-1, 3}) {
      Tensor w = fresh.vector(start), m = fresh.vector(start), v = fresh.vector(start), g = fresh.vector(bad);
      OptimOps.Pace pace = pace(fresh, 0.25f, 41, flag, 1);
      backend.optim().sgd(List.of(w), List.of(g), List.of(m), new float[] {0.5f}, 0.9f, pace);
      backend.optim().adam(List.of(w), List.of(g), List.of(m), List.of(v), new float[] {0.5f}, 0.9f, 0.99f, 1e-8f, false, pace);
      for (Tensor same : List.of(w, m, v)) fresh.assertExactly("tensor", start, same);
      fresh.assertExactly("steps", new float[] {41}, pace.steps());
    }
  }

  @OnEveryBackend
  void aVerdictNamesTheLossOrTheFirstTensorThatIsNotFiniteAndStateGoesBackThen(Backend backend) {
    Fresh fresh = new Fresh(backend, 6);
    Tensor whole = fresh.vector(fresh.normal(4097)), infinite = fresh.vector(Float.POSITIVE_INFINITY), result = fresh.vector(0.5f, 3, 4);
    float[] moved = fresh.normal(300), before = fresh.normal(300);
    List<Tensor> state = List.of(fresh.vector(moved), fresh.vector(7)), kept = List.of(fresh.vector(before), fresh.vector(8)), none = List.of();
    for (int at : new int[] {0, 4095, 4096, 8999}) {
      float[] values = fresh.normal(9000);
      values[at] = at % 2 == 0 ? Float.NaN : Float.NEGATIVE_INFINITY;
      assertVerdict(backend, fresh, "bad at " + at, new float[] {2, 0.5f, 3, 4, 0.25f}, result, fresh.vector(0.25f), List.of(whole, fresh.vector(values), infinite), none, none);
    }
    assertVerdict(backend, fresh, "all is well", new float[] {0, 0.5f, 3, 4, 0}, result, null, List.of(whole), state, kept);
    fresh.assertExactly("state that stays", moved, state.getFirst());
    assertVerdict(backend, fresh, "no penalty", new float[] {2, 0.5f, 3, 4, 0}, result, null, List.of(whole, infinite), state, kept);
    fresh.assertExactly("state that goes back", before, state.getFirst());
    fresh.assertExactly("state that goes back", new float[] {8}, state.getLast());
    assertVerdict(backend, fresh, "the loss comes first", new float[] {-1, Float.POSITIVE_INFINITY, 3, 4, 0}, fresh.vector(Float.POSITIVE_INFINITY, 3, 4), null, none,
        List.of(fresh.vector(1)), List.of(kept.getLast()));
    OptimOps ops = backend.optim();
    assertRefused("judge: verdict has 1 values; it must have 7", () -> ops.judge(infinite, result, null, none, 0, none, none));
    assertRefused("judge: 2 values, 0 kept; they must be equal", () -> ops.judge(fresh.garbage(OptimOps.VERDICT), result, null, none, 0, state, none));
  }

  /** A verdict but for the norm; gradients that are not finite are not made shorter. */
  private static void assertVerdict(Backend backend, Fresh fresh, String name, float[] want, Tensor result, Tensor penalty, List<Tensor> tensors, List<Tensor> state,
      List<Tensor> kept) {
    Tensor verdict = fresh.garbage(OptimOps.VERDICT);
    backend.optim().judge(verdict, result, penalty, tensors, want[0] == 0 ? 0 : 1e-3f, state, kept);
    float[] found = backend.read(verdict);
    assertArrayEquals(want, Arrays.copyOf(found, want.length), name);
    assertEquals(1, found[OptimOps.SHARE], name);
  }

  @OnEveryBackend
  void aVerdictHasTheLengthOfAllTensorsAndWhatMakesThemShortEnough(Backend backend) {
    Fresh fresh = new Fresh(backend, 11);
    float[] one = fresh.normal(1), many = fresh.normal(9000);
    for (float first : new float[] {one[0], -0f, 3e38f, 1e-30f}) {   // a square that is no float, one that is 0 in float
      float[] short1 = {first};
      double squares = (double) first * first;
      List<Tensor> tensors = first == 1e-30f ? List.of(fresh.vector(short1)) : List.of(fresh.vector(short1), fresh.vector(many));
      if (tensors.size() > 1) for (float v : many) squares += (double) v * v;
      float norm = (float) Math.sqrt(squares);
      for (float largest : new float[] {0, 0.25f * norm, norm, 1.01f * norm}) {
        Tensor verdict = fresh.garbage(OptimOps.VERDICT);
        backend.optim().judge(verdict, fresh.vector(1, 2, 3), null, tensors, largest, List.of(), List.of());
        float[] found = backend.read(verdict);
        assertEquals(norm, found[5], 1e-7 * norm, "norm");
        assertEquals(largest == 0.25f * norm ? 0.25 : 1, found[6], 1e-6, "share at " + largest + " of " + norm);   // at norm itself, 1 or a rounding below
      }
    }
    Tensor verdict = fresh.garbage(OptimOps.VERDICT);
    backend.optim().judge(verdict, fresh.vector(1, 2, 3), null, List.of(fresh.vector(0, -0f)), 1, List.of(), List.of());
    fresh.assertExactly("nothing but zeros", new float[] {0, 1, 2, 3, 0, 0, 1}, verdict);
  }

  @OnEveryBackend
  void manyTensorsAreCopiedInOneOp(Backend backend) {
    Fresh fresh = new Fresh(backend, 8);
    float[] small = fresh.normal(3), large = fresh.normal(8193);
    List<Tensor> from = List.of(fresh.vector(small), fresh.vector(large));
    List<Tensor> to = List.of(fresh.vector(new float[3]), fresh.vector(new float[8193]));
    backend.optim().copyAll(to, from);
    fresh.assertExactly("small", small, to.get(0));
    fresh.assertExactly("large", large, to.get(1));
    backend.optim().copyAll(List.of(), List.of());
    assertRefused("copyAll: 0 values, 2 from; they must be equal", () -> backend.optim().copyAll(List.of(), from));
  }

  @OnEveryBackend
  void manyTensorsAreAddedInOneOp(Backend backend) {
    Fresh fresh = new Fresh(backend, 10);
    List<Tensor> to = new ArrayList<>(), from = new ArrayList<>();
    List<float[]> wanted = new ArrayList<>();
    for (int size : SIZES) {
      float[] sum = fresh.normal(size), added = fresh.normal(size);
      to.add(fresh.vector(sum));
      from.add(fresh.vector(added));
      for (int i = 0; i < size; i++) sum[i] += added[i];
      wanted.add(sum);
    }
    backend.optim().addAll(to, from);
    for (int i = 0; i < SIZES.length; i++) fresh.assertExactly("sum " + i, wanted.get(i), to.get(i));
    assertRefused("addAll: 0 values, " + SIZES.length + " from; they must be equal", () -> backend.optim().addAll(List.of(), from));
  }

  @OnEveryPrecision
  void manyTensorsAreRoundedInOneOp(Backend backend) {
    Fresh fresh = new Fresh(backend, 9, false);
    float[] small = fresh.normal(3), large = fresh.normal(8193);
    small[1] = Float.NaN;
    List<Tensor> from = List.of(fresh.vector(small), fresh.vector(large));
    List<Tensor> to = List.of(backend.create(Shape.vector(3), backend.activations()), backend.create(Shape.vector(8193), backend.activations()));
    Fresh held = new Fresh(backend, 0);
    backend.optim().copyAll(to, from);
    fresh.assertExactly("small", held.rounded(small), to.get(0));
    fresh.assertExactly("large", held.rounded(large), to.get(1));
    if (backend.activations() == ElementType.FLOAT32) return;
    assertRefused("copyAll: from is BFLOAT16; it must be FLOAT32", () -> backend.optim().copyAll(from, to));
  }

  @OnEveryBackend
  void unequalListsAreRefusedInWords(Backend backend) {
    Fresh fresh = new Fresh(backend, 5);
    List<Tensor> one = List.of(fresh.garbage(4)), two = List.of(fresh.garbage(4), fresh.garbage(4)), other = List.of(fresh.garbage(Shape.vector(3)));
    OptimOps ops = backend.optim();
    OptimOps.Pace pace = pace(fresh), wide = new OptimOps.Pace(pace.rate(), fresh.garbage(2), pace.verdict()), less = new OptimOps.Pace(pace.rate(), pace.steps(), fresh.garbage(6));
    assertRefused("sgd: steps has 2 values; it must have 1", () -> ops.sgd(one, one, one, new float[1], 0, wide));
    assertRefused("sgd: verdict has 6 values; it must have 7", () -> ops.sgd(one, one, one, new float[1], 0, less));
    assertRefused("adam: verdict has 6 values; it must have 7", () -> ops.adam(one, one, one, one, new float[1], 0, 0, 0, true, less));
    assertRefused("sgd: 1 values, 2 gradients; they must be equal", () -> ops.sgd(one, two, one, new float[1], 0, pace));
    assertRefused("sgd: velocities 0 [3] has 3 values, value [4] has 4; they must be equal", () -> ops.sgd(one, one, other, new float[1], 0, pace));
    assertRefused("sgd: 1 values, 2 decays; they must be equal", () -> ops.sgd(one, one, one, new float[2], 0, pace));
    assertRefused("adam: first 0 [3] has 3 values, value [4] has 4; they must be equal",
        () -> ops.adam(one, one, other, one, new float[1], 0, 0, 0, true, pace));
    assertRefused("adam: 1 values, 2 second; they must be equal", () -> ops.adam(one, one, one, two, new float[1], 0, 0, 0, true, pace));
    assertRefused("adam: 1 values, 2 gradients; they must be equal", () -> ops.adam(one, two, one, one, new float[1], 0, 0, 0, true, pace));
    assertRefused("adam: 1 values, 2 decays; they must be equal", () -> ops.adam(one, one, one, one, new float[2], 0, 0, 0, true, pace));
    assertRefused("adam: steps has 2 values; it must have 1", () -> ops.adam(one, one, one, one, new float[1], 0, 0, 0, true, wide));
  }
}
