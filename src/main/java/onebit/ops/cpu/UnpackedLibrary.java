package onebit.ops.cpu;

import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/**
 * One shared library of the class path with the SHA-256 it must have, unpacked into the private cache folder before it is loaded.
 *
 * <p>The folder is {@code onebit.cache}, else {@code XDG_CACHE_HOME/onebit}, else {@code ~/.cache/onebit}; below it one folder, mode 0700,
 * named by the SHA-256.
 */
record UnpackedLibrary(String resource, String sha256) {
  /**
   * The path of the verified file.
   *
   * @throws IOException if the class path lacks the resource, its bytes are others, or the cache folder cannot be written
   */
  Path unpack() throws IOException {
    Path folder = cache().resolve(sha256);
    Path file = folder.resolve(resource.substring(resource.lastIndexOf('/') + 1));
    if (Files.isRegularFile(file) && sha256.equals(digest(Files.newInputStream(file), null))) return file;
    privateFolder(folder);
    Path part = Files.createTempFile(folder, "unpack", ".part", PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    try {
      InputStream in = UnpackedLibrary.class.getClassLoader().getResourceAsStream(resource);
      if (in == null) throw new IOException("the class path has no " + resource);
      String found = digest(in, part);
      if (!found.equals(sha256)) throw new IOException(resource + " has SHA-256 " + found + ", wanted " + sha256);
      try (FileChannel channel = FileChannel.open(part, StandardOpenOption.WRITE)) {
        channel.force(true);
      }
      Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(part);
    }
    return file;
  }

  static Path cache() {
    String property = System.getProperty("onebit.cache"), xdg = System.getenv("XDG_CACHE_HOME");
    if (property != null && !property.isEmpty()) return Path.of(property);
    if (xdg != null && !xdg.isEmpty()) return Path.of(xdg, "onebit");
    return Path.of(System.getProperty("user.home"), ".cache", "onebit");
  }

  private static void privateFolder(Path folder) throws IOException {
    var mode = PosixFilePermissions.fromString("rwx------");
    Files.createDirectories(folder, PosixFilePermissions.asFileAttribute(mode));
    Files.setPosixFilePermissions(folder, mode);
  }

  /** SHA-256 of a stream, copied to a file on the way unless that is null; closes the stream. */
  private static String digest(InputStream from, Path copy) throws IOException {
    try (DigestInputStream in = new DigestInputStream(from, MessageDigest.getInstance("SHA-256"))) {
      if (copy != null) {
        Files.copy(in, copy, StandardCopyOption.REPLACE_EXISTING);
      } else {
        byte[] buffer = new byte[1 << 18];
        while (in.read(buffer) >= 0) continue;
      }
      return HexFormat.of().formatHex(in.getMessageDigest().digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IOException("this Java has no SHA-256", e);
    }
  }
}
