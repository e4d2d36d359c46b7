package onebit.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ScreenTest {
  @Test
  void onlyACapableTerminalOutsideABuildMachineIsRedrawn() {
    assertTrue(Screen.redraws(Map.of("TERM", "xterm"), true));
    assertTrue(Screen.redraws(Map.of("TERM", "xterm", "CI", "false"), true));
    assertFalse(Screen.redraws(Map.of("TERM", "xterm"), false));
    assertFalse(Screen.redraws(Map.of("TERM", "dumb"), true));
    assertFalse(Screen.redraws(Map.of(), true));
    assertFalse(Screen.redraws(Map.of("TERM", "xterm", "CI", "true"), true));
  }

  @Test
  void aLineOnATerminalGoesAboveTheStatusLine() {
    var out = new ByteArrayOutputStream();
    Screen screen = Screen.of(out, true);
    screen.status("working");
    screen.line("note");
    screen.clearStatus();
    assertEquals("\rworking\u001b[K" + "\r\u001b[Knote" + System.lineSeparator() + "working" + "\r\u001b[K",
        out.toString(StandardCharsets.UTF_8));
  }

  @Test
  void aStatusIsCutToTheWidthAndAbsentFromPlainOutput() {
    var terminal = new ByteArrayOutputStream();
    Screen.of(terminal, true).status("x".repeat(500));
    assertEquals(79, terminal.toString(StandardCharsets.UTF_8).chars().filter(c -> c == 'x').count());
    var plain = new ByteArrayOutputStream();
    Screen.of(plain, false).status("working");
    assertEquals(0, plain.size());
  }

  @Test
  void theWidthIsThatOfTheTerminalAtThatMomentUnlessColumnsSaysOtherwise() {
    var out = new ByteArrayOutputStream();
    int[] columns = {30};
    Screen screen = new Screen(out, true, () -> columns[0]);
    screen.status("x".repeat(100));
    columns[0] = 12;
    screen.status("y".repeat(100));
    assertEquals("\r" + "x".repeat(29) + "\u001b[K\r" + "y".repeat(11) + "\u001b[K", out.toString(StandardCharsets.UTF_8));
    assertEquals(33, Screen.columns(Map.of(), 33));
    assertEquals(120, Screen.columns(Map.of("COLUMNS", "120"), 33));
    assertEquals(33, Screen.columns(Map.of("COLUMNS", "wide"), 33));
    assertEquals(80, Screen.columns(Map.of(), 0));
    assertEquals(2, Screen.columns(Map.of(), 1));
    assertTrue(TerminalWidth.now() >= 0);
  }

  @Test
  void escapeSequencesInATextAreNotSentToTheTerminal() {
    var out = new ByteArrayOutputStream();
    Screen.of(out, false).line("a\u001b[2Jb\u009b");
    assertEquals("a?[2Jb?" + System.lineSeparator(), out.toString(StandardCharsets.UTF_8));
  }

  @Test
  void aClosedStreamIsTriedOnceAndNeverThrows() {
    int[] tries = {0};
    Screen screen = Screen.of(new OutputStream() {
      @Override
      public void write(int b) throws IOException {
        tries[0]++;
        throw new IOException("Broken pipe");
      }
    }, true);
    screen.line("one");
    screen.status("two");
    screen.clearStatus();
    assertTrue(screen.isBroken());
    assertEquals(1, tries[0]);
  }
}
