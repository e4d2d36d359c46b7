package onebit.binarize;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import onebit.ops.Surrogate;
import org.junit.jupiter.api.Test;

class CurveTest {
  private static final DoubleUnaryOperator BELL = Surrogate.tanhSlope(1, 1.5);

  @Test
  void aSmoothSlopeIsMetWithinItsBend() {
    Curve curve = Curve.of(BELL, -4, 4);
    double h = 8.0 / Curve.PIECES, bend = 2 * 1.5 * 1.5 * 1.5, error = 0;   // the largest second derivative of k t / cosh^2(t u) is 2 k t^3, at 0
    Random random = new Random(3);
    for (int i = 0; i < 20_000; i++) {
      float u = (float) random.nextDouble(-4, 4);
      error = Math.max(error, Math.abs(curve.slope(u) - BELL.applyAsDouble(u)));
    }
    assertEquals(h * h / 8 * bend, error, 0.1 * h * h / 8 * bend + 1e-7, "straight lines between points h apart are off by h^2 / 8 |f''| where f bends most");
  }

  @Test
  void pointsHaveTheirValuesAndEndsGoOn() {
    Curve curve = Curve.of(u -> u * u + 1, -1, 2, 3);
    for (float[] pair : new float[][] {{-1, 2}, {0, 1}, {1, 2}, {2, 5}, {0.5f, 1.5f}, {-0.25f, 1.25f}, {-0f, 1}}) assertEquals(pair[1], curve.slope(pair[0]), "at " + pair[0]);
    for (float low : new float[] {-1.1f, -1e30f, Float.NEGATIVE_INFINITY, Float.NaN}) assertEquals(2, curve.slope(low), "at " + low);
    for (float high : new float[] {2.1f, 1e30f, Float.POSITIVE_INFINITY}) assertEquals(5, curve.slope(high), "at " + high);
    assertEquals(0.3f, curve.level(0.3f));
  }

  @Test
  void curvesAreEqualByWhatTheySay() {
    Curve curve = Curve.of(BELL, -3, 3, 9);
    assertEquals(curve, Curve.of(BELL, -3, 3, 9));
    assertEquals(curve.hashCode(), Curve.of(BELL, -3, 3, 9).hashCode());
    assertNotEquals(curve, Curve.of(BELL, -3, 3, 10));
    assertNotEquals(curve, Curve.of(BELL, -3, 4, 9));
    assertNotEquals(Curve.of(u -> 1, -2, 3, 9), Curve.of(u -> 1, -3, 3, 9));
    assertNotEquals(curve, new Binarizer.Identity());
    assertEquals("Curve[9 pieces from -3.0 to 3.0]", curve.toString());
  }

  @Test
  void whatIsNoCurveIsRefusedInWords() {
    record Case(String words, DoubleUnaryOperator slope, float from, float to, int pieces) {}
    for (Case c : new Case[] {
        new Case("Curve: from must be below to, both finite; got 1.0 and 1.0", BELL, 1, 1, 4),
        new Case("Curve: from must be below to, both finite; got -Infinity and 1.0", BELL, Float.NEGATIVE_INFINITY, 1, 4),
        new Case("Curve: from must be below to, both finite; got NaN and 1.0", BELL, Float.NaN, 1, 4),
        new Case("Curve: pieces must be 1 to 65536, got 0", BELL, 0, 1, 0),
        new Case("Curve: pieces must be 1 to 65536, got 65537", BELL, 0, 1, 65_537),
        new Case("Curve: the slope at 0.5 is Infinity; it must be finite", u -> 1 / (u - 0.5), 0, 1, 2),
        new Case("Curve: the slope at -2.0 is NaN; it must be finite", Math::log1p, -2, 1, 1),
        new Case("Curve: no 9 pieces fit between 0.0 and 1.4E-45", u -> 1, 0, Float.MIN_VALUE, 9)}) {
      assertEquals(c.words, assertThrows(IllegalArgumentException.class, () -> Curve.of(c.slope, c.from, c.to, c.pieces)).getMessage());
    }
  }
}
