package onebit.report;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * A file that grows by whole records: a record is there completely or not at all.
 *
 * <p>A full disk or a vanished folder is told to {@code trouble} once and never thrown; each later append tries again,
 * after cutting off what the failed one left.
 */
final class AppendFile implements AutoCloseable {
  private final Path path;
  private final Consumer<String> trouble;
  private FileChannel channel;
  private long good = -1;
  private boolean clean = true;
  private boolean told;

  AppendFile(Path path, Consumer<String> trouble) {
    this.path = Objects.requireNonNull(path, "path");
    this.trouble = Objects.requireNonNull(trouble, "trouble");
  }

  /** Appends {@code record}; false where the disk refused it. */
  synchronized boolean append(ByteBuffer record) {
    try {
      open();
      long at = good;
      while (record.hasRemaining()) {
        at += channel.write(record, at);
      }
      good = at;
      return true;
    } catch (IOException | RuntimeException failure) {
      clean = false;
      tell(failure);
      return false;
    }
  }

  private void open() throws IOException {
    if (channel == null || !channel.isOpen()) {
      Path folder = path.toAbsolutePath().getParent();
      if (folder != null) {
        Files.createDirectories(folder);
      }
      channel = FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      good = channel.size();
    }
    if (!clean) {
      channel.truncate(good);
      clean = true;
    }
  }

  /** Says once that the file cannot be written, and that the run goes on. */
  void tell(Exception failure) {
    if (!told) {
      told = true;
      trouble.accept(path.getFileName() + " cannot be written (" + reason(failure) + "); the run goes on without it");
    }
  }

  private static String reason(Exception failure) {
    String message = failure.getMessage();
    return message == null ? failure.getClass().getSimpleName() : failure.getClass().getSimpleName() + ": " + message;
  }

  @Override
  public synchronized void close() {
    if (channel == null) {
      return;
    }
    try {
      if (channel.isOpen()) {
        channel.force(true);
      }
      channel.close();
    } catch (IOException failure) {
      tell(failure);
    }
  }
}
