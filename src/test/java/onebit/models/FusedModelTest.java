package onebit.models;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.Supplier;
import onebit.binarize.AdaBin;
import onebit.binarize.BiPer;
import onebit.binarize.BmxNet;
import onebit.binarize.Method;
import onebit.binarize.Rbnn;
import onebit.models.Execution.Memory;
import onebit.models.Execution.Passes;
import onebit.ops.Backend;
import onebit.ops.Backends;
import onebit.ops.PixelScale;
import onebit.tensor.ElementType;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Fused passes give what the simple ops give: every logit, gradient and running statistic, value for value. */
class FusedModelTest {
  private static final Method ADABIN = new AdaBin(AdaBin.Form.CODE, true, false);
  private static final Method CLIPPED = new BmxNet(1.3f, false, BmxNet.Scaling.NONE);

  private record Case(Backend backend, Network network, Method method, int side, int units) {
    @Override
    public String toString() {
      return backend + " " + network + " " + method;
    }
  }

  static List<Case> cases() {
    List<Case> all = new ArrayList<>();
    Backends.backends().forEach(backend -> {
      all.add(new Case(backend, new ResNet20(), ADABIN, 8, 18));
      all.add(new Case(backend, new ResNet20(), new Rbnn(1, false), 8, 18));
      all.add(new Case(backend, new DenseNet21(), CLIPPED, 16, 8));
      all.add(new Case(backend, new RealResNetTest.Tiny(false), ADABIN, 16, 0));
      all.add(new Case(backend, new RealResNetTest.Tiny(true), ADABIN, 16, 0));
      all.add(new Case(backend, new SmallPreNorm(12), CLIPPED, 8, SmallPreNorm.UNITS));
      all.add(new Case(backend, new SmallPreNorm(32), new BmxNet(1, true, BmxNet.Scaling.BINET), 8, SmallPreNorm.UNITS));
      all.add(new Case(backend, new SmallPyramid(8), ADABIN, 8, SmallPyramid.UNITS));
      if (!backend.name().equals("cpu")) return;
      all.add(new Case(backend, new ResNet20(), new BiPer(1, 20, 1e-4f), 8, 18));
      all.add(new Case(backend, new ResNet20(), new AdaBin(AdaBin.Form.PAPER, true, true), 8, 18));
      all.add(new Case(backend, new SmallPreNorm(12), ADABIN, 8, 0));   // their passes know plain signs only
      all.add(new Case(backend, new DenseNet21(), ADABIN, 16, 0));
      all.add(new Case(backend, new ResNet18(), ADABIN, 8, 16));
      all.add(new Case(backend, new ResNetE(18, ResNetE.Version.E1, Stem.THUMBNAIL), CLIPPED, 8, 16));
      all.add(new Case(backend, new ResNetE(18, ResNetE.Version.E2, Stem.IMAGENET), new BmxNet(1, true, BmxNet.Scaling.XNOR), 32, 16));
      all.add(new Case(backend, new BinaryDenseNet(28, Stem.THUMBNAIL, false), new BmxNet(1, true, BmxNet.Scaling.XNOR), 8, 23));
      all.add(new Case(backend, new ResNet18V1(), new BmxNet(1.3f, false, BmxNet.Scaling.BINET), 8, 19));
    });
    return all;
  }

  private static Model model(Case test, Execution execution) {
    Model model = new Model(test.network, test.method, Shape.image(3, test.side, test.side, 3), 4, test.backend, 5, execution);
    model.use(test.method.at(3, 10));
    model.share(0.25f);
    return model;
  }

  /** Logits in training, then in evaluation of a smaller batch; gradients and statistics after the training step. */
  private static List<float[]> step(Case test, Model model) {
    Backend backend = test.backend;
    Random random = new Random(7);
    Tensor x = backend.create(Shape.image(3, test.side, test.side, 3), backend.activations()), gradLogits = backend.create(Shape.matrix(3, model.outputs()));
    backend.write(x, normal(x.size(), random));
    backend.write(gradLogits, normal(gradLogits.size(), random));
    List<float[]> all = new ArrayList<>();
    for (int n = backend.name().equals("cpu") ? 3 : 2; n >= 2; n--) {
      all.add(backend.read(model.forward(x.first(n), true)));
      model.backward(gradLogits.first(n));
    }
    for (Parameter p : model.parameters()) all.add(backend.read(p.gradient()));
    for (StateTensor s : model.state()) all.add(backend.read(s.value()));
    all.add(backend.read(model.forward(x.first(2), false)));
    return all;
  }

  private static float[] normal(int n, Random random) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) values[i] = (float) random.nextGaussian();
    return values;
  }

  @ParameterizedTest
  @MethodSource("cases")
  void fusedAndSimplePassesGiveEqualSteps(Case test) {
    Model simple = model(test, new Execution(Passes.SIMPLE, Memory.FAST)), fused = model(test, new Execution(Passes.FUSED, Memory.FAST));
    assertEquals(simple.parameters().stream().map(Parameter::name).toList(), fused.parameters().stream().map(Parameter::name).toList());
    assertEquals(simple.summary(), fused.summary());
    assertEquals(0, simple.fusedUnits());
    assertEquals(test.units, fused.fusedUnits());
    List<float[]> want = step(test, simple), got = step(test, fused);
    for (int i = 0; i < want.size(); i++) {
      String name = nameOf(i - (want.size() - 1 - simple.parameters().size() - simple.state().size()), simple);
      // a set's two gradients are summed per channel first, on the device
      float tolerance = name.endsWith("_a") ? 1e-4f * Math.max(1, Math.abs(want.get(i)[0])) : 0;
      assertArrayEquals(want.get(i), got.get(i), tolerance, name);
    }
  }

  /** Where no value between two passes is rounded in one way and not in the other: forward has the same bits; gradients differ by roundings of bfloat16. */
  @Test
  void inBfloat16NormsBeforeConvolutionsGiveTheSameLogitsAndNearGradients() {
    List<Supplier<Backend>> devices = Backends.rounding(false);
    assumeTrue(!devices.isEmpty(), "there is no device with bfloat16");
    Method approximated = new BmxNet(1, true, BmxNet.Scaling.NONE);   // its slope has no step that a rounding could cross
    try (Backend device = devices.getFirst().get()) {
      for (Case test : List.of(new Case(device, new SmallPreNorm(32), approximated, 8, SmallPreNorm.UNITS), new Case(device, new DenseNet21(), approximated, 16, 8))) {
        Model simple = model(test, new Execution(Passes.SIMPLE, Memory.FAST)), fused = model(test, new Execution(Passes.FUSED, Memory.FAST));
        List<float[]> want = step(test, simple), got = step(test, fused);
        assertArrayEquals(want.getFirst(), got.getFirst(), "logits of " + test);
        for (int i = simple.parameters().size() + 1; i < want.size(); i++) assertArrayEquals(want.get(i), got.get(i), "statistics and logits in evaluation of " + test);
        for (int i = 0; i < simple.parameters().size(); i++) {
          float[] a = want.get(i + 1), b = got.get(i + 1);
          double error = 0, norm = 0;
          for (int k = 0; k < a.length; k++) {
            error += Math.pow(a[k] - b[k], 2);
            norm += Math.pow(a[k], 2);
          }
          assertTrue(Math.sqrt(error) <= 0.02 * Math.sqrt(norm), simple.parameters().get(i).name() + " of " + test + ": " + Math.sqrt(error / norm));
        }
      }
    }
  }

  private static String nameOf(int parameter, Model model) {
    return parameter >= 0 && parameter < model.parameters().size() ? model.parameters().get(parameter).name() : "logits or statistics";
  }

  /** With their recipe's method: each other system, and each kind of block; with the property onebit.test.full also the wide networks made of blocks of another. */
  private static List<Case> ofTheOtherSystems(Backend backend) {
    boolean full = Boolean.getBoolean("onebit.test.full");
    Method bmxnet = new BmxNet(1, false, BmxNet.Scaling.NONE);
    List<Case> all = new ArrayList<>(List.of(new Case(backend, new ResNet20(), new BiPer(2, 20, 0.0468f), 8, 18), new Case(backend, new ResNet20(), new Rbnn(1, false), 8, 18),
        new Case(backend, new ResNet20(), new Rbnn(1, true), 8, 18), new Case(backend, new SmallDense(), CLIPPED, 8, 4), new Case(backend, new SmallPostNorm(32), bmxnet, 8, 3)));
    if (full || !backend.name().equals("cpu")) all.add(new Case(backend, new ResNet18V1(), CLIPPED, 8, 19));
    if (full) {
      all.add(new Case(backend, new ResNetE(18, ResNetE.Version.E1, Stem.THUMBNAIL), bmxnet, 8, 16));
      all.add(new Case(backend, new ResNetE(18, ResNetE.Version.E2, Stem.THUMBNAIL), bmxnet, 8, 16));
      all.add(new Case(backend, new DenseNet21(), bmxnet, 16, 8));
      all.add(new Case(backend, new BinaryDenseNet(28, Stem.THUMBNAIL, false), CLIPPED, 8, 23));
      all.add(new Case(backend, new ResNet18(), ADABIN, 8, 16));
    }
    return all;
  }

  static List<Case> recomputed() {
    List<Case> all = new ArrayList<>(cases().stream().filter(test -> test.method instanceof AdaBin || test.network instanceof SmallPreNorm).toList());
    Backends.precisions().filter(backend -> backend.activations() == ElementType.BFLOAT16 || backend.name().equals("cpu")).forEach(backend -> {
      if (!backend.name().equals("cpu")) {
        all.add(new Case(backend, new ResNet20(), ADABIN, 8, 18));
        all.add(new Case(backend, new SmallPreNorm(12), CLIPPED, 8, SmallPreNorm.UNITS));
      }
      all.addAll(ofTheOtherSystems(backend));
    });
    return all;
  }

  @ParameterizedTest
  @MethodSource("recomputed")
  void resultsComputedAgainFromBitsGiveTheSameBits(Case test) {
    List<float[]> want = step(test, model(test, new Execution(Passes.FUSED, Memory.FAST)));
    for (Memory memory : new Memory[] {Memory.COMPACT, Memory.TINY}) {
      List<float[]> got = step(test, model(test, new Execution(Passes.FUSED, memory)));
      for (int i = 0; i < want.size(); i++) assertArrayEquals(want.get(i), got.get(i), memory + " tensor " + i);
    }
  }

  static List<Case> ofBytes() {
    return Backends.precisions().map(backend -> new Case(backend, new GlyphNet(4), ADABIN, 8, 4)).toList();
  }

  /** The stem of stride 2 takes bytes itself where activations are bfloat16; elsewhere one op goes before it. */
  @ParameterizedTest
  @MethodSource("ofBytes")
  void imagesOfBytesGiveTheBitsOfTheirValues(Case test) {
    Backend backend = test.backend;
    PixelScale scale = new PixelScale(new float[] {0.5f, 0.25f, 0.4f}, new float[] {0.25f, 0.5f, 0.3f});
    Shape images = Shape.image(3, test.side, test.side, 3);
    Tensor pixels = backend.create(images, ElementType.UINT8), x = backend.create(images, backend.activations()), gradLogits = backend.create(Shape.matrix(3, 4));
    Random random = new Random(8);
    byte[] bytes = new byte[images.size()];
    random.nextBytes(bytes);
    backend.write(pixels, bytes);
    backend.write(gradLogits, normal(12, random));
    backend.point().normalize(x, pixels, scale);
    for (Execution execution : new Execution[] {new Execution(Passes.SIMPLE, Memory.FAST), new Execution(Passes.FUSED, Memory.FAST), new Execution(Passes.FUSED, Memory.TINY)}) {
      Model ofValues = model(test, execution), ofBytes = model(test, execution);
      assertThrows(IllegalStateException.class, () -> ofBytes.forward(pixels, true));
      ofBytes.takePixels(scale);
      for (int n = 3; n >= 2; n--) {
        assertArrayEquals(backend.read(ofValues.forward(x.first(n), true)), backend.read(ofBytes.forward(pixels.first(n), true)), "logits of " + n);
        ofValues.backward(gradLogits.first(n));
        ofBytes.backward(gradLogits.first(n));
        for (int i = 0; i < ofValues.parameters().size(); i++) {
          assertArrayEquals(backend.read(ofValues.parameters().get(i).gradient()), backend.read(ofBytes.parameters().get(i).gradient()), nameOf(i, ofValues));
        }
      }
      assertArrayEquals(backend.read(ofValues.forward(x.first(1), false)), backend.read(ofBytes.forward(pixels.first(1), false)), "logits of evaluation");
    }
  }
}
