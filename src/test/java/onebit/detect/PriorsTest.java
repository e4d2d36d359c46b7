package onebit.detect;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import java.util.Random;
import onebit.detect.Priors.Level;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PriorsTest {
  private static final Priors SSD = Priors.ssd300();

  @Test
  void theMapsOfSsd300HaveAsManyPriorsAsThePaperSays() {
    assertEquals(List.of(5776, 2166, 600, 150, 36, 4), SSD.levels().stream().map(Level::count).toList());
    assertEquals(List.of(4, 6, 6, 6, 4, 4), SSD.levels().stream().map(Level::kinds).toList());
    assertEquals(8732, SSD.count());
  }

  /**
   * By hand: the centre is (position + 1/2) step / 300; extents are least / 300 = s, sqrt(s most / 300), and s times and divided by the ratio's root.
   * The second map begins at 5776, the fourth at 8542, the last at 8728.
   */
  @ParameterizedTest
  @CsvSource({
      "0, 0.013333333, 0.013333333, 0.1, 0.1", "1, 0.013333333, 0.013333333, 0.141421356, 0.141421356", "2, 0.013333333, 0.013333333, 0.141421356, 0.070710678",
      "3, 0.013333333, 0.013333333, 0.070710678, 0.141421356", "4, 0.04, 0.013333333, 0.1, 0.1", "152, 0.013333333, 0.04, 0.1, 0.1",
      "5775, 1, 1, 0.070710678, 0.141421356", "5776, 0.026666667, 0.026666667, 0.2, 0.2", "6146, 0.24, 0.186666667, 0.346410162, 0.115470054",
      "6147, 0.24, 0.186666667, 0.115470054, 0.346410162", "8543, 0.106666667, 0.106666667, 0.619193023, 0.619193023", "8728, 0.5, 0.5, 0.88, 0.88",
      "8729, 0.5, 0.5, 0.961249187, 0.961249187", "8730, 0.5, 0.5, 1, 0.622253967", "8731, 0.5, 0.5, 0.622253967, 1"})
  void priorsLieWhereTheFormulaPutsThem(int prior, double x, double y, double width, double height) {
    assertEquals(x, SSD.centreX(prior), 1e-6);
    assertEquals(y, SSD.centreY(prior), 1e-6);
    assertEquals(width, SSD.width(prior), 1e-6);
    assertEquals(height, SSD.height(prior), 1e-6);
    assertEquals(x - width / 2, SSD.left(prior), 1e-6);
    assertEquals(y - height / 2, SSD.top(prior), 1e-6);
    assertEquals(x + width / 2, SSD.right(prior), 1e-6);
    assertEquals(y + height / 2, SSD.bottom(prior), 1e-6);
  }

  @Test
  void centresAndExtentsAreCutAtTheWholeImage() {
    for (int i = 0; i < SSD.count(); i++) {
      for (float value : new float[] {SSD.centreX(i), SSD.centreY(i), SSD.width(i), SSD.height(i)}) assertEquals(value, Math.clamp(value, 0.01f, 1f));
    }
  }

  /** A prior of 0.1 x 0.1 at 0.0133: one tenth of the extent to the right is 1, e times as wide is 1 / 0.2. */
  @Test
  void offsetsAreInTenthsOfTheExtentAndFifthsOfTheLogarithm() {
    float[] offsets = new float[6];
    float x = SSD.centreX(0) + 0.01f, y = SSD.centreY(0) - 0.02f, halfWidth = (float) (0.05 * Math.E), halfHeight = 0.025f;
    SSD.encode(0, x - halfWidth, y - halfHeight, x + halfWidth, y + halfHeight, offsets, 1);
    assertArrayEquals(new float[] {0, 1, -2, 5, (float) (5 * Math.log(0.5)), 0}, offsets, 1e-5f);
  }

  @Test
  void decodingTheOffsetsOfABoxGivesTheBox() {
    Random random = new Random(3);
    float[] offsets = new float[4], box = new float[5];
    for (int i = 0; i < 1000; i++) {
      int prior = random.nextInt(SSD.count());
      float left = random.nextFloat() * 0.9f, top = random.nextFloat() * 0.9f;
      float right = left + 0.01f + random.nextFloat() * (0.99f - left), bottom = top + 0.01f + random.nextFloat() * (0.99f - top);
      SSD.encode(prior, left, top, right, bottom, offsets, 0);
      SSD.decode(prior, offsets, 0, box, 1);
      assertArrayEquals(new float[] {0, left, top, right, bottom}, box, 1e-5f);
    }
  }

  @Test
  void aMapWithoutAPositionIsRefused() {
    assertThrows(IllegalArgumentException.class, () -> new Level(0, 8, 30, 60, List.of()));
    assertThrows(IllegalArgumentException.class, () -> new Level(3, 8, 30, 20, List.of()));
  }
}
