package onebit.binarize;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Map;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import onebit.ops.Surrogate;
import org.junit.jupiter.api.Test;

class SurrogatesTest {
  private static void assertSlope(DoubleUnaryOperator want, Binarizer f, double scale) {
    Random random = new Random(1);
    for (int i = 0; i < 2000; i++) {
      float u = (float) (scale * random.nextGaussian());
      assertEquals(want.applyAsDouble(u), f.slope(u), 1e-4 * (1 + Math.abs(want.applyAsDouble(0))), f + " at " + u);
    }
  }

  @Test
  void everySlopeIsThatOfItsFormula() {
    assertSlope(u -> 1, new Binarizer.Identity(), 3);
    assertSlope(Surrogate::polynomialSlope, new Binarizer.Polynomial(), 1);
    for (double clip : new double[] {0.5, 1, 1.3}) assertSlope(u -> Math.abs(u) <= (float) clip ? 1 : 0, new Binarizer.Clipped((float) clip), 1);
    assertSlope(u -> u < -1 || u > 1 ? 0 : u < 0 ? 2 + 2 * u : 2 - 2 * u, new BmxNet.ApproxSign(1), 1);
    for (double t : new double[] {0.001, 0.1, 1, 9.7}) assertSlope(Surrogate.tanhSlope(Math.max(1 / t, 1), t), new AdaBin.TanhSlope((float) Math.max(1 / t, 1), (float) t), 1);
    for (double t : new double[] {0.01, 0.5, 1, 9.7}) assertSlope(Surrogate.hatSlope(Math.max(1 / t, 1), t), new Rbnn.HatSlope((float) Math.max(1 / t, 1), (float) t), 1);
    for (double omega : new double[] {1, 20}) assertSlope(u -> omega * Math.cos(omega * u), new BiPer.SineSign((float) omega), 0.3);
  }

  @Test
  void onlyTheSineHasALevelOfItsOwn() {
    for (float u : new float[] {-2, -0.1f, 0, 0.3f, 1.7f}) {
      assertEquals(u, new Binarizer.Identity().level(u));
      assertEquals(u, new Binarizer.Clipped(1).level(u));
      assertEquals(u, new Binarizer.Polynomial().level(u));
      assertEquals(u, new BmxNet.ApproxSign(1).level(u));
      assertEquals(u, new AdaBin.TanhSlope(1, 1).level(u));
      assertEquals(u, new Rbnn.HatSlope(1, 1).level(u));
      assertEquals(Math.sin(20.0 * u), new BiPer.SineSign(20).level(u), 1e-6);
    }
  }

  @Test
  void theWindowsOfTheClipAreClosedAndThoseOfThePolynomialOpen() {
    assertEquals(1, new Binarizer.Clipped(1.3f).slope(1.3f));
    assertEquals(1, new Binarizer.Clipped(1.3f).slope(-1.3f));
    assertEquals(0, new Binarizer.Clipped(1.3f).slope(Math.nextUp(1.3f)));
    assertEquals(0, new Binarizer.Polynomial().slope(1));
    assertEquals(2, new Binarizer.Polynomial().slope(0));
    assertEquals(0.5f, new BmxNet.ApproxSign(0.75f).slope(0.75f));
    assertEquals(0, new BmxNet.ApproxSign(0.75f).slope(-0.76f));
  }

  /** Rows of epoch of 120, t and k as the released scripts print them. */
  @Test
  void theSchedulesOfAdabinAndRbnnFollowTheirTables() {
    AdaBin adabin = new AdaBin(AdaBin.Form.CODE, true, false);
    double[][] rows = {{0, 0.001, 1000}, {30, 0.01, 100}, {60, 0.1, 10}, {90, 1, 1}, {119, 9.2612, 1}};
    for (double[] row : rows) {
      Map<String, Double> values = adabin.at((int) row[0], 120).values();
      assertEquals(row[1], values.get("t"), 1e-4 * row[1]);
      assertEquals(row[2], values.get("k"), 1e-4 * row[2]);
    }
    Map<String, Double> still = new AdaBin(AdaBin.Form.CODE, false, false).at(77, 400).values();
    assertEquals(0.1, still.get("t"), 1e-9);
    assertEquals(10, still.get("k"), 1e-9);
    Rbnn rbnn = new Rbnn(1, false);
    double[][] hats = {{0, 0.01, 100}, {50, 0.1, 10}, {100, 1, 1}, {125, 3.16228, 1}, {149, 9.54993, 1}};
    for (double[] row : hats) {
      Surrogates at = rbnn.at((int) row[0], 150);
      assertEquals(row[1], at.values().get("t"), 1e-4 * row[1]);
      assertEquals(row[2], at.values().get("k"), 1e-4 * row[2]);
      Rbnn.HatSlope activations = (Rbnn.HatSlope) at.activations(), weights = (Rbnn.HatSlope) at.weights();
      assertEquals(1, activations.k());
      assertEquals(Math.max(row[1], 1), activations.t(), 1e-3);
      assertEquals(row[1], weights.t(), 1e-4 * row[1]);
      assertEquals(row[2], weights.k(), 1e-4 * row[2]);
    }
    assertEquals(Map.of("omega0", 20.0), new BiPer(1, 20, 0).at(5, 600).values());
    assertEquals(new BiPer.SineSign(20), new BiPer(1, 20, 0).at(5, 600).weights());
  }

  /** The factors that methods.md lists for the layers of the published networks. */
  @Test
  void filtersFactorIntoTheRotationSizesOfTheReleasedCode() {
    int[][] pairs = {{144, 12}, {288, 16}, {576, 24}, {1152, 32}, {2304, 48}, {4608, 64}, {64, 8}, {128, 8}, {256, 16}, {7, 1}, {1, 1}};
    for (int[] pair : pairs) assertEquals(pair[1], Rbnn.largestFactor(pair[0]), "of " + pair[0]);
  }

  @Test
  void drawnRotationsAreOrthogonalAndDifferBySeed() {
    int n = 17;
    float[] r = RandomOrthogonal.draw(n, new Random(1)), other = RandomOrthogonal.draw(n, new Random(2));
    double apart = 0;
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        double dot = 0;
        for (int k = 0; k < n; k++) dot += (double) r[i * n + k] * r[j * n + k];
        assertEquals(i == j ? 1 : 0, dot, 1e-5);
        apart += Math.abs(r[i * n + j] - other[i * n + j]);
      }
    }
    assertEquals(true, apart > 1);
  }

  @Test
  void impossibleSettingsAreRefusedInWords() {
    var approximate = assertThrows(IllegalArgumentException.class, () -> new BmxNet(1.3f, true, BmxNet.Scaling.NONE));
    assertEquals("method.approxSign: needs method.clip <= 1, got 1.3 (its slope is negative beyond 1)", approximate.getMessage());
    var clip = assertThrows(IllegalArgumentException.class, () -> new Binarizer.Clipped(Float.NaN));
    assertEquals("Clipped: clip must be > 0, got NaN", clip.getMessage());
    assertThrows(IllegalArgumentException.class, () -> new BiPer.SineSign(0));
    var missing = assertThrows(IllegalArgumentException.class, () -> new Rbnn(1, false).withValues(Map.of("k", 1.0)));
    assertEquals("the schedule value t is missing; given are [k]", missing.getMessage());
    var factor = assertThrows(IllegalArgumentException.class, () -> new SignWeights(SignWeights.Scale.MEAN_ABSOLUTE, 0.5f, false, 0));
    assertEquals("SignWeights: a factor of 0.5 belongs to a fixed scale only", factor.getMessage());
  }
}
