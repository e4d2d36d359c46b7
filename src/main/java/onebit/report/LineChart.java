package onebit.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Up to two curves over the steps as one SVG picture with axes, a text alternative and a hover text at each point. */
final class LineChart {
  private static final int WIDTH = 560;
  private static final int HEIGHT = 250;
  private static final int LEFT = 62;
  private static final int RIGHT = 14;
  private static final int TOP = 14;
  private static final int BOTTOM = 34;
  private static final int MOST_POINTS = 800;
  private static final int MOST_HOVERS = 100;
  private static final String[] CLASSES = {"one", "two"};

  private final String title;
  private final List<Series> series;
  private double x0 = Double.POSITIVE_INFINITY;
  private double x1 = Double.NEGATIVE_INFINITY;
  private double y0 = Double.POSITIVE_INFINITY;
  private double y1 = Double.NEGATIVE_INFINITY;

  LineChart(String title, List<Series> series) {
    this.title = title;
    this.series = series;
    for (Series one : series) {
      for (int i = 0; i < one.size(); i++) {
        if (!Double.isNaN(one.values()[i])) {
          x0 = Math.min(x0, one.steps()[i]);
          x1 = Math.max(x1, one.steps()[i]);
          y0 = Math.min(y0, one.values()[i]);
          y1 = Math.max(y1, one.values()[i]);
        }
      }
    }
    double least = Math.max(1e-30, 1e-9 * Math.max(Math.abs(y0), Math.abs(y1)));
    double tick = tick(y1 > y0 ? Math.max(y1 - y0, least) : y0 == 0 ? 1 : Math.max(Math.abs(y0), least), 5);
    y0 = tick * Math.floor(y0 / tick);
    y1 = tick * Math.ceil(y1 / tick);
    if (!(y1 > y0) && y0 > 0) y0 -= tick;
    else if (!(y1 > y0)) y1 = y0 + tick;
    x1 = x1 > x0 ? x1 : x0 + 1;
  }

  /** The figure with its legend; {@code id} is unique in the document. */
  String figure(String id) {
    StringBuilder out = new StringBuilder("<figure>\n<figcaption>" + Markup.escape(title));
    for (int i = 0; i < series.size(); i++) {
      out.append("<span><svg class=\"key\" viewBox=\"0 0 26 10\" aria-hidden=\"true\"><path class=\"curve ").append(CLASSES[i])
          .append("\" d=\"M1 5H25\" /></svg>").append(Markup.escape(series.get(i).name())).append(' ')
          .append(SummaryTable.cell(series.get(i).last())).append("</span>");
    }
    out.append("</figcaption>\n<svg viewBox=\"0 0 ").append(WIDTH).append(' ').append(HEIGHT)
        .append("\" role=\"img\" aria-labelledby=\"").append(id).append("t ").append(id).append("d\">\n<title id=\"").append(id)
        .append("t\">").append(Markup.escape(title)).append("</title>\n<desc id=\"").append(id).append("d\">")
        .append(Markup.escape(description())).append("</desc>\n");
    axes(out);
    for (int i = 0; i < series.size(); i++) {
      curve(out, series.get(i).thinned(MOST_POINTS), CLASSES[i]);
    }
    for (Series one : series) {
      hovers(out, one);
    }
    return out.append("</svg>\n</figure>\n").toString();
  }

  private String description() {
    List<String> sentences = new ArrayList<>();
    for (Series one : series) {
      int low = one.indexOf(true);
      int high = one.indexOf(false);
      sentences.add(one.name() + " goes from " + SummaryTable.cell(one.first()) + " to " + SummaryTable.cell(one.last())
          + "; lowest " + SummaryTable.cell(one.values()[low]) + " at step " + whole(one.steps()[low])
          + ", highest " + SummaryTable.cell(one.values()[high]) + " at step " + whole(one.steps()[high]) + ".");
    }
    return String.join(" ", sentences);
  }

  private void axes(StringBuilder out) {
    double tick = tick(y1 - y0, 5);
    for (long k = Math.round(y0 / tick); k * tick <= y1 + tick / 2; k++) {
      String y = at(y(k * tick));
      out.append("<path class=\"grid\" d=\"M").append(LEFT).append(' ').append(y).append('H').append(WIDTH - RIGHT)
          .append("\" /><text x=\"").append(LEFT - 8).append("\" y=\"").append(y).append("\" dy=\"4\" text-anchor=\"end\">")
          .append(label(k * tick, tick)).append("</text>\n");
    }
    double step = Math.max(1, tick(x1 - x0, 6));
    for (long k = (long) Math.ceil(x0 / step); k * step <= x1; k++) {
      out.append("<text x=\"").append(at(x(k * step))).append("\" y=\"").append(HEIGHT - BOTTOM + 18)
          .append("\" text-anchor=\"middle\">").append(label(k * step, step)).append("</text>\n");
    }
    out.append("<text x=\"").append(WIDTH - RIGHT).append("\" y=\"").append(HEIGHT - 2).append("\" text-anchor=\"end\">step</text>\n");
  }

  private void curve(StringBuilder out, Series one, String style) {
    StringBuilder path = new StringBuilder();
    StringBuilder dots = new StringBuilder();
    for (int i = 0; i < one.size(); i++) {
      if (Double.isNaN(one.values()[i])) {
        continue;
      }
      boolean follows = i > 0 && !Double.isNaN(one.values()[i - 1]);
      boolean alone = !follows && (i + 1 == one.size() || Double.isNaN(one.values()[i + 1]));
      String x = at(x(one.steps()[i]));
      String y = at(y(one.values()[i]));
      if (alone) {
        dots.append("<circle class=\"").append(style).append(" dot\" cx=\"").append(x).append("\" cy=\"").append(y).append("\" r=\"3.5\" />\n");
      } else {
        path.append(follows ? 'L' : 'M').append(x).append(' ').append(y);
      }
    }
    if (!path.isEmpty()) {
      out.append("<path class=\"curve ").append(style).append("\" d=\"").append(path).append("\" />\n");
    }
    out.append(dots);
  }

  private void hovers(StringBuilder out, Series one) {
    int stride = Math.max(1, Math.ceilDiv(one.size(), MOST_HOVERS));
    for (int i = (one.size() - 1) % stride; i < one.size(); i += stride) {
      if (!Double.isNaN(one.values()[i])) {
        String epoch = Double.isNaN(one.epochs()[i]) ? "" : ", epoch " + whole(one.epochs()[i]);
        String text = one.name() + " " + SummaryTable.cell(one.values()[i]) + " at step " + whole(one.steps()[i]) + epoch;
        out.append("<circle class=\"point\" cx=\"").append(at(x(one.steps()[i]))).append("\" cy=\"").append(at(y(one.values()[i])))
            .append("\" r=\"5\"><title>").append(Markup.escape(text)).append("</title></circle>\n");
      }
    }
  }

  private double x(double step) {
    return LEFT + (step - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT);
  }

  private double y(double value) {
    return HEIGHT - BOTTOM - (value - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM);
  }

  static String at(double coordinate) {
    return String.format(Locale.ROOT, "%.1f", coordinate);
  }

  private static String whole(double step) {
    return String.format(Locale.ROOT, "%,.0f", step);
  }

  /** The 1, 2 or 5 times a power of ten that cuts {@code range} into at most {@code most} parts. */
  private static double tick(double range, int most) {
    double power = Math.pow(10, Math.floor(Math.log10(range / most)));
    for (int times : new int[] {1, 2, 5}) {
      if (power * times * most >= range * (1 - 1e-9)) {
        return power * times;
      }
    }
    return power * 10;
  }

  private static String label(double value, double tick) {
    double shown = Math.abs(value) < tick * 1e-6 ? 0 : value;
    if (shown != 0 && (tick < 1e-4 || Math.abs(shown) >= 1e7)) {
      return String.format(Locale.ROOT, "%.3g", shown);
    }
    return String.format(Locale.ROOT, "%,." + Math.max(0, (int) Math.ceil(-Math.log10(tick) - 1e-9)) + "f", shown);
  }
}
