package onebit.layers;

import java.util.List;
import onebit.ops.Backend;
import onebit.ops.DenseOps.Moments;
import onebit.ops.FusedOps.Shortcut;
import onebit.ops.FusedOps.Unit;
import onebit.ops.FusedOps.Window;
import onebit.ops.PixelScale;
import onebit.ops.PointOps.Activation;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * z = the largest f(batchNorm(y)) of each window, y a real convolution of x or x itself: stems, 1x1 shortcuts, what follows dense blocks or comes before
 * a classifier.
 *
 * <pre>
 * Keeps   which of each window was largest; of a convolution its result, whose memory its gradient takes in backward, or where memory is compact only
 *         room for it, computed again; x stays with the layer before
 * Cost    beside the convolution: one launch for statistics, but not of images of bytes, and one forward, two backward
 * Differs a ReLU after the pooling is taken before it: the largest is the same, and where it is not positive no gradient passes either way
 * </pre>
 */
final class NormUnit implements Layer {
  private final Sequential body;
  private final Conv2d convolution;
  private final BatchNorm norm;
  private final Layer f;
  private final Window window;
  private Backend backend;
  private boolean recomputes;
  private Tensor y;
  private Tensor again;
  private Tensor z;
  private Tensor chosen;
  private Tensor gradX;
  private Tensor x;
  private Moments known;

  NormUnit(Sequential body) {
    this.body = body;
    List<Layer> layers = body.children();
    convolution = layers.getFirst() instanceof Conv2d it ? it : null;
    norm = (BatchNorm) layers.get(convolution == null ? 0 : 1);
    Pool pool = null;
    Layer nonlinearity = null;
    for (Layer layer : layers.subList(convolution == null ? 1 : 2, layers.size())) {
      if (layer instanceof Pool it) pool = it;
      else nonlinearity = layer;
    }
    f = nonlinearity;
    window = pool == null ? Window.NONE : pool.maxWindow();
  }

  /** How many layers from index i make such a unit; 0 if none: a norm that nothing follows runs as it is. */
  static int length(List<? extends Layer> layers, int i) {
    boolean convolves = i < layers.size() && layers.get(i) instanceof Conv2d convolution && !convolution.hasBias();
    int end = convolves ? i + 1 : i;
    if (end >= layers.size() || !(layers.get(end++) instanceof BatchNorm)) return 0;
    boolean nonlinear = end < layers.size() && BinaryChain.isNonlinearity(layers.get(end));
    if (nonlinear) end++;
    if (end < layers.size() && layers.get(end) instanceof Pool pool && pool.maxWindow() != null) {
      boolean after = !nonlinear && end + 1 < layers.size() && layers.get(end + 1) instanceof Activate activate && activate.activation() == Activation.RELU;
      if (!convolves && !nonlinear && !after) return 0;
      return end + (after ? 2 : 1) - i;
    }
    return convolves || nonlinear ? end - i : 0;
  }

  BatchNorm norm() {
    return norm;
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    Shape out = body.build(context.withheld(true), input);
    if (convolution != null) {
      recomputes = context.recomputes();
      context.owner("results of real convolutions");
      y = context.activations(convolution.outputShape());
      again = recomputes ? context.activations(convolution.outputShape()) : y;
    }
    context.owner("results of norms");
    z = context.activations(out);
    chosen = window.chooses() ? context.room(out, ElementType.UINT8) : null;
    context.owner("gradients of norms");
    if (convolution == null) gradX = context.gradients(input);
    else convolution.makeGradient(context);
    return out;
  }

  /** The statistics of the input, which is what the norm is of, are those from now on: {@link #forwardOfKnown} takes none. */
  void use(Moments ofInput) {
    known = ofInput;
  }

  @Override
  public boolean takePixels(PixelScale scale) {
    return convolution != null && convolution.takePixels(scale);
  }

  private Tensor chosen(int n) {
    return chosen == null ? null : chosen.first(n);
  }

  private Unit unit(Tensor product, boolean training) {
    return new Unit(product, training && known != null ? norm.norm(known) : norm.norm(training), Shortcut.NONE, BinaryUnit.nonlinearity(f));
  }

  @Override
  public Tensor forward(Tensor input, boolean training) {
    x = input;
    Tensor product = input;
    if (convolution != null) {
      product = y.first(input.shape().d0());
      if (training && convolution.makes(input)) {
        Unit unit = unit(product, true);
        convolution.convolve(unit, input, norm.running());
        return apply(unit, false);
      }
      convolution.convolve(product, input);
    }
    return apply(unit(product, training), training);
  }

  /** The same where the statistics of the input are taken already: in the norm, or in what {@link #use} was given. */
  Tensor forwardOfKnown(Tensor input, boolean training) {
    x = input;
    if (training && known != null) backend.dense().moveRunning(norm.running(), known);
    return apply(unit(input, training), false);
  }

  private Tensor apply(Unit unit, boolean asks) {
    int n = unit.y().shape().d0();
    Tensor out = z.first(n);
    if (asks) norm.statistics(unit);
    backend.fused().poolForward(out, chosen(n), unit, window);
    return out;
  }

  @Override
  public Tensor backward(Tensor gradZ) {
    int n = gradZ.shape().d0();
    Tensor product = convolution == null ? x : again.first(n), gradient = convolution == null ? gradX.first(n) : product;
    if (recomputes) convolution.convolve(product, x);
    backend.fused().poolBackward(gradient, BinaryUnit.gradients(norm, f), unit(product, true), gradZ, chosen(n), window);
    norm.keepFixed();
    return convolution == null ? gradient : convolution.backward(gradient);
  }

  @Override
  public List<Layer> children() {
    return List.of(body);
  }
}
