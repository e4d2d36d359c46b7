package onebit.layers;

import java.util.ArrayList;
import java.util.List;
import onebit.ops.Backend;
import onebit.ops.FusedOps.Binarization;
import onebit.ops.FusedOps.Shortcut;
import onebit.ops.FusedOps.Unit;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * z = f(body(x) + shortcut(x)) of a teacher, its body real convolutions with batch norm and nonlinearities between them.
 *
 * <pre>
 * Cost  beside each convolution one pass, which normalises, adds the shortcut where there is one, and takes the nonlinearity
 * </pre>
 */
final class FrozenBlock implements Layer {
  /** One convolution and what follows it. */
  private record Step(Conv2d convolution, BatchNorm norm, Layer f) {}

  private final Residual residual;
  private final List<Step> steps = new ArrayList<>();
  private final List<Tensor> products = new ArrayList<>();
  private final List<Tensor> values = new ArrayList<>();
  private Backend backend;

  FrozenBlock(Residual residual, Activate after) {
    this.residual = residual;
    List<Layer> inner = residual.body().children();
    for (int i = 0; i < inner.size(); i += 3) {
      steps.add(new Step((Conv2d) inner.get(i), (BatchNorm) inner.get(i + 1), i + 2 < inner.size() ? inner.get(i + 2) : after));
    }
  }

  /** Whether such a block begins at index i, which takes two layers. */
  static boolean begins(List<? extends Layer> layers, int i) {
    if (i + 1 >= layers.size() || !(layers.get(i) instanceof Residual residual) || !(layers.get(i + 1) instanceof Activate)) return false;
    List<Layer> inner = residual.body().children();
    for (int k = 0; k < inner.size(); k++) {
      Class<?> wanted = k % 3 == 0 ? Conv2d.class : k % 3 == 1 ? BatchNorm.class : Activate.class;
      if (!wanted.isInstance(inner.get(k)) || inner.get(k) instanceof Conv2d convolution && convolution.hasBias()) return false;
    }
    return inner.size() % 3 == 2;
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    Shape out = residual.body().build(context.withheld(true), input);
    if (residual.shortcut() != null) residual.shortcut().build(context, input);
    context.owner("values of real blocks");
    for (Step step : steps) {
      products.add(context.activations(step.convolution.outputShape()));
      values.add(context.activations(step.convolution.outputShape()));
    }
    return out;
  }

  @Override
  public Tensor forward(Tensor x, boolean training) {
    int n = x.shape().d0();
    Tensor value = x;
    for (int i = 0; i < steps.size(); i++) {
      Step step = steps.get(i);
      Tensor product = products.get(i).first(n), z = values.get(i).first(n);
      step.convolution.convolve(product, value);
      Shortcut added = i + 1 < steps.size() ? Shortcut.NONE : Shortcut.same(residual.shortcut() == null ? x : residual.shortcut().forward(x, false));
      backend.fused().forward(null, z, new Unit(product, step.norm.norm(false), added, BinaryUnit.nonlinearity(step.f)), Binarization.NONE);
      value = z;
    }
    return value;
  }

  @Override
  public Tensor backward(Tensor gradY) {
    throw new IllegalStateException("FrozenBlock: a teacher has no backward");
  }

  @Override
  public List<Layer> children() {
    return List.of(residual);
  }
}
