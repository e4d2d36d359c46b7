package onebit.ops;

import java.lang.reflect.Proxy;
import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import onebit.tensor.Arena;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * A backend that computes nothing: it notes which op uses which tensor, so that a step run on it tells the memory and the traffic of the real one.
 *
 * <pre>
 * Units    bytes; traffic: what an op reads and writes, each tensor once, and once more where its launches on the device do; products in operations, two
 *          for each multiply-accumulate
 * Differs  bits are counted in 32-bit words, as a device holds them; products of bits with bits are no operations, and neither are rotations; scratch of an op,
 *          such as partial sums of the gradients of binary filters, written and read, at most 128 MB a layer, is no traffic here
 * </pre>
 */
public final class PlanBackend implements Backend {
  /** Which arguments, by number, an op on the device reads or writes once more: in a second launch, or in the place of what it read. */
  private static final Map<String, int[]> AGAIN = Map.ofEntries(entry("batchNorm", 1), entry("batchNormBackward", 3, 4), entry("sampleStandard", 2),
      entry("sampleStandardBackward", 1, 2), entry("sampleScaleBackward", 1, 2), entry("centreDistance", 2, 2), entry("centreDistanceBackward", 1, 2),
      entry("accumulate", 0), entry("poolBackward", 0, 0, 3, 4), entry("normSignBackward", 0, 3, 4), entry("xnorConv2dGradFloat8", 2, 3, 3),
      entry("l2NormalizeBackward", 2, 3), entry("multibox", 2, 3, 3), entry("sgd", 0, 2), entry("adam", 0, 2, 3), entry("addAll", 0), entry("addBias", 0));

  /** Which argument of an op is a float32 matrix of which only as many values are touched as its other tensor has. */
  private static final Map<String, Integer> COLUMNS = Map.of("place", 0, "take", 1);

  /** How many convolutions of values an op multiplies, and ops that multiply matrices of values. */
  private static final Map<String, Integer> CONVOLUTIONS = Map.of("conv2d", 1, "conv2dGradX", 1, "conv2dGradW", 1, "conv2dOfPixels", 1, "conv2dOfPixelsGradW", 1,
      "statisticsOfPixels", 1, "xnorConv2dGradX", 1, "xnorConv2dGradW", 1, "xnorConv2dGradFloat8", 2);
  private static final Set<String> LINEAR = Set.of("linear", "linearGradX", "linearGradW");

  /** The op that each part of a batch begins with, which finds nothing of the part before in its rooms. */
  private static final String PART = "rows";

  private static Map.Entry<String, int[]> entry(String op, int... arguments) {
    return Map.entry(op, arguments);
  }

  /** One op of the step: the bytes it reads and writes, and the operations of its products of values. */
  public record Call(String op, long bytes, long operations) {}

  /** A tensor that stays from step to step. */
  private record Resident(String owner, long bytes) {}

  private final ElementType activations;
  private final boolean gains;
  private final Arena arena = new Arena();
  private final Map<Object, Long> residents = new IdentityHashMap<>();
  private final List<Call> calls = new ArrayList<>();
  private final Ops ops = new Ops(family(BitOps.class), family(ConvOps.class), family(NormOps.class), family(PointOps.class), family(PoolOps.class),
      family(BinarizeOps.class), family(WeightOps.class), family(LossOps.class), family(OptimOps.class), family(FusedOps.class), family(DenseOps.class));
  private String owner = "";

  /** Plans for a device whose activations are of that type. */
  public PlanBackend(ElementType activations, boolean gainsByFusing) {
    this.activations = activations;
    this.gains = gainsByFusing;
  }

  /** The lives of all rooms so far. */
  public Arena arena() {
    return arena;
  }

  /** Bytes of all tensors that stay: parameters, gradients, statistics, scratch. */
  public long residentBytes() {
    return residents.values().stream().mapToLong(Long::longValue).sum();
  }

  /** Those of them that belong to an owner of that name. */
  public long residentBytes(String ofOwner) {
    return residents.keySet().stream().map(Resident.class::cast).filter(r -> r.owner.equals(ofOwner)).mapToLong(Resident::bytes).sum();
  }

  /** Forgets the ops so far: they belonged to no step. */
  public void forgetCalls() {
    calls.clear();
  }

  /** All ops so far, in their order. */
  public List<Call> calls() {
    return calls;
  }

  @Override
  public void owner(String name) {
    owner = name;
  }

  @Override
  public String name() {
    return "plan";
  }

  @Override
  public List<String> describe() {
    return List.of("a plan: nothing is computed");
  }

  @Override
  public ElementType activations() {
    return activations;
  }

  @Override
  public boolean gainsByFusing() {
    return gains;
  }

  @Override
  public Tensor create(Shape shape, ElementType type) {
    return new Tensor(shape, type, resident((long) shape.size() * type.bytes()));
  }

  @Override
  public BitTensor createBits(int rows, int bits) {
    return new BitTensor(rows, bits, resident(bitBytes(rows, bits)));
  }

  private Resident resident(long bytes) {
    Resident memory = new Resident(owner, bytes);
    residents.put(memory, bytes);
    return memory;
  }

  @Override
  public Tensor room(Shape shape, ElementType type) {
    return new Tensor(shape, type, arena.add(owner, (long) shape.size() * type.bytes()));
  }

  @Override
  public BitTensor roomForBits(int rows, int bits) {
    return new BitTensor(rows, bits, arena.add(owner, bitBytes(rows, bits)));
  }

  private static long bitBytes(int rows, int bits) {
    return 4L * rows * ((bits + 31) / 32);
  }

  @Override
  public void write(Tensor to, float[] values) {
    use(to);
  }

  @Override
  public void write(Tensor to, int[] values) {
    use(to);
  }

  @Override
  public void write(Tensor to, byte[] values) {
    use(to);
  }

  @Override
  public void write(BitTensor to, long[] words) {
    arena.next();
    note(to.memory());
  }

  @Override
  public void read(float[] to, Tensor from) {
    use(from);
  }

  @Override
  public long[] read(BitTensor from) {
    arena.next();
    note(from.memory());
    return new long[from.rows() * from.words()];
  }

  @Override
  public void fill(Tensor to, float value) {
    use(to);
  }

  @Override
  public Inlet inlet(Shape shape) {
    Tensor batch = create(shape, ElementType.UINT8);
    create(shape, ElementType.UINT8);   // the next batch is copied while the step still reads this one
    return (values, n) -> batch.first(n);
  }

  @Override
  public Readback readLater(Tensor from) {
    use(from);
    return () -> new float[from.size()];
  }

  private void use(Tensor tensor) {
    arena.next();
    note(tensor.memory());
  }

  private void note(Object memory) {
    if (memory instanceof Arena.Room room) arena.use(room);
  }

  @Override
  public void synchronize() {
    // nothing is ever under way
  }

  /** Every op of the family notes its arguments. */
  private <T> T family(Class<T> type) {
    return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (self, method, arguments) -> {
      note(method.getName(), arguments);
      return null;
    }));
  }

  private void note(String op, Object[] arguments) {
    if (op.equals(PART)) arena.restart();
    arena.next();
    Set<Object> seen = java.util.Collections.newSetFromMap(new IdentityHashMap<>());
    long bytes = 0;
    for (Object argument : arguments) bytes += bytes(argument, seen);
    if (COLUMNS.containsKey(op) && arguments[arguments.length - 1] instanceof Integer) {
      int matrix = COLUMNS.get(op);
      bytes += 4L * (((Tensor) arguments[1 - matrix]).size() - ((Tensor) arguments[matrix]).size());
    }
    for (int index : AGAIN.getOrDefault(op, new int[0])) bytes += again(arguments[index]);
    if (arguments.length > 4 && arguments[2] instanceof FusedOps.Unit unit && arguments[4] instanceof FusedOps.Running) {
      bytes += unit.y() == null ? factors(unit.product()) : again(unit.y());
    }
    if (arguments.length > 4 && arguments[3] instanceof FusedOps.Unit unit && arguments[4] instanceof FusedOps.Incoming) {
      // the second launch reads gradT, and y, whose place gradY takes, or the bits that make y
      bytes += again(arguments[1]) + (unit.y() == null ? factors(unit.product()) : 2 * again(unit.y()));
    }
    calls.add(new Call(op, bytes, operations(op, arguments)));
  }

  /** Operations of the products of values that an op computes: of its convolution, or of its two tensors' matrices. */
  private static long operations(String op, Object[] arguments) {
    if (op.equals("gemm")) return 2L * (int) arguments[5] * (int) arguments[6] * (int) arguments[7];
    if (LINEAR.contains(op)) {
      // the three matrices are N x I, O x I and N x O: the root of what their sizes multiply to
      double sizes = 1;
      for (Object each : arguments) sizes *= ((Tensor) each).size();
      return 2 * Math.round(Math.sqrt(sizes));
    }
    int convolutions = CONVOLUTIONS.getOrDefault(op, 0);
    if (convolutions == 0) return 0;
    for (Object each : arguments) {
      if (each instanceof ConvGeometry geometry) return 2 * convolutions * geometry.macs();
    }
    throw new IllegalStateException("PlanBackend: " + op + " has no geometry among its arguments");
  }

  /** Bits of images and of filters, which a second launch multiplies once more. */
  private long factors(FusedOps.Product product) {
    return again(product.x()) + again(product.w());
  }

  private long again(Object argument) {
    return bytes(argument, java.util.Collections.newSetFromMap(new IdentityHashMap<>()));
  }

  /** Bytes of the tensors in an argument, each memory once. */
  private long bytes(Object argument, Set<Object> seen) {
    switch (argument) {
      case null -> {
        return 0;
      }
      case Tensor tensor -> {
        note(tensor.memory());
        return seen.add(tensor.memory()) ? (long) tensor.size() * tensor.type().bytes() : 0;
      }
      case BitTensor bits -> {
        note(bits.memory());
        return seen.add(bits.memory()) ? bitBytes(bits.rows(), bits.bits()) : 0;
      }
      case DenseOps.Channels channels -> {
        note(channels.of().memory());
        return (long) channels.rows() * channels.count() * channels.of().type().bytes();
      }
      case List<?> list -> {
        long sum = 0;
        for (Object each : list) sum += bytes(each, seen);
        return sum;
      }
      case Record record -> {
        long sum = 0;
        for (Object part : parts(record)) sum += bytes(part, seen);
        return sum;
      }
      default -> {
        return 0;
      }
    }
  }

  private static List<Object> parts(Record record) {
    List<Object> all = new ArrayList<>();
    try {
      for (RecordComponent component : record.getClass().getRecordComponents()) {
        if (!component.getType().isPrimitive()) all.add(component.getAccessor().invoke(record));
      }
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("PlanBackend: " + record.getClass().getSimpleName() + " hides its parts", e);
    }
    return all;
  }

  @Override
  public Ops ops() {
    return ops;
  }

  @Override
  public void close() {
    // nothing is held
  }

  @Override
  public String toString() {
    return name();
  }
}
