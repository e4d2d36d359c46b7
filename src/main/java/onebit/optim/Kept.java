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
 * What an optimizer works on and keeps between steps; lists are in the order of the parameters.
 *
 * <pre>
 * Shapes  moments: one list of tensors like the parameters per name; rate and steps: 1 value, where the update reads them; fine: a verdict that nothing is wrong
 * </pre>
 *
 * @param saved the moments under the names name/parameter
 */
record Kept(Backend backend, List<Tensor> values, List<Tensor> gradients, float[] decay, List<List<Tensor>> moments, List<StateTensor> saved, Tensor rate,
    Tensor steps, Tensor fine) {

  /** Zeroed moments of those names for the parameters, each with its own decay. */
  static Kept of(Backend backend, List<Parameter> parameters, ToDoubleFunction<Parameter> decay, String... names) {
    List<List<Tensor>> moments = new ArrayList<>();
    List<StateTensor> saved = new ArrayList<>();
    for (String name : names) {
      List<StateTensor> one = parameters.stream()
          .map(p -> new StateTensor(name + "/" + p.name(), backend.create(p.value().shape()), p.value().shape().dims())).toList();
      moments.add(one.stream().map(StateTensor::value).toList());
      saved.addAll(one);
    }
    float[] decays = new float[parameters.size()];
    for (int i = 0; i < decays.length; i++) decays[i] = (float) decay.applyAsDouble(parameters.get(i));
    Tensor fine = backend.create(Shape.vector(OptimOps.VERDICT));
    float[] verdict = new float[OptimOps.VERDICT];
    verdict[OptimOps.SHARE] = 1;
    backend.write(fine, verdict);
    return new Kept(backend, parameters.stream().map(Parameter::value).toList(), parameters.stream().map(Parameter::gradient).toList(), decays, moments,
        List.copyOf(saved), backend.create(Shape.vector(1)), backend.create(Shape.vector(1)), fine);
  }
}
