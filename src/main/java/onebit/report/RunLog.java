package onebit.report;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Clock;
import java.time.OffsetDateTime;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.Objects;

/**
 * What the run said, each line with its time, in {@code log.txt} and on the screen.
 *
 * <p>A full disk, a vanished folder or a closed standard output is told once on whatever still works; nothing here
 * throws because of them. A text of several lines keeps its time on the first and is indented on the others.
 */
public final class RunLog implements AutoCloseable {
  private static final DateTimeFormatter STAMP = DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ssXXX");
  private final Screen screen;
  private final Clock clock;
  private final AppendFile file;
  private boolean toldBroken;

  private RunLog(Path path, Screen screen, Clock clock) {
    this.screen = Objects.requireNonNull(screen, "screen");
    this.clock = Objects.requireNonNull(clock, "clock");
    this.file = path == null ? null : new AppendFile(path, this::echo);
  }

  /** A log that goes on at the end of {@code file} and is echoed to {@code screen}. */
  public static RunLog open(Path file, Screen screen) {
    return open(file, screen, Clock.systemDefaultZone());
  }

  /** The same with a clock of the caller's. */
  public static RunLog open(Path file, Screen screen, Clock clock) {
    return new RunLog(Objects.requireNonNull(file, "file"), screen, clock);
  }

  /** A log without a file. */
  public static RunLog screenOnly(Screen screen) {
    return new RunLog(null, screen, Clock.systemDefaultZone());
  }

  /** Records {@code text} and shows it. */
  public synchronized void line(String text) {
    record(text);
    echo(text);
    if (screen.isBroken() && !toldBroken) {
      toldBroken = true;
      record("standard output is closed; the run goes on and this file has the rest");
    }
  }

  /** Records and shows {@code text} marked as a warning. */
  public void warn(String text) {
    line("warning: " + text);
  }

  /** Records {@code text} in the file only. */
  public synchronized void record(String text) {
    if (file != null) {
      String line = stamp() + ' ' + indented(text) + '\n';
      file.append(ByteBuffer.wrap(line.getBytes(StandardCharsets.UTF_8)));
    }
  }

  private void echo(String text) {
    screen.line(screen.isTerminal() ? text : stamp() + ' ' + indented(text));
  }

  private String stamp() {
    return STAMP.format(OffsetDateTime.now(clock).truncatedTo(ChronoUnit.SECONDS));
  }

  private static String indented(String text) {
    return Screen.clean(text.stripTrailing().replace("\r\n", "\n"), true).replace("\n", "\n    ");
  }

  @Override
  public synchronized void close() {
    if (file != null) {
      file.close();
    }
  }
}
