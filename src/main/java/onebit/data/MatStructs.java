package onebit.data;

import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/**
 * Text and whole-number fields of the structures in a MATLAB 5 file: as much of the format as the development kit of ILSVRC needs.
 *
 * <pre>
 * file    := text[116] subsystem[8] version:i16 "IM" element*        little endian
 * element := type:i32 bytes:i32 data padded to 8, or, of at most 4 bytes, bytes:i16 type:i16 data[4]
 * data    := numbers | zlib stream of an element | matrix
 * matrix  := flags dimensions name (field length, field names, matrix per structure and field | numbers)
 * Source  MathWorks, MAT-File Format, version 5
 * </pre>
 */
final class MatStructs {
  private static final int INT8 = 1, UINT8 = 2, INT16 = 3, UINT16 = 4, INT32 = 5, UINT32 = 6, DOUBLE = 9, MATRIX = 14, COMPRESSED = 15, UTF16 = 17;
  private static final int STRUCT = 2, CHAR = 4, MOST_BYTES = 64 << 20, MOST_DEPTH = 8;

  private final String file;
  private final String number;
  private final String text;
  private final List<Long> numbers = new ArrayList<>();
  private final List<String> texts = new ArrayList<>();

  private MatStructs(String file, String number, String text) {
    this.file = file;
    this.number = number;
    this.text = text;
  }

  /** One structure's two fields. */
  record Pair(long number, String text) {}

  /**
   * The two fields of every structure that has both, in the order of the file.
   *
   * @throws IOException if the file is not of this format or damaged
   */
  static List<Pair> read(String file, byte[] content, String number, String text) throws IOException {
    MatStructs all = new MatStructs(file, number, text);
    try {
      if (content.length < 136 || content[126] != 'I' || content[127] != 'M') throw all.damaged("is not a little-endian MATLAB 5 file");
      all.elements(ByteBuffer.wrap(content, 128, content.length - 128).slice().order(ByteOrder.LITTLE_ENDIAN), 0);
    } catch (BufferUnderflowException | IllegalArgumentException | IndexOutOfBoundsException | ArithmeticException e) {
      throw all.damaged("is cut short or damaged");
    }
    if (all.numbers.size() != all.texts.size()) throw all.damaged("has " + all.numbers.size() + " fields " + number + " and " + all.texts.size() + " fields " + text);
    List<Pair> pairs = new ArrayList<>();
    for (int i = 0; i < all.texts.size(); i++) pairs.add(new Pair(all.numbers.get(i), all.texts.get(i)));
    return pairs;
  }

  private IOException damaged(String what) {
    return new IOException(file + ": " + what);
  }

  private void elements(ByteBuffer in, int depth) throws IOException {
    if (depth > MOST_DEPTH) throw damaged("is nested deeper than " + MOST_DEPTH);
    while (in.remaining() >= 8) {
      int[] type = new int[1];
      ByteBuffer data = element(in, type);
      if (type[0] == COMPRESSED) elements(inflated(data), depth + 1);
      else if (type[0] == MATRIX && data.hasRemaining()) matrix(data, null, depth + 1);
    }
  }

  private static ByteBuffer element(ByteBuffer in, int[] type) {
    int head = in.getInt(), bytes;
    boolean small = head >>> 16 != 0;
    type[0] = small ? head & 0xFFFF : head;
    bytes = small ? head >>> 16 : in.getInt();
    if (bytes < 0 || bytes > (small ? 4 : in.remaining())) throw new IllegalArgumentException("an element of " + bytes + " bytes");
    ByteBuffer data = in.slice(in.position(), bytes).order(ByteOrder.LITTLE_ENDIAN);
    int padded = small ? 4 : type[0] == COMPRESSED ? bytes : (int) Math.min(in.remaining(), bytes + 7L & ~7L);
    in.position(in.position() + padded);
    return data;
  }

  private ByteBuffer inflated(ByteBuffer data) throws IOException {
    try (Inflater inflater = new Inflater()) {
      inflater.setInput(data);
      byte[] out = new byte[1 << 16];
      int n = 0;
      while (!inflater.finished()) {
        int more = inflater.inflate(out, n, out.length - n);
        n += more;
        if (n > MOST_BYTES) throw damaged("unpacks to more than " + MOST_BYTES + " bytes");
        if (n == out.length) out = java.util.Arrays.copyOf(out, out.length * 2);
        else if (more == 0 && !inflater.finished()) throw damaged("is cut short or damaged");
      }
      return ByteBuffer.wrap(out, 0, n).slice().order(ByteOrder.LITTLE_ENDIAN);
    } catch (DataFormatException e) {
      throw damaged("is cut short or damaged");
    }
  }

  /** Reads a matrix; {@code field} is the name it has in a structure, or null. */
  private void matrix(ByteBuffer in, String field, int depth) throws IOException {
    if (depth > MOST_DEPTH) throw damaged("is nested deeper than " + MOST_DEPTH);
    int[] type = new int[1];
    int kind = element(in, type).getInt() & 255;
    ByteBuffer dimensions = element(in, type);
    long count = 1;
    while (dimensions.remaining() >= 4) count = Math.multiplyExact(count, dimensions.getInt());
    element(in, type);
    if (kind == STRUCT) {
      int length = element(in, type).getInt();
      byte[] names = bytes(element(in, type));
      if (length < 1 || length > 64 || count < 0) throw damaged("has field names of " + length + " bytes");
      int fields = names.length / length;
      for (long i = 0; i < count && fields > 0; i++) {
        for (int f = 0; f < fields; f++) {
          ByteBuffer value = element(in, type);
          String name = new String(names, f * length, length, StandardCharsets.ISO_8859_1).replaceAll("\0.*", "");
          if (type[0] == MATRIX && value.hasRemaining()) matrix(value, name, depth + 1);
        }
      }
    } else if (field != null && kind == CHAR && field.equals(text)) {
      texts.add(characters(element(in, type), type[0]));
    } else if (field != null && kind != CHAR && field.equals(number) && count == 1) {
      numbers.add(number(element(in, type), type[0]));
    }
  }

  private static byte[] bytes(ByteBuffer data) {
    byte[] all = new byte[data.remaining()];
    data.get(all);
    return all;
  }

  private static String characters(ByteBuffer data, int type) {
    return new String(bytes(data), type == UINT16 || type == UTF16 ? StandardCharsets.UTF_16LE : StandardCharsets.UTF_8);
  }

  private long number(ByteBuffer data, int type) throws IOException {
    return switch (type) {
      case INT8, UINT8 -> data.get() & 255;
      case INT16, UINT16 -> data.getShort() & 0xFFFF;
      case INT32, UINT32 -> data.getInt();
      case DOUBLE -> (long) data.getDouble();
      default -> throw damaged("holds " + number + " as numbers of kind " + type);
    };
  }
}
