package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import onebit.checkpoint.Safetensors;
import onebit.ops.Backend;
import onebit.ops.cuda.EmulatedDriver;
import onebit.recipe.Recipe;
import onebit.recipe.TrainRecipe.Precision;
import onebit.train.CheckStep;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The recorded steps of the authors' own code, replayed on the GPU where one was asked for, else on the emulated device. */
class CheckStepOnDeviceTest {
  private static final Path GOLDEN = Path.of("../shared/golden");

  private static CheckStep.Report replay(String name, Precision precision) throws Exception {
    Path file = GOLDEN.resolve(name + ".safetensors");
    assumeTrue(Files.exists(file), "needs the recorded steps of ../shared/golden");
    boolean gpu = Boolean.getBoolean("onebit.test.gpu");
    String refusal = gpu ? null : EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    Safetensors recording = Safetensors.read(file);
    var method = Workplace.RECIPES.load(name, List.of()).method().getClass().getRecordComponents();
    List<String> overrides = CheckStep.overrides(recording, key -> List.of(method).stream().anyMatch(c -> c.getName().equals(key)));
    Recipe recipe = Workplace.RECIPES.load(name, overrides);
    try (Backend backend = Workplace.open(gpu ? "cuda" : "cuda-emulated", precision, true)) {
      return CheckStep.run(recording, recipe, backend, 1);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"adabin-resnet20-cifar10", "biper-resnet20-cifar10-stage1", "biper-resnet20-cifar10-stage2", "rbnn-resnet20-cifar10",
      "bmxnet-lenet-mnist"})
  void theRecordedStepIsRepeatedWithinTheTolerancesOfTheCpu(String name) throws Exception {
    CheckStep.Report report = replay(name, Precision.FP32);
    assertTrue(report.passes(), report.worst().toString());
  }

  @ParameterizedTest
  @ValueSource(strings = {"adabin-resnet20-cifar10", "biper-resnet20-cifar10-stage1", "biper-resnet20-cifar10-stage2", "rbnn-resnet20-cifar10",
      "bmxnet-lenet-mnist"})
  void inBfloat16TheRecordedStepHasTheSizesOfTheRecording(String name) throws Exception {
    CheckStep.Report report = replay(name, Precision.BF16);
    assertTrue(report.passes(), report.worst().toString());
    assertTrue(report.comparisons().stream().allMatch(c -> c.name().startsWith("size of ")), report.comparisons().toString());
  }
}
