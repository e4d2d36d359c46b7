package onebit.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class SupervisorTest {
  /** A rank that hangs hears no signal; what was lost is said. */
  @Test
  void workersThatDoNotEndAfterTheSignalAreKilledAndThatIsSaidOnce() throws Exception {
    ProcessBuilder ignoring = new ProcessBuilder("sh", "-c", "trap '' TERM; echo ready; exec sleep 60");
    Process deaf = ignoring.start(), other = ignoring.start();
    try {
      assertEquals("ready", deaf.inputReader().readLine());
      assertEquals("ready", other.inputReader().readLine());
      List<String> said = new ArrayList<>();
      Supervisor supervisor = new Supervisor(1, true, 0, Path.of("run"), List.of(), said::add);
      assertEquals(128 + 9, supervisor.end(deaf, System.nanoTime() + 1_500_000_000L), "after a signal that it ignores");
      assertEquals(128 + 9, supervisor.end(other, System.nanoTime()), "the next one, when the time is over");
      assertEquals(List.of("The run did not end within 40 seconds of the signal and is killed; the same command goes on from its last good checkpoint."), said);
    } finally {
      deaf.destroyForcibly();
      other.destroyForcibly();
    }
  }
}
