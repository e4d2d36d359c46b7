package onebit.layers;

/**
 * How far the float8 gradients of a layer are from those that are not rounded.
 *
 * <pre>
 * Units  the L2 norm of the difference over that of what is not rounded: of the filters' gradient and of the images'; infinite where only one is 0
 * </pre>
 */
public record GradientError(String layer, double filters, double images) {
  /** The error of what was found against what was wanted; NaN where something is not finite. */
  static double relative(float[] found, float[] wanted) {
    double off = 0, all = 0;
    for (int i = 0; i < wanted.length; i++) {
      double difference = (double) found[i] - wanted[i];
      off += difference * difference;
      all += (double) wanted[i] * wanted[i];
    }
    return off == 0 ? 0 : Math.sqrt(off / all);
  }

  /** The larger error; NaN counts as that. */
  public double worst() {
    return Math.max(filters, images);
  }

  /** Which gradient that is. */
  public String where() {
    return (Double.compare(filters, images) >= 0 ? "gradW of " : "gradX of ") + layer;
  }
}
