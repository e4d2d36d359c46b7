package onebit.ops.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.function.IntFunction;
import onebit.tensor.Tensor;

/**
 * The latent filters of many layers as one launch takes them; the table goes to the device once.
 *
 * <pre>
 * Encoding  an entry is its addresses, then its 32-bit numbers, of which there is an even count; blocks are (layer, filter) pairs of 32-bit numbers
 * </pre>
 */
final class FilterTable {
  /** What the kernel knows of a layer: addresses of 8 bytes, 0 for what is not there, and numbers of 4. */
  record Entry(long[] addresses, int... numbers) {}

  private final DeviceMemory table;
  private final DeviceMemory blocks;
  private final int layerCount;
  private final int blockCount;

  /** entryOf makes the entry of a layer. */
  FilterTable(CudaDevice device, List<Tensor> filters, IntFunction<Entry> entryOf) {
    layerCount = filters.size();
    blockCount = count(filters);
    List<Entry> entries = java.util.stream.IntStream.range(0, layerCount).mapToObj(entryOf).toList();
    long entryBytes = 8L * entries.getFirst().addresses().length + 4L * entries.getFirst().numbers().length;
    table = device.allocate(layerCount * entryBytes);
    blocks = device.allocate(8L * blockCount);
    try (Arena room = Arena.ofConfined()) {
      MemorySegment bytes = room.allocate(layerCount * entryBytes, 8);
      int[] pairs = new int[2 * blockCount];
      int at = 0;
      for (int i = 0; i < layerCount; i++) {
        Entry entry = entries.get(i);
        long place = i * entryBytes;
        for (long address : entry.addresses()) place = put(bytes, place, address);
        for (int number : entry.numbers()) place = put(bytes, place, number);
        for (int filter = 0; filter < filters.get(i).shape().d0(); filter++) {
          pairs[at++] = i;
          pairs[at++] = filter;
        }
      }
      device.upload(table, bytes);
      device.upload(blocks, MemorySegment.ofArray(pairs));
    }
  }

  private static long put(MemorySegment to, long at, long address) {
    to.set(ValueLayout.JAVA_LONG, at, address);
    return at + 8;
  }

  private static long put(MemorySegment to, long at, int number) {
    to.set(ValueLayout.JAVA_INT, at, number);
    return at + 4;
  }

  /** Filters of all layers. */
  static int count(List<Tensor> filters) {
    int count = 0;
    for (Tensor w : filters) count += w.shape().d0();
    return count;
  }

  /** Appends table and blocks to the kernel's arguments. */
  Kernel arguments(Kernel kernel) {
    return kernel.memory(table).memory(blocks);
  }

  /** Runs the kernel, one block per filter, each with so many bytes of dynamic shared memory. */
  void launch(Kernel kernel, int sharedBytes) {
    kernel.launch(blockCount, 1, 256, 1, sharedBytes);
  }

  /** Appends the count of filters too and runs the kernel, one warp per filter. */
  void launchWarps(Kernel kernel) {
    kernel.integer(blockCount).blocks((blockCount + 7) / 8, 256);
  }

  /** Runs a kernel over whole layers: of the table and a number it takes, one block per layer. */
  void launchPerLayer(Kernel kernel, float number) {
    kernel.memory(table).real(number).blocks(layerCount, 256);
  }
}
