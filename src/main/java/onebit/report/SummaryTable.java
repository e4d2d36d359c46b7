package onebit.report;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * A text table with columns as wide as their widest cell, two spaces apart, header and rules underlined with dashes.
 *
 * <p>Whole numbers get thousands separators; other numbers four significant digits; null is an empty cell.
 */
public final class SummaryTable {
  private static final String[] RULE = {};

  private final String[] headers;
  private final boolean[] right;
  private final List<String[]> rows = new ArrayList<>();

  /** A table with these columns; a name that starts with {@code >} is a column aligned to the right. */
  public SummaryTable(String... columns) {
    if (columns.length == 0) {
      throw new IllegalArgumentException("SummaryTable: no columns; it must have at least one");
    }
    headers = new String[columns.length];
    right = new boolean[columns.length];
    for (int i = 0; i < columns.length; i++) {
      right[i] = columns[i].startsWith(">");
      headers[i] = Screen.clean(right[i] ? columns[i].substring(1) : columns[i], false);
    }
  }

  /**
   * Adds a row.
   *
   * @throws IllegalArgumentException the number of cells is not the number of columns
   */
  public SummaryTable row(Object... cells) {
    if (cells.length != headers.length) {
      throw new IllegalArgumentException("SummaryTable: a row has " + cells.length + " cells; it must have " + headers.length);
    }
    rows.add(Arrays.stream(cells).map(SummaryTable::cell).toArray(String[]::new));
    return this;
  }

  /** Adds a line of dashes, as before a total. */
  public SummaryTable rule() {
    rows.add(RULE);
    return this;
  }

  /** {@code value} as a cell shows it. */
  public static String cell(Object value) {
    return switch (value) {
      case null -> "";
      case Double d -> significant(d);
      case Float f -> significant(f);
      case Number n when n instanceof Long || n instanceof Integer || n instanceof Short || n instanceof Byte ->
          String.format(Locale.ROOT, "%,d", n.longValue());
      default -> Screen.clean(value.toString(), false);
    };
  }

  private static String significant(double value) {
    if (!Double.isFinite(value) || value == 0) {
      return Double.isFinite(value) ? "0" : Double.toString(value);
    }
    double size = Math.abs(value);
    if (size < 1e-4 || size >= 1e15) {
      return String.format(Locale.ROOT, "%.3e", value);
    }
    int decimals = Math.clamp(3 - (int) Math.floor(Math.log10(size)), 0, 7);
    return String.format(Locale.ROOT, "%,." + decimals + "f", value);
  }

  /** The table, each line ended, no line with spaces at its end. */
  @Override
  public String toString() {
    int[] widths = new int[headers.length];
    for (int i = 0; i < widths.length; i++) {
      widths[i] = length(headers[i]);
      for (String[] row : rows) {
        widths[i] = row == RULE ? widths[i] : Math.max(widths[i], length(row[i]));
      }
    }
    String[] dashes = Arrays.stream(widths).mapToObj("-"::repeat).toArray(String[]::new);
    StringBuilder text = new StringBuilder();
    line(text, headers, widths);
    line(text, dashes, widths);
    for (String[] row : rows) {
      line(text, row == RULE ? dashes : row, widths);
    }
    return text.toString();
  }

  private void line(StringBuilder text, String[] cells, int[] widths) {
    StringBuilder line = new StringBuilder();
    for (int i = 0; i < cells.length; i++) {
      String space = " ".repeat(widths[i] - length(cells[i]));
      line.append(i == 0 ? "" : "  ").append(right[i] ? space + cells[i] : cells[i] + space);
    }
    text.append(line.toString().stripTrailing()).append('\n');
  }

  private static int length(String cell) {
    return cell.codePointCount(0, cell.length());
  }
}
