package onebit.train;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import onebit.checkpoint.Checkpoint;
import onebit.checkpoint.NamedTensor;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.optim.Optimizer;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/**
 * A copy of all that a checkpoint holds, in room that is made once: taking it is a copy and nothing else, what becomes of it is another
 * thread's work.
 *
 * <pre>
 * Cost  memory on the host as large as parameters, saved tensors and optimizer state together
 * </pre>
 */
final class Snapshot {
  private final Backend backend;
  private final Model model;
  private final Optimizer optimizer;
  private final FlipMeter flips;
  private final List<float[]> weights;
  private final List<float[]> moments;
  private List<NamedTensor> bits;
  private Map<String, String> state;
  private long step;

  Snapshot(Backend backend, Model model, Optimizer optimizer, FlipMeter flips) {
    this.backend = backend;
    this.model = model;
    this.optimizer = optimizer;
    this.flips = flips;
    weights = model.saved().stream().map(tensor -> new float[tensor.size()]).toList();
    moments = optimizer.state().stream().map(tensor -> new float[tensor.value().size()]).toList();
  }

  /** Copies everything as it is now; nobody may be at work on {@link #checkpoint}. */
  void take(RunState now) {
    List<Tensor> saved = model.saved();
    for (int i = 0; i < weights.size(); i++) backend.read(weights.get(i), saved.get(i));
    List<StateTensor> kept = optimizer.state();
    for (int i = 0; i < moments.size(); i++) backend.read(moments.get(i), kept.get(i).value());
    bits = flips.save();
    step = now.step;
    state = now.write();
  }

  /** The checkpoint of what was taken last; any thread may ask. */
  Checkpoint checkpoint() {
    List<NamedTensor> tensors = new ArrayList<>();
    List<StateTensor> kept = optimizer.state();
    for (int i = 0; i < moments.size(); i++) tensors.add(NamedTensor.ofFloats(kept.get(i).name(), kept.get(i).fileShape(), moments.get(i)));
    tensors.addAll(bits);
    return new Checkpoint(step, model.save(weights), tensors, state);
  }
}
