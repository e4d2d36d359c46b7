package onebit.binarize;

import java.util.List;
import onebit.ops.Backend;
import onebit.ops.FusedOps.Binarization;
import onebit.ops.FusedOps.Incoming;
import onebit.ops.FusedOps.Shortcut;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/** The activations entering one layer as bits with a set, forward and backward. */
public abstract class BinaryActivations {
  protected Backend backend;
  protected Binarizer binarizer;
  protected BinarySet set;

  /** Makes room, for values of a step by {@link Backend#room} of type {@link Backend#activations}; name is the layer's prefix in the state dictionary. */
  public void build(Backend backend, String name, Shape input) {
    this.backend = backend;
    Tensor centre = backend.create(Shape.vector(1)), distance = backend.create(Shape.vector(1));
    backend.fill(distance, 1);
    set = new BinarySet(centre, distance);
  }

  /** Level and slope from now on. */
  public void use(Binarizer binarizer) {
    this.binarizer = binarizer;
  }

  public final BinarySet set() {
    return set;
  }

  /** Fills bits, and the set where it is learned. */
  public abstract void forward(BitTensor bits, Tensor x, boolean training);

  /** gradX from the gradient at the binarized values; x as it was in forward. */
  public abstract void backward(Tensor gradX, Tensor gradQ, Tensor x);

  /** How a fused pass makes the bits; NONE where forward must see whole samples first. */
  public Binarization inPass() {
    return Binarization.NONE;
  }

  /** Whether a fused pass can do the backward, value by value. */
  public boolean passesBackward() {
    return false;
  }

  /** Whether a bit is no more than the sign of its value. */
  public boolean plainSigns() {
    return false;
  }

  /** What a fused pass takes in backward: gradQ at the bits of x, and the gradient of a shortcut over x. */
  public Incoming incoming(Tensor gradQ, Tensor x, Shortcut over) {
    throw new IllegalStateException(getClass().getSimpleName() + ": backward must see whole samples");
  }

  /** Whether the convolution sees real values instead of bits. */
  public boolean real() {
    return false;
  }

  /** Writes the values that are convolved, of as many samples as the last forward had. */
  public void effective(Tensor to, BitTensor bits) {
    backend.bits().unpack(to, bits, set);
  }

  public List<Parameter> parameters() {
    return List.of();
  }

  /** What checkpoints keep beside the parameters, such as running thresholds; none by default. */
  public List<StateTensor> state() {
    return List.of();
  }

  /** bit = [x >= 0] of the values themselves, slope of the binarizer. */
  public static final class Sign extends BinaryActivations {
    /** @throws IllegalArgumentException if the binarizer has a level of its own: these bits are not made of it */
    @Override
    public void use(Binarizer binarizer) {
      if (binarizer.hasLevel()) throw new IllegalArgumentException("BinaryActivations.Sign: the bits are signs of u, and " + binarizer + " has another level; it needs activations of its own");
      super.use(binarizer);
    }

    @Override
    public void forward(BitTensor bits, Tensor x, boolean training) {
      backend.bits().pack(bits, x, 0);
    }

    @Override
    public void backward(Tensor gradX, Tensor gradQ, Tensor x) {
      backend.binarize().slope(gradX, gradQ, x, binarizer);
    }

    @Override
    public Binarization inPass() {
      return Binarization.SIGN;
    }

    @Override
    public boolean passesBackward() {
      return true;
    }

    @Override
    public boolean plainSigns() {
      return true;
    }

    @Override
    public Incoming incoming(Tensor gradQ, Tensor x, Shortcut over) {
      return new Incoming(gradQ, x, Binarization.SIGN, binarizer, null, null, over);
    }
  }
}
