package onebit.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;
import onebit.recipe.Recipe;
import onebit.report.MetricsLog;
import onebit.report.SummaryTable;
import onebit.train.RunFolder;
import onebit.train.Score;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code onebit compare}. */
@Command(
    name = "compare",
    mixinStandardHelpOptions = true,
    description = {"Shows runs side by side, beside the published accuracy: the keys in which they differ, epochs done and scheduled, best and last score on the test set.",
        "Complete runs that differ only in train.seed, the first of each seed, are summarised by mean and standard deviation (of a sample).", "A dry run (--dev-run) is marked: its scores are no results."},
    footer = {"", "Example: onebit compare runs/seed0 runs/seed1 runs/seed2"})
final class CompareCommand implements Callable<Integer> {
  /** More differing keys than these get a table of their own, a row each. */
  private static final int MOST_COLUMNS = 4;

  @Parameters(arity = "0..*", paramLabel = "RUN", description = "Run folders (default: all in runs/).")
  private List<Path> folders = new ArrayList<>();

  @Mixin private JsonOption json;

  /** A run with its recipe's keys that matter and what its epochs scored. */
  private record Run(Path folder, boolean dry, Map<String, String> settings, Recipe recipe, List<Map<String, Object>> epochs, String metric) {
    int done() {
      return epochs.isEmpty() ? 0 : ((Number) epochs.getLast().get("epoch")).intValue();
    }

    double score(Map<String, Object> epoch) {
      return ((Number) epoch.get(metric)).doubleValue();
    }

    /** The first epoch of the highest score, as training chooses it; null without epochs. */
    Map<String, Object> best() {
      return epochs.stream().reduce((a, b) -> score(b) > score(a) ? b : a).orElse(null);
    }

    double last() {
      return score(epochs.getLast());
    }

    String name() {
      return folder + (dry ? " (dry run: no result)" : "");
    }
  }

  @Override
  public Integer call() throws IOException {
    List<Run> runs = new ArrayList<>();
    for (Path folder : folders) runs.add(read(folder));
    if (folders.isEmpty()) runs.addAll(readable(all(Path.of("runs"))));
    Set<String> differing = differing(runs);
    Map<Map<String, String>, List<Run>> alike = new LinkedHashMap<>();
    for (Run run : runs) {
      Map<String, String> others = new LinkedHashMap<>(run.settings);
      others.remove("train.seed");
      if (run.dry || run.done() < run.recipe.train().epochs()) continue;
      List<Run> group = alike.computeIfAbsent(others, s -> new ArrayList<>());
      if (group.stream().noneMatch(r -> r.settings.equals(run.settings))) group.add(run);
    }
    alike.values().removeIf(group -> group.size() < 2);
    if (json.on()) {
      Map<String, Object> members = new LinkedHashMap<>();
      members.put("runs", runs.stream().map(r -> members(r, differing)).toList());
      members.put("seeds", alike.values().stream().map(CompareCommand::members).toList());
      json.print(members);
    } else {
      if (differing.size() > MOST_COLUMNS) System.out.println(settings(runs, differing));
      System.out.print(table(runs, differing.size() > MOST_COLUMNS ? Set.of() : differing));
      for (List<Run> group : alike.values()) System.out.println(words(group));
    }
    return 0;
  }

  private static List<Path> all(Path folder) throws IOException {
    List<Path> found = List.of();
    if (Files.isDirectory(folder)) {
      try (Stream<Path> inside = Files.list(folder)) {
        found = inside.filter(f -> new RunFolder(f).holdsRun()).sorted().toList();
      }
    }
    if (found.isEmpty()) throw new IOException("there is no run in " + folder + "; name run folders");
    return found;
  }

  /** Those of the runs whose recipes can be read; the others, as of an extension that is not there, are named. */
  private static List<Run> readable(List<Path> folders) throws IOException {
    List<Run> runs = new ArrayList<>();
    for (Path folder : folders) {
      try {
        runs.add(read(folder));
      } catch (IllegalArgumentException refused) {
        System.err.println("onebit: " + folder + " is left out: " + refused.getMessage().lines().findFirst().orElseThrow());
      }
    }
    if (runs.isEmpty()) throw new IOException("none of the " + folders.size() + " runs in runs can be read");
    return runs;
  }

  private static Run read(Path folder) throws IOException {
    RunFolder run = new RunFolder(folder);
    if (!run.holdsRun()) throw new IOException(folder + " is no run folder: it has no recipe.yaml");
    Recipe recipe = Workplace.RECIPES.load(run.recipe().toString(), List.of());
    Map<String, String> settings = run.settings(file -> Workplace.RECIPES.write(recipe));
    settings.keySet().removeIf(RunFolder::isNeutral);
    RunFolder.dataOf(folder).ifPresent(images -> settings.put("--data", images.toString()));
    String metric = Score.metric(recipe.network().detects());
    List<Map<String, Object>> epochs = MetricsLog.read(folder.resolve(MetricsLog.JSONL)).stream()
        .filter(record -> record.get("epoch") instanceof Number && record.get(metric) instanceof Number).toList();
    return new Run(folder, run.isDry(), settings, recipe, epochs, metric);
  }

  private static Set<String> differing(List<Run> runs) {
    Set<String> keys = new LinkedHashSet<>();
    for (Run run : runs) keys.addAll(run.settings.keySet());
    keys.removeIf(key -> runs.stream().map(run -> run.settings.getOrDefault(key, "")).distinct().count() == 1);
    return keys;
  }

  private static SummaryTable settings(List<Run> runs, Set<String> differing) {
    SummaryTable table = new SummaryTable(Stream.concat(Stream.of("key"), runs.stream().map(Run::name)).toArray(String[]::new));
    for (String key : differing) table.row(Stream.concat(Stream.of(key), runs.stream().map(r -> r.settings.get(key))).toArray());
    return table;
  }

  private static SummaryTable table(List<Run> runs, Set<String> differing) {
    List<String> columns = new ArrayList<>(List.of("run"));
    columns.addAll(differing);
    columns.addAll(List.of(">epochs", ">best, %", ">in epoch", ">last, %", ">published, %"));
    SummaryTable table = new SummaryTable(columns.toArray(String[]::new));
    for (Run run : runs) {
      List<Object> cells = new ArrayList<>(List.of(run.name()));
      for (String key : differing) cells.add(run.settings.get(key));
      Map<String, Object> best = run.best();
      cells.addAll(Arrays.asList(run.done() + "/" + run.recipe.train().epochs(), best == null ? null : percent(run.score(best)), best == null ? null : best.get("epoch"),
          best == null ? null : percent(run.last()), run.recipe.published().map(p -> percent(p.score())).orElse(null)));
      table.row(cells.toArray());
    }
    return table;
  }

  private static Map<String, Object> members(Run run, Set<String> differing) {
    Map<String, Object> all = new LinkedHashMap<>(), settings = new LinkedHashMap<>(), best = run.best();
    for (String key : differing) settings.put(key, run.settings.get(key));
    all.put("run", run.folder.toString());
    all.put("dryRun", run.dry);
    all.put("settings", settings);
    all.put("epochsDone", run.done());
    all.put("epochs", run.recipe.train().epochs());
    all.put("metric", run.metric);
    all.put("best", best == null ? null : run.score(best));
    all.put("bestEpoch", best == null ? null : best.get("epoch"));
    all.put("last", best == null ? null : run.last());
    all.put("published", run.recipe.published().map(p -> p.score()).orElse(null));
    return all;
  }

  private static Map<String, Object> members(List<Run> group) {
    double[] best = meanAndDeviation(group, r -> r.score(r.best())), last = meanAndDeviation(group, Run::last);
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("runs", group.stream().map(r -> r.folder.toString()).toList());
    all.put("bestMean", best[0]);
    all.put("bestDeviation", best[1]);
    all.put("lastMean", last[0]);
    all.put("lastDeviation", last[1]);
    return all;
  }

  private static String words(List<Run> group) {
    Map<String, Object> sums = members(group);
    Recipe recipe = group.getFirst().recipe;
    String published = recipe.published().map(p -> String.format(Locale.ROOT, "; published %.2f %% (%s)", p.score(), p.source())).orElse("");
    return String.format(Locale.ROOT, "%s: %d seeds, %s best %.2f +- %.2f %%, last %.2f +- %.2f %%%s", String.join(", ", group.stream().map(r -> r.folder.toString()).toList()),
        group.size(), recipe.network().detects() ? "mean average precision" : "test accuracy", sums.get("bestMean"), sums.get("bestDeviation"), sums.get("lastMean"), sums.get("lastDeviation"), published);
  }

  private static double[] meanAndDeviation(List<Run> runs, ToDoubleFunction<Run> score) {
    double[] values = runs.stream().mapToDouble(score).toArray();
    double mean = Arrays.stream(values).average().orElseThrow(), squares = 0;
    for (double value : values) squares += (value - mean) * (value - mean);
    return new double[] {mean, Math.sqrt(squares / (values.length - 1))};
  }

  private static String percent(double score) {
    return String.format(Locale.ROOT, "%.2f", score);
  }
}
