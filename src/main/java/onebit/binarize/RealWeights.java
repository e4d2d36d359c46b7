package onebit.binarize;

import onebit.tensor.Tensor;

/** Weights that stay real while activations are binary: the first step of two-step training. */
public final class RealWeights extends BinaryWeights {
  @Override
  public void forward() {
    backend.bits().pack(bits, latent.value(), 0);
  }

  @Override
  public boolean real() {
    return true;
  }

  @Override
  public void effective(Tensor to) {
    backend.point().copy(to, latent.value());
  }

  @Override
  public void backward(Tensor gradEffective) {
    backend.point().copy(latent.gradient(), gradEffective);
  }
}
