package onebit.ops.cuda;

import onebit.ops.BitOps;
import onebit.ops.ConvGeometry;
import onebit.ops.ConvRules;
import onebit.ops.Padding;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Tensor;

/**
 * Packed bits on the device: products on the tensor cores from sm_80 to sm_90, by population count elsewhere.
 *
 * <pre>
 * Twin  kernels/pack.cu, unpack.cu, xnor_gemm.cu, xnor_conv2d.cu
 * </pre>
 */
final class CudaBitOps implements BitOps {
  private static final int TILE = 64;

  private final CudaDevice device;
  private final String suffix;

  /** Tensor cores have native bit products from sm_80 to sm_90; asking for population counts works everywhere. */
  CudaBitOps(CudaDevice device, boolean tensorCores) {
    this.device = device;
    suffix = tensorCores ? "" : "_popc";
  }

  /** Whether a compute capability (times ten) multiplies bits on its tensor cores with AND. */
  static boolean hasBitTensorCores(int capability) {
    return capability >= 80 && capability <= 90;
  }

  /** 32-bit words of a row of so many bits on the device. */
  static int words(int bits) {
    return (bits + 31) >>> 5;
  }

  /** One warp per word. */
  static int packBlocks(CudaDevice device, BitTensor bits) {
    return device.blocks(Math.multiplyExact(Math.multiplyExact(bits.rows(), words(bits.bits())), 32));
  }

  @Override
  public void pack(BitTensor bits, Tensor x, float threshold) {
    ConvRules.requirePack("pack", bits, x);
    device.kernel("pack", x).bits(bits).element(x).real(threshold).integer(bits.rows()).integer(bits.bits()).blocks(packBlocks(device, bits), 256);
  }

  @Override
  public void unpack(Tensor x, BitTensor bits, BinarySet set) {
    ConvRules.requirePack("unpack", bits, x);
    ConvRules.requireSet("unpack", "set", set, bits.rows());
    device.kernel("unpack", x).element(x).bits(bits).tensor(set.centre()).tensor(set.distance()).integer(set.count() == 1 ? 0 : 1).integer(x.size())
        .integer(bits.bits()).each(x.size());
  }

  @Override
  public void xnorGemm(Tensor y, BitTensor a, BitTensor b) {
    ConvRules.requireXnorGemm(y, a, b);
    int m = a.rows(), n = b.rows();
    DeviceMemory ones = device.scratch(CudaDevice.Scratch.COUNTS, 4L * n);
    device.kernel("bit_counts").memory(ones).bits(b).integer(n).integer(words(b.bits())).blocks(device.blocks(Math.multiplyExact(n, 32)), 256);
    device.kernel("xnor_gemm" + suffix).tensor(y).bits(a).bits(b).memory(ones).integer(m).integer(n).integer(a.bits())
        .launch((m + TILE - 1) / TILE, (n + TILE - 1) / TILE, 128, 1, 0);
  }

  @Override
  public void xnorConv2d(Tensor y, BitTensor x, BitTensor w, BinarySet xSet, BinarySet wSet, ConvGeometry g, Padding padding, float offset) {
    ConvRules.requireXnorConv2d(y, x, w, xSet, wSet, g);
    int tapCount = g.r() * g.s(), pixels = g.n() * g.p() * g.q();
    DeviceMemory taps = device.scratch(CudaDevice.Scratch.FILTERS, 4L * g.o() * tapCount * words(g.c()));
    DeviceMemory ones = device.scratch(CudaDevice.Scratch.COUNTS, 4L * g.o() * tapCount);
    device.kernel("xnor_conv2d_filters").memory(taps).memory(ones).bits(w).integer(g.o()).integer(tapCount).integer(g.c()).each(g.o() * tapCount);
    device.kernel("xnor_conv2d" + suffix, y).element(y).bits(x).memory(taps).memory(ones).tensor(xSet.centre()).tensor(xSet.distance())
        .tensor(wSet.centre()).tensor(wSet.distance()).integer(wSet.count() == 1 ? 0 : 1).integer(g.n()).integer(g.h()).integer(g.w()).integer(g.c())
        .integer(g.o()).integer(g.r()).integer(g.s()).integer(g.stride()).integer(g.pad()).integer(g.dilation()).integer(g.p()).integer(g.q())
        .integer(padding == Padding.ZERO ? 1 : 0).real(offset).launch((pixels + TILE - 1) / TILE, (g.o() + TILE - 1) / TILE, 128, 1, 0);
  }
}
