package onebit.ops.cuda;

import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import onebit.ops.PixelScale;

/** The numbers of each pixel scale met so far on the device, where kernels find them: the means of the channels, then the deviations. */
final class PixelScales {
  private final CudaDevice device;
  private final Map<PixelScale, DeviceMemory> known = new HashMap<>();

  PixelScales(CudaDevice device) {
    this.device = device;
  }

  DeviceMemory memory(PixelScale scale) {
    return known.computeIfAbsent(scale, this::sent);
  }

  private DeviceMemory sent(PixelScale scale) {
    int n = scale.mean().length;
    float[] statistics = new float[2 * n];
    System.arraycopy(scale.mean(), 0, statistics, 0, n);
    System.arraycopy(scale.deviation(), 0, statistics, n, n);
    DeviceMemory memory = device.allocate(8L * n);
    device.upload(memory, MemorySegment.ofArray(statistics));
    return memory;
  }
}
