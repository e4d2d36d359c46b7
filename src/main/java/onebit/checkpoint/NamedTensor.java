package onebit.checkpoint;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.regex.Pattern;

/**
 * A stored tensor: name, element type, shape and its dense little-endian bytes, row-major.
 *
 * <pre>
 * Shapes    any rank up to 32, rank 0 is a scalar, sizes of 0 are allowed
 * Keeps     the buffer given to it, without a copy; the giver no longer writes to it
 * </pre>
 */
public record NamedTensor(String name, DataType type, int[] shape, ByteBuffer data) {
  static final int MAX_RANK = 32;
  static final int MAX_NAME_BYTES = 1024;
  private static final Pattern CONTROL = Pattern.compile("\\p{Cntrl}");

  /** @throws IllegalArgumentException when the name is not storable, or the bytes are not exactly those of the shape */
  public NamedTensor {
    String fault = fault(name);
    if (fault != null) throw new IllegalArgumentException(fault);
    shape = shape.clone();
    if (shape.length > MAX_RANK) {
      throw new IllegalArgumentException("tensor " + name + " has rank " + shape.length + "; at most " + MAX_RANK + " is allowed");
    }
    for (int size : shape) {
      if (size < 0) throw new IllegalArgumentException("tensor " + name + " has shape " + Arrays.toString(shape) + "; sizes must be >= 0");
    }
    long bytes;
    try {
      bytes = type.bytes(shape);
    } catch (ArithmeticException e) {
      throw new IllegalArgumentException("tensor " + name + " has shape " + Arrays.toString(shape) + "; its size overflows", e);
    }
    if (bytes != data.remaining()) {
      throw new IllegalArgumentException("tensor " + name + " " + type + Arrays.toString(shape) + " has " + data.remaining()
          + " bytes; its shape needs " + bytes);
    }
    data = data.slice().asReadOnlyBuffer();
  }

  /** Why a name cannot be stored, or null when it can: 1 to 1024 bytes of UTF-8, and not the reserved {@code __metadata__}. */
  static String fault(String name) {
    if (name.isEmpty()) return "a tensor name is empty; 1 to " + MAX_NAME_BYTES + " bytes are allowed";
    if (name.length() > MAX_NAME_BYTES || name.getBytes(StandardCharsets.UTF_8).length > MAX_NAME_BYTES) {
      return "tensor name " + excerpt(name) + " is longer than " + MAX_NAME_BYTES + " bytes";
    }
    if (!StandardCharsets.UTF_8.newEncoder().canEncode(name)) return "tensor name " + excerpt(name) + " is not valid Unicode";
    if (name.equals("__metadata__")) return "tensor name __metadata__ is reserved for the metadata";
    return null;
  }

  /** The start of a text from a file, without control characters: safe to show in a message. */
  static String excerpt(String text) {
    String start = text.length() > 80 ? text.substring(0, 80) + "..." : text;
    return CONTROL.matcher(start).replaceAll("?");
  }

  public static NamedTensor ofFloats(String name, int[] shape, float[] values) {
    ByteBuffer data = ByteBuffer.allocate(Math.multiplyExact(values.length, 4)).order(ByteOrder.LITTLE_ENDIAN);
    data.asFloatBuffer().put(values);
    return new NamedTensor(name, DataType.F32, shape, data);
  }

  public static NamedTensor ofLongs(String name, int[] shape, long[] values) {
    ByteBuffer data = ByteBuffer.allocate(Math.multiplyExact(values.length, 8)).order(ByteOrder.LITTLE_ENDIAN);
    data.asLongBuffer().put(values);
    return new NamedTensor(name, DataType.I64, shape, data);
  }

  public NamedTensor withName(String other) {
    return new NamedTensor(other, type, shape, data);
  }

  @Override
  public int[] shape() {
    return shape.clone();
  }

  /** All bytes, read-only and little-endian; each call gives a fresh position. */
  @Override
  public ByteBuffer data() {
    return data.duplicate().order(ByteOrder.LITTLE_ENDIAN);
  }

  public int elements() {
    return data.remaining() / type.bytes();
  }

  /** The values as float32; 64-bit types are rounded to nearest, a BOOL is 0 or 1. */
  public float[] floats() {
    float[] out = new float[elements()];
    ByteBuffer in = data();
    switch (type) {
      case F32 -> in.asFloatBuffer().get(out);
      case F64 -> { for (int i = 0; i < out.length; i++) out[i] = (float) in.getDouble(8 * i); }
      case F16 -> { for (int i = 0; i < out.length; i++) out[i] = Float.float16ToFloat(in.getShort(2 * i)); }
      case BF16 -> { for (int i = 0; i < out.length; i++) out[i] = Float.intBitsToFloat(in.getShort(2 * i) << 16); }
      default -> { for (int i = 0; i < out.length; i++) out[i] = whole(in, i); }
    }
    return out;
  }

  /**
   * The values of a whole-number tensor; U8 is unsigned, a BOOL is 0 or 1.
   *
   * @throws IllegalArgumentException when the tensor holds floating-point numbers
   */
  public long[] longs() {
    if (type.isFloating()) throw new IllegalArgumentException("tensor " + name + " is " + type + "; whole numbers are wanted here");
    long[] out = new long[elements()];
    ByteBuffer in = data();
    for (int i = 0; i < out.length; i++) out[i] = whole(in, i);
    return out;
  }

  private long whole(ByteBuffer in, int i) {
    return switch (type) {
      case I64 -> in.getLong(8 * i);
      case I32 -> in.getInt(4 * i);
      case I16 -> in.getShort(2 * i);
      case I8 -> in.get(i);
      case U8 -> in.get(i) & 0xFF;
      case BOOL -> in.get(i) == 0 ? 0 : 1;
      default -> throw new IllegalStateException(type + " is not a whole-number type");
    };
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof NamedTensor t && name.equals(t.name) && type == t.type && Arrays.equals(shape, t.shape) && data.equals(t.data);
  }

  @Override
  public int hashCode() {
    return 31 * name.hashCode() + Arrays.hashCode(shape);
  }

  @Override
  public String toString() {
    return name + " " + type + Arrays.toString(shape);
  }
}
