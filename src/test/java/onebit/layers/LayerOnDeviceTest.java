package onebit.layers;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import onebit.binarize.AdaBin;
import onebit.binarize.BiPer;
import onebit.binarize.BiReal;
import onebit.binarize.BmxNet;
import onebit.binarize.Method;
import onebit.binarize.Rbnn;
import onebit.ops.Backend;
import onebit.ops.OnEveryPrecision;
import onebit.ops.cpu.CpuBackend;
import onebit.tensor.Bfloat16;
import onebit.tensor.ElementType;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Every layer, forward and backward, against the CPU's from equal inputs and parameters.
 *
 * <p>In float32 the outputs differ by the order of sums; with bfloat16 activations by its rounding: half a step of the result, and of what a layer
 * rounds on the way (filters beside activations, gradients between two ops); a gradient of one number is a small difference of large sums. Bits are
 * equal on both, because they are decided from equal inputs.
 */
class LayerOnDeviceTest {
  private static final double FLOAT32 = 1e-5, OUTPUT = 4e-3, GRADIENT = 6e-3, OF_MANY_LAYERS = 2e-2, OF_ONE_NUMBER = 5e-2;

  private static Stream<LayerGradientTest.Case> layers() {
    Stream<Method> methods = Stream.of(new AdaBin(AdaBin.Form.CODE, true, false), new AdaBin(AdaBin.Form.PAPER, true, false), new BiPer(2, 20, 0.1f),
        new Rbnn(1, false), new BmxNet(1.3f, false, BmxNet.Scaling.NONE), new BmxNet(1, true, BmxNet.Scaling.BINET), new BiReal(1));
    return Stream.concat(LayerGradientTest.layers(), methods.map(method -> new LayerGradientTest.Case("binary convolution of " + method,
        () -> new BinaryConv2d("c", method, 6, 3, 1, 1, 1, Init.KAIMING), Shape.image(3, 6, 5, 40), true)));
  }

  /** What a layer gave: output, gradient at its input (null for a first layer), gradients of its parameters. */
  private record Result(float[] y, float[] gradX, List<float[]> gradients) {}

  private static Result run(Backend backend, LayerGradientTest.Case test) {
    Layer layer = test.layer().get();
    BuildContext context = new BuildContext(backend, 3);
    Shape output = layer.build(context, test.input());
    context.rounded().refresh();
    SplittableRandom random = new SplittableRandom(7);
    Tensor x = backend.create(test.input(), backend.activations());
    backend.write(x, values(test.input().size(), random));
    Tensor y = layer.forward(x, true), gradY = backend.create(output, y.type());
    float[] outputs = backend.read(y);
    backend.write(gradY, values(output.size(), random));
    Tensor gradX = layer.backward(gradY);
    List<float[]> gradients = new ArrayList<>();
    for (Parameter p : LayerGradientTest.parameters(layer)) gradients.add(backend.read(p.gradient()));
    return new Result(outputs, gradX == null ? null : backend.read(gradX), gradients);
  }

  /** Values that bfloat16 holds. */
  private static float[] values(int n, SplittableRandom random) {
    float[] all = new float[n];
    for (int i = 0; i < n; i++) all[i] = Bfloat16.round((float) random.nextGaussian());
    return all;
  }

  /** L2 of the difference over L2 of the wanted; against the largest gradient's value where a gradient is much smaller than that. */
  private static double error(float[] got, float[] want, double largest) {
    double off = 0, size = 0;
    for (int i = 0; i < want.length; i++) {
      off += Math.pow((double) got[i] - want[i], 2);
      size += Math.pow(want[i], 2);
    }
    return Math.sqrt(off) / Math.max(Math.sqrt(size), 0.05 * largest * Math.sqrt(want.length));
  }

  private static double largest(List<float[]> all) {
    double most = 1e-6;
    for (float[] values : all) for (float v : values) most = Math.max(most, Math.abs(v));
    return most;
  }

  @OnEveryPrecision
  void outputsAndGradientsOfEveryLayerAreThoseOfTheCpu(Backend backend) {
    boolean rounds = backend.activations() == ElementType.BFLOAT16;
    try (CpuBackend cpu = new CpuBackend()) {
      layers().forEach(test -> {
        Result want = run(cpu, test), got = run(backend, test);
        double gradient = !rounds ? FLOAT32 : test.name().contains("network") ? OF_MANY_LAYERS : GRADIENT, most = largest(want.gradients);
        check(test + " y", error(got.y, want.y, 0), rounds ? OUTPUT : FLOAT32);
        if (want.gradX != null) check(test + " gradX", error(got.gradX, want.gradX, 0), gradient);
        for (int i = 0; i < want.gradients.size(); i++) {
          float[] wanted = want.gradients.get(i);
          check(test + " gradient " + i, error(got.gradients.get(i), wanted, most), rounds && wanted.length == 1 ? OF_ONE_NUMBER : gradient);
        }
      });
    }
  }

  private static void check(String name, double error, double tolerance) {
    assertTrue(error <= tolerance, name + ": error " + error + ", tolerance " + tolerance);
  }
}
