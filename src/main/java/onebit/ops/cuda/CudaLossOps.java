package onebit.ops.cuda;

import onebit.ops.LossOps;
import onebit.tensor.Tensor;

/**
 * Softmax cross-entropy on the device; a label outside the classes makes the loss NaN.
 *
 * <pre>
 * Twin  kernels/softmax_cross_entropy.cu
 * </pre>
 */
final class CudaLossOps implements LossOps {
  private final CudaDevice device;

  CudaLossOps(CudaDevice device) {
    this.device = device;
  }

  @Override
  public void softmaxCrossEntropy(Tensor result, Tensor gradLogits, Tensor logits, Tensor labels, float smoothing) {
    int n = logits.shape().d0(), classes = logits.shape().rowSize();
    DeviceMemory rows = device.scratch(CudaDevice.Scratch.SUMS, 24L * n);
    device.kernel("softmax_cross_entropy").memory(rows).tensor(gradLogits).tensor(logits).tensor(labels).integer(n).integer(classes).real(smoothing)
        .blocks(n, 128);
    device.kernel("softmax_cross_entropy_finish").tensor(result).memory(rows).integer(n).blocks(1, 256);
  }
}
