package onebit.optim;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.tensor.FileLayout;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import org.junit.jupiter.api.Test;

/** Whole optimizers against scalar recurrences in double, and taken up again in the middle. */
class OptimizerTest {
  private static final double DECAY = 0.01;
  private final Backend backend = new CpuBackend();

  private Parameter parameter(float start) {
    Parameter p = new Parameter("p", backend.create(Shape.vector(1)), backend.create(Shape.vector(1)), Parameter.Kind.REAL_WEIGHT, FileLayout.SAME,
        new int[] {1});
    backend.fill(p.value(), start);
    return p;
  }

  private static double gradient(int step) {
    return Math.sin(step * 1.7) + 0.3;
  }

  private double run(Optimizer optimizer, Parameter p, int from, int to) {
    optimizer.learningRate(0.05);
    for (int t = from; t <= to; t++) {
      backend.fill(p.gradient(), (float) gradient(t));
      optimizer.step();
    }
    assertEquals(to, optimizer.steps());
    return backend.read(p.value())[0];
  }

  @Test
  void sgdFollowsItsRecurrence() {
    Parameter p = parameter(1);
    double got = run(new Sgd(backend, List.of(p), 0.9, x -> DECAY), p, 1, 20), w = 1, v = 0;
    for (int t = 1; t <= 20; t++) {
      v = 0.9 * v + gradient(t) + DECAY * w;
      w -= 0.05 * v;
    }
    assertEquals(w, got, 1e-5);
  }

  @Test
  void adamFollowsMxnetsRecurrence() {
    Parameter p = parameter(1);
    double got = run(new Adam(backend, List.of(p), 0.9, 0.999, 1e-8, false, x -> DECAY), p, 1, 20), w = 1, m = 0, v = 0;
    for (int t = 1; t <= 20; t++) {
      double g = gradient(t) + DECAY * w;
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
      w -= 0.05 * Math.sqrt(1 - Math.pow(0.999, t)) / (1 - Math.pow(0.9, t)) * m / (Math.sqrt(v) + 1e-8);
    }
    assertEquals(w, got, 1e-4);
  }

  @Test
  void rectifiedAdamTakesMomentumStepsFirstAndThenRectifiedOnes() {
    Parameter p = parameter(1);
    double got = run(new Adam(backend, List.of(p), 0.95, 0.999, 1e-5, true, x -> 0), p, 1, 12), w = 1, m = 0, v = 0;
    int plain = 0;
    double longest = 2 / (1 - 0.999) - 1;
    for (int t = 1; t <= 12; t++) {
      double g = gradient(t), beta2 = Math.pow(0.999, t), length = longest - 2 * t * beta2 / (1 - beta2), rate = 0.05 / (1 - Math.pow(0.95, t));
      m = 0.95 * m + 0.05 * g;
      v = 0.999 * v + 0.001 * g * g;
      if (length > 5) {
        double rectified = Math.sqrt((1 - beta2) * (length - 4) / (longest - 4) * (length - 2) / length * longest / (longest - 2));
        w -= rate * rectified * m / (Math.sqrt(v) + 1e-5);
      } else {
        w -= rate * m;
        plain++;
      }
    }
    assertEquals(5, plain);
    assertEquals(w, got, 1e-4);
  }

  @Test
  void stateAndCountTakenUpInTheMiddleGiveTheSameBits() {
    Parameter whole = parameter(1), first = parameter(1), second = parameter(0);
    double wanted = run(new Adam(backend, List.of(whole), 0.95, 0.999, 1e-5, true, x -> 0), whole, 1, 12);
    Adam before = new Adam(backend, List.of(first), 0.95, 0.999, 1e-5, true, x -> 0);
    run(before, first, 1, 7);
    Adam after = new Adam(backend, List.of(second), 0.95, 0.999, 1e-5, true, x -> 0);
    backend.write(second.value(), backend.read(first.value()));
    for (int i = 0; i < before.state().size(); i++) backend.write(after.state().get(i).value(), backend.read(before.state().get(i).value()));
    after.steps(before.steps());
    assertEquals(wanted, run(after, second, 8, 12));
  }
}
