package onebit.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import onebit.binarize.AdaBin;
import onebit.binarize.Method;
import onebit.checkpoint.CheckpointException;
import onebit.checkpoint.NamedTensor;
import onebit.checkpoint.Safetensors;
import onebit.dist.Communicator;
import onebit.dist.SingleProcess;
import onebit.layers.Activate;
import onebit.layers.BatchNorm;
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
import onebit.models.GlyphNet;
import onebit.models.Model;
import onebit.models.Network;
import onebit.models.RealResNet;
import onebit.ops.Backend;
import onebit.ops.OnEveryBackend;
import onebit.ops.OnEveryPrecision;
import onebit.ops.PointOps.Activation;
import onebit.ops.cpu.CpuBackend;
import onebit.optim.Adam;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.report.RunLog;
import onebit.report.Screen;
import onebit.tensor.ElementType;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Steps and runs that learn from a teacher, against what follows from the logits of both. */
class TeacherTest {
  private static final int BATCH = 6, CLASSES = 10;
  private static final Method METHOD = new AdaBin(AdaBin.Form.CODE, true, false);
  private static final Recipes RECIPES = new Recipes();
  private static final int[] LABELS = {0, 1, 2, 3, 4, 5};

  @TempDir private Path folder;

  /** A small network with batch norms, whose statistics in training are not its running ones. */
  static Layer taught(Method method, Shape input, int classes) {
    return Sequential.of(new Conv2d("conv1", 8, 3, 2, 1, Init.KAIMING).asFirst(), new BatchNorm("bn1", BatchNorm.Rule.TORCH), new Activate(Activation.RELU),
        Residual.identity(Sequential.of(new Conv2d("conv2", 8, 3, 1, 1, Init.KAIMING), new BatchNorm("bn2", BatchNorm.Rule.TORCH))), new Activate(Activation.RELU),
        Pool.global(), new Linear("fc", classes, Init.TORCH, false));
  }

  /** A model's tensors with running statistics as training leaves them. */
  static List<NamedTensor> trained(Model model, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    List<NamedTensor> all = new ArrayList<>();
    for (NamedTensor each : model.save()) {
      float[] values = each.floats().clone();
      if (each.name().contains("running_")) {
        for (int i = 0; i < values.length; i++) values[i] = (float) (each.name().endsWith("var") ? random.nextDouble(0.5, 1.5) : random.nextDouble(-0.5, 0.5));
      } else if (each.name().startsWith("fc.")) {
        for (int i = 0; i < values.length; i++) values[i] *= 4;
      }
      all.add(NamedTensor.ofFloats(each.name(), each.shape(), values));
    }
    return all;
  }

  private static Tensor images(Backend backend, int n) {
    Tensor x = backend.create(Shape.image(n, 12, 12, 1), backend.activations());
    SplittableRandom random = new SplittableRandom(5);
    float[] values = new float[x.size()];
    for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
    backend.write(x, values);
    return x;
  }

  private static Model student(Backend backend, Network network, int capacity, Passes passes, boolean learns) throws CheckpointException {
    Model model = new Model(network, METHOD, Shape.image(capacity, 12, 12, 1), CLASSES, backend, 3, new Execution(passes, Memory.FAST),
        learns ? Optional.of(TeacherTest::taught) : Optional.empty());
    model.use(METHOD.at(3, 10));
    if (learns) model.teacher().load(trained(model.teacher(), 4), "test");
    return model;
  }

  private static TrainStep step(Backend backend, Model model, double temperature, double hardLabels) {
    return new TrainStep(backend, model, new Adam(backend, model.parameters(), 0.9, 0.999, 1e-8, false, p -> 0), BATCH, CLASSES, 0.1, temperature, hardLabels);
  }

  static double[] softmax(float[] logits, int row, int classes, double temperature) {
    double[] p = new double[classes];
    double sum = 0;
    for (int k = 0; k < classes; k++) sum += p[k] = Math.exp(logits[row * classes + k] / temperature);
    for (int k = 0; k < classes; k++) p[k] /= sum;
    return p;
  }

  /** Loss and gradients of a whole step against a student without a teacher, whose gradient at the logits is made here from the logits of two evaluated networks. */
  @OnEveryPrecision
  void lossAndGradientsOfAStepAreThoseOfTheDefinition(Backend backend) throws CheckpointException {
    boolean rounds = backend.activations() == ElementType.BFLOAT16;
    Tensor x = images(backend, BATCH);
    for (Passes passes : new Passes[] {Passes.SIMPLE, Passes.FUSED}) {
      for (double[] settings : new double[][] {{1, 0}, {3, 0.25}}) {
        double t = settings[0], hard = settings[1], smoothing = 0.1, loss = 0;
        Model model = student(backend, new GlyphNet(8), BATCH, passes, true), alone = student(backend, new GlyphNet(8), BATCH, passes, false);
        Model plain = new Model(TeacherTest::taught, METHOD, Shape.image(BATCH, 12, 12, 1), CLASSES, backend, 3, new Execution(Passes.SIMPLE, Memory.FAST));
        plain.load(trained(plain, 4), "test");
        TrainStep step = step(backend, model, t, hard);
        TrainStep.Outcome outcome = step.gradients(x, Truth.of(LABELS));
        float[] z = backend.read(alone.forward(x, true)), soft = backend.read(plain.forward(x, false)), gradient = new float[BATCH * CLASSES];
        assertArrayEquals(z, backend.read(step.output()));
        for (int n = 0; n < BATCH; n++) {
          double[] q = softmax(z, n, CLASSES, t), p = softmax(soft, n, CLASSES, t), own = softmax(z, n, CLASSES, 1);
          for (int k = 0; k < CLASSES; k++) {
            double target = (k == LABELS[n] ? 1 - smoothing : 0) + smoothing / CLASSES;
            loss -= ((1 - hard) * t * t * p[k] * Math.log(q[k]) + hard * target * Math.log(own[k])) / BATCH;
            gradient[n * CLASSES + k] = (float) (((1 - hard) * t * (q[k] - p[k]) + hard * (own[k] - target)) / BATCH);
          }
        }
        assertEquals(loss, outcome.error(), (rounds ? 0.01 : 1e-5) * loss);
        Tensor gradLogits = backend.create(Shape.matrix(BATCH, CLASSES));
        backend.write(gradLogits, gradient);
        alone.backward(gradLogits);
        for (int i = 0; i < model.parameters().size(); i++) {
          Parameter parameter = model.parameters().get(i);
          float[] want = backend.read(alone.parameters().get(i).gradient());
          if (rounds && want.length == 1) continue;   // a small difference of large sums
          float largest = 0;
          for (float v : want) largest = Math.max(largest, Math.abs(v));
          assertArrayEquals(want, backend.read(parameter.gradient()), (rounds ? 0.2f : 1e-3f) * Math.max(largest, 1e-4f), passes + " " + parameter.name());
        }
      }
    }
  }

  @OnEveryBackend
  void partsOfABatchLearnFromTheTeacherAsTheWholeDoes(Backend backend) throws CheckpointException {
    List<float[]> whole = null;
    for (int capacity : new int[] {BATCH, 4, 2}) {
      Model model = student(backend, TrainStepTest::withoutBatchNorm, capacity, Passes.AUTO, true);
      TrainStep.Outcome outcome = step(backend, model, 2, 0.25).gradients(images(backend, BATCH), Truth.of(LABELS));
      List<float[]> all = new ArrayList<>(List.of(new float[] {(float) outcome.error(), outcome.top1(), outcome.top5()}));
      model.parameters().forEach(p -> all.add(backend.read(p.gradient())));
      if (whole == null) whole = all;
      for (int i = 0; i < all.size(); i++) {
        float largest = 0;
        for (float v : whole.get(i)) largest = Math.max(largest, Math.abs(v));
        assertArrayEquals(whole.get(i), all.get(i), 5e-5f * largest, "tensor " + i + " in parts of " + capacity);
      }
    }
  }

  @OnEveryPrecision
  void replayedStepsLearnAndLeaveTheTeacherAsItWas(Backend backend) throws CheckpointException {
    List<Object[]> ends = new ArrayList<>();
    for (boolean replays : new boolean[] {false, true}) {
      backend.replay(replays);
      Model model = student(backend, new GlyphNet(8), BATCH, Passes.AUTO, true);
      Object[] teacher = model.teacher().save().toArray();
      TrainStep step = step(backend, model, 1, 0);
      Tensor x = images(backend, BATCH);
      double first = step.run(x, Truth.of(LABELS), 0.01).loss(), last = first;
      for (int i = 0; i < 6; i++) last = step.run(x, Truth.of(LABELS), 0.01).loss();
      assertTrue(last < first, first + " -> " + last);
      assertArrayEquals(teacher, model.teacher().save().toArray());
      ends.add(model.save().toArray());
    }
    assertArrayEquals(ends.get(0), ends.get(1));
  }

  private TeacherWeights weights(long seed) throws IOException {
    try (Backend cpu = new CpuBackend()) {
      Model model = new Model(new RealResNet(18), METHOD, Shape.image(1, 12, 12, 1), CLASSES, cpu, seed);
      return new TeacherWeights(trained(model, seed), Long.toString(seed).repeat(64), "file of " + seed);
    }
  }

  private Trainer trainer(Backend backend, String run, int stop, TeacherWeights weights, RunLog log) throws IOException {
    Recipe recipe = RECIPES.load(ChildRun.smallRecipe(folder).toString(), List.of("teacher.network=real-resnet18", "data.batch=4", "data.evalBatch=4", "train.gradientAccumulation=2"));
    Trainer trainer = new Trainer(recipe, backend, new TrainOptions("taught", null, folder.resolve(run), stop, 2), new SingleProcess(), Screen.none(), log, () -> { });
    trainer.teach(weights);
    return trainer;
  }

  @OnEveryBackend
  void aRunGoesOnWithTheSameTeacherToTheSameBitsAndWithNoOther(Backend backend) throws Exception {
    TeacherWeights weights = weights(1), others = new TeacherWeights(weights.tensors(), "2".repeat(64), "file of 2");
    try (RunLog log = RunLog.screenOnly(Screen.none())) {
      Trainer whole = trainer(backend, "whole", 2, weights, log);
      assertEquals(Trainer.End.COMPLETE, whole.run());
      Trainer half = trainer(backend, "half", 1, weights, log);
      half.run();
      String refusal = assertThrows(IllegalArgumentException.class, () -> trainer(backend, "half", 2, others, log).resume()).getMessage();
      assertTrue(refusal.contains("weights of SHA-256 1111111111111111 so far") && refusal.contains("teacher.weights file of 2 has weights of SHA-256 2222222222222222"), refusal);
      Trainer second = trainer(backend, "half", 2, weights, log);
      assertTrue(second.resume());
      second.run();
      assertEquals(ChildRun.weightsDigest(folder.resolve("whole")), ChildRun.weightsDigest(folder.resolve("half")));
    }
  }

  @Test
  void aRankWithAnotherTeacherThanRankZeroIsRefused() throws Exception {
    Communicator second = (Communicator) Proxy.newProxyInstance(Communicator.class.getClassLoader(), new Class<?>[] {Communicator.class}, (proxy, method, given) -> switch (method.getName()) {
      case "rank" -> 1;
      case "size" -> 2;
      default -> "1".repeat(64).getBytes(StandardCharsets.UTF_8);   // what rank 0 tells
    });
    try (Backend backend = new CpuBackend()) {
      Model model = student(backend, new GlyphNet(8), BATCH, Passes.SIMPLE, false);
      RankAgreement agreement = new RankAgreement(second, backend, model, new Adam(backend, model.parameters(), 0.9, 0.999, 1e-8, false, p -> 0));
      agreement.requireEqual("teacher.weights F", "1".repeat(64));
      assertEquals("teacher.weights F: rank 1 has other values there than rank 0; all must have the same",
          assertThrows(CheckpointException.class, () -> agreement.requireEqual("teacher.weights F", "2".repeat(64))).getMessage());
    }
  }

  @Test
  void aRecordedStepIsNotComparedWithARecipeThatLearnsFromATeacherOrFindsBoxes() throws Exception {
    Path file = folder.resolve("recorded.safetensors");
    Safetensors.write(file, Map.of(), List.of(NamedTensor.ofFloats("x0", new int[] {1, 1, 12, 12}, new float[144])));
    try (Backend backend = new CpuBackend()) {
      Recipe taught = RECIPES.load(ChildRun.smallRecipe(folder).toString(), List.of("teacher.network=real-resnet18")), boxes = RECIPES.load("adabin-ssd300-voc", List.of());
      assertEquals("the recipe learns from a teacher, of which a recorded step knows nothing; give --set teacher.network=none",
          assertThrows(IllegalArgumentException.class, () -> CheckStep.run(Safetensors.read(file), taught, backend, 1)).getMessage());
      assertEquals("the recipe's network finds boxes, of which a recorded step knows nothing; check-step is of networks that classify",
          assertThrows(IllegalArgumentException.class, () -> CheckStep.run(Safetensors.read(file), boxes, backend, 1)).getMessage());
    }
  }

  @Test
  void weightsThatDoNotFitAreRefusedInOneSentence() throws Exception {
    TeacherWeights good = weights(1);
    Path file = folder.resolve("teacher.safetensors");
    Safetensors.write(file, Map.of(), good.tensors());
    TeacherWeights read = TeacherWeights.read(file.toString());
    assertEquals(64, read.sha256().length());
    List<NamedTensor> backwards = new ArrayList<>(good.tensors()).reversed();
    Safetensors.write(file, Map.of("note", "the same in another order"), backwards);
    assertEquals(read.sha256(), TeacherWeights.read(file.toString()).sha256());
    backwards.replaceAll(t -> t.name().equals("fc.bias") ? NamedTensor.ofFloats("fc.bias", new int[] {CLASSES}, new float[CLASSES]) : t);
    Safetensors.write(file, Map.of(), backwards);
    assertNotEquals(read.sha256(), TeacherWeights.read(file.toString()).sha256());
    backwards.replaceAll(t -> t.name().equals("fc.bias") ? NamedTensor.ofFloats("fc.bias", new int[] {1}, new float[] {Float.NaN}) : t);
    Safetensors.write(file, Map.of(), backwards);
    assertEquals("teacher.weights: tensor fc.bias holds NaN; all weights must be finite",
        assertThrows(CheckpointException.class, () -> TeacherWeights.read(file.toString())).getMessage());
    try (RunLog log = RunLog.screenOnly(Screen.none()); Backend backend = new CpuBackend()) {
      List<NamedTensor> fewer = good.tensors().subList(1, good.tensors().size());
      assertEquals("teacher.weights F: tensor conv1.weight is missing; the network needs 102 tensors, 101 fit",
          assertThrows(CheckpointException.class, () -> trainer(backend, "a", 1, new TeacherWeights(fewer, "x", "F"), log)).getMessage());
      List<NamedTensor> more = good.tensors().stream().map(t -> t.name().equals("fc.bias") ? NamedTensor.ofFloats("fc.bias", new int[] {1000}, new float[1000]) : t).toList();
      assertEquals("teacher.weights F: the teacher knows 1000 classes, data.classes is 10; both must be equal",
          assertThrows(CheckpointException.class, () -> trainer(backend, "a", 1, new TeacherWeights(more, "x", "F"), log)).getMessage());
    }
  }
}
