package onebit.ops;

import onebit.tensor.Tensor;

/** Softmax cross-entropy with label smoothing, of labels alone or of a teacher's soft labels too, and the count of right answers; the loss of detection. */
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

  /**
   * result = {loss, location, confidence}, loss = location + confidence; gradOutput = d loss / d output, 0 for priors that do not count.
   *
   * <pre>
   * location   = sum over positives of smooth L1 of their 4 offsets less the wanted ones, / M
   * confidence = sum over positives and chosen negatives of the softmax cross-entropy to their label, / M;  all 0 where M is 0
   * chosen     = of each image the min(floor(ratio positives), P - positives) priors of label 0 with the largest cross-entropy; of equal ones the first
   *
   * Shapes  output, gradOutput [N][P (4 + K)]: 4 offsets of each prior, then K logits of each prior; labels [N][P] int32, 0 the background; offsets [N][4 P],
   *         read where the label is positive; result 3 values; divisor 1 value: M, the positives of the whole batch, of which these images may be a part
   * Units   K = classes, the background among them, at least 2; ratio >= 0: negatives for each positive
   * Source  Liu et al. 2016 (SSD, arXiv 1512.02325), equations 1 to 3 and hard negative mining in section 2.2; ssd.pytorch layers/modules/multibox_loss.py
   * Differs in the released code positives rank among the negatives, as if their cross-entropy were 0, and at most P - 1 are chosen
   * </pre>
   *
   * <p>Cross-entropies rank as float32, NaN as the largest, so that the loss tells of it. Near the last one chosen two backends may choose differently.
   *
   * @throws IllegalArgumentException if a label is outside 0..K-1; a device which cannot know in time makes the loss NaN
   */
  void multibox(Tensor result, Tensor gradOutput, Tensor output, Tensor labels, Tensor offsets, Tensor divisor, int classes, float ratio);
}
