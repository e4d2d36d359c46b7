package onebit.ops.cuda;

import jcuda.driver.CUdeviceptr;

/** A piece of one device's memory: what the memory() of its tensors and bits is. */
final class DeviceMemory {
  /** A device pointer that tells its address. */
  static final class Address extends CUdeviceptr {
    long value() {
      return getNativePointer();
    }
  }

  private final CudaDevice device;
  private final CUdeviceptr pointer;
  private final long address;
  private final long bytes;
  private int[] wholeNumbers = new int[0];
  private int wholeCount;

  DeviceMemory(CudaDevice device, Address pointer, long bytes) {
    this(device, pointer, pointer.value(), bytes);
  }

  private DeviceMemory(CudaDevice device, CUdeviceptr pointer, long address, long bytes) {
    this.device = device;
    this.pointer = pointer;
    this.address = address;
    this.bytes = bytes;
  }

  /** So many bytes of it from an offset on. */
  DeviceMemory part(long offset, long size) {
    if (offset < 0 || size < 0 || offset + size > bytes) {
      throw new IllegalArgumentException("cuda: " + size + " bytes at " + offset + " are not inside " + bytes);
    }
    return new DeviceMemory(device, pointer.withByteOffset(offset), address + offset, size);
  }

  CudaDevice device() {
    return device;
  }

  CUdeviceptr pointer() {
    return pointer;
  }

  long address() {
    return address;
  }

  long bytes() {
    return bytes;
  }

  /** Remembers whole numbers as the host wrote them, so that an op can check labels without asking the device. */
  void remember(int[] values, int count) {
    if (wholeNumbers.length < count) wholeNumbers = new int[count];
    System.arraycopy(values, 0, wholeNumbers, 0, count);
    wholeCount = count;
  }

  /** How many whole numbers the host wrote last; 0 if it wrote none. */
  int remembered() {
    return wholeCount;
  }

  int remembered(int index) {
    return wholeNumbers[index];
  }
}
