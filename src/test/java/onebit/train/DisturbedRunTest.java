package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import onebit.checkpoint.CheckpointException;
import onebit.data.Sampler;
import onebit.dist.Communicator;
import onebit.dist.SingleProcess;
import onebit.ops.Backend;
import onebit.ops.LossOps;
import onebit.ops.cpu.CpuBackend;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import onebit.report.MetricsLog;
import onebit.report.RunLog;
import onebit.report.Screen;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Whole runs in which the loss of chosen batches is not what it should be, or a stop is asked for at a chosen batch.
 *
 * <pre>
 * Units   three epochs of 16 batches of 32 images, each evaluated in 8 batches of 64: the loss is asked for 24 times an epoch
 * </pre>
 */
class DisturbedRunTest {
  private static final int STEPS = 16, BATCH = 32, IMAGES = 512, ASKED = 24;

  /** What happens after the loss was asked for so many times in a run, or 0 after the metrics of an epoch were written. */
  @FunctionalInterface
  private interface Disturbance {
    void after(Trainer trainer, int asked, Backend backend, Tensor result, Tensor gradLogits);
  }

  /** How a run ended and what it said. */
  private record Ended(Trainer.End end, CheckpointException refusal, String said, int asked) {}

  @TempDir private static Path shared;
  private static Path undisturbed;

  @TempDir private Path folder;

  @BeforeAll
  static void trainUndisturbed() throws Exception {
    undisturbed = shared.resolve("undisturbed");
    Ended ended = run(undisturbed, (trainer, asked, backend, result, gradLogits) -> { });
    assertEquals(Trainer.End.COMPLETE, ended.end, ended.said);
    assertEquals(0, warnings(ended), ended.said);
  }

  private static Recipe recipe(String... overrides) throws Exception {
    return new Recipes().load(ChildRun.smallRecipe(shared).toString(), List.of(overrides));
  }

  /** Starts a run, or goes on with it. */
  private static Ended run(Path run, Disturbance disturbance, String... overrides) throws Exception {
    Recipe recipe = recipe(overrides);
    ByteArrayOutputStream said = new ByteArrayOutputStream();
    Screen screen = Screen.of(said, false);
    int[] asked = new int[1];
    Trainer[] trainer = new Trainer[1];
    try (CpuBackend backend = new CpuBackend(); SingleProcess alone = new SingleProcess(); RunLog log = RunLog.screenOnly(screen)) {
      LossOps loss = (LossOps) Proxy.newProxyInstance(LossOps.class.getClassLoader(), new Class<?>[] {LossOps.class}, (self, method, arguments) -> {
        Object none = call(backend.loss(), method, arguments);
        disturbance.after(trainer[0], ++asked[0], backend, (Tensor) arguments[0], (Tensor) arguments[1]);
        return none;
      });
      Backend disturbed = (Backend) Proxy.newProxyInstance(Backend.class.getClassLoader(), new Class<?>[] {Backend.class},
          (self, method, arguments) -> method.getName().equals("loss") ? loss : call(backend, method, arguments));
      trainer[0] = new Trainer(recipe, disturbed, new TrainOptions("disturbed", null, run, 3, Integer.MAX_VALUE), alone, screen, log,
          () -> disturbance.after(trainer[0], 0, backend, null, null));
      trainer[0].resume();
      Trainer.End end = null;
      CheckpointException refusal = null;
      try {
        end = trainer[0].run();
      } catch (CheckpointException e) {
        refusal = e;
      }
      return new Ended(end, refusal, said.toString(StandardCharsets.UTF_8), asked[0]);
    }
  }

  private static Object call(Object target, Method method, Object[] arguments) throws Throwable {
    try {
      return method.invoke(target, arguments);
    } catch (InvocationTargetException e) {
      throw e.getCause();
    }
  }

  /** Of the run itself: that this machine's disk is slow just now is none. */
  private static long warnings(Ended ended) {
    return ended.said.lines().filter(line -> line.contains("warning") && !line.contains("The disk is slow: ")).count();
  }

  /** The samples that a step shows. */
  private static String samples(int epoch, int batch) {
    int[] order = Sampler.training(7, IMAGES, BATCH).order(epoch);
    return "samples of rank 0: " + Arrays.toString(Arrays.copyOfRange(order, batch * BATCH, (batch + 1) * BATCH)) + ".";
  }

  /** The metrics of every epoch but those of time. */
  private static List<Map<String, Object>> metrics(Path run) throws Exception {
    List<Map<String, Object>> all = new ArrayList<>();
    for (Map<String, Object> record : MetricsLog.read(run.resolve(MetricsLog.JSONL))) {
      Map<String, Object> kept = new LinkedHashMap<>(record);
      kept.keySet().removeIf(key -> key.contains("Seconds") || key.contains("PerSecond") || key.contains("Millis") || key.contains("Stall"));
      all.add(kept);
    }
    return all;
  }

  private static void requireSameAsUndisturbed(Path run) throws Exception {
    requireSame(undisturbed, run);
  }

  private static void requireSame(Path wanted, Path run) throws Exception {
    assertEquals(ChildRun.weightsDigest(wanted), ChildRun.weightsDigest(run));
    assertEquals(3, metrics(run).size());
    assertEquals(metrics(wanted), metrics(run));
  }

  /** The last batch has eight images; the first evaluation finds none right, the other two all. */
  @Test
  void metricsCountEachImageOnceAndTheFirstOfTheBestEpochsIsTheBest() throws Exception {
    int steps = 15;
    double[] loss = new double[3], hits = new double[3], among5 = new double[3];
    Path run = folder.resolve("run");
    String[] uneven = {"data.batch=36", "data.dropLast=false"};
    Trainer[] last = new Trainer[1];
    Ended ended = run(run, (trainer, asked, backend, result, gradLogits) -> {
      last[0] = trainer;
      if (asked == 0) return;
      int epoch = (asked - 1) / (steps + 8), images = gradLogits.shape().d0();
      float[] values = backend.read(result);
      if ((asked - 1) % (steps + 8) < steps) {
        loss[epoch] += images * values[0];
        hits[epoch] += values[1];
      } else {
        values[1] = epoch == 0 ? 0 : images;
        among5[epoch] += values[2];
        backend.write(result, values);
      }
    }, uneven);
    assertEquals(Trainer.End.COMPLETE, ended.end, ended.said);
    Recipe recipe = recipe(uneven);
    for (int epoch = 0; epoch < 3; epoch++) {
      Map<String, Object> record = metrics(run).get(epoch);
      assertEquals((epoch + 1) * steps, ((Number) record.get("step")).intValue());
      assertEquals(loss[epoch] / IMAGES, (double) record.get("loss"), 1e-6);
      assertEquals(100 * hits[epoch] / IMAGES, (double) record.get("trainTop1"), 1e-9);
      assertEquals(epoch == 0 ? 0 : 100, (double) record.get("testTop1"));
      assertEquals(100 * among5[epoch] / IMAGES, (double) record.get("testTop5"), 1e-9);
      assertEquals(recipe.schedule().over(3, recipe.optimizer().learningRate()).learningRate(epoch, steps - 1, steps), (double) record.get("learningRate"));
      assertTrue((double) record.get("gradientNorm") > 0 && (double) record.get("largestGradientNorm") > (double) record.get("gradientNorm"), record.toString());
      assertFalse(record.containsKey("clippedSteps"), "nothing is cut");
    }
    assertEquals(List.of(2, 100.0), List.of(last[0].bestEpoch(), last[0].bestScore()));
    assertEquals("step-000030", run.resolve("best").toRealPath().getFileName().toString());
    try (Stream<Path> files = Files.list(run)) {
      Path events = files.filter(file -> file.getFileName().toString().startsWith("events.out.tfevents.")).findFirst().orElseThrow();
      assertEquals(3, Files.readString(events, StandardCharsets.ISO_8859_1).split("testTop1", -1).length - 1);
    }
  }

  /** Four steps an epoch, those of the second all bad: it would have nothing to tell. */
  @Test
  void anEpochOfBadStepsAloneEndsTheRun() throws Exception {
    Ended ended = run(folder.resolve("run"), (trainer, asked, backend, result, gradLogits) -> {
      if (asked > 4 + 8) backend.fill(gradLogits, Float.NaN);
    }, "data.batch=128");
    assertTrue(ended.refusal.getMessage().matches("training stopped at step 8: the gradient of [\\w.]+ was not finite in 4 steps in a row; .*"), ended.refusal.getMessage());
  }

  @Test
  void oneStepWhoseGradientsAreNotFiniteIsSkippedWithItsSamplesAndTheRunGoesOn() throws Exception {
    Path run = folder.resolve("run");
    Ended ended = run(run, (trainer, asked, backend, result, gradLogits) -> {
      if (asked == ASKED + 5) backend.fill(gradLogits, Float.NaN);
    });
    assertEquals(Trainer.End.COMPLETE, ended.end, ended.said);
    assertTrue(ended.said.matches("(?s).*Step 21 was skipped: its gradient of [\\w.]+ is not finite; .*") && ended.said.contains(samples(1, 4)), ended.said);
    assertEquals(1, warnings(ended), ended.said);
    assertEquals(List.of(0L, 1L, 1L), metrics(run).stream().map(record -> ((Number) record.get("skippedSteps")).longValue()).toList());
    for (Map<String, Object> record : metrics(run)) assertTrue(Double.isFinite(((Number) record.get("loss")).doubleValue()), record.toString());
    assertEquals(ASKED * 3, ended.asked);
  }

  @Test
  void tenBadStepsInARowEndTheRunAndTheGoodCheckpointBeforeThemIsGoneOnFrom() throws Exception {
    Path run = folder.resolve("run");
    Ended ended = run(run, (trainer, asked, backend, result, gradLogits) -> {
      if (asked >= ASKED + 4) backend.fill(gradLogits, Float.NaN);
    });
    assertTrue(ended.refusal.getMessage().matches("training stopped at step 29: the gradient of [\\w.]+ was not finite in 10 steps in a row; the checkpoints before are kept"),
        ended.refusal.getMessage());
    assertEquals(10, ended.said.split(" was skipped: ", -1).length - 1, ended.said);
    String last = run.resolve("last").toRealPath().getFileName().toString();
    assertTrue(List.of("step-000016", "step-000018").contains(last), last + " is not of before step 20");
    assertEquals(Trainer.End.COMPLETE, run(run, (trainer, asked, backend, result, gradLogits) -> { }).end);
    requireSameAsUndisturbed(run);
  }

  /** Five bad steps before the stop, five after it; neither two processes, where one has computed batches in parts, nor a dry run may go on in between. */
  @Test
  void badStepsInARowCountOnAfterAStop() throws Exception {
    Path run = folder.resolve("run");
    String parts = "train.gradientAccumulation=2";
    Path ofAnother = Files.writeString(Files.createDirectories(run).resolve(BadImageLedger.FILE), "{\"split\":\"train\",\"sample\":1}\n");
    Ended ended = run(run, (trainer, asked, backend, result, gradLogits) -> {
      if (asked > 2 * 4) backend.fill(gradLogits, Float.NaN);
      if (asked == 2 * 9) stop(trainer);
    }, parts);
    assertTrue(ended.said.contains("Stopped as asked, with a checkpoint at step 9"), ended.said);
    assertFalse(Files.exists(ofAnother), "bad images of a start that no step was kept of");
    SingleProcess alone = new SingleProcess();
    Communicator two = (Communicator) Proxy.newProxyInstance(Communicator.class.getClassLoader(), new Class<?>[] {Communicator.class},
        (self, method, given) -> method.getName().equals("size") ? (Object) 2 : call(alone, method, given));
    try (CpuBackend backend = new CpuBackend(); RunLog log = RunLog.screenOnly(Screen.none())) {
      Trainer trainer = new Trainer(recipe(parts, "dist.syncBatchNorm=true"), backend, new TrainOptions("disturbed", null, run, 3, Integer.MAX_VALUE), two, Screen.none(), log, () -> { });
      String message = assertThrows(IllegalArgumentException.class, trainer::resume).getMessage();
      Trainer dry = new Trainer(recipe(parts), backend, new TrainOptions("disturbed", null, run, 3, 3), alone, Screen.none(), log, () -> { });
      assertTrue(dry.resume());
      assertEquals("run " + run + " makes 16 steps an epoch so far, now it would make 3; go on with the same --dev-run and --steps, or start anew with another --out",
          assertThrows(IllegalArgumentException.class, dry::run).getMessage());
      assertTrue(message.startsWith("train.gradientAccumulation is 2 and the run " + run + " was made by 1 process(es), now 2: "), message);
    }
    ended = run(run, (trainer, asked, backend, result, gradLogits) -> {
      if (asked > 0) backend.fill(gradLogits, Float.NaN);
    }, parts);
    assertTrue(ended.refusal.getMessage().startsWith("training stopped at step 14: the gradient of "), ended.refusal.getMessage());
    assertTrue(ended.refusal.getMessage().contains(" was not finite in 10 steps in a row"), ended.refusal.getMessage());
  }

  /** The recent ones are those of before a stop. */
  @Test
  void aLossFarAboveTheRecentOnesIsSaidWithItsSamplesAndTheRunGoesOn() throws Exception {
    Path run = folder.resolve("run");
    assertEquals(Trainer.End.STOPPED, run(run, (trainer, asked, backend, result, gradLogits) -> {
      if (asked == 2 * ASKED + 5) stop(trainer);
    }).end);
    Ended ended = run(run, (trainer, asked, backend, result, gradLogits) -> {
      if (asked != 3) return;
      float[] values = backend.read(result);
      values[0] = 1000;
      backend.write(result, values);
    });
    assertEquals(Trainer.End.COMPLETE, ended.end, ended.said);
    assertTrue(ended.said.matches("(?s).*The loss 1000\\.0000 of step 40 is \\d{3,} standard deviations above the recent ones; .*") && ended.said.contains(samples(2, 7)), ended.said);
    assertEquals(1, warnings(ended), ended.said);
    assertEquals(ChildRun.weightsDigest(undisturbed), ChildRun.weightsDigest(run), "a spike is told, not skipped");
  }

  /** In the second batch of an evaluation: it ends after that batch, and the run that goes on evaluates anew. */
  @ParameterizedTest
  @ValueSource(ints = {1, 3})
  void aStopDuringAnEvaluationEndsItAndTheRunThatGoesOnEvaluatesAsIfUndisturbed(int epoch) throws Exception {
    Path run = folder.resolve("run");
    int within = (epoch - 1) * ASKED + STEPS + 2;
    Ended ended = run(run, (trainer, asked, backend, result, gradLogits) -> {
      if (asked == within) stop(trainer);
    });
    assertEquals(Trainer.End.STOPPED, ended.end, ended.said);
    assertEquals(within, ended.asked, "the evaluation went on");
    assertTrue(ended.said.contains("The evaluation of epoch " + epoch + " ended after 2 of 8 batches"), ended.said);
    assertTrue(ended.said.contains("Stopped as asked, with a checkpoint at step " + epoch * STEPS), ended.said);
    assertEquals(epoch - 1, Files.exists(run.resolve(MetricsLog.JSONL)) ? metrics(run).size() : 0);
    ended = run(run, (trainer, asked, backend, result, gradLogits) -> { });
    assertEquals(Trainer.End.COMPLETE, ended.end, ended.said);
    assertEquals(3 * ASKED - (epoch * ASKED - 8), ended.asked, "no step was made twice");
    assertTrue(ended.said.matches("(?s).*epoch " + epoch + "/3  loss \\S+  train \\S+ %  test \\S+ %( \\(best\\))?\n.*") && !ended.said.contains(" 0 images/s"), ended.said);
    for (int e = 1; e <= 3; e++) assertEquals(e != epoch, MetricsLog.read(run.resolve(MetricsLog.JSONL)).get(e - 1).containsKey("imagesPerSecond"), "epoch " + e);
    requireSameAsUndisturbed(run);
  }

  /**
   * RBNN turns its rotations before an epoch, and float8 gradients are measured at its first batch. Stops between two epochs, within one and in its evaluation, and an end behind
   * its metrics, before their checkpoint.
   */
  @Test
  void whatIsDoneOnceAnEpochIsDoneOnceWhereverTheRunStops() throws Exception {
    Path whole = folder.resolve("whole"), run = folder.resolve("run");
    String[] both = {"method.name=rbnn", "train.gradients=float8", "optimizer.clipNorm=1.5"};
    List<Integer> turned = new ArrayList<>();
    List<List<Float>> seen = new ArrayList<>();
    assertEquals(Trainer.End.COMPLETE, run(whole, (trainer, asked, backend, result, gradLogits) -> {
      List<Float> rotation = new ArrayList<>();
      for (float value : backend.read(rotation(trainer))) rotation.add(value);
      if (!seen.isEmpty() && !seen.getLast().equals(rotation)) turned.add(asked);
      seen.add(rotation);
    }, both).end);
    assertEquals(List.of(ASKED + 2, 2 * ASKED + 3), turned, "rotations change before an epoch, whose first loss is that of the measurement");
    Ended ended = run(run, (trainer, asked, backend, result, gradLogits) -> {
      if (asked == 0) stop(trainer);
    }, both);
    assertTrue(ended.said.contains("Stopped as asked, with a checkpoint at step " + STEPS), ended.said);
    assertEquals(1, metrics(run).size(), "the epoch had ended");
    Files.delete(run.resolve("best"));   // as an end between the checkpoint and its name leaves it
    ended = run(run, (trainer, asked, backend, result, gradLogits) -> {
      if (asked == 1 + 4) stop(trainer);
    }, both);
    assertTrue(ended.said.contains("Stopped as asked, with a checkpoint at step " + (STEPS + 4)), ended.said);
    assertEquals("step-000016", run.resolve("best").toRealPath().getFileName().toString());
    ended = run(run, (trainer, asked, backend, result, gradLogits) -> {
      if (asked == STEPS - 4 + 2) stop(trainer);
    }, both);
    assertTrue(ended.said.contains("The evaluation of epoch 2 ended after "), ended.said);
    assertEquals("killed", assertThrows(IllegalStateException.class, () -> run(run, (trainer, asked, backend, result, gradLogits) -> {
      if (asked == 0) throw new IllegalStateException("killed");
    }, both)).getMessage());
    Path file = run.resolve(MetricsLog.JSONL);
    Files.writeString(file, Files.readString(file).replaceAll("(\"epoch\":2,.*\"testTop1\":)[^,]+", "$1-1"));
    assertEquals(-1, ((Number) metrics(run).get(1).get("testTop1")).intValue(), "as another device might have evaluated");
    ended = run(run, (trainer, asked, backend, result, gradLogits) -> { }, both);
    assertEquals(Trainer.End.COMPLETE, ended.end);
    assertEquals(8 + 1 + ASKED, ended.asked, "an epoch counts as ended when its report is written");
    requireSame(whole, run);
    long clipped = metrics(run).stream().mapToLong(record -> ((Number) record.get("clippedSteps")).longValue()).sum();
    assertTrue(clipped > 0 && clipped < 3 * STEPS, clipped + " steps were cut of " + metrics(run));
  }

  private static Tensor rotation(Trainer trainer) {
    return trainer.model().state().stream().filter(state -> state.name().endsWith(".R1")).findFirst().orElseThrow().value();
  }

  /** Asks as a signal does, on another thread, and returns when it is asked. */
  private static void stop(Trainer trainer) {
    Thread signal = Thread.ofPlatform().daemon().start(trainer::stopAndWait);
    while (signal.getState() != Thread.State.WAITING) Thread.onSpinWait();
  }
}
