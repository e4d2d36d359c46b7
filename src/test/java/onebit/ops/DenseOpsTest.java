package onebit.ops;

import static onebit.ops.Fresh.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;

import onebit.binarize.Binarizer;
import onebit.ops.DenseOps.Channels;
import onebit.ops.DenseOps.Moments;
import onebit.ops.FusedOps.Norm;
import onebit.ops.FusedOps.Product;
import onebit.ops.FusedOps.Running;
import onebit.tensor.BinarySet;
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
        float[] oldMean = fresh.normal(buffer.first), oldVar = fresh.uniform(buffer.first, 0.5, 2), means = backend.read(moments.mean()), vars = backend.read(moments.var());
        Running moved = new Running(fresh.vector(oldMean), fresh.vector(oldVar), MOMENTUM, EPSILON, unbiased);
        backend.dense().moveRunning(moved, moments);
        fresh.assertClose("running mean", channels(buffer.first, j -> oldMean[j] + MOMENTUM * (means[j] - oldMean[j])), moved.mean(), 1e-6);
        fresh.assertClose("running var", channels(buffer.first, j -> oldVar[j] + MOMENTUM * (vars[j] - oldVar[j])), moved.var(), 1e-6);
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

  /** Filters on both sides of a word, several tiles of rows, a stride; channels before and behind that are multiples of a vector or are not. */
  @OnEveryPrecision
  void aProductLiesAmongItsChannelsWithTheirMoments(Backend backend) {
    ConvGeometry[] products = {new ConvGeometry(2, 5, 4, 33, 33, 3, 3, 1, 1, 1, 1), new ConvGeometry(3, 1, 1, 20, 8, 3, 3, 1, 1, 1, 1),
        new ConvGeometry(3, 9, 9, 32, 70, 3, 3, 1, 1, 1, 1), new ConvGeometry(5, 9, 8, 64, 64, 3, 3, 2, 1, 1, 1), new ConvGeometry(2, 12, 12, 16, 16, 3, 3, 1, 2, 2, 1)};
    for (ConvGeometry g : products) {
      for (int[] k : new int[][] {{64, 8}, {5, 3}, {0, 0}}) {
        Fresh fresh = new Fresh(backend, g.c() + k[0]);
        int rows = g.y().size() / g.o(), width = k[0] + g.o() + k[1];
        boolean unbiased = k[0] == 5;
        BitTensor xBits = backend.createBits(g.n() * g.h() * g.w(), g.c()), w = backend.createBits(g.o(), g.taps());
        backend.bits().pack(xBits, fresh.tensor(g.x(), fresh.normal(g.x().size())), 0);
        backend.bits().pack(w, fresh.tensor(g.filters(), fresh.normal(g.filters().size())), 0);
        BinarySet xSet = new BinarySet(fresh.vector(0.3f), fresh.vector(0.7f)), wSet = new BinarySet(fresh.vector(fresh.normal(g.o())), fresh.vector(fresh.uniform(g.o(), 0.5, 2)));
        Product product = new Product(xBits, w, xSet, wSet, g, Padding.MINUS_ONE, 0.25f);
        Tensor stored = fresh.garbage(g.y());
        backend.bits().xnorConv2d(stored, xBits, w, xSet, wSet, g, Padding.MINUS_ONE, 0.25f);
        float[] y = backend.read(stored), want = new float[rows * width];
        double[] mean = filled(width), var = filled(width), inverse = filled(width);
        java.util.Arrays.fill(want, Fresh.GARBAGE);
        for (int c = 0; c < g.o(); c++) {
          double sum = 0, squares = 0;
          for (int row = 0; row < rows; row++) sum += want[row * width + k[0] + c] = y[row * g.o() + c];
          for (int row = 0; row < rows; row++) squares += Math.pow(y[row * g.o() + c] - sum / rows, 2);
          mean[k[0] + c] = sum / rows;
          inverse[k[0] + c] = 1 / Math.sqrt(squares / rows + EPSILON);
          var[k[0] + c] = squares / (unbiased && rows > 1 ? rows - 1 : rows);
        }
        for (Moments moments : new Moments[] {new Moments(fresh.garbage(width), fresh.garbage(width), fresh.garbage(width), EPSILON, unbiased), null}) {
          Tensor x = fresh.garbage(Shape.image(g.n(), g.p(), g.q(), width));
          backend.dense().appendOf(new Channels(x, k[0], g.o()), product, moments);
          fresh.assertExactly("buffer", want, x);
          if (moments == null) continue;
          assertChannels(backend, "mean", mean, moments.mean(), k[0], g.o());
          assertChannels(backend, "inverse", inverse, moments.inverse(), k[0], g.o());
          assertChannels(backend, "var", var, moments.var(), k[0], g.o());
        }
      }
    }
  }

  private static double[] filled(int n) {
    return java.util.stream.DoubleStream.generate(() -> Fresh.GARBAGE).limit(n).toArray();
  }

  /** These channels as wanted, the others as they were. */
  private static void assertChannels(Backend backend, String name, double[] want, Tensor got, int from, int count) {
    float[] values = backend.read(got);
    double largest = 0;
    for (int c = from; c < from + count; c++) largest = Math.max(largest, Math.abs(want[c]));
    for (int c = 0; c < want.length; c++) assertEquals(want[c], values[c], c < from || c >= from + count ? 0 : 2e-6 * largest, name + " of channel " + c);
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
    ConvGeometry g = new ConvGeometry(1, 2, 2, 4, 2, 1, 1, 1, 0, 1, 1);
    BinarySet set = new BinarySet(fresh.vector(0), fresh.vector(1));
    Product product = new Product(backend.createBits(4, 4), backend.createBits(2, 4), set, set, g, Padding.ZERO, 0);
    assertRefused("appendOf: a product [1, 2, 2, 2] for 3 channels of [1, 2, 2, 6]; they must be equal", () -> ops.appendOf(new Channels(x, 0, 3), product, null));
    assertRefused("appendOf: channels 5 to 7 of a buffer with 6", () -> ops.appendOf(new Channels(x, 5, 2), product, null));
    assertRefused("appendOf: mean has 4 values, rows of [1, 2, 2, 6] have 6 channels; they must be equal",
        () -> ops.appendOf(new Channels(x, 0, 2), product, new Moments(four, six, six, 1, true)));
    assertRefused("xnorConv2d: x has 4 rows of 5 bits; 4 of 4 wanted",
        () -> ops.appendOf(new Channels(x, 0, 2), new Product(backend.createBits(4, 5), product.w(), set, set, g, Padding.ZERO, 0), null));
    assertRefused("moveRunning: mean has 4 values for 6 channels", () -> ops.moveRunning(new Running(six, six, 1, 1, true), new Moments(four, six, six, 1, true)));
    assertRefused("normSign: 4 rows of 5 bits for 4 pixels of 4 channels; they must be equal",
        () -> ops.normSign(backend.createBits(4, 5), Channels.first(4, x), norm, null, null));
    assertRefused("normSign: var and running must be given together", () -> ops.normSign(backend.createBits(4, 4), Channels.first(4, x), norm, six, null));
    assertRefused("normSignBackward: channels from 1 on; they must be the first",
        () -> ops.normSignBackward(new Channels(x, 1, 4), four, four, fresh.garbage(Shape.image(1, 2, 2, 4)), Channels.first(4, x), norm, new Binarizer.Identity()));
  }
}
