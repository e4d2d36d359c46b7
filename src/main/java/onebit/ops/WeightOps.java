package onebit.ops;

import java.util.List;
import onebit.binarize.Binarizer;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Tensor;

/**
 * The latent weights of many layers in one op: bits, sets and the values that are convolved, and back from the gradients at those.
 *
 * <pre>
 * Shapes  each list one entry per layer, kept by its caller and given again; w, gradient O,R,S,C float32; effective and gradE the same, float32 or of
 *         the type of activations; a float32 gradE may be the memory of its gradient; bits O rows of R*S*C; scales, angles and their gradients O values
 * </pre>
 *
 * Gradients overwrite their destination. Each layer gets, bit for bit, what the ops of {@link BinarizeOps} give it alone.
 */
public interface WeightOps {
  /** {@link BinarizeOps#centreDistance} of all, and the values of their bits. */
  void centreDistanceAll(List<BitTensor> bits, List<BinarySet> sets, List<Tensor> effective, List<Tensor> ws);

  /** {@link BinarizeOps#centreDistanceBackward} of all. */
  void centreDistanceAllBackward(List<Tensor> gradients, List<Tensor> gradEs, List<Tensor> ws, List<BinarySet> sets, Binarizer f);

  /**
   * bit = [level(w) >= 0]; effective = scale s, or scale level(w) where real, s = +1 or -1 by the bit and scale the set's distance.
   *
   * @param meanFactor what makes distance = meanFactor mean |w| of the filter; 0 where the distance, 1 or O values, is given
   */
  void signWeightsAll(List<BitTensor> bits, List<BinarySet> sets, List<Tensor> effective, List<Tensor> ws, Binarizer f, float meanFactor, boolean real);

  /**
   * {@link BinarizeOps#signWeightsBackward} of all, {@link BinarizeOps#scaleBackward} where gradScales is not null, and where penalties is not null
   * penalty = factor * mean(level(w)^2) of each layer, 1 value, with its gradient added.
   */
  void signWeightsAllBackward(List<Tensor> gradients, List<Tensor> gradScales, List<Tensor> penalties, List<Tensor> gradEs, List<Tensor> ws,
      List<BinarySet> sets, Binarizer f, boolean throughMeanAbsolute, boolean real, float factor);

  /** What {@link BinarizeOps#standardize} and {@link BinarizeOps#rotateMix} leave of one layer for backward, and its angles and scales. */
  record Mix(Tensor u, Tensor deviation, Tensor rotated, Tensor mixed, Tensor angle, Tensor scale) {}

  /** Standardised and mixed with the rotations r1, r2 of each layer; bit = [level(mixed) >= 0], effective = scale s. */
  void rotateAll(List<BitTensor> bits, List<Mix> mixes, List<Tensor> effective, List<Tensor> ws, List<Tensor> r1s, List<Tensor> r2s, Binarizer f);

  /** {@link BinarizeOps#scaleBackward} at mixed, {@link BinarizeOps#rotateMixBackward} and {@link BinarizeOps#standardizeBackward} of all. */
  void rotateAllBackward(List<Tensor> gradients, List<Tensor> gradScales, List<Tensor> gradAngles, List<Tensor> gradEs, List<Mix> mixes, Binarizer f);
}
