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
 * RUN/ranks/rank-N   pid, step, collectives entered: 8 bytes each, big-endian; then, UTF-8, the last collective's name, zero-padded to 64, and the machine's, to 40
 * </pre>
 */
public record RankStatus(int rank, long pid, long step, long entered, String last, String machine) {
  private static final int BYTES = 128, NAME = 24, MACHINE = 88;
  private static final String HERE = here();

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
      map.put(MACHINE, HERE.getBytes(StandardCharsets.UTF_8));
      byte[] name = new byte[MACHINE - NAME];
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
      return Optional.of(new RankStatus(rank, buffer.getLong(0), buffer.getLong(8), buffer.getLong(16), text(bytes, NAME, MACHINE), text(bytes, MACHINE, BYTES)));
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  private static String text(byte[] bytes, int from, int to) {
    return new String(bytes, from, to - from, StandardCharsets.UTF_8).replace("\0", "");
  }

  private static String here() {
    try {
      String name = Files.readString(Path.of("/proc/sys/kernel/hostname")).strip();
      return name.substring(0, Math.min(name.length(), BYTES - MACHINE));
    } catch (IOException e) {
      return "";
    }
  }

  /** Such as "rank 2 (process 1234 on gpu03) was at step 57, last collective: gradients 3", this machine not named, and whether a signal has stopped its process. */
  public String describe() {
    return "rank " + rank + " (process " + pid + (isHere() ? "" : " on " + machine) + ") was at step " + step + ", last collective: " + last + (stopped() ? "; its process is stopped" : "");
  }

  private boolean isHere() {
    return machine.equals(HERE);
  }

  /** Whether its process is on this machine and stopped by a signal or a debugger. */
  boolean stopped() {
    if (!isHere()) return false;
    try {
      String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
      int state = stat.lastIndexOf(')') + 2;
      return state < stat.length() && (stat.charAt(state) == 'T' || stat.charAt(state) == 't');
    } catch (IOException e) {
      return false;   // gone
    }
  }
}
