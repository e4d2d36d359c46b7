package onebit.ops.cuda;

import java.util.function.ToDoubleFunction;
import onebit.ops.ConvGeometry;
import onebit.ops.ConvOps;
import onebit.ops.ConvRules;
import onebit.ops.Shapes;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/**
 * Real-valued convolution by cuDNN, of stride 2 over few channels through {@link PixelBlocks}, matrix products by cuBLAS, or both by the own kernels where asked for; a border that is not 0 is written around a copy of x first.
 *
 * <pre>
 * Twin  kernels/pad_border.cu, convert.cu, direct_conv2d.cu
 * </pre>
 */
final class CudaConvOps implements ConvOps, AutoCloseable {
  private final CudaDevice device;
  private final boolean deterministic;
  private final PixelBlocks blocks;
  private CudaDnn dnn;
  private CudaBlas blas;
  private DirectProducts own;

  CudaConvOps(CudaDevice device, boolean deterministic) {
    this.device = device;
    this.deterministic = deterministic;
    blocks = new PixelBlocks(device);
  }

  /** From now on the own kernels do what cuDNN and cuBLAS did. */
  void useOwnProducts() {
    own = new DirectProducts(device);
  }

  /** From now on convolutions of cuDNN take the algorithm that was fastest by that clock. */
  void use(Tuning tuning, ToDoubleFunction<Runnable> clock) {
    if (own == null) dnn().use(tuning, clock);
  }

  boolean usesOwnProducts() {
    return own != null;
  }

  private CudaDnn dnn() {
    if (dnn == null) dnn = new CudaDnn(device, deterministic);
    return dnn;
  }

  private CudaBlas blas() {
    if (blas == null) blas = new CudaBlas(device);
    return blas;
  }

  @Override
  public void conv2d(Tensor y, Tensor x, Tensor w, ConvGeometry g, float border) {
    ConvRules.requireConv2d("conv2d", x, w, y, g);
    ConvRules.requireSameType("conv2d", "x", x, "y", y);
    if (g.n() == 0) return;
    ConvGeometry inner = bordered(g, border);
    DeviceMemory from = bordered(x, g, border);
    if (own == null && PixelBlocks.serve(inner, x.type())) {
      dnn().forward(device.memory(y), blocks.images(from, inner), blocks.filters(w, inner), PixelBlocks.geometry(inner), x.type());
      return;
    }
    DeviceMemory filters = as(x.type(), w, CudaDevice.Scratch.RIGHT);
    if (own != null) own.forward(device.memory(y), from, filters, inner, x.type());
    else dnn().forward(device.memory(y), from, filters, inner, x.type());
  }

  @Override
  public void conv2dGradX(Tensor gradX, Tensor gradY, Tensor w, ConvGeometry g) {
    ConvRules.requireConv2d("conv2dGradX", gradX, w, gradY, g);
    ConvRules.requireSameType("conv2dGradX", "gradX", gradX, "gradY", gradY);
    if (g.n() == 0) return;
    DeviceMemory filters = as(gradX.type(), w, CudaDevice.Scratch.RIGHT);
    if (own != null) own.gradX(device.memory(gradX), device.memory(gradY), filters, g, gradX.type());
    else dnn().gradX(device.memory(gradX), device.memory(gradY), filters, g, gradX.type());
  }

  @Override
  public void conv2dGradW(Tensor gradW, Tensor gradY, Tensor x, ConvGeometry g, float border) {
    ConvRules.requireConv2d("conv2dGradW", x, gradW, gradY, g);
    ConvRules.requireSameType("conv2dGradW", "x", x, "gradY", gradY);
    if (gradW.type() != x.type()) Shapes.requireType("conv2dGradW", "gradW", gradW, ElementType.FLOAT32);
    if (g.n() == 0) {
      if (gradW.type() == ElementType.BFLOAT16) device.fill(device.memory(gradW), (short) 0, gradW.size());
      else device.fill(device.memory(gradW), 0, gradW.size());
    } else if (own != null) {
      gradWByOwnKernel(gradW, gradY, bordered(x, g, border), bordered(g, border), x.type());
    } else if (PixelBlocks.serve(bordered(g, border), x.type())) {
      ConvGeometry inner = bordered(g, border);
      DeviceMemory gradient = blocks.gradient(inner);
      dnn().gradW(gradient, device.memory(gradY), blocks.images(bordered(x, g, border), inner), PixelBlocks.geometry(inner), x.type());
      blocks.back(gradW, gradient, inner);
    } else if (gradW.type() == x.type()) {
      dnn().gradW(device.memory(gradW), device.memory(gradY), bordered(x, g, border), bordered(g, border), x.type());
    } else {
      // cuDNN gives the gradient of bfloat16 filters in bfloat16, from sums in float32
      DeviceMemory rounded = device.scratch(CudaDevice.Scratch.LEFT, 2L * gradW.size());
      dnn().gradW(rounded, device.memory(gradY), bordered(x, g, border), bordered(g, border), ElementType.BFLOAT16);
      device.kernel("to_float32").tensor(gradW).memory(rounded).integer(gradW.size()).each(gradW.size());
    }
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
