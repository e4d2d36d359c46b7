package onebit.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;
import onebit.recipe.Recipe;
import onebit.report.Environment;
import onebit.report.HtmlReport;
import onebit.report.MetricsLog;
import onebit.report.RunLog;
import onebit.train.RunFolder;
import onebit.train.Score;
import onebit.train.Trainer;

/**
 * What {@code onebit train} says of a run: its page, its last lines, its JSON.
 *
 * @param title     the recipe's
 * @param recipe    the merged recipe
 * @param yaml      the same as written into the run folder
 * @param data      the folder that --data named; null where none
 * @param dryImages most images of a dry run; 0 of any other
 */
record TrainReport(String title, Recipe recipe, String yaml, RunFolder run, RunLog log, JsonOption json, Path data, long dryImages) {
  /** Writes report.html; a page that cannot be written is no failure. */
  void page() {
    try {
      List<Map<String, Object>> records = MetricsLog.read(run.path().resolve(MetricsLog.JSONL));
      boolean detects = recipe.network().detects();
      OptionalDouble best = records.stream().map(r -> r.get(Score.metric(detects))).filter(Number.class::isInstance)
          .mapToDouble(v -> ((Number) v).doubleValue()).max();
      List<HtmlReport.Comparison> comparisons = new ArrayList<>();
      recipe.published().ifPresent(p -> comparisons.add(new HtmlReport.Comparison(detects ? "mean average precision, best epoch, %" : "test top-1, best epoch, %",
          OptionalDouble.of(p.score()), p.source(), best)));
      new HtmlReport(title + (dryImages > 0 ? ", a dry run: no result" : ""), yaml, Environment.facts(), records, comparisons).write(run.path().resolve("report.html"));
    } catch (IOException e) {
      log.warn("report.html was not written: " + e.getMessage());
    }
  }

  /** The result of a complete run in one line. */
  String finished(Trainer trainer, int steps) {
    if (trainer.bestEpoch() < 0) return "Done: no epoch has a score, for no test image has a box that is not difficult; weights in " + run.path().resolve("last") + ".";
    String score = trainer.model().detects() ? "mean average precision" : "test accuracy";
    if (dryImages > 0) {
      return String.format(Locale.ROOT, "Done: a dry run of %d step%s, and everything ran; its %s of %.2f %% is that of at most %d images and says nothing; weights in %s.",
          steps, steps == 1 ? "" : "s", score, trainer.bestScore(), dryImages, run.path().resolve("best"));
    }
    return String.format(Locale.ROOT, "Done: best %s %.2f %% after epoch %d; weights in %s.", score, trainer.bestScore(), trainer.bestEpoch(), run.path().resolve("best"));
  }

  void nextSteps(Trainer trainer) {
    log.line("Next: open " + run.path().resolve("report.html") + " in a browser (curves, flip ratio per layer)");
    log.line("      onebit eval --weights " + quoted(run.path().resolve(trainer.bestEpoch() < 0 ? "last" : "best")) + (data == null ? "" : " --data " + quoted(data)));
    log.line("      onebit predict --weights " + quoted(run.path()) + " IMAGE...        what your own JPEG and PNG files are taken for");
    log.line("      onebit summary " + quoted(run.recipe()) + "        parameters, memory and operations, real and binary");
    log.line("      onebit recipes                the published networks of all four systems");
  }

  /** Prints the result as JSON where it was asked for. */
  void print(Trainer trainer, double seconds, String end) {
    Map<String, Object> members = new LinkedHashMap<>();
    members.put("run", run.path().toString());
    members.put("end", end);
    boolean any = trainer.bestEpoch() > 0;   // none before the first epoch has ended
    members.put(trainer.model().detects() ? "bestMap" : "bestTop1", any ? trainer.bestScore() : null);
    members.put("bestEpoch", any ? trainer.bestEpoch() : null);
    members.put("seconds", seconds);
    json.print(members);
  }

  /** A path as a shell takes it for one word. */
  private static String quoted(Path path) {
    String text = path.toString();
    return text.matches("[A-Za-z0-9_./+:@%=-]+") ? text : "'" + text.replace("'", "'\\''") + "'";
  }
}
