package onebit.report;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;

class WorkLineTest {
  private static final long SECOND = 1_000_000_000L;
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private long now = -7 * SECOND;

  private WorkLine line(boolean terminal) {
    return new WorkLine(Screen.of(out, terminal), () -> now);
  }

  private List<String> lines() {
    return out.toString(StandardCharsets.UTF_8).lines().toList();
  }

  @Test
  void plainLinesComeEveryTenSecondsWithTheTimeThatTheRestTakes() {
    WorkLine line = line(false);
    for (int second = 0; second <= 25; second++, now += SECOND) line.at("evaluating", 100L * second, 10_000);
    assertEquals(List.of("evaluating  1,000/10,000  ETA 1m30s", "evaluating  2,000/10,000  ETA 1m20s"), lines());
  }

  @Test
  void whatWasDoneBeforeTookNoTimeNow() {
    WorkLine line = line(false);
    line.at(900, 1000, () -> "half");
    now += 10 * SECOND;
    line.at(950, 1000, () -> "most");
    assertEquals(List.of("most  ETA 10s"), lines());
  }

  @Test
  void otherWorkBeginsAnew() {
    WorkLine line = line(false);
    line.at(0, 100, () -> "a");
    now += 20 * SECOND;
    line.at(50, 100, () -> "a");
    line.at(5, 90, () -> "b");
    now += 12 * SECOND;
    line.at(9, 90, () -> "b");
    assertEquals(List.of("a  ETA 20s", "b  ETA 4m03s"), lines());
  }

  @Test
  void callsOfSeveralThreadsMayOvertakeOneAnother() {
    WorkLine line = line(false);
    line.at(20, 1000, () -> "first");
    for (int second = 1; second <= 10; second++) {
      now += SECOND;
      line.at(100 * second, 1000, () -> "ahead");
      line.at(100 * second - 90, 1000, () -> "behind");
    }
    now += 10 * SECOND;
    line.at(15, 1000, () -> "least");
    assertEquals(List.of("ahead  ETA 0s", "least"), lines());
  }

  @Test
  void onATerminalOneLineIsRedrawnAtMostTenTimesASecond() {
    WorkLine line = line(true);
    for (int step = 0; step <= 20; step++, now += SECOND / 100) line.at("evaluating", step, 40);
    String shown = out.toString(StandardCharsets.UTF_8);
    assertEquals("\revaluating  0/40\u001b[K\revaluating  10/40  ETA 0s\u001b[K\revaluating  20/40  ETA 0s\u001b[K", shown);
  }
}
