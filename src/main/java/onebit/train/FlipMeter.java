package onebit.train;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import onebit.checkpoint.NamedTensor;
import onebit.layers.BinaryConv2d;
import onebit.ops.Backend;
import onebit.tensor.BitTensor;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

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
  private final Tensor counts;
  private final Map<String, BitTensor> before = new LinkedHashMap<>();

  FlipMeter(Backend backend, List<BinaryConv2d> layers) {
    this.backend = backend;
    this.layers = layers;
    counts = backend.create(Shape.matrix(Math.max(1, layers.size()), 2));
  }

  /** Adds flip/LAYER (absent at the first look) and plus/LAYER to the record, and remembers the bits; one read for all layers. */
  void measure(Map<String, Object> record) {
    boolean[] known = new boolean[layers.size()];
    for (int i = 0; i < known.length; i++) {
      BinaryConv2d layer = layers.get(i);
      known[i] = before.containsKey(layer.name());
      backend.bits().changedBits(counts, i, before(layer), layer.filterBits());
    }
    float[] found = backend.read(counts);
    for (int i = 0; i < known.length; i++) {
      BinaryConv2d layer = layers.get(i);
      double bits = (double) layer.filterBits().rows() * layer.filterBits().bits();
      if (known[i]) record.put("flip/" + layer.name(), found[2 * i + 1] / bits);
      record.put("plus/" + layer.name(), found[2 * i] / bits);
    }
  }

  private BitTensor before(BinaryConv2d layer) {
    return before.computeIfAbsent(layer.name(), name -> backend.createBits(layer.filterBits().rows(), layer.filterBits().bits()));
  }

  /** The remembered bits, for the checkpoint. */
  List<NamedTensor> save() {
    List<NamedTensor> all = new ArrayList<>();
    before.forEach((name, bits) -> {
      long[] words = backend.read(bits);
      all.add(NamedTensor.ofLongs(PREFIX + name, new int[] {words.length}, words));
    });
    return all;
  }

  /** Takes up the bits of a checkpoint; other tensors, and those of layers that are not here, are passed over. */
  void load(List<NamedTensor> tensors) {
    for (NamedTensor tensor : tensors) {
      for (BinaryConv2d layer : layers) {
        if (tensor.name().equals(PREFIX + layer.name())) backend.write(before(layer), tensor.longs());
      }
    }
  }
}
