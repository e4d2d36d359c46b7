package onebit.dist;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/**
 * Gradients in buckets that travel while backward goes on: a bucket leaves as soon as the last layer it holds has its gradients.
 *
 * <p>Backward fills groups from the last to the first, and buckets leave in that order on every rank.
 *
 * <pre>
 * Units    leastBytes: a bucket is closed when it holds at least so many; the last one may hold fewer
 * Source   Li et al. 2020 (PyTorch Distributed, arXiv 2006.15704): buckets in reverse order of the layers, overlapped with backward
 * </pre>
 */
public final class GradientBuckets {
  private record Bucket(String name, int closes, List<Tensor> tensors) {}

  private final Communicator communicator;
  private final ElementType travel;
  private final List<Bucket> buckets = new ArrayList<>();
  private int next;

  /** Buckets over groups of gradients in the order of forward. */
  public GradientBuckets(Communicator communicator, List<List<Tensor>> groups, long leastBytes, ElementType travel) {
    this.communicator = communicator;
    this.travel = travel;
    List<Tensor> open = new ArrayList<>();
    long bytes = 0;
    for (int group = groups.size() - 1; group >= 0; group--) {
      for (Tensor tensor : groups.get(group)) {
        open.add(tensor);
        bytes += (long) tensor.size() * tensor.type().bytes();
      }
      if (bytes >= leastBytes || (group == 0 && !open.isEmpty())) {
        buckets.add(new Bucket("gradients " + (buckets.size() + 1), group, List.copyOf(open)));
        open.clear();
        bytes = 0;
      }
    }
  }

  /** Called when backward has left a group: all its gradients and those after it are there. */
  public void ready(int group) {
    ready(group, whole -> { });
  }

  /** The same; complete is given each bucket's tensors before they leave. */
  public void ready(int group, Consumer<List<Tensor>> complete) {
    while (next < buckets.size() && buckets.get(next).closes() >= group) {
      Bucket bucket = buckets.get(next++);
      complete.accept(bucket.tensors());
      communicator.startMean(bucket.name(), bucket.tensors(), travel);
    }
  }

  /** Sends what has not left yet and returns when every gradient is the mean over the ranks. */
  public void finish() {
    ready(0);
    communicator.awaitMeans();
    next = 0;
  }

  /** The tensors of each bucket, in the order in which they leave. */
  public List<List<Tensor>> contents() {
    return buckets.stream().map(Bucket::tensors).toList();
  }

  public int count() {
    return buckets.size();
  }
}
