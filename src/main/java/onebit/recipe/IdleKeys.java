package onebit.recipe;

import java.util.ArrayList;
import java.util.List;
import onebit.models.Execution;
import onebit.optim.Schedule;

/** Keys of a recipe that are not left at their defaults and change nothing, because another key takes their effect away. */
final class IdleKeys {
  private final List<String> found = new ArrayList<>();

  private IdleKeys() {}

  /** A sentence for each. */
  static List<String> of(Recipe recipe) {
    IdleKeys keys = new IdleKeys();
    OptimizerRecipe optimizer = recipe.optimizer();
    String rule = "optimizer.name is " + Recipes.word(optimizer.name());
    boolean sgd = optimizer.name() == OptimizerRecipe.Kind.SGD;
    keys.check(!sgd && optimizer.momentum() != 0.9, "optimizer.momentum", optimizer.momentum(), rule);
    keys.check(sgd && optimizer.beta1() != 0.9, "optimizer.beta1", optimizer.beta1(), rule);
    keys.check(sgd && optimizer.beta2() != 0.999, "optimizer.beta2", optimizer.beta2(), rule);
    keys.check(sgd && optimizer.epsilon() != 1e-8, "optimizer.epsilon", optimizer.epsilon(), rule);
    ScheduleRecipe schedule = recipe.schedule();
    TrainRecipe train = recipe.train();
    String length = "train.epochs is " + train.epochs();
    keys.check(schedule.name() != Schedule.Shape.STEP && schedule.factor() != 0.1, "schedule.factor", schedule.factor(), "schedule.name is " + Recipes.word(schedule.name()));
    boolean rises = schedule.warmupEpochs() >= train.epochs();
    keys.check(rises && schedule.name() != Schedule.Shape.CONSTANT, "schedule.name", Recipes.word(schedule.name()), "schedule.warmupEpochs is " + schedule.warmupEpochs() + " and " + length);
    List<Integer> late = schedule.milestones().stream().filter(epoch -> epoch >= train.epochs()).toList();
    keys.check(!late.isEmpty(), "schedule.milestones", late, length);
    keys.check(train.gradients() != Execution.Gradients.FLOAT8 && train.float8Limit() != 0.1, "train.float8Limit", train.float8Limit(),
        "train.gradients is " + Recipes.word(train.gradients()));
    keys.check(recipe.network().detects() && train.labelSmoothing() != 0, "train.labelSmoothing", train.labelSmoothing(), "the network finds boxes");
    keys.check(recipe.teacher().teaching().isPresent() && recipe.teacher().hardLabels() == 0 && train.labelSmoothing() != 0, "train.labelSmoothing", train.labelSmoothing(),
        "teacher.hardLabels is 0");
    return keys.found;
  }

  private void check(boolean idle, String key, Object value, String because) {
    if (idle) found.add(key + " is " + value + " and has no effect, because " + because + ".");
  }
}
