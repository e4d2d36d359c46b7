package onebit.binarize;

import java.util.ArrayList;
import java.util.List;
import onebit.ops.WeightOps;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Tensor;

/** The tensors of many layers whose weights are of one kind, as the ops for all of them take them. */
abstract class ManyWeights<W extends BinaryWeights> implements BinaryWeights.Together {
  protected final List<W> layers = new ArrayList<>();
  protected final List<BitTensor> bits = new ArrayList<>();
  protected final List<BinarySet> sets = new ArrayList<>();
  protected final List<Tensor> values = new ArrayList<>();
  protected final List<Tensor> gradients = new ArrayList<>();
  protected final List<Tensor> effectives = new ArrayList<>();
  protected final List<Tensor> gradEffectives = new ArrayList<>();

  @Override
  @SuppressWarnings("unchecked")
  public final void add(BinaryWeights weights, Tensor effective, Tensor gradEffective) {
    W layer = (W) weights;
    layers.add(layer);
    bits.add(layer.bits());
    sets.add(layer.set());
    values.add(layer.latent().value());
    gradients.add(layer.latent().gradient());
    effectives.add(effective);
    gradEffectives.add(gradEffective);
    added(layer);
  }

  /** Takes what else the layer has. */
  void added(W layer) {}

  protected final WeightOps ops() {
    return layers.getFirst().backend.weights();
  }

  /** Level and slope now, which all layers share. */
  protected final Binarizer binarizer() {
    return layers.getFirst().binarizer;
  }
}
