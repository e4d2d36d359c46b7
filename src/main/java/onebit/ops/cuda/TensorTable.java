package onebit.ops.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import onebit.tensor.Tensor;

/**
 * The table of parameters one optimizer launch works on; it goes to the device when it changes, which it does not from step to step.
 *
 * <pre>
 * Twin  kernels/multi_tensor.cuh
 * </pre>
 */
final class TensorTable {
  private static final int ENTRY_BYTES = 40;
  private static final int PIECE = 4096;

  private final CudaDevice device;
  private MemorySegment host = MemorySegment.NULL;
  private MemorySegment sent = MemorySegment.NULL;
  private DeviceMemory table;
  private DeviceMemory pieces;
  private int pieceCount;

  TensorTable(CudaDevice device) {
    this.device = device;
  }

  /** Makes the device's table that of these tensors; all but values may be null. */
  void show(List<Tensor> values, List<Tensor> gradients, List<Tensor> first, List<Tensor> second, float[] decay) {
    int count = values.size();
    if (host.byteSize() != (long) count * ENTRY_BYTES) {
      host = Arena.ofAuto().allocate((long) count * ENTRY_BYTES, 8);
      sent = Arena.ofAuto().allocate((long) count * ENTRY_BYTES, 8);
    }
    for (int i = 0; i < count; i++) {
      long at = (long) i * ENTRY_BYTES;
      host.set(ValueLayout.JAVA_LONG, at, device.memory(values.get(i)).address());
      host.set(ValueLayout.JAVA_LONG, at + 8, address(gradients, i));
      host.set(ValueLayout.JAVA_LONG, at + 16, address(first, i));
      host.set(ValueLayout.JAVA_LONG, at + 24, address(second, i));
      host.set(ValueLayout.JAVA_INT, at + 32, values.get(i).size());
      host.set(ValueLayout.JAVA_FLOAT, at + 36, decay == null ? 0 : decay[i]);
    }
    if (table != null && host.mismatch(sent) < 0) return;
    send(values);
  }

  private long address(List<Tensor> tensors, int i) {
    return tensors == null ? 0 : device.memory(tensors.get(i)).address();
  }

  private void send(List<Tensor> values) {
    pieceCount = 0;
    for (Tensor value : values) pieceCount += (value.size() + PIECE - 1) / PIECE;
    int[] list = new int[2 * pieceCount];
    int at = 0;
    for (int i = 0; i < values.size(); i++) {
      for (int from = 0; from < values.get(i).size(); from += PIECE) {
        list[at++] = i;
        list[at++] = from;
      }
    }
    if (table == null || table.bytes() < host.byteSize()) table = device.allocate(host.byteSize());
    if (pieces == null || pieces.bytes() < 8L * pieceCount) pieces = device.allocate(8L * pieceCount);
    device.memoryChanged();
    device.upload(table, host);
    device.upload(pieces, MemorySegment.ofArray(list));
    sent.copyFrom(host);
  }

  /** Appends table and pieces to the kernel's arguments. */
  Kernel arguments(Kernel kernel) {
    return kernel.memory(table).memory(pieces);
  }

  /** Shows values beside gradients and appends the table alone to a kernel's arguments. */
  void shown(Kernel kernel, List<Tensor> values, List<Tensor> gradients) {
    show(values, gradients, null, null, null);
    kernel.memory(table);
  }

  /** Pieces of the table shown last. */
  int pieceCount() {
    return pieceCount;
  }

  /** Runs the kernel, one block per piece. */
  void launch(Kernel kernel) {
    kernel.blocks(pieceCount, 256);
  }
}
