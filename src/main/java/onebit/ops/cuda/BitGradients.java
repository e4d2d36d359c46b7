package onebit.ops.cuda;

import java.util.List;
import java.util.function.ToDoubleFunction;
import onebit.ops.ConvGeometry;
import onebit.ops.ConvRules;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * The gradients of binary convolutions. In bfloat16 that of the filters by the own kernel from the bits of the images, and that of the images by
 * cuDNN from the filters' values; where {@link Tuning} measures, each by the faster of both. In float32 both by cuDNN, in float8 both by the own kernels.
 *
 * <pre>
 * Twin  kernels/xnor_conv2d_grad_w.cu, xnor_conv2d_grad_w_wgmma.cu, xnor_conv2d_grad_x.cu, float8_round.cu
 * </pre>
 */
final class BitGradients {
  /** Positions or filters of a stage, and stages of a block; a block of warpgroups has more. */
  private static final int STEP = 64, STAGES = 3, WARPGROUP_STAGES = 4, ATOM = 1024;
  /** Blocks are laid out for so many multiprocessors wherever they run, so that an entry's sums have the same order on every device. */
  private static final int MULTIPROCESSORS = 132;
  /** What a block spends beside its stages, and what a value of a partial sum costs, in times of a stage. */
  private static final double START = 8, VALUE = 2e-6;
  private static final int MOST_PARTIAL_VALUES = 16 << 20;
  /** Most blocks that look for the largest gradient. */
  private static final int MOST_PEAKS = 1024;
  static final String OWN = "own kernel from bits";

  /** A block: filters, words of 32 columns, threads, how many fit a multiprocessor, and its stages. */
  private record Block(int filters, int words, int threads, int resident, int stages) {
    private static final Block WIDE = new Block(128, 4, 128, 2, STAGES), NARROW = new Block(64, 6, 96, 3, STAGES);
    private static final Block WARPGROUPS = new Block(128, 12, 384, 1, WARPGROUP_STAGES);
    private static final Block NARROW_WARPGROUPS = new Block(64, 18, 384, 1, WARPGROUP_STAGES);

    static Block of(ConvGeometry g) {
      return g.o() <= NARROW.filters ? NARROW : WIDE;
    }

    /** On warpgroups where there are filters enough that a block of them is not mostly zeros. */
    static Block ofWarpgroups(ConvGeometry g) {
      if (g.o() % 8 != 0 || g.o() <= NARROW.filters / 2) return of(g);
      return g.o() <= NARROW.filters ? NARROW_WARPGROUPS : WARPGROUPS;
    }

    int count(ConvGeometry g) {
      return ceil(g.r() * g.s() * CudaBitOps.words(g.c()), words) * ceil(g.o(), filters);
    }

    /** Bytes of shared memory: stages of gradients of so many bytes, words and levels; what each word of columns is; of warpgroups, room to begin at an atom. */
    int room(int bytes) {
      return stages * STEP * (bytes * filters + 6 * words) + 16 * words + (stages == WARPGROUP_STAGES ? ATOM : 0);
    }
  }

  private final CudaDevice device;
  private final CudaConvOps conv;
  private final CudaBitOps bits;
  private Tuning tuning;
  private ToDoubleFunction<Runnable> clock;

  BitGradients(CudaDevice device, CudaConvOps conv, CudaBitOps bits) {
    this.device = device;
    this.conv = conv;
    this.bits = bits;
  }

  /** From now on a gradient takes the way that was fastest by that clock. */
  void use(Tuning ways, ToDoubleFunction<Runnable> timed) {
    tuning = ways;
    clock = timed;
  }

  /** What a choice is remembered by. */
  static String ofFilters(ConvGeometry g) {
    return "xnorConv2dGradW " + g;
  }

  static String ofImages(ConvGeometry g) {
    return "xnorConv2dGradX " + g;
  }

  /** Measured, the second keeps that room on the device, which no plan of memory knows of. */
  private static List<String> ways(Shape images) {
    return List.of(OWN, "cuDNN from bits unpacked into " + (2L * images.size() + 999_999) / 1_000_000 + " MB");
  }

  private static int ceil(int n, int each) {
    return (n + each - 1) / each;
  }

  void gradW(Tensor gradW, Tensor gradY, BitTensor x, BinarySet xSet, ConvGeometry g, float border, Tensor values) {
    ConvRules.requireXnorConv2dGradW(gradW, gradY, x, xSet, g, values);
    if (values != null) {
      bits.unpack(values, x, xSet);
      conv.conv2dGradW(gradW, gradY, values, g, border);
    } else if (tuning == null || g.n() == 0) {
      own(gradW, gradY, x, xSet, g, border);
    } else if (tuning.choose(ofFilters(g), ways(g.x()), way -> millis(way, gradW, gradY, x, xSet, g, border)) == 0) {
      own(gradW, gradY, x, xSet, g, border);
    } else {
      unpacked(gradW, gradY, x, xSet, g, border);
    }
  }

  private double millis(int way, Tensor gradW, Tensor gradY, BitTensor x, BinarySet xSet, ConvGeometry g, float border) {
    if (way == 0) return clock.applyAsDouble(() -> own(gradW, gradY, x, xSet, g, border));
    unpacked(gradW, gradY, x, xSet, g, border);   // cuDNN's own choice is not part of the time
    return clock.applyAsDouble(() -> unpacked(gradW, gradY, x, xSet, g, border));
  }

  void gradX(Tensor gradX, Tensor gradY, BitTensor w, BinarySet wSet, Tensor values, ConvGeometry g) {
    ConvRules.requireXnorConv2dGradX(gradX, gradY, w, wSet, values, g);
    if (tuning == null || g.n() == 0 || gradY.type() != ElementType.BFLOAT16) {
      conv.conv2dGradX(gradX, gradY, values, g);
    } else if (tuning.choose(ofImages(g), List.of(OWN, "cuDNN from the filters' values"), way -> millis(way, gradX, gradY, w, wSet, values, g)) == 0) {
      ownGradX(gradX, gradY, w, wSet, g);
    } else {
      conv.conv2dGradX(gradX, gradY, values, g);
    }
  }

  private double millis(int way, Tensor gradX, Tensor gradY, BitTensor w, BinarySet wSet, Tensor values, ConvGeometry g) {
    if (way == 0) return clock.applyAsDouble(() -> ownGradX(gradX, gradY, w, wSet, g));
    conv.conv2dGradX(gradX, gradY, values, g);
    return clock.applyAsDouble(() -> conv.conv2dGradX(gradX, gradY, values, g));
  }

  /** gradX by the own kernel, in bfloat16. */
  void ownGradX(Tensor gradX, Tensor gradY, BitTensor w, BinarySet wSet, ConvGeometry g) {
    boolean narrow = narrow(g, 2);
    Kernel kernel = narrow ? rounded("xnor_conv2d_grad_x_narrow") : rounded("xnor_conv2d_grad_x");
    DeviceMemory taps = bits.layouts().now(w, g).taps();
    kernel.element(gradX).element(gradY).memory(taps).tensor(wSet.centre()).tensor(wSet.distance()).integer(wSet.count() == 1 ? 0 : 1);
    launchGradX(shape(kernel, g), g, narrow, 2);
  }

  /** Whether a block takes 256 pixels by 2 words instead of 128 by 4, of gradients of so many bytes. */
  private boolean narrow(ConvGeometry g, int bytes) {
    return g.c() <= 64 && device.blocksBySharedMemory(room(256, 2, g, bytes)) > 0;
  }

  private static void launchGradX(Kernel kernel, ConvGeometry g, boolean narrow, int bytes) {
    int rows = narrow ? 256 : 128, words = narrow ? 2 : 4, pixels = g.n() * ceil(g.h(), g.stride()) * ceil(g.w(), g.stride());
    kernel.launch(ceil(CudaBitOps.words(g.c()), words) * ceil(pixels, rows), g.stride() * g.stride(), 128, 1, room(rows, words, g, bytes));
  }

  /** Bytes of shared memory: stages of gradients and words, or results; what each pixel and tap is; each filter's values; of float8 each pixel's centres. */
  private static int room(int rows, int words, ConvGeometry g, int bytes) {
    return Math.max(STAGES * STEP * (bytes * rows + 4 * words), rows * (64 * words + 16)) + 16 * (rows + g.r() * g.s() + 1) + 2 * bytes * STEP * ceil(g.o(), STEP)
        + (bytes == 1 ? 4 * rows : 0);
  }

  /** Both gradients from the codes of gradY; nothing of it goes through the host. */
  void float8(Tensor gradX, Tensor gradW, Tensor gradY, Tensor codes, BitTensor x, BinarySet xSet, BitTensor w, BinarySet wSet, ConvGeometry g, float border) {
    ConvRules.requireXnorConv2dGradFloat8(gradX, gradW, gradY, codes, x, xSet, w, wSet, g, true);
    if (device.float8Code() < CudaDevice.FLOAT8) throw new IllegalArgumentException("xnorConv2dGradFloat8: the kernels are of compute capability " + device.float8Code() / 10.0 + "; 8.9 wanted");
    int rows = g.n() * g.p() * g.q(), each = wSet.count() == 1 ? 0 : 1, blocks = Math.min(MOST_PEAKS, device.blocks(ceil(gradY.size(), 8)));
    DeviceMemory peaks = device.scratch(CudaDevice.Scratch.PEAKS, 4L * (MOST_PEAKS + 1)), centred = device.scratch(CudaDevice.Scratch.CENTRED, 4L * rows);
    long unscale = peaks.address() + 4L * MOST_PEAKS;
    rounded("float8_peak").memory(peaks).element(gradY).tensor(wSet.distance()).integer(each).integer(gradY.size()).integer(g.o()).blocks(blocks, 256);
    rounded("float8_round").tensor(codes).memory(centred).address(unscale).element(gradY).memory(peaks).integer(blocks).tensor(wSet.centre()).tensor(wSet.distance())
        .integer(each).integer(rows).integer(g.o()).blocks(device.blocks(ceil(gradY.size(), 8)), 256);
    boolean narrow = narrow(g, 1);
    DeviceMemory taps = bits.layouts().now(w, g).taps();
    Kernel images = (narrow ? rounded("xnor_conv2d_grad_x_narrow_e4m3") : rounded("xnor_conv2d_grad_x_e4m3")).element(gradX).tensor(codes).address(unscale).memory(centred).memory(taps)
        .tensor(wSet.distance()).integer(each);
    launchGradX(shape(images, g), g, narrow, 1);
    Block block = Block.of(g);
    int positions = positions(g, block), splits = ceil(rows, positions);
    DeviceMemory partial = device.scratch(CudaDevice.Scratch.SUMS, 4L * splits * gradW.size());
    if (splits > 0) {
      Kernel kernel = (block == Block.NARROW ? device.kernel("xnor_conv2d_grad_w_narrow_e4m3") : device.kernel("xnor_conv2d_grad_w_e4m3")).memory(partial).tensor(codes).address(unscale).tensor(wSet.distance())
          .integer(each).bits(x).tensor(xSet.centre()).tensor(xSet.distance()).real(border);
      shape(kernel, g).integer(positions).launch(block.count(g), splits, block.threads, 1, block.room(1));
    }
    finish(gradW, partial, splits);
  }

  private static Kernel shape(Kernel kernel, ConvGeometry g) {
    return kernel.integer(g.n()).integer(g.h()).integer(g.w()).integer(g.c()).integer(g.o()).integer(g.r()).integer(g.s()).integer(g.stride()).integer(g.pad())
        .integer(g.dilation()).integer(g.p()).integer(g.q());
  }

  private void own(Tensor gradW, Tensor gradY, BitTensor x, BinarySet xSet, ConvGeometry g, float border) {
    Block block = device.hasWarpgroups() ? Block.ofWarpgroups(g) : Block.of(g);
    int positions = positions(g, block), size = gradW.size(), splits = ceil(g.n() * g.p() * g.q(), positions);
    DeviceMemory partial = device.scratch(CudaDevice.Scratch.SUMS, 4L * splits * size);
    if (splits > 0) {
      Kernel kernel = entry(block).memory(partial).element(gradY).bits(x).tensor(xSet.centre()).tensor(xSet.distance()).real(border);
      shape(kernel, g).integer(positions).launch(block.count(g), splits, block.threads, 1, block.room(2));
    }
    finish(gradW, partial, splits);
  }

  private Kernel entry(Block block) {
    if (block == Block.WARPGROUPS) return rounded("xnor_conv2d_grad_w_wgmma");
    if (block == Block.NARROW_WARPGROUPS) return rounded("xnor_conv2d_grad_w_wgmma_narrow");
    return block == Block.NARROW ? rounded("xnor_conv2d_grad_w_narrow") : rounded("xnor_conv2d_grad_w");
  }

  private void finish(Tensor gradW, DeviceMemory partial, int splits) {
    device.kernel("xnor_conv2d_grad_w_finish", gradW).element(gradW).memory(partial).integer(splits).integer(gradW.size()).each(gradW.size());
  }

  /** An entry that there is on bfloat16 only. */
  private Kernel rounded(String entry) {
    return device.kernel(entry, ElementType.BFLOAT16);
  }

  /** Positions of a split, so that the blocks run in few full waves and write few partial sums. */
  private static int positions(ConvGeometry g, Block block) {
    int steps = ceil(g.n() * g.p() * g.q(), STEP), tiles = block.count(g), size = g.filters().size(), at = MULTIPROCESSORS * block.resident;
    int most = Math.clamp(MOST_PARTIAL_VALUES / size, 1, Math.max(1, Math.min(steps, at))), best = 1;
    double least = Double.POSITIVE_INFINITY;
    for (int splits = 1; splits <= most; splits++) {
      double cost = ceil(tiles * splits, at) * (ceil(steps, splits) + START) + VALUE * splits * size;
      if (cost >= least) continue;
      least = cost;
      best = splits;
    }
    return Math.max(1, ceil(steps, best)) * STEP;
  }

  private void unpacked(Tensor gradW, Tensor gradY, BitTensor x, BinarySet xSet, ConvGeometry g, float border) {
    Tensor values = new Tensor(g.x(), ElementType.BFLOAT16, device.scratch(CudaDevice.Scratch.VALUES, 2L * g.x().size()));
    bits.unpack(values, x, xSet);
    conv.conv2dGradW(gradW, gradY, values, g, border);
  }
}
