package onebit.data;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
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
 * <p>A name in the archive is a key to look up, never a path ({@link TarReader}): what is not asked for is skipped.
 */
final class TarGz {
  private static final long MAX_BYTES = 1L << 32;

  private TarGz() {}

  /** Writes the members below a folder. */
  static void extract(Path archive, List<DataSource.Member> members, Path out) throws IOException {
    Map<String, DataSource.Member> wanted = new HashMap<>();
    for (DataSource.Member member : members) wanted.put(member.name(), member);
    try (InputStream in = new GZIPInputStream(Files.newInputStream(archive), 1 << 16)) {
      TarReader tar = TarReader.of(archive.toString(), in);
      for (TarReader.Entry entry = tar.next(); entry != null && !wanted.isEmpty(); entry = tar.next()) {
        if (entry.at() + entry.size() > MAX_BYTES) throw new IOException(archive + ": holds more than " + MAX_BYTES + " bytes");
        DataSource.Member member = entry.file() ? wanted.remove(entry.name()) : null;
        if (member != null) write(archive, tar, entry.size(), member, out);
        if (wanted.isEmpty()) return;
      }
    } catch (EOFException | ZipException e) {
      throw new IOException(archive + ": the archive is cut short or damaged: " + e.getMessage(), e);
    }
    throw new IOException(archive + ": has no " + String.join(", ", wanted.keySet().stream().sorted().toList()));
  }

  private static void write(Path archive, TarReader tar, long size, DataSource.Member member, Path out) throws IOException {
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
        for (int n = tar.read(buffer, 0, buffer.length); n >= 0; n = tar.read(buffer, 0, buffer.length)) {
          digest.update(buffer, 0, n);
          to.write(buffer, 0, n);
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
}
