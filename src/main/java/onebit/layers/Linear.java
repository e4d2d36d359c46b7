package onebit.layers;

import java.util.List;
import onebit.ops.Backend;
import onebit.tensor.ElementType;
import onebit.tensor.FileLayout;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * y = x w^T + b, real-valued; the input is flattened as it lies in memory, the output is float32: logits.
 *
 * <pre>
 * Shapes  x N rows of I values; w [O][I]; b O; y [N][O]
 * </pre>
 */
public final class Linear implements Layer {
  private final String name;
  private final int outputs;
  private final Init init;
  private final boolean zeroBias;
  private Backend backend;
  private Parameter weight;
  private Parameter bias;
  private Tensor factor;
  private Tensor y;
  private Tensor gradX;
  private Tensor rounded;
  private Tensor x;

  /** zeroBias: start at 0 (MXNet) instead of U(-1/sqrt(I), 1/sqrt(I)) (PyTorch). */
  public Linear(String name, int outputs, Init init, boolean zeroBias) {
    this.name = name;
    this.outputs = outputs;
    this.init = init;
    this.zeroBias = zeroBias;
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    Shape shape = Shape.matrix(outputs, input.rowSize());
    Tensor value = backend.create(shape);
    backend.write(value, init.draw(shape, context.random(name + ".weight")));
    weight = new Parameter(name + ".weight", value, context.gradient(shape), Parameter.Kind.REAL_WEIGHT, FileLayout.SAME, shape.dims());
    factor = context.rounded().of(value);
    bias = context.parameter(name + ".bias", Shape.vector(outputs), Parameter.Kind.BIAS, 0);
    if (!zeroBias) {
      float[] rows = Init.TORCH.draw(Shape.matrix(outputs, input.rowSize()), context.random(name + ".bias"));
      backend.write(bias.value(), rows);
    }
    y = backend.create(Shape.matrix(input.d0(), outputs));
    gradX = context.gradients(input);
    rounded = gradX == null || backend.activations() == ElementType.FLOAT32 ? null : context.gradients(y.shape());
    return y.shape();
  }

  @Override
  public Tensor forward(Tensor input, boolean training) {
    x = input;
    Tensor out = y.first(input.shape().d0());
    backend.conv().linear(out, input, factor);
    backend.point().addBias(out, out, bias.value());
    return out;
  }

  @Override
  public Tensor backward(Tensor gradY) {
    Tensor gradInput = gradX.first(gradY.shape().d0());
    Tensor seen = rounded == null ? null : rounded.first(gradY.shape().d0()), grad = seen == null ? gradY : seen;
    backend.point().biasBackward(bias.gradient(), seen, gradY);
    backend.conv().linearGradW(weight.gradient(), grad, x);
    backend.conv().linearGradX(gradInput, grad, factor);
    return gradInput;
  }

  @Override
  public List<Parameter> parameters() {
    return List.of(weight, bias);
  }

  @Override
  public Cost cost() {
    return new Cost(weight.size(), 0);
  }
}
