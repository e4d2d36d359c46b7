package onebit.ops.cpu;

import java.util.Arrays;
import onebit.ops.ConvGeometry;
import onebit.tensor.BitTensor;

/**
 * Rows of words for {@link XnorKernel}: where each row begins and which constants it takes; a scratch of one thread, reused.
 *
 * <p>The patches of a convolution are not copied together. Where channels fill whole words, the image rows are copied with a border of 0
 * and a patch is read from them in place; else the S taps of each output column are joined first (a strip, from a new word), and a patch
 * is R strips. Either way the words of a patch lie at the same offsets from its first.
 */
final class BitTile {
  private long[] image = new long[0];
  private int[] pixelOnes = new int[0], stripOnes = new int[0];
  private int firstPixel;
  /** Row m is words[row[m] + offset of word k], takes the constants from kind[m], and its signs add up to sumX[m]. */
  long[] words;
  int[] row = new int[0], kind = new int[0];
  float[] sumX = new float[0];
  /** The rows side by side from gathered[begin]. */
  long[] gathered = new long[0];
  int begin;
  private long[] copy = new long[0];
  private boolean threeStrips, sideBySide;
  /** Room of one thread for what a kernel does not write in place. */
  int[] counts = new int[0];
  float[] products = new float[0];

  /** Words of one patch row. */
  static int words(ConvGeometry g) {
    return g.r() * BitTensor.words(g.s() * g.c());
  }

  /** Whether patches are read from the bordered image itself. */
  private static boolean inPlace(ConvGeometry g) {
    return (g.c() & 63) == 0;
  }

  /** Where word k of a patch lies, from its first. */
  static void offsets(int[] to, ConvGeometry g) {
    int pixelWords = BitTensor.words(g.c()), strip = BitTensor.words(g.s() * g.c()), line = (g.w() + 2 * g.pad()) * pixelWords;
    for (int r = 0, k = 0; r < g.r(); r++) {
      if (inPlace(g)) {
        for (int s = 0; s < g.s(); s++) {
          for (int i = 0; i < pixelWords; i++) to[k++] = r * g.dilation() * line + s * g.dilation() * pixelWords + i;
        }
      } else {
        for (int i = 0; i < strip; i++) to[k++] = r * g.dilation() * g.q() * strip + i;
      }
    }
  }

  /** The filters with each of their R strips from a new word. */
  static void alignFilters(long[] to, BitTensor w, ConvGeometry g) {
    int segment = g.s() * g.c(), words = BitTensor.words(segment);
    for (int n = 0; n < g.o(); n++) {
      for (int r = 0; r < g.r(); r++) {
        for (int k = 0; k < words; k++) {
          int count = Math.min(64, segment - 64 * k);
          to[(n * g.r() + r) * words + k] = bits(w.longs(), n * w.words(), r * segment + 64 * k, count);
        }
      }
    }
  }

  /** Count bits of a row from the given bit. */
  static long bits(long[] words, int row, int bit, int count) {
    int shift = bit & 63, word = row + (bit >>> 6);
    long value = words[word] >>> shift;
    if (shift + count > 64) value |= words[word + 1] << (64 - shift);
    return count == 64 ? value : value & (1L << count) - 1;
  }

  /** Takes the image rows that output rows [p0, p1) read, and counts their ones if asked. */
  void load(long[] x, int n, int p0, int p1, ConvGeometry g, boolean count) {
    int q = g.q(), pixelWords = BitTensor.words(g.c()), strip = BitTensor.words(g.s() * g.c());
    int lineWords = inPlace(g) ? (g.w() + 2 * g.pad()) * pixelWords : q * strip;
    int first = p0 * g.stride() - g.pad(), rowCount = (p1 - 1 - p0) * g.stride() + (g.r() - 1) * g.dilation() + 1;
    firstPixel = p0 * q;
    if (image.length < rowCount * lineWords) image = new long[rowCount * lineWords];
    if (count && stripOnes.length < rowCount * q) stripOnes = new int[rowCount * q];
    for (int i = 0; i < rowCount; i++) {
      int h = first + i, at = i * lineWords, from = (n * g.h() + h) * g.w() * pixelWords;
      if (h < 0 || h >= g.h()) {
        Arrays.fill(image, at, at + lineWords, 0);
        if (count) Arrays.fill(stripOnes, i * q, (i + 1) * q, 0);
      } else if (inPlace(g)) {
        int edge = g.pad() * pixelWords, inner = g.w() * pixelWords;
        Arrays.fill(image, at, at + edge, 0);
        System.arraycopy(x, from, image, at + edge, inner);
        Arrays.fill(image, at + edge + inner, at + lineWords, 0);
        if (count) countTaps(at, i * q, pixelWords, q, g);
      } else {
        joinTaps(at, strip, x, from, pixelWords, q, g);
        if (count) countStrips(at, i * q, strip, q);
      }
    }
    words = image;
    threeStrips = g.r() == 3 && (g.dilation() == 1 || !inPlace(g));
    sideBySide = false;
  }

  /** Whether a row is three strips of words side by side, all strips equally long. */
  boolean isOfThreeStrips() {
    return threeStrips;
  }

  /** Puts the words of the rows side by side, unless they are already. */
  void gather(int rows, FilterTables table) {
    int width = table.words();
    if (sideBySide) {
      gathered = words;
      begin = row[0];
      return;
    }
    if (copy.length < rows * width) copy = new long[rows * width];
    int strip = threeStrips ? width / 3 : 1;
    for (int m = 0; m < rows; m++) {
      for (int k = 0; k < width; k += strip) copyWords(copy, m * width + k, words, row[m] + table.offsets[k], strip);
    }
    gathered = copy;
    begin = 0;
  }

  private void joinTaps(int at, int strip, long[] x, int from, int pixelWords, int columns, ConvGeometry g) {
    int c = g.c(), reach = (g.s() - 1) * g.dilation();
    for (int q = 0; q < columns; q++, at += strip) {
      int w0 = q * g.stride() - g.pad();
      if (strip == 1 && w0 >= 0 && w0 + reach < g.w()) {
        long joined = 0;
        for (int s = 0; s < g.s(); s++) joined |= x[from + w0 + s * g.dilation()] << s * c;
        image[at] = joined;
        continue;
      }
      for (int k = 0; k < strip; k++) image[at + k] = 0;
      for (int s = 0; s < g.s(); s++) {
        int w = w0 + s * g.dilation();
        if (w >= 0 && w < g.w()) append(image, at, s * c, x, from + w * pixelWords, c);
      }
    }
  }

  /** Ors count bits, whose last word ends in zeros, into a row from the given bit. */
  private static void append(long[] to, int row, int bit, long[] from, int fromWord, int count) {
    int word = row + (bit >>> 6), shift = bit & 63, words = (count + 63) >>> 6, end = row + ((bit + count + 63) >>> 6);
    for (int k = 0; k < words; k++) {
      long bits = from[fromWord + k];
      to[word + k] |= bits << shift;
      if (shift != 0 && word + k + 1 < end) to[word + k + 1] |= bits >>> (64 - shift);
    }
  }

  private void countStrips(int at, int to, int strip, int columns) {
    for (int q = 0; q < columns; q++) stripOnes[to + q] = ones(image, at + q * strip, strip);
  }

  private void countTaps(int at, int to, int pixelWords, int columns, ConvGeometry g) {
    int width = g.w() + 2 * g.pad();
    if (pixelOnes.length < width) pixelOnes = new int[width];
    for (int w = 0; w < width; w++) pixelOnes[w] = ones(image, at + w * pixelWords, pixelWords);
    for (int q = 0; q < columns; q++) {
      int sum = 0;
      for (int s = 0; s < g.s(); s++) sum += pixelOnes[q * g.stride() + s * g.dilation()];
      stripOnes[to + q] = sum;
    }
  }

  static int ones(long[] words, int from, int count) {
    int sum = 0;
    for (int k = 0; k < count; k++) sum += Long.bitCount(words[from + k]);
    return sum;
  }

  private static void copyWords(long[] to, int at, long[] from, int first, int count) {
    for (int k = 0; k < count; k++) to[at + k] = from[first + k];
  }

  /** Rows for the output pixels [from, to) of the image whose rows were loaded. */
  void patches(int from, int to, ConvGeometry g, FilterTables tables) {
    int columns = g.q(), pixelWords = BitTensor.words(g.c()), strip = BitTensor.words(g.s() * g.c()), first = firstPixel / columns;
    int line = g.stride() * (inPlace(g) ? (g.w() + 2 * g.pad()) * pixelWords : columns * strip), step = inPlace(g) ? g.stride() * pixelWords : strip;
    room(to - from);
    for (int pixel = from, m = 0, p = from / columns, q = from % columns; pixel < to; pixel++, m++) {
      int class0 = tables.kind(p, q);
      row[m] = (p - first) * line + q * step;
      kind[m] = class0 * tables.padded();
      if (tables.countsOnes()) {
        int ones = 0;
        for (int r = 0; r < g.r(); r++) ones += stripOnes[((p - first) * g.stride() + r * g.dilation()) * columns + q];
        sumX[m] = 2 * ones - tables.valid(class0);
      }
      if (++q == columns) {
        q = 0;
        p++;
      }
    }
    if (!tables.countsOnes()) Arrays.fill(sumX, 0, to - from, 0);
  }

  /** Rows [from, to) of bits as they lie, all of the first class. */
  void rows(long[] bits, int from, int to, int rowWords, FilterTables tables) {
    words = bits;
    threeStrips = false;
    sideBySide = true;
    room(to - from);
    for (int m = 0; m < to - from; m++) {
      row[m] = (from + m) * rowWords;
      kind[m] = 0;
      sumX[m] = tables.countsOnes() ? 2 * ones(bits, row[m], rowWords) - tables.valid(0) : 0;
    }
  }

  /** Repeats the last row until there are as many as a kernel takes at least. */
  void repeatLast(int rows) {
    sideBySide &= rows >= XnorKernel.ROWS;
    for (int m = rows; m < XnorKernel.ROWS; m++) {
      row[m] = row[rows - 1];
      kind[m] = kind[rows - 1];
      sumX[m] = sumX[rows - 1];
    }
  }

  void roomForCounts(int size) {
    if (counts.length < size) counts = new int[size];
  }

  private void room(int rows) {
    if (row.length >= rows) return;
    int size = Math.max(XnorKernel.ROWS, rows);
    row = new int[size];
    kind = new int[size];
    sumX = new float[size];
  }
}
