package onebit.data;

/**
 * The order of one epoch as a pure function of (seed, epoch): which images form global batch b, and which slice is this rank's.
 *
 * <p>Global batch b is positions [b * batch, (b + 1) * batch) of {@link #order}; rank r of world w takes the r-th of w
 * slices of it, so the slices of all ranks put after one another are the global batch, for any world.
 *
 * <pre>
 * Units   batch in images over all ranks; dropLast leaves out a last batch that is not full
 * Source  Fisher-Yates shuffle fed by {@link CounterRandom}
 * </pre>
 */
public record Sampler(long seed, int size, int batch, boolean shuffle, boolean dropLast, int rank, int world) {
  public Sampler {
    if (size < 1) throw new IllegalArgumentException("Sampler: size " + size + " must be >= 1");
    if (batch < 1) throw new IllegalArgumentException("Sampler: batch " + batch + " must be >= 1");
    if (world < 1 || rank < 0 || rank >= world) {
      throw new IllegalArgumentException("Sampler: rank " + rank + " of " + world + " must be in [0, world)");
    }
    if (batch < world) throw new IllegalArgumentException("Sampler: batch " + batch + " is less than one image per rank of " + world);
    if (dropLast && size < batch) {
      throw new IllegalArgumentException("Sampler: " + size + " images are less than one batch of " + batch + ", and dropLast drops it");
    }
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
    return new Sampler(seed, size, batch, shuffle, dropLast, rank, world);
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
    int[] order = new int[size];
    for (int i = 0; i < size; i++) order[i] = i;
    if (!shuffle) return order;
    CounterRandom random = new CounterRandom().reset(seed, epoch, 0, CounterRandom.ORDER);
    for (int i = size - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      int swap = order[i];
      order[i] = order[j];
      order[j] = swap;
    }
    return order;
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
