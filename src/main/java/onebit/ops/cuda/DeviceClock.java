package onebit.ops.cuda;

import jcuda.driver.CUevent;
import jcuda.driver.JCudaDriver;

/**
 * Times work by two events of the device's stream: what the device took, without the host.
 *
 * <pre>
 * Units  milliseconds
 * </pre>
 */
public final class DeviceClock implements AutoCloseable {
  private final CudaDevice device;
  private final CUevent first = new CUevent();
  private final CUevent last = new CUevent();

  /** @throws IllegalArgumentException on the emulated device, which is never timed */
  DeviceClock(CudaDevice device) {
    device.requireTimed();
    this.device = device;
    device.enter();
    device.check("cuEventCreate", JCudaDriver.cuEventCreate(first, 0));
    device.check("cuEventCreate", JCudaDriver.cuEventCreate(last, 0));
  }

  /** How long the device worked on what the call asked of it; waits until it is done. */
  public float millis(Runnable work) {
    device.check("cuEventRecord", JCudaDriver.cuEventRecord(first, device.stream()));
    work.run();
    device.check("cuEventRecord", JCudaDriver.cuEventRecord(last, device.stream()));
    device.check("cuEventSynchronize", JCudaDriver.cuEventSynchronize(last));
    float[] millis = new float[1];
    device.check("cuEventElapsedTime", JCudaDriver.cuEventElapsedTime(millis, first, last));
    return millis[0];
  }

  @Override
  public void close() {
    JCudaDriver.cuEventDestroy(first);
    JCudaDriver.cuEventDestroy(last);
  }
}
