package onebit.report;

import java.io.BufferedWriter;
import java.io.IOException;
import java.io.Writer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/** Replaces a text file as a whole: a reader sees the old content or the new, also after a kill. */
final class WholeFile {
  /** Writes the new content. */
  interface Content {
    void write(Writer out) throws IOException;
  }

  private WholeFile() {}

  /**
   * Writes beside {@code path}, forces to disk, then renames over it.
   *
   * @throws IOException the disk refused; {@code path} is as before
   */
  static void replace(Path path, Content content) throws IOException {
    Path absolute = path.toAbsolutePath();
    Path fresh = absolute.resolveSibling(absolute.getFileName() + ".tmp");
    Files.createDirectories(absolute.getParent());
    Files.deleteIfExists(fresh);
    try {
      try (FileChannel channel = FileChannel.open(fresh, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
          Writer out = new BufferedWriter(Channels.newWriter(channel, StandardCharsets.UTF_8))) {
        content.write(out);
        out.flush();
        channel.force(true);
      }
      Files.move(fresh, absolute, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException | RuntimeException failure) {
      Files.deleteIfExists(fresh);
      throw failure;
    }
  }
}
