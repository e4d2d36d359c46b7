package onebit.tensor;

/**
 * A float with 4 bits of mantissa in 8 bits, of the form e4m3: sign, 4 bits of exponent, 3 of mantissa, no infinity.
 *
 * <pre>
 * Encoding  code S EEEE MMM: (-1)^S 2^(E - 7) 1.M, for E = 0 (-1)^S 2^-6 0.M; 0x7f and 0xff are NaN; the largest value is {@value #MAX}
 * Differs   gradients are usually e5m2: 30 binades instead of 15, an error of 0.047 instead of 0.024 of the root mean square. Scaled by its own
 *           largest value a tensor needs no room above, and what e4m3 loses below, 2^-19 of that value, is nothing beside its error
 * Source    Micikevicius et al. 2022 (arXiv 2209.05433), table 1
 * Twin      kernels/float8.cuh
 * </pre>
 */
public final class Float8 {
  public static final float MAX = 448;
  private static final int NAN = 0x7f, LARGEST = 0x7e, FINITE = 0x7f800000;

  private Float8() {}

  /** The nearest code, ties to even; values past {@value #MAX} give that, what is not finite gives NaN. */
  public static byte of(float value) {
    int bits = Float.floatToRawIntBits(value), sign = bits >>> 24 & 0x80, size = bits & 0x7fffffff;
    if (size >= FINITE) return NAN;
    if (size < Float.floatToRawIntBits(0x1p-6f)) return (byte) (sign | (int) Math.rint(Float.intBitsToFloat(size) * 0x1p9f));
    return (byte) (sign | Math.min(LARGEST, (size + 0x7ffff + (size >>> 20 & 1) >>> 20) - (120 << 3)));
  }

  public static float value(byte code) {
    if ((code & NAN) == NAN) return Float.NaN;
    return Float.intBitsToFloat((code & 0x80) << 24 | (code & 0x7f) << 20) * 0x1p120f;
  }

  /** The largest k up to 126 such that no value up to peak exceeds {@value #MAX} times 2^-k; 0 for a peak of 0 and for none that is finite. */
  public static int exponent(float peak) {
    int bits = Float.floatToRawIntBits(peak);
    if (bits == 0 || bits >= FINITE) return 0;
    return Math.min(126, 8 - (Math.max(1, bits >>> 23) - 127) - ((bits & 0x7fffff) > 0x600000 ? 1 : 0));
  }
}
