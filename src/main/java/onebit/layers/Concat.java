package onebit.layers;

import java.util.List;
import onebit.ops.Backend;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** y = x and body(x) side by side in the channels (Huang et al. 2017, DenseNet). */
public final class Concat implements Layer {
  private final Layer body;
  private Backend backend;
  private Tensor y;
  private Tensor gradX;
  private Tensor gradBody;

  public Concat(Layer body) {
    this.body = body;
  }

  Layer body() {
    return body;
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    Shape added = body.build(context, input), out = Shape.image(input.d0(), input.d1(), input.d2(), input.d3() + added.d3());
    y = context.activations(out);
    gradX = context.gradients(input);
    gradBody = context.gradients(added);
    return out;
  }

  @Override
  public Tensor forward(Tensor x, boolean training) {
    Tensor out = y.first(x.shape().d0());
    backend.point().concat(out, x, body.forward(x, training));
    return out;
  }

  @Override
  public Tensor backward(Tensor gradY) {
    int n = gradY.shape().d0();
    Tensor gradInput = gradX.first(n), gradAdded = gradBody.first(n);
    backend.point().split(gradInput, gradAdded, gradY);
    backend.point().accumulate(gradInput, body.backward(gradAdded));
    return gradInput;
  }

  @Override
  public List<Layer> children() {
    return List.of(body);
  }
}
