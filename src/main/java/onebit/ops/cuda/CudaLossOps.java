package onebit.ops.cuda;

import java.util.function.IntFunction;
import onebit.ops.LossOps;
import onebit.ops.Shapes;
import onebit.tensor.Tensor;

/**
 * Softmax cross-entropy and the loss of detection on the device.
 *
 * <pre>
 * Twin  kernels/softmax_cross_entropy.cu, multibox.cu
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
    device.kernel("softmax_cross_entropy").tensor(result).memory(rows).memory(device.counters()).tensor(gradLogits).tensor(logits).tensor(labels).integer(n)
        .integer(classes).real(smoothing).blocks(n, 128);
  }

  @Override
  public void distilledCrossEntropy(Tensor result, Tensor gradLogits, Tensor logits, Tensor teacher, Tensor labels, float temperature, float hard,
      float smoothing) {
    Shapes.requireDistilled("distilledCrossEntropy", result, gradLogits, logits, teacher, labels, temperature, hard, smoothing);
    int n = logits.shape().d0(), classes = logits.shape().rowSize();
    requireLabels("distilledCrossEntropy", device.memory(labels), n, classes);
    DeviceMemory rows = device.scratch(CudaDevice.Scratch.SUMS, 24L * n);
    device.kernel("distilled_cross_entropy").tensor(result).memory(rows).memory(device.counters()).tensor(gradLogits).tensor(logits).tensor(teacher).tensor(labels).integer(n).integer(classes)
        .real(temperature).real(hard).real(smoothing).blocks(n, 128);
  }

  @Override
  public void multibox(Tensor result, Tensor gradOutput, Tensor output, Tensor labels, Tensor offsets, Tensor divisor, int classes, float ratio) {
    Shapes.requireMultibox(result, gradOutput, output, labels, offsets, divisor, classes, ratio);
    int n = labels.shape().d0(), p = labels.shape().d1(), priors = n * p;
    DeviceMemory known = device.memory(labels);
    requireLabels(known, priors, classes, i -> Shapes.noSuchClass(known.remembered(i), i % p, i / p, classes));
    int blocks = device.blocks(output.size());
    DeviceMemory room = device.scratch(CudaDevice.Scratch.VALUES, 12L * priors + 8L * n), partial = device.scratch(CudaDevice.Scratch.SUMS, 16L * blocks);
    long logSums = room.address(), keys = logSums + 8L * priors, chosen = keys + 4L * priors;
    device.kernel("multibox_rank").address(logSums).address(keys).tensor(output).tensor(labels).integer(priors).integer(p).integer(classes)
        .each((int) Math.min(Integer.MAX_VALUE, 8L * priors));
    device.kernel("multibox_choose").address(chosen).address(keys).tensor(labels).integer(p).integer(classes).real(ratio).blocks(n, 256);
    device.kernel("multibox_gradient").tensor(gradOutput).memory(partial).tensor(output).tensor(labels).tensor(offsets).address(logSums).address(keys)
        .address(chosen).tensor(divisor).integer(n).integer(p).integer(classes).blocks(blocks, 256);
    device.kernel("multibox_finish").tensor(result).memory(partial).tensor(divisor).integer(blocks).blocks(1, 256);
  }

  /** Looks at the labels as the host wrote them; the device is not asked. */
  private static void requireLabels(DeviceMemory labels, int n, int classes, IntFunction<IllegalArgumentException> refusal) {
    for (int i = 0; i < Math.min(n, labels.remembered()); i++) if (labels.remembered(i) < 0 || labels.remembered(i) >= classes) throw refusal.apply(i);
  }

  private static void requireLabels(String op, DeviceMemory labels, int n, int classes) {
    requireLabels(labels, n, classes, i -> new IllegalArgumentException(op + ": label " + labels.remembered(i) + " of row " + i + " is outside 0.." + (classes - 1)));
  }
}
