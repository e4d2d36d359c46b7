package onebit.layers;

import java.util.ArrayList;
import java.util.List;
import onebit.ops.Backend;
import onebit.ops.FusedOps.Binarization;
import onebit.ops.FusedOps.Incoming;
import onebit.ops.FusedOps.Nonlinearity;
import onebit.ops.FusedOps.Product;
import onebit.ops.FusedOps.Shortcut;
import onebit.ops.FusedOps.Unit;
import onebit.ops.FusedOps.UnitGradients;
import onebit.tensor.BitTensor;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * z = f(batchNorm(convolution of bits) + shortcut): one convolution and all that follows it up to the bits of the next.
 *
 * <pre>
 * Shapes  y, z, gradT N,P,Q,O; gradQ N,H,W,C as the convolution's input. The gradient at a stored y takes its place
 * Keeps   y where memory is fast; else a product of bits is computed again by each pass and stored nowhere
 * Cost    a product of bits: its filters, its statistics and one pass forward, two backward, which take their filters along where y is not kept
 * </pre>
 */
final class BinaryUnit {
  private final BinaryConv2d convolution;
  private final BatchNorm norm;
  private final Layer f;
  private int source = -1;
  private Layer shortcut;
  private Pool narrowing;
  private Backend backend;
  private boolean recomputes;
  private boolean multipliesBits;
  private Tensor added;
  private Tensor y;
  private Tensor gradY;
  private Tensor z;
  private Tensor rebuiltY;
  private Tensor rebuiltZ;
  private Tensor gradT;
  private Tensor gradQ;
  private int n;

  /** f is a Maxout, an Activate or null. */
  BinaryUnit(BinaryConv2d convolution, BatchNorm norm, Layer f) {
    this.convolution = convolution;
    this.norm = norm;
    this.f = f;
  }

  /** Adds the value of that number, through the shortcut's layers where it has any. */
  void shortcutFrom(int value, Layer layers) {
    source = value;
    narrowing = Residual.narrowing(layers);
    shortcut = narrowing == null ? layers : null;
  }

  BinaryConv2d convolution() {
    return convolution;
  }

  boolean hasShortcut() {
    return source >= 0;
  }

  /** Number of the value the shortcut starts from. */
  int source() {
    return source;
  }

  /** rebuilt: the value is not kept, but computed again in backward. */
  void makeRooms(BuildContext context, boolean rebuilt) {
    backend = context.backend();
    recomputes = context.recomputes();
    multipliesBits = convolution.multipliesBits();
    boolean stored = !recomputes || !multipliesBits;
    Shape out = convolution.outputShape(), in = convolution.inputShape();
    context.owner("results of binary convolutions");
    y = stored ? context.activations(out) : null;
    gradY = recomputes ? context.activations(out) : y;
    context.owner("values between units");
    z = context.activations(out);
    if (rebuilt) {
      rebuiltY = stored ? context.activations(out) : null;
      rebuiltZ = context.activations(out);
    }
    context.owner("gradients of units");
    gradT = context.gradients(out);
    gradQ = context.gradients(in);
  }

  /** A Maxout, an Activate or null as fused passes take it. */
  static Nonlinearity nonlinearity(Layer f) {
    return switch (f) {
      case null -> Nonlinearity.NONE;
      case Maxout maxout -> new Nonlinearity(null, maxout.positive().value(), maxout.negative().value());
      case Activate activate -> new Nonlinearity(activate.activation(), null, null);
      default -> throw new IllegalStateException("BinaryUnit: " + f.getClass().getSimpleName() + " is no nonlinearity of a unit");
    };
  }

  static UnitGradients gradients(BatchNorm norm, Layer f) {
    Tensor gamma = norm.gamma().gradient(), beta = norm.beta().gradient();
    return f instanceof Maxout maxout ? new UnitGradients(gamma, beta, maxout.positive().gradient(), maxout.negative().gradient())
        : new UnitGradients(gamma, beta, null, null);
  }

  /** The unit's shortcut over its source, or over the gradient at its result. */
  private Shortcut through(Tensor x) {
    return narrowing == null ? Shortcut.same(x) : narrowing.shortcut(x);
  }

  private Unit unit(Tensor product, Product ofBits, boolean training) {
    return new Unit(product, ofBits, norm.norm(training), added == null ? Shortcut.NONE : through(added), nonlinearity(f));
  }

  /** z of n images, and its bits; from is the value the shortcut starts from. */
  Tensor forward(int images, Tensor from, BitTensor bits, Binarization next, boolean training) {
    n = images;
    Tensor product = first(y), out = z.first(n);
    if (!multipliesBits) convolution.convolve(product);
    added = from == null || shortcut == null ? from : shortcut.forward(from, training);
    if (multipliesBits) {
      backend.fused().forwardOf(bits, out, unit(product, convolution.product(n), training), next, training ? norm.running() : null);
    } else {
      Unit unit = unit(product, null, training);
      if (training) norm.statistics(unit);
      backend.fused().forward(bits, out, unit, next);
    }
    return out;
  }

  private Tensor first(Tensor room) {
    return room == null ? null : room.first(n);
  }

  /** z once more, by the statistics and bits of forward; from is the value the shortcut starts from, null if it has layers of its own. */
  Tensor rebuild(Tensor from) {
    Tensor product = first(rebuiltY), out = rebuiltZ.first(n);
    if (from != null && shortcut == null) added = from;
    if (multipliesBits) {
      backend.fused().forwardOf(null, out, unit(null, convolution.productAgain(n), true), Binarization.NONE, null);
    } else {
      convolution.convolveAgain(product);
      backend.fused().forward(null, out, unit(product, null, true), Binarization.NONE);
    }
    return out;
  }

  /** The gradient at the convolution's binarized values, from what comes in at z; from as in {@link #rebuild}. */
  Tensor backward(Incoming incoming, Tensor from) {
    if (from != null && shortcut == null) added = from;
    Tensor gradProduct = gradY.first(n);
    if (recomputes && !multipliesBits) convolution.convolveAgain(gradProduct);
    Unit unit = recomputes && multipliesBits ? unit(null, convolution.productAgain(n), true) : unit(gradProduct, null, true);
    backend.fused().backward(gradProduct, gradT.first(n), gradients(norm, f), unit, incoming.ofUnit());
    norm.keepFixed();
    convolution.convolveBackward(gradQ.first(n), gradProduct);
    return gradQ.first(n);
  }

  /** The gradients that are there when backward has left the unit and its shortcut, and the weights of its convolution theirs. */
  List<Tensor> gradients() {
    List<Tensor> all = new ArrayList<>();
    convolution.filterParameters().forEach(p -> all.add(p.gradient()));
    norm.gradientGroups().forEach(all::addAll);
    if (f != null) f.gradientGroups().forEach(all::addAll);
    if (shortcut != null) shortcut.gradientGroups().forEach(all::addAll);
    return all;
  }

  /** The gradient of the shortcut at its source, as a fused pass takes it. */
  Shortcut backwardShortcut() {
    Tensor gradSum = gradT.first(n);
    return shortcut == null ? through(gradSum) : Shortcut.same(shortcut.backward(gradSum));
  }
}
