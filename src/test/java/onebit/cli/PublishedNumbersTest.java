package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import onebit.checkpoint.NamedTensor;
import onebit.checkpoint.Safetensors;
import onebit.data.RestoredCifar10;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What the authors published or recorded, repeated through the command line. */
class PublishedNumbersTest {
  private static final Path SHARED = Path.of("../shared");

  @TempDir private Path folder;

  private static JsonNode json(String... arguments) {
    PrintStream out = System.out;
    ByteArrayOutputStream said = new ByteArrayOutputStream();
    try {
      System.setOut(new PrintStream(said, true, StandardCharsets.UTF_8));
      Main.execute(arguments);
    } finally {
      System.setOut(out);
    }
    String[] lines = said.toString(StandardCharsets.UTF_8).strip().split("\n");
    return JsonMapper.shared().readTree(lines[lines.length - 1]);
  }

  @Test
  void thePublishedAdaBinCheckpointScoresAsItsAuthorsMeasured() throws Exception {
    Path checkpoint = SHARED.resolve("data/checkpoints/adabin-resnet20-cifar10.th");
    assumeTrue(Files.exists(checkpoint), "needs the published checkpoint of ../shared/data");
    Path weights = folder.resolve("resnet20.safetensors");
    assertEquals(195, json("import", checkpoint.toString(), weights.toString(), "--json").get("tensors").asInt());
    JsonNode result = json("eval", "--recipe", "adabin-resnet20-cifar10", "--weights", weights.toString(), "--data", RestoredCifar10.folder().toString(),
        "--json");
    assertEquals(10_000, result.get("total").asInt());
    int correct = result.get("correct").asInt();
    assertTrue(Math.abs(correct - 8798) <= 12, "8,798 +- 12 expected, got " + correct);
  }

  @ParameterizedTest
  @ValueSource(strings = {"adabin-resnet20-cifar10", "biper-resnet20-cifar10-stage1", "biper-resnet20-cifar10-stage2", "rbnn-resnet20-cifar10",
      "bmxnet-lenet-mnist"})
  void theRecordedStepIsRepeatedWithinItsTolerances(String name) {
    Path file = SHARED.resolve("golden").resolve(name + ".safetensors");
    assumeTrue(Files.exists(file), "needs the recorded steps of ../shared/golden");
    JsonNode report = json("check-step", file.toString(), "--recipe", name, "--json");
    assertTrue(report.get("pass").asBoolean(), report.get("worst").toString());
  }

  @Test
  void anotherMethodThanTheRecordedOneFails() {
    Path file = SHARED.resolve("golden/adabin-resnet20-cifar10.safetensors");
    assumeTrue(Files.exists(file), "needs the recorded steps of ../shared/golden");
    assertTrue(!json("check-step", file.toString(), "--recipe", "adabin-resnet20-cifar10", "--set", "method.form=paper", "--json").get("pass").asBoolean());
  }

  /** Roundings of such a scale's gradient grow with its filters' gradient, whatever the other layers have: onebit.layers.ScaleBeforeBatchNormTest. */
  @Test
  void aScaleBeforeABatchNormIsMeasuredAgainstItsFiltersGradientWhereThatIsLarge() throws Exception {
    Path file = SHARED.resolve("golden/rbnn-resnet20-cifar10.safetensors"), large = folder.resolve("large.safetensors");
    assumeTrue(Files.exists(file), "needs the recorded steps of ../shared/golden");
    Safetensors recorded = Safetensors.read(file);
    Map<String, NamedTensor> tensors = new LinkedHashMap<>(recorded.tensors());
    String layer = "layer1.0.conv1", weight = "grad0/" + layer + ".weight", alpha = "grad0/" + layer + ".alpha", updated = "after1/" + layer + ".alpha";
    float[] gradient = tensors.get(weight).floats(), scale = tensors.get(alpha).floats(), after = tensors.get(updated).floats();
    double squares = 0, share = 5e-4, rate = Double.parseDouble(recorded.metadata().get("lr"));
    for (int i = 0; i < gradient.length; i++) squares += Math.pow(gradient[i] *= 1e4f, 2);
    double off = share * 0.1 * Math.sqrt(squares);
    scale[0] += (float) off;
    after[0] -= (float) (rate * off);
    tensors.put(weight, NamedTensor.ofFloats(weight, tensors.get(weight).shape(), gradient));
    tensors.put(alpha, NamedTensor.ofFloats(alpha, tensors.get(alpha).shape(), scale));
    tensors.put(updated, NamedTensor.ofFloats(updated, tensors.get(updated).shape(), after));
    Safetensors.write(large, recorded.metadata(), tensors.values());
    JsonNode errors = json("check-step", large.toString(), "--recipe", "rbnn-resnet20-cifar10", "--json").get("errors");
    assertEquals(share, errors.get(alpha).asDouble(), 0.01 * share);
    assertEquals(share, errors.get(updated).asDouble(), 0.01 * share);
    assertEquals(1, errors.get(weight).asDouble(), 0.01);
  }
}
