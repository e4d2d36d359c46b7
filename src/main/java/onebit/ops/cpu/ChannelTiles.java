package onebit.ops.cpu;

import java.util.Arrays;

/**
 * Loops over channels-last values in long stretches: per-channel constants are repeated until a stretch is worth a vector loop.
 *
 * <p>Constants and sums are double where the values are float: arrays of different types cannot overlap, which is what lets the compiler
 * turn these loops into vector instructions.
 *
 * <p>Sums are added in an order that depends on the sizes only, never on the number of threads. Its arrays are kept from op to op; the
 * operands O are those of the op family that owns it.
 */
final class ChannelTiles<O> {
  private static final int STRETCH = 512;
  private static final int PIECE = 1 << 14;

  private final double[][] repeated = new double[6][0];
  private double[] partials = new double[0], totals = new double[0];
  private O operands;
  private Stretch<? super O> stretch;
  private Summing<? super O> summing;
  private int tile, grain, width;

  /** Work on values [base, base + length); base is the first channel of a row. */
  @FunctionalInterface
  interface Stretch<O> {
    void run(O operands, int base, int length);
  }

  /** Adds values [base, base + length) to sums; sum k of stretch position j is at sums[at + k * tile + j]. */
  @FunctionalInterface
  interface Summing<O> {
    void run(O operands, double[] sums, int at, int base, int length);
  }

  /** Values in one stretch of rows of so many channels. */
  static int tile(int channels) {
    return channels >= STRETCH ? channels : STRETCH / channels * channels;
  }

  /** The channel values repeated over a stretch; valid until the same slot is asked for again. */
  double[] repeat(int slot, float[] perChannel, int channels) {
    int length = tile(channels);
    if (repeated[slot].length < length) repeated[slot] = new double[length];
    double[] all = repeated[slot];
    for (int base = 0; base < length; base += channels) {
      for (int c = 0; c < channels; c++) all[base + c] = perChannel[c];
    }
    return all;
  }

  /** Runs over all size values, on all cores. */
  void run(int size, int channels, O operands, Stretch<? super O> body) {
    prepare(channels, operands);
    stretch = body;
    CpuThreads.range(size, grain, this, (t, from, to) -> {
      for (int base = from; base < to; base += t.tile) t.stretch.run(t.operands, base, Math.min(t.tile, to - base));
    });
  }

  /** The k-th sum of channel c over all rows is at k * channels + c; all in double, valid until the next sums. */
  double[] sum(int size, int channels, int sums, O operands, Summing<? super O> body) {
    prepare(channels, operands);
    summing = body;
    width = sums * tile;
    int pieces = (size + grain - 1) / grain;
    if (partials.length < pieces * width) partials = new double[pieces * width];
    if (totals.length < sums * channels) totals = new double[sums * channels];
    Arrays.fill(partials, 0, pieces * width, 0);
    CpuThreads.range(size, grain, this, (t, from, to) -> {
      for (int base = from; base < to; base += t.tile) {
        t.summing.run(t.operands, t.partials, from / t.grain * t.width, base, Math.min(t.tile, to - base));
      }
    });
    Arrays.fill(totals, 0, sums * channels, 0);
    for (int p = 0; p < pieces; p++) {
      for (int k = 0; k < sums; k++) {
        for (int base = p * width + k * tile, end = base + tile; base < end; base += channels) add(totals, k * channels, partials, base, channels);
      }
    }
    return totals;
  }

  private static void add(double[] to, int at, double[] from, int base, int count) {
    for (int c = 0; c < count; c++) to[at + c] += from[base + c];
  }

  private void prepare(int channels, O operands) {
    this.operands = operands;
    tile = tile(channels);
    grain = Math.max(1, PIECE / tile) * tile;
  }
}
