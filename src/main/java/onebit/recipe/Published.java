package onebit.recipe;

import java.util.Optional;
import onebit.recipe.keys.Range;

/**
 * The result to reach, as it was published: per cent on the test set, best epoch.
 *
 * <pre>
 * Units     map: mean average precision, for networks that detect, in place of top1; epochs and batch are those of the published run, all stages and all devices together; absent where nobody published them
 * </pre>
 */
public record Published(
    @Range(min = 0, max = 100) Optional<Double> top1,
    @Range(min = 0, max = 100) Optional<Double> top5,
    @Range(min = 0, max = 100) Optional<Double> map,
    @Range(min = 1) Optional<Integer> epochs,
    @Range(min = 1) Optional<Integer> batch,
    String source,
    Status status,
    Optional<Status> top5Status) {

  /** @throws IllegalArgumentException unless it is either an accuracy or a mean average precision */
  public Published {
    if (top1.isPresent() == map.isPresent()) throw new IllegalArgumentException("published has top1 or map, one of the two");
  }

  /** The number to reach: the accuracy, or the mean average precision of a network that detects. */
  public double score() {
    return top1.or(() -> map).orElseThrow();
  }

  /** Where the number was read; top5Status says so for top5 where it differs. */
  public enum Status { PAPER, README, WIKI, LARQ, THIRD_PARTY, FROM_MEMORY }
}
