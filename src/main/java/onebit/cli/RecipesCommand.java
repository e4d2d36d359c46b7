package onebit.cli;

import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.Callable;
import onebit.recipe.Published;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.recipe.RecordKey;
import onebit.report.SummaryTable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
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

  @Option(names = "--keys", description = "List every key of a recipe with its type, rule, default and meaning.")
  private boolean keys;

  @Mixin private JsonOption json;

  @Override
  public Integer call() throws IOException {
    if (name != null && keys) throw new IllegalArgumentException("--keys lists the keys of all recipes; leave out " + name);
    if (name != null) show(Workplace.RECIPES.load(name, List.of()));
    else if (keys) listKeys();
    else list();
    return 0;
  }

  private void show(Recipe recipe) {
    if (!json.print(Workplace.RECIPES.tree(recipe))) System.out.print(Workplace.RECIPES.write(recipe));
  }

  private void listKeys() throws IOException {
    Properties meanings = new Properties();
    for (URL of : Collections.list(Recipes.class.getClassLoader().getResources("onebit/recipe-keys.properties"))) {
      try (InputStream file = of.openStream()) {
        meanings.load(file);
      }
    }
    Map<String, Object> all = new LinkedHashMap<>();
    for (RecordKey key : Workplace.RECIPES.keys()) {
      boolean defaulted = key.presence() == RecordKey.Presence.DEFAULTED;
      String otherwise = defaulted ? key.otherwise() : Recipes.word(key.presence()), meaning = meanings.getProperty(key.key(), "");
      all.put(key.key(), Map.of("type", key.type(), "rule", key.allowed(), "default", otherwise, "meaning", meaning));
      if (json.on()) continue;
      System.out.println(key.key() + "  (" + key.type() + (key.allowed().isEmpty() ? "" : ": " + key.allowed()) + "; " + (defaulted ? "default " : "") + otherwise + ")");
      System.out.println("    " + meaning);
    }
    json.print(all);
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
      Optional<Published> published = recipe.published();
      Double top1 = published.flatMap(Published::top1).orElse(null), top5 = published.flatMap(Published::top5).orElse(null), map = published.flatMap(Published::map).orElse(null);
      String status = published.map(RecipesCommand::status).orElse(null);
      table.row(recipeName, recipe.train().epochs(), recipe.data().batch(), top1, top5, map, status);
      Map<String, Object> members = new LinkedHashMap<>();
      members.put("description", recipe.description());
      members.put("epochs", recipe.train().epochs());
      members.put("batch", recipe.data().batch());
      members.put("publishedTop1", top1);
      members.put("publishedTop5", top5);
      members.put("publishedMap", map);
      members.put("status", status);
      all.put(recipeName, members);
    }
    if (!json.print(all)) System.out.print(table);
  }
}
