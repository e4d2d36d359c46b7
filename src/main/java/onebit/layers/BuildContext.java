package onebit.layers;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import onebit.ops.Backend;
import onebit.tensor.ElementType;
import onebit.tensor.FileLayout;
import onebit.tensor.Parameter;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * What layers need while they are built: the backend, the shared scratch, the rounded weights, and random numbers that depend on the seed and a name only.
 *
 * @param recomputes whether fused units compute the results of their convolutions again in backward instead of keeping them
 * @param rebuilding which of the values between them they also compute again
 * @param float8 whether gradients at the results of binary convolutions are rounded to float8
 * @param withheld whether activations get no tensors, because fused units run the layers being built and have tensors of their own
 * @param frozen whether the layers will only evaluate: nothing is made for gradients
 * @param made the names of the parameters made so far
 */
public record BuildContext(Backend backend, Scratch scratch, RoundedWeights rounded, long seed, boolean recomputes, Rebuilding rebuilding, boolean float8,
    boolean withheld, boolean frozen, List<String> made) {
  public BuildContext(Backend backend, long seed) {
    this(backend, seed, false, new Rebuilding(0), false);
  }

  public BuildContext(Backend backend, long seed, boolean recomputes, Rebuilding rebuilding, boolean float8) {
    this(backend, new Scratch(backend), new RoundedWeights(backend), seed, recomputes, rebuilding, float8, false, false, new ArrayList<>());
  }

  /** For the layers of a teacher, which learn nothing. */
  public static BuildContext frozen(Backend backend, long seed) {
    return new BuildContext(backend, new Scratch(backend), new RoundedWeights(backend), seed, false, new Rebuilding(0), false, false, true, new ArrayList<>());
  }

  BuildContext withheld(boolean now) {
    return new BuildContext(backend, scratch, rounded, seed, recomputes, rebuilding, float8, now, frozen, made);
  }

  /** Random numbers of their own for each name, whatever the order of building. */
  public RandomGenerator random(String name) {
    long hash = 0xcbf29ce484222325L;
    for (int i = 0; i < name.length(); i++) hash = (hash ^ name.charAt(i)) * 0x100000001b3L;
    return new SplittableRandom(seed * 0x9e3779b97f4a7c15L ^ hash);
  }

  /** A tensor for activations or their gradients, of the backend's type for them, whose values live within one step; null where they are withheld. */
  public Tensor activations(Shape shape) {
    return room(shape, backend.activations());
  }

  /** A tensor for gradients of activations; null where nothing learns or activations are withheld. */
  public Tensor gradients(Shape shape) {
    return frozen ? null : activations(shape);
  }

  /** A tensor for the gradient of a parameter; null where nothing learns. */
  Tensor gradient(Shape shape) {
    return frozen ? null : backend.create(shape);
  }

  /** Says what the rooms asked for from now on belong to; those of a teacher are all its own. */
  void owner(String name) {
    backend.owner(frozen ? "teacher" : name);
  }

  /** A tensor of some type that lives within one step; null where they are withheld. */
  Tensor room(Shape shape, ElementType type) {
    return withheld ? null : backend.room(shape, type);
  }

  /** A parameter as in memory. */
  public Parameter parameter(String name, Shape shape, Parameter.Kind kind, float start) {
    made.add(name);
    Tensor value = backend.create(shape);
    if (start != 0) backend.fill(value, start);
    return new Parameter(name, value, gradient(shape), kind, FileLayout.SAME, shape.dims());
  }

  /** Filters O,R,S,C, drawn by init. */
  public Parameter filters(String name, Shape shape, Parameter.Kind kind, Init init) {
    made.add(name);
    Tensor value = backend.create(shape);
    backend.write(value, init.draw(shape, random(name)));
    return new Parameter(name, value, gradient(shape), kind, FileLayout.FILTERS,
        new int[] {shape.d0(), shape.d3(), shape.d1(), shape.d2()});
  }
}
