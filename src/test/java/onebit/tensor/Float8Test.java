package onebit.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;

/** Conversions to and from float8 against the format's definition and a search through all codes. */
class Float8Test {
  /** What a code below 0x7f holds. */
  private static double held(int code) {
    return code < 8 ? Math.scalb((double) code, -9) : Math.scalb(8.0 + code % 8, code / 8 - 10);
  }

  private static int nearest(float v) {
    if (!Float.isFinite(v)) return 0x7f;
    int best = 0;
    for (int code = 1; code < 0x7f; code++) {
      double here = Math.abs(Math.abs(v) - held(code)), before = Math.abs(Math.abs(v) - held(best));
      if (here < before || here == before && code % 2 == 0) best = code;
    }
    return best | (Float.floatToRawIntBits(v) < 0 ? 0x80 : 0);
  }

  private static void requireNearest(float v) {
    for (float each : new float[] {v, -v, Math.nextUp(v), Math.nextDown(v)}) assertEquals(nearest(each), Float8.of(each) & 0xff, "the code of " + each);
  }

  @Test
  void everyCodeHoldsWhatItsBitsSayAndGoesToItself() {
    for (int code = 0; code < 0x7f; code++) {
      assertEquals(held(code), Float8.value((byte) code));
      assertEquals(-held(code), Float8.value((byte) (code | 0x80)));
      for (int signed : new int[] {code, code | 0x80}) assertEquals(signed, Float8.of(Float8.value((byte) signed)) & 0xff);
    }
    assertEquals(Float8.MAX, Float8.value((byte) 0x7e));
    assertTrue(Float.isNaN(Float8.value((byte) 0x7f)) && Float.isNaN(Float8.value((byte) 0xff)));
    assertEquals(1 / Float.NEGATIVE_INFINITY, Float8.value((byte) 0x80));
  }

  @Test
  void everyValueGivesTheNearestCodeAndTiesTheEvenOne() {
    for (int code = 0; code < 0x7e; code++) {
      requireNearest((float) held(code));
      requireNearest((float) ((held(code) + held(code + 1)) / 2));
    }
    for (float v : new float[] {0, Float.MIN_VALUE, Float.MIN_NORMAL, 448, 464, 479.9f, 480, 1e10f, Float.MAX_VALUE, Float.NaN, Float.POSITIVE_INFINITY}) requireNearest(v);
    Random random = new Random(8);
    for (int i = 0; i < 20_000; i++) requireNearest(Float.intBitsToFloat(random.nextInt()));
    for (int i = 0; i < 20_000; i++) requireNearest((float) (random.nextGaussian() * Math.pow(2, random.nextInt(-12, 10))));
  }

  @Test
  void theExponentBringsTheLargestValueJustUnderTheLargestCode() {
    for (float peak : new float[] {1, 1.75f, 1.7500001f, 1.999f, 2, 3.4f, 448, 449, 1e-20f, 1e30f, Float.MAX_VALUE, 1e-35f}) {
      int k = Float8.exponent(peak);
      assertTrue(Math.scalb((double) peak, k) <= 448 && Math.scalb((double) peak, k + 1) > 448, peak + " with " + k);
    }
    for (float none : new float[] {0, Float.NaN, Float.POSITIVE_INFINITY}) assertEquals(0, Float8.exponent(none));
    for (float small : new float[] {Float.MIN_VALUE, Float.MIN_NORMAL, 1e-36f}) assertEquals(126, Float8.exponent(small));
  }

  /** What the comment of Float8 says of both forms: mantissas of 3 and 2 bits over numbers spread evenly in a binade. */
  @Test
  void theErrorOfRoundingIsThatOfThreeBitsOfMantissa() {
    double off = 0, all = 0;
    Random random = new Random(9);
    for (int i = 0; i < 100_000; i++) {
      float v = (float) random.nextGaussian();
      off += Math.pow(Float8.value(Float8.of(v * 64)) / 64 - v, 2);
      all += v * v;
    }
    assertEquals(0.026, Math.sqrt(off / all), 0.003);
  }
}
