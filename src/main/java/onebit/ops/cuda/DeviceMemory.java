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
  private final Address pointer;
  private final long address;
  private final long bytes;

  DeviceMemory(CudaDevice device, Address pointer, long bytes) {
    this.device = device;
    this.pointer = pointer;
    this.address = pointer.value();
    this.bytes = bytes;
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
}
