package onebit.optim;

import java.util.List;
import java.util.function.ToDoubleFunction;
import onebit.ops.Backend;
import onebit.ops.OptimOps;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
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
  private final Tensor rate;
  private final Tensor steps;

  public Sgd(Backend backend, List<Parameter> parameters, double momentum, ToDoubleFunction<Parameter> decay) {
    this.backend = backend;
    this.momentum = (float) momentum;
    this.values = parameters.stream().map(Parameter::value).toList();
    this.gradients = parameters.stream().map(Parameter::gradient).toList();
    this.state = Optimizer.tensorsLike(backend, "velocity", parameters);
    this.velocities = state.stream().map(StateTensor::value).toList();
    this.decay = Optimizer.decays(parameters, decay);
    this.rate = backend.create(Shape.vector(1));
    this.steps = backend.create(Shape.vector(1));
  }

  @Override
  public void learningRate(double value) {
    backend.fill(rate, (float) value);
  }

  @Override
  public void step(Tensor skip) {
    backend.optim().sgd(values, gradients, velocities, decay, momentum, new OptimOps.Pace(rate, steps, skip));
  }

  @Override
  public List<StateTensor> state() {
    return state;
  }

  @Override
  public long steps() {
    return (long) backend.read(steps)[0];
  }

  @Override
  public void steps(long done) {
    backend.fill(steps, done);
  }
}
