package onebit.ops;

import java.util.List;
import onebit.tensor.Tensor;

/** Optimizer updates over many tensors at once; index i of every list belongs together. */
public interface OptimOps {
  /**
   * v = momentum v + (g + decay w); w = w - rate v.
   *
   * <pre>
   * Source  PyTorch's SGD, no dampening, no Nesterov
   * </pre>
   */
  void sgd(List<Tensor> values, List<Tensor> gradients, List<Tensor> velocities, float[] decay, float rate, float momentum);

  /**
   * m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w = w - rate m / (sqrt(v) + epsilon), with g taken with its decay.
   *
   * <pre>
   * Units   rate holds the bias corrections already (MXNet's form); divide = false leaves the division out (RAdam's warm-up)
   * Source  Kingma and Ba 2015; Liu et al. 2020 (RAdam, arXiv 1908.03265); MXNet 1.5 optimizer.py for the form
   * </pre>
   */
  void adam(List<Tensor> values, List<Tensor> gradients, List<Tensor> first, List<Tensor> second, float[] decay, float rate, float beta1,
      float beta2, float epsilon, boolean divide);

  /** counts[i] = the number of values of tensor i that are NaN or infinite: what a step asks of all gradients at once. */
  void countNonFinite(Tensor counts, List<Tensor> tensors);
}
