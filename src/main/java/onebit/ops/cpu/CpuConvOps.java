package onebit.ops.cpu;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import onebit.ops.ConvGeometry;
import onebit.ops.ConvOps;
import onebit.ops.ConvRules;
import onebit.ops.PixelScale;
import onebit.ops.Shapes;
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
  private final Map<ConvGeometry, ConvGeometry> turned = new HashMap<>();
  private final CpuPointOps point = new CpuPointOps();
  private float[] partials = new float[0], panels = new float[0], images = new float[0];
  private float[] xs, ws, ys;
  private ConvGeometry g;
  private float border;
  private int rows, parts, m, n, k;
  private boolean directly, transposeA, transposeB;

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
    this.g = g;
    this.border = border;
    xs = x.floats();
    ws = w.floats();
    ys = y.floats();
    if (direct && DirectConv.suitsForward(g)) {
      makeRoomForPanels();
      DirectConv.panels(panels, ws, g);
      forward();
      return;
    }
    CpuThreads.range(g.n() * g.p(), blockRows(g), this, CpuConvOps::forwardByColumns);
  }

  /** ys = the output rows [from, to), counted over all images. */
  private void forwardByColumns(int from, int to) {
    int og = g.o() / g.groups(), taps = g.taps(), pixels = (to - from) * g.q();
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
  }

  /** ys = the direct convolution of xs with the panels. */
  private void forward() {
    rows = DirectConv.blockRows(g);
    CpuThreads.range(g.n() * ((g.p() + rows - 1) / rows), 1, this, (op, piece, end) -> {
      int blocks = (op.g.p() + op.rows - 1) / op.rows, p0 = piece % blocks * op.rows;
      op.directs.get().forward(op.ys, op.xs, op.panels, piece / blocks, p0, Math.min(op.g.p(), p0 + op.rows), op.g, op.border);
    });
  }

  @Override
  public void conv2dGradX(Tensor gradX, Tensor gradY, Tensor w, ConvGeometry g) {
    ConvRules.requireConv2d("conv2dGradX", gradX, w, gradY, g);
    this.g = g;
    xs = gradX.floats();
    ws = w.floats();
    ys = gradY.floats();
    if (direct && DirectConv.canTurn(g)) {
      ConvGeometry back = turned.computeIfAbsent(g, DirectConv::turned);
      if (DirectConv.suitsForward(back)) {
        makeRoomForPanels();
        DirectConv.turnedPanels(panels, ws, g);
        this.g = back;
        border = 0;
        ys = gradX.floats();
        xs = gradY.floats();
        forward();
        return;
      }
    }
    CpuThreads.range(g.n(), Math.max(1, BLOCK_PIXELS / (g.p() * g.q())), this, CpuConvOps::gradXByColumns);
  }

  /** xs = the gradients of the images [first, last). */
  private void gradXByColumns(int first, int last) {
    int rows = blockRows(g), og = g.o() / g.groups(), taps = g.taps(), size = g.h() * g.w() * g.c();
    Arrays.fill(xs, first * size, last * size, 0);
    for (int from = first * g.p(); from < last * g.p(); from += rows) {
      int to = Math.min(last * g.p(), from + rows), pixels = (to - from) * g.q(), pixel = from * g.q();
      if (isMatrix(g)) {
        OpenBlas.sgemm(false, false, pixels, g.c(), g.o(), ys, pixel * g.o(), g.o(), ws, 0, g.c(), 0, xs, pixel * g.c(), g.c());
        continue;
      }
      float[] cols = scratch(pixels * taps);
      for (int group = 0; group < g.groups(); group++) {
        OpenBlas.sgemm(false, false, pixels, taps, og, ys, pixel * g.o() + group * og, g.o(), ws, group * og * taps, taps, 0, cols, 0, taps);
        ImageColumns.scatterAdd(xs, cols, group, from, to, g);
      }
    }
  }

  @Override
  public void conv2dGradW(Tensor gradW, Tensor gradY, Tensor x, ConvGeometry g, float border) {
    ConvRules.requireConv2d("conv2dGradW", x, gradW, gradY, g);
    this.g = g;
    this.border = border;
    xs = x.floats();
    ys = gradY.floats();
    int size = g.o() * g.taps();
    parts = parts(size, g.n());
    directly = direct && DirectConv.suitsGradW(g);
    if (partials.length < parts * size) partials = new float[parts * size];
    CpuThreads.range(parts, 1, this, (op, part, end) -> {
      int values = op.g.o() * op.g.taps(), first = first(part, op.parts, op.g.n()), last = first(part + 1, op.parts, op.g.n());
      Arrays.fill(op.partials, part * values, (part + 1) * values, 0);
      if (op.directly) op.directs.get().gradW(op.partials, part * values, op.ys, op.xs, first, last, op.g, op.border);
      else op.gradWByColumns(op.partials, part * values, op.ys, op.xs, first, last, op.g, op.border);
    });
    ws = gradW.floats();
    CpuThreads.range(size, 16 * 1024, this, (op, from, to) -> reduce(op.ws, op.partials, op.parts, op.g.o() * op.g.taps(), from, to));
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
  public void conv2dOfPixels(Tensor y, Tensor pixels, PixelScale scale, Tensor w, ConvGeometry g) {
    ConvRules.requireConv2d("conv2dOfPixels", pixels, w, y, g);
    conv2d(y, values("conv2dOfPixels", pixels, scale, g), w, g, 0);
  }

  @Override
  public void conv2dOfPixelsGradW(Tensor gradW, Tensor gradY, Tensor pixels, PixelScale scale, ConvGeometry g) {
    ConvRules.requireConv2d("conv2dOfPixelsGradW", pixels, gradW, gradY, g);
    conv2dGradW(gradW, gradY, values("conv2dOfPixelsGradW", pixels, scale, g), g, 0);
  }

  private Tensor values(String op, Tensor pixels, PixelScale scale, ConvGeometry g) {
    Shapes.requirePixels(op, pixels, scale, g.c());
    if (images.length < pixels.size()) images = new float[pixels.size()];
    Tensor values = Tensor.of(g.x(), images);
    point.normalize(values, pixels.reshaped(g.x()), scale);
    return values;
  }

  @Override
  public void gemm(Tensor c, Tensor a, boolean transposeA, Tensor b, boolean transposeB, int m, int n, int k) {
    ConvRules.requireGemm(c, a, b, m, n, k);
    xs = a.floats();
    ws = b.floats();
    ys = c.floats();
    this.m = m;
    this.n = n;
    this.k = k;
    this.transposeA = transposeA;
    this.transposeB = transposeB;
    int grain = (int) Math.clamp(GEMM_PRODUCTS / (1L + (long) Math.min(m, n) * k), 128, 1 << 20);
    if (m >= n) CpuThreads.range(m, grain, this, CpuConvOps::gemmRows);
    else CpuThreads.range(n, grain, this, CpuConvOps::gemmColumns);
  }

  /** The rows [from, to) of a product. */
  private void gemmRows(int from, int to) {
    OpenBlas.sgemm(transposeA, transposeB, to - from, n, k, xs, transposeA ? from : from * k, Math.max(1, transposeA ? m : k), ws, 0,
        Math.max(1, transposeB ? k : n), 0, ys, from * n, Math.max(1, n));
  }

  /** The columns [from, to) of a product. */
  private void gemmColumns(int from, int to) {
    OpenBlas.sgemm(transposeA, transposeB, m, to - from, k, xs, 0, Math.max(1, transposeA ? m : k), ws, transposeB ? from * k : from,
        Math.max(1, transposeB ? k : n), 0, ys, from, Math.max(1, n));
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

  /** Values [from, end) of to = the sum of the partial sums, in their order. */
  private static void reduce(float[] to, float[] sums, int parts, int size, int from, int end) {
    System.arraycopy(sums, from, to, from, end - from);
    for (int part = 1; part < parts; part++) {
      int at = part * size;
      for (int i = from; i < end; i++) to[i] += sums[at + i];
    }
  }

  private float[] scratch(int values) {
    float[][] holder = columns.get();
    if (holder[0].length < values) holder[0] = new float[values];
    return holder[0];
  }

  private void makeRoomForPanels() {
    int size = g.o() * g.taps();
    if (panels.length < size) panels = new float[size];
  }
}
