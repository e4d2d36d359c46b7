package onebit.ops.cpu;

/**
 * Loops over channels-last values in long stretches: per-channel constants are repeated until a stretch is worth a vector loop.
 *
 * <p>Constants and sums are double where the values are float: arrays of different types cannot overlap, which is what lets the compiler
 * turn these loops into vector instructions.
 *
 * <p>Sums are added in an order that depends on the sizes only, never on the number of threads.
 */
final class ChannelTiles {
  private static final int STRETCH = 512;
  private static final int PIECE = 1 << 14;
  private static final ThreadLocal<double[]> PARTIALS = ThreadLocal.withInitial(() -> new double[0]);

  private ChannelTiles() {}

  /** Work on values [base, base + length); base is the first channel of a row. */
  @FunctionalInterface
  interface Stretch {
    void run(int base, int length);
  }

  /** Adds values [base, base + length) to sums; sum k of stretch position j is at sums[at + k * tile + j]. */
  @FunctionalInterface
  interface Summing {
    void run(double[] sums, int at, int base, int length);
  }

  /** Values in one stretch of rows of so many channels. */
  static int tile(int channels) {
    return channels >= STRETCH ? channels : STRETCH / channels * channels;
  }

  /** The channel values repeated over a stretch. */
  static double[] repeat(float[] perChannel, int channels) {
    int tile = tile(channels);
    double[] all = new double[tile];
    for (int j = 0; j < tile; j++) all[j] = perChannel[j % channels];
    return all;
  }

  /** Runs over all size values, on all cores. */
  static void run(int size, int channels, Stretch body) {
    int tile = tile(channels), grain = Math.max(1, PIECE / tile) * tile;
    CpuThreads.range(size, grain, (from, to) -> {
      for (int base = from; base < to; base += tile) body.run(base, Math.min(tile, to - base));
    });
  }

  /** out[k * channels + c] = the k-th sum of channel c over all rows; all in double. */
  static void sum(int size, int channels, int sums, double[] out, Summing body) {
    int tile = tile(channels), grain = Math.max(1, PIECE / tile) * tile, pieces = (size + grain - 1) / grain, width = sums * tile;
    if (PARTIALS.get().length < pieces * width) PARTIALS.set(new double[pieces * width]);
    double[] partials = PARTIALS.get();
    java.util.Arrays.fill(partials, 0, pieces * width, 0);
    CpuThreads.pieces(pieces, p -> {
      int to = Math.min(size, (p + 1) * grain);
      for (int base = p * grain; base < to; base += tile) body.run(partials, p * width, base, Math.min(tile, to - base));
    });
    java.util.Arrays.fill(out, 0, sums * channels, 0);
    for (int p = 0; p < pieces; p++) {
      for (int k = 0; k < sums; k++) {
        for (int j = 0, c = 0; j < tile; j++) {
          out[k * channels + c] += partials[p * width + k * tile + j];
          if (++c == channels) c = 0;
        }
      }
    }
  }
}
