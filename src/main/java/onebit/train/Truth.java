package onebit.train;

import onebit.data.Boxes;
import onebit.data.ImageBatch;

/**
 * What is known of a batch's images: a class each, or boxes with a class each.
 *
 * <pre>
 * Shapes  labels N or more, boxes N or more, or none where the network does not detect
 * </pre>
 */
public record Truth(int[] labels, Boxes[] boxes) {
  private static final Boxes[] NONE = {};

  /** A class for each image. */
  public static Truth of(int... labels) {
    return new Truth(labels, NONE);
  }

  /** What a loader's batch holds, in its own buffers. */
  public static Truth of(ImageBatch batch) {
    return new Truth(batch.labels(), batch.boxes());
  }
}
