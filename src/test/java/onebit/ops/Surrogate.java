package onebit.ops;

import java.util.function.DoubleUnaryOperator;
import onebit.binarize.AdaBin;
import onebit.binarize.BiPer;
import onebit.binarize.Binarizer;
import onebit.binarize.Curve;
import onebit.binarize.Rbnn;

/** A binarizer beside its slope and the level's own function, written anew in double. */
public record Surrogate(String name, Binarizer binarizer, DoubleUnaryOperator slope, DoubleUnaryOperator level) {
  public static DoubleUnaryOperator tanhSlope(double k, double t) {
    return u -> k * t / Math.pow(Math.cosh(t * u), 2);
  }

  public static DoubleUnaryOperator hatSlope(double k, double t) {
    return u -> Math.abs(u) < Math.sqrt(2) / t ? k * t * t * (Math.sqrt(2) / t - Math.abs(u)) : 0;
  }

  /** The derivative of u + u^2 below and u - u^2 above 0, doubled. */
  public static double polynomialSlope(double u) {
    return u <= -1 || u >= 1 ? 0 : u < 0 ? 2 + 2 * u : 2 - 2 * u;
  }

  public static Surrogate identity() {
    return new Surrogate("identity", new Binarizer.Identity(), u -> 1, u -> u);
  }

  public static Surrogate clipped(float clip) {
    return new Surrogate("clipped", new Binarizer.Clipped(clip), u -> u >= -clip && u <= clip ? 1 : 0, u -> u);
  }

  public static Surrogate polynomial() {
    return new Surrogate("polynomial", new Binarizer.Polynomial(), Surrogate::polynomialSlope, u -> u);
  }

  public static Surrogate tanh(double k, double t) {
    return new Surrogate("tanh", new AdaBin.TanhSlope((float) k, (float) t), tanhSlope(k, t), u -> u);
  }

  public static Surrogate hat(double k, double t) {
    return new Surrogate("hat", new Rbnn.HatSlope((float) k, (float) t), hatSlope(k, t), u -> u);
  }

  /** The bell of tanh as a curve of few pieces, and the lines of the curve drawn anew. */
  public static Surrogate curve(float from, float to, int pieces) {
    DoubleUnaryOperator bell = tanhSlope(1.5, 1), lines = u -> {
      double piece = ((double) to - from) / pieces, left = from + piece * Math.clamp((long) Math.floor((u - from) / piece), 0, pieces - 1), in = Math.clamp((u - left) / piece, 0, 1);
      return bell.applyAsDouble(left) * (1 - in) + bell.applyAsDouble(left + piece) * in;
    };
    return new Surrogate("curve", Curve.of(bell, from, to, pieces), lines, u -> u);
  }

  public static Surrogate sine(double omega) {
    return new Surrogate("sine", new BiPer.SineSign((float) omega), u -> omega * Math.cos(omega * u), u -> Math.sin(omega * u));
  }

  /** sign(level(x)) with the surrogate's slope by x, as the product of all it is made of. */
  public Dual sign(Dual x) {
    return new Dual(level.applyAsDouble(x.v()) >= 0 ? 1 : -1, slope.applyAsDouble(x.v()) * x.d());
  }

  /** level(x), differentiated by a central difference. */
  public Dual level(Dual x) {
    double h = 1e-6, derivative = (level.applyAsDouble(x.v() + h) - level.applyAsDouble(x.v() - h)) / (2 * h);
    return new Dual(level.applyAsDouble(x.v()), derivative * x.d());
  }

  @Override
  public String toString() {
    return name;
  }
}
