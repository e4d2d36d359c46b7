package onebit.data;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.channels.UnresolvedAddressException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;

/**
 * A data set's files brought from their addresses into a folder, each known by its length and digest before it gets its name.
 *
 * <p>A download goes to {@code NAME.part}; when it is cut, the next attempt asks only for the rest, in this run or a later
 * one. A file with another digest is removed and refused.
 */
public final class Fetch {
  /** Told now and then how far a file is; the last call for a file has bytes equal to total. */
  public interface Progress {
    void at(String file, long bytes, long total);
  }

  private static final int ATTEMPTS = 4;
  private static final String NETWORK = "is there a network? A proxy is named by ONEBIT_JAVA_OPTS='-Dhttps.proxyHost=HOST -Dhttps.proxyPort=PORT'";

  private final Progress progress;
  private final Duration pause;

  public Fetch(Progress progress) {
    this(progress, Duration.ofSeconds(2));
  }

  Fetch(Progress progress, Duration pause) {
    this.progress = progress;
    this.pause = pause;
  }

  /**
   * Fetches a data set by name; files that are there and right are left alone.
   *
   * @throws IllegalArgumentException if nothing is fetched under this name
   * @throws IOException if a file cannot be had, or is not the published one
   */
  public static void prepare(String name, Path out, Progress progress) throws IOException {
    new Fetch(progress).prepare(DataSource.of(name), out);
  }

  /** Fetches every file of a source. */
  public void prepare(DataSource source, Path out) throws IOException {
    Files.createDirectories(out);
    try (HttpClient client = HttpClient.newBuilder().followRedirects(HttpClient.Redirect.NORMAL)
        .connectTimeout(Duration.ofSeconds(20)).build()) {
      for (DataSource.RemoteFile file : source.files()) {
        if (present(file, out)) {
          progress.at(file.name(), file.bytes(), file.bytes());
          continue;
        }
        Path target = out.resolve(file.name());
        if (!DataSource.matches(target, file.bytes(), file.digest())) download(client, file, target);
        if (!file.members().isEmpty()) {
          TarGz.extract(target, file.members(), out);
          Files.delete(target);
        }
      }
    }
  }

  private static boolean present(DataSource.RemoteFile file, Path out) throws IOException {
    if (file.members().isEmpty()) return DataSource.matches(out.resolve(file.name()), file.bytes(), file.digest());
    for (DataSource.Member member : file.members()) {
      if (!DataSource.matches(out.resolve(member.name()), member.bytes(), member.digest())) return false;
    }
    return true;
  }

  private void download(HttpClient client, DataSource.RemoteFile file, Path target) throws IOException {
    Path part = target.resolveSibling(file.name() + ".part");
    try (FileChannel channel = FileChannel.open(part, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      requireAlone(channel, part);
      if (channel.size() > file.bytes()) channel.truncate(0);
      IOException last = null;
      for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (attempt > 0) rest(attempt);
        boolean resumed = channel.size() > 0;
        if (channel.size() < file.bytes()) {
          try {
            resumed = transfer(client, file, channel);
          } catch (RefusedException e) {
            throw new IOException(e.getMessage(), e);
          } catch (InterruptedIOException e) {
            throw e;
          } catch (IOException e) {
            last = e;
          }
        }
        if (channel.size() > file.bytes()) {
          remove(channel, part);
          throw new IOException(file.url() + ": sends more than the published " + file.bytes() + " bytes; the file was removed");
        }
        if (channel.size() < file.bytes()) continue;
        channel.force(true);
        String found = DataSource.digest(part, file.digest());
        if (found.equals(file.digest())) {
          Files.move(part, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
          return;
        }
        last = new IOException(file.url() + ": the file is not the published one: " + found + ", published is " + file.digest()
            + "; it was removed");
        if (!resumed) {
          remove(channel, part);
          throw last;
        }
        channel.truncate(0);
      }
      long have = channel.size();
      if (have == 0) remove(channel, part);
      String kept = have == 0 ? "" : "; " + have + " of " + file.bytes() + " bytes are kept, run the command again to get the rest";
      throw new IOException(file.url() + ": gave up after " + ATTEMPTS + " attempts: "
          + (last == null ? "the content ended after " + have + " of " + file.bytes() + " bytes" : words(last)) + kept, last);
    }
  }

  /** What failed; the JDK's client often says nothing of a network that is not there. */
  private static String words(IOException e) {
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      if (cause instanceof UnresolvedAddressException) return "the server's name is not found; " + NETWORK;
      if (cause.getMessage() != null && !(cause instanceof ConnectException)) return cause.getMessage();
    }
    return "no connection to the server; " + NETWORK;
  }

  private static void requireAlone(FileChannel channel, Path part) throws IOException {
    try {
      if (channel.tryLock() != null) return;
    } catch (OverlappingFileLockException e) {
      throw new IOException(part + ": is being written by another download", e);
    }
    throw new IOException(part + ": is being written by another download");
  }

  /** Appends to the part what is missing; true if the server continued where the part ended. */
  private boolean transfer(HttpClient client, DataSource.RemoteFile file, FileChannel channel) throws IOException {
    long have = channel.size();
    HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(file.url())).timeout(Duration.ofSeconds(60));
    if (have > 0) request.header("Range", "bytes=" + have + "-");
    HttpResponse<InputStream> response;
    try {
      response = client.send(request.build(), HttpResponse.BodyHandlers.ofInputStream());
    } catch (InterruptedException e) {
      throw interrupted();
    }
    try (InputStream body = response.body()) {
      int status = response.statusCode();
      String range = response.headers().firstValue("Content-Range").orElse("");
      boolean continued = status == 206 && have > 0 && range.startsWith("bytes " + have + "-");
      if (status == 416 || status == 206 && !continued) {
        channel.truncate(0);
        throw new IOException("the server cannot continue at byte " + have);
      }
      if (status >= 400 && status < 500) throw new RefusedException(file.url() + ": the server answers " + status);
      if (status != 200 && !continued) throw new IOException("the server answers " + status);
      if (!continued) {
        channel.truncate(0);
        have = 0;
      }
      channel.position(have);
      byte[] buffer = new byte[1 << 16];
      for (int n = body.read(buffer); n >= 0 && have <= file.bytes(); n = body.read(buffer)) {
        ByteBuffer bytes = ByteBuffer.wrap(buffer, 0, n);
        while (bytes.hasRemaining()) channel.write(bytes);
        have += n;
        progress.at(file.name(), Math.min(have, file.bytes()), file.bytes());
        if (Thread.currentThread().isInterrupted()) throw interrupted();
      }
      return continued;
    }
  }

  private static void remove(FileChannel channel, Path part) throws IOException {
    channel.truncate(0);
    Files.delete(part);
  }

  private void rest(int attempt) throws IOException {
    try {
      Thread.sleep(pause.multipliedBy(attempt));
    } catch (InterruptedException e) {
      throw interrupted();
    }
  }

  private static InterruptedIOException interrupted() {
    Thread.currentThread().interrupt();
    return new InterruptedIOException("the download was interrupted; run the command again to get the rest");
  }

  /** An answer that another attempt will not change. */
  private static final class RefusedException extends IOException {
    RefusedException(String message) {
      super(message);
    }
  }
}
