package onebit.checkpoint;

/** Element type of a stored tensor; the constants carry the names safetensors uses. */
public enum DataType {
  F64(8), F32(4), F16(2), BF16(2), I64(8), I32(4), I16(2), I8(1), U8(1), BOOL(1);

  private final int bytes;

  DataType(int bytes) {
    this.bytes = bytes;
  }

  /** Size of one element, in bytes. */
  public int bytes() {
    return bytes;
  }

  public boolean isFloating() {
    return ordinal() <= BF16.ordinal();
  }

  /**
   * Size of a dense tensor of this type and shape, in bytes.
   *
   * @throws ArithmeticException when it does not fit a long
   */
  long bytes(int[] shape) {
    long elements = 1;
    for (int size : shape) elements = Math.multiplyExact(elements, (long) size);
    return Math.multiplyExact(elements, (long) bytes);
  }
}
