package onebit.layers;

import java.util.List;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** One layer after the other. */
public final class Sequential implements Layer {
  private final List<Layer> layers;

  public Sequential(List<? extends Layer> layers) {
    this.layers = List.copyOf(layers);
  }

  public static Sequential of(Layer... layers) {
    return new Sequential(List.of(layers));
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    Shape shape = input;
    for (Layer layer : layers) shape = layer.build(context, shape);
    return shape;
  }

  @Override
  public Tensor forward(Tensor input, boolean training) {
    Tensor x = input;
    for (int i = 0; i < layers.size(); i++) x = layers.get(i).forward(x, training);
    return x;
  }

  @Override
  public Tensor backward(Tensor gradY) {
    Tensor grad = gradY;
    for (int i = layers.size() - 1; i >= 0; i--) grad = layers.get(i).backward(grad);
    return grad;
  }

  @Override
  public List<Layer> children() {
    return layers;
  }
}
