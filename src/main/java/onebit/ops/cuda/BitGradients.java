package onebit.ops.cuda;

import java.util.List;
import java.util.function.ToDoubleFunction;
import onebit.ops.ConvGeometry;
import onebit.ops.ConvRules;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/**
 * The gradient of the filters of binary convolutions: where it is bfloat16 by the own kernel from the bits themselves, or where {@link Tuning} finds
 * that faster by cuDNN from an unpacked copy; where it is float32 by cuDNN.
 *
 * <pre>
 * Twin  kernels/xnor_conv2d_grad_w.cu
 * </pre>
 */
final class BitGradients {
  /** Positions of a stage and stages of a block. */
  private static final int STEP = 64, STAGES = 3;
  /** Blocks are laid out for so many multiprocessors wherever they run, so that sums have the same order on every device. */
  private static final int MULTIPROCESSORS = 132;
  /** What a block spends beside its stages, and what a value of a partial sum costs, in times of a stage. */
  private static final double START = 8, VALUE = 2e-6;
  private static final int MOST_PARTIAL_VALUES = 16 << 20;
  private static final List<String> WAYS = List.of("own kernel from bits", "cuDNN from unpacked bits");

  /** A block: filters, words of 32 columns, threads, and how many fit a multiprocessor. */
  private record Block(int filters, int words, int threads, int resident) {
    private static final Block WIDE = new Block(128, 4, 128, 2), NARROW = new Block(64, 6, 96, 3);

    static Block of(ConvGeometry g) {
      return g.o() <= NARROW.filters ? NARROW : WIDE;
    }

    int count(ConvGeometry g) {
      return ceil(g.r() * g.s() * CudaBitOps.words(g.c()), words) * ceil(g.o(), filters);
    }

    /** Bytes of shared memory: stages of gradients, words and levels; what each word of columns is. */
    int room() {
      return STAGES * STEP * (2 * filters + 6 * words) + 16 * words;
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
    } else if (tuning.choose("xnorConv2dGradW " + g, WAYS, way -> millis(way, gradW, gradY, x, xSet, g, border)) == 0) {
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

  private void own(Tensor gradW, Tensor gradY, BitTensor x, BinarySet xSet, ConvGeometry g, float border) {
    Block block = Block.of(g);
    int positions = positions(g, block), size = gradW.size(), splits = ceil(g.n() * g.p() * g.q(), positions);
    DeviceMemory partial = device.scratch(CudaDevice.Scratch.SUMS, 4L * splits * size);
    if (splits > 0) {
      Kernel kernel = block == Block.NARROW ? rounded("xnor_conv2d_grad_w_narrow") : rounded("xnor_conv2d_grad_w");
      kernel.memory(partial).element(gradY).bits(x).tensor(xSet.centre()).tensor(xSet.distance()).real(border);
      kernel.integer(g.n()).integer(g.h()).integer(g.w()).integer(g.c()).integer(g.o()).integer(g.r()).integer(g.s()).integer(g.stride()).integer(g.pad())
          .integer(g.dilation()).integer(g.p()).integer(g.q()).integer(positions).launch(block.count(g), splits, block.threads, 1, block.room());
    }
    device.kernel("xnor_conv2d_grad_w_finish", gradW).element(gradW).memory(partial).integer(splits).integer(size).each(size);
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
