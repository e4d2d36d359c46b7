package onebit.ops.cuda;

import onebit.binarize.AdaBin;
import onebit.binarize.BiPer;
import onebit.binarize.Binarizer;
import onebit.binarize.BmxNet;
import onebit.binarize.Rbnn;

/**
 * A binarizer as the kernels take it: a kind and two values.
 *
 * <pre>
 * Twin  kernels/slope.cuh
 * </pre>
 */
record SlopeCode(int kind, float a, float b) {
  /** @throws IllegalArgumentException if the kernels do not know the binarizer */
  static SlopeCode of(Binarizer f) {
    return switch (f) {
      case Binarizer.Identity i -> new SlopeCode(0, 0, 0);
      case Binarizer.Clipped c -> new SlopeCode(1, c.clip(), 0);
      case Binarizer.Polynomial p -> new SlopeCode(2, 0, 0);
      case AdaBin.TanhSlope s -> new SlopeCode(3, s.k(), s.t());
      case BiPer.SineSign s -> new SlopeCode(4, s.omega(), 0);
      case Rbnn.HatSlope s -> new SlopeCode(5, s.k(), s.t());
      case BmxNet.ApproxSign s -> new SlopeCode(6, s.clip(), 0);
      default -> throw new IllegalArgumentException("cuda: the binarizer " + f + " has no device twin; add its level and slope to kernels/slope.cuh, "
          + "its kind there to those that are not plain, and to SlopeCode");
    };
  }
}
