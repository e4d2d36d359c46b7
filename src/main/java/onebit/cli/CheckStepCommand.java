package onebit.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import onebit.checkpoint.Safetensors;
import onebit.ops.Backend;
import onebit.recipe.Recipe;
import onebit.report.SummaryTable;
import onebit.train.CheckStep;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code onebit check-step}. */
@Command(
    name = "check-step",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    description = "Replays a recorded training step and compares logits, loss, every gradient and every updated tensor; worst first.",
    footer = {"", "Exit code 0 for PASS, 1 for FAIL."})
final class CheckStepCommand implements Callable<Integer> {
  @Parameters(index = "0", paramLabel = "FILE.safetensors", description = "The recording: init/, x0, y0, logits0, loss0, grad0/, after1/.")
  private Path file;

  @Option(names = "--recipe", required = true, paramLabel = "RECIPE", description = "The recipe of the recorded network; the file's metadata take precedence.")
  private String name;

  @Mixin private ComputeOptions compute;

  @Option(names = "--tolerance-scale", paramLabel = "X", defaultValue = "1", description = "Widens every tolerance by this factor (default: ${DEFAULT-VALUE}).")
  private double toleranceScale;

  @Mixin private JsonOption json;

  @Override
  public Integer call() throws IOException {
    if (!(toleranceScale > 0)) throw new IllegalArgumentException("--tolerance-scale must be > 0, got " + toleranceScale);
    Safetensors recording = Safetensors.read(file);
    Class<?> method = Workplace.RECIPES.load(name, compute.overrides).method().getClass();
    List<String> all = compute.all();
    all.addAll(CheckStep.overrides(recording, key -> Arrays.stream(method.getRecordComponents()).anyMatch(c -> c.getName().equals(key))));
    Recipe recipe = Workplace.RECIPES.load(name, all);
    CheckStep.Report report;
    try (Backend backend = compute.open(recipe)) {
      report = CheckStep.run(recording, recipe, backend, toleranceScale);
    }
    if (json.on()) {
      Map<String, Object> errors = new LinkedHashMap<>();
      report.comparisons().forEach(c -> errors.put(c.name(), c.error()));
      Map<String, Object> members = new LinkedHashMap<>();
      members.put("pass", report.passes());
      members.put("worst", Map.of("name", report.worst().name(), "error", report.worst().error()));
      members.put("errors", errors);
      json.print(members);
    } else {
      SummaryTable table = new SummaryTable("tensor", ">error", ">tolerance", "");
      for (CheckStep.Comparison c : report.comparisons()) {
        table.row(c.name(), String.format(Locale.ROOT, "%.2e", c.error()), String.format(Locale.ROOT, "%.0e", c.tolerance()), c.passes() ? "" : "FAIL");
      }
      System.out.print(table);
      System.out.println(report.passes() ? "PASS" : "FAIL");
    }
    return report.passes() ? 0 : 1;
  }
}
