package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import onebit.binarize.Surrogates;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.ops.cuda.EmulatedDriver;
import onebit.optim.Sgd;
import onebit.recipe.Recipe;
import onebit.recipe.TrainRecipe.Precision;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import onebit.train.TrainStep;
import onebit.train.Truth;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The first step of every CIFAR network of the four systems: logits, loss and gradients of the CPU and of the device, on a safe point.
 *
 * <p>The networks have their own widths and depths; images are of 16x16 pixels, or of the side in the property {@code onebit.test.side}, so
 * that one of every system and kind of block runs in every build.
 *
 * <pre>
 * Units  error of a gradient: L2 of the difference / max(L2 of the CPU's, 0.01 M), M the median L2; of a scale before a batch norm the floor is M
 * </pre>
 */
class FirstStepTest {
  private static final int BATCH = 4;
  /** Networks made of the same blocks as another of their system: only with the property {@code onebit.test.full}. */
  private static final List<String> LIKE_ANOTHER = List.of("bmxnet-resnete34-cifar10", "biper-resnet18-cifar10-stage1",
      "biper-vggsmall-cifar10-stage1", "rbnn-resnet20-bireal-cifar10");
  private static final int SIDE = Integer.getInteger("onebit.test.side", 16);

  /** What a step gives. */
  private record Result(TrainStep.Outcome outcome, float[] logits, List<float[]> gradients) {}

  @ParameterizedTest
  @ValueSource(strings = {"adabin-resnet20-cifar10", "adabin-resnet18-cifar10", "adabin-vggsmall-cifar10", "bmxnet-resnet18v1-cifar10",
      "bmxnet-resnete18-cifar10", "bmxnet-resnete18e2-cifar10", "bmxnet-resnete34-cifar10", "bmxnet-densenet21-cifar10",
      "biper-resnet20-cifar10-stage1", "biper-resnet20-cifar10-stage2", "biper-resnet18-cifar10-stage1", "biper-resnet18-cifar10-stage2",
      "biper-vggsmall-cifar10-stage1", "biper-vggsmall-cifar10-stage2", "rbnn-resnet20-cifar10", "rbnn-resnet20-bireal-cifar10",
      "rbnn-resnet18-cifar10", "rbnn-vggsmall-cifar10"})
  void theDeviceGivesTheLogitsAndGradientsOfTheCpu(String name) throws Exception {
    assumeTrue(Boolean.getBoolean("onebit.test.full") || !LIKE_ANOTHER.contains(name), "only with -Donebit.test.full=true");
    boolean gpu = Boolean.getBoolean("onebit.test.gpu");
    String refusal = gpu ? null : EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    Recipe recipe = Workplace.RECIPES.load(name, List.of("data.height=" + SIDE, "data.width=" + SIDE));
    Surrogates surrogates = recipe.method().at(recipe.train().epochs() / 4, recipe.train().epochs());
    assertTrue(SafePoint.knows(surrogates.activations()), surrogates.activations().toString());
    Shape shape = Shape.image(BATCH, SIDE, SIDE, recipe.data().channels());
    SplittableRandom random = new SplittableRandom(7);
    float[] images = new float[shape.size()];
    for (int i = 0; i < images.length; i++) images[i] = (float) random.nextGaussian();
    int[] labels = random.ints(BATCH, 0, recipe.data().classes()).toArray();
    SafePoint safe = SafePoint.of(recipe.method());
    try (Backend cpu = safe.listening(new CpuBackend()); Backend device = Workplace.open(gpu ? "cuda" : "cuda-emulated", Precision.FP32, true)) {
      Model first = model(recipe, shape, cpu, surrogates), second = model(recipe, shape, device, surrogates);
      safe.find(first, tensor(cpu, shape, images));
      assertEquals(first.binaryLayers().size(), safe.signs(), "binarizations that were looked at");
      second.load(first.save(), "the safe point");
      Result wanted = step(recipe, first, cpu, tensor(cpu, shape, images), labels), got = step(recipe, second, device, tensor(device, shape, images), labels);
      compare(name, safe.passes(), first.parameters(), wanted, got);
    }
  }

  private static Model model(Recipe recipe, Shape shape, Backend backend, Surrogates surrogates) {
    Model model = new Model(recipe.network(), recipe.method(), shape, recipe.data().classes(), backend, 1);
    model.use(surrogates);
    return model;
  }

  private static Tensor tensor(Backend backend, Shape shape, float[] values) {
    Tensor x = backend.create(shape);
    backend.write(x, values);
    return x;
  }

  private static Result step(Recipe recipe, Model model, Backend backend, Tensor x, int[] labels) {
    TrainStep step = new TrainStep(backend, model, new Sgd(backend, model.parameters(), 0, p -> 0), BATCH, recipe.data().classes(),
        recipe.train().labelSmoothing());
    TrainStep.Outcome outcome = step.gradients(x, Truth.of(labels));
    return new Result(outcome, backend.read(step.output()), model.parameters().stream().map(p -> backend.read(p.gradient())).toList());
  }

  private static void compare(String name, int passes, List<Parameter> parameters, Result wanted, Result got) {
    assertEquals(wanted.outcome.notFinite(), got.outcome.notFinite());
    double logits = difference(wanted.logits, got.logits) / norm(wanted.logits);
    assertTrue(logits < 1e-4, "logits differ by " + logits);
    assertEquals(wanted.outcome.loss(), got.outcome.loss(), 1e-4 * wanted.outcome.loss());
    double[] norms = wanted.gradients.stream().mapToDouble(FirstStepTest::norm).sorted().toArray();
    double median = norms[norms.length / 2], worst = 0;
    List<String> wrong = new ArrayList<>();
    for (int i = 0; i < parameters.size(); i++) {
      String parameter = parameters.get(i).name();
      double floor = parameter.endsWith(".alpha") ? median : 0.01 * median;
      double error = difference(wanted.gradients.get(i), got.gradients.get(i)) / Math.max(norm(wanted.gradients.get(i)), floor);
      double tolerance = parameter.endsWith(".alpha_a") || parameter.endsWith(".beta_a") ? 3e-3 : 1e-3;
      worst = Math.max(worst, error / tolerance);
      if (!(error <= tolerance)) wrong.add(parameter + " " + error);
    }
    System.out.printf("%s: safe after %d passes; logits differ by %.1e, the worst gradient by %.3f of its tolerance%n", name, passes, logits, worst);
    assertEquals(List.of(), wrong, "gradients beyond their tolerance");
  }

  static double difference(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) sum += ((double) a[i] - b[i]) * ((double) a[i] - b[i]);
    return Math.sqrt(sum);
  }

  static double norm(float[] values) {
    return difference(values, new float[values.length]);
  }
}
