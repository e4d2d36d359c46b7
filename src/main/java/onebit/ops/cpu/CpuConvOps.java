package onebit.ops.cpu;

import java.util.Arrays;
import onebit.ops.ConvGeometry;
import onebit.ops.ConvOps;
import onebit.ops.ConvRules;
import onebit.tensor.Tensor;

/**
 * Real-valued convolution as columns times filters, in blocks of output rows that stay in the second-level cache, one image per piece.
 *
 * <pre>
 * Twin  src/main/java/onebit/ops/cuda/CudaConvOps.java
 * </pre>
 */
public final class CpuConvOps implements ConvOps {
  private static final int BLOCK_VALUES = 64 * 1024;
  private static final int PARTIAL_VALUES = 8 * 1024 * 1024;

  private final ThreadLocal<float[][]> columns = ThreadLocal.withInitial(() -> new float[1][0]);
  private float[] partials = new float[0];

  @Override
  public void conv2d(Tensor y, Tensor x, Tensor w, ConvGeometry g, float border) {
    ConvRules.requireConv2d("conv2d", x, w, y, g);
    float[] xs = x.floats(), ws = w.floats(), ys = y.floats();
    int rows = blockRows(g), blocks = (g.p() + rows - 1) / rows, og = g.o() / g.groups();
    CpuThreads.pieces(g.n() * blocks, piece -> {
      int image = piece / blocks, p0 = piece % blocks * rows, p1 = Math.min(g.p(), p0 + rows), pixels = (p1 - p0) * g.q();
      for (int group = 0; group < g.groups(); group++) {
        int to = (image * g.p() + p0) * g.q() * g.o() + group * og;
        if (isMatrix(g)) {
          OpenBlas.sgemm(false, true, pixels, og, g.taps(), xs, (image * g.p() + p0) * g.q() * g.c(), g.c(), ws, 0, g.taps(), 0, ys, to, g.o());
          continue;
        }
        float[] cols = scratch(pixels * g.taps());
        ImageColumns.gather(cols, xs, image, group, p0, p1, g, border);
        OpenBlas.sgemm(false, true, pixels, og, g.taps(), cols, 0, g.taps(), ws, group * og * g.taps(), g.taps(), 0, ys, to, g.o());
      }
    });
  }

  @Override
  public void conv2dGradX(Tensor gradX, Tensor gradY, Tensor w, ConvGeometry g) {
    ConvRules.requireConv2d("conv2dGradX", gradX, w, gradY, g);
    float[] gxs = gradX.floats(), ws = w.floats(), gys = gradY.floats();
    int rows = blockRows(g), og = g.o() / g.groups(), size = g.h() * g.w() * g.c();
    CpuThreads.pieces(g.n(), image -> {
      if (isMatrix(g)) {
        int from = image * g.p() * g.q();
        OpenBlas.sgemm(false, false, g.p() * g.q(), g.c(), g.o(), gys, from * g.o(), g.o(), ws, 0, g.c(), 0, gxs, from * g.c(), g.c());
        return;
      }
      Arrays.fill(gxs, image * size, (image + 1) * size, 0);
      for (int p0 = 0; p0 < g.p(); p0 += rows) {
        int p1 = Math.min(g.p(), p0 + rows), pixels = (p1 - p0) * g.q();
        float[] cols = scratch(pixels * g.taps());
        for (int group = 0; group < g.groups(); group++) {
          int from = (image * g.p() + p0) * g.q() * g.o() + group * og;
          OpenBlas.sgemm(false, false, pixels, g.taps(), og, gys, from, g.o(), ws, group * og * g.taps(), g.taps(), 0, cols, 0, g.taps());
          ImageColumns.scatterAdd(gxs, cols, image, group, p0, p1, g);
        }
      }
    });
  }

  @Override
  public void conv2dGradW(Tensor gradW, Tensor gradY, Tensor x, ConvGeometry g, float border) {
    ConvRules.requireConv2d("conv2dGradW", x, gradW, gradY, g);
    float[] xs = x.floats(), gys = gradY.floats();
    int rows = blockRows(g), og = g.o() / g.groups(), size = g.filters().size(), parts = parts(size, g.n());
    float[] sums = partials(parts * size);
    CpuThreads.pieces(parts, part -> {
      Arrays.fill(sums, part * size, (part + 1) * size, 0);
      for (int image = first(part, parts, g.n()); image < first(part + 1, parts, g.n()); image++) {
        for (int p0 = 0; p0 < g.p(); p0 += rows) {
          int p1 = Math.min(g.p(), p0 + rows), pixels = (p1 - p0) * g.q(), pixel = (image * g.p() + p0) * g.q();
          for (int group = 0; group < g.groups(); group++) {
            int to = part * size + group * og * g.taps();
            if (isMatrix(g)) {
              OpenBlas.sgemm(true, false, og, g.taps(), pixels, gys, pixel * g.o(), g.o(), xs, pixel * g.c(), g.c(), 1, sums, to, g.taps());
              continue;
            }
            float[] cols = scratch(pixels * g.taps());
            ImageColumns.gather(cols, xs, image, group, p0, p1, g, border);
            OpenBlas.sgemm(true, false, og, g.taps(), pixels, gys, pixel * g.o() + group * og, g.o(), cols, 0, g.taps(), 1, sums, to, g.taps());
          }
        }
      }
    });
    reduce(gradW.floats(), sums, parts, size);
  }

  @Override
  public void linear(Tensor y, Tensor x, Tensor w) {
    ConvRules.requireLinear("linear", y, x, w);
    gemm(y, x, false, w, true, x.shape().d0(), w.shape().d0(), w.shape().rowSize());
  }

  @Override
  public void linearGradX(Tensor gradX, Tensor gradY, Tensor w) {
    ConvRules.requireLinear("linearGradX", gradY, gradX, w);
    gemm(gradX, gradY, false, w, false, gradX.shape().d0(), w.shape().rowSize(), w.shape().d0());
  }

  @Override
  public void linearGradW(Tensor gradW, Tensor gradY, Tensor x) {
    ConvRules.requireLinear("linearGradW", gradY, x, gradW);
    gemm(gradW, gradY, true, x, false, gradW.shape().d0(), gradW.shape().rowSize(), x.shape().d0());
  }

  @Override
  public void gemm(Tensor c, Tensor a, boolean transposeA, Tensor b, boolean transposeB, int m, int n, int k) {
    if (m < 0 || n < 0 || k < 0) throw new IllegalArgumentException("gemm: m " + m + ", n " + n + " and k " + k + " must be >= 0");
    requireMatrix("a", a, m, k);
    requireMatrix("b", b, k, n);
    requireMatrix("c", c, m, n);
    float[] as = a.floats(), bs = b.floats(), cs = c.floats();
    int aStride = Math.max(1, transposeA ? m : k), bStride = Math.max(1, transposeB ? k : n);
    // rows per piece follow from the sizes alone, so the sums do not depend on the number of threads
    int grain = (int) Math.clamp(4L * 1024 * 1024 / (1L + (long) n * k), 32, 1024);
    CpuThreads.range(m, grain, (from, to) ->
        OpenBlas.sgemm(transposeA, transposeB, to - from, n, k, as, transposeA ? from : from * k, aStride, bs, 0, bStride, 0, cs, from * n, Math.max(1, n)));
  }

  private static void requireMatrix(String name, Tensor t, int rows, int columns) {
    if (t.size() != (long) rows * columns) {
      throw new IllegalArgumentException("gemm: " + name + " has " + t.size() + " values, " + rows + " x " + columns + " wanted");
    }
  }

  /** Whether the image itself is the column matrix: 1x1 filters, stride 1, no pad. */
  private static boolean isMatrix(ConvGeometry g) {
    return g.r() == 1 && g.s() == 1 && g.stride() == 1 && g.pad() == 0 && g.groups() == 1;
  }

  private static int blockRows(ConvGeometry g) {
    return (int) Math.clamp(BLOCK_VALUES / ((long) g.q() * g.taps()), 1, g.p());
  }

  /** Partial sums of a filter gradient: a function of the sizes alone. */
  private static int parts(int size, int images) {
    return Math.max(1, Math.min(images, Math.clamp(PARTIAL_VALUES / size, 4, 32)));
  }

  private static int first(int part, int parts, int images) {
    return (int) ((long) images * part / parts);
  }

  /** to = the sum of the partial sums, in their order. */
  private static void reduce(float[] to, float[] sums, int parts, int size) {
    CpuThreads.range(size, 16 * 1024, (from, end) -> {
      System.arraycopy(sums, from, to, from, end - from);
      for (int part = 1; part < parts; part++) {
        int at = part * size;
        for (int i = from; i < end; i++) to[i] += sums[at + i];
      }
    });
  }

  private float[] scratch(int values) {
    float[][] holder = columns.get();
    if (holder[0].length < values) holder[0] = new float[values];
    return holder[0];
  }

  private float[] partials(int values) {
    if (partials.length < values) partials = new float[values];
    return partials;
  }
}
