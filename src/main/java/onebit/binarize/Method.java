package onebit.binarize;

import java.util.Map;
import onebit.ops.Padding;

/**
 * A published way of training binary networks; the components of the implementing record are the recipe's {@code method.*} keys.
 *
 * <p>A method says how latent weights and activations become bits with a set, what the border of a convolution holds, and which surrogates
 * an epoch uses. It is registered in {@link Methods}.
 */
public interface Method {
  /** Latent weights to bits and back, for one layer. */
  BinaryWeights weights();

  /** Real activations to bits and back, for one layer. */
  BinaryActivations activations();

  /** What the border of a binary convolution contributes: nothing, where the method says no other. */
  default Padding padding() {
    return Padding.ZERO;
  }

  /**
   * Levels and slopes of one epoch; trained weights are judged, exported and teach by those of the last.
   *
   * <pre>
   * Units  epoch from 0; epochs: length of the whole schedule
   * </pre>
   */
  Surrogates at(int epoch, int epochs);

  /**
   * The surrogates of given schedule values, under the names that {@link Surrogates#values} has: how a recorded step is replayed.
   *
   * @throws IllegalArgumentException if a value is missing
   */
  default Surrogates withValues(Map<String, Double> values) {
    return at(0, 1);
  }

  /** The value of a schedule by name, or a refusal that names it. */
  static double required(Map<String, Double> values, String name) {
    Double value = values.get(name);
    if (value == null) throw new IllegalArgumentException("the schedule value " + name + " is missing; given are " + values.keySet());
    return value;
  }

  /** What is added to a binary product over so many taps. */
  default float offset(int taps) {
    return 0;
  }
}
