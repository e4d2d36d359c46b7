package onebit.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import onebit.ops.Backend;
import onebit.recipe.Recipe;
import onebit.recipe.TrainRecipe.Precision;
import picocli.CommandLine.Option;

/** Options of commands that compute by a recipe: its overrides, where to compute, and in which precision. */
final class ComputeOptions {
  @Option(names = "--set", paramLabel = "KEY=VALUE", description = "Overrides a recipe key by its dotted name; repeatable ('onebit recipes --keys').")
  List<String> overrides = new ArrayList<>();

  @Option(names = "--device", paramLabel = "NAME", defaultValue = "cpu", description = "Where to compute: " + Workplace.DEVICES + " (default: ${DEFAULT-VALUE}).")
  String device;

  @Option(names = "--precision", paramLabel = "NAME", description = Workplace.PRECISIONS)
  String precision;

  /** The overrides with the precision among them. */
  List<String> all() {
    return Workplace.withPrecision(overrides, precision);
  }

  Recipe recipe(String name) {
    return Workplace.RECIPES.load(name, all());
  }

  /** The recipe of trained weights; on the CPU, where it asks for bfloat16 and the command line names no precision, in float32, which is told, as are other jars of extensions. */
  Recipe recipe(TrainedOptions trained, Consumer<String> say) throws IOException {
    Recipe recipe = recipe(trained.recipe());
    trained.tellOtherJars(say);
    boolean named = precision != null || overrides.stream().anyMatch(o -> o.startsWith("train.precision="));
    if (named || !device.equals("cpu") || recipe.train().precision() != Precision.BF16) return recipe;
    say.accept("Trained in bfloat16; --device cpu computes in float32.");
    return Workplace.RECIPES.load(trained.recipe(), Workplace.withPrecision(overrides, "fp32"));
  }

  Backend open(Recipe recipe) {
    return Workplace.open(device, recipe);
  }
}
