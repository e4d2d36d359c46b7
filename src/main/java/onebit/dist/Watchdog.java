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

  /** What is watched: of a rank that has yet to meet the others an activity alone. */
  private record Watched(Activity activity, Communicator communicator, Path run) {}

  private final int rank;
  private final int size;
  private final Duration limit;
  private final long starter;
  private final Consumer<String> stop;
  private final Thread thread;
  private volatile Watched watched;
  private volatile boolean closed;

  /**
   * Begins to watch a rank that has yet to meet the others, by what {@code start} says of it.
   *
   * @param starter the process whose end ends this one; 0 for none
   * @param stop    is told why the process must end, and ends it
   */
  public Watchdog(Activity start, int rank, int size, Duration limit, long starter, Consumer<String> stop) {
    watched = new Watched(start, null, null);
    this.rank = rank;
    this.size = size;
    this.limit = limit;
    this.starter = starter;
    this.stop = stop;
    thread = Thread.ofPlatform().daemon().name("onebit-watchdog").start(this::watch);
  }

  /** Watches what the communicator does from now on. */
  public void watch(Communicator communicator) {
    watched = new Watched(communicator.activity(), communicator, null);
  }

  /** The same; the ranks' files in the run folder tell who is late. */
  public void watch(Communicator communicator, Path run) {
    watched = new Watched(communicator.activity(), communicator, run);
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
    Watched seen = watched;
    Activity.Snapshot now = seen.activity.snapshot();
    Optional<String> trouble = seen.communicator == null ? Optional.empty() : seen.communicator.trouble();
    if (trouble.isPresent()) return "rank " + rank + " stops in step " + now.step() + ", last collective '" + now.last() + "': " + trouble.get();
    if (!now.waiting() || now.waitedNanos() < limit.toNanos()) return null;
    String waited = "rank " + rank + " has waited " + limit.toSeconds() + " s (dist.timeoutSeconds) ";
    if (seen.run == null) return waited + "while the run starts, for '" + now.last() + "'; one of its " + size + " ranks has not come to it";
    return waited + "in step " + now.step() + " for '" + now.last() + "'; " + missing(seen.run, rank, size, now.entered());
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
