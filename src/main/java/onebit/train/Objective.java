package onebit.train;

import onebit.detect.Priors;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.recipe.Recipe;
import onebit.tensor.Tensor;

/** What a step minimises: it keeps what is wanted of the images of each part of a batch, and makes a loss of what the network gives for them. */
public interface Objective {
  /**
   * Writes what is wanted of images from to to - 1 of a batch to the room of a part; the parts of a batch are written in their order, from 0 on.
   *
   * @throws IllegalArgumentException if an image's label is no class of the network
   */
  void write(int part, Truth truth, int from, int to);

  /** result = {loss, two more}, and the gradient of the loss; soft is what a teacher gives for the same images, or null. */
  void loss(Tensor result, Tensor gradOutput, Tensor output, Tensor soft, int part, int images);

  /**
   * What the losses of all parts are divided by, one value that stands for all ranks when it is their mean; null where each is the mean over its
   * images, and is weighed by their number.
   *
   * <p>Where there is one, the other two results are parts of the loss; else they are counts of right answers.
   */
  Tensor divisor();

  /** The objective of a recipe, for batches of so many images that the model may see in parts. */
  static Objective of(Recipe recipe, Backend backend, Model model, int batch) {
    if (model.detects()) return new BoxDetection(backend, model, batch, recipe.data().classes(), Priors.ssd300());
    return new Classification(backend, model, batch, recipe.data().classes(), recipe.train().labelSmoothing(), recipe.teacher().temperature(), recipe.teacher().hardLabels());
  }

  /** Images of the largest part of such a batch. */
  static int capacity(Model model, int batch) {
    return Math.min(batch, model.input().d0());
  }

  /** How many parts a batch of so many images is seen in. */
  static int parts(int images, int capacity) {
    return Math.max(1, (images + capacity - 1) / capacity);
  }
}
