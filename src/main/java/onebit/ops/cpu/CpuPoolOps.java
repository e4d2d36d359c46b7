package onebit.ops.cpu;

import java.util.Arrays;
import onebit.ops.PoolOps;
import onebit.ops.Shapes;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Pooling and parameter-free shortcuts on the CPU, parallel over images. */
final class CpuPoolOps implements PoolOps {
  /** Work on one window: image n, output pixel p, q and the window's rows [h0, h1) and columns [w0, w1) inside the image. */
  @FunctionalInterface
  private interface Window {
    void run(int out, int n, int h0, int h1, int w0, int w1);
  }

  private static void windows(Shape x, Shape y, int window, int stride, int pad, Window body) {
    CpuThreads.pieces(x.d0(), n -> {
      for (int p = 0; p < y.d1(); p++) {
        int h0 = Math.max(0, p * stride - pad), h1 = Math.min(x.d1(), p * stride - pad + window);
        for (int q = 0; q < y.d2(); q++) {
          int w0 = Math.max(0, q * stride - pad), w1 = Math.min(x.d2(), q * stride - pad + window);
          body.run(((n * y.d1() + p) * y.d2() + q) * y.d3(), n, h0, h1, w0, w1);
        }
      }
    });
  }

  @Override
  public void maxPool(Tensor y, Tensor x, int window, int stride, int pad) {
    Shapes.requirePool("maxPool", x.shape(), y.shape(), window, stride, pad);
    Shape in = x.shape();
    int channels = in.d3();
    float[] xs = x.floats(), ys = y.floats();
    windows(in, y.shape(), window, stride, pad, (out, n, h0, h1, w0, w1) -> {
      Arrays.fill(ys, out, out + channels, Float.NEGATIVE_INFINITY);
      for (int h = h0; h < h1; h++) {
        for (int w = w0; w < w1; w++) {
          int at = ((n * in.d1() + h) * in.d2() + w) * channels;
          for (int c = 0; c < channels; c++) ys[out + c] = Math.max(ys[out + c], xs[at + c]);
        }
      }
    });
  }

  @Override
  public void maxPoolBackward(Tensor gradX, Tensor gradY, Tensor x, int window, int stride, int pad) {
    Shapes.requirePool("maxPoolBackward", x.shape(), gradY.shape(), window, stride, pad);
    Shapes.requireEqual("maxPoolBackward", "gradX", gradX, "x", x);
    Shape in = x.shape();
    int channels = in.d3();
    float[] xs = x.floats(), gys = gradY.floats(), gxs = gradX.floats();
    Arrays.fill(gxs, 0, gradX.size(), 0);
    windows(in, gradY.shape(), window, stride, pad, (out, n, h0, h1, w0, w1) -> {
      for (int c = 0; c < channels; c++) {
        int best = -1;
        for (int h = h0; h < h1; h++) {
          for (int w = w0; w < w1; w++) {
            int at = ((n * in.d1() + h) * in.d2() + w) * channels + c;
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
    Shape in = x.shape();
    int channels = in.d3();
    float[] xs = x.floats(), ys = y.floats();
    windows(in, y.shape(), window, stride, 0, (out, n, h0, h1, w0, w1) -> {
      Arrays.fill(ys, out, out + channels, 0);
      for (int h = h0; h < h1; h++) {
        for (int w = w0; w < w1; w++) {
          int at = ((n * in.d1() + h) * in.d2() + w) * channels;
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
    Shape in = gradX.shape();
    int channels = in.d3();
    float[] gys = gradY.floats(), gxs = gradX.floats();
    Arrays.fill(gxs, 0, gradX.size(), 0);
    windows(in, gradY.shape(), window, stride, 0, (out, n, h0, h1, w0, w1) -> {
      float factor = 1f / ((h1 - h0) * (w1 - w0));
      for (int h = h0; h < h1; h++) {
        for (int w = w0; w < w1; w++) {
          int at = ((n * in.d1() + h) * in.d2() + w) * channels;
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
  private static void reduceAndPad(Tensor y, Tensor x, int stride, int window) {
    Shape in = x.shape(), out = y.shape();
    int channels = in.d3(), before = (out.d3() - channels) / 2;
    float factor = 1f / (window * window);
    float[] xs = x.floats(), ys = y.floats();
    windows(in, out, window, stride, 0, (at, n, h0, h1, w0, w1) -> {
      Arrays.fill(ys, at, at + out.d3(), 0);
      for (int h = h0; h < h1; h++) {
        for (int w = w0; w < w1; w++) {
          int from = ((n * in.d1() + h) * in.d2() + w) * channels;
          for (int c = 0; c < channels; c++) ys[at + before + c] += factor * xs[from + c];
        }
      }
    });
  }

  private static void expandInner(Tensor gradX, Tensor gradY, int stride, int window) {
    Shape in = gradX.shape(), out = gradY.shape();
    int channels = in.d3(), before = (out.d3() - channels) / 2;
    float factor = 1f / (window * window);
    float[] gxs = gradX.floats(), gys = gradY.floats();
    Arrays.fill(gxs, 0, gradX.size(), 0);
    windows(in, out, window, stride, 0, (at, n, h0, h1, w0, w1) -> {
      for (int h = h0; h < h1; h++) {
        for (int w = w0; w < w1; w++) {
          int to = ((n * in.d1() + h) * in.d2() + w) * channels;
          for (int c = 0; c < channels; c++) gxs[to + c] += factor * gys[at + before + c];
        }
      }
    });
  }
}
