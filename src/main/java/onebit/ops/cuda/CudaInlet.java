package onebit.ops.cuda;

import java.lang.foreign.MemorySegment;
import jcuda.driver.CUevent;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;
import onebit.ops.Inlet;
import onebit.ops.Shapes;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Two buffers on the device, filled in turn on a stream of their own, so that a copy runs beside the step before it. */
final class CudaInlet implements Inlet {
  private final CudaDevice device;
  private final CUstream stream;
  private final Staging staging;
  private final Tensor[] rooms = new Tensor[2];
  private final CUevent[] used = new CUevent[2];
  private int at;

  CudaInlet(CudaDevice device, Shape shape) {
    this.device = device;
    stream = device.copyStream();
    staging = device.staging(rooms.length, Math.max(1, shape.size()));
    for (int i = 0; i < rooms.length; i++) {
      rooms[i] = new Tensor(shape, ElementType.UINT8, device.allocate(shape.size()));
      used[i] = device.event();
      device.record(used[i], device.stream());
    }
  }

  @Override
  public Tensor next(byte[] values, int n) {
    // whatever was asked until now may still read the buffer of the call before
    device.record(used[at], device.stream());
    at = 1 - at;
    Tensor to = rooms[at].first(n);
    Shapes.requireValues(to, values.length);
    device.check("cuStreamWaitEvent", JCudaDriver.cuStreamWaitEvent(stream, used[at], 0));
    Staging.Slot slot = staging.slot();
    slot.send(device.memory(to), 0, MemorySegment.ofArray(values).asSlice(0, to.size()), stream);
    device.check("cuStreamWaitEvent", JCudaDriver.cuStreamWaitEvent(device.stream(), slot.copied(), 0));
    return to;
  }
}
