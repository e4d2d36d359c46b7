package onebit.layers;

import java.util.List;
import onebit.ops.Backend;
import onebit.ops.FusedOps.Nonlinearity;
import onebit.ops.FusedOps.Shortcut;
import onebit.ops.FusedOps.Unit;
import onebit.ops.FusedOps.Window;
import onebit.ops.PixelScale;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * z = the largest f(batchNorm(convolution)) of each window: a real-valued stem, or a 1x1 shortcut where nothing is pooled.
 *
 * <pre>
 * Keeps   the convolution's result, whose memory its gradient takes in backward, and which of each window was largest; where memory is
 *         compact the result is computed again
 * Cost    beside the convolution: two launches forward, two backward
 * </pre>
 */
final class RealUnit implements Layer {
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
  private Tensor x;

  RealUnit(Sequential body) {
    this.body = body;
    List<Layer> layers = body.children();
    convolution = (Conv2d) layers.get(0);
    norm = (BatchNorm) layers.get(1);
    f = layers.size() > 2 && BinaryChain.isNonlinearity(layers.get(2)) ? layers.get(2) : null;
    window = layers.getLast() instanceof Pool pool ? pool.maxWindow() : Window.NONE;
  }

  /** How many layers from index i make such a unit; 0 if none. */
  static int length(List<? extends Layer> layers, int i) {
    if (i + 1 >= layers.size() || !(layers.get(i) instanceof Conv2d convolution) || convolution.hasBias() || !(layers.get(i + 1) instanceof BatchNorm)) {
      return 0;
    }
    int end = i + 2;
    if (end < layers.size() && BinaryChain.isNonlinearity(layers.get(end))) end++;
    if (end < layers.size() && layers.get(end) instanceof Pool pool && pool.maxWindow() != null) end++;
    return end - i;
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    recomputes = context.recomputes();
    Shape out = body.build(context.withheld(true), input), product = convolution.outputShape();
    backend.owner("results of real convolutions");
    y = context.activations(product);
    again = recomputes ? context.activations(product) : y;
    backend.owner("results of real units");
    z = context.activations(out);
    chosen = window.chooses() ? context.room(out, ElementType.UINT8) : null;
    backend.owner("gradients of real units");
    convolution.makeGradient(context);
    return out;
  }

  @Override
  public boolean takePixels(PixelScale scale) {
    return convolution.takePixels(scale);
  }

  private Tensor chosen(int n) {
    return chosen == null ? null : chosen.first(n);
  }

  private Unit unit(Tensor product, boolean training) {
    return new Unit(product, norm.norm(training), Shortcut.NONE, BinaryUnit.nonlinearity(f));
  }

  @Override
  public Tensor forward(Tensor input, boolean training) {
    x = input;
    int n = input.shape().d0();
    Tensor product = y.first(n), out = z.first(n);
    convolution.convolve(product, input);
    Unit unit = unit(product, training);
    if (training) norm.statistics(unit);
    backend.fused().poolForward(out, chosen(n), unit, window);
    return out;
  }

  @Override
  public Tensor backward(Tensor gradZ) {
    int n = gradZ.shape().d0();
    Tensor product = again.first(n);
    if (recomputes) convolution.convolve(product, x);
    backend.fused().poolBackward(product, BinaryUnit.gradients(norm, f), unit(product, true), gradZ, chosen(n), window);
    norm.keepFixed();
    return convolution.backward(product);
  }

  @Override
  public List<Layer> children() {
    return List.of(body);
  }
}
