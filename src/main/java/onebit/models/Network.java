package onebit.models;

import java.util.Set;
import onebit.binarize.Method;
import onebit.layers.Layer;
import onebit.tensor.Shape;

/**
 * A family of networks; the components of the implementing record are the recipe's {@code network.*} keys.
 *
 * <p>Registered in {@link Networks}. The method chooses its own published variant of shortcuts and nonlinearity, see {@link Variant}.
 */
public interface Network {
  /**
   * The layers from images to what the loss reads, with the parameter names of the authors' state dictionary.
   *
   * <pre>
   * Shapes  input N,H,W,C; output [N][outputs(classes)]
   * </pre>
   * @throws IllegalArgumentException if images of this size do not fit the network
   */
  Layer layers(Method method, Shape input, int classes);

  /** Values that it gives for each image: the logits of the classes. */
  default int outputs(int classes) {
    return classes;
  }

  /** Whether it finds boxes, and not one class for each image. */
  default boolean detects() {
    return false;
  }

  /** Modules that the authors' code registers and never runs: not built here, and skipped in their checkpoints. */
  default Set<String> unusedModules() {
    return Set.of();
  }
}
