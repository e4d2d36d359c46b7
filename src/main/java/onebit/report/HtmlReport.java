package onebit.report;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.stream.Stream;

/**
 * One file that shows a run: curves, bits per layer, settings, machine, and published beside measured numbers.
 *
 * <p>The file needs no network and no script, is valid as HTML and as XML, and follows the light or dark setting of the
 * reader. Every text in it is escaped.
 *
 * @param title       what was run, usually the recipe's name
 * @param recipe      the merged recipe as text
 * @param facts       machine and program, usually {@link Environment#facts}, more facts of the run appended
 * @param records     the metrics, usually {@link MetricsLog#read}; {@code flip/LAYER} and {@code plus/LAYER} are shares of bits
 * @param comparisons numbers of the paper beside this run's; may be empty
 */
public record HtmlReport(
    String title, String recipe, Map<String, String> facts, List<Map<String, Object>> records, List<Comparison> comparisons) {

  /** A number the authors published, where, and what this run measured; either may be missing. */
  public record Comparison(String quantity, OptionalDouble published, String source, OptionalDouble measured) {
    public Comparison {
      Objects.requireNonNull(quantity, "quantity");
      Objects.requireNonNull(published, "published");
      Objects.requireNonNull(source, "source");
      Objects.requireNonNull(measured, "measured");
    }
  }

  private static final String FLIP = "flip/";
  private static final String PLUS = "plus/";
  private static final Map<String, List<String>> CHARTS = charts();

  public HtmlReport {
    Objects.requireNonNull(title, "title");
    Objects.requireNonNull(recipe, "recipe");
    facts = Collections.unmodifiableMap(new LinkedHashMap<>(facts));
    records = List.copyOf(records);
    comparisons = List.copyOf(comparisons);
  }

  private static Map<String, List<String>> charts() {
    Map<String, List<String>> charts = new LinkedHashMap<>();
    charts.put("Loss", List.of("loss", "testLoss"));
    charts.put("Top-1 accuracy", List.of("trainTop1", "testTop1"));
    charts.put("Mean average precision", List.of("testMap"));
    charts.put("Learning rate", List.of("learningRate"));
    charts.put("Length of the gradient", List.of("gradientNorm", "largestGradientNorm"));
    charts.put("Images per second", List.of("imagesPerSecond"));
    charts.put("Share of time that training waited for data", List.of("loaderStallShare"));
    return charts;
  }

  /**
   * Writes the report over {@code file}, as a whole or not at all.
   *
   * @throws IOException the disk refused
   */
  public void write(Path file) throws IOException {
    WholeFile.replace(file, out -> out.write(html()));
  }

  /** The document. */
  public String html() {
    StringBuilder out = new StringBuilder(1 << 16);
    out.append("<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\" />\n")
        .append("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n")
        .append("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\" />\n")
        .append("<title>").append(Markup.escape(title)).append(" - Onebit</title>\n<style>\n").append(style())
        .append("</style>\n</head>\n<body>\n<main>\n<header>\n<h1>").append(Markup.escape(title)).append("</h1>\n");
    cards(out);
    out.append("</header>\n");
    curves(out);
    layers(out);
    comparisons(out);
    settings(out);
    return out.append("</main>\n<footer>Written by Onebit. Values are those of metrics.jsonl in the same folder.</footer>\n")
        .append("</body>\n</html>\n").toString();
  }

  private void cards(StringBuilder out) {
    Map<String, String> cards = new LinkedHashMap<>();
    for (String score : List.of("testTop1", "testMap")) {
      Series test = Series.of(score, records);
      if (!test.hasValues()) continue;
      cards.put("best " + test.name(), SummaryTable.cell(test.values()[test.indexOf(false)]));
      cards.put("last " + test.name(), SummaryTable.cell(test.last()));
    }
    for (String name : List.of("loss", "epoch", "step", "imagesPerSecond")) {
      Series series = Series.of(name, records);
      if (series.hasValues()) {
        cards.put("last " + series.name(), cell(series.last()));
      }
    }
    if (!cards.isEmpty()) {
      out.append("<dl class=\"cards\">\n");
      cards.forEach((name, value) -> out.append("<div><dt>").append(Markup.escape(name)).append("</dt><dd>")
          .append(Markup.escape(value)).append("</dd></div>\n"));
      out.append("</dl>\n");
    }
  }

  private void curves(StringBuilder out) {
    out.append("<section>\n<h2>Curves</h2>\n");
    List<LineChart> charts = new ArrayList<>();
    Set<String> drawn = new LinkedHashSet<>(List.of("step", "epoch"));
    CHARTS.forEach((name, names) -> {
      drawn.addAll(names);
      List<Series> series = names.stream().map(one -> Series.of(one, records)).filter(Series::hasValues).toList();
      if (!series.isEmpty()) {
        charts.add(new LineChart(name, series));
      }
    });
    names().filter(name -> !drawn.contains(name) && !name.startsWith(FLIP) && !name.startsWith(PLUS))
        .map(name -> Series.of(name, records)).filter(Series::hasValues)
        .forEach(series -> charts.add(new LineChart(series.name(), List.of(series))));
    if (charts.isEmpty()) {
      out.append("<p>No numbers were recorded.</p>\n");
    } else {
      out.append("<div class=\"charts\">\n");
      for (int i = 0; i < charts.size(); i++) {
        out.append(charts.get(i).figure("c" + i));
      }
      out.append("</div>\n");
    }
    out.append("</section>\n");
  }

  private Stream<String> names() {
    return records.stream().flatMap(record -> record.keySet().stream()).distinct();
  }

  private void layers(StringBuilder out) {
    List<String> layers = names().filter(name -> name.startsWith(FLIP) || name.startsWith(PLUS))
        .map(name -> name.substring(FLIP.length())).distinct().toList();
    if (layers.isEmpty()) {
      return;
    }
    out.append("<section>\n<h2>Bits per layer</h2>\n<p>Flip ratio: share of weight bits that changed since the record before; ")
        .append("each curve goes from zero to its own highest value. Balance: share of weight bits that are +1; the mark is one half.</p>\n")
        .append("<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">layer</th><th scope=\"col\">flip ratio over time</th>")
        .append("<th scope=\"col\" class=\"number\">highest</th><th scope=\"col\" class=\"number\">last</th><th scope=\"col\">+1 balance</th>")
        .append("<th scope=\"col\" class=\"number\">last share of +1</th></tr></thead>\n<tbody>\n");
    for (String layer : layers) {
      Series flip = Series.of(FLIP + layer, records);
      Series plus = Series.of(PLUS + layer, records);
      out.append("<tr><th scope=\"row\">").append(Markup.escape(layer)).append("</th><td class=\"spark\">")
          .append(flip.hasValues() ? sparkline(flip.thinned(200)) : "").append("</td><td class=\"number\">")
          .append(flip.hasValues() ? SummaryTable.cell(flip.values()[flip.indexOf(false)]) : "").append("</td><td class=\"number\">")
          .append(flip.hasValues() ? SummaryTable.cell(flip.last()) : "").append("</td><td class=\"spark\">")
          .append(plus.hasValues() ? balance(plus) : "").append("</td><td class=\"number\">")
          .append(plus.hasValues() ? SummaryTable.cell(plus.last()) : "").append("</td></tr>\n");
    }
    out.append("</tbody>\n</table></div>\n</section>\n");
  }

  private static String sparkline(Series flip) {
    double most = flip.values()[flip.indexOf(false)];
    double from = flip.steps()[0];
    double range = Math.max(1, flip.steps()[flip.size() - 1] - from);
    StringBuilder path = new StringBuilder();
    for (int i = 0; i < flip.size(); i++) {
      if (!Double.isNaN(flip.values()[i])) {
        boolean follows = i > 0 && !Double.isNaN(flip.values()[i - 1]);
        path.append(follows ? 'L' : 'M').append(LineChart.at(2 + (flip.steps()[i] - from) / range * 140)).append(' ')
            .append(LineChart.at(26 - (most > 0 ? flip.values()[i] / most : 0) * 24));
        path.append(follows ? "" : "h0.1");
      }
    }
    String text = flip.name() + " from " + SummaryTable.cell(flip.first()) + " to " + SummaryTable.cell(flip.last());
    return "<svg viewBox=\"0 0 144 28\" role=\"img\" aria-label=\"" + Markup.escape(text) + "\"><title>" + Markup.escape(text)
        + "</title><path class=\"curve one\" d=\"" + path + "\" /></svg>";
  }

  private static String balance(Series plus) {
    double share = Math.clamp(plus.last(), 0, 1);
    String text = plus.name() + " " + SummaryTable.cell(plus.last());
    return "<svg viewBox=\"0 0 144 28\" role=\"img\" aria-label=\"" + Markup.escape(text) + "\"><title>" + Markup.escape(text)
        + "</title><rect class=\"back\" x=\"2\" y=\"9\" width=\"140\" height=\"10\" rx=\"2\" /><rect class=\"fill\" x=\"2\" y=\"9\" width=\""
        + LineChart.at(share * 140) + "\" height=\"10\" rx=\"2\" /><path class=\"mark\" d=\"M72 4V24\" /></svg>";
  }

  private void comparisons(StringBuilder out) {
    if (comparisons.isEmpty()) {
      return;
    }
    out.append("<section>\n<h2>Published and measured</h2>\n<div class=\"scroll\"><table>\n<caption>Published numbers are quoted ")
        .append("from the source named and come from no run of ours; measured numbers come from this run only.</caption>\n")
        .append("<thead><tr><th scope=\"col\">quantity</th><th scope=\"col\" class=\"number\">published by the authors</th>")
        .append("<th scope=\"col\">source</th><th scope=\"col\" class=\"number measured\">measured in this run</th></tr></thead>\n<tbody>\n");
    for (Comparison one : comparisons) {
      out.append("<tr><th scope=\"row\">").append(Markup.escape(one.quantity())).append("</th><td class=\"number\">")
          .append(value(one.published(), "not published")).append("</td><td>").append(Markup.escape(one.source()))
          .append("</td><td class=\"number measured\">").append(value(one.measured(), "not measured")).append("</td></tr>\n");
    }
    out.append("</tbody>\n</table></div>\n</section>\n");
  }

  private static String value(OptionalDouble value, String missing) {
    return value.isPresent() ? cell(value.getAsDouble()) : missing;
  }

  /** Whole numbers, such as steps and epochs, without decimals. */
  private static String cell(double value) {
    return value == Math.rint(value) && Math.abs(value) < 1e15 ? SummaryTable.cell((long) value) : SummaryTable.cell(value);
  }

  private void settings(StringBuilder out) {
    out.append("<section>\n<h2>Machine and program</h2>\n<div class=\"scroll\"><table class=\"facts\"><tbody>\n");
    facts.forEach((name, value) -> out.append("<tr><th scope=\"row\">").append(Markup.escape(name)).append("</th><td>")
        .append(Markup.escape(value)).append("</td></tr>\n"));
    out.append("</tbody></table></div>\n</section>\n<section>\n<h2>Settings</h2>\n<pre>").append(Markup.escape(recipe))
        .append("</pre>\n</section>\n");
  }

  private static String style() {
    try (InputStream in = HtmlReport.class.getResourceAsStream("/onebit/report.css")) {
      if (in == null) {
        throw new IllegalStateException("HtmlReport: the class path has no onebit/report.css; build with Maven");
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
  }
}
