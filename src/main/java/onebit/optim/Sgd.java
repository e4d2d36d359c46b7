package onebit.optim;

import java.util.List;
import java.util.function.ToDoubleFunction;
import onebit.ops.Backend;
import onebit.tensor.Parameter;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/**
 * v = momentum v + (g + decay w); w = w - rate v.
 *
 * <pre>
 * Source  PyTorch's SGD without dampening and Nesterov
 * </pre>
 */
public final class Sgd implements Optimizer {
  private final Backend backend;
  private final float momentum;
  private final List<Tensor> values;
  private final List<Tensor> gradients;
  private final List<StateTensor> state;
  private final List<Tensor> velocities;
  private final float[] decay;
  private long steps;

  public Sgd(Backend backend, List<Parameter> parameters, double momentum, ToDoubleFunction<Parameter> decay) {
    this.backend = backend;
    this.momentum = (float) momentum;
    this.values = parameters.stream().map(Parameter::value).toList();
    this.gradients = parameters.stream().map(Parameter::gradient).toList();
    this.state = Optimizer.tensorsLike(backend, "velocity", parameters);
    this.velocities = state.stream().map(StateTensor::value).toList();
    this.decay = Optimizer.decays(parameters, decay);
  }

  @Override
  public void step(double learningRate) {
    backend.optim().sgd(values, gradients, velocities, decay, (float) learningRate, momentum);
    steps++;
  }

  @Override
  public List<StateTensor> state() {
    return state;
  }

  @Override
  public long steps() {
    return steps;
  }

  @Override
  public void steps(long done) {
    steps = done;
  }
}
