package onebit.ops.cpu;

import onebit.ops.LossOps;
import onebit.ops.Shapes;
import onebit.tensor.Tensor;

/** Softmax cross-entropy and the loss of detection on the CPU, in double. */
final class CpuLossOps implements LossOps {
  private final CpuMultibox multibox = new CpuMultibox();

  @Override
  public void softmaxCrossEntropy(Tensor result, Tensor gradLogits, Tensor logits, Tensor labels, float smoothing) {
    Shapes.requireLoss("softmaxCrossEntropy", result, gradLogits, logits, labels, smoothing);
    crossEntropy("softmaxCrossEntropy", result, gradLogits, logits, labels, smoothing);
  }

  private static void crossEntropy(String op, Tensor result, Tensor gradLogits, Tensor logits, Tensor labels, float smoothing) {
    int n = logits.shape().d0(), classes = logits.shape().rowSize();
    float[] zs = logits.floats(), gs = gradLogits.floats();
    int[] wanted = labels.ints();
    double loss = 0;
    int hits1 = 0, hits5 = 0;
    for (int i = 0; i < n; i++) {
      int at = i * classes, label = wanted[i];
      if (label < 0 || label >= classes) {
        throw new IllegalArgumentException(op + ": label " + label + " of row " + i + " is outside 0.." + (classes - 1));
      }
      double max = Double.NEGATIVE_INFINITY, sum = 0, mean = 0;
      int above = 0;
      for (int k = 0; k < classes; k++) {
        float z = zs[at + k];
        max = Math.max(max, z);
        mean += z;
        if (!(z < zs[at + label] || z == zs[at + label] && k >= label)) above++;
      }
      for (int k = 0; k < classes; k++) sum += Math.exp(zs[at + k] - max);
      double log = max + Math.log(sum);
      loss += (1 - smoothing) * (log - zs[at + label]) + smoothing * (log - mean / classes);
      hits1 += above < 1 ? 1 : 0;
      hits5 += above < 5 ? 1 : 0;
      for (int k = 0; k < classes; k++) {
        double target = (k == label ? 1 - smoothing : 0) + smoothing / classes;
        gs[at + k] = (float) ((Math.exp(zs[at + k] - log) - target) / n);
      }
    }
    result.floats()[0] = (float) (loss / n);
    result.floats()[1] = hits1;
    result.floats()[2] = hits5;
  }

  @Override
  public void distilledCrossEntropy(Tensor result, Tensor gradLogits, Tensor logits, Tensor teacher, Tensor labels, float temperature, float hard,
      float smoothing) {
    Shapes.requireDistilled("distilledCrossEntropy", result, gradLogits, logits, teacher, labels, temperature, hard, smoothing);
    crossEntropy("distilledCrossEntropy", result, gradLogits, logits, labels, smoothing);
    int n = logits.shape().d0(), classes = logits.shape().rowSize();
    float[] zs = logits.floats(), ts = teacher.floats(), gs = gradLogits.floats();
    double t = temperature, soft = 1 - (double) hard, loss = 0;
    for (int i = 0; i < n; i++) {
      int at = i * classes;
      double own = logSum(zs, at, classes, t), wanted = logSum(ts, at, classes, t);
      for (int k = at; k < at + classes; k++) {
        double p = Math.exp(ts[k] / t - wanted), q = Math.exp(zs[k] / t - own);
        loss += p * (own - zs[k] / t);
        gs[k] = (float) (hard * (double) gs[k] + soft * t * (q - p) / n);
      }
    }
    float given = result.floats()[0];
    result.floats()[0] = (float) ((hard > 0 ? hard * (double) given : 0) + soft * t * t * loss / n);
  }

  /** log sum over k of e^(z_k / t). */
  private static double logSum(float[] z, int at, int classes, double t) {
    double most = Double.NEGATIVE_INFINITY, sum = 0;
    for (int k = at; k < at + classes; k++) most = Math.max(most, z[k]);
    for (int k = at; k < at + classes; k++) sum += Math.exp((z[k] - most) / t);
    return most / t + Math.log(sum);
  }

  @Override
  public void multibox(Tensor result, Tensor gradOutput, Tensor output, Tensor labels, Tensor offsets, Tensor divisor, int classes, float ratio) {
    Shapes.requireMultibox(result, gradOutput, output, labels, offsets, divisor, classes, ratio);
    multibox.run(result.floats(), gradOutput.floats(), output.floats(), labels, offsets.floats(), divisor.floats()[0], classes, ratio);
  }
}
