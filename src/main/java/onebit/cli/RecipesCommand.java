package onebit.cli;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import onebit.recipe.Published;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.recipe.RecordKey;
import onebit.report.Json;
import onebit.report.SummaryTable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code onebit recipes}. */
@Command(
    name = "recipes",
    mixinStandardHelpOptions = true,
    description = "Lists the recipes with the accuracy their authors published, shows one, or lists every key.")
final class RecipesCommand implements Callable<Integer> {
  @Parameters(index = "0", arity = "0..1", paramLabel = "RECIPE", description = "Show this recipe with all defaults filled in.")
  private String name;

  @Option(names = "--keys", description = "List every key of a recipe with its type, rule and default.")
  private boolean keys;

  @Option(names = "--json", description = "Print the list as one JSON object on the last line.")
  private boolean json;

  @Override
  public Integer call() {
    if (name != null) {
      System.out.print(Workplace.RECIPES.write(Workplace.RECIPES.load(name, List.of())));
    } else if (keys) {
      SummaryTable table = new SummaryTable("key", "type", "rule", "default");
      for (RecordKey key : Workplace.RECIPES.keys()) table.row(key.key(), key.type(), key.allowed(), key.presence() == RecordKey.Presence.DEFAULTED ? key.otherwise() : Recipes.word(key.presence()));
      System.out.print(table);
    } else {
      list();
    }
    return 0;
  }

  private static String status(Published published) {
    String top5 = published.top5Status().map(s -> ", top-5 " + Recipes.word(s)).orElse("");
    return Recipes.word(published.status()) + top5;
  }

  private void list() {
    SummaryTable table = new SummaryTable("recipe", ">epochs", ">batch", ">published top-1", ">top-5", "status");
    Map<String, Object> all = new LinkedHashMap<>();
    for (String recipeName : Recipes.names()) {
      Recipe recipe = Workplace.RECIPES.load(recipeName, List.of());
      Published published = recipe.published().orElse(null);
      table.row(recipeName, recipe.train().epochs(), recipe.data().batch(), published == null ? null : published.top1(),
          published == null ? null : published.top5().orElse(null),
          published == null ? "" : status(published));
      all.put(recipeName, recipe.description());
    }
    if (json) System.out.println(Json.object(all));
    else System.out.print(table);
  }
}
