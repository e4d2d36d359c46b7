package onebit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import onebit.binarize.BiReal;
import onebit.binarize.Method;
import onebit.checkpoint.Checkpoint;
import onebit.checkpoint.CheckpointStore;
import onebit.data.Augmentation;
import onebit.data.Dataset;
import onebit.data.ImageBatch;
import onebit.data.Loader;
import onebit.data.Sampler;
import onebit.layers.BatchNorm;
import onebit.layers.BinaryConv2d;
import onebit.layers.BuildContext;
import onebit.layers.Conv2d;
import onebit.layers.Flatten;
import onebit.layers.Init;
import onebit.layers.Layer;
import onebit.layers.Linear;
import onebit.layers.Pool;
import onebit.layers.Residual;
import onebit.layers.Sequential;
import onebit.models.Model;
import onebit.models.Network;
import onebit.ops.Backend;
import onebit.ops.Inlet;
import onebit.ops.PixelScale;
import onebit.ops.PointOps.Activation;
import onebit.ops.cpu.CpuBackend;
import onebit.optim.Sgd;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import onebit.train.Evaluation;
import onebit.train.TrainStep;
import onebit.train.Truth;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A network with a layer of its own and a data set of its own in memory: trained, judged, saved and loaded; and what a program is told that goes wrong. */
class OwnNetworkTest {
  private static final int BATCH = 16, SIDE = 16, CLASSES = 4;
  private static final Method METHOD = new BiReal(1);
  private static final PixelScale SCALE = new PixelScale(List.of(0.3, 0.3, 0.3), List.of(0.2, 0.2, 0.2));

  /** Noise with a bright square in the quarter of the image that its class numbers. */
  private record Squares(int size, long seed) implements Dataset {
    @Override public String name() {
      return "squares";
    }

    @Override public int height() {
      return SIDE;
    }

    @Override public int width() {
      return SIDE;
    }

    @Override public int channels() {
      return 3;
    }

    @Override public int classes() {
      return CLASSES;
    }

    @Override public int label(int index) {
      return index % CLASSES;
    }

    @Override public void read(int index, byte[] into, int offset) {
      SplittableRandom random = new SplittableRandom(seed * 1_000_003 + index);
      int half = SIDE / 2, top = label(index) / 2 * half + random.nextInt(4), left = label(index) % 2 * half + random.nextInt(4);
      for (int i = 0; i < imageBytes(); i++) {
        int y = i / 3 / SIDE, x = i / 3 % SIDE;
        into[offset + i] = (byte) (random.nextInt(120) + (y >= top && y < top + 4 && x >= left && x < left + 4 ? 100 : 0));
      }
    }
  }

  /** y = x limited to -1..1, plus a quarter of x. */
  private static final class Leaky implements Layer {
    private Backend backend;
    private Tensor y;
    private Tensor gradX;
    private Tensor x;

    @Override public Shape build(BuildContext context, Shape input) {
      backend = context.backend();
      y = context.activations(input);
      gradX = context.gradients(input);
      return input;
    }

    @Override public Tensor forward(Tensor input, boolean training) {
      x = input;
      Tensor out = y.first(input.shape().d0());
      backend.point().activate(out, input, Activation.HARD_TANH);
      backend.point().accumulateScaled(out, input, 0.25f);
      return out;
    }

    @Override public Tensor backward(Tensor gradY) {
      Tensor out = gradX.first(gradY.shape().d0());
      backend.point().activateBackward(out, gradY, x, Activation.HARD_TANH);
      backend.point().accumulateScaled(out, gradY, 0.25f);
      return out;
    }
  }

  /** A real stem, a binary convolution with a shortcut, a layer of its own, pools of that many pixels, a real classifier. */
  private record Own(int width, int window) implements Network {
    @Override public Layer layers(Method method, Shape input, int classes) {
      return Sequential.of(new Conv2d("stem", width, 3, 2, 1, Init.KAIMING).asFirst(), new BatchNorm("norm", BatchNorm.Rule.TORCH), new Leaky(),
          Residual.identity(Sequential.of(new BinaryConv2d("binary", method, width, 3, 1, 1, 1, Init.KAIMING), new BatchNorm("after", BatchNorm.Rule.TORCH))),
          Pool.average(window, window), new Flatten(), new Linear("classes", classes, Init.KAIMING, true));
    }
  }

  private static Model model(Backend backend, long seed) {
    Model model = new Model(new Own(8, 4), METHOD, Shape.image(BATCH, SIDE, SIDE, 3), CLASSES, backend, seed);
    model.use(METHOD.at(0, 1));
    model.takePixels(SCALE);
    return model;
  }

  @Test void aNetworkWithoutLayersIsRefusedByName() {
    try (Backend backend = new CpuBackend()) {
      Network none = (method, input, classes) -> null;
      String said = assertThrows(IllegalArgumentException.class, () -> new Model(none, METHOD, Shape.image(BATCH, SIDE, SIDE, 3), CLASSES, backend, 1)).getMessage();
      assertEquals("the network " + none.getClass().getName() + " gives no layers", said);
    }
  }

  private static double percent(Backend backend, Model model) throws Exception {
    Dataset test = new Squares(60, 2);
    try (Loader loader = new Loader(test, Sampler.evaluation(test.size(), BATCH), List.of(), 2)) {
      return Evaluation.of(backend, model, SCALE, List.of(), BATCH).run(loader, Integer.MAX_VALUE, images -> { }).percent();
    }
  }

  @Test void anOwnNetworkLearnsAnOwnDataSetAndComesBackFromACheckpoint(@TempDir Path dir) throws Exception {
    Dataset images = new Squares(320, 1);
    double learned;
    try (Backend backend = new CpuBackend(); Loader loader = new Loader(images, Sampler.training(1, images.size(), BATCH), List.of(new Augmentation.PadCrop(1)), 2)) {
      Model model = model(backend, 1);
      TrainStep step = new TrainStep(backend, model, new Sgd(backend, model.parameters(), 0.9, parameter -> 1e-4), BATCH, CLASSES, 0);
      Inlet in = backend.inlet(model.input());
      for (int epoch = 0; epoch < 3; epoch++) {
        model.use(METHOD.at(epoch, 3));
        model.startEpoch(epoch);
        loader.start(epoch, 0);
        for (ImageBatch batch = loader.next(); batch != null; batch = loader.next()) step.run(in.next(batch.pixels(), batch.count()), Truth.of(batch), 0.05);
      }
      learned = percent(backend, model);
      assertTrue(learned > 80, learned + " %");
      new CheckpointStore(dir, 1).save(new Checkpoint(60, model.save(), List.of(), Map.of("epoch", "3")));
    }
    try (Backend backend = new CpuBackend()) {
      Model model = model(backend, 99);
      assertTrue(percent(backend, model) < 60);
      model.load(new CheckpointStore(dir, 1).loadLatest(said -> { }).orElseThrow().weights(), "the checkpoint");
      assertEquals(learned, percent(backend, model));
    }
  }

  /** A layer whose writer forgot its gradient. */
  private static final class Forgetful implements Layer {
    @Override public Shape build(BuildContext context, Shape input) {
      return input;
    }

    @Override public Tensor forward(Tensor input, boolean training) {
      return input;
    }

    @Override public Tensor backward(Tensor gradY) {
      return null;
    }
  }

  /** A real stem, that layer, a real classifier. */
  private record WithForgetful() implements Network {
    @Override public Layer layers(Method method, Shape input, int classes) {
      return Sequential.of(new Conv2d("stem", 4, 3, 2, 1, Init.KAIMING).asFirst(), new Forgetful(), Pool.average(8, 8), new Flatten(), new Linear("classes", classes, Init.KAIMING, true));
    }
  }

  private static void refused(String words, org.junit.jupiter.api.function.Executable what) {
    String said = assertThrows(IllegalArgumentException.class, what).getMessage();
    assertTrue(said.contains(words), said);
  }

  @Test void whatDoesNotFitIsToldInOneSentence() {
    try (Backend backend = new CpuBackend()) {
      Model model = model(backend, 1);
      TrainStep step = new TrainStep(backend, model, new Sgd(backend, model.parameters(), 0.9, parameter -> 0), BATCH, CLASSES, 0);
      refused("write: 3 values for a tensor [4] of 4", () -> backend.write(backend.create(Shape.vector(4)), new float[3]));
      refused("write: 767 values for a tensor [1, 16, 16, 3] of 768", () -> backend.inlet(model.input()).next(new byte[767], 1));
      refused("2 images, and the truth of 1 of them", () -> step.run(backend.create(model.input().withFirst(2)), Truth.of(0), 0.1));
      refused("made for batches of at most 16 images, got 17", () -> step.run(backend.create(model.input().withFirst(17)), Truth.of(new int[17]), 0.1));
      Model forgetful = new Model(new WithForgetful(), METHOD, model.input(), CLASSES, backend, 1);
      TrainStep first = new TrainStep(backend, forgetful, new Sgd(backend, forgetful.parameters(), 0.9, parameter -> 0), BATCH, CLASSES, 0);
      refused("backward of layer 1, Forgetful, gave null; it must give the gradient at its input", () -> first.run(backend.create(model.input()), Truth.of(new int[BATCH]), 0.1));
      refused("a window of 9 does not fit", () -> new Model(new Own(8, 9), METHOD, model.input(), CLASSES, backend, 1));
    }
  }
}
