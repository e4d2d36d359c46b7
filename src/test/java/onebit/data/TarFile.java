package onebit.data;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Tar archives byte by byte, also wrong ones. */
public final class TarFile {
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();

  static byte[] header(String name, long size, char type) {
    byte[] header = new byte[512];
    byte[] utf8 = name.getBytes(StandardCharsets.UTF_8);
    System.arraycopy(utf8, 0, header, 0, Math.min(100, utf8.length));
    put(header, 100, "0000644\0");
    put(header, 124, String.format("%011o\0", size));
    put(header, 136, "00000000000\0");
    header[156] = (byte) type;
    put(header, 257, "ustar\00000");
    return checked(header);
  }

  /** The same header with its checksum made right. */
  static byte[] checked(byte[] header) {
    Arrays.fill(header, 148, 156, (byte) ' ');
    int sum = 0;
    for (byte b : header) sum += b & 255;
    put(header, 148, String.format("%06o\0 ", sum));
    return header;
  }

  static void put(byte[] header, int at, String text) {
    System.arraycopy(text.getBytes(StandardCharsets.ISO_8859_1), 0, header, at, text.length());
  }

  TarFile raw(byte[] bytes) {
    out.writeBytes(bytes);
    return this;
  }

  public TarFile add(String name, byte[] content, char type) {
    return raw(header(name, content.length, type)).raw(Arrays.copyOf(content, (content.length + 511) / 512 * 512));
  }

  public TarFile add(String name, byte[] content) {
    return add(name, content, '0');
  }

  TarFile add(String name, String content) {
    return add(name, content.getBytes(StandardCharsets.UTF_8));
  }

  /** The archive with its two blocks of zeros. */
  public byte[] end() {
    return raw(new byte[1024]).bytes();
  }

  byte[] bytes() {
    return out.toByteArray();
  }
}
