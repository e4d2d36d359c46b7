package onebit.data;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;

/**
 * The entries of a tar archive one after another, from a stream or by position in a file.
 *
 * <p>A name is a key, never a path: nothing is written by it, and links, folders and devices are entries that are no file. Names of GNU's
 * long form and of pax headers are joined; what is larger than they may be is refused, and nothing is allocated by a size that the archive
 * only claims.
 *
 * <pre>
 * archive := (header, contents padded to 512)*, two blocks of zeros, or the end of the file behind an entry
 * header  := name[100] mode[8] uid[8] gid[8] size[12] mtime[12] checksum[8] type[1] link[100] magic[6] version[2] ... prefix[155] ...
 * size    := octal digits, or 80 and eleven bytes big endian
 * type    := 0 or NUL a file, L a long name, x a pax header of the next entry, g and K are read over; contents of others are skipped
 * Source  POSIX.1-2001, pax interchange format; GNU tar manual, basic tar format
 * </pre>
 */
final class TarReader {
  private static final int BLOCK = 512;
  /** Longest name or pax header that is read. */
  private static final int MAX_EXTENSION = 1 << 20;

  /** One entry: where its contents begin in the archive, how long they are, and its time as the header's digits give it. */
  record Entry(String name, long at, long size, boolean file, String time) {}

  /** Bytes that are read or skipped in order. */
  private interface Source {
    /** Fills that part of the array, or as much as there is; returns how much. */
    int read(byte[] into, int offset, int length) throws IOException;

    void skip(long bytes) throws IOException;
  }

  private final String archive;
  private final Source source;
  private final byte[] header = new byte[BLOCK];
  private long at;
  private long left;
  private long padding;

  private TarReader(String archive, Source source) {
    this.archive = archive;
    this.source = source;
  }

  /** Reads a stream from its first byte to the end of the archive. */
  static TarReader of(String archive, InputStream in) {
    return new TarReader(archive, new Source() {
      @Override public int read(byte[] into, int offset, int length) throws IOException {
        return in.readNBytes(into, offset, length);
      }

      @Override public void skip(long bytes) throws IOException {
        in.skipNBytes(bytes);
      }
    });
  }

  /** Reads part [from, from + length) of a file by position; contents that are not asked for are not touched. */
  static TarReader of(String archive, FileChannel file, long from, long length) {
    return new TarReader(archive, new Source() {
      long position = from;

      @Override public int read(byte[] into, int offset, int count) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(into, offset, (int) Math.min(count, from + length - position));
        while (bytes.hasRemaining()) {
          int n = file.read(bytes, position);
          if (n < 0) break;
          position += n;
        }
        return bytes.position() - offset;
      }

      @Override public void skip(long bytes) throws EOFException {
        if (bytes > from + length - position) throw new EOFException("an entry reaches past the end of the file");
        position += bytes;
      }
    });
  }

  /**
   * The next entry, or null at the end of the archive.
   *
   * @throws IOException if the archive is damaged or cut short; the message names it
   */
  Entry next() throws IOException {
    try {
      String longName = null;
      Map<String, String> pax = new TreeMap<>();
      while (true) {
        skip(left + padding);
        int n = source.read(header, 0, BLOCK);
        if (n == 0 && at > 0 && longName == null && pax.isEmpty()) return null;
        if (n < BLOCK) throw new IOException(archive + ": the archive ends inside a header");
        at += BLOCK;
        if (isZero()) {
          left = 0;
          padding = 0;
          return null;
        }
        requireHeader();
        char type = (char) (header[156] & 255);
        boolean sized = pax.containsKey("size");
        long size = sized ? number("pax size", pax.get("size")) : size();
        left = size;
        padding = (BLOCK - size % BLOCK) % BLOCK;
        switch (type) {
          case 'L' -> longName = text(extension(size));
          case 'x' -> records(extension(size), pax);
          case 'g', 'K' -> extension(size);
          default -> {
            boolean file = type == '0' || type == 0 || type == '7';
            String name = pax.getOrDefault("path", longName != null ? longName : name());
            return new Entry(name, at, left, file, new String(header, 136, 12, StandardCharsets.ISO_8859_1).trim());
          }
        }
      }
    } catch (EOFException e) {
      throw new IOException(archive + ": the archive is cut short: " + e.getMessage(), e);
    }
  }

  /** Reads some of the contents of the entry that {@link #next} gave last; -1 behind them. */
  int read(byte[] into, int offset, int length) throws IOException {
    if (left == 0) return -1;
    int want = (int) Math.min(length, left), n = source.read(into, offset, want);
    if (n < want) throw new IOException(archive + ": the archive is cut short inside an entry");
    left -= n;
    at += n;
    return n;
  }

  /** The contents of the entry that {@link #next} gave last, refused where they are longer than {@code most}. */
  byte[] contents(Entry entry, int most) throws IOException {
    if (entry.size() > most) throw new IOException(archive + ": " + entry.name() + " has " + entry.size() + " bytes; at most " + most + " are read");
    byte[] all = new byte[(int) entry.size()];
    for (int n = 0; n < all.length; ) n += read(all, n, all.length - n);
    return all;
  }

  private void skip(long bytes) throws IOException {
    if (bytes == 0) return;
    source.skip(bytes);
    at += bytes;
    left = 0;
    padding = 0;
  }

  private byte[] extension(long size) throws IOException {
    if (size > MAX_EXTENSION) throw new IOException(archive + ": a name or pax header has " + size + " bytes; at most " + MAX_EXTENSION + " are read");
    byte[] bytes = new byte[(int) size];
    if (source.read(bytes, 0, bytes.length) < bytes.length) throw new EOFException("inside a long name or pax header");
    at += size;
    left = 0;
    return bytes;
  }

  /** record := length " " key "=" value "\n", the length counting itself. */
  private void records(byte[] bytes, Map<String, String> into) throws IOException {
    for (int from = 0; from < bytes.length; ) {
      int space = from;
      while (space < bytes.length && bytes[space] != ' ') space++;
      long length = space == bytes.length ? 0 : number("pax length", new String(bytes, from, space - from, StandardCharsets.ISO_8859_1));
      int end = (int) Math.min(from + length, bytes.length), equals = space;
      while (equals < end && bytes[equals] != '=') equals++;
      if (length == 0 || from + length > bytes.length || equals >= end || bytes[end - 1] != '\n') throw new IOException(archive + ": a pax header is damaged");
      into.put(new String(bytes, space + 1, equals - space - 1, StandardCharsets.UTF_8), new String(bytes, equals + 1, end - equals - 2, StandardCharsets.UTF_8));
      from = end;
    }
  }

  private void requireHeader() throws IOException {
    int sum = 0;
    for (int i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? ' ' : header[i] & 255;
    String written = field(148, 8).strip();
    if (!written.matches("[0-7]{1,8}") || Integer.parseInt(written, 8) != sum) throw new IOException(archive + ": the checksum of a header at byte " + (at - BLOCK) + " is wrong");
  }

  private boolean isZero() {
    for (byte b : header) if (b != 0) return false;
    return true;
  }

  private String name() {
    String name = field(0, 100), prefix = field(257, 5).equals("ustar") && header[262] == 0 ? field(345, 155) : "";
    return prefix.isEmpty() ? name : prefix + "/" + name;
  }

  private String field(int from, int length) {
    int end = from;
    while (end < from + length && header[end] != 0) end++;
    return new String(header, from, end - from, StandardCharsets.UTF_8);
  }

  private static String text(byte[] bytes) {
    int end = 0;
    while (end < bytes.length && bytes[end] != 0) end++;
    return new String(bytes, 0, end, StandardCharsets.UTF_8);
  }

  private long size() throws IOException {
    if ((header[124] & 0x80) == 0) return octal(124, 12);
    if ((header[124] & 255) != 0x80) throw new IOException(archive + ": an entry has a negative size");
    long size = 0;
    for (int i = 125; i < 136; i++) {
      if (size > Long.MAX_VALUE >> 9) throw new IOException(archive + ": an entry claims more bytes than there can be");
      size = size << 8 | header[i] & 255;
    }
    return size;
  }

  private long octal(int from, int length) throws IOException {
    String digits = field(from, length).strip();
    if (digits.isEmpty() || digits.length() > 12 || !digits.chars().allMatch(c -> c >= '0' && c <= '7')) {
      throw new IOException(archive + ": a number in the header at byte " + (at - BLOCK) + " is not octal");
    }
    return Long.parseLong(digits, 8);
  }

  private long number(String what, String digits) throws IOException {
    if (digits.isEmpty() || digits.length() > 15 || !digits.chars().allMatch(c -> c >= '0' && c <= '9')) {
      throw new IOException(archive + ": the " + what + " " + (digits.length() > 20 ? digits.substring(0, 20) + "..." : digits) + " is not a number");
    }
    return Long.parseLong(digits);
  }
}
