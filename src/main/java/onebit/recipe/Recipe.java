package onebit.recipe;

import java.util.List;
import java.util.Optional;
import onebit.binarize.Method;
import onebit.binarize.Surrogates;
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

  /** @throws IllegalArgumentException if the schedule does not fit the epochs, a batch has fewer images than parts, or network, images and
   *     teacher do not belong together */
  public Recipe {
    schedule.over(train.epochs(), optimizer.learningRate());
    if (train.gradientAccumulation() > data.batch()) {
      throw new IllegalArgumentException("train.gradientAccumulation is " + train.gradientAccumulation() + "; it must be <= data.batch, " + data.batch());
    }
    if (network.detects() != data.hasBoxes()) {
      throw new IllegalArgumentException("data.name is " + Recipes.word(data.name()) + ", whose images have " + (data.hasBoxes() ? "boxes" : "no boxes")
          + "; the network finds " + (network.detects() ? "boxes: give it voc or figures" : "a class for each image: give it another data set"));
    }
    if (network.detects() && teacher.teaches()) throw new IllegalArgumentException("teacher.network: a network that finds boxes does not learn from a teacher");
  }

  /** Levels and slopes of the last epoch, by which a trained network is evaluated. */
  public Surrogates lastSurrogates() {
    return method.at(train.epochs() - 1, train.epochs());
  }

  /** A sentence for each key that is not left at its default and has no effect beside the others. */
  public List<String> idle() {
    return IdleKeys.of(this);
  }
}
