package onebit.ops;

import static onebit.ops.Fresh.assertRefused;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
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

  @OnEveryBackend
  void sgdFollowsTheScalarRuleOverManySteps(Backend backend) {
    Fresh fresh = new Fresh(backend, 1);
    Group w = new Group(fresh, true), g = new Group(fresh, false), v = new Group(fresh, false);
    for (int step = 0; step < 40; step++) {
      float rate = 0.1f / (1 + step), momentum = 0.9f;
      g.draw(backend);
      backend.optim().sgd(w.tensors, g.tensors, v.tensors, DECAY, rate, momentum);
      for (int i = 0; i < SIZES.length; i++) {
        double[] ws = w.exact.get(i), vs = v.exact.get(i);
        for (int k = 0; k < ws.length; k++) {
          vs[k] = momentum * vs[k] + g.exact.get(i)[k] + DECAY[i] * ws[k];
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
    for (int step = 1; step <= 40; step++) {
      double rate = 1e-2 * Math.sqrt(1 - Math.pow(beta2, step)) / (1 - Math.pow(beta1, step));
      g.draw(backend);
      backend.optim().adam(w.tensors, g.tensors, m.tensors, v.tensors, DECAY, (float) rate, (float) beta1, (float) beta2, (float) epsilon, true);
      for (int i = 0; i < SIZES.length; i++) {
        for (int k = 0; k < SIZES[i]; k++) {
          double grad = g.exact.get(i)[k] + DECAY[i] * w.exact.get(i)[k];
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
      backend.optim().adam(w.tensors, g.tensors, m.tensors, v.tensors, DECAY, (float) rate, (float) beta1, (float) beta2, (float) epsilon, divide);
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
    backend.optim().sgd(List.of(w), List.of(fresh.vector(1)), List.of(v), new float[] {0.5f}, 0.25f, 0.9f);
    fresh.assertExactly("v", new float[] {2}, v);
    fresh.assertExactly("w", new float[] {1.5f}, w);
  }

  @OnEveryBackend
  void nonFiniteValuesAreCountedPerTensor(Backend backend) {
    Fresh fresh = new Fresh(backend, 6);
    float[] long1 = fresh.normal(9000), whole = fresh.normal(4097);
    for (int i : new int[] {0, 4095, 4096, 8191, 8999}) long1[i] = i % 2 == 0 ? Float.NaN : Float.NEGATIVE_INFINITY;
    Tensor counts = fresh.garbage(3);
    backend.optim().countNonFinite(counts, List.of(fresh.vector(long1), fresh.vector(whole), fresh.vector(Float.POSITIVE_INFINITY)));
    fresh.assertExactly("counts", new float[] {5, 0, 1}, counts);
    assertRefused("countNonFinite: counts has 3 values; it must have 1", () -> backend.optim().countNonFinite(counts, List.of(counts)));
  }

  @OnEveryBackend
  void unequalListsAreRefusedInWords(Backend backend) {
    Fresh fresh = new Fresh(backend, 5);
    List<Tensor> one = List.of(fresh.garbage(4)), two = List.of(fresh.garbage(4), fresh.garbage(4)), other = List.of(fresh.garbage(Shape.vector(3)));
    OptimOps ops = backend.optim();
    assertRefused("sgd: 1 values, 2 gradients; they must be equal", () -> ops.sgd(one, two, one, new float[1], 1, 0));
    assertRefused("sgd: velocities 0 [3] has 3 values, value [4] has 4; they must be equal", () -> ops.sgd(one, one, other, new float[1], 1, 0));
    assertRefused("sgd: 1 values, 2 decays; they must be equal", () -> ops.sgd(one, one, one, new float[2], 1, 0));
    assertRefused("adam: first 0 [3] has 3 values, value [4] has 4; they must be equal",
        () -> ops.adam(one, one, other, one, new float[1], 1, 0, 0, 0, true));
    assertRefused("adam: 1 values, 2 second; they must be equal", () -> ops.adam(one, one, one, two, new float[1], 1, 0, 0, 0, true));
  }
}
