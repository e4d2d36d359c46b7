package onebit.train;

import java.util.Locale;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import onebit.recipe.CheckpointRecipe;

/**
 * When a checkpoint is due beside the one after every epoch: by steps, by time, and never for more than 2 % of the time.
 *
 * <p>Time is that since the checkpoint before on a clock that only goes forward: the computer's time of day may jump as it likes.
 */
final class CheckpointPace {
  /** The share of the time that checkpoints may take from training. */
  private static final double MOST_SAVING = 0.02;
  private static final double NANOS_PER_MINUTE = 60e9;

  private final CheckpointRecipe wanted;
  private final LongSupplier nanos;
  private final Consumer<String> say;
  private long savedAt;
  private long cost;
  private boolean told;

  /** nanos: {@link System#nanoTime}, or what a test has in its place. */
  CheckpointPace(CheckpointRecipe wanted, LongSupplier nanos, Consumer<String> say) {
    this.wanted = wanted;
    this.nanos = nanos;
    this.say = say;
    savedAt = nanos.getAsLong();
  }

  /** A checkpoint was taken, which held training up since begin. */
  void saved(long begin) {
    savedAt = nanos.getAsLong();
    cost = savedAt - begin;
  }

  /** Whether to take one now; busy: the disk is still at the one before. */
  boolean due(long step, boolean busy) {
    long since = nanos.getAsLong() - savedAt;
    boolean bySteps = wanted.everySteps() > 0 && step % wanted.everySteps() == 0;
    boolean byTime = wanted.everyMinutes() > 0 && since >= wanted.everyMinutes() * NANOS_PER_MINUTE;
    if (!bySteps && !byTime) return false;
    boolean affordable = cost <= MOST_SAVING * since;
    if ((!affordable || busy) && !told) {
      told = true;
      say.accept("Checkpoints are written less often than checkpoint." + (bySteps ? "everySteps" : "everyMinutes") + " asks: " + (busy
          ? "the disk is still writing the one before."
          : String.format(Locale.ROOT, "each holds training up for %.0f ms, and they may take 2 %% of the time.", cost / 1e6)));
    }
    return affordable && !busy;
  }
}
