package onebit.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import onebit.binarize.AdaBin;
import onebit.data.Boxes;
import onebit.detect.Matching;
import onebit.detect.Priors;
import onebit.models.Execution;
import onebit.models.Model;
import onebit.models.SmallPyramid;
import onebit.ops.Backend;
import onebit.ops.OnEveryBackend;
import onebit.ops.cpu.CpuBackend;
import onebit.optim.Adam;
import onebit.tensor.ElementType;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

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
      TrainStep.Outcome outcome = step.gradients(images(images), truth);
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

  private static Truth part(Truth truth, int from, int to) {
    return new Truth(Arrays.copyOfRange(truth.labels(), from, to), Arrays.copyOfRange(truth.boxes(), from, to));
  }

  /** Five images in parts of two and three; one image of the second part has no boxes. A gradient of one number is a small difference of large sums. */
  @OnEveryBackend
  void aStepInPartsIsTheMeanOfItsPartsByTheirImages(Backend backend) {
    float[] images = images(5);
    Truth truth = boxes(5, 1);
    truth.boxes()[3].clear(SIDE, SIDE);
    List<float[]> got = new Run(backend, 3, 5).gradients(images, truth);
    List<float[]> first = new Run(backend, 2, 2).gradients(Arrays.copyOf(images, 2 * IMAGE), part(truth, 0, 2));
    List<float[]> second = new Run(backend, 3, 3).gradients(Arrays.copyOfRange(images, 2 * IMAGE, 5 * IMAGE), part(truth, 2, 5));
    for (int k = 0; k < 3; k++) assertTrue(Math.abs(first.getFirst()[k] - second.getFirst()[k]) > 1e-2 * first.getFirst()[k], "the parts differ");
    for (int i = 0; i < got.size(); i++) {
      float[] want = new float[got.get(i).length];
      float largest = 0;
      for (int k = 0; k < want.length; k++) largest = Math.max(largest, Math.abs(want[k] = (2 * first.get(i)[k] + 3 * second.get(i)[k]) / 5));
      assertArrayEquals(want, got.get(i), (want.length == 1 ? 1e-3f : 1e-5f) * largest, "tensor " + i);
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

  private static float[] loss(Backend cpu, float[] output, Truth truth) {
    int images = truth.boxes().length, priors = PRIORS.count();
    int[] labels = new int[images * priors];
    float[] offsets = new float[4 * images * priors];
    Matching matching = new Matching(PRIORS, 0.5);
    for (int i = 0; i < images; i++) matching.match(truth.boxes()[i], labels, i * priors, offsets, 4 * i * priors);
    Tensor values = cpu.create(Shape.matrix(images, output.length / images)), result = cpu.create(Shape.vector(3));
    Tensor wanted = cpu.create(Shape.matrix(images, priors), ElementType.INT32), places = cpu.create(Shape.matrix(images, 4 * priors));
    cpu.write(values, output);
    cpu.write(wanted, labels);
    cpu.write(places, offsets);
    cpu.loss().multibox(result, cpu.create(values.shape()), values, wanted, places, 1 + CLASSES, 3);
    return cpu.read(result);
  }
}
