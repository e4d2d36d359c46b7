package onebit.layers;

import java.util.ArrayList;
import java.util.List;
import onebit.ops.Backend;
import onebit.tensor.Tensor;

/**
 * Real weights of the type of activations, beside which they are convolved and multiplied: themselves, or copies that one op rounds for all layers.
 *
 * <pre>
 * Cost  one launch before a forward where activations are not float32; none otherwise
 * </pre>
 */
public final class RoundedWeights {
  private final Backend backend;
  private final List<Tensor> copies = new ArrayList<>();
  private final List<Tensor> weights = new ArrayList<>();

  RoundedWeights(Backend backend) {
    this.backend = backend;
  }

  /** What stands for the weight in products; it holds the weight's values as of the last {@link #refresh}. */
  Tensor of(Tensor weight) {
    if (weight.type() == backend.activations()) return weight;
    Tensor copy = backend.create(weight.shape(), backend.activations());
    copies.add(copy);
    weights.add(weight);
    return copy;
  }

  /** Takes the weights as they are now. */
  public void refresh() {
    if (!copies.isEmpty()) backend.optim().copyAll(copies, weights);
  }
}
