package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.List;
import onebit.ops.Backend;
import onebit.ops.cuda.EmulatedDriver;
import onebit.recipe.Recipe;
import onebit.recipe.TrainRecipe.Precision;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import onebit.train.MemoryPlan;
import onebit.train.TrainStep;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What AdaBin's ResNet-18 asks of a device: launches of a step by the emulated driver's count, bytes of batch 256 at 224 pixels by plan.
 */
class StepCountersTest {
  private static final String RECIPE = "adabin-resnet18-imagenet";

  /** Launches do not depend on the size of the images; 50 pixels are the fewest of which the ImageNet network is built. */
  private static long[] launches(Precision precision, String memory) {
    Recipe recipe = Workplace.RECIPES.load(RECIPE, List.of("data.height=50", "data.width=50", "data.evalResize=0", "data.evalCrop=0", "data.classes=10", "train.passes=fused", "train.memory=" + memory));
    try (Backend backend = Workplace.open("cuda-emulated", precision, true)) {
      TrainStep step = TrainStep.of(recipe, backend, 1);
      Tensor x = backend.create(Shape.image(1, 50, 50, 3), backend.activations());
      long launches = EmulatedDriver.counter("launches"), calls = EmulatedDriver.counter("library_calls");
      step.run(x, new int[1], 0);
      return new long[] {EmulatedDriver.counter("launches") - launches, EmulatedDriver.counter("library_calls") - calls};
    }
  }

  @ParameterizedTest
  @CsvSource({"FP32, fast", "FP32, compact", "BF16, fast", "BF16, compact"})
  void aFusedStepHasFewLaunches(Precision precision, String memory) {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    long[] fused = launches(precision, memory);
    System.out.println("adabin-resnet18-imagenet, launches of a step in " + precision + ": " + memory + " " + fused[0] + " and " + fused[1] + " library calls");
    assertTrue(fused[0] <= 170, precision + ", " + memory + ": " + fused[0] + " launches");
  }

  @ParameterizedTest
  @CsvSource({"fast, 3.5e9, 19.8e9", "compact, 2.0e9, 17.5e9", "tiny, 1.3e9, 18.3e9"})
  void memoryAndTrafficOfBatch256StayWithinTheirBounds(String memory, double bytes, double traffic) {
    MemoryPlan plan = plan(memory, 256);
    assertTrue(plan.bytes() <= bytes, plan.bytes() + " bytes");
    assertTrue(plan.trafficBytes() <= traffic, plan.trafficBytes() + " bytes of traffic");
    assertEquals(plan.liveBytes(), plan.arenaBytes(), 0.01 * plan.liveBytes(), "an arena without holes");
  }

  @Test
  void batch1024FitsEightGigabytes() {
    assertTrue(plan("compact", 1024).bytes() <= 8e9, plan("compact", 1024).bytes() + " bytes");
  }

  private static MemoryPlan plan(String memory, int batch) {
    return MemoryPlan.of(Workplace.RECIPES.load(RECIPE, List.of("train.memory=" + memory)), batch, ElementType.BFLOAT16);
  }
}
