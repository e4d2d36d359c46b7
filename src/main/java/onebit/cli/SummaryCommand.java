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
import onebit.recipe.Recipes;
import onebit.report.SummaryTable;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.train.MemoryPlan;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code onebit summary}. */
@Command(
    name = "summary",
    mixinStandardHelpOptions = true,
    description = "Shows a recipe's network: parameters and multiply-accumulates, real and binary, per layer and in all.",
    footer = {"", "OPs = real MACs + binary MACs / 64. Memory = 4 bytes per real parameter, 1 bit per binary one, in MiB."})
final class SummaryCommand implements Callable<Integer> {
  @Parameters(index = "0", paramLabel = "RECIPE", description = "A name from 'onebit recipes', or a YAML file.")
  private String name;

  @Option(names = "--set", paramLabel = "KEY=VALUE", description = "Overrides a recipe key by its dotted name; repeatable.")
  private List<String> overrides = new ArrayList<>();

  @Mixin private JsonOption json;

  @Option(names = "--memory", description = "Show the device memory of a training step instead, part by part; needs no GPU.")
  private boolean memory;

  @Option(names = "--batch", paramLabel = "N", description = "Images of a step for --memory (default: the recipe's batch).")
  private Integer batch;

  @Option(names = "--activations", paramLabel = "TYPE", defaultValue = "bfloat16",
      description = "Type of activations for --memory: bfloat16 or float32 (default: ${DEFAULT-VALUE}).")
  private String activations;

  @Override
  public Integer call() {
    Recipe recipe = Workplace.RECIPES.load(name, overrides);
    if (memory) return memory(recipe);
    if (batch != null) throw new IllegalArgumentException("--batch belongs to --memory; give both");
    var data = recipe.data();
    try (Backend backend = Workplace.open("cpu")) {
      Model model = new Model(recipe.network(), recipe.method(), Shape.image(1, data.height(), data.width(), data.channels()), data.classes(), backend,
          recipe.train().seed());
      ModelSummary all = model.summary();
      if (json.on()) {
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("parameters", all.parameters());
        members.put("binaryParameters", all.binaryParameters());
        members.put("realMacs", all.realMacs());
        members.put("binaryMacs", all.binaryMacs());
        members.put("ops", all.ops());
        members.put("mebibytes", all.mebibytes());
        json.print(members);
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

  private int memory(Recipe recipe) {
    if (batch != null && batch < 1) throw new IllegalArgumentException("--batch must be >= 1, got " + batch);
    ElementType type = switch (activations) {
      case "bfloat16" -> ElementType.BFLOAT16;
      case "float32" -> ElementType.FLOAT32;
      default -> throw new IllegalArgumentException("--activations must be bfloat16 or float32, got " + activations);
    };
    MemoryPlan plan = MemoryPlan.of(recipe, batch == null ? recipe.data().batch() : batch, type);
    if (json.on()) {
      Map<String, Object> members = new LinkedHashMap<>();
      members.put("batch", plan.batch());
      members.put("bytes", plan.bytes());
      members.put("arenaBytes", plan.arenaBytes());
      members.put("residentBytes", plan.residentBytes());
      members.put("teacherBytes", plan.teacherBytes());
      members.put("liveBytes", plan.liveBytes());
      members.put("trafficBytes", plan.trafficBytes());
      members.put("operations", plan.operations());
      json.print(members);
      return 0;
    }
    System.out.print(MemoryTable.of(plan, type, recipe));
    return 0;
  }
}
