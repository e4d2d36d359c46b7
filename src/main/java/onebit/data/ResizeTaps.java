package onebit.data;

/**
 * weight(o, t) = 1 - |first(o) + t + 0.5 - (o + 0.5) scale| / max(scale, 1), each output's weights made to sum to 1: the triangle filter along
 * one axis, in fixed point.
 *
 * <pre>
 * Encoding  weights of output o are at [o * stride, o * stride + count[o]), in units of 2^-22
 * Source    Pillow, src/libImaging/Resample.c (precompute_coeffs, normalize_coeffs_8bpc)
 * </pre>
 */
final class ResizeTaps {
  static final int PRECISION_BITS = 32 - 8 - 2;

  int[] first = new int[0];
  int[] count = new int[0];
  int[] weights = new int[0];
  int stride;
  int size;
  private double[] row = new double[0];

  /** Weights of outputs [begin, begin + size) when {@code in} values become {@code out}. */
  void compute(int in, int out, int begin, int size) {
    this.size = size;
    double scale = (double) in / out;
    double support = Math.max(scale, 1);
    stride = (int) Math.ceil(support) * 2 + 1;
    if (first.length < size) {
      first = new int[size];
      count = new int[size];
    }
    if (weights.length < size * stride) weights = new int[size * stride];
    if (row.length < stride) row = new double[stride];
    for (int o = 0; o < size; o++) {
      double centre = (begin + o + 0.5) * scale;
      int low = Math.max(0, (int) (centre - support + 0.5));
      int taps = Math.min(in, (int) (centre + support + 0.5)) - low;
      double sum = 0;
      for (int t = 0; t < taps; t++) {
        row[t] = Math.max(0, 1 - Math.abs((t + low - centre + 0.5) * (1 / support)));
        sum += row[t];
      }
      for (int t = 0; t < taps; t++) {
        weights[o * stride + t] = (int) (0.5 + row[t] * (1 / sum) * (1 << PRECISION_BITS));
      }
      first[o] = low;
      count[o] = taps;
    }
  }

  /** One past the last input position that has a weight. */
  int end() {
    return first[size - 1] + count[size - 1];
  }
}
