package onebit.layers;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;
import onebit.ops.PixelScale;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.StateTensor;
import onebit.tensor.Tensor;

/**
 * A piece of a network with an explicit forward and backward.
 *
 * <p>{@link #build} makes all tensors for the largest batch; forward and backward allocate nothing and also take smaller batches. What
 * forward returns stays valid until the next forward, what backward returns until the next backward. A device records the ops of a step, with the numbers they
 * are given, and repeats them: what changes from step to step is in tensors, and neither reads a value or writes one from the host. Nor do they write into x or
 * gradY, which are other layers'.
 */
public interface Layer {
  /** Makes room for inputs of the given shape, whose outermost extent is the largest batch; returns the shape of the output. */
  Shape build(BuildContext context, Shape input);

  /** Says what makes values of bytes: if this gives true, forward then also takes images of bytes; if not, their values are made before. */
  default boolean takePixels(PixelScale scale) {
    return false;
  }

  /** The output for x; training chooses batch statistics over running ones. */
  Tensor forward(Tensor x, boolean training);

  /** The gradient at x of the last forward from the gradient at its output; gradients of parameters are overwritten. */
  Tensor backward(Tensor gradY);

  /** The same; left is told the number of each of {@link #gradientGroups} as soon as its gradients are there, the last group first. */
  default Tensor backward(Tensor gradY, IntConsumer left) {
    Tensor gradX = backward(gradY);
    left.accept(0);
    return gradX;
  }

  /** The gradients of all parameters, those of children too, in groups that backward finishes one after the other, in the order of forward. */
  default List<List<Tensor>> gradientGroups() {
    List<Tensor> all = new ArrayList<>();
    parameters().forEach(p -> all.add(p.gradient()));
    children().forEach(child -> child.gradientGroups().forEach(all::addAll));
    return List.of(all);
  }

  /** Own parameters, without those of children. */
  default List<Parameter> parameters() {
    return List.of();
  }

  /** Own saved tensors that are not parameters, without those of children. */
  default List<StateTensor> state() {
    return List.of();
  }

  /** Layers this one is made of, in order. */
  default List<Layer> children() {
    return List.of();
  }

  /** What each child gives at the largest batch, in their order; none where all give what the layer gives. */
  default List<Shape> outputs() {
    return List.of();
  }

  /** Multiply-accumulates of one image through this layer alone. */
  default Cost cost() {
    return Cost.NONE;
  }

  /** Real-valued and binary multiply-accumulates. */
  record Cost(long realMacs, long binaryMacs) {
    public static final Cost NONE = new Cost(0, 0);

    public Cost plus(Cost other) {
      return new Cost(realMacs + other.realMacs, binaryMacs + other.binaryMacs);
    }
  }
}
