package onebit.report;

import java.util.Locale;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/**
 * How far long work is whose length is known, and when it ends: {@code evaluating  12,000/50,000  ETA 42s}.
 *
 * <p>On a terminal one line is redrawn at most ten times a second; elsewhere a plain line appears at most every ten seconds.
 *
 * <pre>
 * Units  done and total alike, of whatever the text names
 * </pre>
 */
public final class WorkLine {
  private final Screen screen;
  private final LongSupplier nanos;
  private long total = -1;
  private long before;
  private long beginNanos;
  private long toldNanos;

  /** A line by the machine's monotonic clock. */
  public WorkLine(Screen screen) {
    this(screen, System::nanoTime);
  }

  WorkLine(Screen screen, LongSupplier nanos) {
    this.screen = screen;
    this.nanos = nanos;
  }

  /** Tells how many of all are done of what is said. */
  public void at(String what, long done, long of) {
    at(done, of, () -> String.format(Locale.ROOT, "%s  %,d/%,d", what, done, of));
  }

  /** Tells how much of all is done; the text is asked for where it is shown. What the first call says was done before, as is what the first of another total says; calls of several threads may overtake one another. */
  public synchronized void at(long done, long of, Supplier<String> text) {
    long now = nanos.getAsLong();
    boolean first = of != total;
    if (first) {
      total = of;
      before = done;
      beginNanos = toldNanos = now;
    }
    if (screen.isTerminal() ? !first && now - toldNanos < ProgressLine.REDRAW_NANOS : now - toldNanos < ProgressLine.PLAIN_NANOS) return;
    toldNanos = now;
    String eta = done <= before ? "" : "  ETA " + ProgressLine.duration((now - beginNanos) / 1e9 * (total - done) / (done - before));
    if (screen.isTerminal()) screen.status(text.get() + eta);
    else screen.line(text.get() + eta);
  }
}
