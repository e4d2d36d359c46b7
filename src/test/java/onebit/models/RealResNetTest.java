package onebit.models;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Collectors;
import onebit.binarize.AdaBin;
import onebit.binarize.Method;
import onebit.checkpoint.CheckpointException;
import onebit.checkpoint.DataType;
import onebit.checkpoint.NamedTensor;
import onebit.layers.Layer;
import onebit.models.Execution.Memory;
import onebit.models.Execution.Passes;
import onebit.ops.Backend;
import onebit.ops.OnEveryPrecision;
import onebit.ops.PixelScale;
import onebit.ops.cpu.CpuBackend;
import onebit.tensor.Bfloat16;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The full-precision ResNet against plain loops in double over the tensors of its state dictionary. */
class RealResNetTest {
  private static final Method ANY = new AdaBin(AdaBin.Form.CODE, true, false);
  private static final int[] BLOCKS = {1, 2};
  private static final Shape IMAGES = Shape.image(2, 21, 22, 3);
  private static final int WIDTH = 4, CLASSES = 5;
  private static final List<Double> MEAN = List.of(0.485, 0.456, 0.406), STD = List.of(0.229, 0.224, 0.225);

  /** The same network in two stages of four and eight channels. */
  record Tiny(boolean small) implements Network {
    @Override
    public Layer layers(Method method, Shape input, int classes) {
      return RealResNet.layers(WIDTH, BLOCKS, small, classes);
    }
  }

  /** Random tensors under the model's names, variances positive, with the batch counters that PyTorch writes beside them. */
  private static List<NamedTensor> trained(Model model) {
    Random random = new Random(3);
    List<NamedTensor> all = new ArrayList<>();
    for (NamedTensor each : model.save()) {
      float[] values = new float[(int) each.elements()];
      for (int i = 0; i < values.length; i++) {
        double draw = random.nextGaussian();
        boolean gamma = each.name().contains("bn") && each.name().endsWith(".weight");
        values[i] = (float) (each.name().endsWith("running_var") ? 0.5 + random.nextDouble() : gamma ? 1 + 0.3 * draw : 0.4 * draw);
      }
      all.add(NamedTensor.ofFloats(each.name(), each.shape(), values));
      if (each.name().endsWith("running_var")) {
        all.add(new NamedTensor(each.name().replace("running_var", "num_batches_tracked"), DataType.I64, new int[0], ByteBuffer.allocate(8)));
      }
    }
    return all;
  }

  /** A picture of C planes in double. */
  private record Planes(int c, int h, int w, double[] values) {
    double at(int channel, int row, int column) {
      return row < 0 || row >= h || column < 0 || column >= w ? 0 : values[(channel * h + row) * w + column];
    }
  }

  /** The network as torchvision's code says it, one image at a time. */
  private record Reference(Map<String, NamedTensor> tensors) {
    private float[] floats(String name) {
      return tensors.get(name).floats();
    }

    private Planes convolve(Planes x, String name, int stride, int pad) {
      int[] shape = tensors.get(name).shape();
      float[] w = floats(name);
      int out = shape[0], taps = shape[2], h = (x.h + 2 * pad - taps) / stride + 1, width = (x.w + 2 * pad - taps) / stride + 1;
      Planes y = new Planes(out, h, width, new double[out * h * width]);
      for (int o = 0; o < out; o++) for (int p = 0; p < h; p++) for (int q = 0; q < width; q++) {
        double sum = 0;
        for (int c = 0; c < x.c; c++) for (int r = 0; r < taps; r++) for (int s = 0; s < taps; s++) {
          sum += w[((o * x.c + c) * taps + r) * taps + s] * x.at(c, p * stride + r - pad, q * stride + s - pad);
        }
        y.values[(o * h + p) * width + q] = sum;
      }
      return y;
    }

    private Planes norm(Planes x, String name) {
      float[] gamma = floats(name + ".weight"), beta = floats(name + ".bias"), mean = floats(name + ".running_mean"), var = floats(name + ".running_var");
      double[] y = new double[x.values.length];
      for (int i = 0; i < y.length; i++) {
        int c = i / (x.h * x.w);
        y[i] = (x.values[i] - mean[c]) / Math.sqrt(var[c] + 1e-5) * gamma[c] + beta[c];
      }
      return new Planes(x.c, x.h, x.w, y);
    }

    private static Planes positive(Planes x, Planes added) {
      double[] y = new double[x.values.length];
      for (int i = 0; i < y.length; i++) y[i] = Math.max(0, x.values[i] + (added == null ? 0 : added.values[i]));
      return new Planes(x.c, x.h, x.w, y);
    }

    /** Largest of 3x3 pixels of stride 2; everything here is positive, so that the border's 0 changes nothing. */
    private static Planes largest(Planes x) {
      int h = (x.h - 1) / 2 + 1, w = (x.w - 1) / 2 + 1;
      double[] y = new double[x.c * h * w];
      for (int c = 0; c < x.c; c++) for (int p = 0; p < h; p++) for (int q = 0; q < w; q++) for (int r = -1; r < 2; r++) for (int s = -1; s < 2; s++) {
        int at = (c * h + p) * w + q;
        y[at] = Math.max(y[at], x.at(c, 2 * p + r, 2 * q + s));
      }
      return new Planes(x.c, h, w, y);
    }

    /** Every second pixel of every second row, a quarter of twice the channels zeros before and after: option A. */
    private static Planes everySecond(Planes x) {
      int h = (x.h + 1) / 2, w = (x.w + 1) / 2;
      double[] y = new double[2 * x.c * h * w];
      for (int c = 0; c < x.c; c++) for (int p = 0; p < h; p++) for (int q = 0; q < w; q++) y[((c + x.c / 2) * h + p) * w + q] = x.at(c, 2 * p, 2 * q);
      return new Planes(2 * x.c, h, w, y);
    }

    private Planes block(Planes x, String name, int stride) {
      Planes middle = positive(norm(convolve(x, name + ".conv1.weight", stride, 1), name + ".bn1"), null);
      Planes side = tensors.containsKey("linear.weight") && stride > 1 ? everySecond(x)
          : tensors.containsKey(name + ".downsample.0.weight") ? norm(convolve(x, name + ".downsample.0.weight", stride, 0), name + ".downsample.1") : x;
      return positive(norm(convolve(middle, name + ".conv2.weight", 1, 1), name + ".bn2"), side);
    }

    double[] logits(Planes image) {
      boolean small = tensors.containsKey("linear.weight");
      Planes x = positive(norm(convolve(image, "conv1.weight", small ? 1 : 2, small ? 1 : 3), "bn1"), null);
      if (!small) x = largest(x);
      String classifier = small ? "linear" : "fc";
      for (int stage = 0; stage < BLOCKS.length; stage++) {
        for (int block = 0; block < BLOCKS[stage]; block++) x = block(x, "layer" + (stage + 1) + "." + block, stage > 0 && block == 0 ? 2 : 1);
      }
      double[] logits = new double[CLASSES];
      for (int k = 0; k < CLASSES; k++) {
        logits[k] = floats(classifier + ".bias")[k];
        for (int i = 0; i < x.values.length; i++) logits[k] += floats(classifier + ".weight")[k * x.c + i / (x.h * x.w)] * x.values[i] / (x.h * x.w);
      }
      return logits;
    }
  }

  /** Wanted logits of images N,H,W,C with those tensors. */
  private static double[] wanted(List<NamedTensor> tensors, float[] images) {
    Reference reference = new Reference(tensors.stream().collect(Collectors.toMap(NamedTensor::name, t -> t)));
    int h = IMAGES.d1(), w = IMAGES.d2(), c = IMAGES.d3();
    double[] all = new double[IMAGES.d0() * CLASSES];
    for (int n = 0; n < IMAGES.d0(); n++) {
      double[] planes = new double[c * h * w];
      for (int i = 0; i < planes.length; i++) planes[i % c * h * w + i / c] = images[n * planes.length + i];
      System.arraycopy(reference.logits(new Planes(c, h, w, planes)), 0, all, n * CLASSES, CLASSES);
    }
    return all;
  }

  private static float[] images(boolean rounds) {
    Random random = new Random(8);
    float[] x = new float[IMAGES.size()];
    for (int i = 0; i < x.length; i++) x[i] = rounds ? Bfloat16.round((float) random.nextGaussian()) : (float) random.nextGaussian();
    return x;
  }

  @OnEveryPrecision
  void evaluationGivesTheLogitsOfPlainLoopsInDouble(Backend backend) throws CheckpointException {
    double tolerance = backend.activations() == ElementType.BFLOAT16 ? 0.04 : 2e-6;
    for (Passes passes : new Passes[] {Passes.SIMPLE, Passes.FUSED}) for (Tiny tiny : List.of(new Tiny(false), new Tiny(true))) {
      Execution execution = new Execution(passes, Memory.FAST);
      Model plain = new Model(tiny, ANY, IMAGES, CLASSES, backend, 4, execution, Optional.of(tiny)), teacher = plain.teacher();
      List<NamedTensor> tensors = trained(plain);
      float[] images = images(backend.activations() == ElementType.BFLOAT16);
      Tensor x = backend.create(IMAGES, backend.activations());
      backend.write(x, images);
      double[] want = wanted(tensors, images);
      byte[] pixels = new byte[IMAGES.size()];
      new Random(9).nextBytes(pixels);
      Tensor bytes = backend.create(IMAGES, ElementType.UINT8);
      backend.write(bytes, pixels);
      plain.takePixels(new PixelScale(MEAN, STD));
      double[] ofBytes = wanted(tensors, normalised(pixels));
      for (Model model : List.of(plain, teacher)) {
        model.load(tensors, "test");
        assertNear(want, backend.read(model.forward(x, false)), tolerance, passes + ", logit ");
        assertNear(ofBytes, backend.read(model.forward(bytes, false)), tolerance, passes + ", of bytes, logit ");
      }
      assertThrows(IllegalStateException.class, () -> teacher.forward(x, true));
    }
  }

  private static void assertNear(double[] want, float[] got, double tolerance, String what) {
    double largest = Arrays.stream(want).map(Math::abs).max().orElseThrow();
    for (int i = 0; i < want.length; i++) assertEquals(want[i], got[i], tolerance * largest, what + i);
  }

  /** What a network sees of bytes. */
  private static float[] normalised(byte[] pixels) {
    float[] x = new float[pixels.length];
    for (int i = 0; i < x.length; i++) x[i] = (float) (((pixels[i] & 255) / 255.0 - MEAN.get(i % 3)) / STD.get(i % 3));
    return x;
  }

  /** torchvision's names, written out by its rule. */
  @ParameterizedTest
  @CsvSource({"18, 2, 2, 2, 2", "34, 3, 4, 6, 3"})
  void namesAndShapesAreThoseOfTorchvisionsStateDictionary(int depth, int first, int second, int third, int fourth) {
    Map<String, List<Integer>> wanted = new LinkedHashMap<>();
    wanted.put("conv1.weight", List.of(64, 3, 7, 7));
    norm(wanted, "bn1", 64);
    int[] blocks = {first, second, third, fourth};
    for (int stage = 0, before = 64; stage < 4; stage++) {
      int width = 64 << stage;
      for (int block = 0; block < blocks[stage]; block++, before = width) {
        String name = "layer" + (stage + 1) + "." + block + ".";
        wanted.put(name + "conv1.weight", List.of(width, before, 3, 3));
        norm(wanted, name + "bn1", width);
        wanted.put(name + "conv2.weight", List.of(width, width, 3, 3));
        norm(wanted, name + "bn2", width);
        if (before == width) continue;
        wanted.put(name + "downsample.0.weight", List.of(width, before, 1, 1));
        norm(wanted, name + "downsample.1", width);
      }
    }
    wanted.put("fc.weight", List.of(1000, 512));
    wanted.put("fc.bias", List.of(1000));
    try (Backend backend = new CpuBackend()) {
      Model model = new Model(new RealResNet(depth), ANY, Shape.image(1, 32, 32, 3), 1000, backend, 1);
      Map<String, List<Integer>> found = new LinkedHashMap<>();
      model.save().forEach(t -> found.put(t.name(), Arrays.stream(t.shape()).boxed().toList()));
      assertEquals(wanted, found);
    }
  }

  private static void norm(Map<String, List<Integer>> names, String name, int channels) {
    for (String tensor : new String[] {".weight", ".bias", ".running_mean", ".running_var"}) names.put(name + tensor, List.of(channels));
  }
}
