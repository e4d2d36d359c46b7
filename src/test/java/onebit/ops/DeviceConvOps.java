package onebit.ops;

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

  private void run(Tensor to, Tensor first, Tensor second, Op op) {
    Tensor result = DeviceBitOps.sent(device, to);
    op.run(result, DeviceBitOps.sent(device, first), DeviceBitOps.sent(device, second));
    DeviceBitOps.fetch(device, to, result);
  }

  @Override
  public void conv2d(Tensor y, Tensor x, Tensor w, ConvGeometry g, float border) {
    run(y, x, w, (to, a, b) -> device.conv().conv2d(to, a, b, g, border));
  }

  @Override
  public void conv2dGradX(Tensor gradX, Tensor gradY, Tensor w, ConvGeometry g) {
    run(gradX, gradY, w, (to, a, b) -> device.conv().conv2dGradX(to, a, b, g));
  }

  @Override
  public void conv2dGradW(Tensor gradW, Tensor gradY, Tensor x, ConvGeometry g, float border) {
    run(gradW, gradY, x, (to, a, b) -> device.conv().conv2dGradW(to, a, b, g, border));
  }

  @Override
  public void linear(Tensor y, Tensor x, Tensor w) {
    run(y, x, w, device.conv()::linear);
  }

  @Override
  public void linearGradX(Tensor gradX, Tensor gradY, Tensor w) {
    run(gradX, gradY, w, device.conv()::linearGradX);
  }

  @Override
  public void linearGradW(Tensor gradW, Tensor gradY, Tensor x) {
    run(gradW, gradY, x, device.conv()::linearGradW);
  }

  @Override
  public void gemm(Tensor c, Tensor a, boolean transposeA, Tensor b, boolean transposeB, int m, int n, int k) {
    run(c, a, b, (to, left, right) -> device.conv().gemm(to, left, transposeA, right, transposeB, m, n, k));
  }
}
