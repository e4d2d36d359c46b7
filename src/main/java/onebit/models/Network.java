package onebit.models;

import onebit.binarize.Method;
import onebit.layers.Layer;
import onebit.tensor.Shape;

/**
 * A family of networks; the components of the implementing record are the recipe's {@code network.*} keys.
 *
 * <p>Registered in {@link Networks}. The method chooses its own published variant of shortcuts and nonlinearity.
 */
public interface Network {
  /**
   * The layers from images to logits, with the parameter names of the authors' state dictionary.
   *
   * <pre>
   * Shapes  input N,H,W,C; output [N][classes]
   * @throws IllegalArgumentException if the method has no published variant of this network
   * </pre>
   */
  Layer layers(Method method, Shape input, int classes);
}
