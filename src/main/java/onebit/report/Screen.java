package onebit.report;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Objects;
import java.util.function.IntSupplier;

/**
 * Where a run speaks to the person: whole lines, and on a terminal one status line that is redrawn below them.
 *
 * <p>A closed or broken stream is noticed once and then left alone: no method throws because of it, so training never
 * depends on who is reading. Control characters inside a text are shown as {@code ?}.
 */
public final class Screen {
  private static final int DEFAULT_COLUMNS = 80, MOST_COLUMNS = 400;

  private final OutputStream out;
  private final boolean terminal;
  private final IntSupplier columns;
  private String status = "";
  private boolean broken;

  /** {@code columns}: the width of the terminal, asked at every status line. */
  Screen(OutputStream out, boolean terminal, IntSupplier columns) {
    this.out = Objects.requireNonNull(out, "out");
    this.terminal = terminal;
    this.columns = columns;
  }

  /** Lines on the standard output handed in, redrawn when a person watches it. */
  public static Screen standard(PrintStream out) {
    var console = System.console();
    var env = System.getenv();
    return new Screen(out, redraws(env, console != null && console.isTerminal()), () -> columns(env, TerminalWidth.now()));
  }

  /** Plain lines on {@code out}, or a redrawn status line where {@code terminal} is true. */
  public static Screen of(OutputStream out, boolean terminal) {
    return new Screen(out, terminal, () -> DEFAULT_COLUMNS);
  }

  /** A screen nobody sees. */
  public static Screen none() {
    return of(OutputStream.nullOutputStream(), false);
  }

  /** True where a line may be redrawn: a terminal, not a dumb one, not a build machine. */
  static boolean redraws(Map<String, String> env, boolean isTerminal) {
    String term = env.getOrDefault("TERM", "");
    String ci = env.getOrDefault("CI", "");
    boolean buildMachine = !ci.isEmpty() && !ci.equalsIgnoreCase("false") && !ci.equals("0");
    return isTerminal && !term.isEmpty() && !term.equals("dumb") && !buildMachine;
  }

  /** What COLUMNS says, else the terminal; 80 where neither tells. */
  static int columns(Map<String, String> env, int terminal) {
    int told = terminal;
    try {
      told = Integer.parseInt(env.getOrDefault("COLUMNS", ""));
    } catch (NumberFormatException none) {
      // the terminal tells
    }
    return told <= 0 ? DEFAULT_COLUMNS : Math.clamp(told, 2, MOST_COLUMNS);
  }

  /** True where {@link #status} is drawn. */
  public boolean isTerminal() {
    return terminal;
  }

  /** True after the stream refused a write; nothing is written from then on. */
  public synchronized boolean isBroken() {
    return broken;
  }

  /** Prints one whole line, above the status line where there is one. */
  public synchronized void line(String text) {
    String erase = terminal && !status.isEmpty() ? "\r\u001b[K" : "";
    write(erase + clean(text, true) + System.lineSeparator() + (terminal ? status : ""));
  }

  /** Redraws the status line, cut to the width of the terminal; elsewhere does nothing. */
  public synchronized void status(String text) {
    if (!terminal) {
      return;
    }
    String cut = clean(text, false);
    int room = columns.getAsInt() - 1;
    if (cut.length() > room) {
      cut = cut.substring(0, room);
    }
    status = cut;
    write("\r" + cut + "\u001b[K");
  }

  /** Removes the status line. */
  public synchronized void clearStatus() {
    if (terminal && !status.isEmpty()) {
      status = "";
      write("\r\u001b[K");
    }
  }

  private void write(String text) {
    if (broken) {
      return;
    }
    try {
      out.write(text.getBytes(StandardCharsets.UTF_8));
      out.flush();
      broken = out instanceof PrintStream print && print.checkError();
    } catch (IOException | RuntimeException closed) {
      broken = true;
    }
  }

  /** {@code text} without control characters; line ends and tabs stay where {@code lines} is true. */
  static String clean(String text, boolean lines) {
    StringBuilder result = new StringBuilder(text.length());
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      boolean keep = !Character.isISOControl(c) || (lines && (c == '\n' || c == '\t'));
      result.append(keep ? c : '?');
    }
    return result.toString();
  }
}
