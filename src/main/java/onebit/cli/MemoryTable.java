package onebit.cli;

import java.util.Locale;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.report.SummaryTable;
import onebit.tensor.ElementType;
import onebit.train.MemoryPlan;

/** The plan of a step's device memory as text: one line for each kind of tensor, then all in one sentence. */
final class MemoryTable {
  private MemoryTable() {}

  /** The plan of a recipe with activations of that type. */
  static String of(MemoryPlan plan, ElementType activations, Recipe recipe) {
    SummaryTable table = new SummaryTable("within a step", ">tensors", ">MB if apart", ">MB when fullest");
    for (MemoryPlan.Part part : plan.parts()) table.row(part.name(), part.count(), megabytes(part.bytes()), megabytes(part.bytesAtFullest()));
    long apart = plan.parts().stream().mapToLong(MemoryPlan.Part::bytes).sum();
    table.rule().row("all", "", megabytes(apart), megabytes(plan.liveBytes()));
    return table + String.format(Locale.ROOT, "Batch %d, activations %s, memory %s: %s MB = %s MB in one arena by lifetime + %s MB that stays (parameters, gradients,"
        + " optimizer, batch, scratch%s); libraries' workspaces and partial sums of a launch come on top. A step moves %.2f GB and multiplies"
        + " %.3f TFLOP of values.%n", plan.batch(), Recipes.word(activations),
        Recipes.word(recipe.train().memory()), megabytes(plan.bytes()), megabytes(plan.arenaBytes()), megabytes(plan.residentBytes()),
        plan.teacherBytes() == 0 ? "" : ", and " + megabytes(plan.teacherBytes()) + " MB of the teacher", plan.trafficBytes() / 1e9, plan.operations() / 1e12);
  }

  private static String megabytes(long bytes) {
    return String.format(Locale.ROOT, "%.1f", bytes / 1e6);
  }
}
