package onebit.ops;

import static onebit.ops.Fresh.assertRefused;

import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Statistics of parts of a batch put together, against those of the whole batch in double. */
class MergeMomentsTest {
  private static final int[] ROWS = {5, 1, 9};

  @OnEveryBackend
  void momentsOfPartsGiveThoseOfTheWhole(Backend backend) {
    Fresh fresh = new Fresh(backend, 11);
    for (int channels : new int[] {1, 33, 300}) {
      for (boolean unbiased : new boolean[] {true, false}) {
        float[][] parts = parts(fresh, channels);
        float[] all = new float[ROWS.length * (2 * channels + 1)];
        double[] mean = new double[channels], var = new double[channels], inverse = new double[channels], movedMean = new double[channels];
        double[] movedVar = new double[channels];
        float[] startMean = fresh.normal(channels), startVar = fresh.uniform(channels, 0.5, 2);
        for (int c = 0; c < channels; c++) {
          double sum = 0, squares = 0;
          for (int r = 0; r < ROWS.length; r++) {
            double own = 0, ownSquares = 0;
            for (int row = 0; row < ROWS[r]; row++) own += parts[r][row * channels + c];
            for (int row = 0; row < ROWS[r]; row++) ownSquares += Math.pow(parts[r][row * channels + c] - own / ROWS[r], 2);
            sum += own;
            all[r * (2 * channels + 1) + c] = (float) (own / ROWS[r]);
            all[r * (2 * channels + 1) + channels + c] = (float) (ownSquares / ROWS[r]);
            all[r * (2 * channels + 1) + 2 * channels] = ROWS[r];
          }
          mean[c] = sum / 15;
          for (int r = 0; r < ROWS.length; r++) for (int row = 0; row < ROWS[r]; row++) squares += Math.pow(parts[r][row * channels + c] - mean[c], 2);
          var[c] = squares / 15;
          inverse[c] = 1 / Math.sqrt(var[c] + 1e-3);
          movedMean[c] = startMean[c] + 0.1 * (mean[c] - startMean[c]);
          movedVar[c] = startVar[c] + 0.1 * (squares / (unbiased ? 14 : 15) - startVar[c]);
        }
        Tensor gotMean = fresh.garbage(channels), gotVar = fresh.garbage(channels), gotInverse = fresh.garbage(channels);
        Tensor runningMean = fresh.vector(startMean), runningVar = fresh.vector(startVar);
        backend.norm().mergeMoments(gotMean, gotVar, gotInverse, runningMean, runningVar, fresh.tensor(Shape.matrix(3, 2 * channels + 1), all), 0.1f, 1e-3f,
            unbiased);
        fresh.assertClose("mean", mean, gotMean);
        fresh.assertClose("variance", var, gotVar);
        fresh.assertClose("inverse", inverse, gotInverse);
        fresh.assertClose("running mean", movedMean, runningMean);
        fresh.assertClose("running variance", movedVar, runningVar);
      }
    }
  }

  private static float[][] parts(Fresh fresh, int channels) {
    float[][] parts = new float[ROWS.length][];
    for (int r = 0; r < ROWS.length; r++) {
      parts[r] = fresh.normal(ROWS[r] * channels);
      for (int i = 0; i < parts[r].length; i++) parts[r][i] = 2 * parts[r][i] + r;
    }
    return parts;
  }

  @OnEveryBackend
  void theCorrectionTurnsAPartsGradientIntoThatOfTheWhole(Backend backend) {
    Fresh fresh = new Fresh(backend, 12);
    int channels = 33;
    float[] own = fresh.normal(2 * channels), other = fresh.normal(2 * channels), gamma = fresh.normal(channels), inverse = fresh.uniform(channels, 0.5, 2);
    float[] all = new float[4 * channels], moments = new float[2 * (2 * channels + 1)];
    System.arraycopy(own, 0, all, 0, 2 * channels);
    System.arraycopy(other, 0, all, 2 * channels, 2 * channels);
    moments[2 * channels] = 5;
    moments[moments.length - 1] = 3;
    double[] scale = new double[channels], shift = new double[channels];
    for (int c = 0; c < channels; c++) {
      scale[c] = (double) gamma[c] * inverse[c] * (own[c] / 5.0 - ((double) own[c] + other[c]) / 8);
      shift[c] = (double) gamma[c] * inverse[c] * (own[channels + c] / 5.0 - ((double) own[channels + c] + other[channels + c]) / 8);
    }
    Tensor gotScale = fresh.garbage(channels), gotShift = fresh.garbage(channels);
    backend.norm().mergeSums(gotScale, gotShift, fresh.vector(own), fresh.tensor(Shape.matrix(2, 2 * channels), all),
        fresh.tensor(Shape.matrix(2, 2 * channels + 1), moments), 5, fresh.vector(gamma), fresh.vector(inverse));
    fresh.assertClose("scale", scale, gotScale);
    fresh.assertClose("shift", shift, gotShift);
  }

  @OnEveryBackend
  void unequalShapesAreRefusedInWords(Backend backend) {
    Fresh fresh = new Fresh(backend, 13);
    Tensor four = fresh.garbage(4);
    assertRefused("mergeMoments: moments [4] must have 2 C + 1 = 9 values of each rank",
        () -> backend.norm().mergeMoments(four, four, four, four, four, four, 0.1f, 1e-3f, true));
    assertRefused("mergeSums: own has 4 values and all 8; they must have 2 C = 8 and 1 times as many",
        () -> backend.norm().mergeSums(four, four, four, fresh.garbage(8), fresh.garbage(9), 1, four, four));
  }
}
