package onebit.ops.cuda;

import java.util.List;
import java.util.function.Consumer;
import java.util.function.ToDoubleFunction;
import onebit.ops.ConvGeometry;
import onebit.ops.ConvOps;
import onebit.ops.ConvRules;
import onebit.ops.FusedOps.Norm;
import onebit.ops.FusedOps.Running;
import onebit.ops.PixelScale;
import onebit.ops.Shapes;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Real-valued convolution by cuDNN, matrix products and convolutions of 1x1 by cuBLAS, that of stride 2 and more over a copy of the pixels it reads and its gradient of x by cuDNN, or both by the own kernels where asked for; a border that is not 0 is written around a
 * copy of x first. What cuDNN refuses the own kernels do, and say so once. One of stride 2 over few channels in bfloat16 goes through {@link PixelBlocks}, by {@link BlockConvolution} where that can, else by
 * cuDNN; where {@link Tuning} measures, by the faster of both.
 *
 * <pre>
 * Twin  kernels/pad_border.cu, convert.cu, normalize.cu, direct_conv2d.cu
 * </pre>
 */
final class CudaConvOps implements ConvOps, AutoCloseable {
  private static final List<String> BLOCK_WAYS = List.of("own kernel over blocks of pixels", "cuDNN over blocks of pixels");

  private final CudaDevice device;
  private final boolean deterministic;
  private final PixelScales scales;
  private final PixelBlocks blocks;
  private final BlockConvolution blockKernels;
  private Tuning tuning;
  private ToDoubleFunction<Runnable> clock;
  private CudaDnn dnn;
  private CudaBlas blas;
  private DirectProducts own;
  private Consumer<String> tell = sentence -> System.getLogger(CudaBackend.class.getName()).log(System.Logger.Level.WARNING, sentence);

  CudaConvOps(CudaDevice device, boolean deterministic, PixelScales scales) {
    this.device = device;
    this.deterministic = deterministic;
    this.scales = scales;
    blocks = new PixelBlocks(device, scales);
    blockKernels = new BlockConvolution(device, scales);
  }

  /** From now on the own kernels do what cuDNN and cuBLAS did. */
  void useOwnProducts() {
    own = new DirectProducts(device);
  }

  /** From now on sentences for the user go there. */
  void tellTo(Consumer<String> to) {
    tell = to;
  }

  /** From now on convolutions of cuDNN take the algorithm that was fastest by that clock, those over blocks of pixels the faster library or kernel. */
  void use(Tuning ways, ToDoubleFunction<Runnable> timed) {
    if (own != null) return;
    tuning = ways;
    clock = timed;
    dnn().use(ways, timed);
  }

  /** Who does convolutions over blocks of pixels, in words. */
  String stems() {
    return "stems, convolutions of stride 2 over at most 4 channels in bf16: " + (device.capability() < BlockConvolution.LEAST_CAPABILITY
        ? "cuDNN, own kernels need compute capability 8.0" : "own kernels where filters are at most 8x8 and rows fit shared memory, else cuDNN");
  }

  boolean usesOwnProducts() {
    return own != null;
  }

  private CudaDnn dnn() {
    if (dnn == null) dnn = new CudaDnn(device, deterministic, sentence -> tell.accept(sentence));
    return dnn;
  }

  private CudaBlas blas() {
    if (blas == null) blas = new CudaBlas(device);
    return blas;
  }

  /** Whether such a convolution goes over blocks of pixels. */
  private boolean inBlocks(ConvGeometry g, ElementType type) {
    return own == null && ConvRules.takesPixels(g, type);
  }

  @Override
  public void conv2d(Tensor y, Tensor x, Tensor w, ConvGeometry g, float border) {
    ConvRules.requireConv2d("conv2d", x, w, y, g);
    ConvRules.requireSameType("conv2d", "x", x, "y", y);
    if (g.n() == 0) return;
    ConvGeometry inner = bordered(g, border);
    DeviceMemory from = bordered(x, g, border);
    if (inBlocks(inner, x.type())) {
      overBlocks("forward", inner, () -> blockKernels.forward(y, blocks.images(from, inner), w, inner), () -> byLibrary(y, blocks.images(from, inner), w, inner));
    } else {
      forward(y, from, w, inner);
    }
  }

  @Override
  public void conv2dOfPixels(Tensor y, Tensor pixels, PixelScale scale, Tensor w, ConvGeometry g) {
    ConvRules.requireConv2d("conv2dOfPixels", pixels, w, y, g);
    Shapes.requirePixels("conv2dOfPixels", pixels, scale, g.c());
    if (g.n() == 0) return;
    if (inBlocks(g, y.type())) {
      overBlocks("forward of bytes", g, () -> blockKernels.forward(y, pixels, scale, w, g), () -> byLibrary(y, blocks.images(pixels, scale, g), w, g));
    } else {
      forward(y, values(pixels, scale, y.type()), w, g);
    }
  }

  private void forward(Tensor y, DeviceMemory x, Tensor w, ConvGeometry g) {
    DeviceMemory filters = as(y.type(), w, CudaDevice.Scratch.RIGHT);
    if (own != null) own.forward(device.memory(y), x, filters, g, y.type());
    else if (product(g)) blas().gemm(device.memory(y), y.type(), pixelsRead(x, g, y.type()), false, filters, true, y.type(), rows(g), g.o(), g.c());
    else dnn().forward(device.memory(y), x, filters, g, y.type());
  }

  /** Whether it is a product of matrices, of the pixels it reads and filters: cuBLAS does those of few channels several times faster than cuDNN. */
  private static boolean product(ConvGeometry g) {
    return g.r() == 1 && g.s() == 1 && g.pad() == 0 && g.groups() == 1;
  }

  /** The pixels that a convolution of 1x1 reads, one after the other: x itself, or where it strides, a copy of every stride-th of every stride-th row. */
  private DeviceMemory pixelsRead(DeviceMemory x, ConvGeometry g, ElementType type) {
    if (g.stride() == 1) return x;
    int size = rows(g) * g.c();
    DeviceMemory read = device.scratch(CudaDevice.Scratch.PIXELS, (long) type.bytes() * size);
    CudaPoolOps.extents(device.kernel("average_pool", type).memory(read).memory(x), size, Shape.image(g.n(), g.h(), g.w(), g.c()), Shape.image(g.n(), g.p(), g.q(), g.c()))
        .integer(1).integer(g.stride()).each(size);
    return read;
  }

  private static int rows(ConvGeometry g) {
    return g.n() * g.p() * g.q();
  }

  private void byLibrary(Tensor y, DeviceMemory x, Tensor w, ConvGeometry g) {
    dnn().forward(device.memory(y), x, blocks.filters(w, g), PixelBlocks.geometry(g), y.type());
  }

  /** y = what conv2dOfPixels makes, and its statistics; false, and nothing done, where the own kernel is not the one to do it. */
  boolean statisticsOfPixels(Tensor y, Tensor pixels, PixelScale scale, Tensor w, ConvGeometry g, Norm norm, Running running, ChannelSums sums) {
    ConvRules.requireConv2d("statisticsOfPixels", pixels, w, y, g);
    Shapes.requirePixels("statisticsOfPixels", pixels, scale, g.c());
    boolean own = g.n() > 0 && inBlocks(g, y.type()) && byOwnKernel("forward of bytes", g, () -> blockKernels.forward(y, pixels, scale, w, g),
        () -> byLibrary(y, blocks.images(pixels, scale, g), w, g));
    if (own) blockKernels.statistics(y, pixels, scale, w, g, norm, running, sums);
    return own;
  }

  /** Whether an op over blocks of pixels is the own kernels': where they can, and where that is measured, were faster than cuDNN. */
  private boolean byOwnKernel(String op, ConvGeometry g, Runnable ours, Runnable library) {
    return blockKernels.takes(g) && (tuning == null || tuning.choose("stem " + op + " " + g, BLOCK_WAYS, way -> {
      if (way == 0) return clock.applyAsDouble(ours);
      library.run();   // cuDNN's own choice is not part of the time
      return clock.applyAsDouble(library);
    }) == 0);
  }

  private void overBlocks(String op, ConvGeometry g, Runnable ours, Runnable library) {
    (byOwnKernel(op, g, ours, library) ? ours : library).run();
  }

  @Override
  public void conv2dGradX(Tensor gradX, Tensor gradY, Tensor w, ConvGeometry g) {
    ConvRules.requireConv2d("conv2dGradX", gradX, w, gradY, g);
    ConvRules.requireSameType("conv2dGradX", "gradX", gradX, "gradY", gradY);
    if (g.n() == 0) return;
    DeviceMemory filters = as(gradX.type(), w, CudaDevice.Scratch.RIGHT);
    if (own != null) own.gradX(device.memory(gradX), device.memory(gradY), filters, g, gradX.type());
    else if (product(g) && g.stride() == 1) blas().gemm(device.memory(gradX), gradX.type(), device.memory(gradY), false, filters, false, gradX.type(), rows(g), g.c(), g.o());
    else dnn().gradX(device.memory(gradX), device.memory(gradY), filters, g, gradX.type());
  }

  @Override
  public void conv2dGradW(Tensor gradW, Tensor gradY, Tensor x, ConvGeometry g, float border) {
    ConvRules.requireConv2d("conv2dGradW", x, gradW, gradY, g);
    ConvRules.requireSameType("conv2dGradW", "x", x, "gradY", gradY);
    if (gradW.type() != x.type()) Shapes.requireType("conv2dGradW", "gradW", gradW, ElementType.FLOAT32);
    if (g.n() == 0) {
      noGradient(gradW);
      return;
    }
    ConvGeometry inner = bordered(g, border);
    DeviceMemory from = bordered(x, g, border);
    if (inBlocks(inner, x.type())) {
      overBlocks("gradient of w", inner, () -> blockKernels.gradW(gradW, gradY, blocks.images(from, inner), inner),
          () -> gradWByLibrary(gradW, gradY, blocks.images(from, inner), inner));
    } else {
      gradW(gradW, gradY, from, inner);
    }
  }

  @Override
  public void conv2dOfPixelsGradW(Tensor gradW, Tensor gradY, Tensor pixels, PixelScale scale, ConvGeometry g) {
    ConvRules.requireConv2d("conv2dOfPixelsGradW", pixels, gradW, gradY, g);
    Shapes.requirePixels("conv2dOfPixelsGradW", pixels, scale, g.c());
    if (gradW.type() != gradY.type()) Shapes.requireType("conv2dOfPixelsGradW", "gradW", gradW, ElementType.FLOAT32);
    if (g.n() == 0) {
      noGradient(gradW);
    } else if (inBlocks(g, gradY.type())) {
      overBlocks("gradient of w of bytes", g, () -> blockKernels.gradW(gradW, gradY, pixels, scale, g),
          () -> gradWByLibrary(gradW, gradY, blocks.images(pixels, scale, g), g));
    } else {
      gradW(gradW, gradY, values(pixels, scale, gradY.type()), g);
    }
  }

  private void noGradient(Tensor gradW) {
    if (gradW.type() == ElementType.BFLOAT16) device.fill(device.memory(gradW), (short) 0, gradW.size());
    else device.fill(device.memory(gradW), 0, gradW.size());
  }

  private void gradW(Tensor gradW, Tensor gradY, DeviceMemory x, ConvGeometry g) {
    ElementType type = gradY.type();
    if (own != null) {
      gradWByOwnKernel(gradW, gradY, x, g, type);
    } else if (product(g)) {
      blas().gemm(device.memory(gradW), gradW.type(), device.memory(gradY), true, pixelsRead(x, g, type), false, type, g.o(), g.c(), rows(g));
    } else if (gradW.type() == type) {
      dnn().gradW(device.memory(gradW), device.memory(gradY), x, g, type);
    } else {
      // cuDNN gives the gradient of bfloat16 filters in bfloat16, from sums in float32
      DeviceMemory rounded = device.scratch(CudaDevice.Scratch.LEFT, 2L * gradW.size());
      dnn().gradW(rounded, device.memory(gradY), x, g, type);
      device.kernel("to_float32").tensor(gradW).memory(rounded).integer(gradW.size()).each(gradW.size());
    }
  }

  private void gradWByLibrary(Tensor gradW, Tensor gradY, DeviceMemory x, ConvGeometry g) {
    DeviceMemory gradient = blocks.gradient(g);
    dnn().gradW(gradient, device.memory(gradY), x, PixelBlocks.geometry(g), gradY.type());
    blocks.back(gradW, gradient, g);
  }

  /** The own kernel gives float32 sums. */
  private void gradWByOwnKernel(Tensor gradW, Tensor gradY, DeviceMemory x, ConvGeometry g, ElementType type) {
    if (gradW.type() == ElementType.FLOAT32) {
      own.gradW(device.memory(gradW), device.memory(gradY), x, g, type);
      return;
    }
    DeviceMemory sums = device.scratch(CudaDevice.Scratch.LEFT, 4L * gradW.size());
    own.gradW(sums, device.memory(gradY), x, g, type);
    device.kernel("to_bfloat16").tensor(gradW).memory(sums).integer(gradW.size()).each(gradW.size());
  }

  /** The tensor's own memory, or a copy of it rounded to bfloat16. */
  private DeviceMemory as(ElementType type, Tensor tensor, CudaDevice.Scratch room) {
    if (tensor.type() == type) return device.memory(tensor);
    if (type != ElementType.BFLOAT16) {
      throw new IllegalArgumentException("cuda: the tensor " + tensor.shape() + " is " + tensor.type() + " beside tensors of " + type + "; it must be " + type);
    }
    DeviceMemory rounded = device.scratch(room, 2L * tensor.size());
    device.kernel("to_bfloat16").memory(rounded).tensor(tensor).integer(tensor.size()).each(tensor.size());
    return rounded;
  }

  /** Room with the values that bytes make, where the convolution cannot make them on its way. */
  private DeviceMemory values(Tensor pixels, PixelScale scale, ElementType type) {
    DeviceMemory values = device.scratch(CudaDevice.Scratch.IMAGE, (long) type.bytes() * pixels.size()), statistics = scales.memory(scale);
    device.kernel("normalize", type).memory(values).tensor(pixels).memory(statistics).integer(pixels.size()).integer(scale.mean().length).each(pixels.size());
    return values;
  }

  /** x itself, or a copy that holds the border. */
  private DeviceMemory bordered(Tensor x, ConvGeometry g, float border) {
    if (border == 0 || g.pad() == 0) return device.memory(x);
    int n = Math.multiplyExact(Math.multiplyExact(g.n() * g.c(), g.h() + 2 * g.pad()), g.w() + 2 * g.pad());
    DeviceMemory padded = device.scratch(CudaDevice.Scratch.IMAGE, (long) x.type().bytes() * n);
    device.kernel("pad_border", x).memory(padded).element(x).real(border).integer(n).integer(g.h()).integer(g.w()).integer(g.c()).integer(g.pad())
        .each(n);
    return padded;
  }

  private static ConvGeometry bordered(ConvGeometry g, float border) {
    if (border == 0 || g.pad() == 0) return g;
    return new ConvGeometry(g.n(), g.h() + 2 * g.pad(), g.w() + 2 * g.pad(), g.c(), g.o(), g.r(), g.s(), g.stride(), 0, g.dilation(), g.groups());
  }

  @Override
  public void gemm(Tensor c, Tensor a, boolean transposeA, Tensor b, boolean transposeB, int m, int n, int k) {
    ConvRules.requireGemm(c, a, b, m, n, k);
    if (k == 0) {
      device.fill(device.memory(c), 0, (long) c.size() * c.type().bytes() / 4);
    } else if (m > 0 && n > 0) {
      boolean rounded = a.type() == ElementType.BFLOAT16 || b.type() == ElementType.BFLOAT16 || c.type() == ElementType.BFLOAT16;
      ElementType factors = rounded ? ElementType.BFLOAT16 : ElementType.FLOAT32;
      DeviceMemory left = as(factors, a, CudaDevice.Scratch.LEFT), right = as(factors, b, CudaDevice.Scratch.RIGHT);
      if (own != null) own.gemm(device.memory(c), c.type(), left, transposeA, right, transposeB, factors, m, n, k);
      else blas().gemm(device.memory(c), c.type(), left, transposeA, right, transposeB, factors, m, n, k);
    }
  }

  @Override
  public void close() {
    if (dnn != null) dnn.close();
    if (blas != null) blas.close();
    dnn = null;
    blas = null;
  }
}
