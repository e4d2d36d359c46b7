package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import onebit.ops.Backend;
import onebit.ops.Inlet;
import onebit.ops.OptimOps;
import onebit.ops.cuda.EmulatedDevice;
import onebit.ops.cuda.EmulatedDriver;
import onebit.recipe.Recipe;
import onebit.recipe.TrainRecipe.Precision;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.train.MemoryPlan;
import onebit.train.TrainStep;
import onebit.train.Truth;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** What a training step asks of a device besides its kernels, by the emulated driver's counters: the kernels are counted, and done only where losses are looked at. */
class StepTrafficTest {
  private static final long WORKSPACES = 32 << 20;
  private static final List<String> STILL = List.of("allocations", "frees", "live_bytes", "synchronisations");

  /** The counters of the driver when it was made, and by how much they grew since. */
  private static final class Counters {
    private final long[] still = STILL.stream().mapToLong(EmulatedDriver::counter).toArray();
    private final long toDevice = EmulatedDriver.counter("bytes_to_device");
    private final long toHost = EmulatedDriver.counter("bytes_to_host");
    private final long launches = EmulatedDriver.counter("launches");
    private final long libraryCalls = EmulatedDriver.counter("library_calls");
    private final long graphs = EmulatedDriver.counter("graph_launches");
    private final long calls = EmulatedDriver.counter("calls");

    void assertStill() {
      for (int i = 0; i < still.length; i++) assertEquals(still[i], EmulatedDriver.counter(STILL.get(i)), STILL.get(i));
    }

    long since(String name, long before) {
      return EmulatedDriver.counter(name) - before;
    }
  }

  /** A recipe's step on random images. */
  private static final class Run {
    private final Backend backend;
    private final TrainStep step;
    private final Inlet inlet;
    private final byte[] images;
    private final int[] labels;
    private TrainStep.Running before;

    Run(Recipe recipe, Backend backend, int batch) {
      this.backend = backend;
      step = TrainStep.of(recipe, backend, batch);
      Shape shape = Shape.image(batch, recipe.data().height(), recipe.data().width(), recipe.data().channels());
      inlet = backend.inlet(shape);
      images = new byte[shape.size()];
      new Random(1).nextBytes(images);
      labels = new int[batch];
    }

    /** Steps whose outcomes are taken one step later, as in training. */
    void steps(int count) {
      for (int i = 0; i < count; i++) {
        TrainStep.Running now = step.start(inlet.next(images, labels.length), Truth.of(labels), 1e-3);
        if (before != null) before.outcome();
        before = now;
      }
    }
  }

  @BeforeEach
  void needsTheEmulatedDevice() {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
  }

  private static Backend idleDevice(Precision precision) {
    Backend backend = Workplace.open("cuda-emulated", precision, true);
    EmulatedDevice.idle(true);
    return backend;
  }

  @AfterEach
  void idleNoMore() {
    if (EmulatedDriver.refusal() == null) EmulatedDevice.idle(false);
  }

  /** Networks of all kinds, in float32 and in the device's bfloat16; of AdaBin every memory mode; in parts: a batch of two images seen one by one; ImageNet's network with the property onebit.test.full. */
  @ParameterizedTest
  @CsvSource({"bmxnet-lenet-mnist, FP32, fast, 1, 2, 12", "adabin-resnet20-cifar10, FP32, fast, 1, 1, 3", "biper-resnet20-cifar10-stage2, FP32, fast, 1, 1, 3",
      "rbnn-resnet20-cifar10, FP32, fast, 1, 1, 3", "bmxnet-lenet-mnist, BF16, fast, 2, 2, 1", "adabin-resnet20-cifar10, BF16, fast, 1, 1, 1",
      "biper-resnet20-cifar10-stage2, BF16, fast, 1, 1, 1", "rbnn-resnet20-cifar10, BF16, fast, 1, 1, 1", "adabin-resnet20-cifar10, BF16, compact, 1, 1, 1",
      "adabin-resnet20-cifar10, BF16, tiny, 2, 2, 1", "adabin-resnet18-imagenet, BF16, fast, 1, 1, 1"})
  void stepsAllocateNothingWaitForNothingAndMoveOnlyTheBatchAndTheVerdict(String name, Precision precision, String memory, int parts, int batch, int steps) {
    assumeTrue(Boolean.getBoolean("onebit.test.full") || !name.contains("imagenet"), "only with -Donebit.test.full=true");
    int side = name.contains("imagenet") ? 50 : name.contains("mnist") ? 28 : 16;
    List<String> overrides = new ArrayList<>(List.of("data.height=" + side, "data.width=" + side, "data.classes=10", "train.memory=" + memory, "train.gradientAccumulation=" + parts));
    if (name.contains("imagenet")) overrides.addAll(List.of("data.evalResize=0", "data.evalCrop=0"));
    Recipe recipe = Workplace.RECIPES.load(name, overrides);
    try (Backend backend = idleDevice(precision)) {
      Run run = new Run(recipe, backend, batch);
      run.steps(6);   // of either room of the inlet: call by call, captured, replayed
      Counters all = new Counters();
      run.steps(steps);
      all.assertStill();
      assertEquals(steps * (run.images.length + 4L * batch), all.since("bytes_to_device", all.toDevice), "bytes to the device: images and labels");
      assertEquals(steps * 4L * OptimOps.VERDICT, all.since("bytes_to_host", all.toHost), "bytes to the host: the verdict");
      long replayed = all.since("launches", all.launches);
      assertEquals(steps, all.since("graph_launches", all.graphs), "graphs");
      backend.replay(false);
      Counters direct = new Counters();
      run.steps(1);
      long launches = direct.since("launches", direct.launches);
      assertEquals(steps * launches, replayed, "launches of replayed steps, from one of a step that is not");
      System.out.printf("%s: a step is one graph of %d kernels and %d calls of cuBLAS and cuDNN%n", String.join(", ", name, precision.name(), memory, parts + " part(s)"), launches,
          direct.since("library_calls", direct.libraryCalls));
    }
  }

  @Test
  void aReplayedStepIsOneGraphBesideTheCopiesOfBatchAndVerdict() {
    try (Backend backend = idleDevice(Precision.FP32)) {
      Run run = new Run(Workplace.RECIPES.load("bmxnet-lenet-mnist", List.of()), backend, 2);
      run.steps(6);
      Counters counters = new Counters();
      run.steps(10);
      // images: an event behind the step before, a wait for it, a look at the event of two copies ago, a copy, an event, a wait for that; labels: a copy,
      // an event, and a look at the event of four copies ago; the rate: a fill; the graph;
      // the verdict: a copy, an event, and a look at the event of the step before
      assertEquals(10 * (6 + 3 + 1 + 1 + 3), counters.since("calls", counters.calls));
      backend.replay(false);
      run.steps(1);
      Counters direct = new Counters();
      run.steps(1);
      assertEquals(0, direct.since("graph_launches", direct.graphs));
      assertEquals(counters.since("launches", counters.launches) / 12, direct.since("launches", direct.launches));
    }
  }

  /** A graph reads the room of the inlet it was recorded with: the two in turn, each with images of its own. */
  @ParameterizedTest
  @EnumSource(names = {"FP32", "BF16"})
  void replayedStepsSeeTheImagesOfTheirOwnBatch(Precision precision) {
    Recipe recipe = Workplace.RECIPES.load("default", List.of("network.width=8", "data.height=8", "data.width=8", "data.batch=2"));
    double[][] losses = new double[2][9];
    for (int replayed = 0; replayed < 2; replayed++) {
      try (Backend backend = Workplace.open("cuda-emulated", precision, true)) {
        backend.replay(replayed == 1);
        Run run = new Run(recipe, backend, 2);
        Random random = new Random(3);
        for (int i = 0; i < losses[0].length; i++) {
          random.nextBytes(run.images);
          losses[replayed][i] = run.step.run(run.inlet.next(run.images, 2), Truth.of(i % 10, i % 3), 1e-2).loss();
        }
      }
    }
    assertArrayEquals(losses[0], losses[1]);
    assertEquals(losses[0].length, Arrays.stream(losses[0]).distinct().count());
  }

  @Test
  void threeHundredStepsGrowNothing() {
    Recipe recipe = Workplace.RECIPES.load("default", List.of("network.width=8", "data.height=8", "data.width=8", "data.batch=1"));
    try (Backend backend = idleDevice(Precision.FP32)) {
      Run run = new Run(recipe, backend, 1);
      run.steps(4);
      Counters counters = new Counters();
      run.steps(300);
      counters.assertStill();
      assertEquals(300, counters.since("graph_launches", counters.graphs));
    }
  }

  /** The plan tells the memory of steps in parts, but for what every device holds: rounded scratch, cuBLAS's and cuDNN's workspaces, tables. */
  @ParameterizedTest
  @CsvSource({"fast, 1, none", "tiny, 3, none", "fast, 2, real-resnet18", "compact, 1, run"})
  void theDeviceHoldsWhatThePlanTells(String memory, int parts, String teacher, @TempDir Path run) throws IOException {
    Files.writeString(run.resolve("recipe.yaml"), Workplace.RECIPES.write(Workplace.RECIPES.load("rbnn-resnet20-cifar10", List.of())));
    Recipe recipe = Workplace.RECIPES.load("adabin-resnet20-cifar10", List.of("data.batch=6", "data.evalBatch=6", "train.passes=fused", "train.memory=" + memory,
        "train.gradientAccumulation=" + parts, "teacher.network=" + teacher, "teacher.weights=" + (teacher.equals("run") ? run : "null")));
    try (Backend backend = idleDevice(Precision.FP32)) {
      long before = EmulatedDriver.counter("live_bytes");
      new Run(recipe, backend, 6).steps(1);
      long held = EmulatedDriver.counter("live_bytes") - before, told = MemoryPlan.of(recipe, 6, ElementType.FLOAT32).bytes();
      System.out.println(memory + " in " + parts + " parts: the device holds " + held + " bytes, the plan tells " + told);
      assertTrue(held >= told + WORKSPACES && held <= told + WORKSPACES + (1 << 20), held + " bytes held, " + told + " told");
    }
  }
}
