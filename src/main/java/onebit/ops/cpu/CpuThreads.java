package onebit.ops.cpu;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Runs fixed pieces of work on all cores; what a piece computes never depends on the number of threads.
 *
 * <p>The number of threads is the processors of the machine, or the system property {@code onebit.threads}.
 */
public final class CpuThreads {
  private static final int THREADS = Math.max(1, Integer.getInteger("onebit.threads", Runtime.getRuntime().availableProcessors()));
  private static final ExecutorService POOL = Executors.newFixedThreadPool(Math.max(1, THREADS - 1), task -> {
    Thread thread = new Thread(task, "onebit-cpu");
    thread.setDaemon(true);
    return thread;
  });

  private static final ThreadLocal<Boolean> ALONE = ThreadLocal.withInitial(() -> false);

  private CpuThreads() {}

  /** Work on one piece. */
  @FunctionalInterface
  public interface Piece {
    void run(int index);
  }

  /** Work on the half-open range [from, to). */
  @FunctionalInterface
  public interface Range {
    void run(int from, int to);
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

  /** Runs pieces 0 to count-1, each once, in any order; returns when all are done and rethrows what one threw. */
  public static void pieces(int count, Piece piece) {
    int helpers = Math.min(THREADS, count) - 1;
    if (helpers <= 0 || ALONE.get()) {
      for (int i = 0; i < count; i++) piece.run(i);
      return;
    }
    AtomicInteger next = new AtomicInteger();
    CountDownLatch done = new CountDownLatch(helpers);
    Throwable[] failure = new Throwable[1];
    Runnable work = () -> {
      try {
        for (int i = next.getAndIncrement(); i < count; i = next.getAndIncrement()) piece.run(i);
      } catch (Throwable t) {
        synchronized (failure) {
          failure[0] = t;
        }
        next.set(count);
      }
    };
    for (int i = 0; i < helpers; i++) {
      POOL.execute(() -> {
        alone(work);
        done.countDown();
      });
    }
    work.run();
    try {
      done.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while waiting for the CPU threads", e);
    }
    if (failure[0] instanceof RuntimeException e) throw e;
    if (failure[0] instanceof Error e) throw e;
  }

  /** Runs [0, n) in ranges of at most grain elements. */
  public static void range(int n, int grain, Range range) {
    if (n <= grain) {
      if (n > 0) range.run(0, n);
      return;
    }
    pieces((n + grain - 1) / grain, i -> range.run(i * grain, Math.min(n, (i + 1) * grain)));
  }
}
