package onebit.dist;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Ends this process when it has waited too long for others, or when whoever started it is gone: a run never hangs for ever.
 *
 * <p>The ranks that have entered fewest collectives are those the others wait for; their files in the run folder tell who and where.
 */
public final class Watchdog implements AutoCloseable {
  private static final long MOST_MILLIS_BETWEEN_LOOKS = 1000;

  private final Communicator communicator;
  private final Activity activity;
  private final Path run;
  private final int rank;
  private final int size;
  private final Duration limit;
  private final long starter;
  private final Consumer<String> stop;
  private final Thread thread;
  private volatile boolean closed;

  /**
   * Begins to watch.
   *
   * @param starter the process whose end ends this one; 0 for none
   * @param stop    is told why the process must end, and ends it
   */
  public Watchdog(Communicator communicator, Path run, Duration limit, long starter, Consumer<String> stop) {
    this.communicator = communicator;
    activity = communicator.activity();
    this.run = run;
    rank = communicator.rank();
    size = communicator.size();
    this.limit = limit;
    this.starter = starter;
    this.stop = stop;
    thread = Thread.ofPlatform().daemon().name("onebit-watchdog").start(this::watch);
  }

  private void watch() {
    long between = Math.clamp(limit.toMillis() / 20, 10, MOST_MILLIS_BETWEEN_LOOKS);
    while (!closed) {
      try {
        Thread.sleep(between);
      } catch (InterruptedException e) {
        return;
      }
      String reason = reason();
      if (reason != null && !closed) {
        stop.accept(reason);
        return;
      }
    }
  }

  private String reason() {
    if (starter > 0 && ProcessHandle.of(starter).filter(ProcessHandle::isAlive).isEmpty()) {
      return "rank " + rank + " stops: process " + starter + ", which started it, is gone";
    }
    Activity.Snapshot now = activity.snapshot();
    Optional<String> trouble = communicator.trouble();
    if (trouble.isPresent()) return "rank " + rank + " stops in step " + now.step() + ", last collective '" + now.last() + "': " + trouble.get();
    if (!now.waiting() || now.waitedNanos() < limit.toNanos()) return null;
    return "rank " + rank + " has waited " + limit.toSeconds() + " s (dist.timeoutSeconds) in step " + now.step() + " for '" + now.last() + "'; "
        + missing(run, rank, size, now.entered());
  }

  /** Who has not come to the collective that this rank waits in, or was stopped in it. */
  static String missing(Path run, int rank, int size, long entered) {
    List<String> late = new ArrayList<>();
    for (int other = 0; other < size; other++) {
      Optional<RankStatus> status = other == rank ? Optional.empty() : RankStatus.read(run, other);
      if (status.isPresent() && (status.get().entered() < entered || status.get().stopped())) late.add(status.get().describe());
    }
    return late.isEmpty() ? "all ranks that can be seen have come to it, so the network or a device hangs" : "it hangs because " + String.join(", ", late);
  }

  @Override
  public void close() {
    closed = true;
    thread.interrupt();
  }
}
