package onebit.data;

/**
 * The order of one epoch as a pure function of (seed, epoch): which images form global batch b, and which slice is this rank's.
 *
 * <p>Global batch b is positions [b * batch, (b + 1) * batch) of {@link #order}; rank r of world w takes the r-th of w
 * slices of it, so the slices of all ranks put after one another are the global batch, for any world.
 *
 * <p>Images that lie side by side in the files form a chunk, chunk c images [c * chunk, (c + 1) * chunk). A quasi-random order has windows of so many
 * images: the files are divided into as many equal parts as a window holds chunks, each window takes a random chunk of every part, and its images are
 * shuffled. So what is read while positions go through a window is few long pieces of the files, and where files hold class after class, a window has
 * images of all. Chunks of one image are a random order.
 *
 * <pre>
 * Units   batch in images over all ranks; dropLast leaves out a last batch that is not full; chunk and window in images
 * Source  Fisher-Yates shuffle fed by {@link CounterRandom}; that of chunks is after the idea of FFCV (Leclerc et al. 2023, arXiv 2306.12517), not its algorithm
 * </pre>
 */
public record Sampler(long seed, int size, int batch, boolean shuffle, boolean dropLast, int rank, int world, int chunk, int window) {
  public Sampler {
    if (size < 1) throw new IllegalArgumentException("Sampler: size " + size + " must be >= 1");
    if (batch < 1) throw new IllegalArgumentException("Sampler: batch " + batch + " must be >= 1");
    if (world < 1 || rank < 0 || rank >= world) {
      throw new IllegalArgumentException("Sampler: rank " + rank + " of " + world + " must be in [0, world)");
    }
    if (batch < world) throw new IllegalArgumentException("Sampler: batch " + batch + " is less than one image per rank of " + world);
    if (chunk < 1 || window < chunk || chunk > 1 && !shuffle) {
      throw new IllegalArgumentException("Sampler: chunks of " + chunk + " in a window of " + window + " must fit into it, and be shuffled or of one image");
    }
    if (dropLast && size < batch) {
      throw new IllegalArgumentException("Sampler: " + size + " images are less than one batch of " + batch + ", and dropLast drops it");
    }
  }

  /** In a random order, or in order. */
  public Sampler(long seed, int size, int batch, boolean shuffle, boolean dropLast, int rank, int world) {
    this(seed, size, batch, shuffle, dropLast, rank, world, 1, 1);
  }

  /** Shuffled each epoch, full batches only, one rank. */
  public static Sampler training(long seed, int size, int batch) {
    return new Sampler(seed, size, batch, true, true, 0, 1);
  }

  /** In order, each image exactly once, the last batch as small as it comes, one rank. */
  public static Sampler evaluation(int size, int batch) {
    return new Sampler(0, size, batch, false, false, 0, 1);
  }

  /** The same order for another rank of a world. */
  public Sampler shard(int rank, int world) {
    return new Sampler(seed, size, batch, shuffle, dropLast, rank, world, chunk, window);
  }

  /** Batches in one epoch, the same for every rank. */
  public int batches() {
    return dropLast ? size / batch : (int) (((long) size + batch - 1) / batch);
  }

  /** Images that one epoch visits over all ranks. */
  public int visited() {
    return dropLast ? size / batch * batch : size;
  }

  /** Every index of [0, size) exactly once: position p of the epoch shows image order[p]. */
  public int[] order(int epoch) {
    int[] chunks = chunks(epoch);
    if (chunk == 1) return chunks;
    int[] order = new int[size];
    int at = 0;
    for (int c : chunks) {
      for (int i = c * chunk; i < end(c); i++) order[at++] = i;
    }
    CounterRandom random = new CounterRandom();
    for (int from = 0, to; from < size; from = to) {
      to = from + Math.min(window / chunk * chunk, size - from);
      mix(order, from, to, random.reset(seed, epoch, to, CounterRandom.ORDER));
    }
    return order;
  }

  /** Every chunk exactly once, in the order in which the epoch comes to them. */
  int[] chunks(int epoch) {
    int count = (int) (((long) size + chunk - 1) / chunk);
    int[] chunks = new int[count];
    for (int i = 0; i < count; i++) chunks[i] = i;
    if (!shuffle) return chunks;
    long parts = chunk == 1 ? 1 : Math.min(count, window / chunk);
    CounterRandom random = new CounterRandom().reset(seed, epoch, 0, CounterRandom.ORDER);
    for (long p = 0; p < parts; p++) mix(chunks, (int) (count * p / parts), (int) (count * (p + 1) / parts), random);
    if (parts == 1) return chunks;
    int[] windows = new int[count];
    for (int at = 0, w = 0; at < count; w++) {
      for (long p = 0; p < parts; p++) {
        long from = count * p / parts + w;
        if (from < count * (p + 1) / parts) windows[at++] = chunks[(int) from];
      }
    }
    return windows;
  }

  /** One past the last image of a chunk. */
  int end(int c) {
    return (int) Math.min(size, (c + 1L) * chunk);
  }

  /** The place among {@link #chunks} where the window of a position begins. */
  int chunkAt(long position) {
    int chunks = window / chunk;
    return (int) (position / ((long) chunks * chunk) * chunks);
  }

  private static void mix(int[] values, int from, int to, CounterRandom random) {
    for (int i = to - 1; i > from; i--) {
      int j = from + random.nextInt(i - from + 1);
      int swap = values[i];
      values[i] = values[j];
      values[j] = swap;
    }
  }

  /** First position of this rank's slice of a batch. */
  public int from(int index) {
    return edge(index, rank);
  }

  /** One past the last position of this rank's slice of a batch. */
  public int to(int index) {
    return edge(index, rank + 1);
  }

  /** The most images one batch gives to this rank. */
  public int localBatch() {
    return (int) (((long) batch + world - 1) / world);
  }

  private int edge(int index, int slice) {
    if (index < 0 || index >= batches()) {
      throw new IllegalArgumentException("Sampler: batch " + index + " must be in [0, " + batches() + ")");
    }
    int start = index * batch;
    long images = Math.min(batch, size - start);
    return start + (int) (images * slice / world);
  }
}
