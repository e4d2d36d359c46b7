package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class SpikeGuardTest {
  private static SpikeGuard afterQuietLosses(double limit, int count) {
    SpikeGuard guard = new SpikeGuard(limit);
    SplittableRandom random = new SplittableRandom(1);
    for (int i = 0; i < count; i++) assertEquals(0, guard.spike(2 + 0.1 * random.nextGaussian()), "a quiet loss");
    return guard;
  }

  @Test
  void aLossFarAboveTheRecentOnesIsFoundAndDoesNotMakeTheNextOneNormal() {
    SpikeGuard guard = afterQuietLosses(8, 200);
    for (int i = 0; i < 3; i++) assertTrue(guard.spike(4) > 15, "20 standard deviations");
    assertEquals(0, guard.spike(2.1));
  }

  /** 1 and 3 in turn: mean 2, standard deviation 1. */
  private static SpikeGuard afterSteadyLosses(double limit, int count) {
    SpikeGuard guard = new SpikeGuard(limit);
    for (int i = 0; i < count; i++) assertEquals(0, guard.spike(1 + 2 * (i % 2)));
    return guard;
  }

  @Test
  void theDistanceIsInStandardDeviationsAndTheLimitItselfIsNoSpike() {
    assertEquals(9.5, afterSteadyLosses(8, 64).spike(11.5), 1e-9);
    assertEquals(0, afterSteadyLosses(8, 64).spike(9.999));
    assertEquals(8.001, afterSteadyLosses(8, 32).spike(10.001), 1e-9, "a history of 32 is enough");
  }

  @Test
  void onlyTheLastLossesCount() {
    SpikeGuard guard = new SpikeGuard(8);
    for (int i = 0; i < 1000; i++) guard.spike(1000.0 * (i % 2));
    for (int i = 0; i < 400; i++) guard.spike(1 + 2 * (i % 2));
    assertEquals(9, guard.spike(11), 1e-9);
  }

  @Test
  void itGoesOnWhereTheOneWasThatWroteIt() {
    for (int count : new int[] {0, 31, 40, 1001}) {
      SpikeGuard before = afterSteadyLosses(8, count), after = new SpikeGuard(8);
      after.read(before.write());
      assertEquals(before.write(), after.write());
      for (double loss : new double[] {2.5, 2, 40, 2.2, 11}) assertEquals(before.spike(loss), after.spike(loss), "behind " + count);
      assertEquals(before.write(), after.write());
    }
    SpikeGuard fresh = new SpikeGuard(8);
    fresh.read("");
    assertEquals("0", fresh.write());
    for (String damaged : new String[] {"3 1.0 2.0", "1 1.0 2.0", "x", "1 y"}) assertThrows(NumberFormatException.class, () -> new SpikeGuard(8).read(damaged), damaged);
  }

  @Test
  void aFallIsNoSpikeNorIsAnythingBeforeThereIsAHistory() {
    assertEquals(0, afterQuietLosses(8, 200).spike(0.1));
    assertEquals(0, afterQuietLosses(8, 31).spike(100));
    assertEquals(0, afterQuietLosses(0, 200).spike(100));
  }
}
