package onebit.ops.cpu;

import onebit.ops.ConvGeometry;
import onebit.ops.Padding;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;

/**
 * What one binary convolution adds per filter and border class to the counts of differing bits.
 *
 * <p>A border class is the range of filter rows and columns that lie inside the image; outside taps are bit 0 in the patch, so they
 * differ exactly where the filter has a 1, and that count is known per class and filter.
 *
 * <pre>
 * Source  y = dx dw dot + dx cw sum(bx) + cx dw sum(bw) + cx cw V + offset, dot = V - 2 (differences - outside ones)
 * </pre>
 */
final class FilterTables {
  private int padded, words, columnClasses;
  private int[] rowClass = new int[0], columnClass = new int[0], rowRanges = new int[0], columnRanges = new int[0];
  /** By class: valid taps times channels. */
  private int[] valid = new int[0];
  /** Where word k of a patch lies from its first. */
  int[] offsets = new int[0];
  /** By class and filter, filters rounded up to the kernel's: V + 2 outside ones, and what does not depend on the pixel. */
  float[] dotBase = new float[0], rest = new float[0];
  /** By filter: dx dw and dx cw. */
  float[] dotScale = new float[0], onesScale = new float[0];
  private int[] tapOnes = new int[0];
  private boolean countsOnes;

  /** The constants of a product of two sign matrices. */
  void fillProduct(int bits, int words, int paddedFilters) {
    room(paddedFilters, 1, words);
    for (int k = 0; k < words; k++) offsets[k] = k;
    for (int n = 0; n < padded; n++) {
      dotBase[n] = bits;
      rest[n] = 0;
      dotScale[n] = 1;
      onesScale[n] = 0;
    }
    countsOnes = false;
  }

  /** The constants of a convolution; words of a patch lie as {@link BitTile} reads them, or side by side when the image itself is the matrix. */
  void fill(BitTensor w, BinarySet xSet, BinarySet wSet, ConvGeometry g, Padding padding, float offset, int paddedFilters, boolean matrix) {
    int filters = g.o();
    boolean zero = padding == Padding.ZERO;
    rowRanges = grown(rowRanges, 2 * g.p());
    columnRanges = grown(columnRanges, 2 * g.q());
    rowClass = grown(rowClass, g.p());
    columnClass = grown(columnClass, g.q());
    int rowClasses = classes(rowClass, rowRanges, g.p(), g.h(), g.r(), g, zero);
    columnClasses = classes(columnClass, columnRanges, g.q(), g.w(), g.s(), g, zero);
    valid = grown(valid, rowClasses * columnClasses);
    tapOnes = grown(tapOnes, g.r() * g.s());
    room(paddedFilters, rowClasses * columnClasses, BitTile.words(g));
    if (matrix) for (int k = 0; k < w.words(); k++) offsets[k] = k;
    else BitTile.offsets(offsets, g);
    float cx = xSet.centre().floats()[0], dx = xSet.distance().floats()[0];
    float[] cws = wSet.centre().floats(), dws = wSet.distance().floats();
    countsOnes = false;
    for (int n = 0; n < filters; n++) {
      float cw = cws[wSet.count() == 1 ? 0 : n], dw = dws[wSet.count() == 1 ? 0 : n];
      dotScale[n] = dx * dw;
      onesScale[n] = dx * cw;
      countsOnes |= onesScale[n] != 0;
      int all = 0;
      for (int tap = 0; tap < g.r() * g.s(); tap++) all += tapOnes[tap] = ones(w.longs(), n * w.words(), tap * g.c(), g.c());
      for (int i = 0; i < rowClasses; i++) {
        for (int j = 0; j < columnClasses; j++) {
          int inside = 0, rows = rowRanges[2 * i + 1] - rowRanges[2 * i], columns = columnRanges[2 * j + 1] - columnRanges[2 * j];
          for (int r = rowRanges[2 * i]; r < rowRanges[2 * i + 1]; r++) {
            for (int s = columnRanges[2 * j]; s < columnRanges[2 * j + 1]; s++) inside += tapOnes[r * g.s() + s];
          }
          int kind = i * columnClasses + j, v = rows * columns * g.c();
          valid[kind] = v;
          dotBase[kind * padded + n] = v + 2 * (all - inside);
          rest[kind * padded + n] = cx * dw * (2 * inside - v) + cx * cw * v + offset;
        }
      }
    }
  }

  /** Whether the ones of the patches matter: a filter has a centre other than 0. */
  boolean countsOnes() {
    return countsOnes;
  }

  /** Filters rounded up to the kernel's: the constants of one class. */
  int padded() {
    return padded;
  }

  /** Words of one row. */
  int words() {
    return words;
  }

  /** The class of an output pixel. */
  int kind(int p, int q) {
    return rowClass[p] * columnClasses + columnClass[q];
  }

  /** Valid taps times channels of a class. */
  int valid(int kind) {
    return valid[kind];
  }

  private void room(int paddedFilters, int classes, int rowWords) {
    padded = paddedFilters;
    words = rowWords;
    offsets = grown(offsets, words);
    if (dotBase.length < classes * padded) {
      dotBase = new float[classes * padded];
      rest = new float[classes * padded];
    }
    if (dotScale.length < padded) {
      dotScale = new float[padded];
      onesScale = new float[padded];
    }
  }

  /** The class of each output position, and the range of taps inside the image of each class; returns their number. */
  private static int classes(int[] of, int[] ranges, int positions, int extent, int taps, ConvGeometry g, boolean zero) {
    int count = 0;
    for (int p = 0; p < positions; p++) {
      int from = 0, to = taps, origin = p * g.stride() - g.pad();
      if (zero) {
        while (from < taps && origin + from * g.dilation() < 0) from++;
        while (to > from && origin + (to - 1) * g.dilation() >= extent) to--;
      }
      int found = 0;
      while (found < count && (ranges[2 * found] != from || ranges[2 * found + 1] != to)) found++;
      if (found == count) {
        ranges[2 * count] = from;
        ranges[2 * count + 1] = to;
        count++;
      }
      of[p] = found;
    }
    return count;
  }

  /** Ones among count bits of a row from the given bit. */
  private static int ones(long[] words, int row, int bit, int count) {
    int sum = 0;
    for (int i = 0; i < count; i += 64) sum += Long.bitCount(BitTile.bits(words, row, bit + i, Math.min(64, count - i)));
    return sum;
  }

  private static int[] grown(int[] array, int length) {
    return array.length < length ? new int[length] : array;
  }
}
