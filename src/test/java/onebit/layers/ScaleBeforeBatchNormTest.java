package onebit.layers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.DoubleSummaryStatistics;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleUnaryOperator;
import java.util.function.Function;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import onebit.binarize.Rbnn;
import onebit.binarize.Surrogates;
import onebit.ops.Backend;
import onebit.ops.Dual;
import onebit.ops.Fresh;
import onebit.ops.OnEveryBackend;
import onebit.ops.PointOps.Activation;
import onebit.ops.Surrogate;
import onebit.tensor.BitTensor;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * The gradient of RBNN's alpha, a scale that the batch norm behind it takes out again, at blunt and at the sharpest surrogates.
 *
 * <pre>
 *   dL/dalpha = sum over the filter's outputs of g c                        g at alpha c, in front of the batch norm
 *             = gamma dL/dgamma / alpha * epsilon / (var + epsilon)         all that the batch norm leaves of the sum
 * </pre>
 *
 * <p>With var of some tenths and epsilon 1e-5 the sum is 1e-5 of its terms or less. float32 holds g to 6e-8 of what it is the difference of, so that
 * digits of the sum are rounding, in every program that sums it, at every t. It shows in a replayed step where t is above 2: there gradients grow from
 * layer to layer towards the first, whose rounding passes the later layers' gradients. So the bound here is one float32 rounding of all that is added up.
 * Where alpha is so small that epsilon counts, that is 1e-4 of the gradient or less.
 *
 * <pre>
 * Units   magnitude: the sum, over outputs and taps, of the three parts of g in the batch norm's backward, each taken positive
 * Source  two binary convolutions, written anew in double with {@link Dual} numbers; the bits of the filters are the layers' own
 * </pre>
 */
class ScaleBeforeBatchNormTest {
  private static final int N = 2, H = 5, W = 4, C = 6, MIDDLE = 5, LAST = 4, PIXELS = H * W;
  private static final double EPSILON = 1e-5, ROUNDING = 0x1p-24;
  private static final double[] SHARPNESS = {0.05, 5, 10};

  /** Of each filter: alpha's gradient, and the magnitude of what is added up to it. */
  private record Sums(double[] gradient, double[] magnitude) {}

  /** The two convolutions with all between them on one backend, and what the double form needs of them. */
  private static final class Chain {
    final Backend backend;
    final BinaryConv2d first = new BinaryConv2d("first", new Rbnn(1, false), MIDDLE, 3, 1, 1, 1, Init.KAIMING);
    final BinaryConv2d second = new BinaryConv2d("second", new Rbnn(1, false), LAST, 3, 1, 1, 1, Init.KAIMING);
    final BatchNorm norm = new BatchNorm("norm1", BatchNorm.Rule.TORCH), lastNorm = new BatchNorm("norm2", BatchNorm.Rule.TORCH);
    final List<Layer> layers = List.of(first, norm, new Activate(Activation.HARD_TANH), second, lastNorm);
    final float[] x;
    final float[] gradY;
    final double t;

    /** Both forward and backward were run; alphaFactor is what both alphas are multiplied by. */
    Chain(Backend backend, double t, float alphaFactor) {
      this.backend = backend;
      this.t = t;
      Shape shape = Shape.image(N, H, W, C);
      BuildContext context = new BuildContext(backend, 3);
      for (Layer layer : layers) shape = layer.build(context, shape);
      Surrogates surrogates = new Rbnn(1, false).withValues(Map.of("k", Math.max(1 / t, 1), "t", t));
      for (BinaryConv2d layer : List.of(first, second)) {
        layer.use(surrogates);
        Parameter alpha = parameter(layer, ".alpha");
        float[] values = backend.read(alpha.value());
        for (int i = 0; i < values.length; i++) values[i] *= alphaFactor;
        backend.write(alpha.value(), values);
      }
      Fresh fresh = new Fresh(backend, 4);
      backend.write(norm.gamma().value(), fresh.uniform(MIDDLE, 0.75, 1.25));
      backend.write(norm.beta().value(), fresh.uniform(MIDDLE, -0.1, 0.1));
      x = fresh.normal(N * PIXELS * C);
      gradY = fresh.normal(N * PIXELS * LAST);
      Tensor at = fresh.tensor(Shape.image(N, H, W, C), x), grad = fresh.tensor(shape, gradY);
      for (Layer layer : layers) at = layer.forward(at, true);
      for (Layer layer : layers.reversed()) grad = layer.backward(grad);
    }

    double[] values(Parameter parameter) {
      return doubles(backend.read(parameter.value()));
    }

    double[] signs(BinaryConv2d layer) {
      BitTensor bits = layer.filterBits();
      long[] words = backend.read(bits);
      double[] signs = new double[bits.rows() * bits.bits()];
      for (int i = 0; i < signs.length; i++) {
        int row = i / bits.bits(), k = i % bits.bits();
        signs[i] = (words[row * bits.words() + k / 64] >>> k % 64 & 1) != 0 ? 1 : -1;
      }
      return signs;
    }

    /** Of the first convolution in double. */
    Dual[] firstProducts() {
      return convolved(standardSigns(Arrays.stream(doubles(x)).mapToObj(Dual::of).toArray(Dual[]::new), C, u -> 0), signs(first), C);
    }

    /** Of the second convolution, from what the first batch norm gives. */
    Dual[] secondProducts(Dual[] z) {
      for (Dual v : z) assertTrue(Math.abs(Math.abs(v.v()) - 1) > 1e-5, "a safe point: " + v.v());
      Dual[] inside = Stream.of(z).map(v -> Math.abs(v.v()) < 1 ? v : Dual.of(Math.signum(v.v()))).toArray(Dual[]::new);
      return convolved(standardSigns(inside, MIDDLE, Surrogate.hatSlope(1, Math.max(t, 1))), signs(second), MIDDLE);
    }

    Dual loss(Dual[] lastZ) {
      return Dual.dot(lastZ, gradY);
    }
  }

  private static Dual[] scaled(Dual[] products, double[] alpha) {
    Dual[] y = new Dual[products.length];
    for (int i = 0; i < y.length; i++) y[i] = products[i].times(alpha[i % alpha.length]);
    return y;
  }

  private static Parameter parameter(BinaryConv2d layer, String end) {
    return layer.parameters().stream().filter(p -> p.name().endsWith(end)).findFirst().orElseThrow();
  }

  private static double[] doubles(float[] values) {
    double[] all = new double[values.length];
    for (int i = 0; i < all.length; i++) all[i] = values[i];
    return all;
  }

  /** Signs of images minus their mean over their unbiased deviation; no image lies near a threshold. */
  private static Dual[] standardSigns(Dual[] x, int channels, DoubleUnaryOperator slope) {
    Dual[] signs = new Dual[x.length];
    int each = PIXELS * channels;
    for (int n = 0; n < N; n++) {
      Dual[] image = Dual.slice(x, n * each, each);
      Dual mean = Dual.mean(image), deviation = Dual.variance(image, 1).sqrt();
      for (int i = 0; i < each; i++) {
        Dual u = image[i].minus(mean).over(deviation);
        assertTrue(Math.abs(u.v()) > 1e-5, "a safe point: " + u.v());
        signs[n * each + i] = u.sign(slope);
      }
    }
    return signs;
  }

  /** 3x3 filters in R,S,C order on images in H,W,C order, padded with zeros. */
  private static Dual[] convolved(Dual[] x, double[] filters, int channels) {
    int count = filters.length / (9 * channels);
    Dual[] y = new Dual[N * PIXELS * count];
    for (int at = 0; at < y.length; at++) {
      int o = at % count, pixel = at / count, n = pixel / PIXELS, p = pixel % PIXELS / W, q = pixel % W;
      double v = 0, d = 0;
      for (int tap = 0; tap < 9; tap++) {
        int h = p + tap / 3 - 1, w = q + tap % 3 - 1;
        if (h < 0 || h >= H || w < 0 || w >= W) continue;
        for (int c = 0; c < channels; c++) {
          Dual value = x[((n * H + h) * W + w) * channels + c];
          double weight = filters[(o * 9 + tap) * channels + c];
          v += weight * value.v();
          d += weight * value.d();
        }
      }
      y[at] = new Dual(v, d);
    }
    return y;
  }

  private static Dual[] channel(Dual[] x, int channels, int c) {
    Dual[] all = new Dual[x.length / channels];
    for (int i = 0; i < all.length; i++) all[i] = x[i * channels + c];
    return all;
  }

  private static Dual[] batchNorm(Dual[] x, double[] gamma, double[] beta) {
    Dual[] y = new Dual[x.length];
    for (int c = 0; c < gamma.length; c++) {
      Dual[] one = channel(x, gamma.length, c);
      Dual mean = Dual.mean(one), deviation = Dual.variance(one, 0).plus(EPSILON).sqrt();
      for (int i = 0; i < one.length; i++) y[i * gamma.length + c] = one[i].minus(mean).over(deviation).times(gamma[c]).plus(beta[c]);
    }
    return y;
  }

  /** Of the scales alpha of these products, which rest has behind them: first a batch norm with such a gamma and beta. */
  private static Sums sums(Dual[] products, int taps, double[] alpha, double[] gamma, double[] beta, Function<Dual[], Dual> rest) {
    int filters = alpha.length, each = products.length / filters;
    Sums sums = new Sums(new double[filters], new double[filters]);
    Dual[] y = scaled(products, alpha), z = batchNorm(y, gamma, beta);
    double[] gradZ = gradient(rest, z);
    for (int o = 0; o < filters; o++) {
      Dual[] moved = y.clone();
      for (int i = o; i < y.length; i += filters) moved[i] = new Dual(y[i].v(), products[i].v());
      sums.gradient[o] = rest.apply(batchNorm(moved, gamma, beta)).d();
      double deviation = Dual.variance(channel(y, filters, o), 0).plus(EPSILON).sqrt().v(), mean = 0, slope = 0;
      for (int i = o; i < y.length; i += filters) {
        mean += gradZ[i] / each;
        slope += gradZ[i] * (z[i].v() - beta[o]) / gamma[o] / each;
      }
      for (int i = o; i < y.length; i += filters) {
        double xhat = (z[i].v() - beta[o]) / gamma[o];
        sums.magnitude[o] += taps * gamma[o] / deviation * (Math.abs(gradZ[i]) + Math.abs(mean) + Math.abs(xhat * slope));
      }
    }
    return sums;
  }

  private static double[] gradient(Function<Dual[], Dual> loss, Dual[] x) {
    double[] gradient = new double[x.length];
    Dual[] at = x.clone();
    for (int i = 0; i < x.length; i++) {
      at[i] = new Dual(x[i].v(), 1);
      gradient[i] = loss.apply(at).d();
      at[i] = x[i];
    }
    return gradient;
  }

  /** Magnitude over gradient. */
  private static DoubleStream conditions(Sums sums) {
    return IntStream.range(0, sums.gradient.length).mapToDouble(o -> sums.magnitude[o] / Math.abs(sums.gradient[o]));
  }

  private static void assertWithinARounding(String name, Sums want, Tensor gradient, Backend backend) {
    float[] got = backend.read(gradient);
    for (int o = 0; o < got.length; o++) {
      assertEquals(want.gradient[o], got[o], ROUNDING * want.magnitude[o], name + " of filter " + o);
    }
  }

  /** Conditions lie in the range given; alpha's gradients, and what gamma's gradient says of them, are off by less than a rounding of the magnitude. */
  private static void check(Backend backend, double t, float alphaFactor, double least, double most) {
    Chain chain = new Chain(backend, t, alphaFactor);
    Parameter firstAlpha = parameter(chain.first, ".alpha"), secondAlpha = parameter(chain.second, ".alpha");
    double[] alpha = chain.values(firstAlpha), gamma = chain.values(chain.norm.gamma()), beta = chain.values(chain.norm.beta());
    double[] lastAlpha = chain.values(secondAlpha), lastGamma = chain.values(chain.lastNorm.gamma()), lastBeta = chain.values(chain.lastNorm.beta());
    Dual[] products = chain.firstProducts(), y = scaled(products, alpha), last = chain.secondProducts(batchNorm(y, gamma, beta));
    Sums second = sums(last, 9 * MIDDLE, lastAlpha, lastGamma, lastBeta, chain::loss);
    Sums first = sums(products, 9 * C, alpha, gamma, beta,
        z -> chain.loss(batchNorm(scaled(chain.secondProducts(z), lastAlpha), lastGamma, lastBeta)));
    String at = ", t = " + t + ", alpha times " + alphaFactor;
    for (Sums sums : List.of(first, second)) {
      DoubleSummaryStatistics condition = conditions(sums).summaryStatistics();
      assertTrue(condition.getMin() > least && condition.getMax() < most, "condition " + condition + at);
    }
    assertWithinARounding("the first alpha" + at, first, firstAlpha.gradient(), backend);
    assertWithinARounding("the second alpha" + at, second, secondAlpha.gradient(), backend);
    float[] gradGamma = backend.read(chain.norm.gamma().gradient());
    for (int o = 0; o < MIDDLE; o++) {
      double left = EPSILON / (Dual.variance(channel(y, MIDDLE, o), 0).v() + EPSILON);
      assertEquals(first.gradient[o], gamma[o] * gradGamma[o] / alpha[o] * left,
          ROUNDING * first.magnitude[o] * left, "what batch norm leaves of filter " + o + at);
    }
  }

  @OnEveryBackend
  void alphasGradientIsOffByLessThanARoundingOfWhatIsAddedUpHoweverSharpTheSurrogate(Backend backend) {
    for (double t : SHARPNESS) check(backend, t, 1, 1e5, 1e8);
  }

  @OnEveryBackend
  void whereEpsilonCountsThatIsATenThousandthOfTheGradientOrLess(Backend backend) {
    for (double t : SHARPNESS) check(backend, t, 0.001f, 1, 1e-4 / ROUNDING);
  }
}
