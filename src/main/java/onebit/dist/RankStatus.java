package onebit.dist;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Optional;

/**
 * Where a rank is, in a small mapped file of the run folder that outlives its process: so that whoever is left can name it.
 *
 * <pre>
 * RUN/ranks/rank-N   pid, step, collectives entered: 8 bytes each, big-endian; then the last collective's name, UTF-8, zero-padded to 104
 * </pre>
 */
public record RankStatus(int rank, long pid, long step, long entered, String last) {
  private static final int BYTES = 128, NAME = 24;

  static Path file(Path run, int rank) {
    return run.resolve("ranks").resolve("rank-" + rank);
  }

  /**
   * Writes a rank's activity into its file from now on.
   *
   * @throws IOException if the file cannot be made; the run can do without
   */
  public static void publish(Path run, int rank, Activity activity) throws IOException {
    Path file = file(run, rank);
    Files.createDirectories(file.getParent());
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      channel.write(ByteBuffer.allocate(BYTES), 0);
      MappedByteBuffer map = channel.map(FileChannel.MapMode.READ_WRITE, 0, BYTES);
      map.putLong(0, ProcessHandle.current().pid());
      byte[] name = new byte[BYTES - NAME];
      String[] written = {null};
      activity.observe((step, entered, last) -> {
        if (last != written[0]) {
          byte[] text = last.getBytes(StandardCharsets.UTF_8);
          Arrays.fill(name, (byte) 0);
          System.arraycopy(text, 0, name, 0, Math.min(text.length, name.length));
          map.put(NAME, name);
          written[0] = last;
        }
        map.putLong(8, step);
        map.putLong(16, entered);
      });
    }
  }

  /** Takes away what the ranks of an earlier start wrote, so that they are not taken for those of this one. */
  public static void forget(Path run) {
    File[] files = run.resolve("ranks").toFile().listFiles((folder, name) -> name.matches("rank-\\d+"));
    if (files != null) for (File file : files) file.delete();   // one that stays can only make a message wrong
  }

  /** What a rank wrote last; empty where it wrote nothing that can be read. */
  public static Optional<RankStatus> read(Path run, int rank) {
    try {
      byte[] bytes = Files.readAllBytes(file(run, rank));
      if (bytes.length < BYTES) return Optional.empty();
      ByteBuffer buffer = ByteBuffer.wrap(bytes);
      String name = new String(bytes, NAME, BYTES - NAME, StandardCharsets.UTF_8).replace("\0", "");
      return Optional.of(new RankStatus(rank, buffer.getLong(0), buffer.getLong(8), buffer.getLong(16), name));
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  /** Such as "rank 2 (process 1234) was at step 57, last collective: gradients 3", and whether a signal has stopped its process. */
  public String describe() {
    return "rank " + rank + " (process " + pid + ") was at step " + step + ", last collective: " + last + (stopped() ? "; its process is stopped" : "");
  }

  /** Whether a process of this machine with that number is stopped by a signal or a debugger. */
  boolean stopped() {
    try {
      String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
      int state = stat.lastIndexOf(')') + 2;
      return state < stat.length() && (stat.charAt(state) == 'T' || stat.charAt(state) == 't');
    } catch (IOException e) {
      return false;   // of another machine, or gone
    }
  }
}
