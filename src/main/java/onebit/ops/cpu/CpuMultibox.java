package onebit.ops.cpu;

import java.util.Arrays;
import onebit.ops.Shapes;
import onebit.tensor.Tensor;

/**
 * The loss of detection on the CPU, an image at a time on each core, sums in the order of images.
 *
 * <pre>
 * Twin  kernels/multibox.cu
 * </pre>
 */
final class CpuMultibox {
  private float[] gradients, values, offsets;
  private int[] labels;
  private int priors, classes;
  private float ratio;
  private double share;
  private int[] positives = new int[0];
  /** Of each image the negatives from the hardest on, a prior's number in the lower half. */
  private long[] ranks = new long[0];
  private double[] logSums = new double[0], locations = new double[0], confidences = new double[0];

  void run(float[] result, float[] gradients, float[] values, Tensor labels, float[] offsets, float divisor, int classes, float ratio) {
    this.gradients = gradients;
    this.values = values;
    this.labels = labels.ints();
    this.offsets = offsets;
    this.classes = classes;
    this.ratio = ratio;
    int images = labels.shape().d0();
    priors = labels.shape().d1();
    if (positives.length < images) {
      positives = new int[images];
      locations = new double[images];
      confidences = new double[images];
    }
    if (ranks.length < images * priors) {
      ranks = new long[images * priors];
      logSums = new double[images * priors];
    }
    for (int n = 0; n < images; n++) positives[n] = positives(n);
    share = divisor == 0 ? 0 : 1.0 / divisor;
    CpuThreads.range(images, 1, this, (op, from, to) -> {
      for (int n = from; n < to; n++) op.image(n);
    });
    double location = 0, confidence = 0;
    for (int n = 0; n < images; n++) {
      location += locations[n];
      confidence += confidences[n];
    }
    result[0] = (float) ((location + confidence) * share);
    result[1] = (float) (location * share);
    result[2] = (float) (confidence * share);
  }

  private int positives(int image) {
    int count = 0;
    for (int p = 0; p < priors; p++) {
      int label = labels[image * priors + p];
      if (label < 0 || label >= classes) throw Shapes.noSuchClass(label, p, image, classes);
      if (label > 0) count++;
    }
    return count;
  }

  private void image(int n) {
    int first = n * priors, row = n * priors * (4 + classes), negatives = 0;
    Arrays.fill(gradients, row, row + priors * (4 + classes), 0);
    for (int p = 0; p < priors; p++) {
      int logits = row + 4 * priors + p * classes;
      logSums[first + p] = logSum(logits);
      if (labels[first + p] == 0) ranks[first + negatives++] = rank((float) (logSums[first + p] - values[logits]), p);
    }
    Arrays.sort(ranks, first, first + negatives);
    int chosen = (int) Math.min(Math.floor((double) ratio * positives[n]), negatives);
    double location = 0, confidence = 0;
    for (int i = first; i < first + chosen; i++) confidence += entropy(n, (int) ranks[i]);
    for (int p = 0; p < priors; p++) {
      if (labels[first + p] == 0) continue;
      confidence += entropy(n, p);
      location += distance(row + 4 * p, 4 * (first + p));
    }
    locations[n] = location;
    confidences[n] = confidence;
  }

  /** Smaller for a larger loss, NaN before all, then for a smaller prior. */
  private static long rank(float loss, int prior) {
    return (long) ~Float.floatToIntBits(loss) << 32 | prior;
  }

  private double logSum(int logits) {
    double most = Double.NEGATIVE_INFINITY, sum = 0;
    for (int k = logits; k < logits + classes; k++) most = Math.max(most, values[k]);
    for (int k = logits; k < logits + classes; k++) sum += Math.exp(values[k] - most);
    return most + Math.log(sum);
  }

  /** The cross-entropy of a prior to its label, and its gradient. */
  private double entropy(int image, int prior) {
    int at = image * priors + prior, logits = (image * (4 + classes) + 4) * priors + prior * classes, label = labels[at];
    double logSum = logSums[at];
    for (int k = 0; k < classes; k++) gradients[logits + k] = (float) ((Math.exp(values[logits + k] - logSum) - (k == label ? 1 : 0)) * share);
    return logSum - values[logits + label];
  }

  /** Smooth L1 of four offsets, and its gradient. */
  private double distance(int at, int wanted) {
    double sum = 0;
    for (int i = 0; i < 4; i++) {
      double d = (double) values[at + i] - offsets[wanted + i], size = Math.abs(d);
      sum += size < 1 ? 0.5 * d * d : size - 0.5;
      gradients[at + i] = (float) ((d < -1 ? -1 : d > 1 ? 1 : d) * share);
    }
    return sum;
  }
}
