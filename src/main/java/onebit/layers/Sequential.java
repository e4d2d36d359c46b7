package onebit.layers;

import java.util.List;
import java.util.function.IntConsumer;
import onebit.ops.PixelScale;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** One layer after the other. */
public final class Sequential implements Layer {
  private final List<Layer> layers;
  private final Shape[] outputs;

  public Sequential(List<? extends Layer> layers) {
    this.layers = List.copyOf(layers);
    outputs = new Shape[layers.size()];
  }

  public static Sequential of(Layer... layers) {
    return new Sequential(List.of(layers));
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    Shape shape = input;
    for (int i = 0; i < outputs.length; i++) {
      context.owner(layers.get(i).getClass().getSimpleName());
      outputs[i] = shape = layers.get(i).build(context, shape);
    }
    return shape;
  }

  @Override
  public List<Shape> outputs() {
    return List.of(outputs);
  }

  @Override
  public boolean takePixels(PixelScale scale) {
    return layers.getFirst().takePixels(scale);
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
    for (int i = layers.size() - 1; i >= 0; i--) grad = given(i, layers.get(i).backward(grad));
    return grad;
  }

  /** What a layer's backward gave; only the first layer of a network may give none. */
  private Tensor given(int layer, Tensor grad) {
    if (grad != null || layer == 0) return grad;
    throw new IllegalArgumentException("backward of layer " + layer + ", " + layers.get(layer).getClass().getSimpleName() + ", gave null; it must give the gradient at its input");
  }

  @Override
  public Tensor backward(Tensor gradY, IntConsumer left) {
    Tensor grad = gradY;
    int end = gradientGroups().size();
    for (int i = layers.size() - 1; i >= 0; i--) {
      int first = end -= layers.get(i).gradientGroups().size();
      grad = given(i, layers.get(i).backward(grad, group -> left.accept(first + group)));
    }
    return grad;
  }

  @Override
  public List<List<Tensor>> gradientGroups() {
    return layers.stream().flatMap(layer -> layer.gradientGroups().stream()).toList();
  }

  @Override
  public List<Layer> children() {
    return layers;
  }
}
