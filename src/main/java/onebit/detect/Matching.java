package onebit.detect;

import java.util.Arrays;
import onebit.data.Boxes;

/**
 * What each prior of an image is to predict: the box that it is matched with, or background.
 *
 * <p>Every prior is matched with the box it overlaps most if that is by the given intersection over union or more; and every box with the prior
 * that it overlaps most, whatever else that prior overlaps. Holds nothing that changes: any number of threads may use one.
 *
 * <pre>
 * Shapes   labels P: 0 background, else 1 + the box's label; offsets P,4, zeros where a prior is background
 * Source   Liu et al. 2016 (SSD, arXiv 1512.02325), section 2.2; ssd.pytorch layers/box_utils.py, match: of equal overlaps the first box or prior, and
 *          where two boxes want one prior the later box has it
 * Differs  boxes without an area, whose offsets are infinite, are left out, as difficult ones are
 * Cost     P times the number of boxes; nothing is made that grows with P
 * </pre>
 *
 * @param iou the least intersection over union of a match
 */
public record Matching(Priors priors, double iou) {
  public Matching {
    if (!(iou > 0 && iou <= 1)) throw new IllegalArgumentException("Matching: iou must be above 0 and at most 1, got " + iou);
  }

  /** Writes labels from labelsAt on, and offsets from offsetsAt on. */
  public void match(Boxes boxes, int[] labels, int labelsAt, float[] offsets, int offsetsAt) {
    int count = priors.count(), learned = 0;
    int[] box = new int[boxes.count()], bestPrior = new int[box.length];
    for (int i = 0; i < box.length; i++) {
      if (!boxes.difficult(i) && boxes.right(i) > boxes.left(i) && boxes.bottom(i) > boxes.top(i)) box[learned++] = i;
    }
    Arrays.fill(labels, labelsAt, labelsAt + count, 0);
    Arrays.fill(offsets, offsetsAt, offsetsAt + 4 * count, 0);
    float[] most = new float[learned];
    for (int prior = 0; prior < count; prior++) {
      int best = -1;
      float largest = -1;
      for (int k = 0; k < learned; k++) {
        float overlap = overlap(boxes, box[k], prior);
        if (overlap > most[k]) {
          most[k] = overlap;
          bestPrior[k] = prior;
        }
        if (overlap > largest) {
          largest = overlap;
          best = k;
        }
      }
      if (largest >= iou) give(boxes, box[best], prior, labels, labelsAt, offsets, offsetsAt);
    }
    for (int k = 0; k < learned; k++) give(boxes, box[k], bestPrior[k], labels, labelsAt, offsets, offsetsAt);
  }

  private void give(Boxes boxes, int box, int prior, int[] labels, int labelsAt, float[] offsets, int offsetsAt) {
    labels[labelsAt + prior] = 1 + boxes.label(box);
    priors.encode(prior, boxes.left(box), boxes.top(box), boxes.right(box), boxes.bottom(box), offsets, offsetsAt + 4 * prior);
  }

  /** Intersection over union. */
  private float overlap(Boxes boxes, int box, int prior) {
    float left = boxes.left(box), top = boxes.top(box), right = boxes.right(box), bottom = boxes.bottom(box);
    float pLeft = priors.left(prior), pTop = priors.top(prior), pRight = priors.right(prior), pBottom = priors.bottom(prior);
    float width = Math.min(right, pRight) - Math.max(left, pLeft), height = Math.min(bottom, pBottom) - Math.max(top, pTop);
    if (!(width > 0 && height > 0)) return 0;
    float inter = width * height;
    return inter / ((right - left) * (bottom - top) + (pRight - pLeft) * (pBottom - pTop) - inter);
  }
}
