package onebit.models;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import onebit.binarize.AdaBin;
import onebit.binarize.BiReal;
import onebit.binarize.Method;
import onebit.checkpoint.NamedTensor;
import onebit.detect.Priors;
import onebit.ops.Backend;
import onebit.ops.PixelScale;
import onebit.ops.PlanBackend;
import onebit.ops.cpu.CpuBackend;
import onebit.ops.cuda.BitProduct;
import onebit.ops.cuda.CudaBackend;
import onebit.ops.cuda.CudaMode;
import onebit.ops.cuda.EmulatedDriver;
import onebit.tensor.ElementType;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class Ssd300Test {
  private static final Method ADABIN = new AdaBin(AdaBin.Form.CODE, true, false);
  private static final Shape TWO = Shape.image(2, 300, 300, 3);
  /** Channels in, filters, taps and the side of the result. */
  private static final int[][] BINARY = {{64, 64, 3, 300}, {64, 128, 3, 150}, {128, 128, 3, 150}, {128, 128, 3, 150}, {128, 256, 3, 75}, {256, 256, 3, 75},
      {256, 256, 3, 75}, {256, 256, 3, 75}, {256, 512, 3, 38}, {512, 512, 3, 38}, {512, 512, 3, 38}, {512, 512, 3, 38}, {512, 512, 3, 19}, {512, 512, 3, 19},
      {512, 512, 3, 19}, {512, 512, 3, 19}, {512, 1024, 3, 19}, {1024, 256, 1, 19}, {256, 512, 3, 10}, {512, 128, 1, 10}, {128, 256, 3, 5}, {256, 128, 1, 5},
      {128, 256, 3, 3}, {256, 128, 1, 3}, {128, 256, 3, 1}};
  private static final int[][] REAL = {{3, 64, 3, 300}, {64, 128, 1, 150}, {128, 256, 1, 75}, {256, 512, 1, 38}, {512, 512, 1, 19}, {1024, 1024, 1, 19}};
  private static final int[][] HEADS = {{512, 4 * 25, 3, 38}, {1024, 6 * 25, 3, 19}, {512, 6 * 25, 3, 10}, {256, 6 * 25, 3, 5}, {256, 4 * 25, 3, 3}, {256, 4 * 25, 3, 1}};

  private final Backend cpu = new CpuBackend();
  private final Model small = new Model(new Ssd300(2), ADABIN, TWO, 3, cpu, 5);

  @AfterAll
  void close() {
    cpu.close();
  }

  private static long sum(int[][] table, boolean macs) {
    return Arrays.stream(table).mapToLong(c -> (long) c[0] * c[1] * c[2] * c[2] * (macs ? c[3] * c[3] : 1)).sum();
  }

  private static long filters(int[][] table) {
    return Arrays.stream(table).mapToLong(c -> c[1]).sum();
  }

  @Test
  void theSummaryIsTheSumOverTheLayersOfThePaper() {
    ModelSummary summary = new Model(new Ssd300(64), new BiReal(1), TWO.withFirst(1), 20, new PlanBackend(ElementType.FLOAT32, false), 1).summary();
    assertEquals(sum(BINARY, false), summary.binaryParameters());
    // a norm's two for each filter but those of the heads, which have a bias; 512 weights of the L2 norm
    assertEquals(sum(BINARY, false) + sum(REAL, false) + sum(HEADS, false) + 2 * (filters(BINARY) + filters(REAL)) + filters(HEADS) + 512, summary.parameters());
    assertEquals(sum(BINARY, true), summary.binaryMacs());
    assertEquals(sum(REAL, true) + sum(HEADS, true), summary.realMacs());
    Map<String, Shape> shapes = new LinkedHashMap<>();
    summary.layers().forEach(row -> shapes.put(row.name(), row.output()));
    assertEquals(Shape.image(1, 38, 38, 512), shapes.get("L2Norm"));
    assertEquals(Shape.image(1, 19, 19, 1024), shapes.get("backbone.22"));
    assertEquals(Shape.image(1, 38, 38, 84), shapes.get("conf.0"));
    assertEquals(List.of(24, 5, 256), List.of(shapes.get("loc.3").d3(), shapes.get("loc.3").d1(), shapes.get("extras.3").d3()));
  }

  @Test
  void itPredictsFourOffsetsAndALogitForEachClassAndTheBackgroundOfEveryPrior() {
    assertEquals(8732 * 25, new Ssd300(64).outputs(20));
    assertEquals(Priors.ssd300().count(), Ssd300.priors());
    List<Integer> kinds = Priors.ssd300().levels().stream().map(Priors.Level::kinds).toList();
    List<Integer> filters = small.parameters().stream().filter(p -> p.name().matches("loc\\.\\d\\.bias")).map(Parameter::size).toList();
    assertEquals(kinds.stream().map(k -> 4 * k).toList(), filters);
    assertTrue(small.detects());
  }

  @Test
  void imagesOfAnotherSizeAreRefused() {
    for (Shape other : List.of(Shape.image(1, 224, 224, 3), Shape.image(1, 300, 300, 1))) {
      assertThrows(IllegalArgumentException.class, () -> new Ssd300(4).layers(ADABIN, other, 20));
    }
  }

  private Model classifier(long seed) {
    return new Model(new Ssd300Backbone(2), ADABIN, Shape.image(1, 64, 64, 3), 10, cpu, seed);
  }

  @Test
  void theClassifierHasTheTensorsOfTheBackboneAndNoOthersBesideItsLastLayer() {
    Map<String, List<Integer>> detector = new LinkedHashMap<>(), classifier = new LinkedHashMap<>();
    small.save().stream().filter(t -> t.name().startsWith("backbone.")).forEach(t -> detector.put(t.name(), Arrays.stream(t.shape()).boxed().toList()));
    classifier(1).save().stream().filter(t -> !t.name().startsWith("fc.")).forEach(t -> classifier.put(t.name(), Arrays.stream(t.shape()).boxed().toList()));
    assertEquals(detector, classifier);
    assertTrue(detector.containsKey("backbone.0.weight") && detector.containsKey("backbone.17.nonlinear.pos_scale") && detector.containsKey("backbone.23.running_var"),
        detector.keySet().toString());
    for (String layer : List.of("L2Norm.weight", "extras.7.weight", "extra_bns.0.weight", "loc.0.weight", "conf.5.bias")) {
      assertTrue(small.parameters().stream().anyMatch(p -> p.name().equals(layer)), layer);
    }
  }

  @Test
  void theClassifiersBackboneGivesTheDetectorItsFirstWeights() throws Exception {
    Model detector = new Model(new Ssd300(2), ADABIN, TWO.withFirst(1), 3, cpu, 5), classifier = classifier(99);
    classifier.state().forEach(s -> cpu.fill(s.value(), 0.75f));
    List<NamedTensor> before = detector.save();
    int taken = detector.loadPart(classifier.save(), "backbone.", "the classifier");
    Map<String, float[]> given = new LinkedHashMap<>();
    classifier.save().forEach(t -> given.put(t.name(), t.floats()));
    for (int i = 0; i < before.size(); i++) {
      NamedTensor now = detector.save().get(i);
      boolean backbone = now.name().startsWith("backbone.");
      assertArrayEquals(backbone ? given.get(now.name()) : before.get(i).floats(), now.floats(), now.name());
    }
    assertEquals(before.stream().filter(t -> t.name().startsWith("backbone.")).count(), taken);
    assertNotEquals(0, taken);
  }

  @Test
  void theClassifierGivesLogitsOfImagesOf64Pixels() {
    Model model = classifier(1);
    Tensor x = Tensor.of(Shape.image(1, 64, 64, 3), PyramidTest.normal(64 * 64 * 3, 3));
    float[] logits = cpu.read(model.forward(x, true)).clone();
    assertEquals(10, logits.length);
    model.backward(Tensor.of(Shape.matrix(1, 10), PyramidTest.normal(10, 4)));
    for (Parameter p : model.parameters()) for (float g : p.gradient().floats()) assertTrue(Float.isFinite(g), p.name());
  }

  /** A row: locations of maps 0 to 5, then confidences of maps 0 to 5; of each map its positions row by row, of each position its filters. */
  @Test
  void theGradientAtABiasIsTheSumOfThoseAtItsColumns() {
    Tensor x = Tensor.of(TWO, PyramidTest.normal(TWO.size(), 3)), gradY = Tensor.of(Shape.matrix(2, small.outputs()), PyramidTest.normal(2 * small.outputs(), 4));
    small.forward(x, true);
    small.backward(gradY);
    int column = 0;
    for (int head = 0; head < 12; head++) {
      int map = head % 6, side = new int[] {38, 19, 10, 5, 3, 1}[map];
      Parameter bias = parameter((head < 6 ? "loc." : "conf.") + map + ".bias");
      double[] want = new double[bias.size()];
      for (int n = 0; n < 2; n++) {
        for (int i = 0; i < side * side * want.length; i++) want[i % want.length] += gradY.floats()[n * small.outputs() + column + i];
      }
      column += side * side * want.length;
      for (int f = 0; f < want.length; f++) assertEquals(want[f], bias.gradient().floats()[f], 1e-4 * Math.max(1, Math.abs(want[f])), bias.name() + " " + f);
    }
    assertEquals(small.outputs(), column);
  }

  private Parameter parameter(String name) {
    return small.parameters().stream().filter(p -> p.name().equals(name)).findFirst().orElseThrow();
  }

  /** Behind every sign: the loss is linear in these, so a difference over a long step is its slope. */
  @Test
  void gradientsBehindTheLastSignAreThoseOfTheLoss() {
    Tensor x = Tensor.of(TWO, PyramidTest.normal(TWO.size(), 5)), gradY = Tensor.of(Shape.matrix(2, small.outputs()), PyramidTest.normal(2 * small.outputs(), 6));
    small.forward(x, true);
    small.backward(gradY);
    for (String name : List.of("L2Norm.weight", "loc.0.weight", "conf.1.weight", "loc.2.weight", "conf.5.weight")) {
      Parameter p = parameter(name);
      float[] at = p.value().floats().clone(), direction = PyramidTest.normal(at.length, 7), gradient = p.gradient().floats().clone();
      double wanted = (loss(x, gradY, p, at, direction, 0.5f) - loss(x, gradY, p, at, direction, -0.5f)), got = 0, scale = 1;
      System.arraycopy(at, 0, p.value().floats(), 0, at.length);
      for (int i = 0; i < at.length; i++) {
        got += (double) direction[i] * gradient[i];
        scale += Math.abs((double) direction[i] * gradient[i]);
      }
      assertEquals(wanted, got, 1e-3 * scale, name);
    }
  }

  private double loss(Tensor x, Tensor gradY, Parameter moved, float[] at, float[] direction, float step) {
    for (int i = 0; i < at.length; i++) moved.value().floats()[i] = at[i] + step * direction[i];
    Tensor y = small.forward(x, true);
    double sum = 0;
    for (int i = 0; i < y.size(); i++) sum += (double) y.floats()[i] * gradY.floats()[i];
    return sum;
  }

  @Test
  void oneImageGivesWhatItGivesBesideAnotherAndBytesWhatTheirValuesGive() {
    PixelScale scale = new PixelScale(new float[] {0.5f, 0.4f, 0.3f}, new float[] {0.25f, 0.25f, 0.2f});
    byte[] bytes = new byte[TWO.size()];
    new Random(8).nextBytes(bytes);
    Tensor pixels = cpu.create(TWO, ElementType.UINT8), x = cpu.create(TWO);
    cpu.write(pixels, bytes);
    cpu.point().normalize(x, pixels, scale);
    Model ofValues = new Model(new Ssd300(2), ADABIN, TWO, 3, cpu, 5), ofBytes = new Model(new Ssd300(2), ADABIN, TWO, 3, cpu, 5);
    float[] both = cpu.read(ofValues.forward(x, false)).clone(), one = cpu.read(ofValues.forward(x.first(1), false)).clone();
    assertArrayEquals(Arrays.copyOf(both, one.length), one, 1e-4f);
    ofBytes.takePixels(scale);
    assertArrayEquals(both, cpu.read(ofBytes.forward(pixels, false)));
  }

  /** All sizes of maps, the dilated convolution and the cut windows; here, and not on every GPU, no value lies so near a threshold that a rounding decides. */
  @Test
  void theEmulatedDeviceGivesItsOutputsAndGradients() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    Shape image = TWO.withFirst(1);
    float[] values = PyramidTest.normal(image.size(), 1), gradients = PyramidTest.normal(small.outputs(), 2);
    try (Backend device = CudaBackend.emulated(BitProduct.AND, new CudaMode(ElementType.FLOAT32, true))) {
      List<float[]> want = step(cpu, image, values, gradients), got = step(device, image, values, gradients);
      for (int i = 0; i < want.size(); i++) {
        double off = 0, size = 0;
        for (int k = 0; k < want.get(i).length; k++) {
          off += Math.pow(want.get(i)[k] - (double) got.get(i)[k], 2);
          size += Math.pow(want.get(i)[k], 2);
        }
        assertTrue(Math.sqrt(off) <= (i == 0 ? 1e-5 : 1e-3) * Math.sqrt(size), "tensor " + i + ": " + Math.sqrt(off / size));
      }
    }
  }

  /** Outputs, then all gradients. */
  private static List<float[]> step(Backend backend, Shape images, float[] values, float[] gradients) {
    Model model = new Model(new Ssd300(2), ADABIN, images, 3, backend, 5);
    model.use(ADABIN.at(3, 10));
    Tensor x = backend.create(images), gradY = backend.create(Shape.matrix(1, gradients.length));
    backend.write(x, values);
    backend.write(gradY, gradients);
    List<float[]> all = new ArrayList<>();
    all.add(backend.read(model.forward(x, true)).clone());
    model.backward(gradY);
    model.parameters().forEach(p -> all.add(backend.read(p.gradient()).clone()));
    return all;
  }
}
