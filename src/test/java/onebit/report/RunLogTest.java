package onebit.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneId;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RunLogTest {
  private static final Clock NOON = Clock.fixed(Instant.parse("2026-03-01T11:00:00.987Z"), ZoneId.of("+01:00"));
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();

  @Test
  void eachLineHasItsTimeInTheFileAndOnPlainOutput(@TempDir Path folder) throws IOException {
    try (RunLog log = RunLog.open(folder.resolve("log.txt"), Screen.of(out, false), NOON)) {
      log.line("first\nmore");
      log.warn("odd\u0007");
    }
    String expected = "2026-03-01T12:00:00+01:00 first\n    more\n2026-03-01T12:00:00+01:00 warning: odd?\n";
    assertEquals(expected, Files.readString(folder.resolve("log.txt")));
    assertEquals(expected, out.toString(StandardCharsets.UTF_8).replace("\r\n", "\n"));
  }

  @Test
  void aSecondStartGoesOnAtTheEnd(@TempDir Path folder) throws IOException {
    for (String text : List.of("one", "two")) {
      try (RunLog log = RunLog.open(folder.resolve("log.txt"), Screen.none(), NOON)) {
        log.line(text);
      }
    }
    assertEquals(2, Files.readAllLines(folder.resolve("log.txt")).size());
  }

  @Test
  void aLogThatCannotBeWrittenIsToldOnceOnTheScreen(@TempDir Path folder) throws IOException {
    Path notAFolder = Files.writeString(folder.resolve("file"), "x");
    try (RunLog log = RunLog.open(notAFolder.resolve("log.txt"), Screen.of(out, true), NOON)) {
      log.line("one");
      log.line("two");
    }
    List<String> lines = out.toString(StandardCharsets.UTF_8).lines().toList();
    assertEquals(3, lines.size(), lines.toString());
    assertTrue(lines.get(0).startsWith("log.txt cannot be written"), lines.toString());
    assertEquals(List.of("one", "two"), lines.subList(1, 3));
  }

  @Test
  void aFullDiskIsToldOnce() {
    Path full = Path.of("/dev/full");
    assumeTrue(Files.exists(full), "this system has no /dev/full");
    try (RunLog log = RunLog.open(full, Screen.of(out, true), NOON)) {
      log.line("one");
      log.line("two");
    }
    assertEquals(1, out.toString(StandardCharsets.UTF_8).lines().filter(l -> l.contains("cannot be written")).count());
  }

  @Test
  void aClosedStandardOutputIsToldOnceInTheFile(@TempDir Path folder) throws IOException {
    OutputStream closed = new OutputStream() {
      @Override
      public void write(int b) throws IOException {
        throw new IOException("Broken pipe");
      }
    };
    try (RunLog log = RunLog.open(folder.resolve("log.txt"), Screen.of(closed, false), NOON)) {
      log.line("one");
      log.line("two");
    }
    List<String> lines = Files.readAllLines(folder.resolve("log.txt"));
    assertEquals(3, lines.size());
    assertTrue(lines.get(1).contains("standard output is closed"), lines.toString());
  }
}
