package onebit.binarize;

import java.util.Map;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.Range;

/**
 * Signs with the approx-sign slope for activations, and magnitude-aware weights mean |w| sign(w).
 *
 * <pre>
 * Set      activations {-1, +1}; weights {-mean |w|, +mean |w|} per filter, the mean carries gradient
 * Source   Liu et al. 2018 (Bi-Real Net, ECCV, arXiv 1808.00278), sections 3.3 and 3.4
 * Twin     kernels/sign.cu
 * </pre>
 */
public record BiReal(@Default("1") @Range(min = 0, exclusiveMin = true) float weightClip) implements Method {
  @Override
  public BinaryWeights weights() {
    return new SignWeights(SignWeights.Scale.MEAN_ABSOLUTE);
  }

  @Override
  public BinaryActivations activations() {
    return new BinaryActivations.Sign();
  }

  @Override
  public Surrogates at(int epoch, int epochs) {
    return new Surrogates(new Binarizer.Clipped(weightClip), new Binarizer.Polynomial(), Map.of());
  }
}
