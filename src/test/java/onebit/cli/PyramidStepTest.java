package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import onebit.binarize.AdaBin;
import onebit.binarize.BiReal;
import onebit.binarize.Method;
import onebit.models.Execution;
import onebit.models.Execution.Memory;
import onebit.models.Execution.Passes;
import onebit.models.Model;
import onebit.models.SmallPyramid;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.ops.cuda.EmulatedDriver;
import onebit.recipe.TrainRecipe.Precision;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What SSD300 is made of: outputs and gradients of the CPU and of the device, in fused and in simple passes, at a point where rounding decides nothing.
 *
 * <pre>
 * Units  error: L2 of the difference / max(L2 of the CPU's, 0.01 M), M the median L2 of all gradients
 * </pre>
 */
class PyramidStepTest {
  private static final Shape IMAGES = Shape.image(4, 8, 8, 3);
  private static final int CLASSES = 4;

  private static Stream<Method> methods() {
    return Stream.of(new AdaBin(AdaBin.Form.CODE, true, false), new BiReal(1));
  }

  @ParameterizedTest
  @MethodSource("methods")
  void theDeviceGivesTheOutputsAndGradientsOfTheCpu(Method method) {
    boolean gpu = Boolean.getBoolean("onebit.test.gpu");
    String refusal = gpu ? null : EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    SplittableRandom random = new SplittableRandom(7);
    float[] images = normal(IMAGES.size(), random), gradients = normal(4 * new SmallPyramid(8).outputs(CLASSES), random);
    SafePoint safe = SafePoint.of(method);
    try (Backend cpu = safe.listening(new CpuBackend()); Backend device = Workplace.open(gpu ? "cuda" : "cuda-emulated", Precision.FP32, true)) {
      Model first = model(cpu, method, Passes.SIMPLE);
      safe.find(first, tensor(cpu, IMAGES, images));
      assertEquals(SmallPyramid.UNITS, safe.signs(), "binarizations that were looked at");
      List<float[]> want = step(first, cpu, images, gradients);
      for (Passes passes : List.of(Passes.SIMPLE, Passes.FUSED)) {
        Model second = model(device, method, passes);
        second.load(first.save(), "the safe point");
        compare(first, want, step(second, device, images, gradients));
      }
    } catch (onebit.checkpoint.CheckpointException e) {
      throw new AssertionError(e);
    }
  }

  private static Model model(Backend backend, Method method, Passes passes) {
    Model model = new Model(new SmallPyramid(8), method, IMAGES, CLASSES, backend, 1, new Execution(passes, Memory.FAST));
    model.use(method.at(3, 10));
    return model;
  }

  private static List<float[]> step(Model model, Backend backend, float[] images, float[] gradients) {
    List<float[]> all = new ArrayList<>();
    all.add(backend.read(model.forward(tensor(backend, IMAGES, images), true)).clone());
    model.backward(tensor(backend, Shape.matrix(4, model.outputs()), gradients));
    model.parameters().forEach(p -> all.add(backend.read(p.gradient()).clone()));
    return all;
  }

  private static void compare(Model model, List<float[]> want, List<float[]> got) {
    assertTrue(FirstStepTest.difference(want.getFirst(), got.getFirst()) < 1e-4 * FirstStepTest.norm(want.getFirst()), "outputs");
    double[] norms = want.stream().skip(1).mapToDouble(FirstStepTest::norm).sorted().toArray();
    for (int i = 1; i < want.size(); i++) {
      String name = model.parameters().get(i - 1).name();
      double error = FirstStepTest.difference(want.get(i), got.get(i)) / Math.max(FirstStepTest.norm(want.get(i)), 0.01 * norms[norms.length / 2]);
      assertTrue(error < (name.contains("binary_a") ? 3e-3 : 1e-3), name + " " + error);
    }
  }

  private static Tensor tensor(Backend backend, Shape shape, float[] values) {
    Tensor x = backend.create(shape);
    backend.write(x, values);
    return x;
  }

  private static float[] normal(int n, SplittableRandom random) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) values[i] = (float) random.nextGaussian();
    return values;
  }
}
