package onebit.binarize;

import java.util.Map;
import onebit.ops.Padding;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.Range;

/**
 * Plain signs with gradient cancelling, as BMXNet-v2 trains ResNetE and BinaryDenseNet.
 *
 * <pre>
 * Set      {-1, +1} for both; a product over n taps is returned as (dot + n) / 2 unless a scale is used
 * Padding  -1
 * Source   Bethge et al. 2019 (arXiv 1906.08637); code BMXNet-v2 python/mxnet/gluon/nn/binary_layers.py, gradient_cancel-inl.h
 * Differs  xnor has not the map of mean |x| over the taps, without gradient, that also multiplies BMXNet's product
 * Twin     kernels/sign.cu
 * </pre>
 *
 * @param clip the gradient of an activation passes where {@code |x| <= clip}
 * @param approxSign slope 2 - 2|x| instead of 1, not clamped itself: beyond |x| = 1 it is negative, so clip must be at most 1
 * @param scaling none, binet (mean |w| per filter, with gradient) or xnor (mean |w| without gradient)
 */
public record BmxNet(@Default("1.3") @Range(min = 0, exclusiveMin = true) float clip, @Default("false") boolean approxSign,
    @Default("none") Scaling scaling) implements Method {
  /** What multiplies the signs of the weights. */
  public enum Scaling { NONE, BINET, XNOR }

  public BmxNet {
    if (approxSign && clip > 1) {
      throw new IllegalArgumentException("method.approxSign: needs method.clip <= 1, got " + clip + " (its slope is negative beyond 1)");
    }
  }

  /** sign with slope 2 - 2|u| inside the clip, else 0 (BMXNet-v2 mshadow_op.h, approximated sign). */
  public record ApproxSign(float clip) implements Binarizer {
    @Override
    public float slope(float u) {
      return Math.abs(u) <= clip ? 2 - 2 * Math.abs(u) : 0;
    }
  }

  @Override
  public BinaryWeights weights() {
    return switch (scaling) {
      case NONE -> new SignWeights(SignWeights.Scale.FIXED, 0.5f, false, 0);
      case BINET -> new SignWeights(SignWeights.Scale.MEAN_ABSOLUTE);
      case XNOR -> new SignWeights(SignWeights.Scale.MEAN_ABSOLUTE_DETACHED);
    };
  }

  @Override
  public BinaryActivations activations() {
    return new BinaryActivations.Sign();
  }

  @Override
  public Padding padding() {
    return Padding.MINUS_ONE;
  }

  @Override
  public float offset(int taps) {
    return scaling == Scaling.NONE ? taps * 0.5f : 0;
  }

  @Override
  public Surrogates at(int epoch, int epochs) {
    return new Surrogates(new Binarizer.Identity(), approxSign ? new ApproxSign(clip) : new Binarizer.Clipped(clip), Map.of());
  }
}
