package onebit.ops.cpu;

import java.util.Arrays;
import onebit.ops.PoolOps;
import onebit.ops.Shapes;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Pooling and parameter-free shortcuts on the CPU, parallel over images. The fields are what the running op works on: one caller at a time. */
final class CpuPoolOps implements PoolOps {
  private float[] xs, ys, zs;
  private Shape in, out;
  private int side, step, border, before;
  private float factor;
  private Window body;

  /** Work on one window: image n, output pixel p, q and the window's rows [h0, h1) and columns [w0, w1) inside the image. */
  @FunctionalInterface
  private interface Window {
    void run(CpuPoolOps op, int out, int n, int h0, int h1, int w0, int w1);
  }

  private void windows(Shape x, Shape y, int window, int stride, int pad, Window work) {
    in = x;
    out = y;
    side = window;
    step = stride;
    border = pad;
    body = work;
    CpuThreads.range(x.d0(), 1, this, (op, n, last) -> {
      Shape from = op.in, to = op.out;
      for (int p = 0; p < to.d1(); p++) {
        int top = p * op.step - op.border, h0 = Math.max(0, top), h1 = Math.min(from.d1(), top + op.side);
        for (int q = 0; q < to.d2(); q++) {
          int left = q * op.step - op.border, w0 = Math.max(0, left), w1 = Math.min(from.d2(), left + op.side);
          op.body.run(op, ((n * to.d1() + p) * to.d2() + q) * to.d3(), n, h0, h1, w0, w1);
        }
      }
    });
  }

  /** Where the channels of a pixel of x begin. */
  private int pixel(int n, int h, int w) {
    return ((n * in.d1() + h) * in.d2() + w) * in.d3();
  }

  @Override
  public void maxPool(Tensor y, Tensor x, int window, int stride, int pad) {
    Shapes.requirePool("maxPool", x.shape(), y.shape(), window, stride, pad);
    xs = x.floats();
    ys = y.floats();
    windows(x.shape(), y.shape(), window, stride, pad, (op, out, n, h0, h1, w0, w1) -> {
      int channels = op.in.d3();
      float[] xs = op.xs, ys = op.ys;
      Arrays.fill(ys, out, out + channels, Float.NEGATIVE_INFINITY);
      for (int h = h0; h < h1; h++) {
        for (int w = w0; w < w1; w++) {
          int at = op.pixel(n, h, w);
          for (int c = 0; c < channels; c++) ys[out + c] = Math.max(ys[out + c], xs[at + c]);
        }
      }
    });
  }

  @Override
  public void maxPoolBackward(Tensor gradX, Tensor gradY, Tensor x, int window, int stride, int pad) {
    Shapes.requirePool("maxPoolBackward", x.shape(), gradY.shape(), window, stride, pad);
    Shapes.requireEqual("maxPoolBackward", "gradX", gradX, "x", x);
    xs = x.floats();
    ys = gradY.floats();
    zs = gradX.floats();
    Arrays.fill(zs, 0, gradX.size(), 0);
    windows(x.shape(), gradY.shape(), window, stride, pad, (op, out, n, h0, h1, w0, w1) -> {
      int channels = op.in.d3();
      float[] xs = op.xs, gys = op.ys, gxs = op.zs;
      for (int c = 0; c < channels; c++) {
        int best = -1;
        for (int h = h0; h < h1; h++) {
          for (int w = w0; w < w1; w++) {
            int at = op.pixel(n, h, w) + c;
            if (best < 0 || xs[at] > xs[best]) best = at;
          }
        }
        gxs[best] += gys[out + c];
      }
    });
  }

  @Override
  public void averagePool(Tensor y, Tensor x, int window, int stride) {
    Shapes.requirePool("averagePool", x.shape(), y.shape(), window, stride, 0);
    xs = x.floats();
    ys = y.floats();
    windows(x.shape(), y.shape(), window, stride, 0, (op, out, n, h0, h1, w0, w1) -> {
      int channels = op.in.d3();
      float[] xs = op.xs, ys = op.ys;
      Arrays.fill(ys, out, out + channels, 0);
      for (int h = h0; h < h1; h++) {
        for (int w = w0; w < w1; w++) {
          int at = op.pixel(n, h, w);
          for (int c = 0; c < channels; c++) ys[out + c] += xs[at + c];
        }
      }
      float factor = 1f / ((h1 - h0) * (w1 - w0));
      for (int c = 0; c < channels; c++) ys[out + c] *= factor;
    });
  }

  @Override
  public void averagePoolBackward(Tensor gradX, Tensor gradY, int window, int stride) {
    Shapes.requirePool("averagePoolBackward", gradX.shape(), gradY.shape(), window, stride, 0);
    ys = gradY.floats();
    zs = gradX.floats();
    Arrays.fill(zs, 0, gradX.size(), 0);
    windows(gradX.shape(), gradY.shape(), window, stride, 0, (op, out, n, h0, h1, w0, w1) -> {
      int channels = op.in.d3();
      float[] gys = op.ys, gxs = op.zs;
      float factor = 1f / ((h1 - h0) * (w1 - w0));
      for (int h = h0; h < h1; h++) {
        for (int w = w0; w < w1; w++) {
          int at = op.pixel(n, h, w);
          for (int c = 0; c < channels; c++) gxs[at + c] += factor * gys[out + c];
        }
      }
    });
  }

  @Override
  public void subsamplePad(Tensor y, Tensor x, int stride) {
    Shapes.requireShortcut("subsamplePad", x.shape(), y.shape(), 1, stride);
    reduceAndPad(y, x, stride, 1);
  }

  @Override
  public void subsamplePadBackward(Tensor gradX, Tensor gradY, int stride) {
    Shapes.requireShortcut("subsamplePadBackward", gradX.shape(), gradY.shape(), 1, stride);
    expandInner(gradX, gradY, stride, 1);
  }

  @Override
  public void poolPad(Tensor y, Tensor x, int stride) {
    Shapes.requireShortcut("poolPad", x.shape(), y.shape(), stride, stride);
    reduceAndPad(y, x, stride, stride);
  }

  @Override
  public void poolPadBackward(Tensor gradX, Tensor gradY, int stride) {
    Shapes.requireShortcut("poolPadBackward", gradX.shape(), gradY.shape(), stride, stride);
    expandInner(gradX, gradY, stride, stride);
  }

  /** y's middle channels = the mean over window x window pixels of x at every stride-th place; its other channels 0. */
  private void reduceAndPad(Tensor y, Tensor x, int stride, int window) {
    before = (y.shape().d3() - x.shape().d3()) / 2;
    factor = 1f / (window * window);
    xs = x.floats();
    ys = y.floats();
    windows(x.shape(), y.shape(), window, stride, 0, (op, at, n, h0, h1, w0, w1) -> {
      int channels = op.in.d3(), before = op.before;
      float factor = op.factor;
      float[] xs = op.xs, ys = op.ys;
      Arrays.fill(ys, at, at + op.out.d3(), 0);
      for (int h = h0; h < h1; h++) {
        for (int w = w0; w < w1; w++) {
          int from = op.pixel(n, h, w);
          for (int c = 0; c < channels; c++) ys[at + before + c] += factor * xs[from + c];
        }
      }
    });
  }

  private void expandInner(Tensor gradX, Tensor gradY, int stride, int window) {
    before = (gradY.shape().d3() - gradX.shape().d3()) / 2;
    factor = 1f / (window * window);
    zs = gradX.floats();
    ys = gradY.floats();
    Arrays.fill(zs, 0, gradX.size(), 0);
    windows(gradX.shape(), gradY.shape(), window, stride, 0, (op, at, n, h0, h1, w0, w1) -> {
      int channels = op.in.d3(), before = op.before;
      float factor = op.factor;
      float[] gxs = op.zs, gys = op.ys;
      for (int h = h0; h < h1; h++) {
        for (int w = w0; w < w1; w++) {
          int to = op.pixel(n, h, w);
          for (int c = 0; c < channels; c++) gxs[to + c] += factor * gys[at + before + c];
        }
      }
    });
  }
}
