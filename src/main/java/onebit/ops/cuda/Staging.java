package onebit.ops.cuda;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import jcuda.Pointer;
import jcuda.driver.CUevent;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/** Page-locked host memory in slots that are used in turn; a slot is used again when the copy it took part in is done. */
final class Staging implements AutoCloseable {
  private final CudaDevice device;
  private final long slotBytes;
  private final Slot[] slots;
  private int next;

  /** One piece of page-locked memory and the event behind its last copy. */
  final class Slot {
    private final Pointer pointer = new Pointer();
    private final MemorySegment memory;
    private final CUevent copied = device.event();
    private boolean busy;
    private boolean taken;

    Slot() {
      device.check("cuMemHostAlloc", JCudaDriver.cuMemHostAlloc(pointer, slotBytes, 0));
      memory = MemorySegment.ofBuffer(pointer.getByteBuffer(0, slotBytes));
    }

    /** Puts the bytes here and copies them to the device on that stream. */
    void send(DeviceMemory to, long at, MemorySegment bytes, CUstream stream) {
      MemorySegment.copy(bytes, 0, memory, 0, bytes.byteSize());
      device.check("cuMemcpyHtoDAsync", JCudaDriver.cuMemcpyHtoDAsync(at == 0 ? to.pointer() : to.pointer().withByteOffset(at), pointer, bytes.byteSize(), stream));
      mark(stream);
    }

    /** Copies so many bytes of the device here, behind all work of the stream. */
    void ask(DeviceMemory from, long at, long bytes, CUstream stream) {
      device.check("cuMemcpyDtoHAsync", JCudaDriver.cuMemcpyDtoHAsync(pointer, at == 0 ? from.pointer() : from.pointer().withByteOffset(at), bytes, stream));
      mark(stream);
    }

    private void mark(CUstream stream) {
      device.record(copied, stream);
      busy = true;
    }

    /** Returns when the last copy is done. */
    void await() {
      if (!busy) return;
      device.enter();
      device.check("cuEventSynchronize", JCudaDriver.cuEventSynchronize(copied));
      busy = false;
    }

    MemorySegment memory() {
      return memory;
    }

    CUevent copied() {
      return copied;
    }

    /** The first n floats, when they are there; the slot is free after it. */
    float[] take(int n) {
      await();
      taken = false;
      return memory.asSlice(0, 4L * n).toArray(ValueLayout.JAVA_FLOAT);
    }
  }

  Staging(CudaDevice device, int slots, long slotBytes) {
    this.device = device;
    this.slotBytes = slotBytes;
    this.slots = new Slot[slots];
  }

  long slotBytes() {
    return slotBytes;
  }

  /** The next slot, when no copy uses it any more. */
  Slot slot() {
    device.enter();
    next = (next + 1) % slots.length;
    if (slots[0] == null) Arrays.setAll(slots, i -> new Slot());
    slots[next].await();
    return slots[next];
  }

  /** As slot, for one that stays in use until its values are taken. */
  Slot reserve() {
    Slot slot = slot();
    if (slot.taken) throw new IllegalStateException("readLater: " + slots.length + " readbacks wait to be taken; take the first of them");
    slot.taken = true;
    return slot;
  }

  @Override
  public void close() {
    for (Slot slot : slots) {
      if (slot != null) JCudaDriver.cuMemFreeHost(slot.pointer);
    }
  }
}
