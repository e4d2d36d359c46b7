package onebit.optim;

import java.util.List;
import java.util.function.ToDoubleFunction;
import onebit.ops.Backend;
import onebit.tensor.Parameter;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/** Turns gradients into new parameters, and keeps what it needs between steps. */
public interface Optimizer {
  /** The learning rate of the updates asked from now on. */
  void learningRate(double rate);

  /** One update, unless the first value of skip is other than 0 when it is done; a skipped update is not counted. */
  void step(Tensor skip);

  /** Tensors to save, so that a resumed run goes on with the same bits. */
  List<StateTensor> state();

  /** Updates done so far, when all work asked is done; part of what is saved. */
  long steps();

  /** Takes up the count of a saved run. */
  void steps(long done);

  /** One zeroed tensor per parameter, named prefix/parameter. */
  static List<StateTensor> tensorsLike(Backend backend, String prefix, List<Parameter> parameters) {
    return parameters.stream()
        .map(p -> new StateTensor(prefix + "/" + p.name(), backend.create(p.value().shape()), p.value().shape().dims()))
        .toList();
  }

  /** The decay of each parameter, in order. */
  static float[] decays(List<Parameter> parameters, ToDoubleFunction<Parameter> decay) {
    float[] all = new float[parameters.size()];
    for (int i = 0; i < all.length; i++) all[i] = (float) decay.applyAsDouble(parameters.get(i));
    return all;
  }
}
