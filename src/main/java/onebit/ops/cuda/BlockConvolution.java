package onebit.ops.cuda;

import java.util.function.IntPredicate;
import java.util.function.IntToDoubleFunction;
import onebit.ops.ConvGeometry;
import onebit.ops.FusedOps.Norm;
import onebit.ops.FusedOps.Running;
import onebit.ops.PixelScale;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/**
 * The own kernels for a convolution over {@link PixelBlocks}, stored or made of bytes on the way: sums in an order of their own that is the same on
 * every run.
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
  /** Groups of 4 positions that a warp multiplies at once, rows of y of a chunk, and bytes of a line of 4 blocks. */
  private static final int GROUPS = 16, MOST_ROWS = 16, LINE_BYTES = 128;
  private static final int THREADS = 128, RESIDENT = 2, STATISTICS_BYTES = 2 << 10;
  /** What a chunk costs beside its products, and what fetching a line does, in times of the products of 16 groups. */
  private static final double START = 0.25, LINE = 0.002;
  /** The same of the gradient of filters, whose blocks are one on a multiprocessor; bytes of a position, and what half of the warps hand to the other. */
  private static final int GRADIENT_THREADS = 256, GRADIENT_BYTES = 128, HANDED_BYTES = 64 << 10;
  private static final double GRADIENT_START = 0.1;
  /** Splits of the gradient wherever it is summed, so that sums have the same order on devices with as much shared memory. */
  private static final int SPLITS = 132;

  private final CudaDevice device;
  private final PixelScales scales;

  BlockConvolution(CudaDevice device, PixelScales scales) {
    this.device = device;
    this.scales = scales;
  }

  /** Whether these kernels can do it. */
  boolean takes(ConvGeometry g) {
    ConvGeometry to = PixelBlocks.geometry(g);
    return device.capability() >= LEAST_CAPABILITY && to.r() <= MOST_TAPS && to.s() <= MOST_TAPS && room(g, to, 1) <= most() && gradientRoom(g, to, 1) <= mostAlone();
  }

  /** Bytes of shared memory that a block may have so that two are on a multiprocessor, beside the 128 that it has of its own. */
  private int most() {
    int half = switch (device.capability()) {
      case 80 -> 81 << 10;
      case 90, 100 -> 113 << 10;
      default -> 49 << 10;
    };
    return half - 128;
  }

  /** Bytes that one block may have alone. */
  private int mostAlone() {
    return switch (device.capability()) {
      case 80 -> 163 << 10;
      case 90, 100 -> 227 << 10;
      default -> 99 << 10;
    };
  }

  private static int ceil(int n, int each) {
    return (n + each - 1) / each;
  }

  private static int lines(ConvGeometry to) {
    return ceil(to.q(), 4) + 1;
  }

  /** Bytes for the rows of blocks of two chunks, and for the pixels that two are made of with the table of their values: a stored image needs no less. */
  private static int rowsOfTwo(ConvGeometry g, ConvGeometry to, int rows) {
    int all = rows + to.r() - 1;
    return 2 * LINE_BYTES * lines(to) * all + 2 * (16 * ceil(2 * all * g.w() * g.c(), 16) + 16) + 512 * g.c();
  }

  private static int room(ConvGeometry g, ConvGeometry to, int rows) {
    return Math.max(FILTERS * FILTER_BYTES, rowsOfTwo(g, to, rows) + STATISTICS_BYTES);
  }

  private int blocks(ConvGeometry to) {
    return Math.max(1, RESIDENT * device.multiprocessors() / ceil(to.o(), FILTERS));
  }

  /** The fewest rows of those that cost least, of as many as y has and fit; 1 where none fits. */
  private static int cheapest(ConvGeometry to, IntPredicate fits, IntToDoubleFunction cost) {
    int best = 1;
    double least = Double.POSITIVE_INFINITY;
    for (int rows = 1; rows <= Math.min(MOST_ROWS, to.p()) && fits.test(rows); rows++) {
      double of = cost.applyAsDouble(rows);
      if (of >= least) continue;
      least = of;
      best = rows;
    }
    return best;
  }

  /** Rows of y of a chunk, so that the blocks run in few full rounds. */
  private int rows(ConvGeometry g, ConvGeometry to) {
    int down = to.o() > FILTERS / 2 ? 2 : 4;
    return cheapest(to, rows -> room(g, to, rows) <= most(),
        rows -> ceil(to.n() * ceil(to.p(), rows), blocks(to)) * (ceil(ceil(rows * (lines(to) - 1), GROUPS), down) + START + LINE * lines(to) * rows));
  }

  /** y from the images as blocks; the filters are laid out on the way. */
  void forward(Tensor y, DeviceMemory blocks, Tensor w, ConvGeometry g) {
    ConvGeometry to = PixelBlocks.geometry(g);
    launch(device.kernel("block_conv2d", w).bfloat16(y).memory(blocks).element(w), g, to, false);
  }

  /** y from the bytes of images. */
  void forward(Tensor y, Tensor pixels, PixelScale scale, Tensor w, ConvGeometry g) {
    ConvGeometry to = PixelBlocks.geometry(g);
    DeviceMemory statistics = scales.memory(scale);
    launch(device.kernel("block_conv2d_of_bytes", w).bfloat16(y).tensor(pixels).memory(statistics).element(w), g, to, true);
  }

  /** The same, with what unit_statistics makes of y. */
  void statistics(Tensor y, Tensor pixels, PixelScale scale, Tensor w, ConvGeometry g, Norm norm, Running running, ChannelSums sums) {
    ConvGeometry to = PixelBlocks.geometry(g);
    int rows = rows(g, to), chunks = to.n() * ceil(to.p(), rows), splits = ceil(chunks, ceil(chunks, blocks(to)));
    DeviceMemory partial = sums.tiles(splits, to.o(), 2), pixelStatistics = scales.memory(scale);
    Kernel kernel = device.kernel("block_conv2d_statistics", w).memory(partial).memory(sums.counters()).bfloat16(y).address(0);
    kernel.tensor(norm.mean()).tensor(norm.inverse()).tensor(running.mean()).tensor(running.var()).real(running.momentum()).real(running.epsilon());
    kernel.integer(running.unbiased() ? 1 : 0).integer(to.n() * to.p() * to.q()).integer(to.o()).integer(to.o());
    launch(kernel.tensor(pixels).memory(pixelStatistics).element(w), g, to, true);
  }

  private void launch(Kernel kernel, ConvGeometry g, ConvGeometry to, boolean bytes) {
    int rows = rows(g, to), chunks = to.n() * ceil(to.p(), rows), each = ceil(chunks, blocks(to));
    shape(kernel, to).integer(rows).integer(each).integer(g.r()).integer(g.s()).integer(g.c()).integer(g.pad() % 2);
    if (bytes) kernel.integer(g.h()).integer(g.w()).integer(PixelBlocks.even(g));
    kernel.launch(ceil(chunks, each), ceil(to.o(), FILTERS), THREADS, 1, room(g, to, rows));
  }

  private static int gradientRoom(ConvGeometry g, ConvGeometry to, int rows) {
    return Math.max(HANDED_BYTES, 2 * 4 * GROUPS * GRADIENT_BYTES * ceil(rows * (lines(to) - 1), GROUPS) + rowsOfTwo(g, to, rows));
  }

  /** The same for images of bytes and for stored ones, so that their sums have one order. */
  private int gradientRows(ConvGeometry g, ConvGeometry to) {
    return cheapest(to, rows -> gradientRoom(g, to, rows) <= mostAlone(),
        rows -> ceil(to.n() * ceil(to.p(), rows), SPLITS) * (ceil(rows * (lines(to) - 1), GROUPS) + GRADIENT_START));
  }

  /** gradW of the filters themselves, from the images as blocks. */
  void gradW(Tensor gradW, Tensor gradY, DeviceMemory blocks, ConvGeometry g) {
    ConvGeometry to = PixelBlocks.geometry(g);
    DeviceMemory partial = partial(g, to);
    sum(rounded("block_conv2d_grad_w").memory(partial).element(gradY).memory(blocks), gradW, partial, g, to, false);
  }

  /** The same from the bytes of images. */
  void gradW(Tensor gradW, Tensor gradY, Tensor pixels, PixelScale scale, ConvGeometry g) {
    ConvGeometry to = PixelBlocks.geometry(g);
    DeviceMemory partial = partial(g, to), statistics = scales.memory(scale);
    sum(rounded("block_conv2d_grad_w_of_bytes").memory(partial).element(gradY).tensor(pixels).memory(statistics), gradW, partial, g, to, true);
  }

  private DeviceMemory partial(ConvGeometry g, ConvGeometry to) {
    int chunks = to.n() * ceil(to.p(), gradientRows(g, to));
    return device.scratch(CudaDevice.Scratch.SUMS, 4L * ceil(chunks, ceil(chunks, SPLITS)) * to.filters().size());
  }

  private void sum(Kernel kernel, Tensor gradW, DeviceMemory partial, ConvGeometry g, ConvGeometry to, boolean bytes) {
    int rows = gradientRows(g, to), chunks = to.n() * ceil(to.p(), rows), each = ceil(chunks, SPLITS), splits = ceil(chunks, each);
    shape(kernel, to).integer(rows).integer(each);
    if (bytes) kernel.integer(g.h()).integer(g.w()).integer(g.c()).integer(PixelBlocks.even(g));
    kernel.launch(splits, ceil(to.o(), FILTERS), GRADIENT_THREADS, 1, gradientRoom(g, to, rows));
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
