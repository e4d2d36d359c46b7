package onebit.ops.cpu;

import onebit.ops.ConvGeometry;
import onebit.tensor.BitTensor;

/**
 * Patch rows of packed images: R*S*C bits per output pixel without gaps, outside taps 0, and the number of ones in each.
 *
 * <p>First the S taps of each output column are joined for every image row (a strip), then R strips for each output pixel; a scratch of
 * one thread, reused.
 */
final class BitPatches {
  private long[] strips = new long[0];
  private int[] stripOnes = new int[0];
  long[] rows = new long[0];
  int[] ones = new int[0];
  int[] counts = new int[0];

  /** Joins the S taps of every output column for the image rows that output rows [p0, p1) read. */
  void strips(long[] x, int image, int p0, int p1, ConvGeometry g) {
    int first = Math.max(0, p0 * g.stride() - g.pad());
    int last = Math.min(g.h() - 1, (p1 - 1) * g.stride() - g.pad() + (g.r() - 1) * g.dilation());
    int segment = g.s() * g.c(), words = BitTensor.words(segment), pixelWords = BitTensor.words(g.c());
    if (strips.length < g.h() * g.q() * words) strips = new long[g.h() * g.q() * words];
    if (stripOnes.length < g.h() * g.q()) stripOnes = new int[g.h() * g.q()];
    for (int h = first; h <= last; h++) {
      int row = (image * g.h() + h) * g.w();
      for (int q = 0; q < g.q(); q++) {
        int at = (h * g.q() + q) * words;
        for (int k = 0; k < words; k++) strips[at + k] = 0;
        for (int s = 0; s < g.s(); s++) {
          int w = q * g.stride() - g.pad() + s * g.dilation();
          if (w >= 0 && w < g.w()) append(strips, at, s * g.c(), x, (row + w) * pixelWords, g.c());
        }
        int sum = 0;
        for (int k = 0; k < words; k++) sum += Long.bitCount(strips[at + k]);
        stripOnes[h * g.q() + q] = sum;
      }
    }
  }

  /** Patch rows of the output pixels [from, to) of the image whose strips were joined. */
  void patches(int from, int to, ConvGeometry g) {
    int segment = g.s() * g.c(), stripWords = BitTensor.words(segment), words = BitTensor.words(g.taps());
    java.util.Arrays.fill(rows, 0, (to - from) * words, 0);
    for (int pixel = from; pixel < to; pixel++) {
      int p = pixel / g.q(), q = pixel % g.q(), sum = 0;
      for (int r = 0; r < g.r(); r++) {
        int h = p * g.stride() - g.pad() + r * g.dilation();
        if (h < 0 || h >= g.h()) continue;
        append(rows, (pixel - from) * words, r * segment, strips, (h * g.q() + q) * stripWords, segment);
        sum += stripOnes[h * g.q() + q];
      }
      ones[pixel - from] = sum;
    }
  }

  /** Makes room for so many patch rows and counts. */
  void room(int pixels, int words, int filters) {
    if (rows.length < pixels * words) rows = new long[pixels * words];
    if (ones.length < pixels) ones = new int[pixels];
    if (counts.length < pixels * filters) counts = new int[pixels * filters];
  }

  /** Ors count bits, whose last word ends in zeros, into a row from the given bit. */
  private static void append(long[] to, int row, int bit, long[] from, int fromWord, int count) {
    int word = row + (bit >>> 6), shift = bit & 63, words = (count + 63) >>> 6;
    if (shift == 0) {
      for (int k = 0; k < words; k++) to[word + k] |= from[fromWord + k];
      return;
    }
    int end = row + ((bit + count + 63) >>> 6);
    for (int k = 0; k < words; k++) {
      long bits = from[fromWord + k];
      to[word + k] |= bits << shift;
      if (word + k + 1 < end) to[word + k + 1] |= bits >>> (64 - shift);
    }
  }
}
