package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Random;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.ops.cpu.OpenBlas;
import onebit.recipe.Recipe;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import onebit.train.TrainStep;
import onebit.train.Truth;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What a training step on the CPU allocates on the Java heap, over all of its threads, once its loops are compiled.
 *
 * <p>Until then the interpreter makes an object of every vector and of every array handed to OpenBLAS; the compiler leaves them all out. It has
 * a JVM of its own: where other tests handed other kinds of memory to native code before, the compiler keeps those objects.
 */
class StepAllocationTest {
  /** Room for the outcome of a step, which takes 208 bytes; no op, layer or parameter may add to it. */
  private static final long BYTES = 400;
  private static final int STEPS_IN_A_ROW = 5;
  private static final double SECONDS = 90;
  /** So many are made whatever time they take: it is calls that a compiler counts, and LeNet on two processors needs 528 steps. */
  private static final int LEAST_STEPS = 1000;
  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

  @ParameterizedTest
  @CsvSource({"default, 16", "adabin-resnet20-cifar10, 4", "biper-resnet20-cifar10-stage1, 4", "rbnn-resnet20-cifar10, 4", "bmxnet-lenet-mnist, 8"})
  void aStepAllocatesItsOutcomeOnly(String name, int batch) {
    Recipe recipe = Workplace.RECIPES.load(name, List.of());
    compileCallsOfOpenBlas();
    try (Backend backend = new CpuBackend()) {
      TrainStep step = TrainStep.of(recipe, backend, batch + 1); // a step smaller than the room made: views are kept, not made anew
      Shape shape = Shape.image(batch, recipe.data().height(), recipe.data().width(), recipe.data().channels());
      Tensor x = backend.create(shape);
      Random random = new Random(1);
      for (int i = 0; i < x.size(); i++) x.floats()[i] = (float) random.nextGaussian();
      Truth truth = Truth.of(new int[batch]);
      long end = System.nanoTime() + (long) (SECONDS * 1e9), least = Long.MAX_VALUE;
      int row = 0, steps = 0;
      for (; row < STEPS_IN_A_ROW && (steps < LEAST_STEPS || System.nanoTime() < end); steps++) {
        long before = allocated();
        step.run(x, truth, 1e-3);
        long bytes = allocated() - before;
        least = Math.min(least, bytes);
        row = bytes <= BYTES ? row + 1 : 0;
      }
      assertTrue(row == STEPS_IN_A_ROW, name + ": the best of " + steps + " steps allocated " + least + " bytes, allowed are " + BYTES);
    }
  }

  /** A step makes few calls, and only a method called often is compiled whole. */
  private static void compileCallsOfOpenBlas() {
    float[] a = new float[400], c = new float[400];
    for (int i = 0; i < 60_000; i++) OpenBlas.sgemm((i & 1) == 0, (i & 2) == 0, 8, 8, 8, a, i & 15, 8, a, 3, 8, 0, c, i & 7, 8);
  }

  private static long allocated() {
    long sum = 0;
    for (long id : ids()) sum += THREADS.getThreadAllocatedBytes(id);
    return sum;
  }

  private static long[] known;

  /** This thread and the threads of the CPU backend; looked up once, for the look-up allocates. */
  private static long[] ids() {
    if (known == null) {
      known = Thread.getAllStackTraces().keySet().stream().filter(t -> t == Thread.currentThread() || t.getName().equals("onebit-cpu"))
          .mapToLong(Thread::threadId).toArray();
    }
    return known;
  }
}
