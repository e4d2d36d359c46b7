package onebit.ops.cpu;

import java.util.Arrays;
import onebit.ops.ConvGeometry;
import onebit.ops.ConvOps;
import onebit.ops.ConvRules;
import onebit.tensor.Tensor;

/**
 * Real-valued convolution: directly on padded images where the filters suit vectors, else as columns times filters in blocks of output rows.
 *
 * <p>How the work is cut follows from the sizes alone, so every result is independent of the number of threads. One caller at a time.
 *
 * <pre>
 * Twin  src/main/java/onebit/ops/cuda/CudaConvOps.java
 * </pre>
 */
public final class CpuConvOps implements ConvOps {
  private static final int BLOCK_VALUES = 64 * 1024;
  private static final int BLOCK_PIXELS = 192;
  private static final long GEMM_PRODUCTS = 4 * 1024 * 1024;
  private static final int PARTIAL_VALUES = 8 * 1024 * 1024;

  private final boolean direct;
  private final ThreadLocal<float[][]> columns = ThreadLocal.withInitial(() -> new float[1][0]);
  private final ThreadLocal<DirectConv> directs = ThreadLocal.withInitial(DirectConv::new);
  private float[] partials = new float[0], panels = new float[0];

  public CpuConvOps() {
    this(true);
  }

  private CpuConvOps(boolean direct) {
    this.direct = direct;
  }

  /** The ops with every convolution through columns and sgemm. */
  public static CpuConvOps throughColumns() {
    return new CpuConvOps(false);
  }

  @Override
  public void conv2d(Tensor y, Tensor x, Tensor w, ConvGeometry g, float border) {
    ConvRules.requireConv2d("conv2d", x, w, y, g);
    float[] xs = x.floats(), ws = w.floats(), ys = y.floats();
    if (direct && DirectConv.suitsForward(g)) {
      float[] filters = panels(g);
      DirectConv.panels(filters, ws, g);
      forward(ys, xs, filters, g, border);
      return;
    }
    int og = g.o() / g.groups(), taps = g.taps();
    CpuThreads.range(g.n() * g.p(), blockRows(g), (from, to) -> {
      int pixels = (to - from) * g.q();
      for (int group = 0; group < g.groups(); group++) {
        int at = from * g.q() * g.o() + group * og;
        if (isMatrix(g)) {
          OpenBlas.sgemm(false, true, pixels, og, taps, xs, from * g.q() * g.c(), g.c(), ws, 0, taps, 0, ys, at, g.o());
          continue;
        }
        float[] cols = scratch(pixels * taps);
        ImageColumns.gather(cols, xs, group, from, to, g, border);
        OpenBlas.sgemm(false, true, pixels, og, taps, cols, 0, taps, ws, group * og * taps, taps, 0, ys, at, g.o());
      }
    });
  }

  private void forward(float[] y, float[] x, float[] filters, ConvGeometry g, float border) {
    int rows = DirectConv.blockRows(g), blocks = (g.p() + rows - 1) / rows;
    CpuThreads.pieces(g.n() * blocks, piece -> {
      int p0 = piece % blocks * rows;
      directs.get().forward(y, x, filters, piece / blocks, p0, Math.min(g.p(), p0 + rows), g, border);
    });
  }

  @Override
  public void conv2dGradX(Tensor gradX, Tensor gradY, Tensor w, ConvGeometry g) {
    ConvRules.requireConv2d("conv2dGradX", gradX, w, gradY, g);
    float[] gxs = gradX.floats(), ws = w.floats(), gys = gradY.floats();
    if (direct && DirectConv.suitsGradX(g)) {
      float[] filters = panels(g);
      DirectConv.turnedPanels(filters, ws, g);
      forward(gxs, gys, filters, DirectConv.turned(g), 0);
      return;
    }
    int rows = blockRows(g), og = g.o() / g.groups(), taps = g.taps(), size = g.h() * g.w() * g.c();
    CpuThreads.range(g.n(), Math.max(1, BLOCK_PIXELS / (g.p() * g.q())), (first, last) -> {
      Arrays.fill(gxs, first * size, last * size, 0);
      for (int from = first * g.p(); from < last * g.p(); from += rows) {
        int to = Math.min(last * g.p(), from + rows), pixels = (to - from) * g.q(), pixel = from * g.q();
        if (isMatrix(g)) {
          OpenBlas.sgemm(false, false, pixels, g.c(), g.o(), gys, pixel * g.o(), g.o(), ws, 0, g.c(), 0, gxs, pixel * g.c(), g.c());
          continue;
        }
        float[] cols = scratch(pixels * taps);
        for (int group = 0; group < g.groups(); group++) {
          OpenBlas.sgemm(false, false, pixels, taps, og, gys, pixel * g.o() + group * og, g.o(), ws, group * og * taps, taps, 0, cols, 0, taps);
          ImageColumns.scatterAdd(gxs, cols, group, from, to, g);
        }
      }
    });
  }

  @Override
  public void conv2dGradW(Tensor gradW, Tensor gradY, Tensor x, ConvGeometry g, float border) {
    ConvRules.requireConv2d("conv2dGradW", x, gradW, gradY, g);
    float[] xs = x.floats(), gys = gradY.floats();
    int size = g.filters().size(), parts = parts(size, g.n());
    boolean directly = direct && DirectConv.suitsGradW(g);
    float[] sums = partials(parts * size);
    CpuThreads.pieces(parts, part -> {
      int first = first(part, parts, g.n()), last = first(part + 1, parts, g.n());
      Arrays.fill(sums, part * size, (part + 1) * size, 0);
      if (directly) directs.get().gradW(sums, part * size, gys, xs, first, last, g, border);
      else gradWByColumns(sums, part * size, gys, xs, first, last, g, border);
    });
    reduce(gradW.floats(), sums, parts, size);
  }

  /** gradW += what the images [first, last) contribute, from the given offset. */
  private void gradWByColumns(float[] gradW, int offset, float[] gradY, float[] x, int first, int last, ConvGeometry g, float border) {
    int rows = blockRows(g), og = g.o() / g.groups(), taps = g.taps();
    for (int from = first * g.p(); from < last * g.p(); from += rows) {
      int to = Math.min(last * g.p(), from + rows), pixels = (to - from) * g.q(), pixel = from * g.q();
      for (int group = 0; group < g.groups(); group++) {
        int at = offset + group * og * taps;
        if (isMatrix(g)) {
          OpenBlas.sgemm(true, false, og, taps, pixels, gradY, pixel * g.o(), g.o(), x, pixel * g.c(), g.c(), 1, gradW, at, taps);
          continue;
        }
        float[] cols = scratch(pixels * taps);
        ImageColumns.gather(cols, x, group, from, to, g, border);
        OpenBlas.sgemm(true, false, og, taps, pixels, gradY, pixel * g.o() + group * og, g.o(), cols, 0, taps, 1, gradW, at, taps);
      }
    }
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
    ConvRules.requireGemm(c, a, b, m, n, k);
    float[] as = a.floats(), bs = b.floats(), cs = c.floats();
    int aStride = Math.max(1, transposeA ? m : k), bStride = Math.max(1, transposeB ? k : n), cStride = Math.max(1, n);
    int grain = (int) Math.clamp(GEMM_PRODUCTS / (1L + (long) Math.min(m, n) * k), 128, 1 << 20);
    if (m >= n) {
      CpuThreads.range(m, grain, (from, to) -> OpenBlas.sgemm(transposeA, transposeB, to - from, n, k,
          as, transposeA ? from : from * k, aStride, bs, 0, bStride, 0, cs, from * n, cStride));
    } else {
      CpuThreads.range(n, grain, (from, to) -> OpenBlas.sgemm(transposeA, transposeB, m, to - from, k,
          as, 0, aStride, bs, transposeB ? from * k : from, bStride, 0, cs, from, cStride));
    }
  }

  /** Whether the image itself is the column matrix: 1x1 filters, stride 1, no pad. */
  private static boolean isMatrix(ConvGeometry g) {
    return g.r() == 1 && g.s() == 1 && g.stride() == 1 && g.pad() == 0 && g.groups() == 1;
  }

  /** Output rows of one block of columns: what the second-level cache holds, but enough pixels for the filters to be worth loading. */
  private static int blockRows(ConvGeometry g) {
    return (int) Math.max(1, Math.max(BLOCK_VALUES / ((long) g.q() * g.taps()), (BLOCK_PIXELS + g.q() - 1) / g.q()));
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

  private float[] panels(ConvGeometry g) {
    if (panels.length < g.filters().size()) panels = new float[g.filters().size()];
    return panels;
  }

  private float[] partials(int values) {
    if (partials.length < values) partials = new float[values];
    return partials;
  }
}
