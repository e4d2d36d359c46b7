package onebit.recipe;

import java.util.Optional;
import onebit.binarize.Method;
import onebit.models.Network;
import onebit.recipe.keys.Default;

/** Everything that decides a run, as written in one YAML file. */
public record Recipe(
    String description,
    Method method,
    Network network,
    DataRecipe data,
    OptimizerRecipe optimizer,
    ScheduleRecipe schedule,
    TrainRecipe train,
    @Default("{}") TeacherRecipe teacher,
    @Default("{}") CheckpointRecipe checkpoint,
    @Default("{}") DistRecipe dist,
    Optional<Published> published) {

  /** @throws IllegalArgumentException if the schedule does not fit the epochs, or a batch has fewer images than parts */
  public Recipe {
    schedule.over(train.epochs(), optimizer.learningRate());
    if (train.gradientAccumulation() > data.batch()) {
      throw new IllegalArgumentException("train.gradientAccumulation is " + train.gradientAccumulation() + "; it must be <= data.batch, " + data.batch());
    }
  }
}
