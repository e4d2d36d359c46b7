package onebit.ops.cuda;

import onebit.binarize.AdaBin;
import onebit.binarize.BiPer;
import onebit.binarize.Binarizer;
import onebit.binarize.BmxNet;
import onebit.binarize.Curve;
import onebit.binarize.Rbnn;

/**
 * A binarizer as the kernels take it: a kind and the bits of two float32 values or, of a curve, the halves of the address of its table.
 *
 * <pre>
 * Twin  kernels/slope.cuh
 * </pre>
 */
record SlopeCode(int kind, int a, int b) {
  private SlopeCode(int kind, float a, float b) {
    this(kind, Float.floatToRawIntBits(a), Float.floatToRawIntBits(b));
  }

  /** No binarizer: what a kernel is given that does not ask for one. */
  static final SlopeCode NONE = new SlopeCode(0, 0, 0);

  /** @throws IllegalArgumentException if the kernels do not know the binarizer */
  static SlopeCode of(CudaDevice device, Binarizer f) {
    return switch (f) {
      case Binarizer.Identity i -> NONE;
      case Binarizer.Clipped c -> new SlopeCode(1, c.clip(), 0);
      case Binarizer.Polynomial p -> new SlopeCode(2, 0, 0);
      case AdaBin.TanhSlope s -> new SlopeCode(3, s.k(), s.t());
      case BiPer.SineSign s -> new SlopeCode(4, s.omega(), 0);
      case Rbnn.HatSlope s -> new SlopeCode(5, s.k(), s.t());
      case BmxNet.ApproxSign s -> new SlopeCode(6, s.clip(), 0);
      case Curve c -> at(device.table(c, c::table).address());
      default -> throw new IllegalArgumentException("cuda: the binarizer " + f + " has no device twin; give its slope as a Curve, or add its level and slope to "
          + "kernels/slope.cuh, its kind there to those that are not plain, and to SlopeCode");
    };
  }

  private static SlopeCode at(long table) {
    return new SlopeCode(7, (int) (table >>> 32), (int) table);
  }
}
