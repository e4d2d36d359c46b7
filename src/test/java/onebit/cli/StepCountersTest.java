package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import onebit.ops.Backend;
import onebit.ops.cuda.EmulatedDevice;
import onebit.ops.cuda.EmulatedDriver;
import onebit.recipe.Recipe;
import onebit.recipe.TrainRecipe.Precision;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import onebit.train.MemoryPlan;
import onebit.train.TrainStep;
import onebit.train.Truth;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What a network asks of a device, from images of bytes on: launches of a step by the emulated driver's count; for AdaBin's ResNet-18 bytes of batch 256 at 224 pixels by plan.
 */
class StepCountersTest {
  private static final String RECIPE = "adabin-resnet18-imagenet";
  /** Launches and library calls together that a step of the recipe may have. */
  private static final Map<String, Long> MOST_WITH_LIBRARIES = Map.of("fast", 170L, "compact", 170L, "tiny", 170L);

  /**
   * Launches do not depend on the size of the images, but where memory is tiny, which computes more again where images are small; 50 pixels are the fewest of which AdaBin's
   * ImageNet network is built. `passes`: a memory mode of fused passes, or simple.
   */
  private static long[] launches(String name, Precision precision, String passes, String gradients) {
    boolean detects = name.contains("ssd300-");
    boolean tiny = passes.equals("tiny");
    int side = detects ? 300 : tiny ? 224 : name.contains("imagenet") ? 50 : 8, batch = tiny ? 8 : 1;
    List<String> overrides = new ArrayList<>(List.of("data.height=" + side, "data.width=" + side, "data.evalResize=0", "data.evalCrop=0", "data.classes=" + (detects ? 20 : 10),
        passes.equals("simple") ? "train.passes=simple" : "train.passes=fused", "train.memory=" + (passes.equals("simple") ? "fast" : passes), "train.gradients=" + gradients));
    if (detects) overrides.add("network.width=2");
    Recipe recipe = Workplace.RECIPES.load(name, overrides);
    try (Backend backend = Workplace.open("cuda-emulated", precision, true)) {
      EmulatedDevice.idle(true);
      TrainStep step = TrainStep.of(recipe, backend, batch);
      Tensor x = backend.create(Shape.image(batch, side, side, 3), ElementType.UINT8);
      long launches = EmulatedDriver.counter("launches"), calls = EmulatedDriver.counter("library_calls");
      step.run(x, Truth.random(recipe, batch, new Random(1)), 0);
      return new long[] {EmulatedDriver.counter("launches") - launches, EmulatedDriver.counter("library_calls") - calls};
    } finally {
      EmulatedDevice.idle(false);
    }
  }

  @ParameterizedTest
  @CsvSource({"adabin-resnet18-imagenet, FP32, simple, 342", "adabin-resnet18-imagenet, BF16, simple, 361", "adabin-resnet18-imagenet, FP32, fast, 118", "adabin-resnet18-imagenet, FP32, compact, 118", "adabin-resnet18-imagenet, BF16, fast, 136",
      "adabin-resnet18-imagenet, BF16, compact, 137", "adabin-resnet18-imagenet, FP32, tiny, 120", "adabin-resnet18-imagenet, BF16, tiny, 139", "adabin-resnet18-imagenet-stage2, BF16, fast, 179", "biper-resnet20-cifar10-stage1, BF16, fast, 184", "rbnn-resnet20-cifar10, BF16, fast, 183",
      "bmxnet-resnete18-cifar10, BF16, fast, 135", "bmxnet-resnete18e2-cifar10, BF16, fast, 125", "bmxnet-densenet21-cifar10, BF16, fast, 118",
      "bmxnet-binarydensenet28-imagenet, FP32, fast, 219", "bmxnet-binarydensenet28-imagenet, BF16, fast, 221",
      "adabin-ssd300-voc, FP32, fast, 256", "adabin-ssd300-voc, BF16, fast, 295"})
  void aStepHasFewLaunches(String name, Precision precision, String passes, int most) {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    long[] step = launches(name, precision, passes, "bfloat16");
    System.out.println(name + ", launches of a step in " + precision + ": " + passes + " " + step[0] + " and " + step[1] + " library calls");
    assertTrue(step[0] <= most, precision + ", " + passes + ": " + step[0] + " launches");
    long bound = MOST_WITH_LIBRARIES.getOrDefault(passes, Long.MAX_VALUE);
    if (name.equals(RECIPE)) assertTrue(step[0] + step[1] <= bound, precision + ", " + passes + ": " + step[0] + " launches and " + step[1] + " library calls");
  }

  /** Instead of a call of cuDNN for the images: the largest value, the codes, and the product. */
  @Test
  void float8GradientsTakeThreeLaunchesForACallOfTheLibrary() {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    long[] plain = launches("adabin-resnet20-cifar10", Precision.BF16, "fast", "bfloat16"), float8 = launches("adabin-resnet20-cifar10", Precision.BF16, "fast", "float8");
    System.out.println("adabin-resnet20-cifar10, launches of a step with float8 gradients: " + float8[0] + " instead of " + plain[0] + ", library calls " + float8[1]
        + " instead of " + plain[1]);
    assertEquals(18, plain[1] - float8[1], "binary convolutions");
    assertEquals(3 * 18, float8[0] - plain[0]);
  }

  @Test
  void codesOfFloat8NeedAByteForEachGradientOfTheLargestLayer() {
    MemoryPlan plain = plan("compact", 256), float8 = MemoryPlan.of(Workplace.RECIPES.load(RECIPE, List.of("train.memory=compact", "train.gradients=float8")), 256,
        ElementType.BFLOAT16);
    assertEquals(256 * 56 * 56 * 64, float8.bytes() - plain.bytes());
    assertTrue(float8.trafficBytes() > plain.trafficBytes(), float8.trafficBytes() + " bytes of traffic instead of " + plain.trafficBytes());
  }

  @ParameterizedTest
  @CsvSource({"fast, 2.47e9, 17.5e9", "compact, 1.21e9, 15.2e9", "tiny, 1.05e9, 15.6e9"})
  void memoryAndTrafficOfBatch256StayWithinTheirBounds(String memory, double bytes, double traffic) {
    MemoryPlan plan = plan(memory, 256);
    System.out.println(RECIPE + ", batch 256 at 224, " + memory + ": " + plan.bytes() + " bytes, " + plan.trafficBytes() + " bytes of traffic");
    assertTrue(plan.bytes() <= bytes, plan.bytes() + " bytes");
    assertTrue(plan.trafficBytes() <= traffic, plan.trafficBytes() + " bytes of traffic");
    assertEquals(plan.liveBytes(), plan.arenaBytes(), 0.01 * plan.liveBytes(), "an arena without holes");
  }

  @ParameterizedTest
  @CsvSource({"fast, 2.95e9, 43.3e9", "compact, 2.55e9, 43.7e9"})
  void aDenseNetworkOfBatch256KeepsEachValueOnce(String memory, double bytes, double traffic) {
    MemoryPlan plan = MemoryPlan.of(Workplace.RECIPES.load("bmxnet-binarydensenet28-imagenet", List.of("train.memory=" + memory)), 256, ElementType.BFLOAT16);
    System.out.println("bmxnet-binarydensenet28-imagenet, batch 256 at 224 in BF16: " + memory + " " + plan.bytes() / 1000000 + " MB, " + plan.trafficBytes() / 10000000 / 100.0 + " GB of traffic");
    assertTrue(plan.bytes() <= bytes, plan.bytes() + " bytes");
    assertTrue(plan.trafficBytes() <= traffic, plan.trafficBytes() + " bytes of traffic");
  }

  /** Simple passes take 844 MB and move 7.15 GB. */
  @ParameterizedTest
  @CsvSource({"fast, 0.54e9, 4.55e9", "compact, 0.54e9, 4.55e9", "tiny, 0.46e9, 4.8e9"})
  void aNetworkWithNormsBeforeItsConvolutionsStoresNoResultOfThem(String memory, double bytes, double traffic) {
    MemoryPlan plan = MemoryPlan.of(Workplace.RECIPES.load("bmxnet-resnete18e2-cifar10", List.of("train.passes=fused", "train.memory=" + memory)), 256, ElementType.BFLOAT16);
    System.out.println("bmxnet-resnete18e2-cifar10, batch 256 in BF16: " + memory + " " + plan.bytes() / 1000000 + " MB, " + plan.trafficBytes() / 10000000 / 100.0 + " GB of traffic");
    assertTrue(plan.bytes() <= bytes, plan.bytes() + " bytes");
    assertTrue(plan.trafficBytes() <= traffic, plan.trafficBytes() + " bytes of traffic");
  }

  /** Counted by hand from the network's table, as anchors/performance.md does in section 7: 1.868 TFLOP. */
  @Test
  void productsOfValuesAreThoseOfTheTableOfRooflinesAndTheFloorIsTheLongerOfEachOp() {
    MemoryPlan fast = plan("fast", 256);
    long binary = 13L * 56 * 56 * 64 * 576 + 3L * 28 * 28 * 128 * 576, stem = 112L * 112 * 64 * 147, shortcuts = 3L * 28 * 28 * 128 * 64, linear = 512L * 1000;
    assertEquals(2 * 256 * (2 * binary + 2 * stem + 3 * shortcuts + 3 * linear), fast.operations(), "both gradients of binary convolutions; of the stem none of pixels");
    assertEquals(2 * 256 * (stem + shortcuts), plan("compact", 256).operations() - fast.operations(), "compact computes these again, and products of bits");
    double floor = fast.floorMillis(4.3e12, 790e12), bytes = fast.trafficBytes() / 4.3e9, products = fast.operations() / 790e9;
    System.out.printf("%s, batch 256 at 224, floor at 4.3 TB/s and 790 TFLOP/s: %.3f ms; bytes alone %.3f, products alone %.3f%n", RECIPE, floor, bytes, products);
    assertTrue(floor > Math.max(bytes, products) && floor < bytes + products, floor + " ms");
    assertEquals(bytes, fast.floorMillis(4.3e12, Double.POSITIVE_INFINITY), 1e-9 * bytes);
    assertEquals(products, fast.floorMillis(Double.POSITIVE_INFINITY, 790e12), 1e-9 * products);
    // parts of a batch multiply what the whole does
    assertEquals(MemoryPlan.of(Workplace.RECIPES.load("bmxnet-lenet-mnist", List.of()), 64, ElementType.FLOAT32).operations(),
        MemoryPlan.of(Workplace.RECIPES.load("bmxnet-lenet-mnist", List.of("train.gradientAccumulation=2")), 64, ElementType.FLOAT32).operations());
  }

  @Test
  void batch1024FitsEightGigabytes() {
    assertTrue(plan("compact", 1024).bytes() <= 8e9, plan("compact", 1024).bytes() + " bytes");
  }

  private static MemoryPlan plan(String memory, int batch) {
    return MemoryPlan.of(Workplace.RECIPES.load(RECIPE, List.of("train.memory=" + memory)), batch, ElementType.BFLOAT16);
  }
}
