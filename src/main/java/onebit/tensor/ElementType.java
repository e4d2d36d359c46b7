package onebit.tensor;

/** What one element of a {@link Tensor} is stored as. */
public enum ElementType {
  FLOAT32(4),
  BFLOAT16(2),
  INT16(2),
  INT32(4),
  UINT8(1);

  private final int bytes;

  ElementType(int bytes) {
    this.bytes = bytes;
  }

  public int bytes() {
    return bytes;
  }
}
