package onebit.tensor;

/**
 * A shape, an element type and where the values live; it does no arithmetic.
 *
 * <p>The memory belongs to the backend that made the tensor: a {@code float[]} on the CPU, device memory on a GPU.
 */
public final class Tensor {
  private final Shape shape;
  private final ElementType type;
  private final Object memory;
  private Tensor view;

  public Tensor(Shape shape, ElementType type, Object memory) {
    this.shape = shape;
    this.type = type;
    this.memory = memory;
  }

  /** A float32 tensor on the CPU over the given values, which are not copied. */
  public static Tensor of(Shape shape, float... values) {
    if (values.length < shape.size()) {
      throw new IllegalArgumentException("Tensor: shape " + shape + " needs " + shape.size() + " values, got " + values.length);
    }
    return new Tensor(shape, ElementType.FLOAT32, values);
  }

  public Shape shape() {
    return shape;
  }

  public ElementType type() {
    return type;
  }

  public int size() {
    return shape.size();
  }

  public Object memory() {
    return memory;
  }

  /**
   * The values of a CPU tensor, not a copy; the array may be longer than the shape when this is a view.
   *
   * @throws IllegalStateException if the tensor lives elsewhere
   */
  public float[] floats() {
    if (memory instanceof float[] values) return values;
    throw new IllegalStateException("Tensor " + shape + ": the values are not in host memory; read them through the backend");
  }

  /** The values of an INT32 CPU tensor, not a copy. */
  public int[] ints() {
    if (memory instanceof int[] values) return values;
    throw new IllegalStateException("Tensor " + shape + ": not whole numbers in host memory");
  }

  /** The values of a UINT8 CPU tensor, not a copy. */
  public byte[] bytes() {
    if (memory instanceof byte[] values) return values;
    throw new IllegalStateException("Tensor " + shape + ": not bytes in host memory");
  }

  /** The first n rows of the outermost extent over the same memory; the last view made is remembered, so a step allocates none. */
  public Tensor first(int n) {
    if (n == shape.d0()) return this;
    if (n > shape.d0()) throw new IllegalArgumentException("Tensor: " + n + " rows asked of " + shape);
    if (view == null || view.shape.d0() != n) view = new Tensor(shape.withFirst(n), type, memory);
    return view;
  }

  /** The same values under another shape of equal size. */
  public Tensor reshaped(Shape other) {
    if (other.size() != shape.size()) throw new IllegalArgumentException("Tensor: cannot see " + shape + " as " + other);
    return new Tensor(other, type, memory);
  }
}
