package onebit.ops;

import static onebit.ops.Fresh.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** The loss of detection against its definition: every negative sorted, every term by itself, gradients by differences of the terms. */
class MultiboxTest {
  /** One batch: its sizes, and its values as the op takes them. */
  private record Batch(int n, int p, int k, float ratio, float more, float[] output, int[] labels, float[] offsets) {
    Shape rows() {
      return Shape.matrix(n, p * (4 + k));
    }

    int logits(int image, int prior) {
      return image * p * (4 + k) + 4 * p + prior * k;
    }

    int box(int image, int prior) {
      return image * p * (4 + k) + 4 * prior;
    }

    int positives(int image) {
      int count = 0;
      for (int i = image * p; i < (image + 1) * p; i++) count += labels[i] > 0 ? 1 : 0;
      return count;
    }

    /** Its positives, and those of other parts of the batch that it belongs to. */
    float divisor() {
      float all = more;
      for (int i = 0; i < n; i++) all += positives(i);
      return all;
    }

    double[] at(int first, int count) {
      return Fresh.doubles(Arrays.copyOfRange(output, first, first + count));
    }

    /** The priors of an image whose classes count. */
    List<Integer> counted(int image) {
      List<Integer> all = new ArrayList<>(), negatives = new ArrayList<>();
      for (int i = 0; i < p; i++) (labels[image * p + i] > 0 ? all : negatives).add(i);
      int most = (int) Math.min(Math.floor((double) ratio * all.size()), negatives.size());
      negatives.sort(Comparator.comparingDouble((Integer i) -> -(float) entropy(at(logits(image, i), k), 0)));   // stable: of equal ones the first
      all.addAll(negatives.subList(0, most));
      return all;
    }

    /** The loss's parts, its gradient, and where that is not surely 0. */
    double[][] expected() {
      double[] parts = new double[2], gradient = new double[output.length], counts = new double[output.length];
      for (int i = 0; i < n; i++) {
        for (int prior : counted(i)) {
          int label = labels[i * p + prior], z = logits(i, prior), box = box(i, prior), wanted = 4 * (i * p + prior);
          Arrays.fill(counts, z, z + k, 1);
          parts[1] += entropy(at(z, k), label) / divisor();
          put(gradient, z, Fresh.slopes(v -> entropy(v, label), at(z, k)), divisor());
          if (label == 0) continue;
          Arrays.fill(counts, box, box + 4, 1);
          double[] target = Fresh.doubles(Arrays.copyOfRange(offsets, wanted, wanted + 4));
          parts[0] += distance(at(box, 4), target) / divisor();
          put(gradient, box, Fresh.slopes(v -> distance(v, target), at(box, 4)), divisor());
        }
      }
      return new double[][] {parts, gradient, counts};
    }

    private static void put(double[] to, int first, double[] slopes, double divisor) {
      for (int i = 0; i < slopes.length; i++) to[first + i] = slopes[i] / divisor;
    }

    /** - log softmax of one class. */
    private static double entropy(double[] z, int label) {
      double most = Arrays.stream(z).max().orElseThrow(), sum = 0;
      for (double v : z) sum += Math.exp(v - most);
      return Math.log(sum) - (z[label] - most);
    }

    private static double distance(double[] of, double[] wanted) {
      double sum = 0;
      for (int i = 0; i < of.length; i++) {
        double d = Math.abs(of[i] - wanted[i]);
        sum += d < 1 ? d * d / 2 : d - 0.5;
      }
      return sum;
    }

    /** What the op gives: the result, and the gradient. */
    float[][] run(Backend backend) {
      Fresh fresh = new Fresh(backend, 0);
      Tensor result = fresh.garbage(3), gradient = fresh.garbage(rows());
      backend.loss().multibox(result, gradient, fresh.tensor(rows(), output), whole(backend, n, p, labels), fresh.tensor(Shape.matrix(n, 4 * p), offsets),
          fresh.tensor(Shape.vector(1), divisor()), k, ratio);
      return new float[][] {backend.read(result), backend.read(gradient)};
    }
  }

  private static Tensor whole(Backend backend, int n, int p, int... labels) {
    Tensor t = backend.create(Shape.matrix(n, p), ElementType.INT32);
    backend.write(t, labels);
    return t;
  }

  /** Random values; labels are positive for that share of the priors, and offsets NaN where nobody may read them. */
  private static Batch random(long seed, int n, int p, int k, float ratio, double share) {
    java.util.Random random = new java.util.Random(seed);
    float[] output = new float[n * p * (4 + k)], offsets = new float[4 * n * p];
    int[] labels = new int[n * p];
    for (int i = 0; i < output.length; i++) output[i] = (float) (2 * random.nextGaussian());
    for (int i = 0; i < labels.length; i++) labels[i] = random.nextDouble() < share ? random.nextInt(1, k) : 0;
    for (int i = 0; i < offsets.length; i++) offsets[i] = labels[i / 4] > 0 ? (float) random.nextGaussian() : Float.NaN;
    return new Batch(n, p, k, ratio, n == 3 ? 17 : 0, output, labels, offsets);
  }

  private static void assertExpected(Backend backend, String name, Batch batch) {
    double[][] want = batch.expected();
    float[][] got = batch.run(backend);
    double loss = want[0][0] + want[0][1], largest = 1e-3;
    assertEquals(loss, got[0][0], 1e-6 * Math.max(1, loss), name + ": loss");
    assertEquals(want[0][0], got[0][1], 1e-6 * Math.max(1, loss), name + ": location");
    assertEquals(want[0][1], got[0][2], 1e-6 * Math.max(1, loss), name + ": confidence");
    for (double each : want[1]) largest = Math.max(largest, Math.abs(each));
    for (int i = 0; i < want[1].length; i++) {
      if (!(Math.abs(want[1][i] - got[1][i]) <= 1e-6 * largest)) assertEquals(want[1][i], got[1][i], 1e-6 * largest, name + ": gradient at " + i);
      if (want[2][i] == 0 && got[1][i] != 0) assertEquals(0, got[1][i], name + ": gradient at " + i + ", which does not count");
    }
  }

  @OnEveryPrecision
  void lossAndGradientEqualTheDefinition(Backend backend) {
    int[][] sizes = {{1, 1, 2}, {3, 1, 21}, {2, 31, 21}, {3, 32, 33}, {2, 33, 2}, {40, 5, 3}, {2, 1000, 21}};
    for (int[] s : sizes) {
      for (double share : new double[] {0.05, 0.3, 1}) {
        for (float ratio : new float[] {0, 0.5f, 3, 1e30f}) {
          if (s[1] == 1000 && ratio != 3) continue;
          assertExpected(backend, Arrays.toString(s) + " ratio " + ratio + " share " + share, random(s[1] + 7, s[0], s[1], s[2], ratio, share));
        }
      }
    }
  }

  @OnEveryBackend
  void largeLogitsDoNotOverflow(Backend backend) {
    Batch batch = random(2, 2, 60, 4, 3, 0.2);
    for (int i = 0; i < batch.output.length; i++) batch.output[i] *= 1000;
    assertExpected(backend, "logits of some thousands", batch);
  }

  @OnEveryBackend
  void allPriorsOfSsdOnAFewImagesEqualTheDefinition(Backend backend) {
    Batch batch = random(3, 2, 8732, 21, 3, 0.002);
    assertTrue(batch.divisor() > 10);
    assertExpected(backend, "8732 priors", batch);
  }

  @OnEveryBackend
  void imagesWithoutPositivesHaveNoNegativesAndABatchWithoutAnyNoLoss(Backend backend) {
    Batch batch = random(4, 4, 50, 5, 3, 0.2);
    Arrays.fill(batch.labels, 50, 100, 0);
    assertExpected(backend, "none in the second image", batch);
    float[] gradient = batch.run(backend)[1];
    for (int i = batch.box(1, 0); i < batch.box(2, 0); i++) assertEquals(0, gradient[i]);
    Arrays.fill(batch.labels, 0);
    float[][] none = batch.run(backend);
    assertArrayEquals(new float[3], none[0]);
    assertArrayEquals(new float[batch.output.length], none[1]);
  }

  /** Two logits 0 and v above 40: the cross-entropy is v to the last bit on every backend, and chooses by its last digit. */
  @OnEveryBackend
  void theHardestAreChosenToTheLastBitAndOfEqualOnesTheFirst(Backend backend) {
    java.util.Random random = new java.util.Random(5);
    for (int levels : new int[] {1, 2, 40, 5000, 1 << 22}) {
      for (int positives : new int[] {1, 50, 300}) {
        Batch batch = random(6, 2, 900, 2, 1.5f, 0);
        Arrays.fill(batch.output, 0);
        for (int i = 0; i < 2 * 900; i++) batch.output[batch.logits(i / 900, i % 900) + 1] = Float.intBitsToFloat(Float.floatToIntBits(48) + random.nextInt(levels));
        for (int i = 0; i < 2; i++) {
          for (int chosen = 0; chosen < positives; chosen++) batch.labels[900 * i + 3 * chosen] = 1;
        }
        Arrays.fill(batch.offsets, 0);
        float[] gradient = batch.run(backend)[1];
        for (int i = 0; i < 2; i++) {
          List<Integer> counted = batch.counted(i);
          assertEquals((int) (2.5 * positives), counted.size());
          for (int p = 0; p < 900; p++) {
            boolean negative = batch.labels[900 * i + p] == 0 && counted.contains(p);
            assertEquals(negative ? 1f / (2 * positives) : 0, gradient[batch.logits(i, p) + 1], 1e-12, levels + " levels, " + positives + " positives, prior " + p);
          }
        }
      }
    }
  }

  @OnEveryBackend
  void zeroAndMinusZeroAreEquallyHard(Backend backend) {
    Batch batch = random(7, 1, 9, 3, 2, 0);
    batch.labels[4] = 2;
    Arrays.fill(batch.offsets, 0);
    for (int i = batch.logits(0, 0); i < batch.output.length; i++) batch.output[i] = i % 2 == 0 ? 0f : -0f;
    float[] gradient = batch.run(backend)[1];
    for (int p = 0; p < 9; p++) assertEquals(p < 2 || p == 4, gradient[batch.logits(0, p)] != 0, "prior " + p);
  }

  @OnEveryBackend
  void whatIsNotANumberIsTheHardestAndMakesTheLossNaN(Backend backend) {
    for (float value : new float[] {Float.NaN, Float.POSITIVE_INFINITY}) {
      Batch batch = random(8, 2, 40, 3, 1, 0);
      batch.labels[3] = 1;
      Arrays.fill(batch.offsets, 0, 40 * 4, 0);
      batch.output[batch.logits(0, 35) + 1] = value;
      float[][] got = batch.run(backend);
      assertEquals(Float.NaN, got[0][0]);
      assertTrue(Float.isFinite(got[0][1]));
      assertEquals(Float.NaN, got[0][2]);
      assertEquals(Float.NaN, got[1][batch.logits(0, 35) + 1]);
    }
    Batch impossible = random(9, 2, 40, 3, 1, 0);
    impossible.labels[3] = 1;
    Arrays.fill(impossible.offsets, 0, 40 * 4, 0);
    impossible.output[impossible.logits(0, 39)] = Float.NEGATIVE_INFINITY;
    float[][] got = impossible.run(backend);
    assertEquals(Float.POSITIVE_INFINITY, got[0][2]);
    assertEquals(-1, got[1][impossible.logits(0, 39)], "the background has probability 0 and should have 1");
    impossible.offsets[13] = Float.NaN;
    got = impossible.run(backend);
    assertEquals(Float.NaN, got[0][1]);
    assertEquals(Float.NaN, got[1][13]);
  }

  @OnEveryBackend
  void aSmallerBatchCountsItsOwnImagesAndASecondCallGivesTheSameBits(Backend backend) {
    Batch batch = random(10, 2, 300, 21, 3, 0.1);
    Fresh fresh = new Fresh(backend, 0);
    int four = 2 * batch.output.length;
    Tensor output = fresh.tensor(Shape.matrix(4, 300 * 25), Arrays.copyOf(batch.output, four)), labels = whole(backend, 4, 300, Arrays.copyOf(batch.labels, 1200));
    Tensor offsets = fresh.tensor(Shape.matrix(4, 1200), Arrays.copyOf(batch.offsets, 4800)), result = fresh.garbage(3);
    Tensor gradient = fresh.garbage(Shape.matrix(4, 300 * 25));
    backend.loss().multibox(result, gradient.first(2), output.first(2), labels.first(2), offsets.first(2), fresh.tensor(Shape.vector(1), batch.divisor()), 21, 3);
    float[][] alone = batch.run(backend);
    float[] got = backend.read(gradient);
    assertArrayEquals(alone[0], backend.read(result));
    assertArrayEquals(alone[1], Arrays.copyOf(got, four / 2));
    for (int i = four / 2; i < four; i++) assertEquals(Fresh.GARBAGE, got[i]);
  }

  @OnEveryBackend
  void aLabelOutsideIsRefusedWhereTheHostKnowsItAndElseMakesTheLossNaN(Backend backend) {
    Fresh fresh = new Fresh(backend, 11);
    Tensor one = fresh.tensor(Shape.vector(1), 1);
    for (int wrong : new int[] {3, -1}) {
      Tensor z = fresh.tensor(Shape.matrix(2, 2 * 7), new float[28]), g = fresh.garbage(Shape.matrix(2, 14)), result = fresh.garbage(3);
      Tensor offsets = fresh.tensor(Shape.matrix(2, 8), new float[16]), known = whole(backend, 2, 2, 1, 0, wrong, 2), right = whole(backend, 2, 2, 0, 0, 0, 0);
      String words = "multibox: label " + wrong + " of prior 0 of image 1 is outside 0..2";
      assertRefused(words, () -> backend.loss().multibox(result, g, z, known, offsets, one, 3, 3));
      Tensor unknown = backend.create(Shape.matrix(2, 2), ElementType.INT32);
      backend.point().rows(unknown, known, 0);
      if (backend.name().equals("cpu")) {
        assertRefused(words, () -> backend.loss().multibox(result, g, z, unknown, offsets, one, 3, 3));
      } else {
        backend.loss().multibox(result, g, z, unknown, offsets, one, 3, 3);
        assertEquals(Float.NaN, backend.read(result)[0]);
      }
      backend.loss().multibox(result, g, z, right, offsets, one, 3, 3);
      assertArrayEquals(new float[3], backend.read(result));
    }
  }

  @OnEveryBackend
  void wrongArgumentsAreRefusedInWords(Backend backend) {
    Fresh fresh = new Fresh(backend, 12);
    Tensor one = fresh.tensor(Shape.vector(1), 1);
    Tensor z = fresh.garbage(Shape.matrix(2, 14)), offsets = fresh.garbage(Shape.matrix(2, 8)), result = fresh.garbage(3), labels = whole(backend, 2, 2, 0, 0, 0, 0);
    LossOps ops = backend.loss();
    assertRefused("multibox: classes is 1; it must be at least 2, the background among them", () -> ops.multibox(result, z, z, labels, offsets, one, 1, 3));
    assertRefused("multibox: ratio is NaN; it must be >= 0 and finite", () -> ops.multibox(result, z, z, labels, offsets, one, 3, Float.NaN));
    assertRefused("multibox: ratio is -1.0; it must be >= 0 and finite", () -> ops.multibox(result, z, z, labels, offsets, one, 3, -1));
    assertRefused("multibox: result has 28 values; it must have 3", () -> ops.multibox(z, z, z, labels, offsets, one, 3, 3));
    assertRefused("multibox: divisor has 3 values; it must have 1", () -> ops.multibox(result, z, z, labels, offsets, result, 3, 3));
    assertRefused("multibox: labels is FLOAT32; it must be INT32", () -> ops.multibox(result, z, z, offsets, offsets, one, 3, 3));
    assertRefused("multibox: output [2, 14] must have 8 columns for each of labels [2, 2]", () -> ops.multibox(result, z, z, labels, offsets, one, 4, 3));
    assertRefused("multibox: offsets [2, 14] must have 4 columns for each of labels [2, 2]", () -> ops.multibox(result, z, z, labels, z, one, 3, 3));
    assertRefused("multibox: gradOutput [3] has 3 values, output [2, 14] has 28; they must be equal", () -> ops.multibox(result, result, z, labels, offsets, one, 3, 3));
    assertRefused("multibox: labels [0, 2] holds no values; at least one is needed", () -> ops.multibox(result, z, z, labels.first(0), offsets, one, 3, 3));
  }
}
