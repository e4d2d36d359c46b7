package onebit.ops.cuda;

import onebit.ops.LossOps;
import onebit.ops.Shapes;
import onebit.tensor.Tensor;

/**
 * Softmax cross-entropy on the device.
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
    Shapes.requireLoss("softmaxCrossEntropy", result, gradLogits, logits, labels, smoothing);
    int n = logits.shape().d0(), classes = logits.shape().rowSize();
    requireLabels("softmaxCrossEntropy", device.memory(labels), n, classes);
    DeviceMemory rows = device.scratch(CudaDevice.Scratch.SUMS, 24L * n);
    device.kernel("softmax_cross_entropy").memory(rows).tensor(gradLogits).tensor(logits).tensor(labels).integer(n).integer(classes).real(smoothing)
        .blocks(n, 128);
    device.kernel("softmax_cross_entropy_finish").tensor(result).memory(rows).integer(n).blocks(1, 256);
  }

  @Override
  public void distilledCrossEntropy(Tensor result, Tensor gradLogits, Tensor logits, Tensor teacher, Tensor labels, float temperature, float hard,
      float smoothing) {
    Shapes.requireDistilled("distilledCrossEntropy", result, gradLogits, logits, teacher, labels, temperature, hard, smoothing);
    int n = logits.shape().d0(), classes = logits.shape().rowSize();
    requireLabels("distilledCrossEntropy", device.memory(labels), n, classes);
    DeviceMemory rows = device.scratch(CudaDevice.Scratch.SUMS, 24L * n);
    device.kernel("distilled_cross_entropy").memory(rows).tensor(gradLogits).tensor(logits).tensor(teacher).tensor(labels).integer(n).integer(classes)
        .real(temperature).real(hard).real(smoothing).blocks(n, 128);
    device.kernel("softmax_cross_entropy_finish").tensor(result).memory(rows).integer(n).blocks(1, 256);
  }

  /** Looks at the labels as the host wrote them; the device is not asked. */
  private static void requireLabels(String op, DeviceMemory labels, int n, int classes) {
    for (int i = 0; i < Math.min(n, labels.remembered()); i++) {
      int label = labels.remembered(i);
      if (label < 0 || label >= classes) {
        throw new IllegalArgumentException(op + ": label " + label + " of row " + i + " is outside 0.." + (classes - 1));
      }
    }
  }
}
