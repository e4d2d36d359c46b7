package onebit.checkpoint;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** Pickles and PyTorch archives written opcode by opcode. */
final class PickleBytes {
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();

  static PickleBytes pickle() {
    return new PickleBytes().raw(0x80, 2);
  }

  PickleBytes raw(int... bytes) {
    for (int b : bytes) out.write(b);
    return this;
  }

  /** One-byte opcodes, written as their characters. */
  PickleBytes ops(String codes) {
    out.writeBytes(codes.getBytes(StandardCharsets.ISO_8859_1));
    return this;
  }

  PickleBytes text(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    ops("X").little(bytes.length);
    out.writeBytes(bytes);
    return this;
  }

  PickleBytes number(int value) {
    return ops("J").little(value);
  }

  PickleBytes number(long value) {
    out.writeBytes(ByteBuffer.allocate(10).order(ByteOrder.LITTLE_ENDIAN).put((byte) 0x8a).put((byte) 8).putLong(value).array());
    return this;
  }

  PickleBytes real(double value) {
    out.writeBytes(ByteBuffer.allocate(9).put((byte) 'G').putDouble(value).array());
    return this;
  }

  PickleBytes global(String module, String name) {
    return ops("c" + module + "\n" + name + "\n");
  }

  PickleBytes little(int value) {
    out.writeBytes(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(value).array());
    return this;
  }

  PickleBytes tuple(long... values) {
    ops("(");
    for (long value : values) number(value);
    return ops("t");
  }

  /** The call of _rebuild_tensor_v2 that torch.save writes. */
  PickleBytes tensor(String storage, String key, long elements, long offset, long[] sizes, long[] strides) {
    return tensor(storage, key, elements, offset, sizes, strides, "");
  }

  /** The same with a seventh argument, as opcodes. */
  PickleBytes tensor(String storage, String key, long elements, long offset, long[] sizes, long[] strides, String seventh) {
    global("torch._utils", "_rebuild_tensor_v2").ops("((").text("storage").global("torch", storage).text(key).text("cpu").number(elements).ops("tQ");
    return number(offset).tuple(sizes).tuple(strides).raw(0x89).global("collections", "OrderedDict").ops(")R" + seventh + "tR");
  }

  byte[] stop() {
    ops(".");
    return out.toByteArray();
  }

  /** An archive of stored entries, given as name and content in turn. */
  static byte[] zip(boolean deflated, Object... entries) throws Exception {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (ZipOutputStream zip = new ZipOutputStream(out)) {
      for (int i = 0; i < entries.length; i += 2) {
        byte[] content = entries[i + 1] instanceof byte[] bytes ? bytes : entries[i + 1].toString().getBytes(StandardCharsets.UTF_8);
        ZipEntry entry = new ZipEntry(entries[i].toString());
        entry.setMethod(deflated ? ZipEntry.DEFLATED : ZipEntry.STORED);
        if (!deflated) {
          CRC32 crc = new CRC32();
          crc.update(content);
          entry.setCrc(crc.getValue());
          entry.setSize(content.length);
        }
        zip.putNextEntry(entry);
        zip.write(content);
        zip.closeEntry();
      }
    }
    return out.toByteArray();
  }

  static byte[] floats(float... values) {
    ByteBuffer out = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values) out.putFloat(value);
    return out.array();
  }
}
