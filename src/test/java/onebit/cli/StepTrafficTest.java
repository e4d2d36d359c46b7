package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.List;
import java.util.Random;
import onebit.ops.Backend;
import onebit.ops.OptimOps;
import onebit.ops.cuda.EmulatedDriver;
import onebit.recipe.Recipe;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import onebit.train.TrainStep;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a training step asks of a device besides its kernels, by the emulated driver's counters. */
class StepTrafficTest {
  private static final List<String> COUNTED = List.of("allocations", "frees", "live_bytes", "synchronisations", "bytes_to_device", "bytes_to_host", "launches");

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
      for (int warm = 0; warm < 2; warm++) run(backend, step, x, images, labels);
      long[] before = COUNTED.stream().mapToLong(EmulatedDriver::counter).toArray();
      run(backend, step, x, images, labels);
      long launches = EmulatedDriver.counter("launches") - before[6];
      for (int i = 1; i < steps; i++) run(backend, step, x, images, labels);
      long[] after = COUNTED.stream().mapToLong(EmulatedDriver::counter).toArray();
      for (int i = 0; i < 4; i++) assertEquals(before[i], after[i], COUNTED.get(i));
      assertEquals(steps * 4L * (images.length + batch), after[4] - before[4], "bytes to the device: images and labels");
      assertEquals(steps * 4L * OptimOps.VERDICT, after[5] - before[5], "bytes to the host: the verdict");
      assertEquals(steps * launches, after[6] - before[6], "launches");
    }
  }

  private static void run(Backend backend, TrainStep step, Tensor x, float[] images, int[] labels) {
    backend.write(x, images);
    step.run(x, labels, 1e-3);
  }
}
