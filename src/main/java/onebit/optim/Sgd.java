package onebit.optim;

import java.util.List;
import java.util.function.ToDoubleFunction;
import onebit.ops.Backend;
import onebit.ops.OptimOps;
import onebit.tensor.Parameter;
import onebit.tensor.Tensor;

/**
 * v = momentum v + (g + decay w); w = w - rate v.
 *
 * <pre>
 * Source  PyTorch's SGD without dampening and Nesterov
 * </pre>
 */
public final class Sgd extends Optimizer {
  private final float momentum;

  public Sgd(Backend backend, List<Parameter> parameters, double momentum, ToDoubleFunction<Parameter> decay) {
    super(Kept.of(backend, parameters, decay, "velocity"));
    this.momentum = (float) momentum;
  }

  @Override
  public void step(Tensor verdict) {
    kept.backend().optim().sgd(kept.values(), kept.gradients(), kept.moments().get(0), kept.decay(), momentum,
        new OptimOps.Pace(kept.rate(), kept.steps(), verdict));
  }
}
