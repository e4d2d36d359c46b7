package onebit.ops.cuda;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import jcuda.driver.CUevent;
import jcuda.driver.JCudaDriver;

/**
 * Times every launch and every call of cuDNN and cuBLAS of a piece of work, each by an event before and one behind it.
 *
 * <pre>
 * Units   milliseconds; gigabytes of 10^9 bytes, as the launches declare them: tensors and bits among the arguments, without scratch
 * Limits  the host must be ahead of the device, or the time of a short launch holds the host's too
 * </pre>
 */
public final class LaunchProfile implements AutoCloseable {
  /** All launches of one name: how many, how long together, and the bytes they declared; 0 bytes where none are known. */
  public record Row(String name, int count, double millis, double gigabytes) {}

  private record Launch(String name, long bytes, CUevent before, CUevent behind) {}

  private final CudaDevice device;
  private final List<Launch> launches = new ArrayList<>();

  LaunchProfile(CudaDevice device) {
    device.requireTimed();
    this.device = device;
  }

  /** Runs the call between two events. */
  void time(String name, long bytes, Runnable call) {
    CUevent before = mark();
    call.run();
    launches.add(new Launch(name, bytes, before, mark()));
  }

  private CUevent mark() {
    CUevent event = new CUevent();
    device.check("cuEventCreate", JCudaDriver.cuEventCreate(event, 0));
    device.record(event, device.stream());
    return event;
  }

  /** What was timed so far by name, the longest first; waits until the device is done, and begins anew. */
  public List<Row> take() {
    device.synchronize();
    Map<String, Row> rows = new LinkedHashMap<>();
    float[] millis = new float[1];
    for (Launch launch : launches) {
      device.check("cuEventElapsedTime", JCudaDriver.cuEventElapsedTime(millis, launch.before, launch.behind));
      rows.merge(launch.name, new Row(launch.name, 1, millis[0], launch.bytes / 1e9),
          (a, b) -> new Row(a.name, a.count + b.count, a.millis + b.millis, a.gigabytes + b.gigabytes));
      JCudaDriver.cuEventDestroy(launch.before);
      JCudaDriver.cuEventDestroy(launch.behind);
    }
    launches.clear();
    return rows.values().stream().sorted(Comparator.comparingDouble(Row::millis).reversed()).toList();
  }

  @Override
  public void close() {
    take();
    device.profile(null);
  }
}
