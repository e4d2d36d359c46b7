package onebit.layers;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;
import java.util.function.UnaryOperator;
import onebit.ops.Backend;
import onebit.ops.PixelScale;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * One stage after the other, and of what each gives a location and a confidence convolution, all side by side in one float32 row an image.
 *
 * <pre>
 * Shapes  y [N][values]: what the locations give, stage by stage, as it lies in memory, then the confidences likewise
 * Source  Liu et al. 2016 (SSD, arXiv 1512.02325), section 2.1
 * Cost    beside the layers, two ops to place and two to take an image's values of each stage, and two sums of gradients
 * </pre>
 */
public final class Pyramid implements Layer {
  private final List<Level> levels;
  private final List<Layer> children = new ArrayList<>();
  private final List<Shape> outputs = new ArrayList<>();
  private final List<Head> locations = new ArrayList<>();
  private final List<Head> confidences = new ArrayList<>();
  private Backend backend;
  private Tensor y;

  /**
   * A stage and what is looked at of its result.
   *
   * @param tap what the two convolutions' input goes through, and the next stage's does not; null if there is nothing
   */
  public record Level(Layer stage, Layer tap, Conv2d location, Conv2d confidence) {
    public Level {
      if (!location.hasBias() || !confidence.hasBias()) throw new IllegalArgumentException("Pyramid: a level's convolutions must have a bias");
    }

    private List<Layer> layers() {
      return tap == null ? List.of(stage, location, confidence) : List.of(stage, tap, location, confidence);
    }

    /** The gradients that are there when backward leaves the stage to be done. */
    private List<Tensor> headGradients() {
      List<Tensor> all = new ArrayList<>();
      for (Layer layer : layers().subList(1, layers().size())) layer.gradientGroups().forEach(all::addAll);
      return all;
    }
  }

  /** A convolution whose results stand from that column on, and room for the gradient at them. */
  private record Head(Conv2d convolution, int column, Tensor gradient) {}

  public Pyramid(List<Level> levels) {
    this.levels = List.copyOf(levels);
    levels.forEach(level -> children.addAll(level.layers()));
  }

  /** The same with other layers for the stages. */
  Pyramid withStages(UnaryOperator<Layer> change) {
    return new Pyramid(levels.stream().map(it -> new Level(change.apply(it.stage), it.tap, it.location, it.confidence)).toList());
  }

  @Override
  public Shape build(BuildContext context, Shape input) {
    backend = context.backend();
    List<Shape> ofLocations = new ArrayList<>(), ofConfidences = new ArrayList<>();
    Shape x = input;
    for (Level level : levels) {
      x = level.stage.build(context, x);
      context.owner("heads");
      Shape seen = level.tap == null ? x : level.tap.build(context, x);
      Shape location = level.location.build(context, seen), confidence = level.confidence.build(context, seen);
      outputs.addAll(level.tap == null ? List.of(x, location, confidence) : List.of(x, seen, location, confidence));
      ofLocations.add(location);
      ofConfidences.add(confidence);
    }
    int column = 0;
    for (int i = 0; i < levels.size(); i++) column = add(locations, levels.get(i).location, context, ofLocations.get(i), column);
    for (int i = 0; i < levels.size(); i++) column = add(confidences, levels.get(i).confidence, context, ofConfidences.get(i), column);
    y = backend.create(Shape.matrix(input.d0(), column));
    return y.shape();
  }

  private static int add(List<Head> heads, Conv2d convolution, BuildContext context, Shape output, int column) {
    heads.add(new Head(convolution, column, context.gradients(output)));
    return column + output.rowSize();
  }

  @Override
  public List<Shape> outputs() {
    return outputs;
  }

  @Override
  public boolean takePixels(PixelScale scale) {
    return levels.getFirst().stage.takePixels(scale);
  }

  @Override
  public Tensor forward(Tensor input, boolean training) {
    Tensor out = y.first(input.shape().d0()), x = input;
    for (int i = 0; i < levels.size(); i++) {
      Level level = levels.get(i);
      x = level.stage.forward(x, training);
      Tensor seen = level.tap == null ? x : level.tap.forward(x, training);
      place(out, locations.get(i), seen);
      place(out, confidences.get(i), seen);
    }
    return out;
  }

  private void place(Tensor out, Head head, Tensor x) {
    backend.point().place(out, head.convolution.product(x), head.convolution.bias(), head.column);
  }

  @Override
  public Tensor backward(Tensor gradY) {
    Tensor grad = null;
    for (int i = levels.size() - 1; i >= 0; i--) grad = levels.get(i).stage.backward(backwardHeads(i, gradY, grad));
    return grad;
  }

  @Override
  public Tensor backward(Tensor gradY, IntConsumer left) {
    Tensor grad = null;
    int end = gradientGroups().size();
    for (int i = levels.size() - 1; i >= 0; i--) {
      Layer stage = levels.get(i).stage;
      Tensor sum = backwardHeads(i, gradY, grad);
      left.accept(--end);
      int first = end -= stage.gradientGroups().size();
      grad = stage.backward(sum, group -> left.accept(first + group));
    }
    return grad;
  }

  /** The gradient at what a stage gave: of both convolutions, through the tap, and of the next stage where there is one. */
  private Tensor backwardHeads(int i, Tensor gradY, Tensor next) {
    Level level = levels.get(i);
    Tensor seen = backward(locations.get(i), gradY);
    backend.point().accumulate(seen, backward(confidences.get(i), gradY));
    Tensor sum = level.tap == null ? seen : level.tap.backward(seen);
    if (next != null) backend.point().accumulate(sum, next);
    return sum;
  }

  private Tensor backward(Head head, Tensor gradY) {
    Tensor own = head.gradient.first(gradY.shape().d0());
    backend.point().take(own, gradY, head.column);
    return head.convolution.backward(own);
  }

  /** Of each level the stage's groups, then its heads as one. */
  @Override
  public List<List<Tensor>> gradientGroups() {
    List<List<Tensor>> groups = new ArrayList<>();
    for (Level level : levels) {
      groups.addAll(level.stage.gradientGroups());
      groups.add(level.headGradients());
    }
    return groups;
  }

  @Override
  public List<Layer> children() {
    return children;
  }
}
