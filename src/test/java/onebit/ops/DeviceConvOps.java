package onebit.ops;

import static onebit.tensor.ElementType.FLOAT32;

import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/** A device's convolutions and products on tensors of the host: arguments are copied there, results back. */
final class DeviceConvOps implements ConvOps {
  private final Backend device;

  DeviceConvOps(Backend device) {
    this.device = device;
  }

  @FunctionalInterface
  private interface Op {
    void run(Tensor to, Tensor first, Tensor second);
  }

  private void run(Tensor to, ElementType typeOfTo, Tensor first, ElementType typeOfFirst, Tensor second, ElementType typeOfSecond, Op op) {
    Tensor result = DeviceBitOps.sent(device, to, typeOfTo);
    op.run(result, DeviceBitOps.sent(device, first, typeOfFirst), DeviceBitOps.sent(device, second, typeOfSecond));
    DeviceBitOps.fetch(device, to, result);
  }

  @Override
  public void conv2d(Tensor y, Tensor x, Tensor w, ConvGeometry g, float border) {
    run(y, device.activations(), x, device.activations(), w, FLOAT32, (to, a, b) -> device.conv().conv2d(to, a, b, g, border));
  }

  @Override
  public void conv2dGradX(Tensor gradX, Tensor gradY, Tensor w, ConvGeometry g) {
    run(gradX, device.activations(), gradY, device.activations(), w, FLOAT32, (to, a, b) -> device.conv().conv2dGradX(to, a, b, g));
  }

  @Override
  public void conv2dGradW(Tensor gradW, Tensor gradY, Tensor x, ConvGeometry g, float border) {
    run(gradW, FLOAT32, gradY, device.activations(), x, device.activations(), (to, a, b) -> device.conv().conv2dGradW(to, a, b, g, border));
  }

  @Override
  public void conv2dOfPixels(Tensor y, Tensor pixels, PixelScale scale, Tensor w, ConvGeometry g) {
    run(y, device.activations(), pixels, ElementType.UINT8, w, FLOAT32, (to, a, b) -> device.conv().conv2dOfPixels(to, a, scale, b, g));
  }

  @Override
  public void conv2dOfPixelsGradW(Tensor gradW, Tensor gradY, Tensor pixels, PixelScale scale, ConvGeometry g) {
    run(gradW, FLOAT32, gradY, device.activations(), pixels, ElementType.UINT8, (to, a, b) -> device.conv().conv2dOfPixelsGradW(to, a, b, scale, g));
  }

  @Override
  public void linear(Tensor y, Tensor x, Tensor w) {
    run(y, FLOAT32, x, device.activations(), w, FLOAT32, device.conv()::linear);
  }

  @Override
  public void linearGradX(Tensor gradX, Tensor gradY, Tensor w) {
    run(gradX, device.activations(), gradY, FLOAT32, w, FLOAT32, device.conv()::linearGradX);
  }

  @Override
  public void linearGradW(Tensor gradW, Tensor gradY, Tensor x) {
    run(gradW, FLOAT32, gradY, FLOAT32, x, device.activations(), device.conv()::linearGradW);
  }

  @Override
  public void gemm(Tensor c, Tensor a, boolean transposeA, Tensor b, boolean transposeB, int m, int n, int k) {
    run(c, FLOAT32, a, FLOAT32, b, FLOAT32, (to, left, right) -> device.conv().gemm(to, left, transposeA, right, transposeB, m, n, k));
  }
}
