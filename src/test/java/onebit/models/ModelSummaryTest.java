package onebit.models;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import onebit.binarize.AdaBin;
import onebit.binarize.BiPer;
import onebit.binarize.BmxNet;
import onebit.binarize.Method;
import onebit.binarize.Rbnn;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.tensor.Shape;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Sizes and costs of the networks against the tables of the papers, wikis and authors' readmes. */
class ModelSummaryTest {
  private static final Shape CIFAR = Shape.image(1, 32, 32, 3), IMAGENET = Shape.image(1, 224, 224, 3), MNIST = Shape.image(1, 28, 28, 1);

  private static Method method(String name) {
    return switch (name) {
      case "adabin" -> new AdaBin(AdaBin.Form.CODE, true, false);
      case "adabin-step1" -> new AdaBin(AdaBin.Form.CODE, true, true);
      case "biper" -> new BiPer(1, 20, 0);
      case "rbnn" -> new Rbnn(1, false);
      case "bmxnet" -> new BmxNet(1.3f, false, BmxNet.Scaling.NONE);
      default -> throw new IllegalArgumentException(name);
    };
  }

  private static Network network(String name) {
    return switch (name) {
      case "lenet" -> new LeNet();
      case "vggsmall" -> new VggSmall();
      case "resnet20" -> new ResNet20();
      case "resnet20-bireal" -> new ResNet20BiReal();
      case "resnet18" -> new ResNet18();
      case "resnet34" -> new ResNet34();
      case "real-resnet18" -> new RealResNet(18);
      case "real-resnet34" -> new RealResNet(34);
      case "real-resnet20" -> new RealResNet(20);
      case "resnete18" -> new ResNetE(18, ResNetE.Version.E1, Stem.IMAGENET);
      case "resnete18gs" -> new ResNetE(18, ResNetE.Version.E1, Stem.GROUPED);
      case "resnete34" -> new ResNetE(34, ResNetE.Version.E1, Stem.IMAGENET);
      case "resnete34gs" -> new ResNetE(34, ResNetE.Version.E1, Stem.GROUPED);
      case "densenet21" -> new DenseNet21();
      case "bdn28" -> new BinaryDenseNet(28, Stem.IMAGENET, false);
      case "bdn28gs" -> new BinaryDenseNet(28, Stem.GROUPED, false);
      case "bdn37" -> new BinaryDenseNet(37, Stem.IMAGENET, false);
      case "bdn37gs" -> new BinaryDenseNet(37, Stem.GROUPED, false);
      case "bdn37dilated" -> new BinaryDenseNet(37, Stem.IMAGENET, true);
      case "bdn45" -> new BinaryDenseNet(45, Stem.IMAGENET, false);
      default -> throw new IllegalArgumentException(name);
    };
  }

  private static final Map<String, ModelSummary> KNOWN = new HashMap<>();

  private static ModelSummary summary(String method, String network, Shape input, int classes) {
    return KNOWN.computeIfAbsent(method + network + input, _ -> {
      try (Backend backend = new CpuBackend()) {
        return new Model(network(network), method(method), input, classes, backend, 1).summary();
      }
    });
  }

  @ParameterizedTest(name = "{0} {1}")
  @CsvSource({"adabin, resnet20, 271262", "adabin-step1, resnet20, 271262", "adabin, resnet18, 11182826", "biper, resnet20, 270522",
      "biper, resnet18, 11005002", "biper, vggsmall, 4661770", "rbnn, resnet18, 11184458"})
  void cifarNetworksHaveThePublishedNumberOfParameters(String method, String network, long parameters) {
    assertEquals(parameters, summary(method, network, CIFAR, 10).parameters());
  }

  @ParameterizedTest(name = "{0} {1}")
  @CsvSource({"adabin, resnet20, 267264", "biper, resnet20, 267264", "rbnn, resnet20, 267264", "adabin, resnet18, 10985472",
      "biper, resnet18, 10985472", "rbnn, resnet18, 11157504"})
  void cifarNetworksHaveThePublishedNumberOfBinaryParameters(String method, String network, long binary) {
    assertEquals(binary, summary(method, network, CIFAR, 10).binaryParameters());
  }

  @ParameterizedTest(name = "{0} {1}")
  @CsvSource({"adabin, resnet18, 11698376", "adabin, resnet34, 21813992", "biper, resnet18, 11694376", "biper, resnet34, 21806248",
      "rbnn, resnet18, 11698216", "rbnn, resnet34, 21813800", "bmxnet, resnete18, 11689646", "bmxnet, resnete18gs, 11685838",
      "bmxnet, resnete34, 21797806", "bmxnet, resnete34gs, 21793998", "bmxnet, bdn28, 5131496", "bmxnet, bdn28gs, 5127688",
      "bmxnet, bdn37, 8702248", "bmxnet, bdn37gs, 8698440", "bmxnet, bdn37dilated, 8702248", "bmxnet, bdn45, 13889512"})
  void imagenetNetworksHaveThePublishedNumberOfParameters(String method, String network, long parameters) {
    assertEquals(parameters, summary(method, network, IMAGENET, 1000).parameters());
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource({"resnete18, 10985472", "resnete34, 21086208", "bdn28, 4202496", "bdn37, 7593984", "bdn45, 12349440"})
  void imagenetNetworksHaveThePublishedNumberOfBinaryParameters(String network, long binary) {
    assertEquals(binary, summary("bmxnet", network, IMAGENET, 1000).binaryParameters());
  }

  /** Real MACs without the classifier and operations, both in millions, and mebibytes, as the wiki of BMXNet-v2 rounds them. */
  @ParameterizedTest(name = "{0}")
  @CsvSource({"resnete18, 4.00, 137.28, 163", "resnete18gs, 3.98, 87.91, 114", "resnete34, 5.23, 137.28, 192", "resnete34gs, 5.21, 87.91, 143",
      "bdn28, 4.04, 201.9, 258", "bdn28gs, 4.03, 152.5, 209", "bdn37, 5.13, 199.1, 270", "bdn37gs, 5.12, 149.7, 220", "bdn45, 7.35, 243.3, 344"})
  void bmxnetNetworksHaveTheSizeAndOperationsOfTheWiki(String network, double mebibytes, double realMillions, double opsMillions) {
    ModelSummary summary = summary("bmxnet", network, IMAGENET, 1000);
    long classifier = summary.layers().getLast().realMacs();
    assertEquals(mebibytes, summary.mebibytes(), 0.005001);
    assertEquals(realMillions, (summary.realMacs() - classifier) / 1e6, 0.05);
    assertEquals(opsMillions, (summary.ops() - classifier) / 1e6, 0.51);
  }

  /** torchvision's figures: parameters, and multiply-accumulates of one image in thousand millions. */
  @ParameterizedTest(name = "{0}")
  @CsvSource({"real-resnet18, 11689512, 1.814", "real-resnet34, 21797672, 3.664"})
  void fullPrecisionNetworksHaveTheSizeThatTorchvisionPublishes(String network, long parameters, double billions) {
    ModelSummary summary = summary("adabin", network, IMAGENET, 1000);
    assertEquals(parameters, summary.parameters());
    assertEquals(0, summary.binaryParameters() + summary.binaryMacs());
    assertEquals(billions, summary.realMacs() / 1e9, 0.0005);
  }

  /** Table 6 of He et al. gives 0.27 million parameters. */
  @Test
  void fullPrecisionResNet20HasTheSizeOfItsLayers() {
    ModelSummary summary = summary("adabin", "real-resnet20", Shape.image(1, 32, 32, 3), 10);
    long convolutions = 432 + 6 * 2304 + 4608 + 5 * 9216 + 18432 + 5 * 36864, norms = 2 * (7 * 16 + 6 * 32 + 6 * 64);
    assertEquals(convolutions + norms + 650, summary.parameters());
    assertEquals(0, summary.binaryParameters() + summary.binaryMacs());
    assertEquals(1024L * (432 + 6 * 2304) + 256L * (4608 + 5 * 9216) + 64L * (18432 + 5 * 36864) + 640, summary.realMacs());
  }

  @Test
  void denseNet21AtImagenetSizeHasTheMebibytesOfTheWiki() {
    assertEquals(3.48, summary("bmxnet", "densenet21", IMAGENET, 1000).mebibytes(), 0.005);
  }

  /** Real and binary MACs in millions, classifier included. */
  @ParameterizedTest(name = "{0} {1}")
  @CsvSource({"adabin, resnet18, 137.8, 1676", "adabin, resnet34, 137.8, 3526", "biper, resnet18, 137.8, 1676", "rbnn, resnet34, 137.8, 3526"})
  void imagenetNetworksHaveThePublishedMultiplyAccumulates(String method, String network, double real, double binary) {
    ModelSummary summary = summary(method, network, IMAGENET, 1000);
    assertEquals(real, summary.realMacs() / 1e6, 0.05);
    assertEquals(binary, summary.binaryMacs() / 1e6, 0.5);
    assertEquals(summary.realMacs() + summary.binaryMacs() / 64.0, summary.ops());
  }

  @ParameterizedTest(name = "{0} {1}")
  @CsvSource({"adabin, resnet20, 0.443, 40.1, 1.07", "adabin, resnet18, 8.07, 547, 16.6", "biper, resnet18, 1.77, 547, 10.3",
      "rbnn, resnet18, 1.77, 554, 10.4", "rbnn, vggsmall, 3.62, 604, 13.1"})
  void cifarNetworksHaveThePublishedMultiplyAccumulates(String method, String network, double real, double binary, double ops) {
    ModelSummary summary = summary(method, network, CIFAR, 10);
    assertEquals(real, summary.realMacs() / 1e6, real < 1 ? 0.0005 : 0.005);
    assertEquals(binary, summary.binaryMacs() / 1e6, binary < 100 ? 0.05 : 0.5);
    assertEquals(ops, summary.ops() / 1e6, ops > 10 ? 0.06 : 0.006);
  }

  /** An independent sum over the drawing of the network. */
  @Test
  void leNetCostsWhatItsDrawingSays() {
    ModelSummary summary = summary("bmxnet", "lenet", MNIST, 10);
    long conv1 = 64 * 25, conv2 = 64 * 64 * 25, fc1 = 1000 * 1024, fc2 = 10 * 1000;
    assertEquals(conv1 + 64 + 2 * 64 + conv2 + 2 * 64 + fc1 + 2 * 1000 + fc2 + 10, summary.parameters());
    assertEquals(conv2 + fc1, summary.binaryParameters());
    assertEquals(24 * 24 * conv1 + fc2, summary.realMacs());
    assertEquals(8 * 8 * conv2 + fc1, summary.binaryMacs());
  }

  @Test
  void rowsNameKindAndOutputOfEachLayer() {
    List<ModelSummary.Row> rows = summary("adabin", "resnet20", CIFAR, 10).layers();
    ModelSummary.Row conv = rows.stream().filter(r -> r.name().equals("layer2.0.conv1")).findFirst().orElseThrow();
    assertEquals("BinaryConv2d", conv.kind());
    assertEquals(Shape.image(1, 16, 16, 32), conv.output());
    assertEquals(32 * 16 * 9 + 2, conv.parameters());
    assertEquals(32 * 16 * 9, conv.binaryParameters());
    assertEquals(16 * 16 * 32 * 16 * 9, conv.binaryMacs());
    assertEquals(10, rows.getLast().output().channels());
    assertEquals(2, rows.stream().filter(r -> r.kind().equals("Pool") && Arrays.equals(r.output().dims(), new int[] {1, 16, 16, 32})
        || r.kind().equals("Pool") && Arrays.equals(r.output().dims(), new int[] {1, 8, 8, 64})).count());
  }
}
