package onebit.ops.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jcuda.Pointer;
import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.JCudaDriver;
import onebit.ops.DenseOps.Channels;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/**
 * One kernel with room for its arguments: each is appended in the order of its parameters, then {@code launch} runs it.
 *
 * <p>The room is reused, so a launch allocates nothing. On the emulated device a launch declares the bytes of the tensors and bits among its arguments,
 * each as often as it is given; scratch is not among them.
 */
final class Kernel {
  private static final int SLOTS = 96;
  private static final int FREE_SHARED_BYTES = 48 << 10;

  private final CudaDevice device;
  private final String name;
  private final ElementType elements;
  private final CUfunction function;
  private final MemorySegment values;
  private final MemorySegment entry;
  private final Pointer parameters;
  private int used;
  private long bytes;
  private int allowedShared;

  /** elements: what the entry reads and writes where its parameters are of type ELEMENT. */
  Kernel(CudaDevice device, String name, ElementType elements, CUfunction function) {
    this.device = device;
    this.name = name;
    this.elements = elements;
    this.function = function;
    MemorySegment room = Arena.ofAuto().allocate(16L * SLOTS, 8);
    entry = Arena.ofAuto().allocateFrom(name);
    values = room.asSlice(0, 8L * SLOTS);
    MemorySegment table = room.asSlice(8L * SLOTS, 8L * SLOTS);
    for (int i = 0; i < SLOTS; i++) table.setAtIndex(ValueLayout.JAVA_LONG, i, values.address() + 8L * i);
    parameters = Pointer.to(table.asByteBuffer());
    allowedShared = FREE_SHARED_BYTES - attribute(CUfunction_attribute.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
  }

  private int attribute(int which) {
    int[] value = new int[1];
    device.check("cuFuncGetAttribute " + name, JCudaDriver.cuFuncGetAttribute(value, which, function));
    return value[0];
  }

  /** The compute capability (times ten) that the code which the driver loaded for it was compiled for. */
  int capability() {
    return attribute(CUfunction_attribute.CU_FUNC_ATTRIBUTE_BINARY_VERSION);
  }

  /** A tensor whose type is the same in every entry: parameters, statistics, labels. */
  Kernel tensor(Tensor tensor) {
    if (tensor.type() == ElementType.BFLOAT16) throw wrongType(tensor, ElementType.FLOAT32);
    bytes += (long) tensor.size() * tensor.type().bytes();
    return memory(device.memory(tensor));
  }

  /** A tensor of the kernel's elements: activations and their gradients. */
  Kernel element(Tensor tensor) {
    if (tensor.type() != elements) throw wrongType(tensor, elements);
    bytes += (long) tensor.size() * tensor.type().bytes();
    return memory(device.memory(tensor));
  }

  /** A tensor that is bfloat16 in every entry. */
  Kernel bfloat16(Tensor tensor) {
    if (tensor.type() != ElementType.BFLOAT16) throw wrongType(tensor, ElementType.BFLOAT16);
    bytes += 2L * tensor.size();
    return memory(device.memory(tensor));
  }

  private IllegalArgumentException wrongType(Tensor tensor, ElementType wanted) {
    device.clearArguments();
    return new IllegalArgumentException("cuda: " + name + ": the tensor " + tensor.shape() + " is " + tensor.type() + "; it must be " + wanted);
  }

  /** Channels of wider rows of the kernel's elements, from the first of them on; the others are not declared. */
  Kernel channels(Channels x) {
    Tensor all = x.of();
    if (all.type() != elements) throw wrongType(all, elements);
    bytes += (long) x.rows() * x.count() * all.type().bytes();
    return address(device.memory(all).address() + (long) x.from() * all.type().bytes());
  }

  /** So many columns of a float32 matrix, from number from on; the others are not declared. */
  Kernel columns(Tensor matrix, int from, int count) {
    if (matrix.type() != ElementType.FLOAT32) throw wrongType(matrix, ElementType.FLOAT32);
    bytes += 4L * matrix.shape().d0() * count;
    return address(device.memory(matrix).address() + 4L * from);
  }

  Kernel bits(BitTensor bits) {
    bytes += 4L * bits.rows() * CudaBitOps.words(bits.bits());
    return memory(device.memory(bits));
  }

  Kernel memory(DeviceMemory memory) {
    return address(memory.address());
  }

  Kernel address(long value) {
    values.setAtIndex(ValueLayout.JAVA_LONG, used++, value);
    return this;
  }

  Kernel integer(int value) {
    values.set(ValueLayout.JAVA_INT, 8L * used++, value);
    return this;
  }

  Kernel real(float value) {
    values.set(ValueLayout.JAVA_FLOAT, 8L * used++, value);
    return this;
  }

  /** Level and slope as the kernels know them: kind and two values. */
  Kernel slope(SlopeCode slope) {
    return integer(slope.kind()).integer(slope.a()).integer(slope.b());
  }

  /** Runs over n elements in blocks of 256 threads. */
  void each(int n) {
    launch(device.blocks(n), 1, 256, 1, 0);
  }

  /** Runs so many blocks of so many threads. */
  void blocks(int blocks, int threads) {
    launch(blocks, 1, threads, 1, 0);
  }

  void launch(int gridX, int gridY, int blockX, int blockY, int sharedBytes) {
    int given = used;
    long declared = bytes;
    if (device.isEmulated()) EmulatedDriver.declare(entry, declared);
    clear();
    if (gridX == 0 || gridY == 0) return;
    if (device.profile() != null) device.profile().time(name, declared, () -> launch(gridX, gridY, blockX, blockY, sharedBytes, given));
    else launch(gridX, gridY, blockX, blockY, sharedBytes, given);
  }

  private void launch(int gridX, int gridY, int blockX, int blockY, int sharedBytes, int given) {
    device.enter();
    if (sharedBytes > allowedShared) {
      device.check("cuFuncSetAttribute " + name, JCudaDriver.cuFuncSetAttribute(function, CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, sharedBytes));
      allowedShared = sharedBytes;
    }
    int code = JCudaDriver.cuLaunchKernel(function, gridX, gridY, 1, blockX, blockY, 1, sharedBytes, device.stream(), parameters, null);
    if (code != 0) throw CudaException.driver("cuLaunchKernel " + name, code, "grid " + gridX + "x" + gridY + ", block " + blockX + "x" + blockY + ", "
        + sharedBytes + " bytes of shared memory, arguments " + arguments(given));
  }

  private String arguments(int count) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < count; i++) text.append(i == 0 ? "" : " ").append(Long.toHexString(values.getAtIndex(ValueLayout.JAVA_LONG, i)));
    return text.toString();
  }

  /** Forgets the arguments given so far; for an op that is refused half way. */
  void clear() {
    used = 0;
    bytes = 0;
  }
}
