package onebit.tensor;

/** A float with 8 bits of mantissa, in 16 bits: the upper half of a float32. */
public final class Bfloat16 {
  private static final short NAN = 0x7fff;

  private Bfloat16() {}

  /** The nearest bfloat16, ties to even; NaN gives 0x7fff, as the device's conversion does. */
  public static short of(float value) {
    if (Float.isNaN(value)) return NAN;
    int bits = Float.floatToRawIntBits(value);
    return (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
  }

  public static float value(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  /** The value that a bfloat16 holds in the place of this one. */
  public static float round(float value) {
    return value(of(value));
  }
}
