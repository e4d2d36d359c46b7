package onebit.export;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import ai.onnxruntime.OrtException;
import com.google.common.primitives.Floats;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import onebit.binarize.AdaBin;
import onebit.binarize.BiPer;
import onebit.binarize.Binarizer;
import onebit.binarize.BmxNet;
import onebit.binarize.Method;
import onebit.binarize.Rbnn;
import onebit.checkpoint.NamedTensor;
import onebit.checkpoint.TorchCheckpoint;
import onebit.data.Dataset;
import onebit.data.RestoredCifar10;
import onebit.data.Split;
import onebit.detect.Priors;
import onebit.layers.BinaryConv2d;
import onebit.layers.BuildContext;
import onebit.layers.Init;
import onebit.layers.Layer;
import onebit.layers.Pool;
import onebit.layers.Sequential;
import onebit.models.Execution;
import onebit.models.Model;
import onebit.models.Network;
import onebit.ops.Backend;
import onebit.ops.PixelScale;
import onebit.ops.PointOps.Activation;
import onebit.ops.cpu.CpuBackend;
import onebit.recipe.DataRecipe;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import onebit.train.InputPipeline;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Files run by ONNX Runtime give what evaluation gives here.
 *
 * <p>Both add in float32 in orders of their own, so that a value near a threshold may become the other bit, and a flipped bit grows. Where none flips the
 * results differ by rounding only: most images must be so.
 */
class OnnxExportTest {
  private static final Recipes RECIPES = new Recipes();
  private static final int IMAGES = 8;
  /** What rounding in another order may change, as a share of how far outputs are apart: 2e-6 where bits are multiplied, up to 3e-4 in 20 layers of real activations. */
  private static final double ROUNDING = 1e-3;

  /** One recipe for each kind of network and method, of those with several depths the least, ImageNet's at 64 pixels, the detector an eighth as wide, and two that no recipe names. */
  static Stream<List<String>> recipes() {
    List<List<String>> all = new ArrayList<>();
    Set<List<Object>> kinds = new HashSet<>();
    for (String name : Recipes.names()) {
      Recipe recipe = RECIPES.load(name, List.of());
      if (name.matches(".*(34|37-|37gs|45).*") || !kinds.add(List.of(recipe.network(), recipe.method(), recipe.data().height()))) continue;
      List<String> line = new ArrayList<>(List.of(name));
      if (name.contains("imagenet")) line.addAll(List.of("data.height=64", "data.width=64", "data.evalCrop=0"));
      if (name.contains("ssd300")) line.addAll(List.of("network.width=8"));
      all.add(line);
    }
    all.add(List.of("rbnn-resnet20-cifar10", "method.realActivations=true"));
    all.add(List.of("default", "network.name=real-resnet", "network.depth=18", "data.height=32", "data.width=32"));
    all.add(List.of("adabin-resnet20-cifar10", "network.name=real-resnet", "network.depth=20"));
    return all.stream();
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("recipes")
  void everyRecipesNetworkComputesTheSameInOnnxRuntime(List<String> line) throws Exception {
    Recipe recipe = RECIPES.load(line.getFirst(), line.subList(1, line.size()));
    DataRecipe data = recipe.data();
    int images = recipe.network().detects() ? 2 : IMAGES;
    Shape shape = Shape.image(images, data.height(), data.width(), data.channels());
    byte[] pixels = new byte[shape.size()];
    new SplittableRandom(5).nextBytes(pixels);
    List<NamedTensor> weights = uneven(recipe, shape);
    float[] here = logits(recipe, shape, weights, pixels);
    try (OnnxRun run = new OnnxRun(export(recipe, weights, FilterForm.BITS))) {
      Map<String, float[]> there = run.of(pixels, shape);
      float[] wanted = recipe.network().detects() ? scores(here, images, data.classes()) : here, found = there.get(recipe.network().detects() ? "scores" : "logits");
      assertEquals(wanted.length, found.length);
      requireMostlyEqual(wanted, found, images);
      if (recipe.network().detects()) requireMostlyEqual(boxes(here, images), there.get("boxes"), images);
    }
  }

  private static float[] logits(Recipe recipe, Shape shape, List<NamedTensor> weights, byte[] pixels) throws IOException {
    Shape batch = shape.withFirst(Math.min(shape.d0(), 100));
    try (Backend backend = new CpuBackend()) {
      Model model = model(recipe, batch, backend, weights);
      model.takePixels(new PixelScale(recipe.data().mean(), recipe.data().std()));
      Tensor bytes = backend.create(batch, ElementType.UINT8);
      float[] all = {};
      for (int at = 0; at < pixels.length; at += batch.size()) {
        backend.write(bytes, Arrays.copyOfRange(pixels, at, at + batch.size()));
        all = Floats.concat(all, backend.read(model.forward(bytes, false)));
      }
      return all;
    }
  }

  /**
   * Images whose outputs are equal but for rounding must be more than half.
   *
   * <p>What rounding may change is a share of how far the outputs of different images are from each other, which must be far: else nothing would be compared.
   */
  private static void requireMostlyEqual(float[] wanted, float[] found, int images) {
    int each = wanted.length / images, equal = 0;
    double most = 0, spread = 0;
    for (int k = 0; k < each; k++) {
      double least = Double.POSITIVE_INFINITY, largest = Double.NEGATIVE_INFINITY;
      for (int i = 0; i < images; i++) {
        least = Math.min(least, wanted[i * each + k]);
        largest = Math.max(largest, wanted[i * each + k]);
      }
      spread = Math.max(spread, largest - least);
      most = Math.max(most, Math.max(largest, -least));
    }
    assertTrue(spread > 0.01 * most, "outputs of at most " + most + " differ between images by " + spread);
    for (int i = 0; i < images; i++) {
      double worst = 0;
      for (int k = i * each; k < (i + 1) * each; k++) worst = Math.max(worst, Math.abs(wanted[k] - found[k]));
      if (worst <= ROUNDING * spread) equal++;
    }
    assertTrue(2 * equal > images, equal + " of " + images + " images are equal but for rounding");
  }

  private static Model model(Recipe recipe, Shape shape, Backend backend, List<NamedTensor> weights) throws IOException {
    Model model = new Model(recipe.network(), recipe.method(), shape, recipe.data().classes(), backend, 3);
    if (weights != null) model.load(weights, "the test's weights");
    return model;
  }

  /** Values as after training: norms, sets, slopes and biases that are all different, and running statistics that are a batch's. */
  private static List<NamedTensor> uneven(Recipe recipe, Shape shape) throws IOException {
    SplittableRandom random = new SplittableRandom(11);
    Backend worker = new CpuBackend();
    try (Backend backend = TracingBackend.of(worker, (op, a) -> settle(worker, op, a))) {
      Model model = model(recipe, shape, backend, null);
      for (Parameter p : model.parameters()) if (p.value().shape().rank() == 1) backend.write(p.value(), drawn(p, random));
      Tensor x = backend.create(shape);
      float[] values = new float[shape.size()];
      for (int i = 0; i < values.length; i++) values[i] = (float) random.nextDouble(-2, 2);
      backend.write(x, values);
      model.forward(x, true);
      return model.save();
    }
  }

  private static float[] drawn(Parameter p, SplittableRandom random) {
    boolean factor = p.kind() == Parameter.Kind.NONLINEARITY || !p.name().matches(".*(bias|beta_a)");
    float[] values = new float[p.size()];
    for (int i = 0; i < values.length; i++) values[i] = (float) (factor ? random.nextDouble(0.5, 1.5) : random.nextDouble(-0.4, 0.4));
    return values;
  }

  /** After a batch norm its running statistics are the batch's. */
  private static void settle(Backend worker, String op, Object[] a) {
    if (!op.equals("batchNorm")) return;
    float[] inverse = worker.read((Tensor) a[7]), variance = new float[inverse.length];
    for (int i = 0; i < inverse.length; i++) variance[i] = Math.max(0, 1 / (inverse[i] * inverse[i]) - (float) a[9]);
    worker.write((Tensor) a[4], worker.read((Tensor) a[6]));
    worker.write((Tensor) a[5], variance);
  }

  private static byte[] export(Recipe recipe, List<NamedTensor> weights, FilterForm form) throws IOException {
    DataRecipe data = recipe.data();
    try (OnnxExport export = new OnnxExport("test", new CpuBackend(), form)) {
      export.add(model(recipe, Shape.image(1, data.height(), data.width(), data.channels()), export.backend(), weights), new PixelScale(data.mean(), data.std()));
      return export.file("0", "");
    }
  }

  private static float[] scores(float[] values, int images, int classes) {
    int priors = Priors.ssd300().count(), width = 1 + classes;
    float[] all = new float[images * priors * width];
    for (int i = 0; i < images; i++) {
      for (int p = 0; p < priors; p++) {
        int from = i * priors * (4 + width) + priors * 4 + p * width;
        double sum = 0;
        for (int k = 0; k < width; k++) sum += Math.exp(values[from + k]);
        for (int k = 0; k < width; k++) all[(i * priors + p) * width + k] = (float) (Math.exp(values[from + k]) / sum);
      }
    }
    return all;
  }

  private static float[] boxes(float[] values, int images) {
    Priors priors = Priors.ssd300();
    int each = values.length / images;
    float[] all = new float[images * priors.count() * 4];
    for (int i = 0; i < images; i++) {
      for (int p = 0; p < priors.count(); p++) priors.decode(p, values, i * each + 4 * p, all, (i * priors.count() + p) * 4);
    }
    return all;
  }

  /** One binary convolution of the pixels themselves, whose sums are whole numbers, and the mean of its results. */
  private record OneConvolution(int filters, int taps, int pad) implements Network {
    @Override
    public Layer layers(Method method, Shape input, int classes) {
      return Sequential.of(new BinaryConv2d("conv", method, filters, taps, 1, pad, 1, Init.KAIMING), Pool.global());
    }
  }

  /**
   * 0 and -0 are +1, the least number below them is -1; 3 filters of 3 channels and one tap are 9 bits, which fill no byte; borders of zeros, where the set's values
   * are not opposite too, and of -1; a learned set whose distance is negative turns its bits round.
   */
  @ParameterizedTest
  @EnumSource(FilterForm.class)
  void zerosAreBitOneAndBordersAreTheMethods(FilterForm form) throws Exception {
    for (Method method : List.of(new BmxNet(1.3f, false, BmxNet.Scaling.NONE), new BiPer(2, 20, 0), new Rbnn(1, false))) requireSameAtZero(method, 1, 0, form);
    for (AdaBin.Form set : AdaBin.Form.values()) {
      AdaBin method = new AdaBin(set, true, false);
      requireSameAtZero(method, 1, 0, form);
      requireSameAtZero(method, 0.7f, 1, form);
      requireSameAtZero(method, -0.7f, 1, form);
    }
  }

  private static void requireSameAtZero(Method method, float alpha, float beta, FilterForm form) throws Exception {
    float[] values = {0f, -0f, Float.MIN_VALUE, -Float.MIN_VALUE, 1f, -1f, Math.nextDown(1f), 3f};
    for (OneConvolution network : List.of(new OneConvolution(3, 1, 0), new OneConvolution(5, 3, 1))) {
      Shape shape = Shape.image(1, 4, 4, 3);
      float[] x = new float[shape.size()], here;
      for (int i = 0; i < x.length; i++) x[i] = values[i * 5 % values.length];
      byte[] file;
      try (OnnxExport export = new OnnxExport("one", new CpuBackend(), form)) {
        Model model = new Model(network, method, shape, network.filters, export.backend(), 9);
        for (Parameter p : model.parameters()) {
          if (p.name().endsWith("alpha_a")) export.backend().fill(p.value(), alpha);
          if (p.name().endsWith("beta_a")) export.backend().fill(p.value(), beta);
        }
        export.add(model, new PixelScale(List.of(0.0, 0.0, 0.0), List.of(1.0, 1.0, 1.0)));
        file = export.file("0", "");
        Tensor in = export.backend().create(shape);
        export.backend().write(in, x);
        here = export.backend().read(model.forward(in, false));
      }
      try (OnnxRun run = new OnnxRun(file)) {
        assertArrayEquals(here, run.of(x, shape).get("logits"), 1e-5f, network + " of " + method + ", alpha " + alpha + ", beta " + beta);
      }
    }
  }

  /** A layer of one's own: y = 2 x + tanh x, or of an op that has no form in ONNX. */
  private record OwnLayer(boolean known, Binarizer ofSign) implements Network {
    @Override
    public Layer layers(Method method, Shape input, int classes) {
      return Sequential.of(new Layer() {
        private Backend backend;
        private Tensor y;
        private BitTensor bits;
        private Tensor signs;
        private BinarySet set;

        @Override
        public Shape build(BuildContext context, Shape shape) {
          backend = context.backend();
          y = context.activations(shape);
          bits = backend.createBits(shape.d0() * shape.d1() * shape.d2(), shape.d3());
          signs = context.activations(shape);
          set = new BinarySet(backend.create(Shape.vector(1)), backend.create(Shape.vector(1)));
          backend.fill(set.distance(), 1);
          return shape;
        }

        @Override
        public Tensor forward(Tensor x, boolean training) {
          backend.binarize().sign(bits, x, ofSign);
          backend.bits().unpack(signs, bits, set);
          if (known) backend.point().activate(y, x, Activation.TANH);
          else backend.binarize().level(y, x, new BiPer.SineSign(1));
          backend.point().accumulate(y, signs);
          backend.point().accumulate(y, x);
          backend.point().accumulateScaled(y, x, 1);
          return y;
        }

        @Override
        public Tensor backward(Tensor gradY) {
          return gradY;
        }
      }, Pool.global());
    }
  }

  @Test void layersOfOnesOwnAreWrittenDownOpByOpOrRefused() throws Exception {
    Shape shape = Shape.image(1, 2, 2, 3);
    PixelScale none = new PixelScale(List.of(0.0, 0.0, 0.0), List.of(1.0, 1.0, 1.0));
    float[] x = {-2, 0, 1, 0.5f, 3, -1, 0.25f, 2, 4, -3, 1, 0};
    Method method = new BiPer(2, 20, 0);
    Binarizer plain = new Binarizer.Clipped(1);
    try (OnnxExport export = new OnnxExport("own", new CpuBackend(), FilterForm.BITS); OnnxExport other = new OnnxExport("own", new CpuBackend(), FilterForm.BITS);
        OnnxExport third = new OnnxExport("own", new CpuBackend(), FilterForm.BITS)) {
      Model model = new Model(new OwnLayer(true, plain), method, shape, 3, export.backend(), 1);
      String elsewhere = assertThrows(IllegalArgumentException.class, () -> other.add(model, none)).getMessage();
      assertTrue(elsewhere.contains("was built on another backend"), elsewhere);
      export.add(model, none);
      float[] wanted = new float[3];
      for (int i = 0; i < x.length; i++) wanted[i % 3] += (float) (2 * x[i] + Math.tanh(x[i]) + (x[i] >= 0 ? 1 : -1)) / 4;
      try (OnnxRun run = new OnnxRun(export.file("0", ""))) {
        assertArrayEquals(wanted, run.of(x, shape).get("logits"), 1e-5f);
      }
      Model unknown = new Model(new OwnLayer(false, plain), method, shape, 3, other.backend(), 1);
      assertTrue(assertThrows(IllegalStateException.class, () -> other.add(unknown, none)).getMessage().endsWith("no ONNX form for the op level"));
      Model levelled = new Model(new OwnLayer(true, new BiPer.SineSign(1)), method, shape, 3, third.backend(), 1);
      assertTrue(assertThrows(IllegalStateException.class, () -> third.add(levelled, none)).getMessage().endsWith("no ONNX form for the level of SineSign[omega=1.0]"));
    }
  }

  @Test void filtersAreNamedAsTheirLayersAndFusedNetworksAreRefused() throws Exception {
    Recipe recipe = RECIPES.load("default", List.of("network.width=8"));
    DataRecipe data = recipe.data();
    Shape shape = Shape.image(1, 28, 28, 1);
    for (FilterForm form : FilterForm.values()) {
      try (OnnxExport export = new OnnxExport("glyphs", new CpuBackend(), form)) {
        Model model = model(recipe, shape, export.backend(), null);
        export.add(model, new PixelScale(data.mean(), data.std()));
        String file = new String(export.file("0", ""), StandardCharsets.ISO_8859_1);
        assertTrue(model.binaryLayers().size() > 1);
        for (BinaryConv2d layer : model.binaryLayers()) assertTrue(file.contains(layer.name() + ".weight"), form + " " + layer.name());
      }
    }
    try (OnnxExport export = new OnnxExport("glyphs", new CpuBackend(), FilterForm.BITS)) {
      Model fused = new Model(recipe.network(), recipe.method(), shape, data.classes(), export.backend(), 3, new Execution(Execution.Passes.FUSED, Execution.Memory.FAST));
      String message = assertThrows(IllegalArgumentException.class, () -> export.add(fused, new PixelScale(data.mean(), data.std()))).getMessage();
      assertTrue(message.contains("fused passes"), message);
    }
  }

  @Test void filtersOfBitsAreAThirtySecondOfTheirValuesAndComputeTheSame() throws Exception {
    Recipe recipe = RECIPES.load("adabin-resnet20-cifar10", List.of());
    Shape shape = Shape.image(IMAGES, 32, 32, 3);
    List<NamedTensor> weights = uneven(recipe, shape);
    byte[] pixels = new byte[shape.size()], bits = export(recipe, weights, FilterForm.BITS), values = export(recipe, weights, FilterForm.VALUES);
    new SplittableRandom(6).nextBytes(pixels);
    long binary = weights.stream().filter(w -> w.name().matches("layer.*conv\\d\\.weight")).mapToLong(NamedTensor::elements).sum();
    assertEquals(267_264, binary);
    long saved = values.length - bits.length, most = 4 * binary - binary / 8;
    assertTrue(saved > 0.95 * most && saved < most, "saved " + saved + " of " + most);
    try (OnnxRun packed = new OnnxRun(bits); OnnxRun plain = new OnnxRun(values)) {
      assertArrayEquals(plain.of(pixels, shape).get("logits"), packed.of(pixels, shape).get("logits"));
    }
  }

  /** The authors' network takes the first 1,000 test images of CIFAR-10 for the same classes here and there, but for what a flipped bit may change. */
  @Test void thePublishedCheckpointSaysTheSameOfRealImages() throws Exception {
    Path checkpoint = Path.of("../shared/data/checkpoints/adabin-resnet20-cifar10.th");
    assumeTrue(Files.exists(checkpoint), "needs the published checkpoint of ../shared/data");
    Recipe recipe = RECIPES.load("adabin-resnet20-cifar10", List.of());
    DataRecipe data = recipe.data();
    List<NamedTensor> weights = TorchCheckpoint.read(checkpoint).tensors();
    Dataset images = InputPipeline.open(data, RestoredCifar10.folder(), Split.TEST, 1);
    Shape shape = Shape.image(1000, 32, 32, 3);
    byte[] pixels = new byte[shape.size()];
    for (int i = 0; i < 1000; i++) images.read(i, pixels, i * images.imageBytes());
    float[] here = logits(recipe, shape, weights, pixels), there;
    try (OnnxRun run = new OnnxRun(export(recipe, weights, FilterForm.BITS))) {
      there = run.of(pixels, shape).get("logits");
    }
    int same = 0, right = 0, equal = 0;
    for (int i = 0; i < 1000; i++) {
      float[] own = Arrays.copyOfRange(here, 10 * i, 10 * i + 10), other = Arrays.copyOfRange(there, 10 * i, 10 * i + 10);
      if (largest(own) == largest(other)) same++;
      if (largest(other) == images.label(i)) right++;
      double worst = 0;
      for (int c = 0; c < 10; c++) worst = Math.max(worst, Math.abs(own[c] - other[c]));
      if (worst < 1e-3) equal++;
    }
    System.out.println("the published AdaBin ResNet-20 in ONNX Runtime: of 1,000 images " + right + " right, " + same + " as here, logits within 1e-3 for " + equal);
    assertTrue(same >= 995 && right > 850 && equal >= 950, same + " as here, " + right + " right, " + equal + " equal");
  }

  private static int largest(float[] values) {
    int at = 0;
    for (int i = 1; i < values.length; i++) if (values[i] > values[at]) at = i;
    return at;
  }

  @Test void anyNumberOfImagesGoesIn() throws Exception {
    Recipe recipe = RECIPES.load("default", List.of("network.width=8"));
    List<NamedTensor> weights = uneven(recipe, Shape.image(4, 28, 28, 1));
    try (OnnxRun run = new OnnxRun(export(recipe, weights, FilterForm.BITS))) {
      byte[] pixels = new byte[5 * 28 * 28];
      new SplittableRandom(7).nextBytes(pixels);
      float[] together = run.of(pixels, Shape.image(5, 28, 28, 1)).get("logits");
      for (int i = 0; i < 5; i++) {
        float[] alone = run.of(Arrays.copyOfRange(pixels, i * 784, (i + 1) * 784), Shape.image(1, 28, 28, 1)).get("logits");
        assertArrayEquals(alone, Arrays.copyOfRange(together, i * alone.length, (i + 1) * alone.length), 1e-4f, "image " + i);
      }
    }
  }

  @Test void theFileSaysWhatItIs() throws IOException, OrtException {
    Recipe recipe = RECIPES.load("default", List.of("network.width=8"));
    try (OnnxExport export = new OnnxExport("glyphs", new CpuBackend(), FilterForm.BITS)) {
      export.add(model(recipe, Shape.image(1, 28, 28, 1), export.backend(), null), new PixelScale(recipe.data().mean(), recipe.data().std()));
      export.describe("recipe", "default");
      try (OnnxRun run = new OnnxRun(export.file("1.2", "digits"))) {
        assertEquals("onebit glyphs digits {recipe=default}", run.words());
      }
    }
  }
}
