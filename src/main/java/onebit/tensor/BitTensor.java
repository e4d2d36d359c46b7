package onebit.tensor;

/**
 * Rows of packed bits: bit 1 is +1, bit 0 is -1; bits past the end of a row are 0.
 *
 * <pre>
 * Shapes    activations: one row per pixel, C bits; filters: one row per filter, R*S*C bits
 * Encoding  on the CPU, bit k of a row is bit k % 64 of its word k / 64, {@code long[rows * words]}
 * </pre>
 */
public final class BitTensor {
  private final int rows;
  private final int bits;
  private final Object memory;
  private BitTensor view;

  public BitTensor(int rows, int bits, Object memory) {
    if (rows < 0 || bits < 1) throw new IllegalArgumentException("BitTensor: rows >= 0 and bits >= 1 wanted, got " + rows + " and " + bits);
    this.rows = rows;
    this.bits = bits;
    this.memory = memory;
  }

  /** 64-bit words that hold a row of so many bits. */
  public static int words(int bits) {
    return (bits + 63) >>> 6;
  }

  public int rows() {
    return rows;
  }

  /** The first so many rows over the same memory; the last view made is remembered. */
  public BitTensor first(int count) {
    if (count == rows) return this;
    if (count > rows) throw new IllegalArgumentException("BitTensor: " + count + " rows asked of " + rows);
    if (view == null || view.rows != count) view = new BitTensor(count, bits, memory);
    return view;
  }

  /** Bits per row. */
  public int bits() {
    return bits;
  }

  public int words() {
    return words(bits);
  }

  public Object memory() {
    return memory;
  }

  /** The words of a CPU tensor, not a copy. */
  public long[] longs() {
    if (memory instanceof long[] words) return words;
    throw new IllegalStateException("BitTensor: the bits are not in host memory; read them through the backend");
  }
}
