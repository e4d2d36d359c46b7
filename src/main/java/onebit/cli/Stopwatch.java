package onebit.cli;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.Arrays;

/**
 * Times several works in turn, so that what disturbs the machine disturbs all of them.
 *
 * <pre>
 * Units  seconds
 * </pre>
 */
final class Stopwatch {
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  /** Wall times of one work over the rounds, sorted, and the median of the CPU times of its calling thread. */
  record Times(double[] wall, double cpuMedian) {
    double median() {
      return wall[wall.length / 2];
    }

    double best() {
      return wall[0];
    }

    /** (third quartile - first quartile) / median. */
    double spread() {
      return (wall[wall.length * 3 / 4] - wall[wall.length / 4]) / median();
    }
  }

  private Stopwatch() {}

  /** Runs every work ten times and for at least warmSeconds, then all works in turn, as many rounds as given. */
  static Times[] measure(double warmSeconds, int rounds, Runnable... works) {
    for (Runnable work : works) {
      long end = System.nanoTime() + (long) (warmSeconds * 1e9);
      for (int run = 0; run < 10 || System.nanoTime() < end; run++) work.run();
    }
    double[][] wall = new double[works.length][rounds], cpu = new double[works.length][rounds];
    for (int round = 0; round < rounds; round++) {
      for (int i = 0; i < works.length; i++) {
        long cpuStart = THREADS.getCurrentThreadCpuTime(), start = System.nanoTime();
        works[i].run();
        wall[i][round] = (System.nanoTime() - start) * 1e-9;
        cpu[i][round] = (THREADS.getCurrentThreadCpuTime() - cpuStart) * 1e-9;
      }
    }
    Times[] times = new Times[works.length];
    for (int i = 0; i < works.length; i++) {
      Arrays.sort(wall[i]);
      Arrays.sort(cpu[i]);
      times[i] = new Times(wall[i], cpu[i][rounds / 2]);
    }
    return times;
  }
}
