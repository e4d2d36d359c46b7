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
  public void differences(int[] counts, long[] a, int rows, long[] panels, int words, int padded) {
    for (int n0 = 0; n0 < padded; n0 += block()) {
      int width = Math.min(block(), padded - n0);
      for (int m = 0; m < rows; m++) {
        int k = 0, panel = n0 * words, row = m * words, to = m * padded + n0;
        Arrays.fill(counts, to, to + width, 0);
        for (; k + 4 <= words; k += 4, panel += 4 * width) {
          fourWords(counts, to, panels, panel, width, a[row + k], a[row + k + 1], a[row + k + 2], a[row + k + 3]);
        }
        for (; k < words; k++, panel += width) oneWord(counts, to, panels, panel, width, a[row + k]);
      }
    }
  }

  private static void fourWords(int[] sums, int to, long[] b, int from, int width, long a0, long a1, long a2, long a3) {
    int b1 = from + width, b2 = b1 + width, b3 = b2 + width;
    for (int j = 0; j < width; j++) {
      sums[to + j] += Long.bitCount(a0 ^ b[from + j]) + Long.bitCount(a1 ^ b[b1 + j]) + Long.bitCount(a2 ^ b[b2 + j]) + Long.bitCount(a3 ^ b[b3 + j]);
    }
  }

  private static void oneWord(int[] sums, int to, long[] b, int from, int width, long a0) {
    for (int j = 0; j < width; j++) sums[to + j] += Long.bitCount(a0 ^ b[from + j]);
  }

  @Override
  public void values(float[] y, int to, int[] counts, int from, int[] dotBase, float[] rest, int offset, float[] dotScale, float[] onesScale, float sumX,
      int filters) {
    values(0, y, to, counts, from, dotBase, rest, offset, dotScale, onesScale, sumX, filters);
  }

  /** The same for the filters from first. */
  static void values(int first, float[] y, int to, int[] counts, int from, int[] dotBase, float[] rest, int offset, float[] dotScale, float[] onesScale,
      float sumX, int filters) {
    for (int n = first; n < filters; n++) {
      y[to + n] = Math.fma(dotScale[n], dotBase[offset + n] - 2 * counts[from + n], Math.fma(onesScale[n], sumX, rest[offset + n]));
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
