package onebit.detect;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import onebit.data.Boxes;
import onebit.detect.Priors.Level;
import org.junit.jupiter.api.Test;

class MatchingTest {
  private static final Priors SSD = Priors.ssd300();
  private static final Matching MATCHING = new Matching(SSD, 0.5);
  /** Four squares of half the image, each in a quarter of it, and one of 0.707 around each of their centres. */
  private static final Priors QUARTERS = new Priors(100, List.of(new Level(2, 50, 50, 100, List.of())));

  private static Boxes boxes(float[]... each) {
    Boxes all = new Boxes().clear(300, 300);
    for (float[] b : each) all.add((int) b[0], b[1] != 0, b[2], b[3], b[4], b[5]);
    return all;
  }

  private static int[] labels(Priors priors, Boxes boxes) {
    int[] labels = new int[priors.count()];
    Arrays.fill(labels, -1);
    new Matching(priors, 0.5).match(boxes, labels, 0, new float[4 * labels.length], 0);
    return labels;
  }

  @Test
  void aBoxOnAPriorIsMatchedWithItAndAllOthersItOverlapsByHalf() {
    // all of it lies in the square of 0.707 around the same centre, whose area is 0.5
    assertArrayEquals(new int[] {0, 0, 8, 8, 0, 0, 0, 0}, labels(QUARTERS, boxes(new float[] {7, 0, 0.495f, 0, 1, 0.52f})));
  }

  @Test
  void aBoxThatOverlapsNoPriorByHalfStillHasTheOneItOverlapsMost() {
    assertArrayEquals(new int[] {0, 0, 0, 0, 3, 0, 0, 0}, labels(QUARTERS, boxes(new float[] {2, 0, 0.1f, 0.6f, 0.15f, 0.65f})));
  }

  @Test
  void ofTwoBoxesThatWantOnePriorTheLaterHasIt() {
    float[] first = {1, 0, 0.1f, 0.6f, 0.15f, 0.65f}, second = {2, 0, 0.2f, 0.6f, 0.3f, 0.65f};
    assertArrayEquals(new int[] {0, 0, 0, 0, 3, 0, 0, 0}, labels(QUARTERS, boxes(first, second)));
    assertArrayEquals(new int[] {0, 0, 0, 0, 2, 0, 0, 0}, labels(QUARTERS, boxes(second, first)));
  }

  @Test
  void ofEqualOverlapsTheFirstPriorAndTheFirstBoxCountAndAHalfIsEnough() {
    Priors pairs = new Priors(100, List.of(new Level(2, 50, 50, 50, List.of())));   // a quarter is the square of two priors
    float[] one = {1, 0, 0, 0, 0.5f, 0.5f}, same = {2, 0, 0, 0, 0.5f, 0.5f};
    assertArrayEquals(new int[] {3, 2, 0, 0, 0, 0, 0, 0}, labels(pairs, boxes(one, same)), "the first prior is that which both want, and the later has it");
    assertArrayEquals(new int[] {2, 2, 0, 0, 0, 0, 0, 0}, labels(pairs, boxes(new float[] {1, 0, 0, 0, 0.5f, 0.25f})), "half of the quarter");
  }

  @Test
  void aPriorBelongsToTheBoxThatWantsItMostAlsoWhereItOverlapsAnotherMore() {
    // both lie on prior 0; the tall one overlaps nothing more than it, and comes later
    float[] on = {1, 0, 0, 0, 0.5f, 0.5f}, tall = {2, 0, 0.2f, 0, 0.3f, 0.5f};
    assertEquals(3, labels(QUARTERS, boxes(on, tall))[0]);
    assertEquals(2, labels(QUARTERS, boxes(tall, on))[0]);
  }

  @Test
  void difficultBoxesAndThoseWithoutAnAreaAreBackground() {
    int[] none = new int[8];
    assertArrayEquals(none, labels(QUARTERS, boxes()));
    assertArrayEquals(none, labels(QUARTERS, boxes(new float[] {1, 1, 0, 0, 0.5f, 0.5f}, new float[] {1, 0, 0.2f, 0.3f, 0.2f, 0.5f},
        new float[] {1, 0, 0.2f, 0.3f, 0.4f, 0.3f})));
  }

  @Test
  void onlyThePlacesOfTheImageAreWritten() {
    int[] labels = new int[10];
    float[] offsets = new float[35];
    Arrays.fill(labels, -1);
    Arrays.fill(offsets, 9);
    Priors smaller = new Priors(100, List.of(new Level(2, 50, 50, 90, List.of())));
    new Matching(smaller, 0.5).match(boxes(new float[] {0, 0, 0, 0, 0.5f, 0.5f}), labels, 1, offsets, 2);
    assertArrayEquals(new int[] {-1, 1, 1, 0, 0, 0, 0, 0, 0, -1}, labels);
    float shrunk = (float) (5 * Math.log(0.5 / Math.sqrt(0.45)));
    float[] want = new float[35];
    for (int i : new int[] {0, 1, 34}) want[i] = 9;
    want[8] = want[9] = shrunk;
    assertArrayEquals(want, offsets, 1e-6f);
  }

  /** The rule once more, by whole tables of overlaps in double precision; boxes for which two choices are within rounding are drawn again. */
  @Test
  void randomBoxesAreMatchedAsByTheWholeTableOfOverlaps() {
    Random random = new Random(5);
    int positives = 0;
    for (int image = 0; image < 12; image++) {
      Boxes boxes;
      double[][] table;
      do {
        boxes = random(1 + image, random);
        table = table(boxes);
      } while (!decides(table));
      int[] labels = new int[SSD.count()], owner = owners(table);
      float[] offsets = new float[4 * labels.length], want = new float[4];
      MATCHING.match(boxes, labels, 0, offsets, 0);
      for (int p = 0; p < labels.length; p++) {
        int box = owner[p];
        assertEquals(box < 0 ? 0 : 1 + boxes.label(box), labels[p], "prior " + p + " of image " + image);
        Arrays.fill(want, 0);
        if (box >= 0) SSD.encode(p, boxes.left(box), boxes.top(box), boxes.right(box), boxes.bottom(box), want, 0);
        assertArrayEquals(want, Arrays.copyOfRange(offsets, 4 * p, 4 * p + 4));
        if (box >= 0) positives++;
      }
    }
    assertTrue(positives > 300, positives + " priors were matched");
  }

  private static Boxes random(int count, Random random) {
    Boxes boxes = new Boxes().clear(300, 400);
    for (int i = 0; i < count; i++) {
      float left = random.nextFloat() * 0.8f, top = random.nextFloat() * 0.8f;
      boxes.add(random.nextInt(20), random.nextInt(5) == 0, left, top, left + 0.02f + random.nextFloat() * (0.98f - left),
          top + 0.02f + random.nextFloat() * (0.98f - top));
    }
    return boxes;
  }

  /** Overlaps of each box with each prior; null for difficult boxes. */
  private static double[][] table(Boxes boxes) {
    double[][] table = new double[boxes.count()][];
    for (int b = 0; b < table.length; b++) {
      if (boxes.difficult(b)) continue;
      table[b] = new double[SSD.count()];
      for (int p = 0; p < SSD.count(); p++) {
        double x = Math.max(0, Math.min(boxes.right(b), SSD.right(p)) - (double) Math.max(boxes.left(b), SSD.left(p)));
        double y = Math.max(0, Math.min(boxes.bottom(b), SSD.bottom(p)) - (double) Math.max(boxes.top(b), SSD.top(p)));
        double both = ((double) boxes.right(b) - boxes.left(b)) * ((double) boxes.bottom(b) - boxes.top(b)) + (double) SSD.width(p) * SSD.height(p);
        table[b][p] = x * y / (both - x * y);
      }
    }
    return table;
  }

  private static boolean decides(double[][] table) {
    for (double[] row : table) {
      if (row == null) continue;
      double[] sorted = row.clone();
      Arrays.sort(sorted);
      if (sorted[sorted.length - 1] - sorted[sorted.length - 2] < 1e-5 || Arrays.stream(row).anyMatch(overlap -> Math.abs(overlap - 0.5) < 1e-6)) return false;
    }
    return true;
  }

  private static int[] owners(double[][] table) {
    int[] owner = new int[SSD.count()];
    for (int p = 0; p < owner.length; p++) {
      owner[p] = -1;
      for (int b = 0; b < table.length; b++) {
        if (table[b] != null && table[b][p] > 0.5 && (owner[p] < 0 || table[b][p] > table[owner[p]][p])) owner[p] = b;
      }
    }
    for (int b = 0; b < table.length; b++) {
      if (table[b] == null) continue;
      double most = Arrays.stream(table[b]).max().orElseThrow();
      for (int p = 0; p < owner.length; p++) if (table[b][p] == most) owner[p] = b;
    }
    return owner;
  }

  @Test
  void anOverlapThatNothingOrEverythingReachesIsRefused() {
    assertThrows(IllegalArgumentException.class, () -> new Matching(SSD, 0));
    assertThrows(IllegalArgumentException.class, () -> new Matching(SSD, 1.5));
  }
}
