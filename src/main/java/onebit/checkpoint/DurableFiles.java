package onebit.checkpoint;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;

/** File steps that survive a power cut: what has returned is on the disk. */
public final class DurableFiles {
  static final long MAX_FILE_BYTES = Integer.MAX_VALUE - 8L;

  private DurableFiles() {}

  /**
   * The whole file.
   *
   * @throws CheckpointException when it is missing, not a regular file, 2 GiB or more, or shrinks while read
   */
  static ByteBuffer read(Path path) throws IOException {
    try (FileChannel channel = open(path)) {
      return read(path, channel);
    }
  }

  static FileChannel open(Path path) throws IOException {
    if (Files.isDirectory(path)) throw new CheckpointException(path + " is a folder; a file is wanted here");
    try {
      return FileChannel.open(path, StandardOpenOption.READ);
    } catch (NoSuchFileException e) {
      throw new CheckpointException(path + " does not exist", e);
    }
  }

  static ByteBuffer read(Path path, FileChannel channel) throws IOException {
    long size = channel.size();
    if (size > MAX_FILE_BYTES) throw new CheckpointException(path + " has " + size + " bytes; at most " + MAX_FILE_BYTES + " can be read");
    ByteBuffer buffer = ByteBuffer.allocate((int) size);
    while (buffer.hasRemaining()) {
      if (channel.read(buffer, buffer.position()) < 0) throw new CheckpointException(path + " became shorter while it was read");
    }
    return buffer.flip();
  }

  /** Writes a new file and forces it to the disk. */
  static void write(Path path, List<ByteBuffer> parts) throws IOException {
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
      for (ByteBuffer part : parts) {
        ByteBuffer rest = part.duplicate();
        while (rest.hasRemaining()) {
          ByteBuffer slice = rest.slice(rest.position(), Math.min(rest.remaining(), 1 << 20));
          rest.position(rest.position() + channel.write(slice));
        }
      }
      channel.force(true);
    }
  }

  /**
   * Replaces a file in one step: a reader sees the old content or the new one, also after a crash.
   *
   * @throws IOException if it is a folder, or the disk refuses; what was there stays
   */
  public static void replace(Path path, List<ByteBuffer> parts) throws IOException {
    Path target = path.toAbsolutePath();
    if (Files.isDirectory(target)) throw new CheckpointException(path + " is a folder; a file is wanted here");
    Path temporary = target.resolveSibling(target.getFileName() + "." + Long.toHexString(ThreadLocalRandom.current().nextLong()) + ".tmp");
    try {
      write(temporary, parts);
      Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
    } catch (FileSystemException e) {
      throw new IOException(path + " cannot be written: " + (e instanceof AccessDeniedException ? "this user may not write into its folder" : e.getReason() == null ? e.getClass().getSimpleName() : e.getReason()), e);
    } catch (IOException e) {
      throw new IOException(path + " cannot be written: " + e.getMessage(), e);
    } finally {
      Files.deleteIfExists(temporary);
    }
    forceFolder(target.getParent());
  }

  /** Points a symbolic link elsewhere in one step. */
  static void replaceLink(Path link, Path target) throws IOException {
    Path temporary = link.resolveSibling("." + link.getFileName() + ".tmp");
    Files.deleteIfExists(temporary);
    Files.createSymbolicLink(temporary, target);
    Files.move(temporary, link, StandardCopyOption.ATOMIC_MOVE);
    forceFolder(link.toAbsolutePath().getParent());
  }

  static void forceFolder(Path folder) throws IOException {
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }

  /** Deletes a folder and what is in it, without following links; a missing folder is already deleted. */
  static void deleteFolder(Path folder) throws IOException {
    if (!Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) return;
    Files.walkFileTree(folder, new SimpleFileVisitor<>() {
      @Override
      public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
        Files.delete(file);
        return FileVisitResult.CONTINUE;
      }

      @Override
      public FileVisitResult postVisitDirectory(Path visited, IOException failure) throws IOException {
        if (failure != null) throw failure;
        Files.delete(visited);
        return FileVisitResult.CONTINUE;
      }
    });
  }
}
