package onebit.train;

import java.io.IOException;
import java.util.function.Consumer;
import java.util.function.Supplier;
import onebit.checkpoint.Checkpoint;
import onebit.checkpoint.CheckpointException;
import onebit.checkpoint.CheckpointStore;

/**
 * Writes checkpoints on a thread of its own while training goes on; one at a time.
 *
 * <p>A disk that refuses is said, the checkpoints before stay, and the run goes on; {@value #MOST_FAILURES} refusals in a row end it.
 */
final class CheckpointWriter implements AutoCloseable {
  static final int MOST_FAILURES = 3;
  private static final long PAUSE_MILLIS = 500, QUIET_MILLIS = 1000, FOREVER = Long.MAX_VALUE / 2_000_000;

  /** Where checkpoints go. */
  @FunctionalInterface
  interface Sink {
    void save(Checkpoint checkpoint, boolean best) throws IOException;
  }

  private record Job(long step, Supplier<Checkpoint> checkpoint, boolean best) {}

  private final Sink sink;
  private final Consumer<String> warn;
  private final Thread thread;
  private Job waiting;
  private Job failed;
  private Job writing;
  private boolean closed;
  private int failures;
  private long goodStep = -1;
  private String reason;
  private long heldSince;
  private boolean held;
  private boolean told;

  CheckpointWriter(CheckpointStore store, Consumer<String> warn) {
    this((checkpoint, best) -> {
      store.save(checkpoint);
      if (best) store.markBest(checkpoint.step());
    }, warn);
  }

  /** A writer to another place, for tests. */
  CheckpointWriter(Sink sink, Consumer<String> warn) {
    this.sink = sink;
    this.warn = warn;
    thread = Thread.ofPlatform().daemon().name("onebit-checkpoint").start(this::work);
  }

  /** Whether a checkpoint is being written, so that another would have to wait. */
  synchronized boolean isBusy() {
    return writing != null || waiting != null;
  }

  /**
   * Hands a checkpoint over, after waiting for the one before; the supplier is asked on the writer's thread, and again where the disk refused.
   * best: the link best shall point at it.
   *
   * @throws CheckpointException if the last {@value #MOST_FAILURES} could not be written
   */
  synchronized void write(long step, Supplier<Checkpoint> checkpoint, boolean best) throws CheckpointException {
    awaitIdle(FOREVER);
    requireWorking(step);
    boolean lostBest = failed != null && failed.best;
    failed = null;
    if (lostBest && !best) warn.accept("The best checkpoint so far was among those that could not be written.");
    waiting = new Job(step, checkpoint, best);
    notifyAll();
  }

  /**
   * Waits about so long until everything is on the disk; whether that is so. The last checkpoint of a run is tried again until {@value #MOST_FAILURES} tries have failed.
   *
   * @throws CheckpointException if it could not be written
   */
  synchronized boolean finish(long millis) throws CheckpointException {
    if (!awaitIdle(millis)) return false;
    if (failed == null) return true;
    requireWorking(failed.step);
    pause();
    waiting = failed;
    failed = null;
    notifyAll();
    return false;
  }

  private void requireWorking(long step) throws CheckpointException {
    if (failures < MOST_FAILURES) return;
    throw new CheckpointException("training stopped at step " + step + ": " + failures + " checkpoints in a row could not be written, the last because "
        + reason + (goodStep < 0 ? "" : "; the checkpoint of step " + goodStep + " is good"));
  }

  /** Waits at most so long until nothing is being written; whether that is so. Says once of a wait, however often it is taken up again, that it is longer than a second. */
  synchronized boolean awaitIdle(long millis) {
    boolean interrupted = false;
    long begin = System.nanoTime();
    if (!held) {
      told = false;
      heldSince = begin;
    }
    while (isBusy()) {
      long now = System.nanoTime(), left = millis - (now - begin) / 1_000_000, quiet = told ? left : QUIET_MILLIS - (now - heldSince) / 1_000_000;
      if (!told && quiet <= 0) {
        told = true;
        warn.accept("The disk is slow: training waits until the checkpoint of step " + (writing != null ? writing : waiting).step + " is written.");
        continue;
      }
      if (left <= 0) break;
      try {
        wait(Math.max(1, Math.min(left, quiet)));
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    held = isBusy();
    if (interrupted) Thread.currentThread().interrupt();
    return !held;
  }

  private void pause() {
    try {
      wait(PAUSE_MILLIS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void work() {
    while (true) {
      Job job;
      synchronized (this) {
        while (waiting == null && !closed) {
          try {
            wait();
          } catch (InterruptedException e) {
            return;
          }
        }
        if (waiting == null) return;
        job = waiting;
        waiting = null;
        writing = job;
      }
      String trouble = save(job);
      synchronized (this) {
        writing = null;
        reason = trouble;
        failures = trouble == null ? 0 : failures + 1;
        failed = trouble == null ? null : job;
        if (trouble == null) goodStep = job.step;
        notifyAll();
      }
    }
  }

  /** Why the checkpoint could not be written; null if it was. */
  private String save(Job job) {
    try {
      sink.save(job.checkpoint.get(), job.best);
      return null;
    } catch (IOException | RuntimeException | Error e) {   // who waits for this thread waits for what it says
      String text = e.getMessage() == null ? e.toString() : e.getMessage();
      warn.accept("The checkpoint of step " + job.step + " was not written, training goes on: " + text);
      return text;
    }
  }

  /** Lets what was handed over be written and ends the thread. */
  @Override
  public void close() {
    synchronized (this) {
      closed = true;
      notifyAll();
    }
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) Thread.currentThread().interrupt();
  }
}
