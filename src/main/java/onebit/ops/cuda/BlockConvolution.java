package onebit.ops.cuda;

import onebit.ops.ConvGeometry;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/**
 * The own kernels for a convolution over {@link PixelBlocks}: sums in an order of their own that is the same on every run.
 *
 * <pre>
 * Twin  kernels/block_conv2d.cu, block_conv2d_grad_w.cu
 * </pre>
 */
final class BlockConvolution {
  /** Compute capability times ten of the first devices that multiply bfloat16. */
  static final int LEAST_CAPABILITY = 80;
  /** Taps of blocks down or along that the kernels take, filters of a block of threads, and bytes of a filter on its way into registers. */
  private static final int MOST_TAPS = 4, FILTERS = 64, FILTER_BYTES = 528;
  /** Groups of 4 positions that a warp multiplies at once, and rows of y of a chunk. */
  private static final int GROUPS = 16, MOST_ROWS = 16;
  private static final int THREADS = 128, RESIDENT = 2, LINE_BYTES = 128;
  /** What a chunk costs beside its products, and what copying a line does, in times of the products of 16 groups. */
  private static final double START = 0.25, LINE = 0.0006;

  /** The same of the gradient of filters, whose blocks are one on a multiprocessor. */
  private static final int GRADIENT_THREADS = 256, GRADIENT_BYTES = 128, HANDED_BYTES = 64 << 10;
  /** Splits of the gradient wherever it is summed, so that sums have the same order on devices with as much shared memory. */
  private static final int SPLITS = 132;
  private static final double GRADIENT_START = 0.1;

  private final CudaDevice device;

  BlockConvolution(CudaDevice device) {
    this.device = device;
  }

  /** Whether these kernels can do it. */
  boolean takes(ConvGeometry g) {
    ConvGeometry to = PixelBlocks.geometry(g);
    return device.capability() >= LEAST_CAPABILITY && to.r() <= MOST_TAPS && to.s() <= MOST_TAPS && room(to, 1) <= most() && gradientRoom(to, 1) <= mostOfGradient();
  }

  /** Whether a block may have 163 KB of shared memory; else 99. */
  private boolean large() {
    int capability = device.capability();
    return capability == 80 || capability == 90 || capability == 100;
  }

  /** Bytes of shared memory that a block may have so that two are on a multiprocessor. */
  private int most() {
    return (!large() ? 49 : device.capability() == 80 ? 81 : 113) << 10;
  }

  /** Bytes that one block may have alone, of which sm_80 has the least of the large ones. */
  private int mostOfGradient() {
    return (large() ? 163 : 99) << 10;
  }

  private static int ceil(int n, int each) {
    return (n + each - 1) / each;
  }

  private static int lines(ConvGeometry to) {
    return ceil(to.q(), 4) + 1;
  }

  private static int room(ConvGeometry to, int rows) {
    return Math.max(FILTERS * FILTER_BYTES, 2 * LINE_BYTES * lines(to) * (rows + to.r() - 1));
  }

  /** Rows of y of a chunk, so that the blocks run in few full rounds. */
  private int rows(ConvGeometry to) {
    int blocks = RESIDENT * device.multiprocessors() / ceil(to.o(), FILTERS), down = to.o() > FILTERS / 2 ? 2 : 4, best = 1;
    double least = Double.POSITIVE_INFINITY;
    for (int rows = 1; rows <= Math.min(MOST_ROWS, to.p()) && room(to, rows) <= most(); rows++) {
      int rounds = ceil(to.n() * ceil(to.p(), rows), Math.max(1, blocks));
      double cost = rounds * (ceil(ceil(rows * (lines(to) - 1), GROUPS), down) + START + LINE * lines(to) * (rows + to.r() - 1));
      if (cost >= least) continue;
      least = cost;
      best = rows;
    }
    return best;
  }

  /** y from the images as blocks; the filters are laid out on the way. */
  void forward(Tensor y, DeviceMemory blocks, Tensor w, ConvGeometry g) {
    ConvGeometry to = PixelBlocks.geometry(g);
    int rows = rows(to), across = ceil(to.o(), FILTERS), grid = Math.min(to.n() * ceil(to.p(), rows), Math.max(1, RESIDENT * device.multiprocessors() / across));
    Kernel kernel = device.kernel("block_conv2d", w).bfloat16(y).memory(blocks).element(w);
    shape(kernel, to).integer(rows).integer(g.r()).integer(g.s()).integer(g.c()).integer(g.pad() % 2).launch(grid, across, THREADS, 1, room(to, rows));
  }

  /** Two stages of rows of gradY, in whole steps, and of the images; at the end what half of the warps hand to the other. */
  private static int gradientRoom(ConvGeometry to, int rows) {
    int steps = ceil(rows * (lines(to) - 1), GROUPS);
    return Math.max(HANDED_BYTES, 2 * (4 * GROUPS * steps * GRADIENT_BYTES + LINE_BYTES * lines(to) * (rows + to.r() - 1)));
  }

  private int gradientRows(ConvGeometry to) {
    int best = 1;
    double least = Double.POSITIVE_INFINITY;
    for (int rows = 1; rows <= Math.min(MOST_ROWS, to.p()) && gradientRoom(to, rows) <= mostOfGradient(); rows++) {
      int rounds = ceil(to.n() * ceil(to.p(), rows), SPLITS);
      double cost = rounds * (ceil(rows * (lines(to) - 1), GROUPS) + GRADIENT_START);
      if (cost >= least) continue;
      least = cost;
      best = rows;
    }
    return best;
  }

  /** gradW of the filters themselves, from the images as blocks. */
  void gradW(Tensor gradW, Tensor gradY, DeviceMemory blocks, ConvGeometry g) {
    ConvGeometry to = PixelBlocks.geometry(g);
    int rows = gradientRows(to), chunks = to.n() * ceil(to.p(), rows), each = ceil(chunks, SPLITS), splits = ceil(chunks, each);
    DeviceMemory partial = device.scratch(CudaDevice.Scratch.SUMS, 4L * splits * to.filters().size());
    Kernel kernel = rounded("block_conv2d_grad_w").memory(partial).element(gradY).memory(blocks);
    shape(kernel, to).integer(rows).integer(each).launch(splits, ceil(to.o(), FILTERS), GRADIENT_THREADS, 1, gradientRoom(to, rows));
    device.kernel("block_conv2d_grad_w_finish", gradW).element(gradW).memory(partial).integer(splits).integer(gradW.size()).integer(g.r()).integer(g.s())
        .integer(g.c()).integer(to.r()).integer(to.s()).integer(to.c()).integer(g.pad() % 2).each(gradW.size());
  }

  /** An entry that there is on bfloat16 only. */
  private Kernel rounded(String entry) {
    return device.kernel(entry, ElementType.BFLOAT16);
  }

  private static Kernel shape(Kernel kernel, ConvGeometry to) {
    return kernel.integer(to.n()).integer(to.p()).integer(to.q()).integer(to.o()).integer(to.r()).integer(to.s()).integer(to.c());
  }
}
