package onebit.ops.cpu;

import java.util.Arrays;

/** Packed bits in plain Java: int counts over long words, which the compiler turns into vector popcounts where the processor has them. */
final class PlainXnor implements XnorKernel {
  @Override
  public int block() {
    return 256;
  }

  @Override
  public int padded(int filters) {
    return (filters + 7) & -8;
  }

  @Override
  public void products(float[] y, int to, int stride, BitTile tile, int rows, long[] panels, FilterTables table) {
    int padded = table.padded(), words = table.words();
    tile.roomForCounts(block());
    int[] counts = tile.counts, at = table.offsets;
    long[] a = tile.words;
    for (int n0 = 0; n0 < padded; n0 += block()) {
      int width = Math.min(block(), padded - n0);
      for (int m = 0; m < rows; m++) {
        int k = 0, panel = n0 * words, row = tile.row[m];
        Arrays.fill(counts, 0, width, 0);
        for (; k + 4 <= words; k += 4, panel += 4 * width) {
          fourWords(counts, panels, panel, width, a[row + at[k]], a[row + at[k + 1]], a[row + at[k + 2]], a[row + at[k + 3]]);
        }
        for (; k < words; k++, panel += width) oneWord(counts, panels, panel, width, a[row + at[k]]);
        values(y, to + m * stride + n0, counts, table, tile.kind[m], n0, width, tile.sumX[m]);
      }
    }
  }

  private static void fourWords(int[] sums, long[] b, int from, int width, long a0, long a1, long a2, long a3) {
    int b1 = from + width, b2 = b1 + width, b3 = b2 + width;
    for (int j = 0; j < width; j++) {
      sums[j] += Long.bitCount(a0 ^ b[from + j]) + Long.bitCount(a1 ^ b[b1 + j]) + Long.bitCount(a2 ^ b[b2 + j]) + Long.bitCount(a3 ^ b[b3 + j]);
    }
  }

  private static void oneWord(int[] sums, long[] b, int from, int width, long a0) {
    for (int j = 0; j < width; j++) sums[j] += Long.bitCount(a0 ^ b[from + j]);
  }

  private static void values(float[] y, int to, int[] counts, FilterTables table, int kind, int n0, int width, float sumX) {
    float[] dotScale = table.dotScale, dotBase = table.dotBase, onesScale = table.onesScale, rest = table.rest;
    for (int j = 0; j < width; j++) {
      int n = n0 + j;
      y[to + j] = Math.fma(dotScale[n], dotBase[kind + n] - 2 * counts[j], Math.fma(onesScale[n], sumX, rest[kind + n]));
    }
  }

  @Override
  public void pack(long[] bits, float[] x, int from, int to, int rowBits, float threshold) {
    int words = (rowBits + 63) >>> 6;
    for (int row = from; row < to; row++) {
      for (int word = 0; word < words; word++) {
        bits[row * words + word] = packWord(x, row * rowBits + word * 64, Math.min(64, rowBits - word * 64), threshold);
      }
    }
  }

  static long packWord(float[] x, int from, int count, float threshold) {
    long word = 0;
    for (int i = 0; i < count; i++) word |= (x[from + i] >= threshold ? 1L : 0L) << i;
    return word;
  }

  @Override
  public void unpack(float[] x, int xFrom, long[] bits, int bitsFrom, int rowBits, float low, float high) {
    for (int i = 0; i < rowBits; i++) x[xFrom + i] = (bits[bitsFrom + (i >>> 6)] >>> i & 1) != 0 ? high : low;
  }
}
