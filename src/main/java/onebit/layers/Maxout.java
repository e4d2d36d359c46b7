package onebit.layers;

import java.util.List;
import onebit.ops.Backend;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * y = positive max(x, 0) - negative max(-x, 0), two learned slopes per channel starting at 1 and 0.25 (AdaBin).
 *
 * <pre>
 * Source  Tu et al. 2022 (AdaBin, arXiv 2208.08084); code binarylib.py lines 26-39
 * </pre>
 */
public final class Maxout implements Layer {
  private final String name;
  private Backend backend;
  private Parameter positive;
  private Parameter negative;
  private Tensor y;
  private Tensor gradX;
  private Tensor x;

  public Maxout(String name) {
    this.name = name;
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    Shape channels = Shape.vector(input.channels());
    positive = context.parameter(name + ".pos_scale", channels, Parameter.Kind.NONLINEARITY, 1);
    negative = context.parameter(name + ".neg_scale", channels, Parameter.Kind.NONLINEARITY, 0.25f);
    y = context.activations(input);
    gradX = context.gradients(input);
    return input;
  }

  @Override
  public Tensor forward(Tensor input, boolean training) {
    x = input;
    Tensor out = y.first(input.shape().d0());
    backend.point().maxout(out, input, positive.value(), negative.value());
    return out;
  }

  @Override
  public Tensor backward(Tensor gradY) {
    Tensor gradInput = gradX.first(gradY.shape().d0());
    backend.point().maxoutBackward(gradInput, positive.gradient(), negative.gradient(), gradY, x, positive.value(), negative.value());
    return gradInput;
  }

  Parameter positive() {
    return positive;
  }

  Parameter negative() {
    return negative;
  }

  @Override
  public List<Parameter> parameters() {
    return List.of(positive, negative);
  }
}
