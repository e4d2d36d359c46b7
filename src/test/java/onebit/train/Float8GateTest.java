package onebit.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import onebit.binarize.AdaBin;
import onebit.binarize.Method;
import onebit.checkpoint.CheckpointException;
import onebit.dist.Communicator;
import onebit.dist.SingleProcess;
import onebit.layers.BinaryConv2d;
import onebit.layers.BuildContext;
import onebit.layers.GradientError;
import onebit.layers.Init;
import onebit.layers.Rebuilding;
import onebit.models.Execution;
import onebit.models.Execution.Gradients;
import onebit.models.Execution.Memory;
import onebit.models.Execution.Passes;
import onebit.models.GlyphNet;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.OnEveryPrecision;
import onebit.optim.Adam;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Steps with float8 gradients, and what lets them go on. */
class Float8GateTest {
  private static final int BATCH = 6;
  private static final Method METHOD = new AdaBin(AdaBin.Form.CODE, true, false);

  /** A step of a small network with float8 gradients. */
  private record Network(Backend backend, Model model, TrainStep step) {
    static Network of(Backend backend, int capacity, Passes passes, Memory memory) {
      Model model = new Model(new GlyphNet(8), METHOD, Shape.image(capacity, 12, 12, 1), 10, backend, 3, new Execution(passes, memory, Gradients.FLOAT8));
      model.use(METHOD.at(1, 4));
      return new Network(backend, model, new TrainStep(backend, model, new Adam(backend, model.parameters(), 0.9, 0.999, 1e-8, false, p -> 0), BATCH, 10, 0));
    }

    Tensor images() {
      Tensor x = backend.create(Shape.image(BATCH, 12, 12, 1), backend.activations());
      SplittableRandom random = new SplittableRandom(5);
      float[] values = new float[x.size()];
      for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
      backend.write(x, values);
      return x;
    }

    /** Parameters and statistics after some steps. */
    Object[] after(int steps) {
      Tensor x = images();
      for (int i = 0; i < steps; i++) assertNull(step.run(x, labels(), 0.01).notFinite());
      return model.save().toArray();
    }
  }

  private static Truth labels() {
    return Truth.of(0, 1, 2, 3, 4, 5);
  }

  @OnEveryPrecision
  void everyLayersErrorIsThatOfRoundingAndMeasuringChangesNoStep(Backend backend) {
    if (backend.float8Refusal() != null) return;
    Network measured = Network.of(backend, BATCH, Passes.FUSED, Memory.FAST), plain = Network.of(backend, BATCH, Passes.FUSED, Memory.FAST);
    List<GradientError> ofLabels = plain.step.gradientErrors(plain.images(), labels(), 4);
    assertNotEquals(ofLabels, measured.step.gradientErrors(measured.images(), Truth.of(5, 4, 3, 2, 1, 0), 4));
    assertEquals(ofLabels, measured.step.gradientErrors(measured.images(), labels(), 4));
    for (int i = 0; i < 2; i++) {
      List<GradientError> errors = measured.step.gradientErrors(measured.images(), labels(), 4);
      assertEquals(measured.model.binaryLayers().size(), errors.size());
      for (GradientError error : errors) {
        assertTrue(Math.min(error.filters(), error.images()) > 0.004 && error.worst() < 0.06, error.toString());
      }
      assertArrayEquals(plain.after(1), measured.after(1));
    }
  }

  @OnEveryPrecision
  void stepsAreTheSameBitsReplayedInPartsAndWithWhatMemoryKeeps(Backend backend) {
    if (backend.float8Refusal() != null) return;
    for (int capacity : new int[] {BATCH, 2}) {
      backend.replay(false);
      Object[] wanted = Network.of(backend, capacity, Passes.FUSED, Memory.FAST).after(4);
      backend.replay(true);
      assertArrayEquals(wanted, Network.of(backend, capacity, Passes.FUSED, Memory.FAST).after(4));
      assertArrayEquals(wanted, Network.of(backend, capacity, Passes.FUSED, Memory.COMPACT).after(4));
    }
  }

  @OnEveryPrecision
  void theLossFallsInSimplePassesToo(Backend backend) {
    if (backend.float8Refusal() != null) return;
    Network net = Network.of(backend, BATCH, Passes.SIMPLE, Memory.FAST);
    Tensor x = net.images();
    double first = net.step.run(x, labels(), 0.01).loss(), last = first;
    for (int i = 0; i < 20; i++) last = net.step.run(x, labels(), 0.01).loss();
    assertTrue(last < 0.6 * first, first + " -> " + last);
  }

  /** Of two gradients of 2^20 that cancel, float8 leaves nothing of those of 1 beside them; bfloat16 keeps them. */
  @OnEveryPrecision
  void gradientsOfAHugeRangeAreMeasuredAsOff(Backend backend) {
    if (backend.float8Refusal() != null) return;
    Shape shape = Shape.image(1, 4, 4, 40);
    BinaryConv2d layer = new BinaryConv2d("c", METHOD, 6, 1, 1, 0, 1, Init.KAIMING);
    BuildContext context = new BuildContext(backend, 3, false, new Rebuilding(0), true);
    Shape output = layer.build(context, shape);
    context.rounded().refresh();
    SplittableRandom random = new SplittableRandom(7);
    float[] values = new float[shape.size()], gradients = new float[output.size()];
    for (int i = 0; i < values.length; i++) values[i] = i < 80 ? i % 40 - 20.5f : (float) random.nextGaussian();   // the first two pixels are equal
    for (int i = 0; i < gradients.length; i++) gradients[i] = random.nextBoolean() ? 1 : -1;
    Tensor x = backend.create(shape, backend.activations()), gradY = backend.create(output, backend.activations());
    backend.write(x, values);
    List<GradientError> errors = new ArrayList<>();
    layer.measure(errors::add);
    for (float outlier : new float[] {1, 0x1p20f}) {
      gradients[0] = outlier;
      gradients[6] = -outlier;
      backend.write(gradY, gradients);
      layer.forward(x, true);
      layer.backward(gradY);
    }
    assertTrue(errors.get(0).worst() < 0.05, errors.toString());
    assertTrue(errors.get(1).filters() > 0.9, errors.toString());
    assertEquals("gradW of c", errors.get(1).where());
  }

  @OnEveryPrecision
  void theGateTellsTheWorstLayerAndRefusesAboveItsLimit(Backend backend) throws Exception {
    if (backend.float8Refusal() != null) return;
    Network net = Network.of(backend, BATCH, Passes.FUSED, Memory.FAST);
    List<String> told = new ArrayList<>();
    Float8Gate open = new Float8Gate(net.step, new SingleProcess(), 0.1, told::add), closed = new Float8Gate(net.step, new SingleProcess(), 0.001, told::add);
    for (int epoch : new int[] {0, 0, 1}) open.pass(epoch, net.images(), labels());
    assertEquals(2, told.size(), told.toString());
    assertTrue(told.get(0).matches("Float8 gradients before epoch 1: the worst of \\d+ binary layers, grad[WX] of \\S+, is off by 0\\.0\\d+ of its norm; the limit is 0\\.1\\."), told.get(0));
    assertTrue(open.worst() > 0.01 && open.worst() < 0.1, "worst " + open.worst());
    CheckpointException refused = assertThrows(CheckpointException.class, () -> closed.pass(0, net.images(), labels()));
    assertTrue(refused.getMessage().contains("train.float8Limit 0.001; go on with train.gradients=bfloat16"), refused.getMessage());
    Tensor broken = net.images();
    float[] values = backend.read(broken);
    values[3] = Float.NaN;
    backend.write(broken, values);
    assertTrue(assertThrows(CheckpointException.class, () -> new Float8Gate(net.step, new SingleProcess(), 1, told::add).pass(0, broken, labels())).getMessage().contains("NaN"));
  }

  /** The second of two ranks, whose last layer is off by a half. */
  private static long[][] withAnotherRank(long[] own) {
    long[] other = own.clone();
    other[other.length - 1] = Double.doubleToLongBits(0.5);
    return new long[][] {own, other};
  }

  @OnEveryPrecision
  void whatIsOffOnOneRankStopsAll(Backend backend) {
    if (backend.float8Refusal() != null) return;
    Network net = Network.of(backend, BATCH, Passes.FUSED, Memory.FAST);
    Communicator ranks = (Communicator) Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {Communicator.class}, (self, method, arguments) -> switch (method.getName()) {
      case "size" -> 2;
      case "allGather" -> withAnotherRank((long[]) arguments[0]);
      default -> throw new UnsupportedOperationException(method.getName());
    });
    CheckpointException refused = assertThrows(CheckpointException.class, () -> new Float8Gate(net.step, ranks, 0.1, told -> {}).pass(0, net.images(), labels()));
    String last = net.step.gradientErrors(net.images(), labels(), BATCH).getLast().layer();
    assertTrue(refused.getMessage().contains("before epoch 1 " + last + " is off by 0.5000 of the norm"), refused.getMessage());
  }
}
