package onebit.ops;

import java.util.List;
import onebit.tensor.Tensor;

/** What ends a step, over many tensors at once; index i of every list belongs together. */
public interface OptimOps {
  /**
   * What an update asks at the moment it runs: nothing of it is decided on the host.
   *
   * <pre>
   * Shapes  rate and steps one value each; verdict {@value #VERDICT}
   * Units   rate: the learning rate; steps: updates done so far, which the update counts, exact below 2^24; verdict: as {@link #judge} gives it, other than 0 in its first
   *         value leaves everything as it is, and gradients are multiplied by its share before anything else
   * </pre>
   */
  record Pace(Tensor rate, Tensor steps, Tensor verdict) {}

  /** Below this length of the simple moving average RAdam takes a plain momentum step. */
  double SHORTEST_AVERAGE = 5;

  /**
   * v = momentum v + (g + decay w); w = w - rate v, with g multiplied by what the verdict says.
   *
   * <pre>
   * Source  PyTorch's SGD, no dampening, no Nesterov
   * </pre>
   */
  void sgd(List<Tensor> values, List<Tensor> gradients, List<Tensor> velocities, float[] decay, float momentum, Pace pace);

  /**
   * m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w = w - r m / (sqrt(v) + epsilon), with g multiplied by what the verdict says and taken with its decay.
   *
   * <pre>
   * Units   r is the rate with the bias corrections of this update in it (MXNet's form); a rectified warm-up leaves the division out
   * Source  Kingma and Ba 2015; Liu et al. 2020 (RAdam, arXiv 1908.03265); MXNet 1.5 optimizer.py for the form
   * </pre>
   */
  void adam(List<Tensor> values, List<Tensor> gradients, List<Tensor> first, List<Tensor> second, float[] decay, float beta1, float beta2,
      float epsilon, boolean rectified, Pace pace);

  /**
   * verdict = {what is wrong, the three values of result, penalty, norm, share}: all that the host and an update have to know of a step; where something is wrong, each
   * tensor of state = its twin of kept.
   *
   * <pre>
   * Shapes  verdict {@value #VERDICT} values; result 3 values, the loss first; penalty 1 value, or null for 0
   * Units   what is wrong: 0 nothing, -1 the loss is NaN or infinite, i + 1 tensor i is the first that holds NaN or infinity; norm: the length of all tensors together as
   *         one vector; share: largest / norm where nothing is wrong, largest is above 0 and norm above largest, else 1
   * Source  Pascanu et al. 2013, arXiv 1211.5063, section 3.2
   * </pre>
   */
  void judge(Tensor verdict, Tensor result, Tensor penalty, List<Tensor> tensors, float largest, List<Tensor> state, List<Tensor> kept);

  /** Values of a verdict, and which of them is the share. */
  int VERDICT = 7, SHARE = 6;

  /** Each tensor of to += its twin of from. */
  void addAll(List<Tensor> to, List<Tensor> from);

  /** Each tensor of to = its twin of from, which is float32; all of to may be bfloat16, and is rounded then. */
  void copyAll(List<Tensor> to, List<Tensor> from);
}
