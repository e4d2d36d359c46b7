package onebit;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import onebit.binarize.AdaBin;
import onebit.binarize.BiReal;
import onebit.binarize.Binarizer;
import onebit.binarize.BinaryActivations;
import onebit.binarize.BinaryWeights;
import onebit.binarize.Method;
import onebit.binarize.SignWeights;
import onebit.binarize.SignWeights.Scale;
import onebit.binarize.Surrogates;
import onebit.layers.Activate;
import onebit.layers.BatchNorm;
import onebit.layers.BinaryConv2d;
import onebit.layers.BuildContext;
import onebit.layers.Concat;
import onebit.layers.Conv2d;
import onebit.layers.Init;
import onebit.layers.Layer;
import onebit.layers.Linear;
import onebit.layers.Pool;
import onebit.layers.Residual;
import onebit.layers.Sequential;
import onebit.models.Execution;
import onebit.models.Execution.Memory;
import onebit.models.Execution.Passes;
import onebit.models.Model;
import onebit.models.Network;
import onebit.ops.Backend;
import onebit.ops.PointOps.Activation;
import onebit.ops.cpu.CpuBackend;
import onebit.tensor.BitTensor;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** What methods and networks of one's own are made of: combined in other ways than the published ones, they compute what they say or are refused. */
class OwnPartsTest {
  private static final Shape IMAGES = Shape.image(3, 10, 10, 2);
  private static final int CLASSES = 4;

  /** Latent weights limited to -1..1 before each forward, as XNOR-Net's code does it. */
  private static final class Limited extends SignWeights {
    Limited() {
      super(Scale.MEAN_ABSOLUTE_DETACHED);
    }

    @Override public void forward() {
      backend.point().activate(latent.value(), latent.value(), Activation.HARD_TANH);
      super.forward();
    }
  }

  /** Signs of a scale, with a slope of 1 everywhere; without a scale the weights are those above. */
  private record Signs(Scale scale, boolean real) implements Method {
    @Override public BinaryWeights weights() {
      return scale == null ? new Limited() : new SignWeights(scale, 1, real, 0);
    }

    @Override public BinaryActivations activations() {
      return new BinaryActivations.Sign();
    }

    @Override public Surrogates at(int epoch, int epochs) {
      return new Surrogates(new Binarizer.Identity(), new Binarizer.Clipped(1), Map.of());
    }
  }

  /** A convolution of the model's method, one of another. */
  private record Two(Method other) implements Network {
    @Override public Layer layers(Method method, Shape input, int classes) {
      return Sequential.of(new Conv2d("stem", 8, 3, 1, 1, Init.KAIMING).asFirst(), new BatchNorm("norm", BatchNorm.Rule.TORCH), unit("first", method), unit("second", other),
          Pool.global(), new Linear("classes", classes, Init.KAIMING, true));
    }

    private static Layer unit(String name, Method method) {
      return Residual.identity(Sequential.of(new BinaryConv2d(name, method, 8, 3, 1, 1, 1, Init.gaussian(1)), new BatchNorm(name + ".norm", BatchNorm.Rule.TORCH)));
    }
  }

  /** A layer made of one that it does not show. */
  private static final class Silent implements Layer {
    private final Layer inner = new Conv2d("inner", 8, 3, 1, 1, Init.KAIMING);

    @Override public Shape build(BuildContext context, Shape input) {
      return inner.build(context, input);
    }

    @Override public Tensor forward(Tensor x, boolean training) {
      return inner.forward(x, training);
    }

    @Override public Tensor backward(Tensor gradY) {
      return inner.backward(gradY);
    }
  }

  private static Model model(Backend backend, Network network, Method method, Passes passes) {
    Model model = new Model(network, method, IMAGES, CLASSES, backend, 1, new Execution(passes, Memory.FAST));
    model.use(method.at(0, 1));
    return model;
  }

  private static Tensor drawn(Backend backend, Shape shape) {
    Random random = new Random(2);
    Tensor values = backend.create(shape);
    float[] drawn = new float[shape.size()];
    for (int i = 0; i < drawn.length; i++) drawn[i] = (float) random.nextGaussian();
    backend.write(values, drawn);
    return values;
  }

  /** Logits and all gradients. */
  private static List<float[]> step(Backend backend, Model model) {
    List<float[]> all = new ArrayList<>();
    all.add(backend.read(model.forward(drawn(backend, IMAGES), true)));
    model.backward(drawn(backend, Shape.matrix(IMAGES.d0(), CLASSES)));
    for (Parameter parameter : model.parameters()) all.add(backend.read(parameter.gradient()));
    return all;
  }

  private static void refused(String sentence, Executable what) {
    assertEquals(sentence, assertThrows(IllegalArgumentException.class, what).getMessage());
  }

  @Test void whatASubclassOfSignsDoesIsDoneInFusedPassesToo() {
    try (Backend backend = new CpuBackend()) {
      Method method = new Signs(null, false);
      List<float[]> simple = step(backend, model(backend, new Two(method), method, Passes.SIMPLE)), fused = step(backend, model(backend, new Two(method), method, Passes.FUSED));
      for (int i = 0; i < simple.size(); i++) assertArrayEquals(simple.get(i), fused.get(i));
    }
  }

  @Test void realWeightsOfAFixedScaleAreThoseThatAreConvolved() {
    try (Backend backend = new CpuBackend()) {
      Method method = new Signs(Scale.FIXED, true);
      for (Passes passes : List.of(Passes.SIMPLE, Passes.FUSED)) {
        Model model = model(backend, new Two(method), method, passes);
        float[] whole = step(backend, model).getFirst();
        for (BinaryConv2d layer : model.binaryLayers()) {
          Tensor weights = model.parameters().stream().filter(p -> p.name().equals(layer.name() + ".weight")).findFirst().orElseThrow().value();
          float[] signs = backend.read(weights);
          for (int i = 0; i < signs.length; i++) signs[i] = Math.signum(signs[i]);
          backend.write(weights, signs);
        }
        Model binary = model(backend, new Two(new Signs(Scale.FIXED, false)), new Signs(Scale.FIXED, false), passes);
        float[] ofSigns = step(backend, model).getFirst();
        assertArrayEquals(step(backend, binary).getFirst(), ofSigns, 1e-4f);
        assertFalse(Arrays.equals(whole, ofSigns));
      }
    }
    refused("SignWeights: the gradient through mean |w| is that of signs; real weights need another scale", () -> new SignWeights(Scale.MEAN_ABSOLUTE, 1, true, 0));
  }

  /** Convolutions that add different numbers of channels are not of one block, which would take all for as wide as its last. */
  @Test void convolutionsThatAddDifferentNumbersOfChannelsGiveEqualSteps() {
    Network network = (method, input, classes) -> Sequential.of(new Conv2d("stem", 8, 3, 1, 1, Init.KAIMING).asFirst(), dense("one", method, 6), dense("two", method, 6),
        dense("three", method, 3), dense("four", method, 5), new BatchNorm("end", BatchNorm.Rule.TORCH), Pool.global(), new Linear("classes", classes, Init.KAIMING, true));
    try (Backend backend = new CpuBackend()) {
      List<float[]> simple = step(backend, model(backend, network, new BiReal(1), Passes.SIMPLE)), fused = step(backend, model(backend, network, new BiReal(1), Passes.FUSED));
      for (int i = 0; i < simple.size(); i++) assertArrayEquals(simple.get(i), fused.get(i), 0f);
    }
  }

  private static Layer dense(String name, Method method, int filters) {
    return new Concat(Sequential.of(new BatchNorm(name + ".norm", BatchNorm.Rule.TORCH), new BinaryConv2d(name, method, filters, 3, 1, 1, 1, Init.gaussian(1))));
  }

  @Test void aLayerOfAnotherMethodThanTheModelsIsRefused() {
    try (Backend backend = new CpuBackend()) {
      for (Method other : List.of(new Signs(Scale.MEAN_ABSOLUTE_DETACHED, false), new AdaBin(AdaBin.Form.CODE, true, false))) {
        String sentence = "Model: layer second has the method " + other + ", the model BiReal[weightClip=1.0], whose surrogates all binary layers get; they must be equal";
        for (Passes passes : List.of(Passes.SIMPLE, Passes.FUSED)) refused(sentence, () -> model(backend, new Two(other), new BiReal(1), passes));
      }
    }
  }

  @Test void aParameterThatNoLayerGivesIsRefused() {
    Network network = (method, input, classes) -> Sequential.of(new Silent(), Pool.global(), new Linear("classes", classes, Init.KAIMING, true));
    try (Backend backend = new CpuBackend()) {
      refused("Model: no layer gives the parameter inner.weight, so nothing would train it; parameters() of its layer must, and children() of a layer those it is made of",
          () -> model(backend, network, new BiReal(1), Passes.SIMPLE));
    }
  }

  @Test void aLayerThatStandsInTwoPlacesIsRefused() {
    Network network = (method, input, classes) -> {
      Layer relu = new Activate(Activation.RELU);
      return Sequential.of(new Conv2d("stem", 8, 3, 1, 1, Init.KAIMING).asFirst(), relu, Residual.identity(Sequential.of(new Conv2d("second", 8, 3, 1, 1, Init.KAIMING), relu)),
          Pool.global(), new Linear("classes", classes, Init.KAIMING, true));
    };
    try (Backend backend = new CpuBackend()) {
      for (Passes passes : List.of(Passes.SIMPLE, Passes.FUSED)) {
        refused("Model: one Activate stands in two places, and keeps for backward what only the later one saw; each place needs a layer of its own",
            () -> model(backend, network, new BiReal(1), passes));
      }
    }
  }

  /** Signs that count the batches they are trained on. */
  private static final class Counting extends BinaryActivations {
    private StateTensor batches;

    @Override public void build(Backend backend, String name, Shape input) {
      super.build(backend, name, input);
      batches = new StateTensor(name + ".batches", backend.create(Shape.vector(1)), new int[] {1});
    }

    @Override public void forward(BitTensor bits, Tensor x, boolean training) {
      backend.bits().pack(bits, x, 0);
      if (training) backend.point().accumulateScaled(batches.value(), set.distance(), 1);
    }

    @Override public void backward(Tensor gradX, Tensor gradQ, Tensor x) {
      backend.binarize().slope(gradX, gradQ, x, binarizer);
    }

    @Override public List<StateTensor> state() {
      return List.of(batches);
    }
  }

  /** Those, and signs of the weights. */
  private record Counted() implements Method {
    @Override public BinaryWeights weights() {
      return new SignWeights(Scale.MEAN_ABSOLUTE);
    }

    @Override public BinaryActivations activations() {
      return new Counting();
    }

    @Override public Surrogates at(int epoch, int epochs) {
      return new Surrogates(new Binarizer.Clipped(1), new Binarizer.Clipped(1), Map.of());
    }
  }

  @Test void whatActivationsKeepIsSaved() throws Exception {
    for (Memory memory : Memory.values()) {
      try (Backend backend = new CpuBackend()) {
        Method method = new Counted();
        Execution execution = new Execution(Passes.FUSED, memory);
        Model model = new Model(new Two(method), method, IMAGES, CLASSES, backend, 1, execution), other = new Model(new Two(method), method, IMAGES, CLASSES, backend, 2, execution);
        for (int i = 0; i < 3; i++) step(backend, model);
        other.load(model.save(), "the model");
        for (StateTensor state : other.state()) {
          if (state.name().endsWith(".batches")) assertEquals(3, backend.read(state.value())[0], state.name());
        }
        assertEquals(2, other.state().stream().filter(state -> state.name().endsWith(".batches")).count());
      }
    }
  }

  /** Bits of the activations x at least a half. */
  private record Half() implements Binarizer {
    @Override public float level(float u) {
      return u - 0.5f;
    }

    @Override public float slope(float u) {
      return 1;
    }
  }

  @Test void aLevelThatSignsOfActivationsDoNotReadIsRefused() {
    try (Backend backend = new CpuBackend()) {
      Model model = model(backend, new Two(new BiReal(1)), new BiReal(1), Passes.SIMPLE);
      refused("BinaryActivations.Sign: the bits are signs of u, and Half[] has another level; it needs activations of its own",
          () -> model.use(new Surrogates(new Half(), new Half(), Map.of())));
    }
  }
}
