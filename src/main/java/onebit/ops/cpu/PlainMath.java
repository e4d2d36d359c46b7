package onebit.ops.cpu;

/** Functions of values one by one, with the bits that {@link VectorMath} gives. */
final class PlainMath {
  /** Where tanh(x) is 1 or -1 in float32, of 2 x. */
  static final double MOST = 40;
  static final double LOG2_E = 1 / Math.log(2), LN_2 = Math.log(2);
  /** A number this large keeps no fraction of what is added: its last bits are the nearest whole number. */
  static final double SHIFT = 0x1.8p52;
  static final long BIAS = 1023;
  static final int MANTISSA = 52;
  /** (exp(r) - 1) / r by powers of r from the 8th on; off by 3e-11 of itself at most where |r| is at most ln(2) / 2. */
  static final double[] EXP = {1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1};

  private PlainMath() {}

  /**
   * y = tanh(x) on [from, to): e / (e + 2) with e = exp(2 x) - 1, where exp(2 x) = 2^n exp(r) with n whole and r small.
   *
   * <pre>
   * Units  within 1 ulp of the rounded double result
   * </pre>
   */
  static void tanh(float[] y, float[] x, int from, int to) {
    for (int i = from; i < to; i++) {
      double a = Math.max(Math.min(2.0 * x[i], MOST), -MOST), shifted = Math.fma(a, LOG2_E, SHIFT), r = Math.fma(shifted - SHIFT, -LN_2, a), p = EXP[0];
      for (int k = 1; k < EXP.length; k++) p = Math.fma(p, r, EXP[k]);
      double power = Double.longBitsToDouble(Double.doubleToRawLongBits(shifted) + BIAS << MANTISSA), e = Math.fma(p * r, power, power - 1);
      y[i] = (float) (e / (e + 2));
    }
  }
}
