package onebit.train;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import onebit.dist.Activity;
import onebit.dist.Communicator;
import onebit.dist.GradientBuckets;
import onebit.models.Model;
import onebit.recipe.DistRecipe;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/**
 * What makes the steps of all ranks one step on the global batch: the mean of gradients and of results over the ranks.
 *
 * <p>Each rank weighs its loss and its gradient beforehand, so that the mean over the ranks is the mean over the images.
 */
final class StepReduction {
  private static final int BYTES_PER_MEGABYTE = 1 << 20;
  private static final String REPLAYED = "gradients of a replayed step";

  private final Communicator communicator;
  private final GradientBuckets buckets;
  private final boolean meets;
  /** Collectives of a step on so many images of all ranks, as last counted. */
  private final Map<Integer, Long> collectives = new HashMap<>();

  StepReduction(Communicator communicator, Model model, DistRecipe dist) {
    this.communicator = communicator;
    meets = dist.syncBatchNorm();
    ElementType travel = dist.reduce() == DistRecipe.Reduce.BFLOAT16 ? ElementType.BFLOAT16 : ElementType.FLOAT32;
    long leastBytes = (long) (dist.bucketMegabytes() * BYTES_PER_MEGABYTE);
    model.splitGradients(leastBytes);
    buckets = new GradientBuckets(communicator, model.gradientGroups(), leastBytes, travel);
  }

  int ranks() {
    return communicator.size();
  }

  /** Whether something holds on one of the ranks, which all ask. */
  boolean anywhere(boolean here) {
    return communicator.any(here);
  }

  /** Whether the ranks meet within forward and backward, at their batch norms, and so have to do as many of these. */
  boolean meets() {
    return meets;
  }

  /** How many collectives this rank has entered. */
  long entered() {
    return communicator.activity().entered();
  }

  /** The device is about to replay a step on so many images of all ranks, which makes no call: its collectives are as many as those of the same step call by call. */
  void replays(int globalImages) {
    communicator.activity().enter(REPLAYED, collectives.getOrDefault(globalImages, 1L));
  }

  /**
   * A step on so many images of all ranks was asked for; its collectives go on beside the host, which waits for them when it asks for the step's outcome.
   *
   * @param before how many had been entered when the step began
   */
  void asked(int globalImages, long before) {
    Activity activity = communicator.activity();
    collectives.put(globalImages, activity.entered() - before);
    activity.leave();
  }

  /** Backward has left a group of layers; complete is given the gradients of each bucket before they go. */
  void left(int group, Consumer<List<Tensor>> complete) {
    buckets.ready(group, complete);
  }

  /** The gradients of each bucket. */
  List<List<Tensor>> contents() {
    return buckets.contents();
  }

  /** The tensor is its mean over the ranks when the work after this runs. */
  void average(String what, Tensor tensor) {
    communicator.startMean(what, List.of(tensor), ElementType.FLOAT32);
    communicator.awaitMeans();
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
