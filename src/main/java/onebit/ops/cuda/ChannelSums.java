package onebit.ops.cuda;

/**
 * The launch of a kernel that sums rows per channel, and the room for its partial sums.
 *
 * <pre>
 * Twin  kernels/common.cuh, channel_sums; kernels/unit_passes.cuh, a block of tiles
 * </pre>
 */
final class ChannelSums {
  private static final int MOST_SPLITS = 512;
  private static final int CHANNELS_PER_LANE = 4;

  private final CudaDevice device;
  private final Kernel finish;
  private int channels;
  private int values;
  private int lanes;
  private int width;
  private int splits;

  ChannelSums(CudaDevice device) {
    this.device = device;
    finish = device.kernel("channel_sums_finish");
  }

  /** Decides the launch for so many rows, channels and values; gives the room for the partial sums. */
  DeviceMemory plan(int rows, int channels, int values) {
    this.channels = channels;
    this.values = values;
    lanes = channels % CHANNELS_PER_LANE == 0 ? channels / CHANNELS_PER_LANE : channels;
    width = Math.min(32, Integer.highestOneBit(Math.max(1, 2 * lanes - 1)));
    int height = 256 / width, across = blocksAcross(), busy = Math.max(1, 4 * device.multiprocessors() / across);
    splits = Math.clamp((rows + 8L * height - 1) / (8 * height), 1, Math.min(MOST_SPLITS, busy));
    return device.scratch(CudaDevice.Scratch.SUMS, 8L * splits * values * channels);
  }

  /** How many blocks of tiles of 128 rows share the rows of each 64 channels; the sums' bits depend on it. */
  int tileSplits(int rows, int channels) {
    return tileSplits(rows, channels, 6);
  }

  /** The same for so many blocks a multiprocessor: a multiple of those that it holds at once. */
  int tileSplits(int rows, int channels, int blocks) {
    return Math.clamp(CudaBitOps.tiles(rows), 1, Math.max(1, blocks * device.multiprocessors() / ((channels + 63) / 64)));
  }

  /** The room for the partial sums of so many blocks of tiles. */
  DeviceMemory tiles(int splits, int channels, int values) {
    return device.scratch(CudaDevice.Scratch.SUMS, 8L * splits * values * channels);
  }

  /** Whole counters, 0 between two launches, by which the last block of a launch knows itself. */
  DeviceMemory counters() {
    return device.counters();
  }

  private int blocksAcross() {
    return (lanes + width - 1) / width;
  }

  int splits() {
    return splits;
  }

  /** Blocks of the launch. */
  int blocks() {
    return blocksAcross() * splits;
  }

  void launch(Kernel kernel) {
    kernel.launch(blocksAcross(), splits, width, 256 / width, 0);
  }

  /** out0 and, with two values, out1 = the sums. */
  void finish(DeviceMemory out0, DeviceMemory out1, DeviceMemory partial) {
    finish.memory(out0).memory(out1).memory(partial).integer(splits).integer(values).integer(channels).blocks((channels + 255) / 256, 256);
  }
}
