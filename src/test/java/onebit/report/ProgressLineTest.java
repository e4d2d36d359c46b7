package onebit.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;

class ProgressLineTest {
  private static final long SECOND = 1_000_000_000L;
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private long now = -5 * SECOND;

  private ProgressLine line(boolean terminal, int epochs, long steps) {
    return new ProgressLine(Screen.of(out, terminal), epochs, steps, () -> now);
  }

  private List<String> lines() {
    return out.toString(StandardCharsets.UTF_8).lines().toList();
  }

  @Test
  void aConstantSpeedGivesThatSpeedAndTheExactTimeLeft() {
    ProgressLine progress = line(false, 3, 100);
    progress.start();
    for (int step = 1; step <= 20; step++) {
      now += SECOND / 2;
      progress.step(1, step, 0.5, 128);
    }
    assertEquals(List.of("epoch 1/3  step 20/100  loss 0.5000  256 images/s  ETA 2m20s"), lines());
    assertEquals(256, progress.imagesPerSecond(), 1e-9);
  }

  @Test
  void whenTheSpeedChangesWhatIsShownForgetsInFiveSecondsAndTheTimeLeftInSixty() {
    ProgressLine progress = line(false, 2, 1000);
    progress.start();
    int[] seconds = {1, 2, 8};
    for (int step = 1; step <= 3; step++) {
      now += seconds[step - 1] * SECOND;
      progress.step(1, step, 0.5, 100 * step);
    }
    double two = Math.exp(-2 / 5.0), eight = Math.exp(-8 / 5.0);
    double speed = ((100 * two + 200) * eight + 300) / ((1 * two + 2) * eight + 8);
    assertEquals(speed, progress.imagesPerSecond(), 1e-9);
    double keep = Math.exp(-8 / 60.0), left = 1997 * (2 * keep + 8) / (1 * keep + 1);   // the first step does not count
    assertEquals(List.of(String.format(java.util.Locale.ROOT, "epoch 1/2  step 3/1,000  loss 0.5000  %.1f images/s  ETA %s", speed, ProgressLine.duration(left))), lines());
  }

  @Test
  void onATerminalTheLastStepOfAnEpochIsShownAndALineOfItsOwnReplacesIt() {
    ProgressLine progress = line(true, 2, 3);
    progress.start();
    for (int step = 1; step <= 3; step++) {
      now += SECOND / 100;
      progress.step(1, step, 1, 1);
    }
    progress.epochDone(1, "test 90.0 %");
    progress.finish();
    String shown = out.toString(StandardCharsets.UTF_8);
    assertTrue(shown.contains("step 1/3") && !shown.contains("step 2/3") && shown.contains("step 3/3"), shown);
    assertTrue(shown.endsWith("\u001b[K\r\u001b[Kepoch 1/2  test 90.0 %\n"), shown);
  }

  @Test
  void aSlowFirstStepDoesNotCountForTheTimeLeft() {
    ProgressLine progress = line(false, 1, 1000);
    progress.start();
    for (int step = 1; step <= 20; step++) {
      now += step == 1 ? 9 * SECOND : SECOND / 10;
      progress.step(1, step, 0.5, 1);
    }
    assertTrue(lines().getLast().contains("step 11/1,000") && lines().getLast().endsWith("ETA 1m39s"), lines().getLast());
  }

  @Test
  void plainLinesComeAtMostEveryTenSecondsAndOncePerEpoch() {
    ProgressLine progress = line(false, 2, 250);
    progress.start();
    for (int epoch = 1; epoch <= 2; epoch++) {
      for (int step = 1; step <= 250; step++) {
        now += SECOND / 10;
        progress.step(epoch, step, 1, 10);
      }
      progress.epochDone(epoch, "test 90.0 %");
    }
    assertEquals(List.of("epoch 1/2  step 100", "epoch 1/2  step 200", "epoch 1/2  test 90.", "epoch 2/2  step 100", "epoch 2/2  step 200", "epoch 2/2  test 90."),
        lines().stream().map(l -> l.substring(0, 19)).toList());
  }

  @Test
  void aTerminalIsRedrawnAtMostTenTimesASecond() {
    ProgressLine progress = line(true, 1, 1000);
    progress.start();
    for (int step = 1; step <= 1000; step++) {
      now += SECOND / 1000;
      progress.step(1, step, 1, 1);
    }
    long redraws = out.toString(StandardCharsets.UTF_8).chars().filter(c -> c == '\r').count();
    assertTrue(redraws >= 10 && redraws <= 12, redraws + " redraws in one second");
  }

  @Test
  void aClockThatJumpsSpoilsNeitherSpeedNorTimeLeftNorTheLines() {
    ProgressLine progress = line(false, 1, 1000);
    progress.start();
    for (int step = 1; step <= 60; step++) {
      now += step == 7 ? -400_000 * SECOND : step == 30 ? 90_000 * SECOND : SECOND;
      progress.step(1, step, 0.25, 100);
    }
    assertEquals(100, progress.imagesPerSecond(), 1e-9);
    assertTrue(lines().getLast().endsWith("ETA " + ProgressLine.duration(1000 - Integer.parseInt(
        lines().getLast().replaceAll(".*step (\\d+)/.*", "$1")))), lines().getLast());
    assertTrue(lines().size() >= 4, "lines went on after the jump: " + lines());
  }

  @Test
  void withoutAStartTheFirstStepIsShownWithoutASpeed() {
    ProgressLine progress = line(true, 1, 10);
    progress.step(1, 1, Double.NaN, 8);
    assertEquals("\repoch 1/1  step 1/10  loss NaN\u001b[K", out.toString(StandardCharsets.UTF_8));
  }

  @Test
  void durationsUseTheTwoLargestUnits() {
    assertEquals("0s", ProgressLine.duration(-3));
    assertEquals("1m00s", ProgressLine.duration(59.7));
    assertEquals("59m59s", ProgressLine.duration(3599));
    assertEquals("1h00m", ProgressLine.duration(3600));
    assertEquals("23h59m", ProgressLine.duration(86_399));
    assertEquals("1d00h", ProgressLine.duration(86_400));
    assertEquals("2d03h", ProgressLine.duration(51 * 3600 + 100));
  }

  @Test
  void aRunOfNoStepsIsRefused() {
    assertThrows(IllegalArgumentException.class, () -> line(true, 1, 0));
  }
}
