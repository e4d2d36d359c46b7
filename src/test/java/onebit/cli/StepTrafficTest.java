package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.List;
import java.util.Random;
import onebit.ops.Backend;
import onebit.ops.cuda.EmulatedDriver;
import onebit.recipe.Recipe;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import onebit.train.TrainStep;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a training step asks of a device besides its kernels, by the emulated driver's counters. */
class StepTrafficTest {
  private static final List<String> COUNTED = List.of("allocations", "frees", "live_bytes", "bytes_to_device", "bytes_to_host", "launches");

  @ParameterizedTest
  @CsvSource({"bmxnet-lenet-mnist, 2, 12", "adabin-resnet20-cifar10, 1, 3", "biper-resnet20-cifar10-stage2, 1, 3", "rbnn-resnet20-cifar10, 1, 3"})
  void stepsAllocateNothingAndMoveOnlyTheBatchAndTheLoss(String name, int batch, int steps) throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    Recipe recipe = Workplace.RECIPES.load(name, List.of());
    try (Backend backend = Workplace.open("cuda-emulated")) {
      TrainStep step = TrainStep.of(recipe, backend, batch);
      Shape shape = Shape.image(batch, recipe.data().height(), recipe.data().width(), recipe.data().channels());
      Tensor x = backend.create(shape);
      float[] images = new float[shape.size()];
      Random random = new Random(1);
      for (int i = 0; i < images.length; i++) images[i] = (float) random.nextGaussian();
      int[] labels = new int[batch];
      int parameters = 0;
      for (int warm = 0; warm < 2; warm++) parameters = (int) run(backend, step, x, images, labels);
      long[] before = COUNTED.stream().mapToLong(EmulatedDriver::counter).toArray();
      run(backend, step, x, images, labels);
      long launches = EmulatedDriver.counter("launches") - before[5];
      for (int i = 1; i < steps; i++) run(backend, step, x, images, labels);
      long[] after = COUNTED.stream().mapToLong(EmulatedDriver::counter).toArray();
      for (int i = 0; i < 3; i++) assertEquals(before[i], after[i], COUNTED.get(i));
      assertEquals(steps * 4L * (images.length + batch), after[3] - before[3], "bytes to the device: images and labels");
      // loss with its hits, the penalty where there is one, and a count of NaN and infinity per parameter
      long perStep = (after[4] - before[4]) / steps;
      assertEquals(0, (after[4] - before[4]) % steps);
      assertEquals(12 + (recipe.method().penalty() != 0 ? 4 : 0), perStep - 4L * parameters, "bytes to the host beside the counts");
      assertEquals(steps * launches, after[5] - before[5], "launches");
    }
  }

  private static long run(Backend backend, TrainStep step, Tensor x, float[] images, int[] labels) {
    backend.write(x, images);
    step.run(x, labels, 1e-3);
    return step.parameterCount();
  }
}
