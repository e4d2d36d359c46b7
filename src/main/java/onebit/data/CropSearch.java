package onebit.data;

/**
 * A random part of an image that holds the centre of a box and overlaps one of those boxes at least as much as was drawn.
 *
 * <pre>
 * overlap  area of box and part together / area of both joined, the largest of the boxes whose centre is inside
 * drawn    the whole image, any overlap, or at least 0.1, 0.3, 0.5, 0.7, 0.9, each as likely; then up to 50 parts whose height and width are 0.3 to 1 of
 *          the image's, with width / height from 0.5 to 2; if none of them fits, drawn again
 * Source   Liu et al. 2016 (SSD, arXiv 1512.02325), section 2.2; torchvision, RandomIoUCrop
 * Differs  ssd.pytorch, utils/augmentations.py, draws the same but refuses only where the smallest overlap is too small and the largest above infinity,
 *          so never; it has no 0.5. Here the paper's words count, as in torchvision, which tries 40 parts
 * </pre>
 */
final class CropSearch {
  private static final double WHOLE = 1;
  private static final double[] OVERLAPS = {WHOLE, 0, 0.1, 0.3, 0.5, 0.7, 0.9};
  private static final int PARTS = 50, DRAWS = 100;

  private CropSearch() {}

  /** The part of an image, or the whole of it. */
  static Box of(Boxes boxes, int height, int width, CounterRandom random) {
    for (int draw = 0; draw < DRAWS; draw++) {
      double least = OVERLAPS[random.nextInt(OVERLAPS.length)];
      if (least == WHOLE) break;
      for (int part = 0; part < PARTS; part++) {
        int w = (int) (width * random.nextDouble(0.3, 1)), h = (int) (height * random.nextDouble(0.3, 1));
        if (w < 1 || h < 1 || 2 * w < h || w > 2 * h) continue;
        int top = random.nextInt(height - h + 1), left = random.nextInt(width - w + 1);
        if (overlap(boxes, (double) left / width, (double) top / height, (double) (left + w) / width, (double) (top + h) / height) >= least) return new Box(top, left, h, w);
      }
    }
    return Box.whole(height, width);
  }

  /** The largest overlap of a part with the boxes whose centre it holds, or -1 where it holds none. */
  private static double overlap(Boxes boxes, double left, double top, double right, double bottom) {
    double most = -1;
    for (int i = 0; i < boxes.count(); i++) {
      if (!holds(boxes, i, left, top, right, bottom)) continue;
      double width = Math.min(right, boxes.right(i)) - Math.max(left, boxes.left(i)), height = Math.min(bottom, boxes.bottom(i)) - Math.max(top, boxes.top(i));
      double both = width * height, box = ((double) boxes.right(i) - boxes.left(i)) * ((double) boxes.bottom(i) - boxes.top(i));
      most = Math.max(most, both / (box + (right - left) * (bottom - top) - both));
    }
    return most;
  }

  /** Whether the centre of a box lies inside a part. */
  private static boolean holds(Boxes boxes, int i, double left, double top, double right, double bottom) {
    double x = ((double) boxes.left(i) + boxes.right(i)) / 2, y = ((double) boxes.top(i) + boxes.bottom(i)) / 2;
    return left < x && x < right && top < y && y < bottom;
  }

  /** Keeps the boxes whose centre lies inside a part, cut to it and in parts of it. */
  static void cut(Boxes boxes, Box part, int height, int width) {
    double left = (double) part.left() / width, top = (double) part.top() / height;
    double right = (double) (part.left() + part.width()) / width, bottom = (double) (part.top() + part.height()) / height;
    double w = right - left, h = bottom - top;
    int kept = 0;
    for (int i = 0; i < boxes.count(); i++) {
      if (!holds(boxes, i, left, top, right, bottom)) continue;
      boxes.put(kept, i);
      boxes.corner(kept++, Boxes.inside((boxes.left(i) - left) / w), Boxes.inside((boxes.top(i) - top) / h), Boxes.inside((boxes.right(i) - left) / w), Boxes.inside((boxes.bottom(i) - top) / h));
    }
    boxes.truncate(kept);
  }
}
