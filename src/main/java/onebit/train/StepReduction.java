package onebit.train;

import java.util.List;
import onebit.dist.Communicator;
import onebit.dist.GradientBuckets;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.recipe.DistRecipe;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/**
 * What makes the steps of all ranks one step on the global batch: the mean of gradients and of results over the ranks.
 *
 * <pre>
 * Units     a rank with n of N images on R ranks weighs its loss and its gradient by n R / N, so that the mean over the ranks is the mean
 *           over the images
 * </pre>
 */
final class StepReduction {
  private static final int BYTES_PER_MEGABYTE = 1 << 20;

  private final Communicator communicator;
  private final Backend backend;
  private final GradientBuckets buckets;

  StepReduction(Communicator communicator, Backend backend, Model model, DistRecipe dist) {
    this.communicator = communicator;
    this.backend = backend;
    ElementType travel = dist.reduce() == DistRecipe.Reduce.BFLOAT16 ? ElementType.BFLOAT16 : ElementType.FLOAT32;
    long leastBytes = (long) (dist.bucketMegabytes() * BYTES_PER_MEGABYTE);
    model.splitGradients(leastBytes);
    buckets = new GradientBuckets(communicator, model.gradientGroups(), leastBytes, travel);
  }

  int ranks() {
    return communicator.size();
  }

  /** Weighs loss and gradient of this rank's images where the ranks do not have equally many. */
  void weigh(Tensor gradLogits, Tensor result, int images, int globalImages) {
    if (images * communicator.size() == globalImages) return;
    float more = (float) ((double) images * communicator.size() / globalImages - 1);
    backend.point().accumulateScaled(gradLogits, gradLogits, more);
    Tensor loss = result.first(1);
    backend.point().accumulateScaled(loss, loss, more);
  }

  /** Backward has left a group of layers. */
  void left(int group) {
    buckets.ready(group);
  }

  /** Gradients and result are those of the global batch when the work after this runs; hits are the mean over the ranks. */
  void finish(Tensor result) {
    communicator.startMean("loss and hits", List.of(result), ElementType.FLOAT32);
    buckets.finish();
  }

  /** The means of all gradients as they are, without a backward to hide behind. */
  void sendAll() {
    buckets.finish();
  }

  int buckets() {
    return buckets.count();
  }
}
