package onebit.ops.cuda;

import onebit.ops.PoolOps;
import onebit.ops.Shapes;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Pooling and parameter-free shortcuts on the device, one launch each.
 *
 * <pre>
 * Twin  kernels/pool.cu
 * </pre>
 */
final class CudaPoolOps implements PoolOps {
  private final CudaDevice device;

  CudaPoolOps(CudaDevice device) {
    this.device = device;
  }

  /** Appends the size of the destination, the extents of the image and of the result. */
  static Kernel extents(Kernel kernel, int size, Shape image, Shape result) {
    return kernel.integer(size).integer(image.d1()).integer(image.d2()).integer(image.d3()).integer(result.d1()).integer(result.d2());
  }

  @Override
  public void maxPool(Tensor y, Tensor x, int window, int stride, int pad) {
    Shapes.requirePool("maxPool", x.shape(), y.shape(), window, stride, pad);
    extents(device.kernel("max_pool", x).element(y).element(x), y.size(), x.shape(), y.shape()).integer(window).integer(stride).integer(pad).each(y.size());
  }

  @Override
  public void maxPoolBackward(Tensor gradX, Tensor gradY, Tensor x, int window, int stride, int pad) {
    Shapes.requirePool("maxPoolBackward", x.shape(), gradY.shape(), window, stride, pad);
    Shapes.requireEqual("maxPoolBackward", "gradX", gradX, "x", x);
    extents(device.kernel("max_pool_backward", x).element(gradX).element(gradY).element(x), gradX.size(), x.shape(), gradY.shape()).integer(window).integer(stride)
        .integer(pad).each(gradX.size());
  }

  @Override
  public void averagePool(Tensor y, Tensor x, int window, int stride) {
    Shapes.requirePool("averagePool", x.shape(), y.shape(), window, stride, 0);
    extents(device.kernel("average_pool", x).element(y).element(x), y.size(), x.shape(), y.shape()).integer(window).integer(stride).each(y.size());
  }

  @Override
  public void averagePoolBackward(Tensor gradX, Tensor gradY, int window, int stride) {
    Shapes.requirePool("averagePoolBackward", gradX.shape(), gradY.shape(), window, stride, 0);
    extents(device.kernel("average_pool_backward", gradX).element(gradX).element(gradY), gradX.size(), gradX.shape(), gradY.shape()).integer(window).integer(stride)
        .each(gradX.size());
  }

  @Override
  public void subsamplePad(Tensor y, Tensor x, int stride) {
    Shapes.requireShortcut("subsamplePad", x.shape(), y.shape(), 1, stride);
    reducePad(y, x, 1, stride);
  }

  @Override
  public void subsamplePadBackward(Tensor gradX, Tensor gradY, int stride) {
    Shapes.requireShortcut("subsamplePadBackward", gradX.shape(), gradY.shape(), 1, stride);
    reducePadBackward(gradX, gradY, 1, stride);
  }

  @Override
  public void poolPad(Tensor y, Tensor x, int stride) {
    Shapes.requireShortcut("poolPad", x.shape(), y.shape(), stride, stride);
    reducePad(y, x, stride, stride);
  }

  @Override
  public void poolPadBackward(Tensor gradX, Tensor gradY, int stride) {
    Shapes.requireShortcut("poolPadBackward", gradX.shape(), gradY.shape(), stride, stride);
    reducePadBackward(gradX, gradY, stride, stride);
  }

  private void reducePad(Tensor y, Tensor x, int window, int stride) {
    extents(device.kernel("reduce_pad", x).element(y).element(x), y.size(), x.shape(), y.shape()).integer(y.shape().d3()).integer(window).integer(stride)
        .each(y.size());
  }

  private void reducePadBackward(Tensor gradX, Tensor gradY, int window, int stride) {
    extents(device.kernel("reduce_pad_backward", gradX).element(gradX).element(gradY), gradX.size(), gradX.shape(), gradY.shape()).integer(gradY.shape().d3())
        .integer(window).integer(stride).each(gradX.size());
  }
}
