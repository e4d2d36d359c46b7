package onebit.cli;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Supplier;
import onebit.ops.cuda.CudaBackend;
import onebit.ops.cuda.DeviceClock;
import onebit.ops.cuda.LaunchProfile;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import onebit.train.MemoryPlan;
import onebit.train.TrainStep;

/**
 * What a GPU does in a training step: steps in a row without waiting, the host's share, memory, the time of every kernel, and the device's own ceilings
 * measured in the same run.
 *
 * <pre>
 * Units  milliseconds; GB and TB of powers of ten; the copy counts bytes read and written
 * </pre>
 */
final class StepProfile {
  private static final int ROW = 5, ROUNDS = 8, PROFILED = 3, AHEAD = 64, COPIED = 1 << 28;

  private final CudaBackend backend;
  private final Supplier<TrainStep.Running> step;

  /** step: asks for one step. */
  StepProfile(CudaBackend backend, Supplier<TrainStep.Running> step) {
    this.backend = backend;
    this.step = step;
  }

  /** Prints everything and adds the figures to the line of results; plan: of the steps that are asked for. */
  void print(Map<String, Object> members, MemoryPlan plan) {
    double[] row = new double[ROUNDS];
    long host = 0;
    try (DeviceClock clock = backend.clock()) {
      for (int round = 0; round < ROUNDS; round++) {
        long[] asking = new long[1];
        row[round] = clock.millis(() -> asking[0] = steps(ROW)) / ROW;
        host += asking[0];
      }
      Arrays.sort(row);
      double median = row[ROUNDS / 2], hostMillis = host / 1e6 / (ROUNDS * ROW);
      long memory = backend.allocatedBytes();   // before what the ceilings take
      double copy = 8e-6 * COPIED / copyMillis(clock), product = 2e-9 * 8192 * 8192 * 8192 / productMillis(clock);
      System.out.printf(Locale.ROOT, "steps in a row: median %.3f ms (%.3f to %.3f), %.0f images/s; the host asks for one in %.3f ms (%.1f %%)%n", median, row[0],
          row[ROUNDS - 1], 1e3 * plan.batch() / median, hostMillis, 100 * hostMillis / median);
      System.out.printf(Locale.ROOT, "device memory held: %.2f GB; ceilings measured here: copy %.2f TB/s, bfloat16 product %.0f TFLOP/s%n", memory / 1e9, copy / 1e3, product);
      double floor = plan.floorMillis(1e9 * copy, 1e12 * product), bytesAlone = plan.trafficBytes() / 1e6 / copy;
      System.out.printf(Locale.ROOT, "a step by the plan: %.1f GB, at the copy's rate %.3f ms; %.2f TFLOP, at the product's rate %.3f ms; floor, op by op the longer of both:"
          + " %.3f ms, %.0f %% of the step%n", plan.trafficBytes() / 1e9, bytesAlone, plan.operations() / 1e12, plan.operations() / 1e9 / product, floor, 100 * floor / median);
      members.put("rowMillis", median);
      members.put("rowImagesPerSecond", 1e3 * plan.batch() / median);
      members.put("hostMillis", hostMillis);
      members.put("deviceBytes", memory);
      members.put("copyGigabytesPerSecond", copy);
      members.put("productTeraflops", product);
      members.put("floorMillis", floor);
      List<LaunchProfile.Row> kernels = kernels(median);
      double sum = millis(kernels);
      members.put("kernelMillis", sum);
      System.out.printf(Locale.ROOT, "%nstep in sum: %.0f images/s in a row, %.3f ms (%.3f to %.3f); %.2f GB held; floor %.3f ms, %.0f %% of the step"
          + " (copy %.2f TB/s, product %.0f TFLOP/s); %.2f times the %.3f ms of its %d launches; host %.3f ms (%.1f %%)%n", 1e3 * plan.batch() / median, median, row[0],
          row[ROUNDS - 1], memory / 1e9, floor, 100 * floor / median, copy / 1e3, product, median / sum, sum, launches(kernels), hostMillis, 100 * hostMillis / median);
    }
  }

  /** Asks for steps, each read one step later, and waits; returns the nanoseconds of asking. */
  private long steps(int count) {
    long asking = 0;
    TrainStep.Running before = null;
    for (int i = 0; i < count; i++) {
      long begin = System.nanoTime();
      TrainStep.Running next = step.get();
      asking += System.nanoTime() - begin;
      if (before != null) before.outcome();
      before = next;
    }
    before.outcome();
    return asking;
  }

  private static double millis(List<LaunchProfile.Row> rows) {
    return rows.stream().mapToDouble(LaunchProfile.Row::millis).sum();
  }

  private static int launches(List<LaunchProfile.Row> rows) {
    return rows.stream().mapToInt(LaunchProfile.Row::count).sum();
  }

  /** The kernels of one step that is asked for call by call behind work that lets the host get ahead; prints those that take more than 0.2 %. */
  private List<LaunchProfile.Row> kernels(double stepMillis) {
    backend.replay(false);
    List<LaunchProfile.Row> rows = List.of();
    Tensor room = backend.create(Shape.vector(COPIED));
    try (LaunchProfile profile = backend.profile()) {
      for (int i = 0; i < PROFILED; i++) {
        for (int k = 0; k < AHEAD; k++) backend.fill(room, k);
        step.get().outcome();
        rows = profile.take();
      }
    }
    double sum = millis(rows);
    System.out.printf(Locale.ROOT, "%nkernels of one step: %.3f ms in %d launches; a step in a row takes %.2f times their sum%n%-44s %6s %9s %6s %9s %8s%n", sum,
        launches(rows), stepMillis / sum, "kernel", "count", "ms", "%", "GB", "GB/s");
    for (LaunchProfile.Row each : rows) {
      if (each.millis() < 0.002 * sum) break;
      System.out.printf(Locale.ROOT, "%-44s %6d %9.3f %6.1f %9.3f %8.0f%n", each.name(), each.count(), each.millis(), 100 * each.millis() / sum, each.gigabytes(),
          1e3 * each.gigabytes() / each.millis());
    }
    return rows;
  }

  private double copyMillis(DeviceClock clock) {
    Tensor from = backend.create(Shape.vector(COPIED)), to = backend.create(Shape.vector(COPIED));
    return best(clock, () -> backend.point().copy(to, from));
  }

  private double productMillis(DeviceClock clock) {
    int n = 8192;
    Tensor a = backend.create(Shape.matrix(n, n), ElementType.BFLOAT16), b = backend.create(Shape.matrix(n, n), ElementType.BFLOAT16);
    Tensor c = backend.create(Shape.matrix(n, n), ElementType.BFLOAT16);
    float[] values = new float[n * n];
    SplittableRandom random = new SplittableRandom(2);
    for (int i = 0; i < values.length; i++) values[i] = random.nextFloat() - 0.5f;
    backend.write(a, values);
    backend.write(b, values);
    return best(clock, () -> backend.conv().gemm(c, a, false, b, true, n, n, n));
  }

  private static double best(DeviceClock clock, Runnable work) {
    double least = Double.POSITIVE_INFINITY;
    for (int i = 0; i < 10; i++) least = Math.min(least, clock.millis(work));
    return least;
  }
}
