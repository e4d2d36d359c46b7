package onebit.ops.cuda;

import onebit.ops.ConvGeometry;
import onebit.ops.PixelScale;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/**
 * A convolution of stride 2 over few channels, as the stem's, done as one of stride 1 over blocks of 2x2 pixels: its channels fill a tensor
 * core's, which three do not. The products are the same, added in another order.
 *
 * <pre>
 * Twin  kernels/pixel_blocks.cu
 * Cost  one launch more per image tensor, of values or of the bytes they are made of, and room for the blocks: about 4 K / 4 C times the images,
 *       K = 4 C rounded up to a multiple of 8
 * </pre>
 */
final class PixelBlocks {
  private final CudaDevice device;
  private final PixelScales scales;

  PixelBlocks(CudaDevice device, PixelScales scales) {
    this.device = device;
    this.scales = scales;
  }

  /** pad rounded up to an even number. */
  static int even(ConvGeometry g) {
    return g.pad() + g.pad() % 2;
  }

  /** The convolution over blocks. */
  static ConvGeometry geometry(ConvGeometry g) {
    int a = (g.r() + g.pad() % 2 + 1) / 2, b = (g.s() + g.pad() % 2 + 1) / 2, channels = (4 * g.c() + 7) / 8 * 8;
    return new ConvGeometry(g.n(), g.p() + a - 1, g.q() + b - 1, channels, g.o(), a, b, 1, 0, 1, 1);
  }

  /** The images as blocks. */
  DeviceMemory images(DeviceMemory x, ConvGeometry g) {
    DeviceMemory blocks = room(g);
    gather(device.kernel("pixel_blocks").memory(blocks).memory(x), g);
    return blocks;
  }

  /** The images as blocks of the values that their bytes make. */
  DeviceMemory images(Tensor pixels, PixelScale scale, ConvGeometry g) {
    DeviceMemory blocks = room(g), statistics = scales.memory(scale);
    gather(device.kernel("pixel_blocks_of_bytes").memory(blocks).tensor(pixels).memory(statistics), g);
    return blocks;
  }

  private DeviceMemory room(ConvGeometry g) {
    return device.scratch(CudaDevice.Scratch.BLOCKS, 2L * geometry(g).x().size());
  }

  private static void gather(Kernel kernel, ConvGeometry g) {
    ConvGeometry to = geometry(g);
    kernel.integer(to.x().size()).integer(g.h()).integer(g.w()).integer(g.c()).integer(to.h()).integer(to.w()).integer(to.c()).integer(even(g))
        .each(to.x().size() / 8);
  }

  /** The filters for them, rounded. */
  DeviceMemory filters(Tensor w, ConvGeometry g) {
    ConvGeometry to = geometry(g);
    DeviceMemory filters = device.scratch(CudaDevice.Scratch.RIGHT, 2L * to.filters().size());
    extents(plain(device.kernel("pixel_blocks_filters", w).memory(filters), w), g, to);
    return filters;
  }

  /** Room for the gradient of such filters. */
  DeviceMemory gradient(ConvGeometry g) {
    return device.scratch(CudaDevice.Scratch.LEFT, 2L * geometry(g).filters().size());
  }

  /** gradW from the gradient of such filters. */
  void back(Tensor gradW, DeviceMemory gradient, ConvGeometry g) {
    extents(plain(device.kernel("pixel_blocks_grad_w", gradW), gradW).memory(gradient), g, geometry(g));
  }

  /** Filters or their gradient, whose type decides the entry. */
  private static Kernel plain(Kernel kernel, Tensor filters) {
    return filters.type() == ElementType.BFLOAT16 ? kernel.element(filters) : kernel.tensor(filters);
  }

  private static void extents(Kernel kernel, ConvGeometry g, ConvGeometry to) {
    kernel.integer(to.filters().size()).integer(g.r()).integer(g.s()).integer(g.c()).integer(to.r()).integer(to.s()).integer(to.c()).integer(g.pad() % 2)
        .each(to.filters().size());
  }
}
