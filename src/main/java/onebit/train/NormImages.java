package onebit.train;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import onebit.recipe.Recipe;

/** How many images batch norm sees at a time: what is left of a batch for each process and each part, and not free to choose where a published accuracy is wanted. */
final class NormImages {
  private NormImages() {}

  /** What to say where it sees more images or fewer than in the published run, with what makes them as many. */
  static Optional<String> told(Recipe recipe, int processes) {
    if (recipe.dist().normImages().isEmpty()) return Optional.empty();
    int meant = recipe.dist().normImages().get(), batch = recipe.data().batch(), parts = recipe.train().gradientAccumulation();
    boolean together = processes > 1 && recipe.dist().syncBatchNorm();
    int part = recipe.train().part((batch + processes - 1) / processes), here = together ? part * processes : part;
    if (here == meant) return Optional.empty();
    List<String> ways = new ArrayList<>();
    if (batch % meant == 0 && batch / meant != processes) ways.add(batch / meant == 1 ? "one process" : batch / meant + " processes");
    if (here % meant == 0 && !together) ways.add("train.gradientAccumulation=" + parts * (here / meant));
    if (here < meant && !together && processes > 1 && batch == meant) ways.add("dist.syncBatchNorm=true");
    String asMany = ways.isEmpty() ? "" : "; with " + String.join(" or ", ways) + " it would see as many";
    String more = here < meant && !together && processes > 1 && batch > meant ? "; dist.syncBatchNorm=true lets it see " + part * processes : "";
    return Optional.of("Batch norm sees " + here + " images at a time, in the published run it saw " + meant + asMany + more + ".");
  }
}
