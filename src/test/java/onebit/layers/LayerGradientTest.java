package onebit.layers;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Supplier;
import java.util.stream.Stream;
import onebit.binarize.AdaBin;
import onebit.binarize.BiPer;
import onebit.binarize.Rbnn;
import onebit.ops.Backend;
import onebit.ops.PointOps.Activation;
import onebit.ops.cpu.CpuBackend;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** backward of every layer against central differences of forward, in random directions, for the loss that is a random weighting of y. */
class LayerGradientTest {
  /** Step of the difference; inputs stay further than this from every kink and every tie. */
  private static final float STEP = 0.01f;
  /** float32 sums leave 1e-6 of the loss, divided by the step; the step itself leaves its square. */
  private static final double TOLERANCE = 2e-3;
  private static final Shape IMAGE = Shape.image(2, 4, 4, 4), ODD = Shape.image(2, 5, 5, 2);
  private static final Backend BACKEND = new CpuBackend();

  record Case(String name, Supplier<Layer> layer, Shape input, boolean alsoInput) {
    @Override
    public String toString() {
      return name;
    }
  }

  private static Case of(String name, Supplier<Layer> layer) {
    return new Case(name, layer, IMAGE, true);
  }

  static Stream<Case> layers() {
    return Stream.of(
        of("conv 3x3", () -> new Conv2d("c", 5, 3, 1, 1, Init.KAIMING)),
        new Case("conv 3x3 stride 2, bias, odd", () -> new Conv2d("c", 3, 3, 2, 1, 1, true, Init.KAIMING), ODD, true),
        of("conv 3x3 in 2 groups", () -> new Conv2d("c", 6, 3, 1, 1, 2, false, Init.KAIMING)),
        new Case("conv as first", () -> new Conv2d("c", 5, 3, 1, 1, Init.KAIMING).asFirst(), IMAGE, false),
        of("batch norm", () -> new BatchNorm("b", BatchNorm.Rule.TORCH)),
        of("relu", () -> new Activate(Activation.RELU)),
        of("hardtanh", () -> new Activate(Activation.HARD_TANH)),
        of("tanh", () -> new Activate(Activation.TANH)),
        of("maxout", () -> new Maxout("m")),
        of("flatten", Flatten::new),
        of("linear", () -> new Linear("l", 3, Init.TORCH, false)),
        of("max pool 2", () -> Pool.max(2, 2, 0)),
        new Case("max pool 3 stride 2 pad 1", () -> Pool.max(3, 2, 1), ODD, true),
        of("average pool", () -> Pool.average(2, 2)),
        new Case("average pool, rest left out", () -> Pool.average(2, 2), ODD, true),
        new Case("average pool, last window cut", () -> Pool.averageCeil(2, 2), ODD, true),
        of("global pool", Pool::global),
        of("subsample and pad", () -> Pool.subsamplePad(2, 8)),
        new Case("subsample and pad, odd", () -> Pool.subsamplePad(2, 4), ODD, true),
        of("average and pad", () -> Pool.averagePad(2, 8)),
        of("residual", () -> Residual.identity(Sequential.of(new Conv2d("c", 4, 3, 1, 1, Init.KAIMING), new Activate(Activation.TANH)))),
        of("residual with shortcut", () -> new Residual(new Conv2d("c", 8, 3, 2, 1, Init.KAIMING), Pool.averagePad(2, 8))),
        of("l2 norm", () -> new L2Norm("n", 20)),
        of("two maps of a network", () -> new Pyramid(List.of(
            new Pyramid.Level(Sequential.of(new Conv2d("c1", 5, 3, 1, 1, Init.KAIMING), new Activate(Activation.TANH)), new L2Norm("n", 2), head("l1", 3), head("k1", 4)),
            new Pyramid.Level(Sequential.of(new Conv2d("c2", 6, 3, 2, 1, Init.KAIMING), new Activate(Activation.TANH)), null, head("l2", 2), head("k2", 5))))),
        of("concat", () -> new Concat(Sequential.of(new BatchNorm("b", BatchNorm.Rule.MXNET), new Conv2d("c", 3, 3, 1, 1, Init.KAIMING)))),
        of("a small network", () -> Sequential.of(new Conv2d("c1", 6, 3, 1, 1, Init.KAIMING), new BatchNorm("b1", BatchNorm.Rule.TORCH),
            new Activate(Activation.TANH), Residual.identity(Sequential.of(new Conv2d("c2", 6, 3, 1, 1, Init.KAIMING),
                new BatchNorm("b2", BatchNorm.Rule.TORCH))), new Activate(Activation.TANH), Pool.average(2, 2),
            new Concat(new Conv2d("c3", 2, 1, 1, 0, Init.KAIMING)), Pool.global(), new Linear("l", 3, Init.TORCH, false))),
        new Case("binary convolution with sine weights", () -> new BinaryConv2d("c", new BiPer(1, 2, 0), 5, 3, 1, 1, 1, Init.KAIMING), IMAGE, false),
        new Case("binary convolution with real weights",
            () -> new BinaryConv2d("c", new AdaBin(AdaBin.Form.CODE, true, true), 5, 3, 2, 1, 1, Init.KAIMING), IMAGE, false));
  }

  private static Conv2d head(String name, int filters) {
    return new Conv2d(name, filters, 3, 1, 1, 1, true, Init.XAVIER_NORMAL);
  }

  @ParameterizedTest
  @MethodSource("layers")
  void backwardIsTheDerivativeOfForward(Case test) {
    Layer layer = test.layer.get();
    Shape output = layer.build(new BuildContext(BACKEND, 3), test.input);
    SplittableRandom random = new SplittableRandom(11);
    Tensor x = Tensor.of(test.input, apart(test.input.size(), random)), gradY = Tensor.of(output, uniform(output.size(), random));
    layer.forward(x, true);
    Tensor gradX = layer.backward(gradY);
    List<Tensor> values = new ArrayList<>(), gradients = new ArrayList<>();
    if (test.alsoInput) {
      values.add(x);
      gradients.add(Tensor.of(test.input, gradX.floats().clone()));
    }
    for (Parameter p : parameters(layer)) {
      if (p.kind() == Parameter.Kind.BINARY_SET && p.name().contains("binary_a")) continue;
      values.add(p.value());
      gradients.add(Tensor.of(p.gradient().shape(), p.gradient().floats().clone()));
    }
    compare(layer, x, gradY, values, gradients, random);
  }

  /** RBNN with --a32: signs stand only in the weights, so the gradients at the input and at the scale are those of the function itself. */
  @Test
  void standardisedActivationsThatStayRealHaveTheExactGradient() {
    BinaryConv2d layer = new BinaryConv2d("c", new Rbnn(1, true), 5, 3, 2, 1, 1, Init.KAIMING);
    Shape output = layer.build(new BuildContext(BACKEND, 3), IMAGE);
    SplittableRandom random = new SplittableRandom(12);
    Tensor x = Tensor.of(IMAGE, apart(IMAGE.size(), random)), gradY = Tensor.of(output, uniform(output.size(), random));
    layer.forward(x, true);
    Tensor gradX = layer.backward(gradY);
    Parameter alpha = layer.parameters().stream().filter(p -> p.name().equals("c.alpha")).findFirst().orElseThrow();
    compare(layer, x, gradY, List.of(x, alpha.value()), List.of(Tensor.of(IMAGE, gradX.floats().clone()),
        Tensor.of(alpha.gradient().shape(), alpha.gradient().floats().clone())), random);
    assertEquals(new Layer.Cost(2 * 2 * 5 * 9 * 4, 0), layer.cost(), "its products are no bit counts");
  }

  private static void compare(Layer layer, Tensor x, Tensor gradY, List<Tensor> values, List<Tensor> gradients, SplittableRandom random) {
    for (int i = 0; i < values.size(); i++) {
      for (int repeat = 0; repeat < 3; repeat++) {
        float[] direction = uniform(values.get(i).size(), random), at = values.get(i).floats().clone();
        double up = loss(layer, x, gradY, values.get(i), at, direction, STEP), down = loss(layer, x, gradY, values.get(i), at, direction, -STEP);
        System.arraycopy(at, 0, values.get(i).floats(), 0, at.length);
        double difference = (up - down) / (2 * STEP), derivative = 0, scale = 1;
        for (int k = 0; k < direction.length; k++) {
          derivative += (double) direction[k] * gradients.get(i).floats()[k];
          scale += Math.abs((double) direction[k] * gradients.get(i).floats()[k]);
        }
        assertEquals(difference, derivative, TOLERANCE * scale, "tensor " + i);
      }
    }
  }

  private static double loss(Layer layer, Tensor x, Tensor weights, Tensor moved, float[] at, float[] direction, float step) {
    for (int k = 0; k < at.length; k++) moved.floats()[k] = at[k] + step * direction[k];
    Tensor y = layer.forward(x, true);
    double sum = 0;
    for (int k = 0; k < y.size(); k++) sum += (double) y.floats()[k] * weights.floats()[k];
    return sum;
  }

  static List<Parameter> parameters(Layer layer) {
    List<Parameter> all = new ArrayList<>(layer.parameters());
    layer.children().forEach(child -> all.addAll(parameters(child)));
    return all;
  }

  private static float[] uniform(int size, SplittableRandom random) {
    float[] values = new float[size];
    for (int i = 0; i < size; i++) values[i] = (float) random.nextDouble(-1, 1);
    return values;
  }

  /** Values between -2 and 2, each alone in its own cell; 0, 1 and -1 are borders of cells. */
  private static float[] apart(int size, SplittableRandom random) {
    float[] values = new float[size];
    int cells = (size + 3) / 4 * 4;
    for (int i = 0; i < size; i++) values[i] = (i + 0.5f) * 4 / cells - 2;
    for (int i = size - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      float kept = values[i];
      values[i] = values[j];
      values[j] = kept;
    }
    return values;
  }

  @Test
  void theFirstConvolutionLeavesTheGradientOfImagesOut() {
    Layer layer = new Conv2d("c", 2, 3, 1, 1, Init.KAIMING).asFirst();
    Shape output = layer.build(new BuildContext(BACKEND, 3), IMAGE);
    layer.forward(Tensor.of(IMAGE, new float[IMAGE.size()]), true);
    assertNull(layer.backward(Tensor.of(output, new float[output.size()])));
  }

  @Test
  void aTieInMaxPoolingGoesToTheFirstInRowOrder() {
    Shape input = Shape.image(1, 4, 4, 1);
    Pool pool = Pool.max(2, 2, 0);
    Shape output = pool.build(new BuildContext(BACKEND, 3), input);
    pool.forward(Tensor.of(input, 1, 3, 0, 2, 3, 3, 2, 2, 5, 5, 7, 6, 5, 5, 6, 7), true);
    Tensor gradX = pool.backward(Tensor.of(output, 1, 2, 3, 4));
    assertArrayEquals(new float[] {0, 1, 0, 2, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0}, gradX.floats());
  }

  @Test
  void overlappingMaxWindowsAddTheirGradientsAtASharedMaximum() {
    Shape input = Shape.image(1, 3, 3, 1);
    Pool pool = Pool.max(3, 2, 1);
    Shape output = pool.build(new BuildContext(BACKEND, 3), input);
    assertEquals(Shape.image(1, 2, 2, 1), output);
    pool.forward(Tensor.of(input, -5, -6, -7, -8, -1, -9, -4, -3, -2), true);
    assertArrayEquals(new float[] {0, 0, 0, 0, 15, 0, 0, 0, 0}, pool.backward(Tensor.of(output, 1, 2, 4, 8)).floats());
  }

  @Test
  void aFixedGammaGetsNoGradient() {
    BatchNorm layer = new BatchNorm("b", BatchNorm.Rule.MXNET_INPUT);
    layer.build(new BuildContext(BACKEND, 3), IMAGE);
    SplittableRandom random = new SplittableRandom(5);
    layer.forward(Tensor.of(IMAGE, apart(IMAGE.size(), random)), true);
    layer.backward(Tensor.of(IMAGE, uniform(IMAGE.size(), random)));
    assertArrayEquals(new float[4], layer.parameters().get(0).gradient().floats());
    assertTrue(layer.parameters().get(1).gradient().floats()[0] != 0);
  }
}
