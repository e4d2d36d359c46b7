package onebit.layers;

import onebit.ops.Backend;
import onebit.ops.PointOps.Activation;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** y = f(x) for a nonlinearity without parameters. */
public final class Activate implements Layer {
  private final Activation f;
  private Backend backend;
  private Tensor y;
  private Tensor gradX;
  private Tensor x;

  public Activate(Activation f) {
    this.f = f;
  }

  Activation activation() {
    return f;
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    y = context.activations(input);
    gradX = context.gradients(input);
    return input;
  }

  @Override
  public Tensor forward(Tensor input, boolean training) {
    x = input;
    Tensor out = y.first(input.shape().d0());
    backend.point().activate(out, input, f);
    return out;
  }

  @Override
  public Tensor backward(Tensor gradY) {
    Tensor gradInput = gradX.first(gradY.shape().d0());
    backend.point().activateBackward(gradInput, gradY, x, f);
    return gradInput;
  }
}
