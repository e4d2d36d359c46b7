package onebit.train;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import onebit.checkpoint.NamedTensor;
import onebit.layers.BinaryConv2d;
import onebit.ops.Backend;

/**
 * Share of filter bits that changed since the last look, and share of +1 bits, per binary layer.
 *
 * <pre>
 * Source  the flip ratio of Helwegen et al. 2019 (arXiv 1906.02107) and Larq's metric of that name
 * </pre>
 */
final class FlipMeter {
  private static final String PREFIX = "bits/";
  private final Backend backend;
  private final List<BinaryConv2d> layers;
  private final Map<String, long[]> before = new LinkedHashMap<>();

  FlipMeter(Backend backend, List<BinaryConv2d> layers) {
    this.backend = backend;
    this.layers = layers;
  }

  /** Adds flip/LAYER (absent at the first look) and plus/LAYER to the record, and remembers the bits. */
  void measure(Map<String, Object> record) {
    for (BinaryConv2d layer : layers) {
      long[] now = backend.read(layer.filterBits()), then = before.put(layer.name(), now);
      double bits = (double) layer.filterBits().rows() * layer.filterBits().bits();
      long ones = 0, flips = 0;
      for (int i = 0; i < now.length; i++) {
        ones += Long.bitCount(now[i]);
        if (then != null) flips += Long.bitCount(now[i] ^ then[i]);
      }
      if (then != null) record.put("flip/" + layer.name(), flips / bits);
      record.put("plus/" + layer.name(), ones / bits);
    }
  }

  /** The remembered bits, for the checkpoint. */
  List<NamedTensor> save() {
    List<NamedTensor> all = new ArrayList<>();
    before.forEach((name, words) -> all.add(NamedTensor.ofLongs(PREFIX + name, new int[] {words.length}, words)));
    return all;
  }

  /** Takes up the bits of a checkpoint; other tensors are passed over. */
  void load(List<NamedTensor> tensors) {
    for (NamedTensor tensor : tensors) {
      if (tensor.name().startsWith(PREFIX)) before.put(tensor.name().substring(PREFIX.length()), tensor.longs());
    }
  }
}
