package onebit.detect;

import java.util.Arrays;
import java.util.BitSet;
import java.util.Comparator;
import java.util.List;
import onebit.data.Boxes;

/**
 * How well detections find the boxes of a data set: the mean over the classes of the precision, averaged over recalls.
 *
 * <p>A detection is right if the box of its class that it overlaps most is overlapped by the least intersection over union or more, and no better
 * detection of the image has taken that box; it does not count at all if that box is difficult. So each image is judged when it is added, and what is
 * kept of a detection is its score and whether it is right. The result does not depend on the order of the images, or on where they were added.
 * Several threads may add to one.
 *
 * <pre>
 * Units    corners are made pixels of the image as it was stored, and the last pixel of a box is part of it: an extent is right - left + 1
 * Source   Everingham et al. 2010 (The PASCAL Visual Object Classes Challenge, IJCV 88), section 4.2; VOC devkit VOCevaldet.m and VOCap.m
 * Differs  the widespread Python version (voc_eval of py-faster-rcnn) wants more than the least overlap, not as much, and that of ssd.pytorch leaves the 1
 *          of the extents out and rounds scores to three digits. Of equal scores the earlier image comes first, then the earlier detection; the devkit
 *          leaves that to its sort. Recalls are compared as whole numbers, where 0.1 + 0.2 is 0.3
 * </pre>
 */
public final class MeanAveragePrecision {
  private static final int POINTS = 10;

  private final int classes;
  private final double iou;
  private final BitSet images = new BitSet();
  private final long[] boxes;
  private long[] judged = new long[0];
  private int count;

  /** At which recalls the precision is taken. */
  public enum Rule {
    /** The mean of the largest precisions at recalls of 0, 0.1, ..., 1 or more, as in VOC up to 2009. */
    VOC2007_11_POINTS,
    /** The area below the largest precision at each recall or more, as in VOC from 2010 on. */
    AREA
  }

  /**
   * What a data set's detections came to.
   *
   * <pre>
   * Units  precisions 0..1; average of each class: NaN where no image has a box of it that is not difficult, and the class is left out of the mean
   * </pre>
   */
  public record Result(double mean, double[] average, int images, long detections, long boxes) {}

  /** iou: the least overlap of a right detection, 0.5 in VOC. */
  public MeanAveragePrecision(int classes, double iou) {
    if (classes < 1 || !(iou > 0 && iou <= 1)) {
      throw new IllegalArgumentException("MeanAveragePrecision: " + classes + " classes and an iou of " + iou + "; wanted are 1 or more, above 0 and at most 1");
    }
    this.classes = classes;
    this.iou = iou;
    boxes = new long[classes];
  }

  /**
   * Judges what was found in an image.
   *
   * @param image its number in the data set
   * @throws IllegalArgumentException if the image was added before, or a label is no class
   */
  public void add(int image, Boxes truth, List<Detection> detections) {
    int[] order = new int[detections.size()];
    boolean[] right = new boolean[order.length];
    int left = judge(truth, detections, order, right);
    synchronized (this) {
      if (image < 0 || images.get(image)) throw new IllegalArgumentException("MeanAveragePrecision: image " + image + " must be at least 0, and be added once");
      images.set(image);
      for (int i = 0; i < truth.count(); i++) if (!truth.difficult(i)) boxes[truth.label(i)]++;
      for (int i = 0; i < left; i++) {
        Detection found = detections.get(order[i]);
        keep((long) image << 32 | order[i], (long) found.label() << 33 | (right[i] ? 1L << 32 : 0) | Float.floatToIntBits(found.score() + 0f));
      }
    }
  }

  private void keep(long where, long what) {
    if (2 * count == judged.length) judged = Arrays.copyOf(judged, Math.max(1024, 2 * judged.length));
    judged[2 * count] = where;
    judged[2 * count++ + 1] = what;
  }

  /** Writes the numbers of the detections that count, and whether they are right; returns how many there are. */
  private int judge(Boxes truth, List<Detection> detections, int[] order, boolean[] right) {
    for (int i = 0; i < truth.count(); i++) requireClass(truth.label(i), "a box");
    for (Detection found : detections) {
      requireClass(found.label(), "a detection");
      if (!(found.score() >= 0)) throw new IllegalArgumentException("MeanAveragePrecision: a score is " + found.score() + "; it must be at least 0");
    }
    List<Integer> best = java.util.stream.IntStream.range(0, order.length).boxed()
        .sorted(Comparator.comparingDouble(i -> -detections.get(i).score())).toList();
    boolean[] taken = new boolean[truth.count()];
    int left = 0;
    for (int number : best) {
      Detection found = detections.get(number);
      int nearest = -1;
      double largest = 0;
      for (int i = 0; i < taken.length; i++) {
        double overlap = truth.label(i) == found.label() ? overlap(truth, i, found) : 0;
        if (overlap > largest) {
          largest = overlap;
          nearest = i;
        }
      }
      boolean matches = nearest >= 0 && largest >= iou;
      if (matches && truth.difficult(nearest)) continue;
      order[left] = number;
      right[left++] = matches && !taken[nearest];
      if (matches) taken[nearest] = true;
    }
    return left;
  }

  private void requireClass(int label, String what) {
    if (label < 0 || label >= classes) throw new IllegalArgumentException("MeanAveragePrecision: the label of " + what + " is " + label + "; there are " + classes + " classes");
  }

  /** Intersection over union in pixels. */
  private static double overlap(Boxes truth, int box, Detection found) {
    double wide = truth.imageWidth(), high = truth.imageHeight();
    double left = wide * truth.left(box), right = wide * truth.right(box), top = high * truth.top(box), bottom = high * truth.bottom(box);
    double foundLeft = wide * found.left(), foundRight = wide * found.right(), foundTop = high * found.top(), foundBottom = high * found.bottom();
    double width = Math.min(right, foundRight) - Math.max(left, foundLeft) + 1, height = Math.min(bottom, foundBottom) - Math.max(top, foundTop) + 1;
    if (!(width > 0 && height > 0)) return 0;
    double inter = width * height;
    return inter / ((right - left + 1) * (bottom - top + 1) + (foundRight - foundLeft + 1) * (foundBottom - foundTop + 1) - inter);
  }

  /** All that was added, for {@link #add(long[])} of another with the same classes. */
  public synchronized long[] encode() {
    int many = images.cardinality();
    long[] all = new long[2 + classes + many + 2 * count];
    all[0] = classes;
    all[1] = many;
    System.arraycopy(boxes, 0, all, 2, classes);
    int at = 2 + classes;
    for (int image = images.nextSetBit(0); image >= 0; image = images.nextSetBit(image + 1)) all[at++] = image;
    System.arraycopy(judged, 0, all, at, 2 * count);
    return all;
  }

  /**
   * Adds all that another one was given.
   *
   * @throws IllegalArgumentException if it has other classes, or an image that this one has
   */
  public synchronized void add(long[] encoded) {
    if (encoded.length < 2 + classes || encoded[0] != classes || encoded.length < 2 + classes + encoded[1]) {
      throw new IllegalArgumentException("MeanAveragePrecision: " + encoded.length + " numbers of another part of the data set do not begin as those for "
          + classes + " classes");
    }
    int at = 2 + classes, end = at + (int) encoded[1];
    BitSet theirs = new BitSet();
    for (; at < end; at++) theirs.set((int) encoded[at]);
    if (images.intersects(theirs)) {
      theirs.and(images);
      throw new IllegalArgumentException("MeanAveragePrecision: image " + theirs.nextSetBit(0) + " was added to two parts of the data set; each belongs to one");
    }
    images.or(theirs);
    for (int label = 0; label < classes; label++) boxes[label] += encoded[2 + label];
    for (; at < encoded.length; at += 2) keep(encoded[at], encoded[at + 1]);
  }

  /** The precision averaged over the recalls, of each class and of all. */
  public synchronized Result result(Rule rule) {
    long[][] ofClass = new long[classes][];
    int[] counts = new int[classes];
    for (int i = 0; i < count; i++) counts[label(judged[2 * i + 1])]++;
    for (int label = 0; label < classes; label++) ofClass[label] = new long[2 * counts[label]];
    Arrays.fill(counts, 0);
    for (int i = 0; i < count; i++) {
      int label = label(judged[2 * i + 1]), at = 2 * counts[label]++;
      ofClass[label][at] = judged[2 * i];
      ofClass[label][at + 1] = judged[2 * i + 1];
    }
    double[] average = new double[classes];
    for (int label = 0; label < classes; label++) average[label] = boxes[label] == 0 ? Double.NaN : average(rights(ofClass[label]), boxes[label], rule);
    double mean = Arrays.stream(average).filter(a -> !Double.isNaN(a)).average().orElse(Double.NaN);
    return new Result(mean, average, images.cardinality(), count, Arrays.stream(boxes).sum());
  }

  private static int label(long what) {
    return (int) (what >>> 33);
  }

  /** Whether each detection is right, the most probable first. */
  private static boolean[] rights(long[] detections) {
    Integer[] order = new Integer[detections.length / 2];
    Arrays.setAll(order, i -> i);
    Arrays.sort(order, Comparator.comparingInt((Integer i) -> -(int) detections[2 * i + 1]).thenComparingLong(i -> detections[2 * i]));
    boolean[] right = new boolean[order.length];
    for (int i = 0; i < right.length; i++) right[i] = (detections[2 * order[i] + 1] >>> 32 & 1) == 1;
    return right;
  }

  private static double average(boolean[] right, long wanted, Rule rule) {
    double[] largest = new double[right.length];
    long[] found = new long[right.length];
    long hits = 0;
    for (int i = 0; i < right.length; i++) {
      if (right[i]) hits++;
      found[i] = hits;
      largest[i] = (double) hits / (i + 1);
    }
    for (int i = right.length - 2; i >= 0; i--) largest[i] = Math.max(largest[i], largest[i + 1]);
    double sum = 0;
    if (rule == Rule.AREA) {
      for (int i = 0; i < right.length; i++) if (right[i]) sum += largest[i];
      return sum / wanted;
    }
    for (int point = 0, i = 0; point <= POINTS; point++) {
      while (i < right.length && POINTS * found[i] < point * wanted) i++;
      if (i < right.length) sum += largest[i];
    }
    return sum / (POINTS + 1);
  }
}
