package onebit.recipe;

import java.util.List;
import onebit.optim.Schedule;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.Range;

/** The learning rate's curve, with the keys and formulas of {@link Schedule}. */
public record ScheduleRecipe(
    Schedule.Shape name,
    @Default("epoch") Schedule.Per per,
    @Default("0") @Range(min = 0, max = 1000) int warmupEpochs,
    @Default("[]") @Range(min = 1, max = 100_000) List<Integer> milestones,
    @Default("0.1") @Range(min = 0, exclusiveMin = true, max = 1) double factor,
    @Default("0") @Range(min = -10, max = 10) int cosineStart) {

  /** The schedule of a run of so many epochs. */
  public Schedule over(int epochs, double learningRate) {
    return new Schedule(name, per, learningRate, epochs, warmupEpochs, milestones, factor, cosineStart);
  }
}
