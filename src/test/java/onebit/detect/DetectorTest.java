package onebit.detect;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import onebit.detect.Priors.Level;
import org.junit.jupiter.api.Test;

class DetectorTest {
  private static final Priors SSD = Priors.ssd300();
  /** Quarters of the image, each with one of twice their area around it: 8 priors. */
  private static final Priors QUARTERS = new Priors(100, List.of(new Level(2, 50, 50, 100, List.of())));
  private static final int P = 8;

  /** Values of an image of QUARTERS and two classes in which every prior is background. */
  private static float[] background() {
    float[] values = new float[7 * P];
    for (int p = 0; p < P; p++) values[4 * P + 3 * p] = 20;
    return values;
  }

  /** Gives a class its probability at a prior; the rest is background. */
  private static void see(float[] values, int prior, int label, double probability) {
    values[4 * P + 3 * prior] = 0;
    for (int k = 0; k < 2; k++) values[4 * P + 3 * prior + 1 + k] = k == label ? (float) Math.log(probability / (1 - probability)) : -30;
  }

  private static Detector detector(int mostOfClass, int most) {
    return new Detector(QUARTERS, 2, 0.01, 0.45, mostOfClass, most);
  }

  private static void assertDetection(int label, double score, double left, double top, double right, double bottom, Detection found) {
    assertEquals(label, found.label());
    assertArrayEquals(new double[] {score, left, top, right, bottom}, new double[] {found.score(), found.left(), found.top(), found.right(), found.bottom()}, 1e-5);
  }

  @Test
  void aBoxLiesAtItsOffsetsFromThePrior() {
    float[] values = background();
    see(values, 0, 1, 0.8);
    values[0] = 1;                              // a tenth of 0.5 to the right
    values[1] = -1;                             // and up
    values[2] = (float) (5 * Math.log(0.5));    // half as wide
    List<Detection> found = detector(200, 200).detect(values, 0);
    assertEquals(1, found.size());
    assertDetection(1, 0.8, 0.175, 0, 0.425, 0.45, found.getFirst());
  }

  @Test
  void whereValuesBeginIsSaid() {
    float[] values = background(), two = new float[2 * values.length];
    see(values, 4, 0, 0.5);
    System.arraycopy(background(), 0, two, 0, values.length);
    System.arraycopy(values, 0, two, values.length, values.length);
    Detector detector = detector(200, 200);
    assertEquals(values.length, detector.values());
    assertEquals(List.of(), detector.detect(two, 0));
    assertDetection(0, 0.5, 0, 0.5, 0.5, 1, detector.detect(two, detector.values()).getFirst());
  }

  @Test
  void ofOverlappingBoxesOfOneClassTheMostProbableStays() {
    float[] values = background();
    see(values, 0, 0, 0.6);
    see(values, 1, 0, 0.7);   // a square of 0.707 around the same centre: they overlap by 0.5
    assertDetection(0, 0.7, 0, 0, 0.25 + Math.sqrt(0.125), 0.25 + Math.sqrt(0.125), detector(200, 200).detect(values, 0).getFirst());
    assertEquals(1, detector(200, 200).detect(values, 0).size());
    assertEquals(2, new Detector(QUARTERS, 2, 0.01, 0.51, 200, 200).detect(values, 0).size(), "more overlap is allowed");
    see(values, 0, 1, 0.6);
    assertEquals(List.of(0, 1), detector(200, 200).detect(values, 0).stream().map(Detection::label).toList(), "of two classes both stay");
  }

  @Test
  void aSuppressedBoxSuppressesNothing() {
    Priors row = new Priors(100, List.of(new Level(10, 10, 30, 30, List.of())));
    Detector detector = new Detector(row, 1, 0.01, 0.45, 200, 200);
    float[] values = new float[6 * row.count()];
    for (int p = 0; p < row.count(); p++) values[4 * row.count() + 2 * p] = 20;
    // boxes of 0.3 with distances of 0.1: neighbours overlap by a half, the second next by a fifth
    double[] probabilities = {0.9, 0.8, 0.7};
    for (int i = 0; i < 3; i++) {
      int at = 4 * row.count() + 2 * 2 * (53 + i);
      values[at] = 0;
      values[at + 1] = (float) Math.log(probabilities[i] / (1 - probabilities[i]));
    }
    assertArrayEquals(new double[] {0.9, 0.7}, detector.detect(values, 0).stream().mapToDouble(Detection::score).toArray(), 1e-6);
  }

  @Test
  void boxesThatOnlyTouchAreNotSuppressedWhereNoOverlapIsAllowed() {
    float[] values = background();
    see(values, 0, 0, 0.6);
    see(values, 2, 0, 0.7);
    assertEquals(2, new Detector(QUARTERS, 2, 0.01, 0, 200, 200).detect(values, 0).size());
  }

  @Test
  void scoresUpToTheLeastAreNothing() {
    float[] values = background();
    see(values, 2, 0, 0.0099);
    see(values, 4, 0, 0.0101);
    assertArrayEquals(new double[] {0.0101}, detector(200, 200).detect(values, 0).stream().mapToDouble(Detection::score).toArray(), 1e-6);
    see(values, 0, 0, 0.5);
    assertEquals(List.of(), new Detector(QUARTERS, 2, 0.5, 0.45, 200, 200).detect(values, 0));
  }

  @Test
  void whatIsAddedToAllLogitsOfAPriorChangesNothing() {
    float[] values = background();
    see(values, 2, 0, 0.5);
    List<Detection> found = detector(200, 200).detect(values, 0);
    for (int k = 0; k < 3; k++) values[4 * P + 3 * 2 + k] -= 8;
    assertEquals(1, found.size());
    assertEquals(found, detector(200, 200).detect(values, 0));
  }

  @Test
  void theMostProbableAreKeptAndOfEqualOnesThoseOfTheEarlierClassAndPrior() {
    float[] values = background();
    see(values, 0, 1, 0.5);
    see(values, 2, 0, 0.5);
    see(values, 4, 0, 0.5);
    see(values, 6, 0, 0.6);
    assertEquals(List.of("0 0.5 0.5", "0 0.5 0.0", "0 0.0 0.5", "1 0.0 0.0"), places(detector(200, 200).detect(values, 0)));
    assertEquals(List.of("0 0.5 0.5", "0 0.5 0.0", "0 0.0 0.5"), places(detector(200, 3).detect(values, 0)));
    assertEquals(List.of("0 0.5 0.5", "1 0.0 0.0"), places(detector(1, 200).detect(values, 0)), "one box of each class is looked at");
  }

  private static List<String> places(List<Detection> found) {
    return found.stream().map(d -> d.label() + " " + d.left() + " " + d.top()).toList();
  }

  @Test
  void valuesThatAreNotNumbersFindNothing() {
    float[] values = background();
    for (int k = 0; k < 3; k++) values[4 * P + k] = Float.NaN;
    assertEquals(List.of(), detector(200, 200).detect(values, 0));
  }

  /** Every probability and every box, sorted as a whole, in double precision. */
  @Test
  void randomValuesGiveTheDetectionsOfAPlainSearch() {
    Random random = new Random(9);
    int classes = 3, found = 0;
    Detector detector = new Detector(SSD, classes, 0.3, 0.45, 50, 60);
    float[] values = new float[detector.values()];
    for (int round = 0; round < 3; round++) {
      for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian() * (i < 4 * SSD.count() ? 2 : 1.5f);
      List<double[]> want = plain(values, classes);
      List<Detection> got = detector.detect(values, 0);
      assertEquals(want.size(), got.size());
      for (int i = 0; i < got.size(); i++) {
        double[] w = want.get(i);
        assertDetection((int) w[0], w[1], cut(w[2]), cut(w[3]), cut(w[4]), cut(w[5]), got.get(i));
      }
      found += got.size();
    }
    assertTrue(found > 100, found + " detections");
  }

  private static double cut(double v) {
    return Math.max(0, Math.min(1, v));
  }

  private static List<double[]> plain(float[] values, int classes) {
    int count = SSD.count();
    List<double[]> all = new ArrayList<>();
    for (int k = 1; k <= classes; k++) {
      List<double[]> rest = new ArrayList<>();
      for (int p = 0; p < count; p++) {
        double sum = 0;
        for (int j = 0; j <= classes; j++) sum += Math.exp(values[4 * count + (classes + 1) * p + j]);
        double score = Math.exp(values[4 * count + (classes + 1) * p + k]) / sum;
        if (score <= 0.3) continue;
        double x = SSD.centreX(p) + 0.1 * values[4 * p] * SSD.width(p), y = SSD.centreY(p) + 0.1 * values[4 * p + 1] * SSD.height(p);
        double w = SSD.width(p) * Math.exp(0.2 * values[4 * p + 2]) / 2, h = SSD.height(p) * Math.exp(0.2 * values[4 * p + 3]) / 2;
        rest.add(new double[] {k - 1, score, x - w, y - h, x + w, y + h});
      }
      rest.sort(Comparator.comparingDouble(d -> -d[1]));
      rest = new ArrayList<>(rest.subList(0, Math.min(50, rest.size())));
      while (!rest.isEmpty()) {
        double[] best = rest.removeFirst();
        all.add(best);
        rest.removeIf(other -> overlap(best, other) > 0.45);
      }
    }
    all.sort(Comparator.comparingDouble(d -> -d[1]));
    return all.subList(0, Math.min(60, all.size()));
  }

  private static double overlap(double[] a, double[] b) {
    double w = Math.max(0, Math.min(a[4], b[4]) - Math.max(a[2], b[2])), h = Math.max(0, Math.min(a[5], b[5]) - Math.max(a[3], b[3]));
    return w * h / ((a[4] - a[2]) * (a[5] - a[3]) + (b[4] - b[2]) * (b[5] - b[3]) - w * h);
  }

  @Test
  void limitsThatMakeNoSenseAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> new Detector(SSD, 0));
    assertThrows(IllegalArgumentException.class, () -> new Detector(SSD, 20, 0, 0.45, 200, 200));
    assertThrows(IllegalArgumentException.class, () -> new Detector(SSD, 20, 0.01, 0.45, 200, 0));
  }
}
