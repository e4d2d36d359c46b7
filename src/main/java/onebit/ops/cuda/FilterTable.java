package onebit.ops.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/**
 * The latent filters of many layers as one launch takes them; the table goes to the device once.
 *
 * <pre>
 * Twin  kernels/adabin_weights.cu, FilterEntry
 * </pre>
 */
final class FilterTable {
  private static final int ENTRY_BYTES = 56;

  private final DeviceMemory table;
  private final DeviceMemory blocks;
  private final int blockCount;

  /** At the values that are convolved are these values or their gradients; bits, or gradients of the filters, may be null. */
  FilterTable(CudaDevice device, List<Tensor> filters, List<BinarySet> sets, List<BitTensor> bits, List<Tensor> effective, List<Tensor> gradients) {
    int count = 0;
    for (Tensor w : filters) count += w.shape().d0();
    blockCount = count;
    table = device.allocate((long) filters.size() * ENTRY_BYTES);
    blocks = device.allocate(8L * blockCount);
    try (Arena room = Arena.ofConfined()) {
      MemorySegment entries = room.allocate((long) filters.size() * ENTRY_BYTES, 8);
      int[] pairs = new int[2 * blockCount];
      int at = 0;
      for (int i = 0; i < filters.size(); i++) {
        long entry = (long) i * ENTRY_BYTES;
        Tensor w = filters.get(i);
        entries.set(ValueLayout.JAVA_LONG, entry, device.memory(w).address());
        entries.set(ValueLayout.JAVA_LONG, entry + 8, gradients == null ? 0 : device.memory(gradients.get(i)).address());
        entries.set(ValueLayout.JAVA_LONG, entry + 16, device.memory(sets.get(i).centre()).address());
        entries.set(ValueLayout.JAVA_LONG, entry + 24, device.memory(sets.get(i).distance()).address());
        entries.set(ValueLayout.JAVA_LONG, entry + 32, bits == null ? 0 : device.memory(bits.get(i)).address());
        entries.set(ValueLayout.JAVA_LONG, entry + 40, device.memory(effective.get(i)).address());
        entries.set(ValueLayout.JAVA_INT, entry + 48, w.shape().rowSize());
        entries.set(ValueLayout.JAVA_INT, entry + 52, effective.get(i).type() == ElementType.BFLOAT16 ? 1 : 0);
        for (int filter = 0; filter < w.shape().d0(); filter++) {
          pairs[at++] = i;
          pairs[at++] = filter;
        }
      }
      device.upload(table, entries);
      device.upload(blocks, MemorySegment.ofArray(pairs));
    }
  }

  /** Appends table and blocks to the kernel's arguments. */
  Kernel arguments(Kernel kernel) {
    return kernel.memory(table).memory(blocks);
  }

  /** Runs the kernel, one block per filter. */
  void launch(Kernel kernel) {
    kernel.blocks(blockCount, 256);
  }
}
