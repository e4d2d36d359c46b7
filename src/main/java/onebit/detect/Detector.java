package onebit.detect;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * What a network found in an image, from the values it gave: softmax, boxes at their offsets, and of boxes of one class that overlap the most probable.
 *
 * <p>Holds nothing that changes: any number of threads may use one.
 *
 * <pre>
 * Shapes   of each image: P,4 offsets, then P,1 + classes logits, background first; P priors
 * Source   Liu et al. 2016 (SSD, arXiv 1512.02325), section 3: scores above 0.01, overlaps up to 0.45, 200 detections an image
 * Differs  ssd.pytorch's detection.py takes the 200 most probable boxes of each class into the suppression, and keeps what is left of all classes; the
 *          authors' code takes 400, and keeps 200 of all classes: here 200 of each class go in, 200 of all are kept. Boxes are cut at the image's border
 *          after the suppression, as the authors' code does and ssd.pytorch does not. Of equal scores the earlier class or prior comes first
 * </pre>
 *
 * @param leastScore scores must be above it
 * @param iou two boxes of one class must not overlap more
 * @param mostOfClass boxes of each class that are looked at, the most probable first
 * @param most detections kept of an image
 */
public record Detector(Priors priors, int classes, double leastScore, double iou, int mostOfClass, int most) {
  private static final Comparator<Detection> BEST = Comparator.comparingDouble((Detection d) -> -d.score());

  /** The priors whose boxes may be of one class, each with its score as one number: the larger, the more probable, of equal scores the earlier prior. */
  private static final class Candidates {
    private long[] keys = new long[16];
    private int count;

    void add(float score, int prior) {
      if (count == keys.length) keys = Arrays.copyOf(keys, 2 * count);
      keys[count++] = (long) Float.floatToIntBits(score) << 32 | Integer.MAX_VALUE - prior;
    }

    /** The keys of the first, the most probable first. */
    long[] first(int most) {
      Arrays.sort(keys, 0, count);
      long[] first = new long[Math.min(most, count)];
      for (int i = 0; i < first.length; i++) first[i] = keys[count - 1 - i];
      return first;
    }

    static float score(long key) {
      return Float.intBitsToFloat((int) (key >> 32));
    }

    static int prior(long key) {
      return Integer.MAX_VALUE - (int) key;
    }
  }

  public Detector {
    if (classes < 1 || !(leastScore > 0 && leastScore < 1) || !(iou >= 0 && iou <= 1) || mostOfClass < 1 || most < 1) {
      throw new IllegalArgumentException("Detector: " + classes + " classes, scores above " + leastScore + ", overlaps up to " + iou + ", " + mostOfClass
          + " boxes of a class and " + most + " of all; counts must be positive, a score between 0 and 1, an overlap from 0 to 1");
    }
  }

  /** As the paper has it. */
  public Detector(Priors priors, int classes) {
    this(priors, classes, 0.01, 0.45, 200, 200);
  }

  /** Values of each image. */
  public int values() {
    return priors.count() * (5 + classes);
  }

  /** The detections of the image whose values begin there, the most probable first. */
  public List<Detection> detect(float[] values, int at) {
    Candidates[] candidates = candidates(values, at + 4 * priors.count());
    float[] box = new float[4];
    List<Detection> all = new ArrayList<>();
    for (int label = 0; label < classes; label++) {
      List<Detection> kept = new ArrayList<>();
      for (long key : candidates[label].first(mostOfClass)) {
        int prior = Candidates.prior(key);
        priors.decode(prior, values, at + 4 * prior, box, 0);
        Detection next = new Detection(label, Candidates.score(key), box[0], box[1], box[2], box[3]);
        if (kept.stream().noneMatch(better -> better.overlap(next) > iou)) kept.add(next);
      }
      all.addAll(kept);
    }
    all.sort(BEST);
    return all.stream().limit(most).map(Detection::inside).toList();
  }

  /** The priors of each class whose probability is above the least. */
  private Candidates[] candidates(float[] values, int logitsAt) {
    Candidates[] all = new Candidates[classes];
    Arrays.setAll(all, label -> new Candidates());
    double margin = Math.log(leastScore);
    int width = 1 + classes;
    for (int prior = 0, at = logitsAt; prior < priors.count(); prior++, at += width) {
      float largest = values[at], ofClasses = Float.NEGATIVE_INFINITY;
      for (int k = 1; k < width; k++) ofClasses = Math.max(ofClasses, values[at + k]);
      largest = Math.max(largest, ofClasses);
      // a probability is at most exp(its logit - the largest): most priors see background and nothing else
      if (!(ofClasses - largest >= margin)) continue;
      double sum = 0;
      for (int k = 0; k < width; k++) sum += Math.exp(values[at + k] - largest);
      for (int k = 1; k < width; k++) {
        if (values[at + k] - largest < margin) continue;
        float score = (float) (Math.exp(values[at + k] - largest) / sum);
        if (score > leastScore) all[k - 1].add(score, prior);
      }
    }
    return all;
  }
}
