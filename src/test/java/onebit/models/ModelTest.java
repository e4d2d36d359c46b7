package onebit.models;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import onebit.binarize.AdaBin;
import onebit.binarize.BiPer;
import onebit.binarize.BiReal;
import onebit.binarize.BmxNet;
import onebit.binarize.Method;
import onebit.binarize.Methods;
import onebit.binarize.Rbnn;
import onebit.layers.BinaryConv2d;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class ModelTest {
  private static final Backend BACKEND = new CpuBackend();
  private static final Map<String, Method> METHODS = Map.of(
      "adabin", new AdaBin(AdaBin.Form.CODE, true, false),
      "biper", new BiPer(2, 20, 0),
      "rbnn", new Rbnn(1, false),
      "bmxnet", new BmxNet(1.3f, false, BmxNet.Scaling.NONE),
      "bireal", new BiReal(1));

  @AfterAll
  static void close() {
    BACKEND.close();
  }

  private static Tensor images(Shape shape, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    float[] values = new float[shape.size()];
    for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
    return Tensor.of(shape, values);
  }

  static Stream<Arguments> networksAndMethods() {
    Stream<Arguments> everyMethod = METHODS.keySet().stream().sorted().flatMap(method -> Stream.of(
        Arguments.of(new GlyphNet(8), method, 28, 1), Arguments.of(new ResNet20(), method, 16, 3), Arguments.of(new LeNet(), method, 28, 1)));
    Stream<Arguments> others = Stream.of(
        Arguments.of(new ResNet20BiReal(), "rbnn", 16, 3), Arguments.of(new VggSmall(), "biper", 16, 3), Arguments.of(new VggSmall(), "bireal", 16, 3),
        Arguments.of(new ResNet18(), "adabin", 16, 3), Arguments.of(new ResNet18(), "biper", 16, 3), Arguments.of(new ResNet18(), "rbnn", 16, 3),
        Arguments.of(new ResNet18(), "bireal", 56, 3), Arguments.of(new ResNet18(), "adabin", 64, 3), Arguments.of(new ResNet34(), "biper", 64, 3),
        Arguments.of(new ResNet18V1(), "bmxnet", 16, 3), Arguments.of(new ResNetE(18, ResNetE.Version.E2, Stem.THUMBNAIL), "bmxnet", 16, 3),
        Arguments.of(new ResNetE(34, ResNetE.Version.E1, Stem.GROUPED), "bmxnet", 32, 3), Arguments.of(new DenseNet21(), "bmxnet", 16, 3),
        Arguments.of(new BinaryDenseNet(28, Stem.GROUPED, false), "bmxnet", 32, 3),
        Arguments.of(new BinaryDenseNet(37, Stem.IMAGENET, true), "bmxnet", 32, 3));
    return Stream.concat(everyMethod, others);
  }

  @ParameterizedTest(name = "{0} {1} {2}")
  @MethodSource("networksAndMethods")
  void oneStepGivesFiniteLogitsAndAGradientForEveryParameter(Network network, String method, int side, int channels) {
    Shape input = Shape.image(2, side, side, channels);
    Model model = new Model(network, METHODS.get(method), input, 7, BACKEND, 1);
    model.use(METHODS.get(method).at(1, 2));
    leaveTheSilentStart(model);
    Tensor logits = model.forward(images(input, 2), true);
    assertEquals(14, logits.size());
    assertTrue(finite(logits), "logits");
    assertEquals(7, logits.shape().channels());
    model.backward(images(Shape.matrix(2, 7), 3));
    for (Parameter p : model.parameters()) assertTrue(finite(p.gradient()), p.name());
    long silent = model.parameters().stream().filter(p -> p.kind() == Parameter.Kind.LATENT_WEIGHT && isZero(p.gradient())).count();
    assertEquals(0, silent, "latent weights without gradient");
    assertTrue(finite(model.forward(images(input, 4), false)), "logits in evaluation");
  }

  /** RBNN starts where neither the weights nor the angles get a gradient (|sin| = 1): weight decay takes them away from there. */
  private static void leaveTheSilentStart(Model model) {
    model.parameters().stream().filter(p -> p.name().endsWith(".rotate")).forEach(p -> BACKEND.fill(p.value(), 1));
  }

  private static boolean finite(Tensor t) {
    for (int i = 0; i < t.size(); i++) if (!Float.isFinite(t.floats()[i])) return false;
    return true;
  }

  private static boolean isZero(Tensor t) {
    for (int i = 0; i < t.size(); i++) if (t.floats()[i] != 0) return false;
    return true;
  }

  @ParameterizedTest
  @MethodSource("methodNames")
  void aSmallerBatchThanBuiltGivesWhatAModelOfThatBatchGives(String method) {
    Shape two = Shape.image(2, 28, 28, 1);
    Model large = new Model(new GlyphNet(8), METHODS.get(method), Shape.image(5, 28, 28, 1), 10, BACKEND, 1);
    Model small = new Model(new GlyphNet(8), METHODS.get(method), two, 10, BACKEND, 1);
    large.forward(images(Shape.image(5, 28, 28, 1), 9), false);
    Tensor gradient = images(Shape.matrix(2, 10), 3);
    float[] expected = BACKEND.read(small.forward(images(two, 2), true)), got = BACKEND.read(large.forward(images(two, 2), true));
    assertArrayEquals(expected, got);
    small.backward(gradient);
    large.backward(gradient);
    for (int i = 0; i < small.parameters().size(); i++) {
      Parameter a = small.parameters().get(i), b = large.parameters().get(i);
      assertArrayEquals(a.gradient().floats(), b.gradient().floats(), a.name());
    }
    assertArrayEquals(small.save().toArray(), large.save().toArray());
  }

  static Stream<String> methodNames() {
    return METHODS.keySet().stream().sorted();
  }

  @Test
  void everyRegisteredMethodIsTriedHere() {
    assertEquals(Methods.byName().keySet(), METHODS.keySet());
  }

  @Test
  void binaryLayersAreListedInOrder() {
    Model model = new Model(new ResNet20(), METHODS.get("rbnn"), Shape.image(1, 32, 32, 3), 10, BACKEND, 1);
    List<String> names = model.binaryLayers().stream().map(BinaryConv2d::name).toList();
    assertEquals(18, names.size());
    assertEquals("layer1.0.conv1", names.getFirst());
    assertEquals("layer3.2.conv2", names.getLast());
  }

  @Test
  void theResNetForSmallImagesIsThatOfCifar() {
    Model small = new Model(new ResNet18(), METHODS.get("biper"), Shape.image(1, 48, 48, 3), 10, BACKEND, 1);
    Model large = new Model(new ResNet18(), METHODS.get("biper"), Shape.image(1, 64, 64, 3), 10, BACKEND, 1);
    assertEquals("linear.bias", small.parameters().getLast().name());
    assertEquals("fc.bias", large.parameters().getLast().name());
  }

  @Test
  void theRbnnAndBiPerImagenetNetworksStartWithTinyGammasExceptBeforeTheClassifier() {
    Model model = new Model(new ResNet18(), METHODS.get("rbnn"), Shape.image(1, 64, 64, 3), 10, BACKEND, 1);
    for (Parameter p : model.parameters()) {
      if (p.kind() != Parameter.Kind.NORM || !p.name().endsWith(".weight")) continue;
      assertEquals(p.name().equals("bn2.weight") ? 1 : 1e-8f, p.value().floats()[0], p.name());
    }
  }

  @Test
  void initialDeviationsAreThoseOfTheAuthors() {
    assertDeviation(Math.sqrt(2.0 / 576), new ResNet20(), "adabin", "layer3.1.conv1.weight");
    assertDeviation(Math.sqrt(1.0 / (3 * 2304.0)), new ResNet18(), "adabin", "layer3.1.conv1.weight");
    assertDeviation(Math.sqrt(2.0 / 2304), new ResNet18(), "biper", "layer3.1.conv1.weight");
    assertDeviation(0.01, new VggSmall(), "rbnn", "fc.weight");
    assertDeviation(Math.sqrt(2.0 / (9 * 512)), new VggSmall(), "biper", "conv4.weight");
  }

  private static void assertDeviation(double expected, Network network, String method, String name) {
    Model model = new Model(network, METHODS.get(method), Shape.image(1, 32, 32, 3), 10, BACKEND, 1);
    float[] values = model.parameters().stream().filter(p -> p.name().equals(name)).findFirst().orElseThrow().value().floats();
    double squares = 0;
    for (float v : values) squares += (double) v * v;
    assertEquals(expected, Math.sqrt(squares / values.length), 0.02 * expected, name);
  }

  @Test
  void imagesOfAnotherSizeOrLargerBatchesAreRefused() {
    Model model = new Model(new GlyphNet(8), METHODS.get("adabin"), Shape.image(2, 28, 28, 1), 10, BACKEND, 1);
    for (Shape wrong : List.of(Shape.image(3, 28, 28, 1), Shape.image(2, 32, 32, 1), Shape.image(2, 28, 28, 3))) {
      String message = assertThrows(IllegalArgumentException.class, () -> model.forward(Tensor.of(wrong, new float[wrong.size()]), false)).getMessage();
      assertTrue(message.contains(Arrays.toString(wrong.dims())), message);
    }
  }

  @Test
  void depthsThatDoNotExistAreRefused() {
    assertTrue(assertThrows(IllegalArgumentException.class, () -> new ResNetE(50, ResNetE.Version.E1, Stem.IMAGENET)).getMessage().contains("50"));
    assertTrue(assertThrows(IllegalArgumentException.class, () -> new BinaryDenseNet(21, Stem.IMAGENET, false)).getMessage().contains("21"));
    assertTrue(assertThrows(IllegalArgumentException.class, () -> new GlyphNet(7)).getMessage().contains("7"));
  }

  /** 112 pixels: 28, 14, 7 after stem and stages; the published shortcut makes 3 of 7, its convolution 4. */
  @Test
  void resNetERefusesSidesThatItsPublishedShortcutCannotHalve() {
    Network network = new ResNetE(18, ResNetE.Version.E1, Stem.IMAGENET);
    Method method = METHODS.get("bmxnet");
    String why = assertThrows(IllegalArgumentException.class, () -> network.layers(method, Shape.image(1, 112, 112, 3), 10)).getMessage();
    assertTrue(why.contains("112x112") && why.contains("stage 4 with a side of 7") && why.contains("makes 4") && why.contains("shortcut 3") && why.contains("multiples of 32"), why);
    assertThrows(IllegalArgumentException.class, () -> new ResNetE(18, ResNetE.Version.E2, Stem.THUMBNAIL).layers(method, Shape.image(1, 28, 28, 1), 10));
    for (int side : new int[] {96, 128, 125}) new Model(network, method, Shape.image(1, side, side, 3), 10, BACKEND, 1);
  }
}
