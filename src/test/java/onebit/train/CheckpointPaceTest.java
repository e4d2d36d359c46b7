package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import onebit.recipe.CheckpointRecipe;
import org.junit.jupiter.api.Test;

class CheckpointPaceTest {
  private static final long SECOND = 1_000_000_000L;

  private final List<String> said = new ArrayList<>();
  private long now = Long.MAX_VALUE - 30 * SECOND;   // such a clock may begin anywhere, and pass its end

  private CheckpointPace pace(int everySteps, double everyMinutes) {
    return new CheckpointPace(new CheckpointRecipe(everySteps, everyMinutes, 3), () -> now, said::add);
  }

  private void save(CheckpointPace pace, long nanos) {
    long begin = now;
    now += nanos;
    pace.saved(begin);
  }

  @Test
  void byTimeOneIsDueEachMinute() {
    CheckpointPace pace = pace(0, 1);
    List<Integer> due = new ArrayList<>();
    for (int second = 1; second <= 200; second++) {
      now += SECOND;
      if (!pace.due(second, false)) continue;
      due.add(second);
      save(pace, 0);
    }
    assertEquals(List.of(60, 120, 180), due);
  }

  /** A computer that slept for a day owes one checkpoint, not a thousand. */
  @Test
  void aClockThatJumpsADayOwesOneCheckpoint() {
    CheckpointPace pace = pace(0, 1);
    now += 86_400 * SECOND;
    assertTrue(pace.due(1, false));
    save(pace, 0);
    now += SECOND;
    assertFalse(pace.due(2, false));
  }

  @Test
  void theyTakeAtMostTwoPercentOfTheTime() {
    CheckpointPace pace = pace(1, 0);
    assertTrue(pace.due(1, false));
    save(pace, SECOND);
    now += 49 * SECOND;
    assertFalse(pace.due(2, false));
    assertTrue(said.getFirst().contains("each holds training up for 1000 ms, and they may take 2 %"), said.toString());
    now += SECOND;
    assertTrue(pace.due(3, false));
    assertFalse(pace.due(3, true), "the disk is busy");
    assertEquals(1, said.size(), "said once");
  }

  @Test
  void whatKeepsOneBackIsSaidWithTheKeyThatAsksForIt() {
    CheckpointPace busy = pace(2, 1);
    assertFalse(busy.due(1, true), "none is asked for");
    assertEquals(List.of(), said);
    assertFalse(busy.due(2, true));
    assertEquals(List.of("Checkpoints are written less often than checkpoint.everySteps asks: the disk is still writing the one before."), said);
    CheckpointPace dear = pace(0, 1);
    save(dear, 3 * SECOND);
    now += 60 * SECOND;
    assertFalse(dear.due(1, false));
    assertEquals("Checkpoints are written less often than checkpoint.everyMinutes asks: each holds training up for 3000 ms, and they may take 2 % of the time.", said.getLast());
  }

  /** Nothing that waits or paces may look at the time of day, which jumps; only what is written for people holds it. */
  @Test
  void noWaitOfARunReadsTheTimeOfDay() throws Exception {
    for (String part : List.of("train", "dist", "data", "cli", "ops/cuda")) {
      try (var files = Files.walk(Path.of("src/main/java/onebit", part))) {
        for (Path file : files.filter(f -> f.toString().endsWith(".java")).toList()) {
          String text = Files.readString(file);
          assertFalse(text.contains("currentTimeMillis") || text.contains("Instant.now") || text.contains("LocalDateTime.now"), file.toString());
        }
      }
    }
  }
}
