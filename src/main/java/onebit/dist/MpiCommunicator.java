package onebit.dist;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadFactory;
import onebit.ops.Backend;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/**
 * Ranks over Open MPI, for tensors in host memory.
 *
 * <p>One thread makes all calls, so gradients travel while the caller goes on with backward. A mean is an all-to-all of slices, the sum of
 * each slice in the order of the ranks by its owner, and an all-gather: as many bytes as a ring, and one order of summation whatever
 * algorithm Open MPI chooses.
 */
public final class MpiCommunicator implements Communicator {
  /** So many bytes travel at once at most, per rank: what does not fit goes in several rounds. */
  private static final int ROUND_BYTES = 8 << 20;

  private final MpiLibrary mpi;
  private final ExecutorService thread;
  private final Backend backend;
  private final Activity activity = new Activity();
  private final Arena arena = Arena.ofShared();
  private final int rank;
  private final int size;
  private final String version;
  private MemorySegment send = MemorySegment.NULL;
  private MemorySegment receive = MemorySegment.NULL;
  private Future<?> lastMean;
  private Exception failed;

  private MpiCommunicator(MpiLibrary mpi, ExecutorService thread, Backend backend) {
    this.mpi = mpi;
    this.thread = thread;
    this.backend = backend;
    int[] place = call("start", () -> {
      mpi.initialize();
      return new int[] {mpi.rank(), mpi.size()};
    });
    rank = place[0];
    size = place[1];
    version = call("start", mpi::version);
  }

  /**
   * Joins the processes that mpirun or srun started.
   *
   * @param backend where tensors live: one with its values in host memory
   * @throws IOException if Open MPI is not installed, or it and the environment disagree on who is here
   */
  public static MpiCommunicator open(Launch launch, Backend backend) throws IOException {
    MpiLibrary mpi = MpiLibrary.open();
    ThreadFactory daemon = work -> {
      Thread made = new Thread(work, "onebit-mpi");
      made.setDaemon(true);
      return made;
    };
    MpiCommunicator all = new MpiCommunicator(mpi, Executors.newSingleThreadExecutor(daemon), backend);
    if (all.size != launch.size() || all.rank != launch.rank()) {
      throw new IOException("Open MPI says this is rank " + all.rank + " of " + all.size + ", the environment (" + launch.kind() + ") rank " + launch.rank()
          + " of " + launch.size() + "; start with mpirun, or with srun --mpi=pmix where Slurm has it");
    }
    return all;
  }

  /** Why there is no Open MPI here, in one sentence with its mending; null if there is one. */
  public static String refusal() {
    return MpiLibrary.refusal();
  }

  /** What doctor says about Open MPI. */
  public static String finding() {
    return MpiLibrary.find() == null ? MpiLibrary.refusal() + " (only for train --procs and mpirun)" : "Open MPI at " + MpiLibrary.find();
  }

  @Override
  public int rank() {
    return rank;
  }

  @Override
  public int size() {
    return size;
  }

  @Override
  public String describe() {
    return version + ", " + size + " processes";
  }

  @Override
  public Activity activity() {
    return activity;
  }

  @Override
  public void startMean(String what, List<Tensor> tensors, ElementType travel) {
    lastMean = thread.submit(() -> within(what, () -> {
      mean(tensors, travel);
      return null;
    }));
  }

  @Override
  public void awaitMeans() {
    if (lastMean == null) return;
    get(lastMean);
    lastMean = null;
  }

  /** The tensors as one row of values, in rounds that fit the buffers. */
  private void mean(List<Tensor> tensors, ElementType travel) {
    long left = tensors.stream().mapToLong(Tensor::size).sum();
    int atTensor = 0, atValue = 0;
    while (left > 0) {
      int count = (int) Math.min(left, ROUND_BYTES / travel.bytes()), slice = (count + size - 1) / size;
      reserve((long) slice * size * travel.bytes());
      int fromTensor = atTensor, fromValue = atValue;
      for (int done = 0; done < count;) {
        Tensor tensor = tensors.get(atTensor);
        int some = Math.min(count - done, tensor.size() - atValue);
        RankOrderMean.send(send, done, tensor.floats(), atValue, some, travel);
        done += some;
        atValue += some;
        if (atValue == tensor.size()) {
          atTensor++;
          atValue = 0;
        }
      }
      send.asSlice((long) count * travel.bytes(), (long) (slice * size - count) * travel.bytes()).fill((byte) 0);
      int bytes = slice * travel.bytes();
      mpi.allToAll(receive, send, bytes);
      RankOrderMean.mean(send, receive, size, slice, travel);
      mpi.allGather(receive, send, bytes);
      int tensorAgain = fromTensor, valueAgain = fromValue;
      for (int done = 0; done < count;) {
        Tensor tensor = tensors.get(tensorAgain);
        int some = Math.min(count - done, tensor.size() - valueAgain);
        RankOrderMean.receive(tensor.floats(), valueAgain, some, receive, done, travel);
        done += some;
        valueAgain += some;
        if (valueAgain == tensor.size()) {
          tensorAgain++;
          valueAgain = 0;
        }
      }
      left -= count;
    }
  }

  /** Both buffers of at least so many bytes, kept for the next call. */
  private void reserve(long bytes) {
    if (send.byteSize() >= bytes) return;
    send = arena.allocate(bytes, 64);
    receive = arena.allocate(bytes, 64);
  }

  @Override
  public void allGather(Tensor all, Tensor own) {
    if (all.size() != own.size() * size) throw new IllegalArgumentException("allGather: " + all.shape() + " must hold " + size + " of " + own.shape());
    call("statistics of the batch", () -> {
      long each = 4L * own.size();
      reserve(each * size);
      MemorySegment.copy(own.floats(), 0, send, ValueLayout.JAVA_FLOAT, 0, own.size());
      mpi.allGather(receive, send, (int) each);
      MemorySegment.copy(receive, ValueLayout.JAVA_FLOAT, 0, all.floats(), 0, all.size());
      return null;
    });
  }

  @Override
  public void broadcast(List<Tensor> tensors) {
    for (Tensor tensor : tensors) {
      float[] values = backend.read(tensor);
      byte[] bytes = rank == 0 ? MemorySegment.ofArray(values).toArray(ValueLayout.JAVA_BYTE) : null;
      MemorySegment.copy(MemorySegment.ofArray(broadcast(bytes)), 0, MemorySegment.ofArray(values), 0, 4L * values.length);
      if (rank != 0) backend.write(tensor, values);
    }
  }

  @Override
  public byte[] broadcast(byte[] ofRankZero) {
    long length = allGather(new long[] {rank == 0 ? ofRankZero.length : 0})[0][0];
    return call("broadcast", () -> {
      reserve(length);
      if (rank == 0) MemorySegment.copy(ofRankZero, 0, send, ValueLayout.JAVA_BYTE, 0, ofRankZero.length);
      mpi.broadcast(send, Math.toIntExact(length));
      return send.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE);
    });
  }

  @Override
  public long[][] allGather(long[] own) {
    return call("agreement", () -> {
      long each = 8L * own.length;
      reserve(each * size);
      MemorySegment.copy(own, 0, send, ValueLayout.JAVA_LONG, 0, own.length);
      mpi.allGather(receive, send, (int) each);
      long[][] all = new long[size][own.length];
      for (int r = 0; r < size; r++) MemorySegment.copy(receive, ValueLayout.JAVA_LONG, each * r, all[r], 0, own.length);
      return all;
    });
  }

  private <T> T call(String what, Callable<T> work) {
    return get(thread.submit(() -> within(what, work)));
  }

  /** After one that failed none is made: the other ranks would take it for the one that is missing here. */
  private <T> T within(String what, Callable<T> work) throws Exception {
    if (failed != null) throw failed;
    activity.enter(what);
    try {
      return work.call();
    } catch (Exception | Error e) {
      failed = e instanceof Exception known ? known : new IllegalStateException(what + ": " + e, e);
      throw e;
    } finally {
      activity.leave();
    }
  }

  private static <T> T get(Future<T> future) {
    try {
      return future.get();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException known) throw known;
      throw new IllegalStateException(e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted in a collective", e);
    }
  }

  @Override
  public void close() {
    call("end", () -> {
      mpi.barrier();
      mpi.finish();
      return null;
    });
    thread.shutdown();
    arena.close();
  }
}
