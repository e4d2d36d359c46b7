package onebit.train;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.zip.CRC32;
import java.util.zip.CRC32C;
import onebit.checkpoint.CheckpointException;
import onebit.dist.Communicator;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.optim.Optimizer;
import onebit.tensor.Parameter;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/**
 * What the ranks of a run tell each other outside the step: where it stands, all tensors at the start, and whether they are still equal.
 *
 * <p>Running statistics are those of rank 0: in a run without synchronised batch norm the ranks see different images, training does not
 * read running statistics, and so one rank's may count without the others' being kept.
 */
final class RankAgreement {
  private final Communicator communicator;
  private final Backend backend;
  private final Map<String, Tensor> all = new LinkedHashMap<>();
  private final List<Tensor> running = new ArrayList<>();

  RankAgreement(Communicator communicator, Backend backend, Model model, Optimizer optimizer) {
    this.communicator = communicator;
    this.backend = backend;
    for (Parameter p : model.parameters()) all.put(p.name(), p.value());
    for (StateTensor s : model.state()) {
      all.put(s.name(), s.value());
      if (s.name().endsWith(".running_mean") || s.name().endsWith(".running_var")) running.add(s.value());
    }
    for (StateTensor s : optimizer.state()) all.put(s.name(), s.value());
  }

  /** Rank 0's state of the run; null where it has none. */
  RunState share(RunState ofRankZero) throws CheckpointException {
    if (communicator.size() == 1) return ofRankZero;
    StringBuilder text = new StringBuilder();
    if (communicator.rank() == 0 && ofRankZero != null) ofRankZero.write().forEach((key, value) -> text.append(key).append('=').append(value).append('\n'));
    byte[] bytes = communicator.broadcast(communicator.rank() == 0 ? text.toString().getBytes(StandardCharsets.UTF_8) : null);
    if (bytes.length == 0) return null;
    if (communicator.rank() == 0) return ofRankZero;
    Map<String, String> read = new LinkedHashMap<>();
    new String(bytes, StandardCharsets.UTF_8).lines().forEach(line -> read.put(line.substring(0, line.indexOf('=')), line.substring(line.indexOf('=') + 1)));
    return RunState.read(read);
  }

  /** @throws CheckpointException if rank 0 has another file, told by its hash */
  void requireEqual(String file, String sha256) throws CheckpointException {
    if (communicator.size() == 1) return;
    String first = new String(communicator.broadcast(communicator.rank() == 0 ? sha256.getBytes(StandardCharsets.UTF_8) : null), StandardCharsets.UTF_8);
    if (!first.equals(sha256)) throw new CheckpointException(file + ": rank " + communicator.rank() + " has other values there than rank 0; all must have the same");
  }

  /** Parameters, method state and optimizer state of rank 0 on every rank. */
  void shareTensors() {
    if (communicator.size() > 1) communicator.broadcast(List.copyOf(all.values()));
  }

  void shareRunningStatistics() {
    if (communicator.size() > 1 && !running.isEmpty()) communicator.broadcast(running);
  }

  /**
   * Compares a checksum of every tensor over the ranks.
   *
   * @throws CheckpointException naming the first tensor that differs and the ranks that differ from rank 0
   */
  void requireEqual(long step) throws CheckpointException {
    if (communicator.size() == 1) return;
    List<String> names = List.copyOf(all.keySet());
    long[] own = new long[names.size()];
    for (int i = 0; i < own.length; i++) own[i] = checksum(backend.read(all.get(names.get(i))));
    long[][] rows = communicator.allGather(own);
    for (int i = 0; i < own.length; i++) {
      TreeSet<Integer> others = new TreeSet<>();
      for (int r = 1; r < rows.length; r++) if (rows[r][i] != rows[0][i]) others.add(r);
      if (!others.isEmpty()) {
        throw new CheckpointException("the ranks have drifted apart at step " + step + ": tensor " + names.get(i) + " of rank(s) " + others
            + " differs from rank 0's; the last checkpoint is good, memory or a device of these ranks may not be");
      }
    }
  }

  /** Two checksums of 32 bits each. */
  static long checksum(float[] values) {
    byte[] bytes = MemorySegment.ofArray(values).toArray(ValueLayout.JAVA_BYTE);
    CRC32 low = new CRC32();
    CRC32C high = new CRC32C();
    low.update(bytes);
    high.update(bytes);
    return high.getValue() << 32 | low.getValue();
  }
}
