package onebit.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import onebit.models.Model;
import onebit.models.ModelSummary;
import onebit.ops.Backend;
import onebit.recipe.Recipe;
import onebit.report.Json;
import onebit.report.SummaryTable;
import onebit.tensor.Shape;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code onebit summary}. */
@Command(
    name = "summary",
    mixinStandardHelpOptions = true,
    description = "Shows a recipe's network: parameters and multiply-accumulates, real and binary, per layer and in all.",
    footer = {"", "OPs = real MACs + binary MACs / 64. Memory = 4 bytes a real parameter, 1 bit a binary one, in MiB."})
final class SummaryCommand implements Callable<Integer> {
  @Parameters(index = "0", paramLabel = "RECIPE", description = "A name from 'onebit recipes', or a YAML file.")
  private String name;

  @Option(names = "--set", paramLabel = "KEY=VALUE", description = "Overrides a recipe key by its dotted name; repeatable.")
  private List<String> overrides = new ArrayList<>();

  @Option(names = "--json", description = "Print the totals as one JSON object on the last line.")
  private boolean json;

  @Override
  public Integer call() {
    Recipe recipe = Workplace.RECIPES.load(name, overrides);
    var data = recipe.data();
    try (Backend backend = Workplace.open("cpu")) {
      Model model = new Model(recipe.network(), recipe.method(), Shape.image(1, data.height(), data.width(), data.channels()), data.classes(), backend,
          recipe.train().seed());
      ModelSummary all = model.summary();
      if (json) {
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("parameters", all.parameters());
        members.put("binaryParameters", all.binaryParameters());
        members.put("realMacs", all.realMacs());
        members.put("binaryMacs", all.binaryMacs());
        members.put("ops", all.ops());
        members.put("mebibytes", all.mebibytes());
        System.out.println(Json.object(members));
        return 0;
      }
      SummaryTable table = new SummaryTable("layer", "kind", "output", ">parameters", ">binary", ">real MACs", ">binary MACs");
      for (ModelSummary.Row row : all.layers()) {
        table.row(row.name(), row.kind(), row.output().toString(), row.parameters(), row.binaryParameters(), row.realMacs(), row.binaryMacs());
      }
      table.rule().row("all", "", "", all.parameters(), all.binaryParameters(), all.realMacs(), all.binaryMacs());
      System.out.print(table);
      System.out.printf(Locale.ROOT, "OPs %.4g, memory %.2f MiB (real parameters float32, binary ones 1 bit)%n", all.ops(), all.mebibytes());
    }
    return 0;
  }
}
