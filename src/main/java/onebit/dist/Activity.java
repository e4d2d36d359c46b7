package onebit.dist;

import java.util.function.LongSupplier;

/**
 * What a rank does together with the others: how many collectives it has entered, which was the last, since when it waits in it.
 *
 * <pre>
 * Units    nanoseconds of a monotonic clock, which a set clock does not move
 * </pre>
 */
public final class Activity {
  /** One look at an activity. */
  public record Snapshot(long step, long entered, String last, boolean waiting, long waitedNanos) {}

  /** Hears of every collective entered. */
  @FunctionalInterface
  interface Observer {
    void entered(long step, long entered, String last);
  }

  private final LongSupplier nanos;
  private Observer observer = (step, entered, last) -> { };
  private long step;
  private long entered;
  private String last = "none";
  private boolean waiting;
  private long sinceNanos;

  public Activity() {
    this(System::nanoTime);
  }

  /** An activity by another clock, for tests. */
  Activity(LongSupplier nanos) {
    this.nanos = nanos;
  }

  synchronized void observe(Observer asked) {
    observer = asked;
    observer.entered(step, entered, last);
  }

  /** The training step that begins; on a device whose steps are recorded it is the only sign of life between two agreements. */
  public synchronized void step(long now) {
    step = now;
    sinceNanos = nanos.getAsLong();
    observer.entered(step, entered, last);
  }

  /** A collective of that name begins. */
  public synchronized void enter(String what) {
    last = what;
    entered++;
    waiting = true;
    sinceNanos = nanos.getAsLong();
    observer.entered(step, entered, last);
  }

  /** The collective is over. */
  public synchronized void leave() {
    waiting = false;
  }

  public synchronized Snapshot snapshot() {
    return new Snapshot(step, entered, last, waiting, waiting ? nanos.getAsLong() - sinceNanos : 0);
  }
}
