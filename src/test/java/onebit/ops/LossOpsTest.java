package onebit.ops;

import static onebit.ops.Fresh.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

class LossOpsTest {
  private static Tensor labels(Backend backend, int... labels) {
    Tensor t = backend.create(Shape.vector(labels.length), ElementType.INT32);
    backend.write(t, labels);
    return t;
  }

  /** - sum over k of target log softmax, the mean over rows, without any shift by the largest logit. */
  private static double naive(double[] z, int[] labels, double smoothing) {
    int classes = z.length / labels.length;
    double loss = 0;
    for (int i = 0; i < labels.length; i++) {
      double sum = 0;
      for (int k = 0; k < classes; k++) sum += Math.exp(z[i * classes + k]);
      for (int k = 0; k < classes; k++) {
        double target = smoothing / classes + (labels[i] == k ? 1 - smoothing : 0);
        loss -= target * Math.log(Math.exp(z[i * classes + k]) / sum);
      }
    }
    return loss / labels.length;
  }

  @OnEveryBackend
  void lossAndGradientEqualTheDefinitionWithAndWithoutSmoothing(Backend backend) {
    Fresh fresh = new Fresh(backend, 1);
    for (int[] size : new int[][] {{1, 1}, {1, 10}, {7, 3}, {16, 10}, {3, 100}}) {
      for (float smoothing : new float[] {0, 0.1f, 0.9f}) {
        int n = size[0], classes = size[1];
        float[] z = fresh.normal(n * classes);
        int[] wanted = fresh.random().ints(n, 0, classes).toArray();
        Tensor result = fresh.garbage(3), gradient = fresh.garbage(Shape.matrix(n, classes));
        backend.loss().softmaxCrossEntropy(result, gradient, fresh.tensor(Shape.matrix(n, classes), z), labels(backend, wanted), smoothing);
        assertEquals(naive(Fresh.doubles(z), wanted, smoothing), backend.read(result)[0], 2e-6);
        fresh.assertClose("gradient", Fresh.slopes(at -> naive(at, wanted, smoothing), Fresh.doubles(z)), gradient);
        int[] hits = new int[2];
        for (int i = 0; i < n; i++) {
          int larger = 0;
          for (int k = 0; k < classes; k++) larger += z[i * classes + k] > z[i * classes + wanted[i]] ? 1 : 0;
          hits[0] += larger < 1 ? 1 : 0;
          hits[1] += larger < 5 ? 1 : 0;
        }
        assertEquals(hits[0], backend.read(result)[1], "top 1");
        assertEquals(hits[1], backend.read(result)[2], "top 5");
      }
    }
  }

  /** The loss by its definition: logarithms of softmaxes, each made by itself. */
  private static double distilled(double[] z, double[] taught, int[] labels, double t, double hard, double smoothing) {
    int classes = z.length / labels.length;
    double loss = 0;
    for (int i = 0; i < labels.length; i++) {
      double sum = 0, all = 0;
      for (int k = i * classes; k < (i + 1) * classes; k++) {
        sum += Math.exp(z[k] / t);
        all += Math.exp(taught[k] / t);
      }
      for (int k = i * classes; k < (i + 1) * classes; k++) loss -= Math.exp(taught[k] / t) / all * Math.log(Math.exp(z[k] / t) / sum);
    }
    return (1 - hard) * t * t * loss / labels.length + (hard == 0 ? 0 : hard * naive(z, labels, smoothing));
  }

  @OnEveryPrecision
  void distilledLossAndGradientEqualTheDefinitionAtEveryTemperature(Backend backend) {
    Fresh fresh = new Fresh(backend, 6);
    for (int[] size : new int[][] {{1, 1}, {7, 3}, {3, 100}, {2, 200}}) {
      for (float t : new float[] {0.5f, 1, 4}) {
        for (float hard : new float[] {0, 0.25f, 1}) {
          int n = size[0], classes = size[1];
          Shape rows = Shape.matrix(n, classes);
          float[] z = fresh.normal(n * classes), taught = fresh.normal(n * classes);
          int[] wanted = fresh.random().ints(n, 0, classes).toArray();
          Tensor result = fresh.garbage(3), gradient = fresh.garbage(rows), plain = fresh.garbage(3), plainGradient = fresh.garbage(rows), logits = fresh.tensor(rows, z);
          backend.loss().distilledCrossEntropy(result, gradient, logits, fresh.tensor(rows, taught), labels(backend, wanted), t, hard, 0.1f);
          double loss = distilled(Fresh.doubles(z), Fresh.doubles(taught), wanted, t, hard, 0.1f);
          assertEquals(loss, backend.read(result)[0], 2e-6 * Math.max(1, loss));
          fresh.assertClose("gradient", Fresh.slopes(at -> distilled(at, Fresh.doubles(taught), wanted, t, hard, 0.1f), Fresh.doubles(z)), gradient);
          backend.loss().softmaxCrossEntropy(plain, plainGradient, logits, labels(backend, wanted), 0.1f);
          for (int i = hard == 1 ? 0 : 1; i < 3; i++) assertEquals(backend.read(plain)[i], backend.read(result)[i], "of hard labels alone, or hits");
          if (hard == 1) assertArrayEquals(backend.read(plainGradient), backend.read(gradient));
        }
      }
    }
  }

  @OnEveryBackend
  void aTeacherThatAgreesAsksForNoChangeAndOneThatIsNotFiniteMakesTheLossNaN(Backend backend) {
    Fresh fresh = new Fresh(backend, 7);
    Shape rows = Shape.matrix(2, 4);
    Tensor z = fresh.tensor(rows, 1e4f, 0, -3, 0, -1e4f, 0, 2, 0), result = fresh.garbage(3), gradient = fresh.garbage(rows);
    backend.loss().distilledCrossEntropy(result, gradient, z, z, labels(backend, 1, 1), 1, 0, 0);
    assertArrayEquals(new float[8], backend.read(gradient));
    backend.loss().distilledCrossEntropy(result, gradient, z, fresh.tensor(rows, 0, 0, Float.NaN, 0, 0, 0, 0, 0), labels(backend, 0, 2), 1, 0, 0);
    assertArrayEquals(new float[] {Float.NaN, 2, 2}, backend.read(result));
  }

  @OnEveryBackend
  void equalLogitsRankByIndexInTheTopOneAndTheTopFive(Backend backend) {
    Fresh fresh = new Fresh(backend, 2);
    float[][] expected = {{1, 1}, {0, 1}, {0, 1}, {0, 1}, {0, 1}, {0, 0}, {0, 0}};
    Shape row = Shape.matrix(1, 7);
    for (int label = 0; label < 7; label++) {
      Tensor result = fresh.garbage(3);
      backend.loss().softmaxCrossEntropy(result, fresh.garbage(row), fresh.tensor(row, new float[7]), labels(backend, label), 0);
      assertEquals(expected[label][0], backend.read(result)[1], "top 1 of label " + label);
      assertEquals(expected[label][1], backend.read(result)[2], "top 5 of label " + label);
    }
  }

  @OnEveryBackend
  void largeLogitsDoNotOverflowAndNaNIsNeverAHit(Backend backend) {
    Fresh fresh = new Fresh(backend, 3);
    Shape rows = Shape.matrix(2, 6);
    Tensor result = fresh.garbage(3), gradient = fresh.garbage(rows);
    backend.loss().softmaxCrossEntropy(result, gradient, fresh.tensor(rows, 1e4f, 0, 0, 0, 0, 0, -1e4f, 0, 0, 0, 0, 0), labels(backend, 0, 0), 0);
    assertEquals((0 + 1e4 + Math.log(5)) / 2, backend.read(result)[0], 1e-3);
    fresh.assertClose("gradient", new double[] {0, 0, 0, 0, 0, 0, -0.5, 0.1, 0.1, 0.1, 0.1, 0.1}, gradient);
    backend.loss().softmaxCrossEntropy(result, gradient, fresh.tensor(rows, Float.NaN, 0, 0, 0, 0, 0, Float.NaN, 5, 0, 0, 0, 0), labels(backend, 0, 1), 0);
    float[] got = backend.read(result);
    assertEquals(Float.NaN, got[0]);
    assertEquals(0, got[1]);
    assertEquals(1, got[2]);
  }

  @OnEveryBackend
  void aSmallerBatchIsAveragedOverItsOwnRows(Backend backend) {
    Fresh fresh = new Fresh(backend, 4);
    Shape rows = Shape.matrix(5, 4);
    float[] z = fresh.normal(20);
    Tensor result = fresh.garbage(3), gradient = fresh.garbage(rows), all = labels(backend, 1, 2, 3, 9, 9);
    backend.loss().softmaxCrossEntropy(result, gradient.first(3), fresh.tensor(rows, z).first(3), all.first(3), 0);
    assertEquals(naive(Fresh.doubles(java.util.Arrays.copyOf(z, 12)), new int[] {1, 2, 3}, 0), backend.read(result)[0], 2e-6);
    assertEquals(Fresh.GARBAGE, backend.read(gradient)[12]);
  }

  @OnEveryBackend
  void wrongArgumentsAreRefusedInWords(Backend backend) {
    Fresh fresh = new Fresh(backend, 5);
    Tensor z = fresh.garbage(Shape.matrix(2, 3)), g = fresh.garbage(Shape.matrix(2, 3)), result = fresh.garbage(3);
    LossOps ops = backend.loss();
    assertRefused("softmaxCrossEntropy: label 3 of row 1 is outside 0..2", () -> ops.softmaxCrossEntropy(result, g, z, labels(backend, 0, 3), 0));
    assertRefused("softmaxCrossEntropy: label -1 of row 0 is outside 0..2", () -> ops.softmaxCrossEntropy(result, g, z, labels(backend, -1, 0), 0));
    assertRefused("softmaxCrossEntropy: labels has 3 values; it must have 2", () -> ops.softmaxCrossEntropy(result, g, z, labels(backend, 0, 1, 2), 0));
    assertRefused("softmaxCrossEntropy: labels is FLOAT32; it must be INT32", () -> ops.softmaxCrossEntropy(result, g, z, fresh.garbage(2), 0));
    assertRefused("softmaxCrossEntropy: smoothing is 1.0; it must be in [0, 1)", () -> ops.softmaxCrossEntropy(result, g, z, labels(backend, 0, 1), 1));
    assertRefused("softmaxCrossEntropy: result has 6 values; it must have 3", () -> ops.softmaxCrossEntropy(g, g, z, labels(backend, 0, 1), 0));
    assertRefused("softmaxCrossEntropy: gradLogits [3] has 3 values, logits [2, 3] has 6; they must be equal",
        () -> ops.softmaxCrossEntropy(result, result, z, labels(backend, 0, 1), 0));
    assertRefused("distilledCrossEntropy: teacher [2, 4] has 8 values, logits [2, 3] has 6; they must be equal",
        () -> ops.distilledCrossEntropy(result, g, z, fresh.garbage(Shape.matrix(2, 4)), labels(backend, 0, 1), 1, 0, 0));
    assertRefused("distilledCrossEntropy: temperature is 0.0; it must be > 0 and finite", () -> ops.distilledCrossEntropy(result, g, z, z, labels(backend, 0, 1), 0, 0, 0));
    assertRefused("distilledCrossEntropy: hard is 1.5; it must be in [0, 1]", () -> ops.distilledCrossEntropy(result, g, z, z, labels(backend, 0, 1), 1, 1.5f, 0));
    assertRefused("distilledCrossEntropy: label 3 of row 1 is outside 0..2", () -> ops.distilledCrossEntropy(result, g, z, z, labels(backend, 0, 3), 1, 0, 0));
  }
}
