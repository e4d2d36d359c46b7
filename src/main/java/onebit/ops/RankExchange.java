package onebit.ops;

import onebit.tensor.Tensor;

/** The one thing a layer may ask of the other processes of a run: everybody's values of a small tensor. */
public interface RankExchange {
  /** How many processes take part. */
  int size();

  /**
   * all[r] = own of process r, in the order of the backend's other work.
   *
   * <pre>
   * Shapes  own [n], all [size][n], float32
   * </pre>
   */
  void allGather(Tensor all, Tensor own);
}
