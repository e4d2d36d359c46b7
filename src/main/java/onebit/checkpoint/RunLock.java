package onebit.checkpoint;

import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** The right to write in a run folder, held by one process at a time and given back when it ends, however it ends. */
public final class RunLock implements AutoCloseable {
  private static final String FILE = "run.lock";
  /** A look holds the lock for an instant: who wants it tries so often. */
  private static final int TRIES = 20, MILLIS_BETWEEN = 10;

  private final FileChannel channel;
  private final FileLock lock;

  private RunLock(FileChannel channel, FileLock lock) {
    this.channel = channel;
    this.lock = lock;
  }

  /**
   * Takes the lock of a run folder, which is created when missing.
   *
   * @throws CheckpointException when another run holds it; the message names its process and computer
   */
  public static RunLock acquire(Path run) throws IOException {
    Files.createDirectories(run);
    FileChannel channel = FileChannel.open(run.resolve(FILE), StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
    try {
      FileLock lock = tryLock(channel);
      for (int tries = 1; lock == null && tries < TRIES; tries++) {
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(MILLIS_BETWEEN));
        lock = tryLock(channel);
      }
      if (lock == null) throw inUse(run, channel);
      if (!Files.exists(run.resolve(FILE))) {   // whoever had it took the folder away
        channel.close();
        return acquire(run);
      }
      ByteBuffer text = StandardCharsets.UTF_8.encode("process " + ProcessHandle.current().pid() + " on " + host() + " since "
          + Instant.now().truncatedTo(ChronoUnit.SECONDS) + "\n");
      channel.truncate(0);
      while (text.hasRemaining()) channel.write(text, text.position());
      return new RunLock(channel, lock);
    } catch (CheckpointException | RuntimeException e) {
      channel.close();
      throw e;
    } catch (IOException e) {
      channel.close();
      throw new IOException(run.resolve(FILE) + " cannot be locked and written: " + e.getMessage(), e);
    }
  }

  /**
   * Looks whether a run folder's lock can be had, without taking it; a folder that is missing stays so.
   *
   * @throws CheckpointException when another run holds it; the message names its process and computer
   */
  public static void requireFree(Path run) throws IOException {
    Path file = run.resolve(FILE);
    if (!Files.exists(file)) return;
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      FileLock lock = tryLock(channel);
      if (lock == null) throw inUse(run, channel);
      lock.release();
    }
  }

  private static CheckpointException inUse(Path run, FileChannel channel) throws IOException {
    return new CheckpointException("run folder " + run + " is in use by " + holder(channel) + "; wait for it to end or choose another --out");
  }

  /** Gives the lock back; the file stays with the run, for deleting it would let two processes lock two files of one name. */
  @Override
  public void close() throws IOException {
    try (channel) {
      lock.release();
    }
  }

  private static FileLock tryLock(FileChannel channel) throws IOException {
    try {
      return channel.tryLock();
    } catch (OverlappingFileLockException e) {
      return null;
    }
  }

  private static String holder(FileChannel channel) throws IOException {
    ByteBuffer text = ByteBuffer.allocate(300);
    while (text.hasRemaining() && channel.read(text, text.position()) > 0) { }
    String line = StandardCharsets.UTF_8.decode(text.flip()).toString().strip();
    return line.isEmpty() ? "another process" : NamedTensor.excerpt(line);
  }

  private static String host() {
    try {
      return InetAddress.getLocalHost().getHostName();
    } catch (UnknownHostException e) {
      return "this computer";
    }
  }
}
