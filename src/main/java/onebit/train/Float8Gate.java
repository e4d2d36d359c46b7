package onebit.train;

import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import onebit.checkpoint.CheckpointException;
import onebit.dist.Communicator;
import onebit.layers.GradientError;
import onebit.tensor.Tensor;

/**
 * Lets a run with float8 gradients go on only while they are near those that are not rounded: every binary layer's, on the run's own images.
 *
 * <pre>
 * Cost  a forward and a backward of at most {@value #IMAGES} images at the first step of every epoch, both kinds of gradients, read by the host
 * </pre>
 */
final class Float8Gate {
  private static final int IMAGES = 16;

  private final TrainStep step;
  private final Communicator communicator;
  private final double limit;
  private final Consumer<String> tell;
  private int epoch = -1;
  private double worst;

  Float8Gate(TrainStep step, Communicator communicator, double limit, Consumer<String> tell) {
    this.step = step;
    this.communicator = communicator;
    this.limit = limit;
    this.tell = tell;
  }

  /** The largest error of the last measurement. */
  double worst() {
    return worst;
  }

  /** The epoch of the last measurement; -1 before the first. */
  int epoch() {
    return epoch;
  }

  /** Takes over what an earlier part of the run measured in an epoch, which the rest of it is not measured again in; above the limit of now it is. */
  void measured(int epochOf, double worstThen) {
    if (worstThen > limit) return;
    epoch = epochOf;
    worst = worstThen;
  }

  /**
   * Measures at the first batch of an epoch, on every rank; where the run was stopped since, not again.
   *
   * @throws CheckpointException on every rank, if a layer of any is above the limit or has gradients that are not finite
   */
  void pass(int epochNow, Tensor x, Truth truth) throws CheckpointException {
    if (epoch == epochNow) return;
    epoch = epochNow;
    List<GradientError> errors = step.gradientErrors(x, truth, IMAGES);
    step.realign();
    long[] own = errors.stream().mapToLong(error -> Double.doubleToLongBits(error.worst())).toArray();
    long[][] all = communicator.size() == 1 ? new long[][] {own} : communicator.allGather(own);
    int at = 0;
    worst = 0;
    for (long[] row : all) {
      for (int i = 0; i < row.length; i++) {
        double error = Double.longBitsToDouble(row[i]);
        if (Double.compare(error, worst) <= 0) continue;
        worst = error;
        at = i;
      }
    }
    String where = communicator.size() == 1 ? errors.get(at).where() : errors.get(at).layer();
    if (worst <= limit) {
      tell.accept(String.format(Locale.ROOT, "Float8 gradients before epoch %d: the worst of %d binary layers, %s, is off by %.4f of its norm; the limit is %s.", epoch + 1,
          errors.size(), where, worst, limit));
      return;
    }
    throw new CheckpointException(String.format(Locale.ROOT, "train.gradients float8: before epoch %d %s is off by %.4g of the norm of what is not rounded, more than"
        + " train.float8Limit %s; go on with train.gradients=bfloat16 or a larger limit", epoch + 1, where, worst, limit));
  }
}
