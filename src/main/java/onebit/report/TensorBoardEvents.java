package onebit.report;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.util.Map;
import java.util.Objects;
import java.util.function.Consumer;
import java.util.zip.CRC32C;

/**
 * Scalars for TensorBoard, in a new {@code events.out.tfevents} file per start of the run.
 *
 * <pre>
 * Encoding  record = u64 length, u32 masked CRC32C of the length, data, u32 masked CRC32C of the data (little-endian)
 *           masked(crc) = rotateRight(crc, 15) + 0xa282ead8
 *           data = Event {1 double wall_time, 2 int64 step, 3 string file_version | 5 Summary | 7 SessionLog}
 *           Summary {1 Value {1 string tag, 2 float simple_value}}, SessionLog {1 status = START}
 * Source    TensorFlow's record_writer.h, event.proto and summary.proto
 * Cost      one buffer of 64 KiB, whatever the number of scalars
 * </pre>
 *
 * <p>After a resume TensorBoard drops what earlier files say about later steps. A disk that refuses is told once and
 * loses the scalars of that time; nothing here throws because of it.
 */
public final class TensorBoardEvents implements AutoCloseable {
  private static final int BUFFER_BYTES = 1 << 16;
  private static final int LONGEST_TAG_BYTES = 4096;

  private final Clock clock;
  private final AppendFile file;
  private final Path path;
  private final ByteBuffer buffer = ByteBuffer.allocate(BUFFER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
  private final ByteBuffer event = ByteBuffer.allocate(LONGEST_TAG_BYTES + 128).order(ByteOrder.LITTLE_ENDIAN);
  private final CRC32C crc = new CRC32C();

  private TensorBoardEvents(Path path, Clock clock, Consumer<String> trouble) {
    this.path = path;
    this.clock = Objects.requireNonNull(clock, "clock");
    this.file = new AppendFile(path, trouble);
  }

  /** A new events file in {@code folder} for a run that goes on after {@code resumedStep} steps (0 for a fresh run). */
  public static TensorBoardEvents open(Path folder, long resumedStep, Consumer<String> trouble) {
    return open(folder, resumedStep, trouble, Clock.systemUTC());
  }

  /** The same with a clock of the caller's. */
  static TensorBoardEvents open(Path folder, long resumedStep, Consumer<String> trouble, Clock clock) {
    String host = System.getenv().getOrDefault("HOSTNAME", "localhost").replaceAll("[^A-Za-z0-9.-]", "_");
    long pid = ProcessHandle.current().pid();
    String start = "events.out.tfevents." + clock.instant().getEpochSecond() + "." + host + "." + pid;
    Path path = folder.resolve(start + ".0");
    for (int i = 1; path.toFile().exists(); i++) {
      path = folder.resolve(start + "." + i);
    }
    TensorBoardEvents events = new TensorBoardEvents(path, clock, trouble);
    events.begin(resumedStep);
    return events;
  }

  /** The file of this start. */
  public Path path() {
    return path;
  }

  private void begin(long resumedStep) {
    event.clear();
    wallTime();
    text(3, "brain.Event:2".getBytes(StandardCharsets.UTF_8));
    record();
    event.clear();
    wallTime();
    step(resumedStep + 1);
    event.put((byte) (7 << 3 | 2)).put((byte) 2).put((byte) (1 << 3)).put((byte) 1);
    record();
    flush();
  }

  /**
   * Adds one number; it reaches the disk with the next {@link #flush}.
   *
   * @throws IllegalArgumentException the tag is empty or longer than 4096 bytes
   */
  public synchronized void scalar(String tag, long step, double value) {
    byte[] name = tag.getBytes(StandardCharsets.UTF_8);
    if (name.length == 0 || name.length > LONGEST_TAG_BYTES) {
      throw new IllegalArgumentException("TensorBoardEvents: a tag has " + name.length + " bytes; it must have 1 to " + LONGEST_TAG_BYTES);
    }
    event.clear();
    wallTime();
    step(step);
    int valueBytes = 1 + varintBytes(name.length) + name.length + 5;
    event.put((byte) (5 << 3 | 2));
    varint(1 + varintBytes(valueBytes) + valueBytes);
    event.put((byte) (1 << 3 | 2));
    varint(valueBytes);
    text(1, name);
    event.put((byte) (2 << 3 | 5)).putFloat((float) value);
    record();
  }

  /** Adds each number of a metrics record under its name, text and {@code step} left out, and flushes. */
  public synchronized void scalars(long step, Map<String, ?> record) {
    record.forEach((name, value) -> {
      if (value instanceof Number number && !name.equals("step")) {
        scalar(name, step, number.doubleValue());
      }
    });
    flush();
  }

  /** Hands what is buffered to the disk. */
  public synchronized void flush() {
    if (buffer.position() > 0) {
      file.append(buffer.flip());
      buffer.clear();
    }
  }

  @Override
  public synchronized void close() {
    flush();
    file.close();
  }

  private void wallTime() {
    Instant now = clock.instant();
    event.put((byte) (1 << 3 | 1)).putDouble(now.getEpochSecond() + now.getNano() / 1e9);
  }

  private void step(long step) {
    event.put((byte) (2 << 3));
    varint(step);
  }

  private void text(int field, byte[] utf8) {
    event.put((byte) (field << 3 | 2));
    varint(utf8.length);
    event.put(utf8);
  }

  private void varint(long value) {
    long rest = value;
    while ((rest & ~0x7FL) != 0) {
      event.put((byte) (rest & 0x7F | 0x80));
      rest >>>= 7;
    }
    event.put((byte) rest);
  }

  private static int varintBytes(int value) {
    return Math.max(1, (38 - Integer.numberOfLeadingZeros(value)) / 7);
  }

  private void record() {
    event.flip();
    int bytes = event.remaining();
    if (buffer.remaining() < bytes + 16) {
      flush();
    }
    int start = buffer.position();
    buffer.putLong(bytes);
    buffer.putInt(masked(start, Long.BYTES));
    int data = buffer.position();
    buffer.put(event);
    buffer.putInt(masked(data, bytes));
  }

  private int masked(int from, int bytes) {
    crc.reset();
    crc.update(buffer.array(), from, bytes);
    return Integer.rotateRight((int) crc.getValue(), 15) + 0xa282ead8;
  }
}
