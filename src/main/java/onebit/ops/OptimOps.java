package onebit.ops;

import java.util.List;
import onebit.tensor.Tensor;

/** What ends a step, over many tensors at once; index i of every list belongs together. */
public interface OptimOps {
  /**
   * What an update asks at the moment it runs: nothing of it is decided on the host.
   *
   * <pre>
   * Shapes  one value each
   * Units   rate: the learning rate; steps: updates done so far, which the update counts, exact below 2^24; skip: other than 0 leaves everything as it is
   * </pre>
   */
  record Pace(Tensor rate, Tensor steps, Tensor skip) {}

  /** Below this length of the simple moving average RAdam takes a plain momentum step. */
  double SHORTEST_AVERAGE = 5;

  /**
   * v = momentum v + (g + decay w); w = w - rate v.
   *
   * <pre>
   * Source  PyTorch's SGD, no dampening, no Nesterov
   * </pre>
   */
  void sgd(List<Tensor> values, List<Tensor> gradients, List<Tensor> velocities, float[] decay, float momentum, Pace pace);

  /**
   * m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w = w - r m / (sqrt(v) + epsilon), with g taken with its decay.
   *
   * <pre>
   * Units   r is the rate with the bias corrections of this update in it (MXNet's form); a rectified warm-up leaves the division out
   * Source  Kingma and Ba 2015; Liu et al. 2020 (RAdam, arXiv 1908.03265); MXNet 1.5 optimizer.py for the form
   * </pre>
   */
  void adam(List<Tensor> values, List<Tensor> gradients, List<Tensor> first, List<Tensor> second, float[] decay, float beta1, float beta2,
      float epsilon, boolean rectified, Pace pace);

  /**
   * verdict = {what is wrong, the three values of result, penalty}: all that the host has to know of a step; where something is wrong, each tensor of state
   * = its twin of kept.
   *
   * <pre>
   * Shapes  verdict {@value #VERDICT} values; result 3 values, the loss first; penalty 1 value, or null for 0
   * Units   what is wrong: 0 nothing, -1 the loss is NaN or infinite, i + 1 tensor i is the first that holds NaN or infinity
   * </pre>
   */
  void judge(Tensor verdict, Tensor result, Tensor penalty, List<Tensor> tensors, List<Tensor> state, List<Tensor> kept);

  /** Values of a verdict. */
  int VERDICT = 5;

  /** Each tensor of to += its twin of from. */
  void addAll(List<Tensor> to, List<Tensor> from);

  /** Each tensor of to = its twin of from, which is float32; all of to may be bfloat16, and is rounded then. */
  void copyAll(List<Tensor> to, List<Tensor> from);
}
