package onebit.detect;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import onebit.data.Boxes;
import onebit.detect.MeanAveragePrecision.Result;
import onebit.detect.MeanAveragePrecision.Rule;
import org.junit.jupiter.api.Test;

class MeanAveragePrecisionTest {
  /** Pixels of an image's side. */
  private static final int SIDE = 100;

  private static Boxes truth(int[]... each) {
    Boxes all = new Boxes().clear(SIDE, SIDE);
    for (int[] b : each) all.add(b[0], b[1] != 0, b[2] / 100f, b[3] / 100f, b[4] / 100f, b[5] / 100f);
    return all;
  }

  private static Detection found(int label, double score, int left, int top, int right, int bottom) {
    return new Detection(label, (float) score, left / 100f, top / 100f, right / 100f, bottom / 100f);
  }

  private static double average(MeanAveragePrecision of, Rule rule) {
    return of.result(rule).average()[0];
  }

  /** Four boxes; by score right, wrong, right, wrong: precisions 1, 1/2, 2/3, 1/2 at recalls 1/4, 1/4, 1/2, 1/2. */
  @Test
  void theAverageIsTheOneThatAHandComputes() {
    MeanAveragePrecision of = new MeanAveragePrecision(1, 0.5);
    of.add(0, truth(new int[] {0, 0, 0, 0, 20, 20}, new int[] {0, 0, 50, 50, 80, 80}), List.of(found(0, 0.9, 0, 0, 20, 20), found(0, 0.8, 30, 30, 45, 45)));
    of.add(1, truth(new int[] {0, 0, 0, 0, 20, 20}, new int[] {0, 0, 50, 50, 80, 80}), List.of(found(0, 0.6, 30, 0, 45, 20), found(0, 0.7, 50, 50, 80, 80)));
    // recalls 0, 0.1, 0.2: 1; 0.3, 0.4, 0.5: 2/3; from 0.6 on nothing
    assertEquals((3 + 3 * 2 / 3.0) / 11, average(of, Rule.VOC2007_11_POINTS), 1e-12);
    assertEquals(0.25 * 1 + 0.25 * 2 / 3, average(of, Rule.AREA), 1e-12);
    Result result = of.result(Rule.AREA);
    assertEquals(List.of(2, 4L, 4L), List.of(result.images(), result.detections(), result.boxes()));
  }

  @Test
  void aRecallOfThreeTenthsReachesThePointOfThreeTenths() {
    MeanAveragePrecision of = new MeanAveragePrecision(1, 0.5);
    for (int i = 0; i < 10; i++) of.add(i, truth(new int[] {0, 0, 0, 0, 20, 20}), i < 3 ? List.of(found(0, 0.9, 0, 0, 20, 20)) : List.of());
    assertEquals(4 / 11.0, average(of, Rule.VOC2007_11_POINTS), 1e-12);
  }

  @Test
  void aBoxIsFoundOnceAndByTheMostProbable() {
    MeanAveragePrecision of = new MeanAveragePrecision(1, 0.5);
    of.add(0, truth(new int[] {0, 0, 0, 0, 20, 20}), List.of(found(0, 0.5, 0, 0, 20, 20), found(0, 0.9, 0, 0, 20, 18)));
    assertEquals(1, average(of, Rule.AREA), "the second is wrong, after all boxes are found");
    MeanAveragePrecision twice = new MeanAveragePrecision(1, 0.5);
    twice.add(0, truth(new int[] {0, 0, 0, 0, 20, 20}, new int[] {0, 0, 50, 50, 80, 80}),
        List.of(found(0, 0.9, 0, 0, 20, 20), found(0, 0.8, 0, 0, 20, 18), found(0, 0.7, 50, 50, 80, 80)));
    assertEquals(0.5 + 0.5 * 2 / 3, average(twice, Rule.AREA), 1e-12);
  }

  @Test
  void whatOverlapsTheBoxOfAnotherMoreDoesNotFindTheSecondNearest() {
    MeanAveragePrecision of = new MeanAveragePrecision(1, 0.3);
    // both lie nearest to the first box, and overlap the second by more than 0.3
    of.add(0, truth(new int[] {0, 0, 0, 0, 40, 40}, new int[] {0, 0, 10, 0, 50, 40}), List.of(found(0, 0.9, 0, 0, 40, 40), found(0, 0.8, 1, 0, 41, 40)));
    assertEquals(0.5, average(of, Rule.AREA));
  }

  @Test
  void ofTwoBoxesThatADetectionOverlapsEquallyItFindsTheEarlier() {
    MeanAveragePrecision of = new MeanAveragePrecision(1, 0.5);
    of.add(0, truth(new int[] {0, 0, 0, 0, 20, 20}, new int[] {0, 1, 0, 0, 20, 20}), List.of(found(0, 0.9, 0, 0, 20, 20)));
    assertEquals(1, average(of, Rule.AREA));
  }

  @Test
  void whatFindsADifficultBoxIsNeitherRightNorWrongAndNobodyAsksForIt() {
    MeanAveragePrecision of = new MeanAveragePrecision(1, 0.5);
    of.add(0, truth(new int[] {0, 1, 0, 0, 20, 20}, new int[] {0, 0, 50, 50, 80, 80}),
        List.of(found(0, 0.9, 0, 0, 20, 20), found(0, 0.8, 0, 0, 20, 19), found(0, 0.7, 50, 50, 80, 80)));
    assertEquals(1, average(of, Rule.AREA));
    assertEquals(1, of.result(Rule.AREA).boxes());
    assertEquals(1, of.result(Rule.AREA).detections());
  }

  /** 20 x 20 pixels of 20 x 40: a half, exactly, because the last pixels belong to the boxes. */
  @Test
  void halfOfTheUnionIsEnoughAndTheLastPixelIsPartOfABox() {
    MeanAveragePrecision of = new MeanAveragePrecision(1, 0.5);
    Boxes truth = new Boxes().clear(64, 128);
    truth.add(0, false, 0, 0, 19 / 128f, 39 / 64f);
    of.add(0, truth, List.of(new Detection(0, 0.5f, 0, 0, 19 / 128f, 19 / 64f)));
    assertEquals(1, average(of, Rule.AREA));
    MeanAveragePrecision less = new MeanAveragePrecision(1, 0.5);
    less.add(0, truth, List.of(new Detection(0, 0.5f, 0, 0, 19 / 128f, 18.9f / 64f)));
    assertEquals(0, average(less, Rule.AREA));
  }

  @Test
  void aClassWithoutBoxesIsLeftOutOfTheMean() {
    MeanAveragePrecision of = new MeanAveragePrecision(4, 0.5);
    of.add(3, truth(new int[] {0, 0, 0, 0, 20, 20}, new int[] {2, 0, 0, 0, 20, 20}, new int[] {3, 1, 0, 0, 20, 20}), List.of(found(0, 0.9, 0, 0, 20, 20),
        found(1, 0.9, 0, 0, 20, 20)));
    Result result = of.result(Rule.VOC2007_11_POINTS);
    assertArrayEquals(new double[] {1, Double.NaN, 0, Double.NaN}, result.average());
    assertEquals(0.5, result.mean());
    assertTrue(Double.isNaN(new MeanAveragePrecision(2, 0.5).result(Rule.AREA).mean()), "nothing was added");
  }

  @Test
  void ofEqualScoresTheEarlierImageAndTheEarlierDetectionComeFirst() {
    List<Detection> wrongFirst = List.of(found(0, 0.5, 50, 50, 60, 60), found(0, 0.5, 0, 0, 20, 20));
    MeanAveragePrecision of = new MeanAveragePrecision(1, 0.5), other = new MeanAveragePrecision(1, 0.5);
    of.add(7, truth(new int[] {0, 0, 0, 0, 20, 20}), List.of(found(0, 0.5, 0, 0, 20, 20)));
    of.add(4, truth(new int[] {0, 0, 0, 0, 20, 20}), wrongFirst);
    assertEquals(2 / 3.0, average(of, Rule.AREA), 1e-12, "wrong, right, right");
    other.add(3, truth(new int[] {0, 0, 0, 0, 20, 20}), List.of(found(0, 0.5, 0, 0, 20, 20)));
    other.add(4, truth(new int[] {0, 0, 0, 0, 20, 20}), wrongFirst);
    assertEquals(0.5 + 0.5 * 2 / 3, average(other, Rule.AREA), 1e-12, "right, wrong, right");
  }

  @Test
  void anImageThatIsAddedTwiceIsRefusedAndNothingIsAdded() {
    MeanAveragePrecision of = new MeanAveragePrecision(1, 0.5), other = new MeanAveragePrecision(1, 0.5);
    of.add(5, truth(), List.of());
    other.add(4, truth(new int[] {0, 0, 0, 0, 20, 20}), List.of());
    other.add(5, truth(), List.of());
    assertThrows(IllegalArgumentException.class, () -> of.add(5, truth(), List.of()));
    var twice = assertThrows(IllegalArgumentException.class, () -> of.add(other.encode()));
    assertTrue(twice.getMessage().contains("image 5"), twice.getMessage());
    assertEquals(1, of.result(Rule.AREA).images());
    assertEquals(0, of.result(Rule.AREA).boxes());
    assertThrows(IllegalArgumentException.class, () -> of.add(new MeanAveragePrecision(2, 0.5).encode()));
    assertThrows(IllegalArgumentException.class, () -> of.add(6, truth(new int[] {1, 0, 0, 0, 20, 20}), List.of()));
    assertThrows(IllegalArgumentException.class, () -> of.add(6, truth(), List.of(found(1, 0.5, 0, 0, 1, 1))));
    assertThrows(IllegalArgumentException.class, () -> of.add(6, truth(), List.of(found(0, Double.NaN, 0, 0, 1, 1))));
  }

  @Test
  void numbersOfAnotherPartThatEndTooSoonAreRefused() {
    MeanAveragePrecision of = new MeanAveragePrecision(1, 0.5), part = new MeanAveragePrecision(1, 0.5);
    for (int image = 4; image < 6; image++) part.add(image, truth(), List.of());
    long[] whole = part.encode();
    for (int n = 0; n < whole.length; n++) {
      long[] cut = Arrays.copyOf(whole, n);
      assertThrows(IllegalArgumentException.class, () -> of.add(cut), n + " numbers");
    }
    of.add(whole);
    assertEquals(2, of.result(Rule.AREA).images());
  }

  @Test
  void limitsThatMakeNoSenseAreRefused() {
    for (double iou : new double[] {0, 1.1}) assertThrows(IllegalArgumentException.class, () -> new MeanAveragePrecision(1, iou));
    assertThrows(IllegalArgumentException.class, () -> new MeanAveragePrecision(0, 0.5));
  }

  @Test
  void aScoreOfMinusZeroIsZero() {
    MeanAveragePrecision of = new MeanAveragePrecision(1, 1);
    of.add(0, truth(new int[] {0, 0, 0, 0, 20, 20}), List.of(found(0, -0.0, 0, 0, 20, 20)));
    assertEquals(1, average(of, Rule.AREA));
  }

  @Test
  void boxesThatWereInTheSameBuffersBeforeAreNotThere() {
    MeanAveragePrecision of = new MeanAveragePrecision(1, 0.5);
    Boxes reused = truth(new int[] {0, 0, 0, 0, 20, 20}, new int[] {0, 0, 50, 50, 80, 80});
    reused.truncate(1);
    of.add(0, reused, List.of(found(0, 0.9, 50, 50, 80, 80), found(0, 0.8, 0, 0, 20, 20)));
    assertEquals(0.5, average(of, Rule.AREA));
  }

  /** One image of a random data set; coordinates are whole pixels, so that overlaps of exactly a half occur. */
  private record Image(int number, Boxes truth, List<Detection> found) {}

  private static List<Image> dataSet(int classes, Random random) {
    List<Image> all = new ArrayList<>();
    for (int i = 0; i < 60; i++) {
      Boxes truth = new Boxes().clear(64, 128);
      List<Detection> found = new ArrayList<>();
      for (int k = random.nextInt(5); k > 0; k--) {
        int left = random.nextInt(60), top = random.nextInt(30), right = left + 5 + random.nextInt(60), bottom = top + 5 + random.nextInt(28);
        truth.add(random.nextInt(classes), random.nextInt(4) == 0, left / 128f, top / 64f, right / 128f, bottom / 64f);
        for (int d = random.nextInt(3); d > 0; d--) {
          found.add(new Detection(random.nextInt(6) == 0 ? random.nextInt(classes) : truth.label(truth.count() - 1), random.nextInt(1, 20) / 20f,
              Math.max(0, left + random.nextInt(-6, 7)) / 128f, Math.max(0, top + random.nextInt(-4, 5)) / 64f, (right + random.nextInt(-5, 7)) / 128f,
              (bottom + random.nextInt(-4, 5)) / 64f));
        }
      }
      Collections.shuffle(found, random);
      all.add(new Image(3 * i, truth, found));
    }
    return all;
  }

  @Test
  void randomDetectionsGiveTheNumbersOfASearchOverAllThresholds() {
    Random random = new Random(21);
    for (int round = 0; round < 5; round++) {
      int classes = 4;
      List<Image> images = dataSet(classes, random);
      MeanAveragePrecision of = new MeanAveragePrecision(classes, 0.5);
      images.forEach(image -> of.add(image.number, image.truth, image.found));
      for (Rule rule : Rule.values()) {
        Result result = of.result(rule);
        double sum = 0;
        for (int label = 0; label < classes; label++) {
          double want = plain(images, label, rule);
          assertEquals(want, result.average()[label], 1e-9, rule + " of class " + label);
          assertTrue(want > 0.1 && want < 0.95, "a data set that tells something: " + want);
          sum += want;
        }
        assertEquals(sum / classes, result.mean(), 1e-9);
      }
    }
  }

  /** For every number of first detections, precision and recall of those alone, matched anew; then the rule's sum over those curves. */
  private static double plain(List<Image> images, int label, Rule rule) {
    record Ranked(Image image, int order, Detection detection) {}
    List<Ranked> ranked = new ArrayList<>();
    int wanted = 0;
    for (Image image : images) {
      for (int i = 0; i < image.found.size(); i++) if (image.found.get(i).label() == label) ranked.add(new Ranked(image, i, image.found.get(i)));
      for (int i = 0; i < image.truth.count(); i++) if (image.truth.label(i) == label && !image.truth.difficult(i)) wanted++;
    }
    ranked.sort((a, b) -> a.detection.score() != b.detection.score() ? Float.compare(b.detection.score(), a.detection.score())
        : a.image.number != b.image.number ? Integer.compare(a.image.number, b.image.number) : Integer.compare(a.order, b.order));
    List<double[]> curve = new ArrayList<>();
    for (int cut = 1; cut <= ranked.size(); cut++) {
      int right = 0, counted = 0;
      for (Image image : images) {
        List<Integer> taken = new ArrayList<>();
        for (Ranked r : ranked.subList(0, cut)) {
          if (r.image != image) continue;
          int nearest = nearest(image.truth, label, r.detection);
          if (nearest >= 0 && image.truth.difficult(nearest)) continue;
          counted++;
          if (nearest >= 0 && !taken.contains(nearest)) right++;
          taken.add(nearest);
        }
      }
      if (counted > 0) curve.add(new double[] {(double) right / wanted, (double) right / counted});
    }
    double sum = 0;
    if (rule == Rule.VOC2007_11_POINTS) {
      for (int point = 0; point <= 10; point++) {
        double recall = point / 10.0 - 1e-9;
        sum += curve.stream().filter(c -> c[0] >= recall).mapToDouble(c -> c[1]).max().orElse(0) / 11;
      }
      return sum;
    }
    for (int k = 1; k <= wanted; k++) {
      double recall = (double) k / wanted - 1e-9;
      sum += curve.stream().filter(c -> c[0] >= recall).mapToDouble(c -> c[1]).max().orElse(0) / wanted;
    }
    return sum;
  }

  /** The box of the class that is overlapped most, by half or more; counts pixels one by one. */
  private static int nearest(Boxes truth, int label, Detection found) {
    int nearest = -1;
    double most = 0;
    for (int i = 0; i < truth.count(); i++) {
      if (truth.label(i) != label) continue;
      int both = 0, any = 0;
      for (int y = -10; y < 90; y++) {
        for (int x = -10; x < 160; x++) {
          boolean a = within(x, y, truth.left(i), truth.top(i), truth.right(i), truth.bottom(i));
          boolean b = within(x, y, found.left(), found.top(), found.right(), found.bottom());
          if (a && b) both++;
          if (a || b) any++;
        }
      }
      double overlap = (double) both / any;
      if (2 * both >= any && overlap > most) {
        most = overlap;
        nearest = i;
      }
    }
    return nearest;
  }

  private static boolean within(int x, int y, float left, float top, float right, float bottom) {
    return x >= 128 * left && x <= 128 * right && y >= 64 * top && y <= 64 * bottom;
  }

  @Test
  void theOrderOfImagesAndTheirSharesOverProcessesDoNotMatter() {
    Random random = new Random(22);
    List<Image> images = dataSet(3, random);
    MeanAveragePrecision whole = new MeanAveragePrecision(3, 0.5);
    images.forEach(image -> whole.add(image.number, image.truth, image.found));
    for (int round = 0; round < 5; round++) {
      Collections.shuffle(images, random);
      MeanAveragePrecision[] parts = {new MeanAveragePrecision(3, 0.5), new MeanAveragePrecision(3, 0.5), new MeanAveragePrecision(3, 0.5)};
      for (Image image : images) parts[random.nextInt(2)].add(image.number, image.truth, image.found);
      MeanAveragePrecision merged = new MeanAveragePrecision(3, 0.5);
      for (MeanAveragePrecision part : parts) merged.add(part.encode());
      for (Rule rule : Rule.values()) {
        Result want = whole.result(rule), got = merged.result(rule);
        assertArrayEquals(want.average(), got.average());
        assertEquals(List.of(want.mean(), want.images(), want.detections(), want.boxes()), List.of(got.mean(), got.images(), got.detections(), got.boxes()));
      }
    }
  }
}
