package onebit.ops.cuda;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.UnaryOperator;
import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.JCudaDriver;
import onebit.ops.Recorder;

/**
 * Work as a CUDA graph: the first time it runs call by call, so that scratch grows and libraries plan; the second time it is captured; from
 * then on it is one launch.
 *
 * <p>A graph holds addresses. When the device gave up or renamed memory since, the work runs call by call once more and is captured anew; where ranks record alike, on all
 * of them as soon as on one.
 */
final class CudaRecorder implements Recorder {
  private static final int MOST_GRAPHS = 8;

  private final CudaDevice device;
  private final Map<Object, Entry> known = new LinkedHashMap<>();

  private UnaryOperator<Boolean> anywhere;
  /** The state of the device's memory when it was last asked for, and how often it had changed by then, on one of the ranks. */
  private long seen;
  private long changes;

  /** What is known of the work of one key: how often memory had changed when it last ran call by call, and its graph. */
  private static final class Entry {
    long ranWith = -1;
    CUgraphExec graph;
  }

  CudaRecorder(CudaDevice device) {
    this.device = device;
  }

  @Override
  public void run(Object key, Runnable work, Runnable replaying) {
    if (anywhere == null) realign();
    Entry entry = known.get(key);
    if (entry == null || entry.ranWith != changes) {
      work.run();
      remember(key, entry);
    } else if (!device.replays() || seen != device.memoryState()) {
      work.run();   // in the second case memory of this rank has moved, and the others do not know it yet
    } else {
      if (entry.graph == null) entry.graph = capture(work);
      else replaying.run();
      device.enter();
      device.check("cuGraphLaunch", JCudaDriver.cuGraphLaunch(entry.graph, device.stream()));
    }
  }

  private void remember(Object key, Entry before) {
    if (before != null) drop(before);
    realign();
    Entry entry = before == null ? new Entry() : before;
    entry.ranWith = changes;
    known.put(key, entry);
    if (known.size() <= MOST_GRAPHS) return;
    Iterator<Entry> oldest = known.values().iterator();
    drop(oldest.next());
    oldest.remove();
  }

  private CUgraphExec capture(Runnable work) {
    CUgraph graph = new CUgraph();
    device.enter();
    device.check("cuStreamBeginCapture", JCudaDriver.cuStreamBeginCapture(device.stream(), CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    boolean whole = false;
    device.recording(true);
    try {
      work.run();
      whole = true;
    } finally {
      device.recording(false);
      int ended = JCudaDriver.cuStreamEndCapture(device.stream(), graph);
      if (whole) device.check("cuStreamEndCapture", ended);
      else if (ended == 0) JCudaDriver.cuGraphDestroy(graph);
    }
    CUgraphExec executable = new CUgraphExec();
    int code = JCudaDriver.cuGraphInstantiate(executable, graph, 0);
    JCudaDriver.cuGraphDestroy(graph);
    device.check("cuGraphInstantiate", code);
    return executable;
  }

  private static void drop(Entry entry) {
    if (entry.graph != null) JCudaDriver.cuGraphExecDestroy(entry.graph);
    entry.graph = null;
  }

  @Override
  public void forget() {
    device.enter();
    known.values().forEach(CudaRecorder::drop);
    known.clear();
  }

  @Override
  public void alike(UnaryOperator<Boolean> anywhere) {
    this.anywhere = anywhere;
  }

  @Override
  public void realign() {
    boolean moved = seen != device.memoryState();
    if (anywhere == null ? moved : anywhere.apply(moved)) changes++;
    seen = device.memoryState();
  }
}
