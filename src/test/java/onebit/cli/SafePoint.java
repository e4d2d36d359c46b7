package onebit.cli;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.SplittableRandom;
import onebit.binarize.Binarizer;
import onebit.binarize.BmxNet;
import onebit.models.Model;
import onebit.ops.Backend;
import onebit.ops.BinarizeOps;
import onebit.ops.BitOps;
import onebit.ops.ConvOps;
import onebit.ops.NormOps;
import onebit.ops.PointOps;
import onebit.ops.PointOps.Activation;
import onebit.tensor.Parameter;
import onebit.tensor.Tensor;

/**
 * Parameters of a network on the CPU at which rounding decides nothing: no value lies next to a threshold, a kink or a clip.
 *
 * <p>A backend that listens to the ops of a forward pass stops it at the first value that is too near, moves the bias of the batch norm before
 * it by a few thousandths in that channel (or that weight, where weights are rotated or no batch norm follows), and the pass begins anew, as ../shared/golden/README.md tells.
 */
final class SafePoint {
  /** Distance to keep from a sign's threshold, of activations and of rotated weights, and from a kink or clip. */
  private static final float SIGN = 2e-5f, ROTATED = 5e-6f, KINK = 3e-6f;
  private static final int MOST_PASSES = 2000;

  private final SplittableRandom random = new SplittableRandom(11);
  private final float clip;
  private Tensor bias;
  private Tensor filters;
  private Tensor latent;
  private Tensor mixed;
  private int signs;
  private int passes;

  /** Ends a pass whose parameters were moved. */
  private static final class Moved extends RuntimeException {
    private static final long serialVersionUID = 1;

    Moved() {
      super("moved", null, false, false);
    }
  }

  /** clip: where the slope of activations ends at once; 0 where it does not. */
  private SafePoint(float clip) {
    this.clip = clip;
  }

  static SafePoint of(onebit.binarize.Method method) {
    return new SafePoint(method instanceof BmxNet net ? net.clip() : 0);
  }

  /** The backend with listeners on the ops that decide something. */
  Backend listening(Backend backend) {
    BitOps bits = proxy(BitOps.class, backend.bits(), (op, a) -> {
      if (op.equals("pack")) sign((Tensor) a[1], (float) a[2]);
    });
    NormOps norm = proxy(NormOps.class, backend.norm(), (op, a) -> {
      if (!op.equals("batchNorm")) return;
      bias = (Tensor) a[3];
      filters = null;
    });
    ConvOps conv = proxy(ConvOps.class, backend.conv(), (op, a) -> {
      if (op.equals("conv2d")) filters = (Tensor) a[2];
    });
    PointOps point = proxy(PointOps.class, backend.point(), (op, a) -> {
      if (op.equals("maxout")) keepAway((Tensor) a[1], 0, KINK);
      if (op.equals("activate") && a[2] == Activation.RELU) keepAway((Tensor) a[1], 0, KINK);
      if (op.equals("activate") && a[2] == Activation.HARD_TANH) keepAwayOnBothSides((Tensor) a[1], 1);
    });
    BinarizeOps binarize = proxy(BinarizeOps.class, backend.binarize(), (op, a) -> {
      if (op.equals("learnedSet")) sign((Tensor) a[2], ((Tensor) a[4]).floats()[0]);
      if (op.equals("sampleStandard")) signAroundTheMean((Tensor) a[2]);
      if (op.equals("standardize")) latent = (Tensor) a[2];
      if (op.equals("rotateMix")) mixed = (Tensor) a[0];
      if (op.equals("sign") && a[1] == mixed) rotatedSigns((Tensor) a[1]);
    });
    return proxy(Backend.class, backend, (op, a) -> { }, bits, norm, conv, point, binarize);
  }

  /** Told of an op before it runs. */
  private interface Listener {
    void heard(String op, Object[] arguments);
  }

  private static <T> T proxy(Class<T> type, T real, Listener listener, Object... families) {
    return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (self, method, arguments) -> {
      if (method.getParameterCount() == 0) for (Object family : families) if (method.getReturnType().isInstance(family)) return family;
      listener.heard(method.getName(), arguments);
      return call(method, real, arguments);
    }));
  }

  private static Object call(Method method, Object real, Object[] arguments) throws Throwable {
    try {
      return method.invoke(real, arguments);
    } catch (InvocationTargetException e) {
      throw e.getCause();
    }
  }

  /** Moves scales, sets and angles off their first values, then whatever is too near, until nothing is. */
  void find(Model model, Tensor x) {
    for (Parameter p : model.parameters()) {
      float[] values = p.value().floats();
      for (int i = 0; i < p.size(); i++) values[i] = moved(p, values[i]);
    }
    for (passes = 1; passes <= MOST_PASSES; passes++) {
      try {
        signs = 0;
        model.forward(x, true);
        return;
      } catch (Moved anew) {
        // begin anew
      }
    }
    throw new AssertionError("no safe point in " + MOST_PASSES + " passes");
  }

  private float moved(Parameter p, float value) {
    float u = (float) random.nextDouble();
    return switch (p.kind()) {
      case NORM -> p.name().endsWith(".weight") ? 0.75f + 0.5f * u : 0.2f * u - 0.1f;
      case BINARY_SET -> p.name().endsWith("beta_a") ? 0.2f * u - 0.1f : p.name().endsWith(".rotate") ? 0.3f + u : value * (0.8f + 0.4f * u);
      case NONLINEARITY -> value * (0.8f + 0.4f * u);
      case BIAS, LATENT_WEIGHT, REAL_WEIGHT -> value;
    };
  }

  /** Binarizations of the last pass. */
  int signs() {
    return signs;
  }

  int passes() {
    return passes;
  }

  private void sign(Tensor x, float threshold) {
    signs++;
    keepAway(x, threshold, SIGN);
    if (clip > 0) keepAwayOnBothSides(x, clip);
  }

  private void signAroundTheMean(Tensor x) {
    signs++;
    int n = x.shape().d0(), each = x.size() / n;
    for (int i = 0; i < n; i++) {
      double sum = 0;
      for (int k = 0; k < each; k++) sum += x.floats()[i * each + k];
      keepAway(x, i * each, (i + 1) * each, (float) (sum / each), SIGN);
    }
  }

  private void rotatedSigns(Tensor weights) {
    boolean any = false;
    for (int i = 0; i < weights.size(); i++) {
      if (Math.abs(weights.floats()[i]) >= ROTATED) continue;
      latent.floats()[i] += 0.03f * (float) random.nextGaussian() * Math.max(0.1f, Math.abs(latent.floats()[i]));
      any = true;
    }
    if (any) throw new Moved();
  }

  private void keepAwayOnBothSides(Tensor x, float distance) {
    keepAway(x, distance, KINK);
    keepAway(x, -distance, KINK);
  }

  private void keepAway(Tensor x, float from, float margin) {
    keepAway(x, 0, x.size(), from, margin);
  }

  private void keepAway(Tensor x, int first, int last, float from, float margin) {
    int channels = x.shape().channels();
    boolean any = false;
    for (int i = first; i < last; i++) {
      if (Math.abs(x.floats()[i] - from) >= margin) continue;
      move(i % channels, channels, x);
      any = true;
    }
    if (any) throw new Moved();
  }

  /** Moves what came last before x: the bias of a batch norm, or the first weight of a filter where no batch norm follows it. */
  private void move(int channel, int channels, Tensor x) {
    float by = (random.nextBoolean() ? 1 : -1) * (0.001f + 0.004f * (float) random.nextDouble());
    if (filters != null && filters.shape().d0() == channels) filters.floats()[channel * filters.shape().rowSize()] += by;
    else if (bias != null && bias.size() == channels) bias.floats()[channel] += by;
    else throw new AssertionError("nothing of " + channels + " channels before " + x.shape());
  }

  /** Whether the slope of these activations has clips that this class keeps values away from, or none. */
  static boolean knows(Binarizer f) {
    return f instanceof Binarizer.Polynomial || f instanceof Binarizer.Clipped || f instanceof BmxNet.ApproxSign || f instanceof onebit.binarize.Rbnn.HatSlope;
  }
}
