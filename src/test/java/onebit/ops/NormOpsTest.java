package onebit.ops;

import static onebit.ops.Fresh.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

class NormOpsTest {
  private static final float EPSILON = 1e-3f;

  /** gamma (x - mean) / sqrt(var + epsilon) + beta of every channel, its mean and biased variance after it. */
  private static double[][] naive(double[] x, float[] gamma, float[] beta) {
    int channels = gamma.length, rows = x.length / channels;
    double[] y = new double[x.length], means = new double[channels], vars = new double[channels];
    for (int c = 0; c < channels; c++) {
      for (int r = 0; r < rows; r++) means[c] += x[r * channels + c] / rows;
      for (int r = 0; r < rows; r++) vars[c] += Math.pow(x[r * channels + c] - means[c], 2) / rows;
      for (int r = 0; r < rows; r++) {
        y[r * channels + c] = gamma[c] * (x[r * channels + c] - means[c]) / Math.sqrt(vars[c] + EPSILON) + beta[c];
      }
    }
    return new double[][] {y, means, vars};
  }

  @OnEveryPrecision
  void trainingNormalisesWithTheBatchAndMovesTheRunningStatistics(Backend backend) {
    Fresh fresh = new Fresh(backend, 1);
    for (Shape shape : images()) {
      for (boolean unbiased : new boolean[] {true, false}) {
        int channels = shape.channels(), rows = shape.size() / channels;
        float[] x = fresh.normal(shape.size()), gamma = fresh.normal(channels), beta = fresh.normal(channels), startMean = fresh.normal(channels);
        for (int i = 0; i < x.length; i++) x[i] = fresh.rounded(3 * x[i] + 5);
        float[] startVar = fresh.uniform(channels, 0.5, 2);
        Tensor y = fresh.garbage(shape), mean = fresh.garbage(channels), inverse = fresh.garbage(channels);
        Tensor runningMean = fresh.vector(startMean), runningVar = fresh.vector(startVar);
        backend.norm().batchNorm(y, fresh.tensor(shape, x), fresh.vector(gamma), fresh.vector(beta), runningMean, runningVar, mean, inverse, 0.1f,
            EPSILON, unbiased);
        double[][] want = naive(Fresh.doubles(x), gamma, beta);
        double[] inverses = new double[channels], movedMean = new double[channels], movedVar = new double[channels];
        for (int c = 0; c < channels; c++) {
          inverses[c] = 1 / Math.sqrt(want[2][c] + EPSILON);
          movedMean[c] = 0.9 * startMean[c] + 0.1 * want[1][c];
          movedVar[c] = 0.9 * startVar[c] + 0.1 * want[2][c] * (unbiased && rows > 1 ? rows / (rows - 1.0) : 1);
        }
        fresh.assertClose("y", want[0], y);
        fresh.assertClose("mean", want[1], mean);
        fresh.assertClose("inverse", inverses, inverse);
        fresh.assertClose("running mean", movedMean, runningMean);
        fresh.assertClose("running variance", movedVar, runningVar);
      }
    }
  }

  @OnEveryPrecision
  void evaluationUsesTheRunningStatisticsAndLeavesThemAlone(Backend backend) {
    Fresh fresh = new Fresh(backend, 2);
    for (Shape shape : images()) {
      int channels = shape.channels();
      float[] x = fresh.normal(shape.size()), gamma = fresh.normal(channels), beta = fresh.normal(channels), means = fresh.normal(channels);
      float[] vars = fresh.uniform(channels, 0, 2);
      Tensor y = fresh.garbage(shape), mean = fresh.vector(means), var = fresh.vector(vars);
      backend.norm().batchNormInference(y, fresh.tensor(shape, x), fresh.vector(gamma), fresh.vector(beta), mean, var, EPSILON);
      double[] want = new double[x.length];
      for (int i = 0; i < x.length; i++) {
        int c = i % channels;
        want[i] = gamma[c] * (x[i] - means[c]) / Math.sqrt(vars[c] + EPSILON) + beta[c];
      }
      fresh.assertClose("y", want, y);
      fresh.assertExactly("mean", means, mean);
      fresh.assertExactly("variance", vars, var);
    }
  }

  @OnEveryPrecision
  void theGradientsEqualFiniteDifferencesOfTheForward(Backend backend) {
    Fresh fresh = new Fresh(backend, 3);
    for (Shape shape : Fresh.IMAGES) {
      int channels = shape.channels();
      float[] x = fresh.normal(shape.size()), gamma = fresh.normal(channels), g = fresh.normal(shape.size()), beta = new float[channels];
      Tensor y = fresh.garbage(shape), mean = fresh.garbage(channels), inverse = fresh.garbage(channels), input = fresh.tensor(shape, x);
      Tensor running = fresh.garbage(channels), gammas = fresh.vector(gamma);
      backend.norm().batchNorm(y, input, gammas, fresh.vector(beta), running, fresh.garbage(channels), mean, inverse, 0.1f, EPSILON, true);
      Tensor gradX = fresh.garbage(shape), gradGamma = fresh.garbage(channels), gradBeta = fresh.garbage(channels);
      backend.norm().batchNormBackward(gradX, gradGamma, gradBeta, fresh.tensor(shape, g), input, gammas, mean, inverse);
      fresh.assertClose("gradX", Fresh.slopes(at -> Fresh.dot(naive(at, gamma, beta)[0], g), Fresh.doubles(x)), gradX, 1e-4);
      double[] unit = naive(Fresh.doubles(x), ones(channels), beta)[0], products = new double[channels];
      for (int i = 0; i < g.length; i++) products[i % channels] += unit[i] * g[i];
      fresh.assertClose("gradGamma", products, gradGamma, 1e-4);
      double[] sums = new double[channels];
      for (int i = 0; i < g.length; i++) sums[i % channels] += g[i];
      fresh.assertClose("gradBeta", sums, gradBeta);
    }
  }

  @OnEveryPrecision
  void gradientsOfManyRowsEqualDirectionalDifferences(Backend backend) {
    Fresh fresh = new Fresh(backend, 4);
    for (int channels : new int[] {1, 16, 33, 600}) {
      Shape shape = Shape.image(4, 19, 17, channels);
      float[] x = fresh.normal(shape.size()), gamma = fresh.uniform(channels, 0.5, 1.5), g = fresh.normal(shape.size()), beta = new float[channels];
      Tensor y = fresh.garbage(shape), mean = fresh.garbage(channels), inverse = fresh.garbage(channels), input = fresh.tensor(shape, x);
      backend.norm().batchNorm(y, input, fresh.vector(gamma), fresh.vector(beta), fresh.garbage(channels), fresh.garbage(channels), mean, inverse, 0.1f,
          EPSILON, true);
      Tensor gradX = fresh.garbage(shape);
      backend.norm().batchNormBackward(gradX, fresh.garbage(channels), fresh.garbage(channels), fresh.tensor(shape, g), input, fresh.vector(gamma), mean,
          inverse);
      float[] got = backend.read(gradX);
      for (int trial = 0; trial < 3; trial++) {
        double[] direction = Fresh.doubles(fresh.normal(x.length)), at = Fresh.doubles(x);
        double h = 1e-4, difference = 0;
        for (int side = -1; side <= 1; side += 2) {
          double[] moved = at.clone();
          for (int i = 0; i < moved.length; i++) moved[i] += side * h * direction[i];
          difference += side * Fresh.dot(naive(moved, gamma, beta)[0], g) / (2 * h);
        }
        double rounding = gradX.type() == ElementType.BFLOAT16 ? 1.0 / 256 : 0;   // of each of the many terms, on either side
        assertEquals(difference, Fresh.dot(direction, got), (2e-5 + rounding) * Math.sqrt(x.length), "channels " + channels);
      }
    }
  }

  @OnEveryPrecision
  void aSmallerBatchUsesOnlyItsOwnRows(Backend backend) {
    Fresh fresh = new Fresh(backend, 5);
    Shape all = Shape.image(5, 3, 3, 33), part = Shape.image(2, 3, 3, 33);
    float[] x = fresh.normal(all.size()), ones = ones(33), zeros = new float[33];
    Tensor y = fresh.garbage(all), mean = fresh.garbage(33), inverse = fresh.garbage(33);
    backend.norm().batchNorm(y.first(2), fresh.tensor(all, x).first(2), fresh.vector(ones), fresh.vector(zeros), fresh.vector(zeros), fresh.vector(ones),
        mean, inverse, 0.1f, EPSILON, true);
    fresh.assertClose("y", naive(Fresh.doubles(Arrays.copyOf(x, part.size())), ones, zeros)[0], y.first(2));
    float[] rest = Arrays.copyOfRange(backend.read(y), part.size(), all.size());
    float[] garbage = new float[rest.length];
    Arrays.fill(garbage, Fresh.GARBAGE);
    assertArrayEquals(garbage, rest);
  }

  @OnEveryPrecision
  void aSecondCallGivesTheSameBits(Backend backend) {
    Fresh fresh = new Fresh(backend, 6);
    Shape shape = Shape.image(8, 32, 32, 16);
    Tensor x = fresh.tensor(shape, fresh.normal(shape.size())), ones = fresh.vector(ones(16)), zeros = fresh.vector(new float[16]);
    float[][] runs = new float[2][];
    for (int run = 0; run < 2; run++) {
      Tensor y = fresh.garbage(shape);
      backend.norm().batchNorm(y, x, ones, zeros, fresh.garbage(16), fresh.garbage(16), fresh.garbage(16), fresh.garbage(16), 0.1f, EPSILON, true);
      runs[run] = backend.read(y);
    }
    assertArrayEquals(runs[0], runs[1]);
  }

  /** scale x / (norm + 1e-10) of each pixel. */
  private static double[] l2(double[] x, double[] scale) {
    int channels = scale.length;
    double[] y = new double[x.length];
    for (int base = 0; base < x.length; base += channels) {
      double squares = 0;
      for (int c = 0; c < channels; c++) squares += Math.pow(x[base + c], 2);
      for (int c = 0; c < channels; c++) y[base + c] = scale[c] * x[base + c] / (Math.sqrt(squares) + 1e-10);
    }
    return y;
  }

  @OnEveryPrecision
  void l2NormalisesEachPixelAndItsGradientsEqualDifferences(Backend backend) {
    Fresh fresh = new Fresh(backend, 8);
    for (Shape shape : l2Images()) {
      int channels = shape.channels();
      float[] x = fresh.normal(shape.size()), g = fresh.normal(shape.size());
      double[] at = Fresh.doubles(x), scale = Fresh.doubles(fresh.normal(channels)), products = new double[channels], along = new double[x.length];
      float[] scales = new float[channels];
      for (int c = 0; c < channels; c++) scales[c] = (float) scale[c];
      Tensor y = fresh.garbage(shape), input = fresh.tensor(shape, x), gradX = fresh.garbage(shape), gradScale = fresh.garbage(channels);
      backend.norm().l2Normalize(y, input, fresh.vector(scales));
      backend.norm().l2NormalizeBackward(gradX, gradScale, fresh.tensor(shape, g), input, fresh.vector(scales));
      fresh.assertClose("y", l2(at, scale), y, 1e-6);
      double[] unit = l2(at, Fresh.doubles(ones(channels)));
      for (int i = 0; i < g.length; i++) products[i % channels] += unit[i] * g[i];
      fresh.assertClose("gradScale", products, gradScale, 1e-6);
      for (int base = 0; base < x.length; base += channels) {   // a pixel's values move only its own
        int from = base, to = base + channels;
        double[] pixel = Arrays.copyOfRange(at, from, to);
        System.arraycopy(Fresh.slopes(p -> Fresh.dot(l2(p, scale), Arrays.copyOfRange(g, from, to)), pixel), 0, along, base, channels);
      }
      fresh.assertClose("gradX of " + shape, along, gradX, 1e-6);
    }
  }

  @OnEveryPrecision
  void aPixelOfZerosHasNoGradientAndLargeAndSmallOnesNeitherOverflowNorVanish(Backend backend) {
    Fresh fresh = new Fresh(backend, 9);
    for (int channels : new int[] {1, 8, 33}) {
      Shape shape = Shape.image(1, 1, 4, channels);
      float[] x = fresh.uniform(shape.size(), 0.5, 1.5), g = fresh.normal(shape.size()), scale = fresh.normal(channels);
      float[] size = {0, 1, 0x1p100f, 0x1p-130f};
      for (int i = 0; i < x.length; i++) x[i] = fresh.rounded(x[i] * size[i / channels] * (i % 2 == 0 ? 1 : -1));
      Tensor y = fresh.garbage(shape), input = fresh.tensor(shape, x), gradX = fresh.garbage(shape), gradScale = fresh.garbage(channels);
      backend.norm().l2Normalize(y, input, fresh.vector(scale));
      backend.norm().l2NormalizeBackward(gradX, gradScale, fresh.tensor(shape, g), input, fresh.vector(scale));
      double[] want = l2(Fresh.doubles(x), Fresh.doubles(scale)), unit = l2(Fresh.doubles(x), Fresh.doubles(ones(channels))), products = new double[channels];
      for (int i = 0; i < g.length; i++) products[i % channels] += unit[i] * g[i];
      fresh.assertClose("y", want, y, 1e-6);
      fresh.assertClose("gradScale", products, gradScale, 1e-6);
      assertArrayEquals(new float[channels], Arrays.copyOf(backend.read(gradX), channels));
      for (float each : backend.read(gradX)) assertTrue(Float.isFinite(each), "gradient " + each);
    }
  }

  @OnEveryPrecision
  void l2OfASmallerBatchLeavesTheRestAloneAndGivesTheSameBitsTwice(Backend backend) {
    Fresh fresh = new Fresh(backend, 10);
    Shape all = Shape.image(3, 38, 38, 16);
    Tensor x = fresh.tensor(all, fresh.normal(all.size())), g = fresh.tensor(all, fresh.normal(all.size())), scale = fresh.vector(fresh.normal(16));
    float[][] runs = new float[2][];
    for (int run = 0; run < 2; run++) {
      Tensor y = fresh.garbage(all), gradX = fresh.garbage(all), gradScale = fresh.garbage(16);
      backend.norm().l2Normalize(y.first(2), x.first(2), scale);
      backend.norm().l2NormalizeBackward(gradX.first(2), gradScale, g.first(2), x.first(2), scale);
      runs[run] = backend.read(gradScale);
      for (Tensor each : new Tensor[] {y, gradX}) {
        float[] rest = backend.read(each);
        for (int i = 2 * all.rowSize(); i < rest.length; i++) assertEquals(Fresh.GARBAGE, rest[i]);
      }
    }
    assertArrayEquals(runs[0], runs[1]);
  }

  private static Shape[] l2Images() {
    Shape[] all = Arrays.copyOf(Fresh.IMAGES, Fresh.IMAGES.length + 3);
    all[all.length - 3] = Shape.image(1, 3, 1, 512);
    all[all.length - 2] = Shape.image(1, 1, 2, 515);
    all[all.length - 1] = Shape.image(4, 19, 17, 4);
    return all;
  }

  @OnEveryBackend
  void unequalShapesAreRefusedInWords(Backend backend) {
    Fresh fresh = new Fresh(backend, 7);
    Tensor x = fresh.garbage(Shape.matrix(2, 4)), y = fresh.garbage(Shape.matrix(2, 4)), four = fresh.garbage(4), three = fresh.garbage(3);
    NormOps ops = backend.norm();
    assertRefused("batchNorm: gamma has 3 values, rows of [2, 4] have 4 channels; they must be equal",
        () -> ops.batchNorm(y, x, three, four, four, four, four, four, 0.1f, EPSILON, true));
    assertRefused("batchNorm: inverse has 3 values, rows of [2, 4] have 4 channels; they must be equal",
        () -> ops.batchNorm(y, x, four, four, four, four, four, three, 0.1f, EPSILON, true));
    assertRefused("batchNorm: y [3] has 3 values, x [2, 4] has 8; they must be equal",
        () -> ops.batchNorm(three, x, four, four, four, four, four, four, 0.1f, EPSILON, true));
    Tensor none = x.first(0);
    assertRefused("batchNorm: x [0, 4] holds no values; at least one is needed",
        () -> ops.batchNorm(none, none, four, four, four, four, four, four, 0.1f, EPSILON, true));
    assertRefused("batchNormInference: the variance has 3 values, rows of [2, 4] have 4 channels; they must be equal",
        () -> ops.batchNormInference(y, x, four, four, four, three, EPSILON));
    assertRefused("l2Normalize: scale has 3 values, rows of [2, 4] have 4 channels; they must be equal", () -> ops.l2Normalize(y, x, three));
    assertRefused("l2Normalize: x [0, 4] holds no values; at least one is needed", () -> ops.l2Normalize(none, none, four));
    assertRefused("l2NormalizeBackward: gradX [3] has 3 values, x [2, 4] has 8; they must be equal", () -> ops.l2NormalizeBackward(three, four, y, x, four));
    assertRefused("l2NormalizeBackward: gradScale has 3 values, rows of [2, 4] have 4 channels; they must be equal",
        () -> ops.l2NormalizeBackward(y, three, y, x, four));
    assertRefused("batchNormBackward: gradY [3] has 3 values, x [2, 4] has 8; they must be equal",
        () -> ops.batchNormBackward(y, four, four, three, x, four, four, four));
  }

  private static Shape[] images() {
    Shape[] all = Arrays.copyOf(Fresh.IMAGES, Fresh.IMAGES.length + 2);
    all[all.length - 2] = Shape.image(5, 32, 32, 16);
    all[all.length - 1] = Shape.matrix(70, 513);
    return all;
  }

  private static float[] ones(int n) {
    float[] x = new float[n];
    Arrays.fill(x, 1);
    return x;
  }
}
