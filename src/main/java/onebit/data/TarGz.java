package onebit.data;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipException;

/**
 * Named members of a tar.gz archive, each written only when its length and digest are the expected ones.
 *
 * <p>A name in the archive is a key to look up, never a path: what is not asked for is skipped, and links are not followed.
 *
 * <pre>
 * archive := (header, contents padded to 512)*, two blocks of zeros
 * header  := name[100] mode[8] uid[8] gid[8] size[12] mtime[12] checksum[8] type[1] link[100] "ustar" ... padded to 512
 * </pre>
 */
final class TarGz {
  private static final int BLOCK = 512;
  private static final long MAX_BYTES = 1L << 32;

  private TarGz() {}

  /** Writes the members below a folder. */
  static void extract(Path archive, List<DataSource.Member> members, Path out) throws IOException {
    Map<String, DataSource.Member> wanted = new HashMap<>();
    for (DataSource.Member member : members) wanted.put(member.name(), member);
    try (InputStream in = new GZIPInputStream(Files.newInputStream(archive), 1 << 16)) {
      long total = 0;
      while (!wanted.isEmpty()) {
        byte[] header = in.readNBytes(BLOCK);
        if (header.length < BLOCK) throw new IOException(archive + ": the archive ends inside a header");
        if (isZero(header)) break;
        requireHeader(archive, header);
        String name = text(header, 0, 100);
        long size = octal(archive, header, 124, 12);
        total += size + BLOCK;
        if (total > MAX_BYTES) throw new IOException(archive + ": holds more than " + MAX_BYTES + " bytes");
        boolean file = header[156] == '0' || header[156] == 0;
        DataSource.Member member = file ? wanted.remove(name) : null;
        if (member == null) in.skipNBytes(size);
        else write(archive, in, size, member, out);
        in.skipNBytes((BLOCK - size % BLOCK) % BLOCK);
      }
    } catch (EOFException | ZipException e) {
      throw new IOException(archive + ": the archive is cut short or damaged: " + e.getMessage(), e);
    }
    if (!wanted.isEmpty()) throw new IOException(archive + ": has no " + String.join(", ", wanted.keySet().stream().sorted().toList()));
  }

  private static void write(Path archive, InputStream in, long size, DataSource.Member member, Path out) throws IOException {
    if (size != member.bytes()) {
      throw new IOException(archive + ": " + member.name() + " has " + size + " bytes, published are " + member.bytes());
    }
    Path target = out.resolve(member.name());
    Files.createDirectories(target.getParent());
    Path part = target.resolveSibling(target.getFileName() + ".part");
    MessageDigest digest = DataSource.digestFor(member.digest());
    byte[] buffer = new byte[1 << 16];
    try {
      try (OutputStream to = Files.newOutputStream(part)) {
        for (long left = size; left > 0; ) {
          int n = in.read(buffer, 0, (int) Math.min(buffer.length, left));
          if (n < 0) throw new EOFException("inside " + member.name());
          digest.update(buffer, 0, n);
          to.write(buffer, 0, n);
          left -= n;
        }
      }
      String found = DataSource.written(member.digest(), digest);
      if (!found.equals(member.digest())) {
        throw new IOException(archive + ": " + member.name() + " is not the published one: " + found + ", published is " + member.digest());
      }
      Files.move(part, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(part);
    }
  }

  private static void requireHeader(Path archive, byte[] header) throws IOException {
    if (!text(header, 257, 5).equals("ustar")) throw new IOException(archive + ": an entry has no ustar header");
    int sum = 0;
    for (int i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? ' ' : header[i] & 255;
    if (octal(archive, header, 148, 8) != sum) throw new IOException(archive + ": the checksum of the header of " + text(header, 0, 100) + " is wrong");
  }

  private static boolean isZero(byte[] block) {
    for (byte b : block) if (b != 0) return false;
    return true;
  }

  private static String text(byte[] header, int at, int length) {
    int end = at;
    while (end < at + length && header[end] != 0) end++;
    return new String(header, at, end - at, StandardCharsets.ISO_8859_1);
  }

  private static long octal(Path archive, byte[] header, int at, int length) throws IOException {
    String digits = text(header, at, length).strip();
    if (digits.isEmpty() || digits.length() > 11 || !digits.chars().allMatch(c -> c >= '0' && c <= '7')) {
      throw new IOException(archive + ": a number in the header of " + text(header, 0, 100) + " is not octal");
    }
    return Long.parseLong(digits, 8);
  }
}
