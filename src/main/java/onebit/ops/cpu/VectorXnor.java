package onebit.ops.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * Packed bits with the Vector API: popcounts on W words at a time, lanes over the filters, one small method per shape of tile.
 *
 * <p>More than about twelve sums in one method make the compiler give up and box them.
 */
final class VectorXnor implements XnorKernel {
  private static final VectorSpecies<Long> LONGS = LongVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Integer> COUNTS = IntVector.SPECIES_PREFERRED;
  /** Words of one vector, floats of one; as many ints and floats as words are half a vector. */
  private static final int W = LONGS.length(), L = FLOATS.length();
  private static final long MASK = (1L << L) - 1;
  private static final VectorShape HALF = VectorShape.forBitSize(32 * W);
  private static final VectorSpecies<Integer> INTS = HALF.withLanes(int.class);
  private static final VectorSpecies<Float> HALF_FLOATS = HALF.withLanes(float.class);
  private static final FloatVector MINUS_TWO = FloatVector.broadcast(HALF_FLOATS, -2);

  @Override
  public int block() {
    return 4 * W;
  }

  @Override
  public int padded(int filters) {
    int padded = (filters + W - 1) & -W;
    return padded % (4 * W) == 3 * W ? padded + W : padded;
  }

  @Override
  public void products(float[] y, int to, int stride, BitTile tile, int rows, long[] panels, FilterTables table) {
    int padded = table.padded(), words = table.words();
    if (tile.isOfThreeStrips() && words <= 9) {
      for (int n0 = 0; n0 < padded; n0 += 4 * W) heldFilters(y, to, stride, tile, rows, panels, n0 * words, Math.min(4 * W, padded - n0), table, n0);
      return;
    }
    tile.gather(rows, table);
    tile.roomForCounts(rows * padded);
    int[] counts = tile.counts;
    long[] a = tile.gathered;
    for (int n0 = 0; n0 < padded; n0 += 4 * W) {
      int panel = n0 * words;
      // the last group begins so early that it is whole: some rows are counted twice
      switch (Math.min(4 * W, padded - n0) / W) {
        case 4 -> {
          for (int i = 0; i < rows; i += 2) {
            int m = Math.min(i, rows - 2);
            twoByFour(counts, m * padded + n0, padded, a, tile.begin + m * words, panels, panel, words);
          }
        }
        case 2 -> {
          for (int i = 0; i < rows; i += 4) {
            int m = Math.min(i, rows - 4);
            fourByTwo(counts, m * padded + n0, padded, a, tile.begin + m * words, panels, panel, words);
          }
        }
        default -> {
          for (int i = 0; i < rows; i += 4) {
            int m = Math.min(i, rows - 4);
            fourByOne(counts, m * padded + n0, padded, a, tile.begin + m * words, panels, panel, words);
          }
        }
      }
    }
    for (int m = 0; m < rows; m++) values(y, to + m * stride, counts, m * padded, table, tile.kind[m], tile.sumX[m]);
  }

  /** One panel of a convolution with patches of three strips of up to three words: its filters stay in registers, W at a time. */
  private static void heldFilters(float[] y, int to, int stride, BitTile tile, int rows, long[] panels, int panel, int width, FilterTables table, int n0) {
    for (int n = 0; n < width; n += W) {
      switch (table.words()) {
        case 3 -> threeWords(y, to, stride, tile, rows, panels, panel + n, width, table, n0 + n);
        case 6 -> sixWords(y, to, stride, tile, rows, panels, panel + n, width, table, n0 + n);
        default -> nineWords(y, to, stride, tile, rows, panels, panel + n, width, table, n0 + n);
      }
    }
  }

  private static void threeWords(float[] y, int to, int stride, BitTile tile, int rows, long[] b, int panel, int width, FilterTables table, int n) {
    long[] a = tile.words;
    int[] row = tile.row;
    int second = table.offsets[1], third = table.offsets[2];
    LongVector w0 = filters(b, panel), w1 = filters(b, panel + width), w2 = filters(b, panel + 2 * width);
    for (int m = 0; m < rows; m++) {
      int r0 = row[m], r1 = r0 + second, r2 = r0 + third;
      LongVector s0 = differing(w0, a[r0]);
      LongVector s1 = differing(w1, a[r1]);
      LongVector s2 = differing(w2, a[r2]);
      store(s0.add(s1).add(s2), y, to + m * stride + n, table, tile.kind[m] + n, n, tile.sumX[m]);
    }
  }

  private static void sixWords(float[] y, int to, int stride, BitTile tile, int rows, long[] b, int panel, int width, FilterTables table, int n) {
    long[] a = tile.words;
    int[] row = tile.row;
    int second = table.offsets[2], third = table.offsets[4];
    LongVector w0 = filters(b, panel), w1 = filters(b, panel + width), w2 = filters(b, panel + 2 * width);
    LongVector w3 = filters(b, panel + 3 * width), w4 = filters(b, panel + 4 * width), w5 = filters(b, panel + 5 * width);
    for (int m = 0; m < rows; m++) {
      int r0 = row[m], r1 = r0 + second, r2 = r0 + third;
      LongVector s0 = differing(w0, a[r0]).add(differing(w1, a[r0 + 1]));
      LongVector s1 = differing(w2, a[r1]).add(differing(w3, a[r1 + 1]));
      LongVector s2 = differing(w4, a[r2]).add(differing(w5, a[r2 + 1]));
      store(s0.add(s1).add(s2), y, to + m * stride + n, table, tile.kind[m] + n, n, tile.sumX[m]);
    }
  }

  private static void nineWords(float[] y, int to, int stride, BitTile tile, int rows, long[] b, int panel, int width, FilterTables table, int n) {
    long[] a = tile.words;
    int[] row = tile.row;
    int second = table.offsets[3], third = table.offsets[6];
    LongVector w0 = filters(b, panel), w1 = filters(b, panel + width), w2 = filters(b, panel + 2 * width);
    LongVector w3 = filters(b, panel + 3 * width), w4 = filters(b, panel + 4 * width), w5 = filters(b, panel + 5 * width);
    LongVector w6 = filters(b, panel + 6 * width), w7 = filters(b, panel + 7 * width), w8 = filters(b, panel + 8 * width);
    for (int m = 0; m < rows; m++) {
      int r0 = row[m], r1 = r0 + second, r2 = r0 + third;
      LongVector s0 = differing(w0, a[r0]).add(differing(w1, a[r0 + 1])).add(differing(w2, a[r0 + 2]));
      LongVector s1 = differing(w3, a[r1]).add(differing(w4, a[r1 + 1])).add(differing(w5, a[r1 + 2]));
      LongVector s2 = differing(w6, a[r2]).add(differing(w7, a[r2 + 1])).add(differing(w8, a[r2 + 2]));
      store(s0.add(s1).add(s2), y, to + m * stride + n, table, tile.kind[m] + n, n, tile.sumX[m]);
    }
  }

  private static LongVector filters(long[] panels, int at) {
    return LongVector.fromArray(LONGS, panels, at);
  }

  /** Differing bits of W filters' words and one of a row. */
  private static LongVector differing(LongVector filters, long word) {
    return filters.lanewise(VectorOperators.XOR, word).lanewise(VectorOperators.BIT_COUNT);
  }

  private static void twoByFour(int[] counts, int to, int stride, long[] a, int row, long[] b, int panel, int words) {
    LongVector s00 = LongVector.zero(LONGS), s01 = s00, s02 = s00, s03 = s00, s10 = s00, s11 = s00, s12 = s00, s13 = s00;
    for (int k = 0; k < words; k++) {
      LongVector a0 = LongVector.broadcast(LONGS, a[row + k]), a1 = LongVector.broadcast(LONGS, a[row + words + k]);
      int at = panel + k * 4 * W;
      LongVector b0 = LongVector.fromArray(LONGS, b, at), b1 = LongVector.fromArray(LONGS, b, at + W);
      LongVector b2 = LongVector.fromArray(LONGS, b, at + 2 * W), b3 = LongVector.fromArray(LONGS, b, at + 3 * W);
      s00 = s00.add(a0.lanewise(VectorOperators.XOR, b0).lanewise(VectorOperators.BIT_COUNT));
      s01 = s01.add(a0.lanewise(VectorOperators.XOR, b1).lanewise(VectorOperators.BIT_COUNT));
      s02 = s02.add(a0.lanewise(VectorOperators.XOR, b2).lanewise(VectorOperators.BIT_COUNT));
      s03 = s03.add(a0.lanewise(VectorOperators.XOR, b3).lanewise(VectorOperators.BIT_COUNT));
      s10 = s10.add(a1.lanewise(VectorOperators.XOR, b0).lanewise(VectorOperators.BIT_COUNT));
      s11 = s11.add(a1.lanewise(VectorOperators.XOR, b1).lanewise(VectorOperators.BIT_COUNT));
      s12 = s12.add(a1.lanewise(VectorOperators.XOR, b2).lanewise(VectorOperators.BIT_COUNT));
      s13 = s13.add(a1.lanewise(VectorOperators.XOR, b3).lanewise(VectorOperators.BIT_COUNT));
    }
    store(s00, counts, to);
    store(s01, counts, to + W);
    store(s02, counts, to + 2 * W);
    store(s03, counts, to + 3 * W);
    store(s10, counts, to + stride);
    store(s11, counts, to + stride + W);
    store(s12, counts, to + stride + 2 * W);
    store(s13, counts, to + stride + 3 * W);
  }

  private static void fourByTwo(int[] counts, int to, int stride, long[] a, int row, long[] b, int panel, int words) {
    LongVector s00 = LongVector.zero(LONGS), s01 = s00, s10 = s00, s11 = s00, s20 = s00, s21 = s00, s30 = s00, s31 = s00;
    int row1 = row + words, row2 = row1 + words, row3 = row2 + words;
    for (int k = 0; k < words; k++) {
      LongVector b0 = LongVector.fromArray(LONGS, b, panel + k * 2 * W), b1 = LongVector.fromArray(LONGS, b, panel + k * 2 * W + W);
      LongVector a0 = LongVector.broadcast(LONGS, a[row + k]), a1 = LongVector.broadcast(LONGS, a[row1 + k]);
      LongVector a2 = LongVector.broadcast(LONGS, a[row2 + k]), a3 = LongVector.broadcast(LONGS, a[row3 + k]);
      s00 = s00.add(a0.lanewise(VectorOperators.XOR, b0).lanewise(VectorOperators.BIT_COUNT));
      s01 = s01.add(a0.lanewise(VectorOperators.XOR, b1).lanewise(VectorOperators.BIT_COUNT));
      s10 = s10.add(a1.lanewise(VectorOperators.XOR, b0).lanewise(VectorOperators.BIT_COUNT));
      s11 = s11.add(a1.lanewise(VectorOperators.XOR, b1).lanewise(VectorOperators.BIT_COUNT));
      s20 = s20.add(a2.lanewise(VectorOperators.XOR, b0).lanewise(VectorOperators.BIT_COUNT));
      s21 = s21.add(a2.lanewise(VectorOperators.XOR, b1).lanewise(VectorOperators.BIT_COUNT));
      s30 = s30.add(a3.lanewise(VectorOperators.XOR, b0).lanewise(VectorOperators.BIT_COUNT));
      s31 = s31.add(a3.lanewise(VectorOperators.XOR, b1).lanewise(VectorOperators.BIT_COUNT));
    }
    store(s00, counts, to);
    store(s01, counts, to + W);
    store(s10, counts, to + stride);
    store(s11, counts, to + stride + W);
    store(s20, counts, to + 2 * stride);
    store(s21, counts, to + 2 * stride + W);
    store(s30, counts, to + 3 * stride);
    store(s31, counts, to + 3 * stride + W);
  }

  private static void fourByOne(int[] counts, int to, int stride, long[] a, int row, long[] b, int panel, int words) {
    LongVector s0 = LongVector.zero(LONGS), s1 = s0, s2 = s0, s3 = s0;
    int row1 = row + words, row2 = row1 + words, row3 = row2 + words;
    for (int k = 0; k < words; k++) {
      LongVector b0 = LongVector.fromArray(LONGS, b, panel + k * W);
      s0 = s0.add(b0.lanewise(VectorOperators.XOR, a[row + k]).lanewise(VectorOperators.BIT_COUNT));
      s1 = s1.add(b0.lanewise(VectorOperators.XOR, a[row1 + k]).lanewise(VectorOperators.BIT_COUNT));
      s2 = s2.add(b0.lanewise(VectorOperators.XOR, a[row2 + k]).lanewise(VectorOperators.BIT_COUNT));
      s3 = s3.add(b0.lanewise(VectorOperators.XOR, a[row3 + k]).lanewise(VectorOperators.BIT_COUNT));
    }
    store(s0, counts, to);
    store(s1, counts, to + stride);
    store(s2, counts, to + 2 * stride);
    store(s3, counts, to + 3 * stride);
  }

  private static void store(LongVector sums, int[] counts, int to) {
    ((IntVector) sums.convertShape(VectorOperators.L2I, INTS, 0)).intoArray(counts, to);
  }

  /** The outputs of one row from its counts. */
  private static void values(float[] y, int to, int[] counts, int from, FilterTables table, int kind, float sumX) {
    FloatVector sum = FloatVector.broadcast(FLOATS, sumX);
    float[] dotBase = table.dotBase, rest = table.rest, dotScale = table.dotScale, onesScale = table.onesScale;
    int n = 0, padded = table.padded();
    for (; n + L <= padded; n += L) {
      FloatVector count = (FloatVector) IntVector.fromArray(COUNTS, counts, from + n).convertShape(VectorOperators.I2F, FLOATS, 0);
      FloatVector dot = count.fma(FloatVector.broadcast(FLOATS, -2), FloatVector.fromArray(FLOATS, dotBase, kind + n));
      FloatVector constant = FloatVector.fromArray(FLOATS, onesScale, n).fma(sum, FloatVector.fromArray(FLOATS, rest, kind + n));
      FloatVector.fromArray(FLOATS, dotScale, n).fma(dot, constant).intoArray(y, to + n);
    }
    for (; n < padded; n++) {
      y[to + n] = Math.fma(dotScale[n], dotBase[kind + n] - 2 * counts[from + n], Math.fma(onesScale[n], sumX, rest[kind + n]));
    }
  }

  /** y = dotScale (dotBase - 2 counts) + (onesScale sumX + rest) for W filters. */
  private static void store(LongVector counts, float[] y, int to, FilterTables table, int kind, int n, float sumX) {
    FloatVector count = (FloatVector) counts.convertShape(VectorOperators.L2I, INTS, 0).convertShape(VectorOperators.I2F, HALF_FLOATS, 0);
    FloatVector dot = count.fma(MINUS_TWO, FloatVector.fromArray(HALF_FLOATS, table.dotBase, kind));
    FloatVector constant = FloatVector.fromArray(HALF_FLOATS, table.onesScale, n).fma(FloatVector.broadcast(HALF_FLOATS, sumX),
        FloatVector.fromArray(HALF_FLOATS, table.rest, kind));
    FloatVector.fromArray(HALF_FLOATS, table.dotScale, n).fma(dot, constant).intoArray(y, to);
  }

  @Override
  public void pack(long[] bits, float[] x, int from, int to, int rowBits, float threshold) {
    int words = (rowBits + 63) >>> 6;
    for (int row = from; row < to; row++) {
      for (int word = 0; word < words; word++) {
        int at = row * rowBits + word * 64, count = Math.min(64, rowBits - word * 64);
        bits[row * words + word] = packWord(x, at, count, threshold);
      }
    }
  }

  private static long packWord(float[] x, int from, int count, float threshold) {
    long word = 0;
    int i = 0;
    for (; i + L <= count; i += L) word |= FloatVector.fromArray(FLOATS, x, from + i).compare(VectorOperators.GE, threshold).toLong() << i;
    return i == count ? word : word | PlainXnor.packWord(x, from + i, count - i, threshold) << i;
  }

  @Override
  public void unpack(float[] x, int xFrom, long[] bits, int bitsFrom, int rowBits, float low, float high) {
    FloatVector lows = FloatVector.broadcast(FLOATS, low);
    int i = 0;
    for (; i + L <= rowBits; i += L) {
      lows.blend(high, VectorMask.fromLong(FLOATS, bits[bitsFrom + (i >>> 6)] >>> i & MASK)).intoArray(x, xFrom + i);
    }
    for (; i < rowBits; i++) x[xFrom + i] = (bits[bitsFrom + (i >>> 6)] >>> i & 1) != 0 ? high : low;
  }
}
