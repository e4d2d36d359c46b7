package onebit.layers;

import java.util.List;
import onebit.ops.Backend;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * y = weight x / the length of x over the channels of its pixel, with a learned weight for each channel.
 *
 * <pre>
 * Source  Liu et al. 2016 (ParseNet, arXiv 1506.04579), section 3.3; in SSD the weights start at 20
 * </pre>
 */
public final class L2Norm implements Layer {
  private final String name;
  private final float start;
  private Backend backend;
  private Parameter weight;
  private Tensor y;
  private Tensor gradX;
  private Tensor x;

  public L2Norm(String name, float start) {
    this.name = name;
    this.start = start;
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    weight = context.parameter(name + ".weight", Shape.vector(input.channels()), Parameter.Kind.NORM, start);
    y = context.activations(input);
    gradX = context.gradients(input);
    return input;
  }

  @Override
  public Tensor forward(Tensor input, boolean training) {
    x = input;
    Tensor out = y.first(input.shape().d0());
    backend.norm().l2Normalize(out, input, weight.value());
    return out;
  }

  @Override
  public Tensor backward(Tensor gradY) {
    Tensor gradInput = gradX.first(gradY.shape().d0());
    backend.norm().l2NormalizeBackward(gradInput, weight.gradient(), gradY, x, weight.value());
    return gradInput;
  }

  @Override
  public List<Parameter> parameters() {
    return List.of(weight);
  }
}
