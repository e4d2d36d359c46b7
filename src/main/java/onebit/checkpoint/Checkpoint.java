package onebit.checkpoint;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * All that a run needs to go on bit for bit after a step.
 *
 * <pre>
 * weights    parameters and buffers, named as in the authors' state dictionaries
 * optimizer  its moments, and what methods keep beside the weights
 * state      counters, generator positions and schedule values, as text
 * </pre>
 */
public record Checkpoint(long step, List<NamedTensor> weights, List<NamedTensor> optimizer, Map<String, String> state) {
  /** @throws IllegalArgumentException when the step is negative */
  public Checkpoint {
    if (step < 0) throw new IllegalArgumentException("checkpoint: step must be >= 0, got " + step);
    weights = List.copyOf(weights);
    optimizer = List.copyOf(optimizer);
    state = Collections.unmodifiableMap(new LinkedHashMap<>(state));
  }
}
