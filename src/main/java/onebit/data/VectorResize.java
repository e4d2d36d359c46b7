package onebit.data;

import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The two passes of {@link Resize} on many levels at a time, {@link LevelVectors}: the same whole-number sums, so the same levels.
 *
 * <p>Along columns the levels of neighbouring outputs lie close together in the source row: one load of a whole vector and one permutation per
 * tap bring them into place. Where they lie further apart, the plain loop is used ({@link #takes}).
 */
final class VectorResize {
  private static final VectorSpecies<Byte> BYTES = LevelVectors.Width.WINDOW, FEW = LevelVectors.Width.FEW;
  private static final VectorSpecies<Integer> INTS = LevelVectors.Width.INTS;
  private static final int LANES = LevelVectors.Width.LANES, WINDOW = 4 * LANES, HALF = 1 << (ResizeTaps.PRECISION_BITS - 1);

  /** Rows to be given to {@link #columns} at a time: block by block through all of them, so few that they stay in the processor's first cache. */
  static final int TILE = 8;

  /** Per block of outputs and tap: where its window begins in the row, which bytes of the window, and their weights. */
  private int[] begins = new int[0];
  private byte[] picks = new byte[0];
  private int[] weights = new int[0];
  private int blocks;
  private int taps;
  /** Whether all taps of a block, two or three, lie in one window. */
  private boolean near;

  /** Lays the filter of one axis out for {@link #columns}; false where the outputs of some block look at more than a vector of bytes for one tap. */
  boolean takes(ResizeTaps columns, int channels) {
    int values = columns.size * channels, widest = 0;
    blocks = (values + LANES - 1) / LANES;
    taps = 0;
    for (int q = 0; q < columns.size; q++) taps = Math.max(taps, columns.count[q]);
    for (int from = 0; from < values; from += LANES) {
      widest = Math.max(widest, (columns.first[(Math.min(values, from + LANES) - 1) / channels] - columns.first[from / channels]) * channels);
    }
    if (widest + channels > WINDOW) return false;
    near = (taps == 2 || taps == 3) && widest + taps * channels <= WINDOW;
    int cells = blocks * taps;
    if (begins.length < cells) begins = new int[cells];
    if (picks.length < cells * WINDOW) picks = new byte[cells * WINDOW];
    if (weights.length < cells * LANES) weights = new int[cells * LANES];
    for (int block = 0, q = 0, channel = 0; block < blocks; block++) {
      int first = columns.first[q], cell = block * taps;
      for (int t = 0; t < taps; t++) begins[cell + t] = near ? first * channels : Math.min(first + t, columns.end() - 1) * channels;
      for (int lane = 0; lane < LANES; lane++) {
        int live = q < columns.size ? columns.count[q] : 0, pick = live == 0 ? 0 : (columns.first[q] - first) * channels + channel;
        for (int t = 0; t < taps; t++) {
          picks[(cell + t) * WINDOW + lane] = (byte) (t >= live ? 0 : near ? pick + t * channels : pick);
          weights[(cell + t) * LANES + lane] = t >= live ? 0 : columns.weights[q * columns.stride + t];
        }
        if (++channel == channels) {
          channel = 0;
          q++;
        }
      }
    }
    return true;
  }

  /**
   * At most {@link #TILE} rows of the source become as many rows of levels {@code pitch} apart, by the filter laid out by {@link #takes}. Up to
   * {@link Picture#SLACK} bytes behind a row are read, and behind its levels up to the pitch are written.
   */
  void columns(byte[] x, int row, int stride, int rows, byte[] y, int to, int pitch) {
    if (!near) {
      for (int h = 0; h < rows; h += 4) four(x, row + h * stride, stride, Math.min(4, rows - h), y, to + h * pitch, pitch);
    } else if (taps == 2) {
      for (int block = 0; block < blocks; block++) two(x, row + begins[2 * block], stride, rows, 2 * block, y, to + block * LANES, pitch);
    } else {
      for (int block = 0; block < blocks; block++) three(x, row + begins[3 * block], stride, rows, 3 * block, y, to + block * LANES, pitch);
    }
  }

  /** One block of every row where it has two taps. */
  private void two(byte[] x, int from, int stride, int rows, int cell, byte[] y, int to, int pitch) {
    ByteVector pick0 = ByteVector.fromArray(BYTES, picks, cell * WINDOW), pick1 = ByteVector.fromArray(BYTES, picks, cell * WINDOW + WINDOW);
    IntVector weight0 = IntVector.fromArray(INTS, weights, cell * LANES), weight1 = IntVector.fromArray(INTS, weights, cell * LANES + LANES);
    for (int h = 0; h < rows; h++) {
      ByteVector window = ByteVector.fromArray(BYTES, x, from + h * stride);
      store(picked(window, pick0).mul(weight0).add(picked(window, pick1).mul(weight1)).add(HALF), y, to + h * pitch);
    }
  }

  /** One block of every row where it has three taps. */
  private void three(byte[] x, int from, int stride, int rows, int cell, byte[] y, int to, int pitch) {
    ByteVector pick0 = ByteVector.fromArray(BYTES, picks, cell * WINDOW), pick1 = ByteVector.fromArray(BYTES, picks, cell * WINDOW + WINDOW);
    ByteVector pick2 = ByteVector.fromArray(BYTES, picks, cell * WINDOW + 2 * WINDOW);
    IntVector weight0 = IntVector.fromArray(INTS, weights, cell * LANES), weight1 = IntVector.fromArray(INTS, weights, cell * LANES + LANES);
    IntVector weight2 = IntVector.fromArray(INTS, weights, cell * LANES + 2 * LANES);
    for (int h = 0; h < rows; h++) {
      ByteVector window = ByteVector.fromArray(BYTES, x, from + h * stride);
      IntVector sum = picked(window, pick0).mul(weight0).add(picked(window, pick1).mul(weight1)).add(picked(window, pick2).mul(weight2));
      store(sum.add(HALF), y, to + h * pitch);
    }
  }

  /** All blocks of up to four rows, any number of taps; the last row given stands for rows past it. */
  private void four(byte[] x, int row, int stride, int rows, byte[] y, int to, int pitch) {
    int in1 = Math.min(1, rows - 1), in2 = Math.min(2, rows - 1), in3 = Math.min(3, rows - 1);
    for (int block = 0; block < blocks; block++) {
      IntVector sum0 = IntVector.broadcast(INTS, HALF), sum1 = sum0, sum2 = sum0, sum3 = sum0;
      for (int t = 0; t < taps; t++) {
        int cell = block * taps + t, from = row + begins[cell];
        ByteVector pick = ByteVector.fromArray(BYTES, picks, cell * WINDOW);
        IntVector weight = IntVector.fromArray(INTS, weights, cell * LANES);
        sum0 = sum0.add(picked(ByteVector.fromArray(BYTES, x, from), pick).mul(weight));
        sum1 = sum1.add(picked(ByteVector.fromArray(BYTES, x, from + in1 * stride), pick).mul(weight));
        sum2 = sum2.add(picked(ByteVector.fromArray(BYTES, x, from + in2 * stride), pick).mul(weight));
        sum3 = sum3.add(picked(ByteVector.fromArray(BYTES, x, from + in3 * stride), pick).mul(weight));
      }
      int at = to + block * LANES;
      store(sum3, y, at + in3 * pitch);
      store(sum2, y, at + in2 * pitch);
      store(sum1, y, at + in1 * pitch);
      store(sum0, y, at);
    }
  }

  private static IntVector picked(ByteVector window, ByteVector pick) {
    return (IntVector) pick.selectFrom(window).convertShape(VectorOperators.ZERO_EXTEND_B2I, INTS, 0);
  }

  /**
   * Output row {@code p} of the pass along rows: {@code line} levels, each the weighed sum of those above one another at {@code from}. Up to
   * {@link Picture#SLACK} bytes behind a row are read and written.
   */
  void rows(byte[] x, int from, int pitch, int line, ResizeTaps rows, int p, byte[] y, int to) {
    int begin = p * rows.stride, count = rows.count[p];
    for (int at = 0; at < line; at += 4 * LANES) {
      IntVector sum0 = IntVector.broadcast(INTS, HALF), sum1 = sum0, sum2 = sum0, sum3 = sum0;
      for (int t = 0; t < count; t++) {
        int source = from + t * pitch + at;
        IntVector weight = IntVector.broadcast(INTS, rows.weights[begin + t]);
        sum0 = sum0.add(levels(x, source).mul(weight));
        sum1 = sum1.add(levels(x, source + LANES).mul(weight));
        sum2 = sum2.add(levels(x, source + 2 * LANES).mul(weight));
        sum3 = sum3.add(levels(x, source + 3 * LANES).mul(weight));
      }
      store(sum0, y, to + at);
      store(sum1, y, to + at + LANES);
      store(sum2, y, to + at + 2 * LANES);
      store(sum3, y, to + at + 3 * LANES);
    }
  }

  private static IntVector levels(byte[] x, int at) {
    return (IntVector) ByteVector.fromArray(FEW, x, at).convertShape(VectorOperators.ZERO_EXTEND_B2I, INTS, 0);
  }

  private static void store(IntVector sum, byte[] y, int at) {
    ((ByteVector) sum.lanewise(VectorOperators.LSHR, ResizeTaps.PRECISION_BITS).min(255).convertShape(VectorOperators.I2B, FEW, 0)).intoArray(y, at);
  }
}
