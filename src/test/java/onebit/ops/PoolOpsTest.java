package onebit.ops;

import static onebit.ops.Fresh.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.function.UnaryOperator;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

class PoolOpsTest {
  /** Window, stride and pad over images of H x W giving P x Q; the last rows are pooled in ceil mode. */
  private static final int[][] WINDOWS = {{2, 2, 0, 4, 6, 2, 3}, {3, 2, 1, 7, 8, 4, 4}, {3, 2, 0, 7, 7, 3, 3}, {3, 1, 1, 5, 5, 5, 5}, {1, 1, 0, 1, 1, 1, 1},
      {2, 2, 0, 5, 7, 2, 3}, {7, 7, 0, 7, 7, 1, 1}, {3, 2, 1, 1, 1, 1, 1}, {2, 2, 0, 5, 7, 3, 4}, {3, 3, 0, 7, 4, 3, 2}, {3, 2, 0, 8, 8, 4, 4}};
  private static final int[] CHANNELS = {1, 5, 32, 33};

  private static int at(Shape s, int n, int h, int w, int c) {
    return ((n * s.d1() + h) * s.d2() + w) * s.d3() + c;
  }

  /** What is done with the pixels of the image in one window. */
  private interface Pixels {
    void see(int out, int[] in);
  }

  private static void windows(Shape x, Shape y, int window, int stride, int pad, Pixels body) {
    for (int n = 0; n < y.d0(); n++)
      for (int p = 0; p < y.d1(); p++)
        for (int q = 0; q < y.d2(); q++)
          for (int c = 0; c < x.d3(); c++) {
            int[] inside = new int[window * window];
            int count = 0;
            for (int r = 0; r < window; r++)
              for (int s = 0; s < window; s++) {
                int h = p * stride - pad + r, w = q * stride - pad + s;
                if (h >= 0 && h < x.d1() && w >= 0 && w < x.d2()) inside[count++] = at(x, n, h, w, c);
              }
            body.see(((n * y.d1() + p) * y.d2() + q) * y.d3() + (y.d3() - x.d3()) / 2 + c, java.util.Arrays.copyOf(inside, count));
          }
  }

  private static double[] average(double[] values, Shape x, Shape y, int window, int stride) {
    double[] out = new double[y.size()];
    windows(x, y, window, stride, 0, (to, in) -> {
      for (int i : in) out[to] += values[i] / in.length;
    });
    return out;
  }

  /** The transpose of a linear map applied to g, column by column. */
  private static double[] transposed(UnaryOperator<double[]> map, int inputs, float[] g) {
    double[] result = new double[inputs];
    for (int i = 0; i < inputs; i++) {
      double[] unit = new double[inputs];
      unit[i] = 1;
      result[i] = Fresh.dot(map.apply(unit), g);
    }
    return result;
  }

  @OnEveryPrecision
  void maxPoolGivesTheLargestAndItsGradientGoesToTheFirstOfThem(Backend backend) {
    Fresh fresh = new Fresh(backend, 1);
    for (int[] k : WINDOWS) {
      for (int channels : CHANNELS) {
        Shape x = Shape.image(2, k[3], k[4], channels), y = Shape.image(2, k[5], k[6], channels);
        float[] values = new float[x.size()], g = fresh.normal(y.size()), want = new float[y.size()];
        for (int i = 0; i < values.length; i++) values[i] = fresh.random().nextInt(-3, 3);
        double[] gradient = new double[x.size()];
        windows(x, y, k[0], k[1], k[2], (to, in) -> {
          int best = in[0];
          for (int i : in) best = values[i] > values[best] ? i : best;
          want[to] = values[best];
          gradient[best] += g[to];
        });
        Tensor input = fresh.tensor(x, values), out = fresh.garbage(y), gradX = fresh.garbage(x);
        backend.pool().maxPool(out, input, k[0], k[1], k[2]);
        backend.pool().maxPoolBackward(gradX, fresh.tensor(y, g), input, k[0], k[1], k[2]);
        fresh.assertExactly("y", want, out);
        fresh.assertClose("gradX", gradient, gradX, 1e-6);
      }
    }
  }

  @OnEveryPrecision
  void aTieGivesItsGradientToTheFirstInRowOrder(Backend backend) {
    Fresh fresh = new Fresh(backend, 2);
    Shape x = Shape.image(1, 2, 2, 1);
    Tensor gradX = fresh.garbage(x), g = fresh.tensor(Shape.image(1, 1, 1, 1), 3);
    backend.pool().maxPoolBackward(gradX, g, fresh.tensor(x, 1, 2, 2, 2), 2, 2, 0);
    fresh.assertExactly("second of the first row", new float[] {0, 3, 0, 0}, gradX);
    backend.pool().maxPoolBackward(gradX, g, fresh.tensor(x, -0f, 0f, -0f, 0f), 2, 2, 0);
    fresh.assertExactly("0 equals -0", new float[] {3, 0, 0, 0}, gradX);
    backend.pool().maxPoolBackward(gradX, g, fresh.tensor(x, -5, -5, -4, -5), 2, 2, 0);
    fresh.assertExactly("all negative", new float[] {0, 0, 3, 0}, gradX);
  }

  @OnEveryPrecision
  void averagePoolIsTheMeanOfThePixelsInsideAndItsGradientTheTranspose(Backend backend) {
    Fresh fresh = new Fresh(backend, 3);
    for (int[] k : WINDOWS) {
      if (k[2] != 0) continue;
      for (int channels : CHANNELS) {
        Shape x = Shape.image(2, k[3], k[4], channels), y = Shape.image(2, k[5], k[6], channels);
        float[] values = fresh.normal(x.size()), g = fresh.normal(y.size());
        Tensor out = fresh.garbage(y), gradX = fresh.garbage(x);
        backend.pool().averagePool(out, fresh.tensor(x, values), k[0], k[1]);
        backend.pool().averagePoolBackward(gradX, fresh.tensor(y, g), k[0], k[1]);
        fresh.assertClose("y", average(Fresh.doubles(values), x, y, k[0], k[1]), out, 1e-6);
        if (channels < 32) fresh.assertClose("gradX", transposed(v -> average(v, x, y, k[0], k[1]), x.size(), g), gradX, 1e-6);
      }
    }
  }

  @OnEveryPrecision
  void theShortcutsSubsampleOrAverageAndPadChannelsWithZerosOnBothSides(Backend backend) {
    Fresh fresh = new Fresh(backend, 4);
    int[][] cases = {{4, 4, 2, 2, 2, 4}, {5, 7, 2, 2, 2, 2}, {1, 1, 1, 3, 1, 3}, {6, 6, 3, 16, 2, 32}, {4, 6, 2, 33, 2, 65}};
    for (int[] k : cases) {
      for (boolean pooled : new boolean[] {false, true}) {
        int h = k[0], w = k[1], stride = k[4], channels = k[3], window = pooled ? stride : 1;
        int p = pooled ? h / stride : (h + stride - 1) / stride, q = pooled ? w / stride : (w + stride - 1) / stride;
        Shape x = Shape.image(2, h, w, channels), y = Shape.image(2, p, q, k[5]);
        float[] values = fresh.normal(x.size()), g = fresh.normal(y.size());
        Tensor out = fresh.garbage(y), gradX = fresh.garbage(x), input = fresh.tensor(x, values), gradY = fresh.tensor(y, g);
        if (pooled) {
          backend.pool().poolPad(out, input, stride);
          backend.pool().poolPadBackward(gradX, gradY, stride);
        } else {
          backend.pool().subsamplePad(out, input, stride);
          backend.pool().subsamplePadBackward(gradX, gradY, stride);
        }
        fresh.assertClose("y", average(Fresh.doubles(values), x, y, window, stride), out, 1e-6);
        fresh.assertClose("gradX", transposed(v -> average(v, x, y, window, stride), x.size(), g), gradX, 1e-6);
      }
    }
  }

  @OnEveryPrecision
  void optionAKeepsEverySecondPixelInTheMiddleChannels(Backend backend) {
    Fresh fresh = new Fresh(backend, 5);
    Tensor x = fresh.tensor(Shape.image(1, 3, 3, 1), 1, 2, 3, 4, 5, 6, 7, 8, 9), y = fresh.garbage(Shape.image(1, 2, 2, 3));
    backend.pool().subsamplePad(y, x, 2);
    fresh.assertExactly("y", new float[] {0, 1, 0, 0, 3, 0, 0, 7, 0, 0, 9, 0}, y);
    Tensor mean = fresh.garbage(Shape.image(1, 1, 1, 3));
    backend.pool().poolPad(mean, x, 2);
    fresh.assertExactly("mean", new float[] {0, 3, 0}, mean);
  }

  @OnEveryPrecision
  void aSmallerBatchUsesOnlyItsOwnImages(Backend backend) {
    Fresh fresh = new Fresh(backend, 6);
    Shape x = Shape.image(3, 4, 4, 5), y = Shape.image(3, 2, 2, 5), part = Shape.image(1, 2, 2, 5);
    float[] values = fresh.normal(x.size());
    Tensor out = fresh.garbage(y), gradX = fresh.garbage(x);
    backend.pool().averagePool(out.first(1), fresh.tensor(x, values).first(1), 2, 2);
    fresh.assertClose("y", average(Fresh.doubles(values), Shape.image(1, 4, 4, 5), part, 2, 2), out.first(1), 1e-6);
    backend.pool().averagePoolBackward(gradX.first(1), out.first(1), 2, 2);
    float[] all = backend.read(gradX);
    for (int i = x.rowSize(); i < all.length; i++) assertEquals(Fresh.GARBAGE, all[i]);
  }

  @OnEveryBackend
  void wrongShapesAreRefusedInWords(Backend backend) {
    Fresh fresh = new Fresh(backend, 7);
    Tensor x = fresh.garbage(Shape.image(2, 4, 4, 3)), y = fresh.garbage(Shape.image(2, 2, 2, 3)), wide = fresh.garbage(Shape.image(2, 2, 2, 4));
    Tensor large = fresh.garbage(Shape.image(2, 3, 3, 3)), other = fresh.garbage(Shape.image(1, 2, 2, 3));
    PoolOps ops = backend.pool();
    assertRefused("maxPool: x [2, 4, 4, 3] and y [2, 2, 2, 4] must have equally many channels", () -> ops.maxPool(wide, x, 2, 2, 0));
    assertRefused("maxPool: y [2, 3, 3, 3] has windows wholly outside x [2, 4, 4, 3] at stride 2 and pad 0", () -> ops.maxPool(large, x, 2, 2, 0));
    assertRefused("maxPool: x [2, 4, 4, 3] and y [1, 2, 2, 3] must be equally many images", () -> ops.maxPool(other, x, 2, 2, 0));
    assertRefused("maxPool: window 2, stride 2, pad 2; window and stride must be >= 1 and pad in [0, window)", () -> ops.maxPool(y, x, 2, 2, 2));
    assertRefused("maxPoolBackward: gradX [2, 2, 2, 3] has 24 values, x [2, 4, 4, 3] has 96; they must be equal",
        () -> ops.maxPoolBackward(y, y, x, 2, 2, 0));
    assertRefused("averagePool: window 0, stride 2, pad 0; window and stride must be >= 1 and pad in [0, window)", () -> ops.averagePool(y, x, 0, 2));
    assertRefused("averagePoolBackward: y [2, 3, 3, 3] has windows wholly outside x [2, 4, 4, 3] at stride 2 and pad 0",
        () -> ops.averagePoolBackward(x, large, 2, 2));
    assertRefused("subsamplePad: 3 channels cannot be padded evenly to 4", () -> ops.subsamplePad(wide, x, 2));
    assertRefused("poolPad: windows of 2 at stride 2 for y [2, 2, 2, 3] leave x [2, 3, 3, 3]", () -> ops.poolPad(y, large, 2));
  }
}
