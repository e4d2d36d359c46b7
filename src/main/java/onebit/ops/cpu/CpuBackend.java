package onebit.ops.cpu;

import java.util.Arrays;
import java.util.List;
import onebit.ops.Backend;
import onebit.ops.Inlet;
import onebit.ops.Ops;
import onebit.ops.Readback;
import onebit.ops.Shapes;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** The reference backend: plain arrays, all cores, the same bits on every run and for every number of threads. */
public final class CpuBackend implements Backend {
  private final Ops ops;

  public CpuBackend() {
    CpuBitOps bits = new CpuBitOps();
    CpuConvOps conv = new CpuConvOps();
    CpuNormOps norm = new CpuNormOps();
    CpuPointOps point = new CpuPointOps();
    CpuPoolOps pool = new CpuPoolOps();
    CpuBinarizeOps binarize = new CpuBinarizeOps(bits);
    ops = new Ops(bits, conv, norm, point, pool, binarize, new CpuWeightOps(bits, binarize), new CpuLossOps(), new CpuOptimOps(), new CpuFusedOps(bits, conv, norm, point, pool, binarize),
        new CpuDenseOps(bits, norm, binarize));
  }

  @Override
  public String name() {
    return "cpu";
  }

  @Override
  public List<String> describe() {
    return List.of("threads: " + CpuThreads.count(), CpuBitOps.status(), OpenBlas.status());
  }

  @Override
  public String arithmetic() {
    return (VectorCpu.REFUSAL == null ? "vector kernels" : "plain Java") + " with OpenBLAS's core " + OpenBlas.core();
  }

  @Override
  public ElementType activations() {
    return ElementType.FLOAT32;
  }

  @Override
  public boolean gainsByFusing() {
    return false;
  }

  @Override
  public Tensor create(Shape shape, ElementType type) {
    return new Tensor(shape, type, switch (type) {
      case FLOAT32 -> new float[shape.size()];
      case INT32 -> new int[shape.size()];
      case UINT8 -> new byte[shape.size()];
      case BFLOAT16, INT16 -> throw new IllegalArgumentException("cpu: tensors of " + type + " are not used on the CPU, whose values are FLOAT32");
    });
  }

  @Override
  public BitTensor createBits(int rows, int bitsPerRow) {
    return new BitTensor(rows, bitsPerRow, new long[Math.multiplyExact(rows, BitTensor.words(bitsPerRow))]);
  }

  @Override
  public void write(Tensor to, float[] values) {
    Shapes.requireValues(to, values.length);
    System.arraycopy(values, 0, to.floats(), 0, to.size());
  }

  @Override
  public void write(Tensor to, int[] values) {
    Shapes.requireValues(to, values.length);
    System.arraycopy(values, 0, to.ints(), 0, to.size());
  }

  @Override
  public void write(Tensor to, byte[] values) {
    Shapes.requireValues(to, values.length);
    System.arraycopy(values, 0, to.bytes(), 0, to.size());
  }

  @Override
  public void write(BitTensor to, long[] words) {
    System.arraycopy(words, 0, to.longs(), 0, to.rows() * to.words());
  }

  @Override
  public void read(float[] to, Tensor from) {
    System.arraycopy(from.floats(), 0, to, 0, from.size());
  }

  @Override
  public long[] read(BitTensor from) {
    return Arrays.copyOf(from.longs(), from.rows() * from.words());
  }

  @Override
  public Readback readLater(Tensor from) {
    Shapes.requireReadback("readLater", from);
    float[] values = read(from);
    return () -> values;
  }

  @Override
  public Inlet inlet(Shape shape) {
    Tensor room = create(shape, ElementType.UINT8);
    return (values, n) -> {
      Tensor to = room.first(n);
      write(to, values);
      return to;
    };
  }

  @Override
  public void fill(Tensor to, float value) {
    Arrays.fill(to.floats(), 0, to.size(), value);
  }

  @Override
  public void synchronize() {
    // every op has returned when its result is there
  }

  @Override
  public Ops ops() {
    return ops;
  }

  @Override
  public void close() {
    // nothing outlives the arrays
  }

  @Override
  public String toString() {
    return name();
  }
}
