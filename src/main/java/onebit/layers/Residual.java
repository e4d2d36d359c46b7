package onebit.layers;

import java.util.List;
import onebit.ops.Backend;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** y = body(x) + shortcut(x); an absent shortcut is the identity. */
public final class Residual implements Layer {
  private final Layer body;
  private final Layer shortcut;
  private Backend backend;
  private Tensor y;
  private Tensor gradX;

  public Residual(Layer body, Layer shortcut) {
    this.body = body;
    this.shortcut = shortcut;
  }

  public static Residual identity(Layer body) {
    return new Residual(body, null);
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    Shape out = body.build(context, input), side = shortcut == null ? input : buildShortcut(context, input);
    if (!out.equals(side)) throw new IllegalArgumentException("Residual: body gives " + out + ", shortcut " + side + "; they must be equal");
    y = context.activations(out);
    gradX = context.gradients(input);
    return out;
  }

  /** Fused units narrow by themselves; every other shortcut runs its own layers. */
  private Shape buildShortcut(BuildContext context, Shape input) {
    return shortcut.build(narrowing(shortcut) == null ? context.withheld(false) : context, input);
  }

  /** The pool that is all of a shortcut's layers and that a fused unit does by itself; null if there is none. */
  static Pool narrowing(Layer shortcut) {
    Layer only = shortcut instanceof Sequential sequence && sequence.children().size() == 1 ? sequence.children().getFirst() : shortcut;
    return only instanceof Pool pool && pool.narrows() ? pool : null;
  }

  Layer body() {
    return body;
  }

  Layer shortcut() {
    return shortcut;
  }

  @Override
  public Tensor forward(Tensor x, boolean training) {
    Tensor out = y.first(x.shape().d0());
    backend.point().add(out, body.forward(x, training), shortcut == null ? x : shortcut.forward(x, training));
    return out;
  }

  @Override
  public Tensor backward(Tensor gradY) {
    Tensor out = gradX.first(gradY.shape().d0());
    backend.point().add(out, body.backward(gradY), shortcut == null ? gradY : shortcut.backward(gradY));
    return out;
  }

  @Override
  public List<Layer> children() {
    return shortcut == null ? List.of(body) : List.of(body, shortcut);
  }
}
