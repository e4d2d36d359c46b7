package onebit.recipe;

import java.util.Optional;
import onebit.recipe.keys.Range;

/**
 * The result to reach, as it was published: per cent on the test set, best epoch.
 *
 * <pre>
 * Units     epochs and batch are those of the published run, all stages and all devices together; absent where nobody published them
 * </pre>
 */
public record Published(
    @Range(min = 0, max = 100) double top1,
    @Range(min = 0, max = 100) Optional<Double> top5,
    @Range(min = 1) Optional<Integer> epochs,
    @Range(min = 1) Optional<Integer> batch,
    String source,
    Status status,
    Optional<Status> top5Status) {

  /** Where the number was read; top5Status says so for top5 where it differs. */
  public enum Status { PAPER, README, WIKI, LARQ, THIRD_PARTY, FROM_MEMORY }
}
