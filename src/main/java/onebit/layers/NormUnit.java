package onebit.layers;

import java.util.List;
import onebit.ops.Backend;
import onebit.ops.FusedOps.Shortcut;
import onebit.ops.FusedOps.Unit;
import onebit.ops.FusedOps.Window;
import onebit.ops.PointOps.Activation;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * z = the largest f(batchNorm(x)) of each window: what stands between a dense block and the real convolution after it, or before a classifier.
 *
 * <pre>
 * Keeps   which of each window was largest; x stays with the layer before
 * Cost    two launches for statistics and one forward, two backward
 * Differs a ReLU after the pooling is taken before it: the largest is the same, and where it is not positive no gradient passes either way
 * </pre>
 */
final class NormUnit implements Layer {
  private final Sequential body;
  private final BatchNorm norm;
  private final Layer f;
  private final Window window;
  private Backend backend;
  private Tensor z;
  private Tensor chosen;
  private Tensor gradX;
  private Tensor x;

  NormUnit(Sequential body) {
    this.body = body;
    List<Layer> layers = body.children();
    norm = (BatchNorm) layers.getFirst();
    Pool pool = null;
    Layer nonlinearity = null;
    for (Layer layer : layers.subList(1, layers.size())) {
      if (layer instanceof Pool it) pool = it;
      else nonlinearity = layer;
    }
    f = nonlinearity;
    window = pool == null ? Window.NONE : pool.maxWindow();
  }

  /** How many layers from index i make such a unit; 0 if none. */
  static int length(List<? extends Layer> layers, int i) {
    if (!(layers.get(i) instanceof BatchNorm) || i + 1 >= layers.size()) return 0;
    boolean third = i + 2 < layers.size();
    if (BinaryChain.isNonlinearity(layers.get(i + 1))) return third && pools(layers.get(i + 2)) ? 3 : 2;
    return third && pools(layers.get(i + 1)) && layers.get(i + 2) instanceof Activate after && after.activation() == Activation.RELU ? 3 : 0;
  }

  private static boolean pools(Layer layer) {
    return layer instanceof Pool pool && pool.maxWindow() != null;
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    Shape out = body.build(context.withheld(true), input);
    backend.owner("results of norms");
    z = context.activations(out);
    chosen = window.chooses() ? context.room(out, ElementType.UINT8) : null;
    backend.owner("gradients of norms");
    gradX = context.activations(input);
    return out;
  }

  private Tensor chosen(int n) {
    return chosen == null ? null : chosen.first(n);
  }

  private Unit unit(boolean training) {
    return new Unit(x, norm.norm(training), Shortcut.NONE, BinaryUnit.nonlinearity(f));
  }

  @Override
  public Tensor forward(Tensor input, boolean training) {
    x = input;
    int n = input.shape().d0();
    Tensor out = z.first(n);
    Unit unit = unit(training);
    if (training) norm.statistics(unit);
    backend.fused().poolForward(out, chosen(n), unit, window);
    return out;
  }

  @Override
  public Tensor backward(Tensor gradZ) {
    int n = gradZ.shape().d0();
    Tensor gradInput = gradX.first(n);
    backend.fused().poolBackward(gradInput, BinaryUnit.gradients(norm, f), unit(true), gradZ, chosen(n), window);
    norm.keepFixed();
    return gradInput;
  }

  @Override
  public List<Layer> children() {
    return List.of(body);
  }
}
