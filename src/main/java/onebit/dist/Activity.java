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
  private long awaited;
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

  /** The training step that begins. */
  public synchronized void step(long now) {
    step = now;
    observer.entered(step, entered, last);
  }

  /** A collective of that name begins. */
  public synchronized void enter(String what) {
    enter(what, 1);
  }

  /** So many collectives begin in one call, as in a step that a device replays. */
  public synchronized void enter(String what, long collectives) {
    last = what;
    entered += collectives;
    waits(0);
    observer.entered(step, entered, last);
  }

  /** This rank waits for what its device gives for a step, whose collectives were entered when the step was asked for. */
  public synchronized void await(long stepAskedFor) {
    waits(stepAskedFor);
  }

  private void waits(long stepAskedFor) {
    awaited = stepAskedFor;
    waiting = true;
    sinceNanos = nanos.getAsLong();
  }

  /** The collective is over, or goes on beside this rank's other work. */
  public synchronized void leave() {
    waiting = false;
  }

  /** How many collectives this rank has entered. */
  public synchronized long entered() {
    return entered;
  }

  /** How it stands now; the step is the one that is waited for, else the one that began last. */
  public synchronized Snapshot snapshot() {
    return new Snapshot(waiting && awaited > 0 ? awaited : step, entered, last, waiting, waiting ? nanos.getAsLong() - sinceNanos : 0);
  }
}
