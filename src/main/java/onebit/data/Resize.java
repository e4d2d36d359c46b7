package onebit.data;

/**
 * y = the triangle filter over x, widened by the scale when shrinking: PIL's antialiased bilinear resize, level for level.
 *
 * <p>Rows first, then columns, each rounded to a level, with weights in 22-bit fixed point. An instance keeps its tables and
 * its buffer between calls and belongs to one thread.
 *
 * <pre>
 * Shapes   source H,W,C; destination P,Q,C
 * Source   Pillow, src/libImaging/Resample.c (ImagingResample, BILINEAR, 8 bits per channel)
 * </pre>
 */
public final class Resize {
  private static final int PRECISION_BITS = 32 - 8 - 2;

  /** Weights of every output position along one axis. */
  private static final class Taps {
    int[] first = new int[0];
    int[] count = new int[0];
    int[] weights = new int[0];
    int stride;

    double[] row = new double[0];
    int size;

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
  }

  private final Taps columns = new Taps();
  private final Taps rows = new Taps();
  private byte[] between = new byte[0];

  /** Resizes a whole picture. */
  public void apply(Picture from, int outHeight, int outWidth, Picture into) {
    apply(from, 0, 0, from.height(), from.width(), outHeight, outWidth, into);
  }

  /** Cuts a box out of a picture and resizes it; pixels outside the box have no part in the result. */
  public void apply(Picture from, int top, int left, int height, int width, int outHeight, int outWidth, Picture into) {
    if (top < 0 || left < 0 || height < 1 || width < 1 || top + height > from.height() || left + width > from.width()) {
      throw new IllegalArgumentException("Resize: box " + height + "x" + width + " at (" + top + ", " + left
          + ") must lie inside the picture of " + from.height() + "x" + from.width());
    }
    rows.compute(height, outHeight, 0, outHeight);
    columns.compute(width, outWidth, 0, outWidth);
    filter(from, top, left, into);
  }

  /** The window of {@code height x width} at (top, left) of the whole picture resized; only what the window needs is computed. */
  public void window(Picture from, int outHeight, int outWidth, int top, int left, int height, int width, Picture into) {
    if (top < 0 || left < 0 || height < 1 || width < 1 || top + height > outHeight || left + width > outWidth) {
      throw new IllegalArgumentException("Resize: window " + height + "x" + width + " at (" + top + ", " + left
          + ") must lie inside the resized picture of " + outHeight + "x" + outWidth);
    }
    rows.compute(from.height(), outHeight, top, height);
    columns.compute(from.width(), outWidth, left, width);
    filter(from, 0, 0, into);
  }

  private void filter(Picture from, int top, int left, Picture into) {
    if (from == into) throw new IllegalArgumentException("Resize: source and destination must be different pictures");
    int c = from.channels();
    int outHeight = rows.size;
    int outWidth = columns.size;
    into.resize(outHeight, outWidth, c);
    int firstRow = rows.first[0];
    int lastRow = rows.first[outHeight - 1] + rows.count[outHeight - 1];
    int line = outWidth * c;
    int betweenBytes = Math.multiplyExact(lastRow - firstRow, line);
    if (between.length < betweenBytes) between = new byte[betweenBytes];
    byte[] x = from.pixels();
    for (int h = firstRow; h < lastRow; h++) {
      int row = ((top + h) * from.width() + left) * c;
      for (int q = 0; q < outWidth; q++) {
        weigh(x, row + columns.first[q] * c, c, columns, q, between, (h - firstRow) * line + q * c, c);
      }
    }
    byte[] y = into.pixels();
    for (int p = 0; p < outHeight; p++) {
      for (int q = 0; q < outWidth; q++) {
        weigh(between, (rows.first[p] - firstRow) * line + q * c, line, rows, p, y, p * line + q * c, c);
      }
    }
  }

  private static void weigh(byte[] x, int at, int step, Taps taps, int output, byte[] y, int to, int channels) {
    int[] weights = taps.weights;
    int begin = output * taps.stride;
    int end = begin + taps.count[output];
    for (int c = 0; c < channels; c++) {
      int sum = 1 << (PRECISION_BITS - 1);
      int from = at + c;
      for (int w = begin; w < end; w++, from += step) sum += (x[from] & 255) * weights[w];
      y[to + c] = (byte) Math.min(255, sum >> PRECISION_BITS);
    }
  }

  /** The longer side after the shorter one becomes {@code shortSide}, rounded down as torchvision does. */
  public static int longSide(int longer, int shorter, int shortSide) {
    return (int) ((long) shortSide * longer / shorter);
  }
}
