package onebit.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import onebit.binarize.AdaBin;
import onebit.data.Boxes;
import onebit.detect.Matching;
import onebit.detect.Priors;
import onebit.dist.Activity;
import onebit.dist.Communicator;
import onebit.models.Execution;
import onebit.models.Model;
import onebit.models.SmallPyramid;
import onebit.ops.Backend;
import onebit.ops.OnEveryBackend;
import onebit.ops.OptimOps;
import onebit.ops.cpu.CpuBackend;
import onebit.ops.cuda.CudaBackend;
import onebit.ops.cuda.EmulatedDriver;
import onebit.optim.Adam;
import onebit.recipe.DistRecipe;
import onebit.tensor.ElementType;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;

/** Steps on images with boxes, of a network made as SSD300 is. */
class DetectionStepTest {
  private static final AdaBin METHOD = new AdaBin(AdaBin.Form.CODE, true, false);
  private static final int SIDE = 8, CLASSES = 3, FILTERS = 5, IMAGE = SIDE * SIDE * 3;
  /** 34, for which the network has all its 272 values, whichever of its convolutions they come from. */
  private static final Priors PRIORS = new Priors(SIDE, List.of(new Priors.Level(4, 2, 2, 4, List.of()), new Priors.Level(1, 8, 6, 8, List.of())));

  /** A model for so many images at once, and its step for so many in all. */
  private static final class Run {
    final Backend backend;
    final Model model;
    final TrainStep step;

    Run(Backend backend, int capacity, int batch) {
      this.backend = backend;
      model = new Model(new SmallPyramid(8), METHOD, Shape.image(capacity, SIDE, SIDE, 3), FILTERS, backend, 2, Execution.DEFAULT);
      model.use(METHOD.at(3, 10));
      assertEquals(PRIORS.count() * (4 + 1 + CLASSES), model.outputs());
      step = new TrainStep(backend, model, new Adam(backend, model.parameters(), 0.9, 0.999, 1e-8, false, p -> 0), batch,
          new BoxDetection(backend, model, batch, CLASSES, PRIORS));
    }

    Tensor images(float[] values) {
      Tensor x = backend.create(Shape.image(values.length / IMAGE, SIDE, SIDE, 3));
      backend.write(x, values);
      return x;
    }

    /** {error, loss, location}, then all gradients. */
    List<float[]> gradients(float[] images, Truth truth) {
      return told(step.gradients(images(images), truth));
    }

    List<float[]> told(TrainStep.Outcome outcome) {
      assertNull(outcome.notFinite());
      List<float[]> all = new ArrayList<>();
      all.add(new float[] {(float) outcome.error(), (float) outcome.loss(), (float) outcome.location()});
      for (Parameter p : model.parameters()) all.add(backend.read(p.gradient()).clone());
      return all;
    }
  }

  private static float[] images(int n) {
    float[] values = new float[n * IMAGE];
    SplittableRandom random = new SplittableRandom(9);
    for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
    return values;
  }

  /** One box, or two, in each image. */
  private static Truth boxes(int images, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    Boxes[] all = new Boxes[images];
    for (int i = 0; i < images; i++) {
      all[i] = new Boxes().clear(SIDE, SIDE);
      for (int box = 0; box <= i % 2; box++) {
        float left = (float) random.nextDouble(0.5), top = (float) random.nextDouble(0.5);
        all[i].add(random.nextInt(CLASSES), false, left, top, left + (float) random.nextDouble(0.3, 0.5), top + (float) random.nextDouble(0.3, 0.5));
      }
    }
    return new Truth(new int[images], all);
  }

  /** Priors that are to find a box in each of these images. */
  private static int[] positives(Truth truth) {
    int[] labels = new int[PRIORS.count()];
    return Arrays.stream(truth.boxes()).mapToInt(boxes -> {
      new Matching(PRIORS, 0.5).match(boxes, labels, 0, new float[4 * labels.length], 0);
      return (int) Arrays.stream(labels).filter(label -> label > 0).count();
    }).toArray();
  }

  /** The mean of what two pieces of a batch gave, by their positives. A gradient of one number is a small difference of large sums. */
  private static void assertMean(List<float[]> first, int ofFirst, List<float[]> second, int ofSecond, List<float[]> got) {
    assertTrue(ofFirst > 0 && ofSecond > 0 && ofFirst != ofSecond, ofFirst + " and " + ofSecond + " positives");
    for (int i = 0; i < got.size(); i++) {
      float[] want = new float[got.get(i).length];
      float largest = 0;
      for (int k = 0; k < want.length; k++) {
        want[k] = (ofFirst * first.get(i)[k] + ofSecond * second.get(i)[k]) / (ofFirst + ofSecond);
        largest = Math.max(largest, Math.abs(want[k]));
      }
      assertArrayEquals(want, got.get(i), (want.length == 1 ? 1e-3f : 1e-5f) * largest, "tensor " + i);
    }
  }

  private static Truth part(Truth truth, int from, int to) {
    return new Truth(Arrays.copyOfRange(truth.labels(), from, to), Arrays.copyOfRange(truth.boxes(), from, to));
  }

  /** Five images in parts of two and three; one image of the second part has no boxes. */
  @OnEveryBackend
  void aStepInPartsIsTheMeanOfItsPartsByTheirPositives(Backend backend) {
    float[] images = images(5);
    Truth truth = boxes(5, 1);
    truth.boxes()[3].clear(SIDE, SIDE);
    List<float[]> got = new Run(backend, 3, 5).gradients(images, truth);
    List<float[]> first = new Run(backend, 2, 2).gradients(Arrays.copyOf(images, 2 * IMAGE), part(truth, 0, 2));
    List<float[]> second = new Run(backend, 3, 3).gradients(Arrays.copyOfRange(images, 2 * IMAGE, 5 * IMAGE), part(truth, 2, 5));
    for (int k = 0; k < 3; k++) assertTrue(Math.abs(first.getFirst()[k] - second.getFirst()[k]) > 1e-2 * first.getFirst()[k], "the parts differ");
    int[] positives = positives(truth);
    assertMean(first, positives[0] + positives[1], second, positives[2] + positives[3] + positives[4], got);
  }

  /** Ranks among threads that take means. */
  private static Communicator rank(Backend backend, int rank, float[][][] table, CyclicBarrier barrier) {
    Activity activity = new Activity();
    InvocationHandler handler = (proxy, method, given) -> switch (method.getName()) {
      case "rank" -> rank;
      case "size" -> table.length;
      case "activity" -> activity;
      case "awaitMeans" -> null;
      case "startMean" -> {
        List<?> tensors = (List<?>) given[1];
        table[rank] = tensors.stream().map(tensor -> backend.read((Tensor) tensor).clone()).toArray(float[][]::new);
        barrier.await(60, TimeUnit.SECONDS);
        for (int i = 0; i < tensors.size(); i++) {
          float[] mean = new float[table[rank][i].length];
          for (float[][] each : table) for (int k = 0; k < mean.length; k++) mean[k] += each[i][k] / table.length;
          backend.write((Tensor) tensors.get(i), mean);
        }
        barrier.await(60, TimeUnit.SECONDS);
        yield null;
      }
      default -> throw new UnsupportedOperationException(method.getName());
    };
    return (Communicator) Proxy.newProxyInstance(Communicator.class.getClassLoader(), new Class<?>[] {Communicator.class}, handler);
  }

  /** Four images: one is the first rank's, in one part; three the second's, in two. */
  @Test
  void ranksOfUnequalImagesAndPartsLearnTheMeanByThePositivesOfAll() throws Exception {
    float[] images = images(4);
    Truth truth = boxes(4, 3);
    float[][] parts = {Arrays.copyOf(images, IMAGE), Arrays.copyOfRange(images, IMAGE, 4 * IMAGE)};
    Truth[] truths = {part(truth, 0, 1), part(truth, 1, 4)};
    int[] positives = positives(truth);
    float[][][] table = new float[2][][];
    CyclicBarrier barrier = new CyclicBarrier(2);
    List<Callable<List<float[]>>> each = new ArrayList<>();
    for (int r = 0; r < 2; r++) {
      int rank = r;
      each.add(() -> {
        try (Backend backend = new CpuBackend()) {
          Run run = new Run(backend, 2, 3);
          run.step.together(new StepReduction(rank(backend, rank, table, barrier), run.model, new DistRecipe(DistRecipe.Reduce.FLOAT32, false, 0.002, 60, Optional.empty())));
          return run.told(run.step.start(run.images(parts[rank]), truths[rank], 0, 4).outcome());
        }
      });
    }
    try (Backend backend = new CpuBackend(); ExecutorService threads = Executors.newFixedThreadPool(2)) {
      List<Future<List<float[]>>> got = threads.invokeAll(each);
      List<float[]> first = new Run(backend, 2, 3).gradients(parts[0], truths[0]), second = new Run(backend, 2, 3).gradients(parts[1], truths[1]);
      for (Future<List<float[]>> one : got) assertMean(first, positives[0], second, positives[1] + positives[2] + positives[3], one.get());
    }
  }

  @OnEveryBackend
  void imagesWithoutBoxesGiveNoLossAndNoGradient(Backend backend) {
    Truth truth = boxes(2, 1);
    for (Boxes each : truth.boxes()) each.clear(SIDE, SIDE);
    for (float[] values : new Run(backend, 2, 2).gradients(images(2), truth)) assertArrayEquals(new float[values.length], values, 0);
  }

  /** What is recorded reads the boxes of its own step: its loss is that of the CPU for the values that the network gave. Nothing is learned, so that these stay. */
  @OnEveryBackend
  void replayedStepsLearnFromTheBoxesOfTheirOwnBatch(Backend backend) {
    Run run = new Run(backend, 2, 2);
    Tensor x = run.images(images(2));
    run.step.gradients(x, boxes(2, 1));
    float[] output = backend.read(run.step.output());
    List<TrainStep.Outcome> outcomes = new ArrayList<>();
    try (Backend cpu = new CpuBackend()) {
      for (int i = 0; i < 7; i++) {
        Truth truth = boxes(2, i % 5);
        TrainStep.Outcome outcome = run.step.run(x, truth, 0);
        float[] wanted = loss(cpu, output, truth);
        assertEquals(wanted[0], outcome.error(), 1e-5 * wanted[0], "loss of step " + i);
        assertEquals(wanted[1], outcome.location(), 1e-5 * wanted[1], "location of step " + i);
        outcomes.add(outcome);
      }
    }
    assertEquals(outcomes.get(0), outcomes.get(5));
    assertNotEquals(outcomes.get(5), outcomes.get(6));
  }

  /** Beside the images: of each prior a class, a place and the count of all, and what a step tells at its end. */
  @Test
  void aReplayedStepAllocatesNothingWaitsForNothingAndMovesOnlyWhatIsWantedAndTheVerdict() throws Exception {
    String refusal = EmulatedDriver.refusal();
    assumeTrue(refusal == null, refusal);
    List<String> names = List.of("allocations", "frees", "synchronisations", "bytes_to_device", "bytes_to_host", "graph_launches");
    try (Backend device = CudaBackend.emulated()) {
      Run run = new Run(device, 2, 2);
      Tensor x = run.images(images(2));
      long[] before = null;
      TrainStep.Running last = null;
      for (int i = 0; i < 8; i++) {
        if (i == 5) before = names.stream().mapToLong(EmulatedDriver::counter).toArray();
        TrainStep.Running now = run.step.start(x, boxes(2, i), 1e-3);
        if (last != null) last.outcome();
        last = now;
      }
      long bytes = 3L * (2 * PRIORS.count() * (4 + 16) + 4), verdicts = 3L * 4 * OptimOps.VERDICT;
      long[] want = {0, 0, 0, bytes, verdicts, 3};
      for (int i = 0; i < want.length; i++) assertEquals(want[i], EmulatedDriver.counter(names.get(i)) - before[i], names.get(i));
      assertNull(last.outcome().notFinite());
    }
  }

  private static float[] loss(Backend cpu, float[] output, Truth truth) {
    int images = truth.boxes().length, priors = PRIORS.count();
    int[] labels = new int[images * priors];
    float[] offsets = new float[4 * images * priors];
    Matching matching = new Matching(PRIORS, 0.5);
    for (int i = 0; i < images; i++) matching.match(truth.boxes()[i], labels, i * priors, offsets, 4 * i * priors);
    Tensor values = cpu.create(Shape.matrix(images, output.length / images)), result = cpu.create(Shape.vector(3)), divisor = cpu.create(Shape.vector(1));
    Tensor wanted = cpu.create(Shape.matrix(images, priors), ElementType.INT32), places = cpu.create(Shape.matrix(images, 4 * priors));
    cpu.write(values, output);
    cpu.write(wanted, labels);
    cpu.write(places, offsets);
    cpu.write(divisor, new float[] {Arrays.stream(positives(truth)).sum()});
    cpu.loss().multibox(result, cpu.create(values.shape()), values, wanted, places, divisor, 1 + CLASSES, 3);
    return cpu.read(result);
  }
}
