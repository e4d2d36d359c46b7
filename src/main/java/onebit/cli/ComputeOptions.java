package onebit.cli;

import java.util.ArrayList;
import java.util.List;
import onebit.ops.Backend;
import onebit.recipe.Recipe;
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

  Backend open(Recipe recipe) {
    return Workplace.open(device, recipe);
  }
}
