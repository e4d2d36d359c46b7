package onebit.layers;

import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import onebit.ops.Backend;
import onebit.tensor.FileLayout;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** What layers need while they are built: the backend, the shared scratch, and random numbers that depend on the seed and a name only. */
public record BuildContext(Backend backend, Scratch scratch, long seed) {
  public BuildContext(Backend backend, long seed) {
    this(backend, new Scratch(backend), seed);
  }

  /** Random numbers of their own for each name, whatever the order of building. */
  public RandomGenerator random(String name) {
    long hash = 0xcbf29ce484222325L;
    for (int i = 0; i < name.length(); i++) hash = (hash ^ name.charAt(i)) * 0x100000001b3L;
    return new SplittableRandom(seed * 0x9e3779b97f4a7c15L ^ hash);
  }

  /** A tensor for activations or their gradients, of the backend's type for them. */
  public Tensor activations(Shape shape) {
    return backend.create(shape, backend.activations());
  }

  /** A parameter as in memory. */
  public Parameter parameter(String name, Shape shape, Parameter.Kind kind, float start) {
    Tensor value = backend.create(shape);
    if (start != 0) backend.fill(value, start);
    return new Parameter(name, value, backend.create(shape), kind, FileLayout.SAME, shape.dims());
  }

  /** Filters O,R,S,C, drawn by init. */
  public Parameter filters(String name, Shape shape, Parameter.Kind kind, Init init) {
    Tensor value = backend.create(shape);
    backend.write(value, init.draw(shape, random(name)));
    return new Parameter(name, value, backend.create(shape), kind, FileLayout.FILTERS,
        new int[] {shape.d0(), shape.d3(), shape.d1(), shape.d2()});
  }
}
