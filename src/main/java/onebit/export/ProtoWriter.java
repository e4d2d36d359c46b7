package onebit.export;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * The bytes of one Protocol Buffers message, field by field.
 *
 * <pre>
 * message = field*        field = key value, key = number * 8 + kind as a varint
 * value   = varint (kind 0) | length as a varint, then so many bytes (kind 2) | 4 bytes, little-endian (kind 5)
 * varint  = the number's groups of 7 bits, the lowest first, bit 7 set where another follows
 * Source  protobuf.dev, "Encoding"
 * </pre>
 */
final class ProtoWriter {
  private static final int VARINT = 0, BYTES = 2, FIXED32 = 5;

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();

  ProtoWriter integer(int field, long value) {
    key(field, VARINT);
    varint(value);
    return this;
  }

  ProtoWriter floating(int field, float value) {
    key(field, FIXED32);
    out.writeBytes(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putFloat(value).array());
    return this;
  }

  ProtoWriter text(int field, String value) {
    return bytes(field, value.getBytes(StandardCharsets.UTF_8));
  }

  ProtoWriter bytes(int field, byte[] value) {
    key(field, BYTES);
    varint(value.length);
    out.writeBytes(value);
    return this;
  }

  ProtoWriter message(int field, ProtoWriter value) {
    return bytes(field, value.toBytes());
  }

  /** A field for each whole number, as proto2 repeats them. */
  ProtoWriter integers(int field, long... values) {
    for (long value : values) integer(field, value);
    return this;
  }

  byte[] toBytes() {
    return out.toByteArray();
  }

  private void key(int field, int kind) {
    varint((long) field << 3 | kind);
  }

  private void varint(long value) {
    long rest = value;
    for (; (rest & ~0x7FL) != 0; rest >>>= 7) out.write((int) (rest & 0x7F | 0x80));
    out.write((int) rest);
  }
}
