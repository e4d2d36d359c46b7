package onebit.ops;

import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Set;

/**
 * A folder of one's own, mode 0700, that holds native libraries with the bytes they must have: anything else that lies there is replaced,
 * never loaded.
 *
 * <p>It is {@code CACHE/<name>/}, CACHE = property onebit.cache, else $XDG_CACHE_HOME/onebit, else ~/.cache/onebit.
 */
public record LibraryFolder(Path path) {
  private static final Set<PosixFilePermission> OWNER_ONLY = PosixFilePermissions.fromString("rwx------");

  /** What opens the bytes of a library. */
  @FunctionalInterface
  public interface Source {
    InputStream open() throws IOException;
  }

  /**
   * The folder of this name, made where it is missing.
   *
   * @throws IOException if it is no folder, belongs to someone else or cannot be written
   */
  public static LibraryFolder named(String name) throws IOException {
    Path cache = cache();
    Files.createDirectories(cache);
    Path folder = cache.resolve(name);
    if (!Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
      try {
        Files.createDirectory(folder, PosixFilePermissions.asFileAttribute(OWNER_ONLY));
      } catch (FileAlreadyExistsException another) {
        // another process made it first; it is looked at below like any folder found
      }
    }
    if (!Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS)) {
      throw new IOException(folder + " is not a folder; native libraries are only loaded from a folder of one's own: remove it");
    }
    Path probe = Files.createTempFile(folder, ".owner", null);
    try {
      if (!Files.getOwner(folder, LinkOption.NOFOLLOW_LINKS).equals(Files.getOwner(probe))) {
        throw new IOException(folder + " belongs to " + Files.getOwner(folder) + "; native libraries are only loaded from a folder of one's own: set -Donebit.cache");
      }
    } finally {
      Files.delete(probe);
    }
    if (!Files.getPosixFilePermissions(folder).equals(OWNER_ONLY)) Files.setPosixFilePermissions(folder, OWNER_ONLY);
    return new LibraryFolder(folder);
  }

  private static Path cache() {
    String property = System.getProperty("onebit.cache");
    if (property != null && !property.isBlank()) return Path.of(property).toAbsolutePath();
    String xdg = System.getenv("XDG_CACHE_HOME");
    Path base = xdg != null && Path.of(xdg).isAbsolute() ? Path.of(xdg) : Path.of(System.getProperty("user.home"), ".cache");
    return base.resolve("onebit");
  }

  /**
   * The file of this name with this SHA-256: the one that is there, else what the source holds, written aside, forced to disk and renamed.
   *
   * @throws IOException if the source's bytes are others or the folder cannot be written
   */
  public Path install(String name, String sha256, Source source) throws IOException {
    Path file = path.resolve(name);
    if (holds(file, sha256)) return file;
    Path part = Files.createTempFile(path, "." + name, ".part", PosixFilePermissions.asFileAttribute(OWNER_ONLY));
    try {
      MessageDigest digest = sha256();
      try (InputStream in = new DigestInputStream(source.open(), digest)) {
        Files.copy(in, part, StandardCopyOption.REPLACE_EXISTING);
      }
      String found = HexFormat.of().formatHex(digest.digest());
      if (!found.equals(sha256)) throw new IOException(name + " on the class path has SHA-256 " + found + ", wanted " + sha256);
      try (FileChannel out = FileChannel.open(part, StandardOpenOption.WRITE)) {
        out.force(true);
      }
      Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(part);
    }
    try (FileChannel folder = FileChannel.open(path, StandardOpenOption.READ)) {
      folder.force(true);
    }
    if (!holds(file, sha256)) {
      throw new IOException(file + ": the SHA-256 of what was written differs from the class path's library; the disk or another process changed it");
    }
    return file;
  }

  private static boolean holds(Path file, String sha256) throws IOException {
    if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) return false;
    MessageDigest digest = sha256();
    try (InputStream in = new DigestInputStream(Files.newInputStream(file), digest)) {
      in.transferTo(java.io.OutputStream.nullOutputStream());
    } catch (NoSuchFileException replaced) {
      return false;
    }
    return sha256.equals(HexFormat.of().formatHex(digest.digest()));
  }

  /** A new SHA-256. */
  public static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException impossible) {
      throw new AssertionError(impossible);   // every Java platform has SHA-256
    }
  }
}
