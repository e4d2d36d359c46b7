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

  /** Per block of outputs: where its window begins in the row; per block and tap: which bytes of the window, and their weights. */
  private int[] begins = new int[0];
  private byte[] picks = new byte[0];
  private int[] weights = new int[0];
  private int blocks;
  private int taps;

  /** Lays the filter of one axis out for {@link #columns}; false where the outputs of some block look at more than a vector of bytes for one tap. */
  boolean takes(ResizeTaps columns, int channels) {
    int values = columns.size * channels;
    blocks = (values + LANES - 1) / LANES;
    taps = 0;
    for (int q = 0; q < columns.size; q++) taps = Math.max(taps, columns.count[q]);
    int cells = blocks * taps;
    if (begins.length < cells) begins = new int[cells];
    if (picks.length < cells * WINDOW) picks = new byte[cells * WINDOW];
    if (weights.length < cells * LANES) weights = new int[cells * LANES];
    for (int block = 0; block < blocks; block++) {
      int firstValue = block * LANES;
      for (int t = 0; t < taps; t++) {
        int cell = block * taps + t;
        begins[cell] = Math.min(columns.first[firstValue / channels] + t, columns.end() - 1) * channels;
        for (int lane = 0; lane < LANES; lane++) {
          int value = firstValue + lane, q = Math.min(value, values - 1) / channels;
          boolean live = value < values && t < columns.count[q];
          int pick = live ? (columns.first[q] + t) * channels + value % channels - begins[cell] : 0;
          if (pick >= WINDOW) return false;
          picks[cell * WINDOW + lane] = (byte) pick;
          weights[cell * LANES + lane] = live ? columns.weights[q * columns.stride + t] : 0;
        }
      }
    }
    return true;
  }

  /**
   * Four rows of the source become four rows of levels {@code pitch} apart, by the filter laid out by {@link #takes}; the last row given stands
   * for rows past it. Up to {@link Picture#SLACK} bytes behind a row are read, and behind its levels up to the pitch are written.
   */
  void columns(byte[] x, int row, int stride, int rows, byte[] y, int to, int pitch) {
    int in1 = Math.min(1, rows - 1), in2 = Math.min(2, rows - 1), in3 = Math.min(3, rows - 1);
    for (int block = 0; block < blocks; block++) {
      IntVector sum0 = IntVector.broadcast(INTS, HALF), sum1 = sum0, sum2 = sum0, sum3 = sum0;
      for (int t = 0; t < taps; t++) {
        int cell = block * taps + t, from = row + begins[cell];
        ByteVector pick = ByteVector.fromArray(BYTES, picks, cell * WINDOW);
        IntVector weight = IntVector.fromArray(INTS, weights, cell * LANES);
        sum0 = sum0.add(picked(x, from, pick).mul(weight));
        sum1 = sum1.add(picked(x, from + in1 * stride, pick).mul(weight));
        sum2 = sum2.add(picked(x, from + in2 * stride, pick).mul(weight));
        sum3 = sum3.add(picked(x, from + in3 * stride, pick).mul(weight));
      }
      int at = to + block * LANES;
      store(sum3, y, at + in3 * pitch);
      store(sum2, y, at + in2 * pitch);
      store(sum1, y, at + in1 * pitch);
      store(sum0, y, at);
    }
  }

  private static IntVector picked(byte[] x, int from, ByteVector pick) {
    ByteVector levels = pick.selectFrom(ByteVector.fromArray(BYTES, x, from));
    return (IntVector) levels.convertShape(VectorOperators.ZERO_EXTEND_B2I, INTS, 0);
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
