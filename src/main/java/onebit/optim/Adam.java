package onebit.optim;

import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;
import onebit.ops.Backend;
import onebit.ops.OptimOps;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/**
 * Adam and its rectified form, with the bias corrections folded into the rate as MXNet computes them.
 *
 * <pre>
 * Source  Kingma and Ba 2015; Liu et al. 2020 (RAdam, arXiv 1908.03265); BMXNet-v2 python/mxnet/optimizer/contrib.py for RAdam's form
 * Differs epsilon is added to sqrt(v) before its bias correction (MXNet), not after (PyTorch)
 * </pre>
 */
public final class Adam implements Optimizer {
  private final Backend backend;
  private final float beta1;
  private final float beta2;
  private final float epsilon;
  private final boolean rectified;
  private final List<Tensor> values;
  private final List<Tensor> gradients;
  private final List<StateTensor> state;
  private final List<Tensor> first;
  private final List<Tensor> second;
  private final float[] decay;
  private final Tensor rate;
  private final Tensor steps;

  public Adam(Backend backend, List<Parameter> parameters, double beta1, double beta2, double epsilon, boolean rectified,
      ToDoubleFunction<Parameter> decay) {
    this.backend = backend;
    this.beta1 = (float) beta1;
    this.beta2 = (float) beta2;
    this.epsilon = (float) epsilon;
    this.rectified = rectified;
    this.values = parameters.stream().map(Parameter::value).toList();
    this.gradients = parameters.stream().map(Parameter::gradient).toList();
    List<StateTensor> firstState = Optimizer.tensorsLike(backend, "first", parameters);
    List<StateTensor> secondState = Optimizer.tensorsLike(backend, "second", parameters);
    this.first = firstState.stream().map(StateTensor::value).toList();
    this.second = secondState.stream().map(StateTensor::value).toList();
    this.state = new ArrayList<>(firstState);
    this.state.addAll(secondState);
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
    backend.optim().adam(values, gradients, first, second, decay, beta1, beta2, epsilon, rectified, new OptimOps.Pace(rate, steps, skip));
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
