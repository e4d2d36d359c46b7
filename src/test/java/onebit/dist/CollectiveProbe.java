package onebit.dist;

import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32;
import onebit.dist.nccl.NcclCommunicator;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.ops.cuda.CudaBackend;
import onebit.tensor.Bfloat16;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** One rank of CommunicatorTest: tries every collective against what it can compute alone, and says so. */
final class CollectiveProbe {
  private static final int LARGE = 2_100_003;

  private CollectiveProbe() {}

  public static void main(String[] arguments) throws Exception {
    Launch launch = Launch.detect(System.getenv());
    ElementType travel = ElementType.valueOf(arguments[1]);
    int rounds = Integer.parseInt(arguments[2]);
    boolean mpi = arguments[0].equals("mpi");
    try (Backend backend = mpi ? new CpuBackend() : CudaBackend.emulated(); Communicator all = open(mpi, launch, backend)) {
      require(all.rank() == launch.rank() && all.size() == launch.size(), "place");
      if (arguments.length > 3) misuse(all, backend, arguments[3]);
      large(all, backend, travel, mpi);
      rest(all, backend);
      drift(all, backend, rounds);
      System.out.println("rank " + all.rank() + " of " + all.size() + " good: " + all.describe());
    }
  }

  private static Communicator open(boolean mpi, Launch launch, Backend backend) throws Exception {
    if (mpi) return MpiCommunicator.open(launch, backend);
    return NcclCommunicator.open(backend, launch.rank(), launch.size(), id -> {
      try {
        return Rendezvous.share(id, launch.rank(), launch.size(), Rendezvous.address(launch, System.getenv()), Duration.ofSeconds(60));
      } catch (java.io.IOException e) {
        throw new java.io.UncheckedIOException(e);
      }
    });
  }

  private static float value(int rank, int i) {
    return (float) Math.sin(i * 0.37 + rank) * (1 + i % 7) * 0.01f;
  }

  private static Tensor tensor(Backend backend, int rank, int from, int size) {
    float[] values = new float[size];
    for (int i = 0; i < size; i++) values[i] = value(rank, from + i);
    Tensor tensor = backend.create(Shape.vector(size));
    backend.write(tensor, values);
    return tensor;
  }

  /** Two tensors that together are longer than one round, beside a third in a bucket of its own. */
  private static void large(Communicator all, Backend backend, ElementType travel, boolean mpi) {
    List<Tensor> bucket = List.of(tensor(backend, all.rank(), 0, 5), tensor(backend, all.rank(), 5, LARGE));
    Tensor other = tensor(backend, all.rank(), 9, 3);
    all.startMean("first", bucket, travel);
    all.startMean("second", List.of(other), travel);
    all.awaitMeans();
    float[] got = backend.read(bucket.get(1)), head = backend.read(bucket.get(0));
    for (int i = 0; i < LARGE + 5; i++) {
      float wanted = mean(i, all.size(), travel, mpi), is = i < 5 ? head[i] : got[i - 5];
      require(Float.floatToIntBits(wanted) == Float.floatToIntBits(is), "mean " + i + " is " + is + ", not " + wanted);
    }
    require(backend.read(other)[2] == mean(11, all.size(), travel, mpi), "second bucket");
  }

  private static float mean(int i, int size, ElementType travel, boolean mpi) {
    boolean rounded = travel == ElementType.BFLOAT16;
    double wide = 0;
    float narrow = 0;
    for (int r = 0; r < size; r++) {
      float v = rounded ? Bfloat16.value(Bfloat16.of(value(r, i))) : value(r, i);
      wide += v;
      narrow += v;
    }
    float mean = mpi ? (float) (wide / size) : narrow / size;
    return rounded ? Bfloat16.value(Bfloat16.of(mean)) : mean;
  }

  private static void rest(Communicator all, Backend backend) {
    long[][] rows = all.allGather(new long[] {all.rank(), Long.MIN_VALUE + all.rank(), -1});
    for (int r = 0; r < all.size(); r++) require(Arrays.equals(rows[r], new long[] {r, Long.MIN_VALUE + r, -1}), "longs " + Arrays.toString(rows[r]));
    require(all.sum(all.rank(), 1)[1] == all.size() && all.sum(all.rank())[0] == all.size() * (all.size() - 1) / 2, "sum");
    require(all.any(all.rank() == all.size() - 1) && !all.any(false), "any");
    byte[] bytes = all.broadcast(all.rank() == 0 ? new byte[] {1, -2, 127, -128, 0} : null);
    require(Arrays.equals(bytes, new byte[] {1, -2, 127, -128, 0}), "bytes " + Arrays.toString(bytes));
    require(all.broadcast(all.rank() == 0 ? new byte[0] : null).length == 0, "no bytes");
    Tensor first = tensor(backend, all.rank(), 0, 3), second = tensor(backend, all.rank(), 100, 70_001);
    all.broadcast(List.of(first, second));
    require(backend.read(first)[2] == value(0, 2) && backend.read(second)[70_000] == value(0, 70_100), "broadcast");
    Tensor own = tensor(backend, all.rank(), 0, 6), gathered = backend.create(Shape.matrix(all.size(), 6));
    all.allGather(gathered, own);
    float[] got = backend.read(gathered);
    for (int r = 0; r < all.size(); r++) for (int i = 0; i < 6; i++) require(got[r * 6 + i] == value(r, i), "gathered");
  }

  /** Means of means, many times: the ranks must not drift apart by a bit. */
  private static void drift(Communicator all, Backend backend, int rounds) {
    Tensor x = tensor(backend, all.rank(), 0, 5000), noise = tensor(backend, all.rank(), 7, 5000);
    for (int i = 0; i < rounds; i++) {
      backend.point().accumulateScaled(x, noise, 0.1f * (all.rank() + 1));
      all.startMean("round " + i, List.of(x), ElementType.FLOAT32);
      all.awaitMeans();
    }
    CRC32 crc = new CRC32();
    for (float v : backend.read(x)) for (int b = 0; b < 32; b += 8) crc.update(Float.floatToRawIntBits(v) >>> b);
    for (long[] row : all.allGather(new long[] {crc.getValue()})) require(row[0] == crc.getValue(), "the ranks drifted apart");
  }

  private static void misuse(Communicator all, Backend backend, String how) throws Exception {
    if (how.equals("unequal")) {
      all.startMean("unequal", List.of(tensor(backend, 0, 0, all.rank() == 1 ? 11 : 10)), ElementType.FLOAT32);
      all.awaitMeans();
      backend.synchronize();
      all.allGather(new long[] {1});
    }
    if (how.equals("fail")) fail(all, backend);
    if (how.equals("die") && all.rank() == 1) Runtime.getRuntime().halt(9);
    if (how.startsWith("hang")) hang(all, backend, how.substring(4));
  }

  /** The last rank cannot take part in the first of two means: it hears so, and the second does not go in its place. */
  private static void fail(Communicator all, Backend backend) {
    Tensor second = tensor(backend, all.rank(), 0, 3);
    boolean fails = all.rank() == all.size() - 1;
    all.startMean("first", Arrays.asList(fails ? null : tensor(backend, all.rank(), 7, 3)), ElementType.FLOAT32);
    all.startMean("second", List.of(second), ElementType.FLOAT32);
    try {
      all.awaitMeans();
      require(false, "the failure was lost");
    } catch (NullPointerException told) {
      System.out.println("rank " + all.rank() + " was told");
      System.out.flush();
      Runtime.getRuntime().halt(4);
    }
  }

  /** Rank 1 stays away from a collective; the watchdog of the others must name it. */
  private static void hang(Communicator all, Backend backend, String run) throws Exception {
    java.nio.file.Path folder = java.nio.file.Path.of(run);
    RankStatus.publish(folder, all.rank(), all.activity());
    all.activity().step(41 + all.rank());
    all.any(false);   // before anybody is watched: on a busy machine the others may be late
    new Watchdog(all.activity(), all.rank(), all.size(), Duration.ofSeconds(2), 0, reason -> {
      System.out.println(reason);
      System.out.flush();
      Runtime.getRuntime().halt(1);
    }).watch(all, folder);
    if (all.rank() == 1) Thread.sleep(100_000);
    all.startMean("gradients 3", List.of(tensor(backend, 0, 0, 10)), ElementType.FLOAT32);
    all.awaitMeans();
    backend.synchronize();
    all.any(true);
  }

  private static void require(boolean holds, String what) {
    if (holds) return;
    System.out.println("WRONG: " + what);
    Runtime.getRuntime().halt(3);
  }
}
