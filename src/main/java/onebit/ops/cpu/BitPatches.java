package onebit.ops.cpu;

import java.util.Arrays;
import onebit.ops.ConvGeometry;
import onebit.tensor.BitTensor;

/**
 * Patch rows of packed images: R strips of S*C bits, each from a new word, outside taps 0, and the number of ones in each row.
 *
 * <p>First the S taps of each output column are joined for every image row (a strip), then R strips for each output pixel; a scratch of
 * one thread, reused.
 */
final class BitPatches {
  private long[] strips = new long[0];
  private int[] stripOnes = new int[0];
  private int firstPixel;
  private boolean counted;
  long[] rows = new long[0];
  int[] ones = new int[0];
  int[] counts = new int[0];

  /** Words of one patch row. */
  static int words(ConvGeometry g) {
    return g.r() * BitTensor.words(g.s() * g.c());
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

  /** Joins the S taps of every output column for the image rows that output rows [p0, p1) read, and counts their ones if asked. */
  void strips(long[] x, int image, int p0, int p1, ConvGeometry g, boolean count) {
    int words = BitTensor.words(g.s() * g.c()), first = p0 * g.stride() - g.pad(), rowCount = (p1 - 1 - p0) * g.stride() + (g.r() - 1) * g.dilation() + 1;
    firstPixel = p0 * g.q();
    counted = count;
    if (strips.length < rowCount * g.q() * words) strips = new long[rowCount * g.q() * words];
    if (stripOnes.length < rowCount * g.q()) stripOnes = new int[rowCount * g.q()];
    for (int i = 0; i < rowCount; i++) {
      int h = first + i, at = i * g.q();
      if (h < 0 || h >= g.h()) Arrays.fill(strips, at * words, (at + g.q()) * words, 0);
      else stripRow(at * words, words, x, (image * g.h() + h) * g.w(), g);
      if (count) countOnes(at, g.q(), words);
    }
  }

  private void stripRow(int at, int words, long[] x, int row, ConvGeometry g) {
    int c = g.c(), pixelWords = BitTensor.words(c);
    for (int q = 0; q < g.q(); q++, at += words) {
      int w0 = q * g.stride() - g.pad();
      boolean inside = w0 >= 0 && w0 + (g.s() - 1) * g.dilation() < g.w();
      if (inside && words == 1) {
        long joined = 0;
        for (int s = 0; s < g.s(); s++) joined |= x[row + w0 + s * g.dilation()] << s * c;
        strips[at] = joined;
      } else if (inside && (c & 63) == 0 && g.dilation() == 1) {
        for (int k = 0, from = (row + w0) * pixelWords; k < words; k++) strips[at + k] = x[from + k];
      } else {
        for (int k = 0; k < words; k++) strips[at + k] = 0;
        for (int s = 0; s < g.s(); s++) {
          int w = w0 + s * g.dilation();
          if (w >= 0 && w < g.w()) append(strips, at, s * c, x, (row + w) * pixelWords, c);
        }
      }
    }
  }

  private void countOnes(int at, int pixels, int words) {
    for (int q = at; q < at + pixels; q++) {
      int sum = 0;
      for (int k = 0; k < words; k++) sum += Long.bitCount(strips[q * words + k]);
      stripOnes[q] = sum;
    }
  }

  /** Patch rows of the output pixels [from, to) of the image whose strips were joined. */
  void patches(int from, int to, ConvGeometry g) {
    int words = BitTensor.words(g.s() * g.c()), rowWords = g.r() * words, pixel = from;
    while (pixel < to) {
      int p = (pixel - firstPixel) / g.q(), q = (pixel - firstPixel) % g.q(), count = Math.min(to - pixel, g.q() - q);
      for (int r = 0; r < g.r(); r++) {
        int strip = (p * g.stride() + r * g.dilation()) * g.q() + q;
        place(rows, (pixel - from) * rowWords + r * words, rowWords, strips, strip * words, words, count);
        if (counted) addOnes(pixel - from, strip, count, r == 0);
      }
      pixel += count;
    }
  }

  private static void place(long[] to, int at, int step, long[] from, int strip, int words, int count) {
    if (words == 1) {
      for (int i = 0; i < count; i++) to[at + i * step] = from[strip + i];
    } else if (words == 3) {
      for (int i = 0, t = at, f = strip; i < count; i++, t += step, f += 3) {
        to[t] = from[f];
        to[t + 1] = from[f + 1];
        to[t + 2] = from[f + 2];
      }
    } else {
      for (int i = 0; i < count; i++) {
        for (int k = 0; k < words; k++) to[at + i * step + k] = from[strip + i * words + k];
      }
    }
  }

  private void addOnes(int at, int strip, int count, boolean first) {
    for (int i = 0; i < count; i++) ones[at + i] = (first ? 0 : ones[at + i]) + stripOnes[strip + i];
  }

  /** Makes room for so many patch rows and counts. */
  void room(int pixels, int words, int filters) {
    if (rows.length < pixels * words) rows = new long[pixels * words];
    if (ones.length < pixels) ones = new int[pixels];
    if (counts.length < pixels * filters) counts = new int[pixels * filters];
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
}
