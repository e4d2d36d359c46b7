package onebit.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import onebit.binarize.AdaBin;
import onebit.binarize.BiPer;
import onebit.binarize.Method;
import onebit.binarize.Rbnn;
import onebit.dist.Activity;
import onebit.dist.Communicator;
import onebit.dist.SingleProcess;
import onebit.layers.Activate;
import onebit.layers.BinaryConv2d;
import onebit.layers.Conv2d;
import onebit.layers.Flatten;
import onebit.layers.Init;
import onebit.layers.Layer;
import onebit.layers.Linear;
import onebit.layers.Sequential;
import onebit.models.GlyphNet;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.OnEveryBackend;
import onebit.ops.PointOps.Activation;
import onebit.ops.cuda.CudaBackend;
import onebit.ops.cuda.EmulatedDevice;
import onebit.ops.cuda.EmulatedDriver;
import onebit.optim.Adam;
import onebit.optim.Optimizer;
import onebit.optim.Sgd;
import onebit.recipe.DistRecipe;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;

class TrainStepTest {
  private static final int BATCH = 6;
  private static final DistRecipe DIST = new DistRecipe(DistRecipe.Reduce.FLOAT32, false, 0.01, 60, Optional.empty());

  /** A small network with everything a step needs, on one backend. */
  private static final class Network {
    final Backend backend;
    final Model model;
    final Optimizer optimizer;
    final TrainStep step;

    Network(Backend backend) {
      this(backend, BATCH);
    }

    /** A network that sees so many images at once. */
    Network(Backend backend, int capacity) {
      this.backend = backend;
      model = new Model(new GlyphNet(8), new AdaBin(AdaBin.Form.CODE, true, false), Shape.image(capacity, 12, 12, 1), 10, backend, 3);
      optimizer = new Adam(backend, model.parameters(), 0.9, 0.999, 1e-8, false, p -> 0);
      step = new TrainStep(backend, model, optimizer, BATCH, 10, 0);
    }

    Tensor images(float poison) {
      Tensor x = backend.create(Shape.image(BATCH, 12, 12, 1));
      float[] values = new float[x.size()];
      SplittableRandom random = new SplittableRandom(5);
      for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
      values[17] += poison;
      backend.write(x, values);
      return x;
    }
  }

  private static Truth labels() {
    return Truth.of(0, 1, 2, 3, 4, 5);
  }

  @OnEveryBackend
  void aStepLowersTheLossOnItsOwnBatch(Backend backend) {
    Network net = new Network(backend);
    Tensor x = net.images(0);
    double first = net.step.run(x, labels(), 0.01).loss(), last = first;
    for (int i = 0; i < 30; i++) last = net.step.run(x, labels(), 0.01).loss();
    assertTrue(last < 0.5 * first, first + " -> " + last);
  }

  @OnEveryBackend
  void aStepWithNaNChangesNothingAndNamesWhatWasNotFinite(Backend backend) {
    Network net = new Network(backend);
    Object[] before = net.model.save().toArray();
    TrainStep.Outcome outcome = net.step.run(net.images(Float.NaN), labels(), 0.05);
    assertEquals("loss", outcome.notFinite());
    assertArrayEquals(before, net.model.save().toArray());
    assertEquals(0, net.optimizer.steps());
    assertNull(net.step.run(net.images(0), labels(), 0.05).notFinite());
    assertNotEquals(List.of(before), net.model.save());
    assertEquals(1, net.optimizer.steps());
  }

  /** Without momentum a weight moves by rate times its gradient, or less where all gradients together are too long; the third and later steps are replayed. */
  @OnEveryBackend
  void gradientsThatTogetherAreTooLongAreMadeShorter(Backend backend) {
    Network net = new Network(backend);
    Optimizer optimizer = new Sgd(backend, net.model.parameters(), 0, p -> 0);
    TrainStep step = new TrainStep(backend, net.model, optimizer, BATCH, 10, 0);
    Tensor x = net.images(0);
    double most = 0;
    for (int i = 0; i < 8; i++) {
      if (i == 4) optimizer.clipNorm(most / 4);
      List<float[]> before = net.model.parameters().stream().map(p -> backend.read(p.value())).toList();
      double told = step.run(x, labels(), 0.5).gradientNorm(), squares = 0;
      List<float[]> gradients = net.model.parameters().stream().map(p -> backend.read(p.gradient())).toList();
      for (float[] gradient : gradients) for (float g : gradient) squares += (double) g * g;
      double norm = Math.sqrt(squares), share = i < 4 || norm <= most / 4 ? 1 : most / 4 / norm;
      assertEquals(norm, told, 1e-6 * norm, "step " + i);
      most = Math.max(most, norm);
      for (int p = 0; p < gradients.size(); p++) {
        float[] after = backend.read(net.model.parameters().get(p).value());
        for (int k = 0; k < after.length; k++) {
          assertEquals(before.get(p)[k] - 0.5 * share * gradients.get(p)[k], after[k], 1e-6 * (Math.abs(before.get(p)[k]) + norm), "step " + i + ", parameter " + p);
        }
      }
      if (i == 4) assertTrue(share < 1, "nothing was cut");
    }
    assertEquals("clipNorm is -1.0; it must be a finite number >= 0", assertThrows(IllegalArgumentException.class, () -> optimizer.clipNorm(-1)).getMessage());
    assertThrows(IllegalArgumentException.class, () -> optimizer.clipNorm(Double.NaN));
  }

  /** Two ranks of three parts each that both see the same images: the mean is each one's own gradient, which is there when its bucket leaves. */
  @OnEveryBackend
  void inTheLastPartBucketsLeaveWholeWhileBackwardGoesOn(Backend backend) {
    Network alone = new Network(backend, 2), shared = new Network(backend, 2);
    List<Map<Tensor, float[]>> left = new ArrayList<>();
    Tensor first = shared.model.parameters().getFirst().gradient();
    Communicator observing = (Communicator) Proxy.newProxyInstance(Communicator.class.getClassLoader(), new Class<?>[] {Communicator.class}, (proxy, method, given) -> {
      if (!method.getName().equals("startMean")) return ofTwo(method.getReturnType());
      Map<Tensor, float[]> values = new IdentityHashMap<>();
      for (Object tensor : (List<?>) given[1]) values.put((Tensor) tensor, backend.read((Tensor) tensor));
      left.add(values);
      if (left.size() == 1) backend.fill(first, Float.NaN);   // backward has yet to come to it, and writes it anew
      return null;
    });
    shared.step.together(new StepReduction(observing, shared.model, new DistRecipe(DistRecipe.Reduce.FLOAT32, false, 0.002, 60, Optional.empty())));
    Tensor x = shared.images(0);
    alone.step.gradients(x, labels());
    backend.replay(false);
    shared.step.start(x, labels(), 0, 2 * BATCH).outcome();
    assertTrue(left.size() > 3, left.size() + " rows of values left, the loss among them");
    Map<Tensor, float[]> all = new IdentityHashMap<>();
    left.forEach(all::putAll);
    for (int i = 0; i < alone.model.parameters().size(); i++) {
      assertArrayEquals(backend.read(alone.model.parameters().get(i).gradient()), all.get(shared.model.parameters().get(i).gradient()), shared.model.parameters().get(i).name());
    }
  }

  /** What a communicator of two ranks says of itself; its means do nothing, and no rank reports anything. */
  private static Object ofTwo(Class<?> asked) {
    if (asked == Activity.class) return new Activity();
    if (asked == boolean.class) return false;
    return asked == int.class ? 2 : null;
  }

  /** Three images of two ranks, a part for each image: this rank has one of them and one part, which counts as two thirds in the mean of two ranks. */
  @OnEveryBackend
  void aRankWithFewerImagesThanPartsHasFewerParts(Backend backend) {
    Network alone = new Network(backend, 1), fewer = new Network(backend, 1), meets = new Network(backend, 1);
    Communicator two = (Communicator) Proxy.newProxyInstance(Communicator.class.getClassLoader(), new Class<?>[] {Communicator.class},
        (proxy, method, given) -> ofTwo(method.getReturnType()));
    fewer.step.together(new StepReduction(two, fewer.model, DIST));
    assertNull(fewer.step.start(fewer.images(0), labels(), 0, 2 * BATCH).outcome().notFinite());   // its parts leave nothing to the step after it
    Tensor x = fewer.images(0).first(1);
    TrainStep.Outcome own = alone.step.gradients(x, labels()), got = fewer.step.start(x, labels(), 0, 3).outcome();
    assertNull(got.notFinite());
    assertEquals(own.error() * 2 / 3, got.error(), 1e-6 * own.error());
    float[] want = backend.read(alone.model.parameters().getLast().gradient()), has = backend.read(fewer.model.parameters().getLast().gradient());
    for (int i = 0; i < want.length; i++) assertEquals(want[i] * 2 / 3, has[i], 1e-6 * (1 + Math.abs(want[i])));
    meets.step.together(new StepReduction(two, meets.model, new DistRecipe(DistRecipe.Reduce.FLOAT32, true, 0.01, 60, Optional.empty())));
    String refusal = assertThrows(IllegalArgumentException.class, () -> meets.step.start(x, labels(), 0, 3)).getMessage();
    assertTrue(refusal.contains("a process has 1 image(s) of a batch of 3, another 2 in 2 parts, and with dist.syncBatchNorm all must have some in each part"), refusal);
    assertEquals(own, meets.step.start(x, labels(), 0, 2).outcome());
  }

  @OnEveryBackend
  void outcomesTakenOneStepLaterAreThoseOfStepsTakenOneByOne(Backend backend) {
    Network direct = new Network(backend), delayed = new Network(backend);
    Tensor good = direct.images(0), bad = direct.images(Float.NaN);
    List<TrainStep.Outcome> wanted = new ArrayList<>(), got = new ArrayList<>();
    TrainStep.Running before = null;
    for (int i = 0; i < 12; i++) {
      Tensor x = i % 4 == 2 ? bad : good;
      wanted.add(direct.step.run(x, labels(), 0.01));
      TrainStep.Running now = delayed.step.start(x, labels(), 0.01);
      if (before != null) got.add(before.outcome());
      before = now;
    }
    got.add(before.outcome());
    assertEquals(wanted, got);
    assertEquals("loss", got.get(6).notFinite());
    assertArrayEquals(direct.model.save().toArray(), delayed.model.save().toArray());
    assertEquals(9, delayed.optimizer.steps());
  }

  /** Fifty steps on two alternating batches, one of them smaller, with a new slope in the middle; the parameters and running statistics after them. */
  private static Object[] fiftySteps(Network net) {
    Tensor large = net.images(0), small = net.images(0.25f).first(BATCH - 2);
    TrainStep.Running before = null;
    for (int i = 0; i < 50; i++) {
      if (i == 30) net.model.use(new AdaBin(AdaBin.Form.CODE, true, false).at(2, 4));
      TrainStep.Running now = net.step.start(i % 5 == 4 ? small : large, labels(), 0.01 / (1 + i));
      if (before != null) before.outcome();
      before = now;
    }
    assertNull(before.outcome().notFinite());
    return net.model.save().toArray();
  }

  @OnEveryBackend
  void replayedStepsGiveTheBitsOfStepsAskedCallByCall(Backend backend) {
    Network net = new Network(backend);
    backend.replay(false);
    Object[] wanted = fiftySteps(net);
    backend.replay(true);
    assertArrayEquals(wanted, fiftySteps(new Network(backend)));
  }

  @Test
  void stepsOfADeviceThatWorksAsLateAsItMayGiveTheSameBits() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    try (Backend backend = CudaBackend.emulated()) {
      Object[] wanted = fiftySteps(new Network(backend));
      EmulatedDevice.lazy(true);
      assertArrayEquals(wanted, fiftySteps(new Network(backend)));
    } finally {
      EmulatedDevice.lazy(false);
    }
  }

  /** A network without batch norm: what it makes of an image does not depend on the others. */
  static Layer withoutBatchNorm(Method method, Shape input, int classes) {
    return Sequential.of(new Conv2d("stem", 12, 3, 1, 1, Init.KAIMING).asFirst(), new BinaryConv2d("conv", method, 20, 3, 2, 1, 1, Init.KAIMING),
        new Activate(Activation.HARD_TANH), new Flatten(), new Linear("fc", classes, Init.TORCH, false));
  }

  /** Outcome and gradients of one pass over so many images by a model built for so many at once. */
  private static List<float[]> gradients(Backend backend, Method method, int capacity, int images) {
    Model model = new Model(TrainStepTest::withoutBatchNorm, method, Shape.image(capacity, 12, 12, 1), 10, backend, 3);
    model.use(method.at(3, 10));
    TrainStep step = new TrainStep(backend, model, new Adam(backend, model.parameters(), 0.9, 0.999, 1e-8, false, p -> 0), BATCH, 10, 0.1);
    Tensor x = backend.create(Shape.image(BATCH, 12, 12, 1));
    SplittableRandom random = new SplittableRandom(5);
    float[] values = new float[x.size()];
    for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
    backend.write(x, values);
    List<float[]> all = new ArrayList<>();
    if (capacity == 2) step.together(new StepReduction(new SingleProcess(), model, DIST));   // buckets leave once, within the last part
    TrainStep.Outcome outcome = step.gradients(x.first(images), labels());
    assertEquals(outcome, step.gradients(x.first(images), labels()), "the same again");
    all.add(new float[] {(float) outcome.error(), (float) outcome.loss(), outcome.top1(), outcome.top5()});
    for (Parameter p : model.parameters()) all.add(backend.read(p.gradient()));
    return all;
  }

  /** A gradient of one number is a small difference of large sums. */
  @OnEveryBackend
  void partsOfABatchGiveItsGradientUpToTheOrderOfSums(Backend backend) {
    for (Method method : List.of(new AdaBin(AdaBin.Form.CODE, true, false), new BiPer(2, 20, 0.1f), new Rbnn(1, false))) {
      for (int images : new int[] {6, 5}) {
        List<float[]> whole = gradients(backend, method, BATCH, images);
        for (int capacity : new int[] {4, 2, 1}) {
          List<float[]> parts = gradients(backend, method, capacity, images);
          for (int i = 0; i < whole.size(); i++) {
            float largest = 0;
            for (float v : whole.get(i)) largest = Math.max(largest, Math.abs(v));
            assertArrayEquals(whole.get(i), parts.get(i), (whole.get(i).length == 1 ? 5e-5f : 2e-6f) * largest, method + ", " + images + " images in parts of " + capacity + ", tensor " + i);
          }
        }
      }
    }
  }

  @OnEveryBackend
  void stepsInPartsAreReplayedCountedOnceAndSkippedWhole(Backend backend) {
    Network net = new Network(backend, 4);
    double first = net.step.run(net.images(0), labels(), 0.01).loss();
    Object[] before = net.model.save().toArray();
    assertEquals("loss", net.step.run(net.images(Float.NaN), labels(), 0.01).notFinite());
    assertArrayEquals(before, net.model.save().toArray());
    Tensor x = net.images(0);
    double last = first;
    for (int i = 0; i < 9; i++) last = net.step.run(x, labels(), 0.01).loss();
    assertTrue(last < 0.7 * first, first + " -> " + last);
    assertEquals(10, net.optimizer.steps());
    backend.replay(false);
    Network direct = new Network(backend, 4);
    for (int i = 0; i < 10; i++) direct.step.run(x, labels(), 0.01);
    assertArrayEquals(direct.model.save().toArray(), net.model.save().toArray());
  }
}
