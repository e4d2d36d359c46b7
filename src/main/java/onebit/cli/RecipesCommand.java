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

  @Option(names = "--json", description = "Print the list, the recipe or the keys as one JSON object on the last line.")
  private boolean json;

  @Override
  public Integer call() {
    if (name != null && keys) throw new IllegalArgumentException("--keys lists the keys of all recipes; leave out " + name);
    if (name != null) {
      Recipe recipe = Workplace.RECIPES.load(name, List.of());
      if (json) System.out.println(Json.object(Workplace.RECIPES.tree(recipe)));
      else System.out.print(Workplace.RECIPES.write(recipe));
    } else if (keys) {
      listKeys();
    } else {
      list();
    }
    return 0;
  }

  private void listKeys() {
    SummaryTable table = new SummaryTable("key", "type", "rule", "default");
    Map<String, Object> all = new LinkedHashMap<>();
    for (RecordKey key : Workplace.RECIPES.keys()) {
      String otherwise = key.presence() == RecordKey.Presence.DEFAULTED ? key.otherwise() : Recipes.word(key.presence());
      table.row(key.key(), key.type(), key.allowed(), otherwise);
      all.put(key.key(), Map.of("type", key.type(), "rule", key.allowed(), "default", otherwise));
    }
    if (json) System.out.println(Json.object(all));
    else System.out.print(table);
  }

  private static String status(Published published) {
    String top5 = published.top5Status().map(s -> ", top-5 " + Recipes.word(s)).orElse("");
    return Recipes.word(published.status()) + top5;
  }

  private void list() {
    SummaryTable table = new SummaryTable("recipe", ">epochs", ">batch", ">published top-1", ">top-5", ">mAP", "status");
    Map<String, Object> all = new LinkedHashMap<>();
    for (String recipeName : Recipes.names()) {
      Recipe recipe = Workplace.RECIPES.load(recipeName, List.of());
      Published published = recipe.published().orElse(null);
      table.row(recipeName, recipe.train().epochs(), recipe.data().batch(), published == null ? null : published.top1().orElse(null),
          published == null ? null : published.top5().orElse(null), published == null ? null : published.map().orElse(null),
          published == null ? "" : status(published));
      Map<String, Object> members = new LinkedHashMap<>();
      members.put("description", recipe.description());
      members.put("epochs", recipe.train().epochs());
      members.put("batch", recipe.data().batch());
      members.put("publishedTop1", published == null ? null : published.top1().orElse(null));
      members.put("publishedTop5", published == null ? null : published.top5().orElse(null));
      members.put("publishedMap", published == null ? null : published.map().orElse(null));
      members.put("status", published == null ? null : status(published));
      all.put(recipeName, members);
    }
    if (json) System.out.println(Json.object(all));
    else System.out.print(table);
  }
}
