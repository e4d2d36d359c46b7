package onebit.layers;

import onebit.ops.Backend;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** y = x as N,1,1,C*H*W with channels outermost, the order a PyTorch or MXNet flatten gives. */
public final class Flatten implements Layer {
  private Backend backend;
  private Tensor y;
  private Tensor gradX;

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    y = context.activations(Shape.image(input.d0(), 1, 1, input.rowSize()));
    gradX = context.activations(input);
    return y.shape();
  }

  @Override
  public Tensor forward(Tensor x, boolean training) {
    Tensor out = y.first(x.shape().d0());
    backend.point().toPlanar(out, x);
    return out;
  }

  @Override
  public Tensor backward(Tensor gradY) {
    Tensor out = gradX.first(gradY.shape().d0());
    backend.point().fromPlanar(out, gradY);
    return out;
  }
}
