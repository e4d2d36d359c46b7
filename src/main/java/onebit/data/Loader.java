package onebit.data;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;
import java.util.List;
import java.util.function.BooleanSupplier;

/**
 * The batches of one epoch in the sampler's order, prepared ahead by worker threads in a ring of buffers; all threads work on the same batch,
 * each on a piece of it.
 *
 * <p>{@link #start} begins an epoch at a batch, {@link #next} hands out batches until it returns null, and a loader is
 * started again for the next epoch with the same threads and buffers. What a batch holds depends on (seed, epoch, batch)
 * only, not on threads. One consumer thread; a batch is valid until the following call of {@code next}, {@code start} or
 * {@code close}.
 *
 * <p>An image that cannot be decoded is told to the watch and, in a shuffled epoch, replaced by another, a function of (seed, epoch, image); in an
 * ordered one it is black and keeps its boxes, so that every image counts. A read that fails is tried three times. Of images that lie together the disk is
 * asked a window ahead, chunk by chunk.
 *
 * <pre>
 * Units   stall time in nanoseconds during which {@code next} waited for a batch; its share is of the time since {@code start}
 * Cost    memory: 4 batches, more only where a batch has fewer pieces of {@value #PIECE} images than half the threads
 * </pre>
 */
public final class Loader implements AutoCloseable {
  private static final int READS = 3, REPLACEMENTS = 20, LEAST_RING = 4;
  /** Images that a thread makes at a time. */
  private static final int PIECE = 16;
  private static final long PAUSE_MILLIS = 50, CLOSE_SECONDS = 5;
  private static final ThreadMXBean CLOCK = ManagementFactory.getThreadMXBean();

  /** How long one wait for a batch may last before it is told. */
  long slowMillis = 30_000;

  private final Dataset dataset;
  private final Sampler sampler;
  private final LoaderWatch watch;
  private final ImageBatch[] ring;
  private final int pieces;
  /** What went wrong in each piece of each place of the ring. */
  private final Throwable[][] failures;
  /** The batch that each place of the ring holds, or -1 where it is free or not yet whole. */
  private final int[] holds;
  /** Pieces that each place of the ring still lacks. */
  private final int[] lacks;
  private final Thread[] workers;

  private int[] order = new int[0];
  /** The chunks of the epoch that are read ahead, or none, and how many of them the disk was asked for. */
  private int[] chunks = new int[0];
  private int asked;
  private int epoch;
  private int nextToFill;
  private int nextPiece;
  private int nextToHand;
  private int filling;
  private boolean closed;
  private boolean failed;
  private long stallNanos;
  private long startNanos;
  private long startStallNanos;
  private long handedNanos;
  private long workedNanos;
  private long ranNanos;
  private boolean toldSlow;
  private boolean toldRetry;

  /** A loader that has not started an epoch and refuses bad images. */
  public Loader(Dataset dataset, Sampler sampler, List<Augmentation> steps, int threads) {
    this(dataset, sampler, steps, threads, LoaderWatch.STRICT);
  }

  /**
   * A loader that has not started an epoch.
   *
   * @throws IllegalArgumentException if the sampler is for another number of images, or threads is not positive
   */
  public Loader(Dataset dataset, Sampler sampler, List<Augmentation> steps, int threads, LoaderWatch watch) {
    if (sampler.size() != dataset.size()) {
      throw new IllegalArgumentException("Loader: the sampler is for " + sampler.size() + " images, " + dataset.name()
          + " has " + dataset.size());
    }
    if (threads < 1) throw new IllegalArgumentException("Loader: threads " + threads + " must be >= 1");
    Augmenter.requireSuited(steps, dataset);
    this.dataset = dataset;
    this.sampler = sampler;
    this.watch = watch;
    pieces = (sampler.localBatch() + PIECE - 1) / PIECE;
    ring = new ImageBatch[Math.max(LEAST_RING, 2 + (threads + pieces - 1) / pieces)];
    failures = new Throwable[ring.length][pieces];
    holds = new int[ring.length];
    lacks = new int[ring.length];
    for (int i = 0; i < ring.length; i++) {
      ring[i] = new ImageBatch(
          sampler.localBatch(), Augmenter.height(steps, dataset), Augmenter.width(steps, dataset), dataset.channels(), dataset.hasBoxes());
    }
    nextToFill = sampler.batches();
    nextToHand = sampler.batches();
    workers = new Thread[threads];
    for (int i = 0; i < threads; i++) {
      Augmenter augmenter = new Augmenter(steps, sampler.seed());
      workers[i] = Thread.ofPlatform().daemon().name("onebit-loader-" + i).start(() -> work(augmenter));
    }
  }

  /** A loader over a whole data set in order, each image exactly once, the last batch as small as it comes. */
  public static Loader evaluation(Dataset dataset, int batch, List<Augmentation> steps, int threads) {
    return new Loader(dataset, Sampler.evaluation(dataset.size(), batch), steps, threads);
  }

  /** Begins an epoch at a batch; what was prepared of another one is thrown away. */
  public synchronized void start(int epoch, int fromBatch) {
    requireOpen();
    if (epoch < 0 || fromBatch < 0 || fromBatch > sampler.batches()) {
      throw new IllegalArgumentException("Loader: epoch " + epoch + ", batch " + fromBatch + " must be >= 0 and at most "
          + sampler.batches() + " batches");
    }
    nextToFill = sampler.batches();
    boolean interrupted = false;
    while (filling > 0) interrupted |= pause(0);
    order = sampler.order(epoch);
    chunks = sampler.chunk() > 1 ? sampler.chunks(epoch) : new int[0];
    asked = sampler.chunkAt((long) fromBatch * sampler.batch());
    this.epoch = epoch;
    java.util.Arrays.fill(holds, -1);
    nextToFill = fromBatch;
    nextPiece = 0;
    nextToHand = fromBatch;
    failed = false;
    startNanos = System.nanoTime();
    handedNanos = startNanos;
    startStallNanos = stallNanos;
    workedNanos = 0;
    ranNanos = 0;
    notifyAll();
    if (interrupted) Thread.currentThread().interrupt();
  }

  /**
   * The next batch, or null after the last one of the epoch.
   *
   * @throws UncheckedIOException if a sample of the batch could not be read; the message names it, and the epoch is over
   */
  public synchronized ImageBatch next() {
    requireOpen();
    if (failed) throw new IllegalStateException("Loader: the epoch ended with an error; call start for another");
    if (nextToHand >= sampler.batches()) return null;
    await(() -> false);
    int at = nextToHand % ring.length;
    for (Throwable failure : failures[at]) {
      if (failure == null) continue;
      failed = true;
      nextToFill = sampler.batches();
      if (failure instanceof IOException e) throw new UncheckedIOException(e.getMessage(), e);
      throw new IllegalStateException(failure.getMessage(), failure);
    }
    nextToHand++;
    handedNanos = System.nanoTime();
    return ring[at];
  }

  /**
   * Returns when {@link #next} need not wait, or when it is to wait no longer; the batch handed out before is given up.
   *
   * @param enough asked while the disk does not answer, {@value #PAUSE_MILLIS} milliseconds apart
   */
  public synchronized void await(BooleanSupplier enough) {
    requireOpen();
    int at = nextToHand % ring.length, before = (nextToHand + ring.length - 1) % ring.length;
    if (holds[before] == nextToHand - 1) {
      holds[before] = -1;
      notifyAll();
    }
    if (failed || nextToHand >= sampler.batches() || holds[at] == nextToHand) return;
    long begin = System.nanoTime();
    boolean interrupted = false;
    while (holds[at] != nextToHand && !closed && !enough.getAsBoolean()) {
      interrupted |= pause(PAUSE_MILLIS);
      if (!toldSlow && System.nanoTime() - begin > slowMillis * 1_000_000) tellSlow();
    }
    stallNanos += System.nanoTime() - begin;
    if (interrupted) Thread.currentThread().interrupt();
    requireOpen();
  }

  private void tellSlow() {
    toldSlow = true;
    watch.notice("No batch of " + dataset.name() + " for " + slowMillis / 1000.0 + " seconds: the disk is slow or does not answer (said once)");
  }

  /** Batches of one epoch. */
  public int batches() {
    return sampler.batches();
  }

  /** The batch that {@link #next} hands out next: the place to resume at. */
  public synchronized int position() {
    return nextToHand;
  }

  /** Nanoseconds that {@link #next} has waited since the loader was made. */
  public synchronized long stallNanos() {
    return stallNanos;
  }

  /** The part of the time from the last {@link #start} to the last batch that {@link #next} has waited, in 0..1. */
  public synchronized double stallShare() {
    return handedNanos == startNanos ? 0 : (double) (stallNanos - startStallNanos) / (handedNanos - startNanos);
  }

  /** The seconds of that time that {@link #next} has waited. */
  public synchronized double stallSeconds() {
    return (stallNanos - startStallNanos) / 1e9;
  }

  /** The part of the time that threads worked on batches since {@link #start} in which a processor ran them, in 0..1: the rest they waited for the disk, or for a processor. */
  public synchronized double ranShare() {
    return workedNanos == 0 ? 1 : Math.min(1, (double) ranNanos / workedNanos);
  }

  /** Stops the threads and waits until they are gone, but {@value #CLOSE_SECONDS} seconds at most for a disk that does not answer; a second call does nothing. */
  @Override public void close() {
    synchronized (this) {
      closed = true;
      notifyAll();
    }
    boolean interrupted = false;
    long until = System.nanoTime() + CLOSE_SECONDS * 1_000_000_000L;
    for (Thread worker : workers) {
      while (worker.isAlive() && System.nanoTime() < until) {
        try {
          worker.join(PAUSE_MILLIS);
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    if (interrupted) Thread.currentThread().interrupt();
  }

  private void work(Augmenter augmenter) {
    while (true) {
      int batch;
      int piece;
      int[] epochOrder;
      int batchEpoch;
      int[] epochChunks;
      int from;
      int to;
      synchronized (this) {
        while (!closed && (nextToFill >= sampler.batches() || nextToFill >= nextToHand + ring.length
            || holds[nextToFill % ring.length] >= 0)) {
          pause(0);
        }
        if (closed) return;
        batch = nextToFill;
        piece = nextPiece++;
        if (piece == 0) lacks[batch % ring.length] = pieces;
        if (nextPiece == pieces) {
          nextPiece = 0;
          nextToFill++;
        }
        epochOrder = order;
        batchEpoch = epoch;
        epochChunks = chunks;
        from = asked;
        to = (int) Math.min(chunks.length, ((batch + 1L) * sampler.batch() + sampler.window()) / sampler.chunk() + 2);
        asked = Math.max(from, to);
        filling++;
      }
      long begin = System.nanoTime(), ran = CLOCK.getCurrentThreadCpuTime();
      for (int c = from; c < to; c++) dataset.readAhead(epochChunks[c] * sampler.chunk(), sampler.end(epochChunks[c]));
      Throwable failure = fill(augmenter, batch, piece, batchEpoch, epochOrder);
      synchronized (this) {
        int at = batch % ring.length;
        failures[at][piece] = failure;
        workedNanos += System.nanoTime() - begin;
        ranNanos += CLOCK.getCurrentThreadCpuTime() - ran;
        if (--lacks[at] == 0) {
          ring[at].count(sampler.to(batch) - sampler.from(batch));
          holds[at] = batch;
          notifyAll();
        }
        if (--filling == 0) notifyAll();
      }
    }
  }

  private Throwable fill(Augmenter augmenter, int batch, int piece, int batchEpoch, int[] epochOrder) {
    ImageBatch into = ring[batch % ring.length];
    int from = sampler.from(batch), images = sampler.to(batch) - from;
    int bytes = into.imageBytes();
    for (int image = piece * PIECE; image < Math.min(images, (piece + 1) * PIECE); image++) {
      int index = epochOrder[from + image];
      try {
        Boxes boxes = dataset.hasBoxes() ? into.boxes()[image] : null;
        int shown = show(augmenter, index, batchEpoch, into.pixels(), image * bytes, bytes, boxes);
        into.labels()[image] = dataset.label(shown);
        into.sampleIds()[image] = shown;
      } catch (IOException e) {
        return new IOException(named(index, batchEpoch, e), e);
      } catch (RuntimeException | Error e) {
        return new IllegalStateException(named(index, batchEpoch, e), e);
      }
    }
    return null;
  }

  /** Writes an image or what stands for it, and returns the index of what was written; the boxes are of what was written, or the file's own where it is black. */
  private int show(Augmenter augmenter, int index, int batchEpoch, byte[] into, int offset, int bytes, Boxes boxes) throws IOException {
    try {
      read(augmenter, index, batchEpoch, into, offset, boxes);
      return index;
    } catch (BadImageException bad) {
      if (!sampler.shuffle()) {
        watch.bad(dataset, batchEpoch, index, LoaderWatch.BLACK, named(index, batchEpoch, bad));
        java.util.Arrays.fill(into, offset, offset + bytes, (byte) 0);
        if (boxes != null) dataset.boxes(index, boxes);
        return index;
      }
      CounterRandom random = new CounterRandom().reset(sampler.seed(), batchEpoch, index, CounterRandom.REPLACEMENT);
      for (int i = 0; i < REPLACEMENTS; i++) {
        int other = random.nextInt(dataset.size());
        watch.bad(dataset, batchEpoch, index, other, named(index, batchEpoch, bad));
        try {
          read(augmenter, other, batchEpoch, into, offset, boxes);
          return other;
        } catch (BadImageException alsoBad) {
          bad = alsoBad;
          index = other;
        }
      }
      throw bad;
    }
  }

  /** Reads an image; a disk that fails is asked again, {@value #READS} times in all. */
  private void read(Augmenter augmenter, int index, int batchEpoch, byte[] into, int offset, Boxes boxes) throws IOException {
    for (int attempt = 1; ; attempt++) {
      try {
        augmenter.read(dataset, index, batchEpoch, into, offset, boxes);
        return;
      } catch (BadImageException e) {
        throw e;
      } catch (IOException e) {
        if (attempt == READS) throw e;
        tellRetry(named(index, batchEpoch, e));
        java.util.concurrent.locks.LockSupport.parkNanos(attempt * PAUSE_MILLIS * 1_000_000);
      }
    }
  }

  private void tellRetry(String what) {
    synchronized (this) {
      if (toldRetry) return;
      toldRetry = true;
    }
    watch.notice("Reading again after: " + what + " (said once; a read is tried " + READS + " times)");
  }

  private String named(int index, int batchEpoch, Throwable e) {
    String what = dataset.describe(index);
    String why = switch (e) {
      case NoSuchFileException gone -> gone.getFile() + " does not exist";
      case AccessDeniedException denied -> denied.getFile() + " may not be read by this user";
      default -> e.getMessage() == null ? e.toString() : e.getMessage();
    };
    String sample = " (sample " + index + " of epoch " + batchEpoch + ")";
    return why.endsWith(sample) ? why : (why.contains(what) ? why : what + ": " + why) + sample;
  }

  /** Waits for a notice, so many milliseconds where they are not 0; true if the thread was interrupted meanwhile. */
  private boolean pause(long millis) {
    try {
      wait(millis);
      return false;
    } catch (InterruptedException e) {
      return true;
    }
  }

  private void requireOpen() {
    if (closed) throw new IllegalStateException("Loader: is closed");
  }
}
