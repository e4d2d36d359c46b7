package onebit.ops.cuda;

import onebit.ops.ConvGeometry;
import onebit.tensor.ElementType;

/**
 * Real-valued convolutions and matrix products by the own kernels, as plain sums: slow, for hosts without cuDNN or cuBLAS where asked for, and for
 * convolutions that cuDNN refuses.
 *
 * <pre>
 * Twin  kernels/direct_conv2d.cu
 * </pre>
 */
final class DirectProducts {
  private static final int MOST_SPLITS = 64;
  /** More partial sums than these are kept only where there are more filters' values. */
  private static final int MOST_PARTIAL = 1 << 22;

  private final CudaDevice device;

  DirectProducts(CudaDevice device) {
    this.device = device;
  }

  private static Kernel shape(Kernel kernel, ConvGeometry g) {
    return kernel.integer(g.n()).integer(g.h()).integer(g.w()).integer(g.c()).integer(g.o()).integer(g.r()).integer(g.s()).integer(g.stride()).integer(g.pad())
        .integer(g.dilation()).integer(g.p()).integer(g.q()).integer(g.groups());
  }

  void forward(DeviceMemory y, DeviceMemory x, DeviceMemory w, ConvGeometry g, ElementType type) {
    shape(device.kernel("direct_conv2d", type).memory(y).memory(x).memory(w), g).each(g.y().size());
  }

  void gradX(DeviceMemory gradX, DeviceMemory gradY, DeviceMemory w, ConvGeometry g, ElementType type) {
    shape(device.kernel("direct_conv2d_grad_x", type).memory(gradX).memory(gradY).memory(w), g).each(g.x().size());
  }

  /** gradW is float32 for either type of the factors. */
  void gradW(DeviceMemory gradW, DeviceMemory gradY, DeviceMemory x, ConvGeometry g, ElementType type) {
    int n = g.filters().size(), splits = Math.clamp(g.n() * g.p() * g.q() / 256, 1, Math.clamp(MOST_PARTIAL / n, 1, MOST_SPLITS));
    DeviceMemory partial = device.scratch(CudaDevice.Scratch.SUMS, 8L * n * splits);
    shape(device.kernel("direct_conv2d_grad_w", type).memory(partial).memory(gradY).memory(x), g).launch(device.blocks(n), splits, 256, 1, 0);
    device.kernel("direct_conv2d_grad_w_finish").memory(gradW).memory(partial).integer(splits).integer(n).each(n);
  }

  void gemm(DeviceMemory c, ElementType result, DeviceMemory a, boolean transposeA, DeviceMemory b, boolean transposeB, ElementType factors, int m, int n,
      int k) {
    device.kernel("direct_gemm", factors).memory(c).memory(a).memory(b).integer(result == ElementType.BFLOAT16 ? 1 : 0).integer(transposeA ? 1 : 0)
        .integer(transposeB ? 1 : 0).integer(m).integer(n).integer(k).each(Math.multiplyExact(m, n));
  }
}
