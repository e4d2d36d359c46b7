package onebit.ops.cpu;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import onebit.ops.Processors;

/**
 * Runs fixed pieces of work on all cores; what a piece computes never depends on the number of threads, and handing it out makes no object.
 *
 * <p>There are {@link Processors#COUNT} threads. One caller has them at a time; work that another caller brings meanwhile, or that a piece
 * brings itself, runs on the thread that brings it.
 */
public final class CpuThreads {
  private static final int THREADS = Processors.COUNT;
  /** Looks at the next job, or for the end of this one, before a thread goes to sleep: some microseconds. */
  private static final int GLANCES = 300;

  private static final ThreadLocal<Boolean> ALONE = ThreadLocal.withInitial(() -> false);
  private static final AtomicInteger TAKEN = new AtomicInteger();
  /** The job's number in the upper half, the next piece to be claimed in the lower: a claim cannot fall into another job. */
  private static final AtomicLong CLAIM = new AtomicLong();
  private static final AtomicInteger DONE = new AtomicInteger();
  private static final Thread[] HELPERS = new Thread[THREADS - 1];

  // the job: written before CLAIM opens it, read only between a claim and the count of its piece
  private static Object operands;
  private static Range<Object> body;
  private static int end, grain, pieces;
  private static volatile Thread caller;
  private static volatile Throwable failure;

  static {
    for (int i = 0; i < HELPERS.length; i++) {
      HELPERS[i] = new Thread(CpuThreads::help, "onebit-cpu");
      HELPERS[i].setDaemon(true);
      HELPERS[i].start();
    }
  }

  private CpuThreads() {}

  /** Work on the half-open range [from, to) of the operands; a lambda that captures nothing is made once and for all. */
  @FunctionalInterface
  public interface Range<O> {
    void run(O operands, int from, int to);
  }

  public static int count() {
    return THREADS;
  }

  /** Runs the work with all its pieces on the calling thread. */
  public static void alone(Runnable work) {
    boolean before = ALONE.get();
    ALONE.set(true);
    try {
      work.run();
    } finally {
      ALONE.set(before);
    }
  }

  /** Runs [0, n) in ranges of at most grain, each once, in any order; returns when all are done and rethrows what one threw. */
  public static <O> void range(int n, int grain, O operands, Range<? super O> range) {
    if (n <= grain || THREADS == 1 || ALONE.get() || !TAKEN.compareAndSet(0, 1)) {
      for (int from = 0; from < n; from += grain) range.run(operands, from, Math.min(n, from + grain));
      return;
    }
    try {
      together(n, grain, operands, range);
    } finally {
      TAKEN.set(0);
    }
  }

  @SuppressWarnings("unchecked")
  private static void together(int n, int size, Object on, Range<?> range) {
    int job = (int) (CLAIM.get() >>> 32) + 1;
    operands = on;
    body = (Range<Object>) range;
    end = n;
    grain = size;
    pieces = (n - 1) / size + 1;
    caller = Thread.currentThread();
    failure = null;
    DONE.set(0);
    CLAIM.set((long) job << 32);
    for (int i = 0; i < Math.min(HELPERS.length, pieces - 1); i++) LockSupport.unpark(HELPERS[i]);
    work(job);
    for (int glance = 0; DONE.get() < pieces; glance++) {
      if (glance < GLANCES) Thread.onSpinWait();
      else LockSupport.park(CLAIM);
    }
    CLAIM.getAndSet((long) job << 32 | Integer.MAX_VALUE); // closed: no claim of this job can succeed while the fields change
    operands = null;
    if (failure instanceof RuntimeException e) throw e;
    if (failure instanceof Error e) throw e;
  }

  /** Claims and runs pieces of the job until none is left or another job has come. */
  private static void work(int job) {
    for (long claim = CLAIM.get(); (int) (claim >>> 32) == job; claim = CLAIM.get()) {
      int piece = (int) claim;
      if (piece >= pieces) return;
      if (!CLAIM.compareAndSet(claim, claim + 1)) continue;
      try {
        if (failure == null) body.run(operands, piece * grain, (int) Math.min(end, (piece + 1L) * grain));
      } catch (Throwable t) {
        failure = t;
      }
      int all = pieces;
      if (DONE.incrementAndGet() == all) LockSupport.unpark(caller);
    }
  }

  private static void help() {
    ALONE.set(true);
    int job = 0;
    for (int glance = 0;; glance++) {
      int now = (int) (CLAIM.get() >>> 32);
      if (now != job) {
        job = now;
        work(job);
        glance = 0;
      } else if (glance < GLANCES) {
        Thread.onSpinWait();
      } else {
        LockSupport.park(CLAIM);
      }
    }
  }
}
