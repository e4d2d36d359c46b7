package onebit.ops;

import java.util.function.DoubleUnaryOperator;
import java.util.function.Function;

/** A value with its derivative along one direction: forward-mode differentiation, where a sign may be given any slope. */
public record Dual(double v, double d) {
  public static Dual of(double v) {
    return new Dual(v, 0);
  }

  public Dual plus(Dual o) {
    return new Dual(v + o.v, d + o.d);
  }

  public Dual plus(double o) {
    return new Dual(v + o, d);
  }

  public Dual minus(Dual o) {
    return new Dual(v - o.v, d - o.d);
  }

  public Dual times(Dual o) {
    return new Dual(v * o.v, v * o.d + d * o.v);
  }

  public Dual times(double o) {
    return new Dual(v * o, d * o);
  }

  public Dual over(Dual o) {
    return new Dual(v / o.v, (d * o.v - v * o.d) / (o.v * o.v));
  }

  public Dual over(double o) {
    return new Dual(v / o, d / o);
  }

  public Dual sqrt() {
    double root = Math.sqrt(v);
    return new Dual(root, d / (2 * root));
  }

  public Dual abs() {
    return new Dual(Math.abs(v), Math.signum(v) * d);
  }

  public Dual sin() {
    return new Dual(Math.sin(v), Math.cos(v) * d);
  }

  /** The same value, taken as a constant. */
  public Dual detached() {
    return of(v);
  }

  /** +1 or -1 (+1 at 0), with slope(v) in place of the derivative. */
  public Dual sign(DoubleUnaryOperator slope) {
    return new Dual(v >= 0 ? 1 : -1, slope.applyAsDouble(v) * d);
  }

  public static Dual sum(Dual[] all) {
    Dual sum = of(0);
    for (Dual one : all) sum = sum.plus(one);
    return sum;
  }

  public static Dual mean(Dual[] all) {
    return sum(all).over(all.length);
  }

  /** The sum of squared distances from the mean over count - less. */
  public static Dual variance(Dual[] all, int less) {
    Dual mean = mean(all), sum = of(0);
    for (Dual one : all) sum = sum.plus(one.minus(mean).times(one.minus(mean)));
    return sum.over(all.length - less);
  }

  /** Elements [from, from + count). */
  public static Dual[] slice(Dual[] all, int from, int count) {
    return java.util.Arrays.copyOfRange(all, from, from + count);
  }

  /** sum of y g. */
  public static Dual dot(Dual[] y, float[] g) {
    Dual sum = of(0);
    for (int i = 0; i < y.length; i++) sum = sum.plus(y[i].times(g[i]));
    return sum;
  }

  /** The gradient of the loss at x, one direction per coordinate. */
  public static double[] gradient(Function<Dual[], Dual> loss, float[] x) {
    double[] gradient = new double[x.length];
    Dual[] at = new Dual[x.length];
    for (int i = 0; i < x.length; i++) at[i] = of(x[i]);
    for (int i = 0; i < x.length; i++) {
      at[i] = new Dual(x[i], 1);
      gradient[i] = loss.apply(at).d();
      at[i] = of(x[i]);
    }
    return gradient;
  }
}
