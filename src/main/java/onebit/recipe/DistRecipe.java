package onebit.recipe;

import java.util.Optional;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.Range;

/**
 * How the processes of a run work together.
 *
 * <pre>
 * Units     reduce is how gradients travel; syncBatchNorm takes batch statistics over all processes instead of each its own; a bucket of
 *           gradients leaves when it holds bucketMegabytes; timeoutSeconds is the longest wait for a process before all stop; normImages is how many images
 *           batch norm saw at a time in the published run (absent = nobody knows): a run in which it sees more or fewer says so
 * </pre>
 */
public record DistRecipe(
    @Default("float32") Reduce reduce,
    @Default("false") boolean syncBatchNorm,
    @Default("4") @Range(min = 0.001, max = 1024) double bucketMegabytes,
    @Default("600") @Range(min = 1, max = 86_400) int timeoutSeconds,
    @Range(min = 1) Optional<Integer> normImages) {

  /** The type gradients have on their way. */
  public enum Reduce { FLOAT32, BFLOAT16 }
}
