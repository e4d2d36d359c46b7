package onebit.layers;

import java.util.EnumMap;
import java.util.HashMap;
import java.util.Map;
import onebit.ops.Backend;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** Tensors that live only within one layer's forward or backward, shared by all layers and sized by the hungriest. */
public final class Scratch {
  /** What a piece of scratch is for; pieces of different use never overlap. */
  public enum Use { ACTIVATIONS, GRADIENT, WEIGHTS, WEIGHT_GRADIENT, FLOAT8 }

  private final Backend backend;
  private final Map<Use, Integer> sizes = new EnumMap<>(Use.class);
  private final Map<Use, Object> memory = new EnumMap<>(Use.class);
  private final Map<Use, Map<Shape, Tensor>> views = new EnumMap<>(Use.class);

  public Scratch(Backend backend) {
    this.backend = backend;
  }

  /** Says that a layer will ask for so many values. */
  public void reserve(Use use, int size) {
    if (memory.containsKey(use)) throw new IllegalStateException("scratch: " + use + " is in use already, it cannot grow");
    sizes.merge(use, size, Math::max);
  }

  /** Gradients of weights are float32, codes of float8 bytes; what stands beside activations in a convolution is of their type. */
  private ElementType type(Use use) {
    return switch (use) {
      case WEIGHT_GRADIENT -> ElementType.FLOAT32;
      case FLOAT8 -> ElementType.UINT8;
      case ACTIVATIONS, GRADIENT, WEIGHTS -> backend.activations();
    };
  }

  /** The scratch of this use seen in the given shape; its old content is undefined. */
  public Tensor take(Use use, Shape shape) {
    Map<Shape, Tensor> known = views.get(use);
    if (known == null) {
      memory.put(use, backend.create(Shape.vector(sizes.get(use)), type(use)).memory());
      known = new HashMap<>();
      views.put(use, known);
    }
    Tensor view = known.get(shape);
    if (view == null) {
      view = new Tensor(shape, type(use), memory.get(use));
      known.put(shape, view);
    }
    return view;
  }
}
