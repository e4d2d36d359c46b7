package onebit.optim;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import onebit.optim.Schedule.Per;
import onebit.optim.Schedule.Shape;
import org.junit.jupiter.api.Test;

class ScheduleTest {
  private static Schedule cosine(double rate, int epochs, int warmup, int start) {
    return new Schedule(Shape.COSINE, Per.EPOCH, rate, epochs, warmup, List.of(), 0.1, start);
  }

  /** torch.optim.lr_scheduler.CosineAnnealingLR of torch 1.11: the recursive form, driven like BiPer's main loop; index = epoch. */
  private static double[] torchRecursion(double base, int epochs, boolean warmUp, int startEpoch) {
    int period = epochs - (warmUp ? 4 : 0);
    double[] used = new double[epochs];
    int last = startEpoch + 1;
    double rate = last == 0 ? base : base * (1 + Math.cos(Math.PI * last / period)) / (1 + Math.cos(Math.PI * (last - 1) / period));
    for (int epoch = startEpoch + 1; epoch < epochs; epoch++) {
      if (warmUp && epoch < 5) rate = base * (epoch + 1) / 5;
      used[epoch] = rate;
      if (epoch >= (warmUp ? 4 : 0)) {
        last++;
        rate = rate * (1 + Math.cos(Math.PI * last / period)) / (1 + Math.cos(Math.PI * (last - 1) / period));
      }
    }
    return used;
  }

  @Test
  void cosinePerEpochOfAdaBinStartsAtTheRateAndHalvesInTheMiddle() {
    Schedule schedule = cosine(0.1, 400, 0, 0);
    assertEquals(0.1, schedule.learningRate(0, 17, 391), 1e-15);
    assertEquals(0.0853553390593274, schedule.learningRate(100, 0, 391), 1e-15);
    assertEquals(0.05, schedule.learningRate(200, 390, 391), 1e-15);
    assertEquals(1.5421177e-6, schedule.learningRate(399, 0, 391), 1e-12);
  }

  @Test
  void stageOneOfBiPerEqualsTheAuthorsLoop() {
    double[] torch = torchRecursion(0.021, 600, true, -1);
    Schedule schedule = cosine(0.021, 600, 5, 0);
    for (int e = 0; e < 600; e++) assertEquals(torch[e], schedule.learningRate(e, 0, 196), 1e-12, "epoch " + e);
    assertEquals(0.0042, schedule.learningRate(0, 0, 196), 1e-15);
    assertEquals(0.0105, schedule.learningRate(302, 0, 196), 1e-12);
  }

  @Test
  void stageTwoOfBiPerEqualsTheAuthorsLoopAndEndsAtZero() {
    double[] torch = torchRecursion(0.0037, 300, true, 0);
    Schedule schedule = cosine(0.0037, 300, 5, 1);
    for (int e = 1; e < 300; e++) assertEquals(torch[e], schedule.learningRate(e, 0, 196), 1e-12, "epoch " + e);
    assertEquals(0.00148, schedule.learningRate(1, 0, 196), 1e-15);
    assertEquals(0, schedule.learningRate(299, 0, 196), 1e-15);
  }

  @Test
  void stageTwoOfBiPerOnImageNetIsThePlainCosineFromEpochOne() {
    double[] torch = torchRecursion(0.01, 100, false, 0);
    Schedule schedule = cosine(0.01, 100, 0, 0);
    for (int e = 1; e < 100; e++) assertEquals(torch[e], schedule.learningRate(e, 0, 2503), 1e-12, "epoch " + e);
  }

  @Test
  void rbnnEndsFiveStepsBeforeZero() {
    Schedule schedule = cosine(0.1, 1000, 5, -4);
    double[] warmUp = {0.02, 0.04, 0.06, 0.08, 0.1};
    for (int e = 0; e < 5; e++) assertEquals(warmUp[e], schedule.learningRate(e, 3, 196), 1e-15);
    assertEquals(0.1, schedule.learningRate(8, 0, 196), 1e-15);
    assertEquals(schedule.learningRate(7, 0, 196), schedule.learningRate(9, 0, 196), 1e-15);
    assertEquals(0.05, schedule.learningRate(8 + 498, 0, 196), 1e-12);
    assertEquals(0.1 * 6.2e-5, schedule.learningRate(999, 0, 196), 0.1 * 0.05e-5);
  }

  @Test
  void cosinePerIterationOfBmxnetWarmsUpFromZeroAndReachesNearlyZero() {
    Schedule schedule = new Schedule(Shape.COSINE, Per.ITERATION, 0.02, 150, 5, List.of(), 0.1, 0);
    assertEquals(0, schedule.learningRate(0, 0, 390), 0);
    assertEquals(0.02 / 1950, schedule.learningRate(0, 1, 390), 1e-15);
    assertEquals(0.01, schedule.learningRate(2, 195, 390), 1e-15);
    assertEquals(0.02, schedule.learningRate(5, 0, 390), 1e-15);
    assertEquals(0.01, schedule.learningRate(77, 195, 390), 1e-15);
    assertEquals(1.5e-11, schedule.learningRate(149, 389, 390), 0.1e-11);
  }

  @Test
  void cosinePerIterationWithoutWarmUpFallsWithinAnEpoch() {
    Schedule schedule = new Schedule(Shape.COSINE, Per.ITERATION, 2e-3, 120, 0, List.of(), 0.1, 0);
    assertEquals(2e-3, schedule.learningRate(0, 0, 5005), 0);
    assertEquals(1e-3 * (1 + Math.cos(Math.PI / 240)), schedule.learningRate(0, 5, 10), 1e-15);
    assertTrue(schedule.learningRate(0, 5004, 5005) < schedule.learningRate(0, 5003, 5005));
  }

  @Test
  void stepsMultiplyFromTheMilestoneOn() {
    Schedule schedule = new Schedule(Shape.STEP, Per.EPOCH, 0.01, 150, 0, List.of(75, 100, 125), 0.3, 0);
    assertEquals(0.01, schedule.learningRate(74, 389, 390), 1e-15);
    assertEquals(0.003, schedule.learningRate(75, 0, 390), 1e-15);
    assertEquals(0.0009, schedule.learningRate(124, 0, 390), 1e-15);
    assertEquals(0.00027, schedule.learningRate(149, 0, 390), 1e-15);
  }

  @Test
  void linearFallsByEqualAmounts() {
    Schedule schedule = new Schedule(Shape.LINEAR, Per.EPOCH, 2.5e-3, 128, 0, List.of(), 0.1, 0);
    assertEquals(2.5e-3, schedule.learningRate(0, 0, 10), 1e-15);
    assertEquals(1.25e-3, schedule.learningRate(64, 0, 10), 1e-15);
    assertEquals(2.5e-3 / 128, schedule.learningRate(127, 0, 10), 1e-15);
  }

  @Test
  void linearFallsFromTheEndOfItsWarmUp() {
    Schedule epochs = new Schedule(Shape.LINEAR, Per.EPOCH, 0.6, 10, 5, List.of(), 0.1, 0);
    double[] byEpoch = {0.12, 0.24, 0.36, 0.48, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1};
    for (int e = 0; e < 10; e++) assertEquals(byEpoch[e], epochs.learningRate(e, 7, 100), 1e-15, "epoch " + e);
    Schedule iterations = new Schedule(Shape.LINEAR, Per.ITERATION, 0.8, 10, 2, List.of(), 0.1, 0);
    assertEquals(0.4, iterations.learningRate(1, 0, 100), 1e-15);
    assertEquals(0.8, iterations.learningRate(2, 0, 100), 1e-15);
    assertEquals(0.2, iterations.learningRate(8, 0, 100), 1e-15);
    assertEquals(0.001, iterations.learningRate(9, 99, 100), 1e-15);
  }

  @Test
  void constantStaysAndWarmsUp() {
    Schedule schedule = new Schedule(Shape.CONSTANT, Per.EPOCH, 1e-3, 10, 2, List.of(), 0.1, 0);
    assertEquals(5e-4, schedule.learningRate(0, 0, 600), 1e-18);
    assertEquals(1e-3, schedule.learningRate(9, 599, 600), 1e-18);
  }

  @Test
  void aRunShorterThanItsWarmUpOnlyWarmsUp() {
    Schedule schedule = cosine(0.1, 3, 5, -4);
    assertEquals(0.06, schedule.learningRate(2, 0, 10), 1e-15);
  }

  @Test
  void nonsenseIsRefusedInWords() {
    var rising = assertThrows(IllegalArgumentException.class, () -> new Schedule(Shape.STEP, Per.EPOCH, 0.1, 10, 0, List.of(5, 5), 0.1, 0));
    assertEquals("schedule: milestones are [5, 5]; they must be >= 1 and rise", rising.getMessage());
    assertThrows(IllegalArgumentException.class, () -> new Schedule(Shape.STEP, Per.EPOCH, 0.1, 10, 0, List.of(), 0.1, 0));
    assertThrows(IllegalArgumentException.class, () -> new Schedule(Shape.COSINE, Per.EPOCH, 0.1, 10, 0, List.of(5), 0.1, 0));
    assertThrows(IllegalArgumentException.class, () -> new Schedule(Shape.COSINE, Per.ITERATION, 0.1, 10, 5, List.of(), 0.1, 1));
    assertThrows(IllegalArgumentException.class, () -> cosine(Double.NaN, 10, 0, 0));
    assertThrows(IllegalArgumentException.class, () -> cosine(0.1, 10, -1, 0));
    assertThrows(IllegalArgumentException.class, () -> cosine(0.1, 10, 0, 0).learningRate(0, 10, 10));
  }
}
