package onebit.ops;

import onebit.tensor.Arena;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** One place where tensors live and ops run: a few op families, and the ways in and out. */
public interface Backend extends AutoCloseable {
  /** The device's name, as {@code --device} takes it. */
  String name();

  /** One sentence each on what does the work: vector instructions, BLAS, device. */
  java.util.List<String> describe();

  /** Which of several ways of summing computes here: backends that say the same give the same bits. */
  default String arithmetic() {
    return name();
  }

  /** A new tensor of zeros. */
  Tensor create(Shape shape, ElementType type);

  default Tensor create(Shape shape) {
    return create(shape, ElementType.FLOAT32);
  }

  /** What activations and their gradients are stored as; everything else is FLOAT32. */
  ElementType activations();

  /** Whether a step is faster by fused passes than by one op after the other. */
  boolean gainsByFusing();

  /** New bits, all 0. */
  BitTensor createBits(int rows, int bits);

  /**
   * A tensor whose values live within one step only, so that a plan may let others use its memory before and after; without a plan one like
   * any other.
   */
  default Tensor room(Shape shape, ElementType type) {
    return create(shape, type);
  }

  /** Bits that live within one step only. */
  default BitTensor roomForBits(int rows, int bits) {
    return createBits(rows, bits);
  }

  /** Says what the tensors made from now on belong to; only a plan remembers it. */
  default void owner(String name) {}

  /** Whether rooms should be planned before they are asked for. */
  default boolean plansRooms() {
    return false;
  }

  /** Gives the rooms asked from now on, in this order, the places of a plan; null ends that. */
  default void usePlan(Arena plan) {}

  /** Copies host values into the tensor, rounded to the nearest where it is BFLOAT16; values must be at least as many. */
  void write(Tensor to, float[] values);

  void write(Tensor to, int[] values);

  void write(Tensor to, byte[] values);

  /** Sets the bits to words as {@link #read(BitTensor)} gives them. */
  void write(BitTensor to, long[] words);

  /** A copy of the values on the host, in memory order. */
  default float[] read(Tensor from) {
    float[] values = new float[from.size()];
    read(values, from);
    return values;
  }

  /** The same into room that is there. */
  void read(float[] to, Tensor from);

  /** A copy of the bits on the host: 64-bit words, bit k of a row is bit k % 64 of its word k / 64. */
  long[] read(BitTensor from);

  void fill(Tensor to, float value);

  /** Asks for at most {@value #READBACK} values without waiting; each readback is taken before eight more are asked. */
  Readback readLater(Tensor from);

  /** Most values of a readback. */
  int READBACK = 64;

  /** Something that runs work which is the same each time. */
  default Recorder recorder() {
    return Recorder.DIRECT;
  }

  /** Whether recorded work is replayed, as it is from the start; of no effect where nothing is recorded. */
  default void replay(boolean whether) {}

  /** A way in for bytes, shaped as the largest batch. */
  Inlet inlet(Shape shape);

  /** Why gradients cannot be rounded to float8 here, in words; null where they can. */
  default String float8Refusal() {
    return null;
  }

  /** Returns when everything asked so far is done. */
  void synchronize();

  /** What it computes with. */
  Ops ops();

  default BitOps bits() {
    return ops().bits();
  }

  default ConvOps conv() {
    return ops().conv();
  }

  default NormOps norm() {
    return ops().norm();
  }

  default PointOps point() {
    return ops().point();
  }

  default PoolOps pool() {
    return ops().pool();
  }

  default BinarizeOps binarize() {
    return ops().binarize();
  }

  default WeightOps weights() {
    return ops().weights();
  }

  default LossOps loss() {
    return ops().loss();
  }

  default OptimOps optim() {
    return ops().optim();
  }

  default FusedOps fused() {
    return ops().fused();
  }

  default DenseOps dense() {
    return ops().dense();
  }

  @Override
  void close();
}
