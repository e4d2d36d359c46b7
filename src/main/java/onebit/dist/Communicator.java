package onebit.dist;

import java.util.List;
import java.util.Optional;
import onebit.ops.RankExchange;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/**
 * What the processes of one run do together; every process calls the same methods in the same order.
 *
 * <p>All results are the same bits on every rank. Calls come from one thread; {@link #startMean} returns at once and its work goes on
 * beside the caller's, everything else is done when the call returns (on a GPU: ordered before the backend's later work).
 */
public interface Communicator extends RankExchange, AutoCloseable {
  /** This process among {@link #size}, from 0; rank 0 writes the run folder. */
  int rank();

  /** The engine in a few words, for the log. */
  String describe();

  /**
   * Begins to replace each tensor by its mean over the ranks; the tensors may not be touched until {@link #awaitMeans}.
   *
   * @param what   the collective's name in messages of the watchdog
   * @param travel what the values are rounded to on their way: FLOAT32 or BFLOAT16
   */
  void startMean(String what, List<Tensor> tensors, ElementType travel);

  /** Returns when all means begun are in their tensors. */
  void awaitMeans();

  /** The tensors of rank 0 on every rank. */
  void broadcast(List<Tensor> tensors);

  /** The bytes of rank 0 on every rank; the others pass null. */
  byte[] broadcast(byte[] ofRankZero);

  /** Row r is what rank r gave; all give equally many. */
  long[][] allGather(long[] own);

  /** The element-wise sum over the ranks. */
  default long[] sum(long... own) {
    long[] sum = new long[own.length];
    for (long[] row : allGather(own)) for (int i = 0; i < sum.length; i++) sum[i] += row[i];
    return sum;
  }

  /** Whether any rank says so. */
  default boolean any(boolean own) {
    return sum(own ? 1 : 0)[0] > 0;
  }

  /** Steps between two questions whether to stop: 1 where asking costs little. */
  default int stepsBetweenAgreements() {
    return 1;
  }

  /** What the engine found wrong beside the calls, such as a lost peer; empty if nothing. Any thread may ask. */
  default Optional<String> trouble() {
    return Optional.empty();
  }

  /** What this rank does together with others just now, for the watchdog. */
  Activity activity();

  /** Leaves the run in order; every rank does. */
  @Override
  void close();
}
