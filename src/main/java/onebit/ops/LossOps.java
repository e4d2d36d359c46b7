package onebit.ops;

import onebit.tensor.Tensor;

/** Softmax cross-entropy with label smoothing, of labels alone or of a teacher's soft labels too, and the count of right answers. */
public interface LossOps {
  /**
   * result = {mean loss, top-1 hits, top-5 hits}; gradLogits = (softmax - target) / N.
   *
   * <pre>
   * Shapes  logits, gradLogits [N][K]; labels [N] int32; result 3 values
   * Units   smoothing in [0, 1): the target is 1 - smoothing on the label plus smoothing / K everywhere (PyTorch's rule)
   * </pre>
   *
   * <p>A label counts as hit in the top k when fewer than k logits are larger, or equal with a smaller index; a NaN counts as larger than all.
   */
  void softmaxCrossEntropy(Tensor result, Tensor gradLogits, Tensor logits, Tensor labels, float smoothing);

  /**
   * The same where hard is the share of that loss, and the rest is T^2 times the cross-entropy of softmax(logits / T) to softmax(teacher / T).
   *
   * <pre>
   * Shapes  teacher [N][K] logits
   * Units   T = temperature > 0, whose square keeps gradients of one size whatever it is; hard in [0, 1]
   * Source  Hinton et al. 2015, arXiv 1503.02531, section 2
   * </pre>
   */
  void distilledCrossEntropy(Tensor result, Tensor gradLogits, Tensor logits, Tensor teacher, Tensor labels, float temperature, float hard, float smoothing);
}
