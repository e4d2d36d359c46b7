package onebit.recipe;

import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.List;
import onebit.models.Execution;
import onebit.optim.Schedule;
import onebit.recipe.keys.Default;

/** Keys of a recipe that are not left at their defaults and change nothing, because another key takes their effect away. */
final class IdleKeys {
  private final List<String> found = new ArrayList<>();

  private IdleKeys() {}

  /** A sentence for each. */
  static List<String> of(Recipe recipe) {
    IdleKeys keys = new IdleKeys();
    OptimizerRecipe optimizer = recipe.optimizer();
    for (String key : optimizer.name() == OptimizerRecipe.Kind.SGD ? List.of("beta1", "beta2", "epsilon") : List.of("momentum")) {
      keys.addUnlessDefault("optimizer", optimizer, key, "optimizer.name is " + Recipes.word(optimizer.name()));
    }
    if (recipe.data().evalCrop() == 0 && recipe.data().evalResize() > 0) keys.add("data.evalResize", recipe.data().evalResize(), "data.evalCrop is 0");
    ScheduleRecipe schedule = recipe.schedule();
    TrainRecipe train = recipe.train();
    String length = "train.epochs is " + train.epochs(), shape = Recipes.word(schedule.name());
    if (schedule.name() != Schedule.Shape.STEP) keys.addUnlessDefault("schedule", schedule, "factor", "schedule.name is " + shape);
    if (schedule.name() != Schedule.Shape.CONSTANT && schedule.warmupEpochs() >= train.epochs()) {
      keys.add("schedule.name", shape, "schedule.warmupEpochs is " + schedule.warmupEpochs() + " and " + length);
    }
    List<Integer> late = schedule.milestones().stream().filter(epoch -> epoch >= train.epochs()).toList();
    if (!late.isEmpty()) keys.add("schedule.milestones", late, length);
    if (train.gradients() != Execution.Gradients.FLOAT8) keys.addUnlessDefault("train", train, "float8Limit", "train.gradients is " + Recipes.word(train.gradients()));
    if (recipe.network().detects()) keys.addUnlessDefault("train", train, "labelSmoothing", "the network finds boxes");
    if (recipe.teacher().teaches() && recipe.teacher().hardLabels() == 0) keys.addUnlessDefault("train", train, "labelSmoothing", "teacher.hardLabels is 0");
    return keys.found;
  }

  private void addUnlessDefault(String section, Record values, String key, String because) {
    for (RecordComponent component : values.getClass().getRecordComponents()) {
      if (!component.getName().equals(key)) continue;
      double value = (double) RecordWriter.get(values, component);
      if (value != Double.parseDouble(component.getAnnotation(Default.class).value())) add(RecordBinder.dotted(section, key), value, because);
    }
  }

  private void add(String key, Object value, String because) {
    found.add(key + " is " + value + " and has no effect, because " + because + ".");
  }
}
