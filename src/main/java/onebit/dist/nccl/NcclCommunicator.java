package onebit.dist.nccl;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;
import onebit.dist.Activity;
import onebit.dist.Communicator;
import onebit.ops.Backend;
import onebit.ops.DeviceStreams;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Ranks over NCCL, for tensors in device memory: one process and one device each.
 *
 * <p>Means run on a second stream beside backward; everything else is in the order of the backend's stream. Sums are NCCL's, whose order
 * is fixed by the GPU model, driver, NCCL and number of ranks: within those a run repeats bit for bit, and ranks equal each other always.
 *
 * <pre>
 * Encoding  whole numbers and bytes travel as float32 holding 16 bits each, which is exact
 * </pre>
 */
public final class NcclCommunicator implements Communicator {
  private static final int STEPS_BETWEEN_AGREEMENTS = 16, WORDS_PER_LONG = 4, WORD = 0xffff;

  private final NcclLibrary nccl;
  private final MemorySegment communicator;
  private final Backend backend;
  private final DeviceStreams streams;
  private final Activity activity = new Activity();
  private final Map<Integer, Tensor> words = new HashMap<>();
  private final Map<Tensor, Tensor> rounded = new IdentityHashMap<>();
  private final List<Tensor> travelling = new ArrayList<>();
  private final int rank;
  private boolean closed;
  private final int size;

  private NcclCommunicator(NcclLibrary nccl, MemorySegment communicator, Backend backend, DeviceStreams streams, int rank, int size) {
    this.nccl = nccl;
    this.communicator = communicator;
    this.backend = backend;
    this.streams = streams;
    this.rank = rank;
    this.size = size;
  }

  /**
   * Joins the ranks; returns when all have come.
   *
   * @param share gives rank 0's bytes to everyone: rank 0 passes the name under which the ranks meet, the others null
   * @throws IOException if NCCL is not installed
   * @throws IllegalArgumentException if the backend is no device
   */
  public static NcclCommunicator open(Backend backend, int rank, int size, UnaryOperator<byte[]> share) throws IOException {
    if (!(backend instanceof DeviceStreams streams)) {
      throw new IllegalArgumentException("NCCL works on CUDA devices; the device is " + backend.name() + ", for which --procs N and Open MPI are there");
    }
    NcclLibrary nccl = NcclLibrary.open(streams.libraryFolders());
    streams.enter();
    byte[] id = share.apply(rank == 0 ? nccl.uniqueId() : null);
    return new NcclCommunicator(nccl, nccl.initialize(id, rank, size), backend, streams, rank, size);
  }

  /** Why there is no NCCL in these folders, in one sentence; null where there is. */
  public static String refusal(List<Path> folders) {
    return NcclLibrary.find(folders).isEmpty() ? NcclLibrary.missing() : null;
  }

  /** What doctor says about NCCL, looked for in these folders. */
  public static String finding(List<Path> folders) {
    try {
      NcclLibrary nccl = NcclLibrary.open(folders);
      int version = nccl.version();
      return "NCCL: " + version / 10_000 + "." + version / 100 % 100 + "." + version % 100 + " at " + nccl.file();
    } catch (IOException e) {
      return e.getMessage();
    }
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
    int version = nccl.version();
    return "NCCL " + version / 10_000 + "." + version / 100 % 100 + "." + version % 100 + ", " + size + (size == 1 ? " process" : " processes");
  }

  @Override
  public Activity activity() {
    return activity;
  }

  @Override
  public int stepsBetweenAgreements() {
    return STEPS_BETWEEN_AGREEMENTS;
  }

  @Override
  public void startMean(String what, List<Tensor> tensors, ElementType travel) {
    activity.enter(what);
    streams.enter();
    boolean round = travel == ElementType.BFLOAT16;
    if (round) {
      for (Tensor tensor : tensors) backend.point().copy(twin(tensor), tensor);
      travelling.addAll(tensors);
    }
    streams.sideAfterMain();
    nccl.together(() -> {
      for (Tensor tensor : tensors) {
        nccl.mean(streams.address(round ? twin(tensor) : tensor), tensor.size(), round ? NcclLibrary.BFLOAT16 : NcclLibrary.FLOAT32, communicator,
            streams.sideStream());
      }
    });
  }

  /** Room for a tensor's values in 16 bits, the same in every step. */
  private Tensor twin(Tensor tensor) {
    return rounded.computeIfAbsent(tensor, t -> backend.create(t.shape(), ElementType.BFLOAT16));
  }

  @Override
  public void awaitMeans() {
    streams.enter();
    streams.mainAfterSide();
    for (Tensor tensor : travelling) backend.point().copy(tensor, twin(tensor));
    travelling.clear();
  }

  @Override
  public void allGather(Tensor all, Tensor own) {
    if (all.size() != own.size() * size) throw new IllegalArgumentException("allGather: " + all.shape() + " must hold " + size + " of " + own.shape());
    activity.enter("statistics of the batch");
    gather(all, own);
  }

  private void gather(Tensor all, Tensor own) {
    streams.enter();
    nccl.allGather(streams.address(all), streams.address(own), own.size(), communicator, streams.mainStream());
  }

  @Override
  public void broadcast(List<Tensor> tensors) {
    activity.enter("broadcast");
    streams.enter();
    nccl.together(() -> {
      for (Tensor tensor : tensors) nccl.broadcast(streams.address(tensor), tensor.size(), communicator, streams.mainStream());
    });
    backend.synchronize();
    activity.leave();
  }

  @Override
  public byte[] broadcast(byte[] ofRankZero) {
    int length = (int) allGather(new long[] {rank == 0 ? ofRankZero.length : 0})[0][0];
    if (length == 0) return new byte[0];
    activity.enter("broadcast");
    Tensor room = backend.create(Shape.vector(length));
    if (rank == 0) {
      float[] values = new float[length];
      for (int i = 0; i < length; i++) values[i] = ofRankZero[i];
      backend.write(room, values);
    }
    streams.enter();
    nccl.broadcast(streams.address(room), length, communicator, streams.mainStream());
    float[] values = backend.read(room);
    activity.leave();
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) bytes[i] = (byte) values[i];
    return bytes;
  }

  @Override
  public long[][] allGather(long[] own) {
    activity.enter("agreement");
    int each = own.length * WORDS_PER_LONG;
    Tensor mine = words.computeIfAbsent(each, n -> backend.create(Shape.vector(n)));
    Tensor all = words.computeIfAbsent(-each, n -> backend.create(Shape.vector(each * size)));
    float[] values = new float[each];
    for (int i = 0; i < each; i++) values[i] = own[i / WORDS_PER_LONG] >>> 16 * (i % WORDS_PER_LONG) & WORD;
    backend.write(mine, values);
    gather(all, mine);
    float[] received = backend.read(all);
    activity.leave();
    long[][] rows = new long[size][own.length];
    for (int i = 0; i < received.length; i++) rows[i / each][i % each / WORDS_PER_LONG] |= (long) received[i] << 16 * (i % WORDS_PER_LONG);
    return rows;
  }

  @Override
  public synchronized Optional<String> trouble() {
    return closed ? Optional.empty() : nccl.trouble(communicator);
  }

  @Override
  public void close() {
    allGather(new long[] {0});
    streams.forgetRecorded();   // ncclCommDestroy waits for the end of every graph that holds one of its collectives
    synchronized (this) {
      closed = true;   // whoever asks for trouble has its answer, or none
    }
    nccl.destroy(communicator);
  }
}
