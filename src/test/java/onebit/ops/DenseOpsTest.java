package onebit.ops;

import static onebit.ops.Fresh.assertRefused;

import onebit.binarize.Binarizer;
import onebit.ops.DenseOps.Channels;
import onebit.ops.DenseOps.Moments;
import onebit.ops.FusedOps.Norm;
import onebit.ops.FusedOps.Running;
import onebit.tensor.BitTensor;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Dense blocks in one buffer, against sums and formulas in double over its channels. */
class DenseOpsTest {
  private static final float EPSILON = 1e-3f, MOMENTUM = 0.1f;
  /** Images, height, width, channels there, channels added: on both sides of a word, of a vector and of a piece of work. */
  private static final int[][] CASES = {{2, 3, 3, 32, 32}, {1, 1, 2, 3, 5}, {3, 4, 5, 64, 64}, {2, 2, 2, 31, 2}, {2, 5, 3, 96, 32}, {1, 9, 8, 8, 8}, {2, 1, 1, 4, 12}, {1, 2, 3, 36, 28}};

  /** A buffer with two pieces, as a test needs it on the host too. */
  private static final class Buffer {
    final Fresh fresh;
    final int rows, first, width;
    final Shape shape, left, right;
    final float[] a, b;
    final Tensor x, y;

    Buffer(Backend backend, int[] k, long seed) {
      fresh = new Fresh(backend, seed);
      rows = k[0] * k[1] * k[2];
      first = k[3];
      width = k[3] + k[4];
      shape = Shape.image(k[0], k[1], k[2], width);
      left = Shape.image(k[0], k[1], k[2], first);
      right = Shape.image(k[0], k[1], k[2], k[4]);
      a = fresh.normal(left.size());
      b = fresh.normal(right.size());
      for (int i = 0; i < b.length; i++) b[i] = fresh.rounded(3 + 2 * b[i]);
      x = fresh.garbage(shape);
      y = fresh.tensor(right, b);
    }

    double at(int row, int c) {
      return c < first ? a[row * first + c] : b[row * (width - first) + c - first];
    }

    double mean(int c) {
      double sum = 0;
      for (int row = 0; row < rows; row++) sum += at(row, c);
      return sum / rows;
    }

    double var(int c) {
      double sum = 0, mean = mean(c);
      for (int row = 0; row < rows; row++) sum += (at(row, c) - mean) * (at(row, c) - mean);
      return sum / rows;
    }

    double[] each(java.util.function.IntToDoubleFunction value) {
      return java.util.stream.IntStream.range(0, width).mapToDouble(value).toArray();
    }
  }

  @OnEveryPrecision
  void piecesLieSideBySideWithTheirMoments(Backend backend) {
    for (int[] k : CASES) {
      for (boolean unbiased : new boolean[] {false, true}) {
        Buffer buffer = new Buffer(backend, k, 1);
        Fresh fresh = buffer.fresh;
        Moments moments = new Moments(fresh.garbage(buffer.width), fresh.garbage(buffer.width), fresh.garbage(buffer.width), EPSILON, unbiased);
        backend.dense().append(Channels.first(buffer.first, buffer.x), fresh.tensor(buffer.left, buffer.a), moments);
        backend.dense().append(new Channels(buffer.x, buffer.first, k[4]), buffer.y, moments);
        float[] want = new float[buffer.shape.size()];
        for (int i = 0; i < want.length; i++) want[i] = (float) buffer.at(i / buffer.width, i % buffer.width);
        fresh.assertExactly("buffer", want, buffer.x);
        fresh.assertClose("mean", buffer.each(buffer::mean), moments.mean());
        fresh.assertClose("inverse", buffer.each(c -> 1 / Math.sqrt(buffer.var(c) + EPSILON)), moments.inverse());
        fresh.assertClose("var", buffer.each(c -> unbiased && buffer.rows > 1 ? buffer.var(c) * buffer.rows / (buffer.rows - 1) : buffer.var(c)), moments.var());
        Tensor taken = fresh.garbage(buffer.right);
        backend.dense().take(taken, new Channels(buffer.x, buffer.first, k[4]));
        fresh.assertExactly("taken", buffer.b, taken);
        fresh.assertExactly("the rest", want, buffer.x);
        Tensor plain = fresh.garbage(buffer.shape);
        backend.dense().append(new Channels(plain, buffer.first, k[4]), buffer.y, null);
        for (int i = 0; i < want.length; i++) if (i % buffer.width < buffer.first) want[i] = Fresh.GARBAGE;
        fresh.assertExactly("without moments", want, plain);
      }
    }
  }

  @OnEveryPrecision
  void signsOfTheNormAndTheWayBackAreThoseOfTheFirstChannelsAlone(Backend backend) {
    for (int[] k : CASES) {
      Buffer buffer = new Buffer(backend, k, 2);
      Fresh fresh = buffer.fresh;
      int c = buffer.first, rows = buffer.rows;
      float[] gamma = fresh.normal(c), beta = fresh.normal(c), mean = fresh.normal(buffer.width), inverse = fresh.uniform(buffer.width, 0.5, 2);
      float[] var = fresh.uniform(buffer.width, 0.5, 2), oldMean = fresh.normal(c), oldVar = fresh.uniform(c, 0.5, 2);
      float[] all = new float[buffer.shape.size()];
      double[] t = new double[rows * c];
      for (int row = 0; row < rows; row++) {
        for (int j = 0; j < c; j++) {
          double v;
          do {
            v = buffer.a[row * c + j];
            t[row * c + j] = (v - mean[j]) * gamma[j] * inverse[j] + beta[j];
            if (safe(t[row * c + j])) break;
            buffer.a[row * c + j] = fresh.normal(1)[0];
          } while (true);
        }
      }
      for (int i = 0; i < all.length; i++) all[i] = (float) buffer.at(i / buffer.width, i % buffer.width);
      Tensor x = fresh.tensor(buffer.shape, all), movedMean = fresh.vector(oldMean), movedVar = fresh.vector(oldVar);
      Norm norm = new Norm(fresh.vector(gamma), fresh.vector(beta), fresh.vector(mean), fresh.vector(inverse));
      BitTensor bits = fresh.garbageBits(rows, c);
      for (boolean training : new boolean[] {false, true}) {
        backend.dense().normSign(bits, Channels.first(c, x), norm, training ? fresh.vector(var) : null,
            training ? new Running(movedMean, movedVar, MOMENTUM, EPSILON, false) : null);
        boolean[] want = new boolean[rows * c];
        for (int i = 0; i < want.length; i++) want[i] = t[i] >= 0;
        fresh.assertBits(want, bits);
      }
      fresh.assertClose("running mean", channels(c, j -> oldMean[j] + MOMENTUM * (mean[j] - oldMean[j])), movedMean);
      fresh.assertClose("running var", channels(c, j -> oldVar[j] + MOMENTUM * (var[j] - oldVar[j])), movedVar);

      float[] g = fresh.normal(rows * c), sums = fresh.normal(buffer.shape.size());
      Tensor gradX = fresh.tensor(buffer.shape, sums), gradGamma = fresh.garbage(c), gradBeta = fresh.garbage(c);
      backend.dense().normSignBackward(Channels.first(c, gradX), gradGamma, gradBeta, fresh.tensor(buffer.left, g), Channels.first(c, x), norm, new Binarizer.Clipped(1.3f));
      double[] wantGamma = new double[c], wantBeta = new double[c], wantX = Fresh.doubles(sums);
      for (int i = 0; i < rows * c; i++) {
        double h = Math.abs(t[i]) <= 1.3f ? g[i] : 0;
        wantBeta[i % c] += h;
        wantGamma[i % c] += h * (buffer.a[i] - mean[i % c]) * inverse[i % c];
      }
      for (int i = 0; i < rows * c; i++) {
        int j = i % c;
        double h = Math.abs(t[i]) <= 1.3f ? g[i] : 0, hat = (buffer.a[i] - mean[j]) * inverse[j];
        wantX[i / c * buffer.width + j] += gamma[j] * inverse[j] * (h - wantBeta[j] / rows - hat * wantGamma[j] / rows);
      }
      fresh.assertClose("gradGamma", wantGamma, gradGamma, 1e-5);
      fresh.assertClose("gradBeta", wantBeta, gradBeta, 1e-5);
      fresh.assertClose("gradX", wantX, gradX, 1e-5);
    }
  }

  /** Whether rounding cannot change the sign or what the clip lets pass. */
  private static boolean safe(double t) {
    return Math.abs(t) > 1e-4 && Math.abs(Math.abs(t) - 1.3f) > 1e-4;
  }

  private static double[] channels(int c, java.util.function.IntToDoubleFunction value) {
    return java.util.stream.IntStream.range(0, c).mapToDouble(value).toArray();
  }

  @OnEveryBackend
  void whatDoesNotFitIsRefused(Backend backend) {
    Fresh fresh = new Fresh(backend, 3);
    Tensor x = fresh.garbage(Shape.image(1, 2, 2, 6)), y = fresh.garbage(Shape.image(1, 2, 2, 3)), four = fresh.garbage(4), six = fresh.garbage(6);
    Norm norm = new Norm(four, four, six, six);
    DenseOps ops = backend.dense();
    assertRefused("append: channels 4 to 7 of a buffer with 6", () -> ops.append(new Channels(x, 4, 3), y, null));
    assertRefused("take: y [1, 2, 2, 3] for 2 channels of [1, 2, 2, 6]; they must be equal", () -> ops.take(y, new Channels(x, 0, 2)));
    assertRefused("append: var has 4 values, rows of [1, 2, 2, 6] have 6 channels; they must be equal",
        () -> ops.append(new Channels(x, 0, 3), y, new Moments(six, six, four, 1, true)));
    assertRefused("normSign: 4 rows of 5 bits for 4 pixels of 4 channels; they must be equal",
        () -> ops.normSign(backend.createBits(4, 5), Channels.first(4, x), norm, null, null));
    assertRefused("normSign: var and running must be given together", () -> ops.normSign(backend.createBits(4, 4), Channels.first(4, x), norm, six, null));
    assertRefused("normSignBackward: channels from 1 on; they must be the first",
        () -> ops.normSignBackward(new Channels(x, 1, 4), four, four, fresh.garbage(Shape.image(1, 2, 2, 4)), Channels.first(4, x), norm, new Binarizer.Identity()));
  }
}
