package onebit.binarize;

import java.util.List;
import java.util.random.RandomGenerator;
import onebit.ops.Backend;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Parameter;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/** The latent weights of one layer as bits with a set, forward and backward. */
public abstract class BinaryWeights {
  protected Backend backend;
  protected Parameter latent;
  protected Binarizer binarizer;
  protected BitTensor bits;
  protected BinarySet set;
  /** The part of a step's images that the pass under way sees, of which it adds the penalty. */
  protected float share = 1;

  /** Takes the layer's latent weights; name is the layer's prefix in the state dictionary. */
  public void build(Backend backend, String name, Parameter latent, RandomGenerator random) {
    this.backend = backend;
    this.latent = latent;
    this.bits = backend.createBits(latent.value().shape().d0(), latent.value().shape().rowSize());
  }

  /** Level and slope from now on. */
  public final void use(Binarizer binarizer) {
    this.binarizer = binarizer;
  }

  /** The passes from now on see such a part of a step's images. */
  public final void share(float ofStep) {
    share = ofStep;
  }

  /** Fills bits and set; where {@link #real}, the convolved values too. */
  public abstract void forward();

  /** From the gradient at the convolved weights to the gradients of the latent weights and of the set. */
  public abstract void backward(Tensor gradEffective);

  public final BitTensor bits() {
    return bits;
  }

  public final BinarySet set() {
    return set;
  }

  /** One op for the weights of many layers, in place of their forward and backward; null where each layer's own are all there is. */
  public Together together() {
    return null;
  }

  /** The weights of many layers, all of one kind. */
  public interface Together {
    /** Adds a layer of the same kind; forward fills effective with the values it convolves, backward takes the gradient at them from gradEffective. */
    void add(BinaryWeights weights, Tensor effective, Tensor gradEffective);

    /** {@link BinaryWeights#forward} of all. */
    void forward();

    /** {@link BinaryWeights#backward} of all. */
    void backward();
  }

  /** The latent weights these bits come from. */
  public final Parameter latent() {
    return latent;
  }

  /** Whether the convolution uses real values instead of bits (first training stages). */
  public boolean real() {
    return false;
  }

  /** Writes the values that are convolved. */
  public void effective(Tensor to) {
    backend.bits().unpack(to, bits, set);
  }

  /** This layer's share of the loss beside the cross-entropy, 1 value, as of the last backward and in its share; null if there is none. */
  public Tensor penalty() {
    return null;
  }

  /** Called before the first batch of an epoch, for what it writes into tensors: a number that forward gives to an op changes on a device only with the surrogates. */
  public void startEpoch(int epoch) {}

  public List<Parameter> parameters() {
    return List.of();
  }

  public List<StateTensor> state() {
    return List.of();
  }
}
