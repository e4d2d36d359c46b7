package onebit.report;

import java.util.Locale;
import java.util.Objects;
import java.util.function.LongSupplier;

/**
 * Where the run is, how fast it goes and when it ends: {@code epoch 2/10  step 120/469  loss 0.4312  5,210 images/s  ETA 1m42s}.
 *
 * <p>On a terminal one line is redrawn at most ten times a second; elsewhere a plain line appears at most every ten
 * seconds, and one at the end of each epoch. A clock that jumps spoils no more than one sample of the speed.
 *
 * <pre>
 * Units    nanos in nanoseconds from any origin; images per call; losses as given
 * </pre>
 */
public final class ProgressLine {
  private static final long SECOND = 1_000_000_000L;
  static final long REDRAW_NANOS = SECOND / 10, PLAIN_NANOS = 10 * SECOND;
  /** A longer gap between two steps is a sleeping machine or a set clock, not a slow step. */
  private static final long LONGEST_STEP_NANOS = 3600 * SECOND;
  /** The speed shown forgets with this time constant. */
  private static final double MEMORY_SECONDS = 5;
  /** The time left is told from steps that are forgotten with this one. */
  private static final double ETA_MEMORY_SECONDS = 60;

  private final Screen screen;
  private final LongSupplier nanos;
  private final int epochs;
  private final long stepsPerEpoch;
  private long lastNanos;
  private long drawnNanos;
  private boolean started;
  private boolean drawn;
  private long stepsTimed;
  private double etaSeconds;
  private double etaSteps;
  private double recentSeconds;
  private double recentImages;
  private double imagesPerSecond;

  /** A line for {@code epochs} epochs of {@code stepsPerEpoch} steps, by the machine's monotonic clock. */
  public ProgressLine(Screen screen, int epochs, long stepsPerEpoch) {
    this(screen, epochs, stepsPerEpoch, System::nanoTime);
  }

  /** The same with a clock of the caller's. */
  public ProgressLine(Screen screen, int epochs, long stepsPerEpoch, LongSupplier nanos) {
    if (epochs < 1 || stepsPerEpoch < 1) {
      throw new IllegalArgumentException(
          "ProgressLine: epochs and stepsPerEpoch must be at least 1, got " + epochs + " and " + stepsPerEpoch);
    }
    this.screen = Objects.requireNonNull(screen, "screen");
    this.nanos = Objects.requireNonNull(nanos, "nanos");
    this.epochs = epochs;
    this.stepsPerEpoch = stepsPerEpoch;
  }

  /** Starts the clock, so that the first step is timed too. Call it again after a pause that is not training. */
  public synchronized void start() {
    long now = nanos.getAsLong();
    lastNanos = now;
    if (!started) {
      drawnNanos = now;
    }
    started = true;
  }

  /** Tells that step {@code step} (from 1) of epoch {@code epoch} (from 1) is done. */
  public synchronized void step(int epoch, long step, double loss, int images) {
    long now = nanos.getAsLong();
    if (started) {
      measure(now - lastNanos, images);
    } else {
      drawnNanos = now;
    }
    started = true;
    lastNanos = now;
    long sinceDrawn = now - drawnNanos;
    if (sinceDrawn < 0) {
      drawnNanos = now;
      sinceDrawn = 0;
    }
    boolean due = screen.isTerminal() ? !drawn || sinceDrawn >= REDRAW_NANOS || step == stepsPerEpoch : sinceDrawn >= PLAIN_NANOS;
    if (due) {
      drawnNanos = now;
      drawn = true;
      String text = text(epoch, step, loss);
      if (screen.isTerminal()) {
        screen.status(text);
      } else {
        screen.line(text);
      }
    }
  }

  /** Prints the line of a finished epoch, such as {@code test 98.1 %}, and restarts the interval of plain lines. */
  public synchronized void epochDone(int epoch, String result) {
    screen.clearStatus();
    screen.line(String.format(Locale.ROOT, "epoch %d/%d  %s", epoch, epochs, result));
    drawnNanos = nanos.getAsLong();
  }

  /** Removes the redrawn line: the run is over or stops. */
  public synchronized void finish() {
    screen.clearStatus();
  }

  /** Images a second over the last seconds; 0 before the first step. */
  public synchronized double imagesPerSecond() {
    return imagesPerSecond;
  }

  private void measure(long deltaNanos, int images) {
    if (deltaNanos <= 0 || deltaNanos > LONGEST_STEP_NANOS) {
      return;
    }
    double seconds = deltaNanos / 1e9;
    if (stepsTimed++ > 0) {   // the first step also starts much that later ones find ready
      double keep = Math.exp(-seconds / ETA_MEMORY_SECONDS);
      etaSeconds = etaSeconds * keep + seconds;
      etaSteps = etaSteps * keep + 1;
    }
    double keep = Math.exp(-seconds / MEMORY_SECONDS);
    recentSeconds = recentSeconds * keep + seconds;
    recentImages = recentImages * keep + images;
    imagesPerSecond = recentImages / recentSeconds;
  }

  private String text(int epoch, long step, double loss) {
    StringBuilder line = new StringBuilder();
    line.append(String.format(Locale.ROOT, "epoch %d/%d  step %,d/%,d  loss %.4f", epoch, epochs, step, stepsPerEpoch, loss));
    if (stepsTimed > 0) {
      long left = Math.max(0, (long) (epochs - epoch) * stepsPerEpoch + stepsPerEpoch - step);
      line.append(String.format(Locale.ROOT, imagesPerSecond < 100 ? "  %,.1f images/s" : "  %,.0f images/s", imagesPerSecond));
      if (etaSteps > 0) line.append("  ETA ").append(duration(left * (etaSeconds / etaSteps)));
    }
    return line.toString();
  }

  /** {@code 42s}, {@code 3m07s}, {@code 5h02m}, {@code 2d04h}. */
  public static String duration(double seconds) {
    long whole = Math.round(Math.max(0, seconds));
    if (whole < 60) {
      return whole + "s";
    }
    if (whole < 3600) {
      return String.format(Locale.ROOT, "%dm%02ds", whole / 60, whole % 60);
    }
    if (whole < 86_400) {
      return String.format(Locale.ROOT, "%dh%02dm", whole / 3600, whole / 60 % 60);
    }
    return String.format(Locale.ROOT, "%dd%02dh", whole / 86_400, whole / 3600 % 24);
  }
}
