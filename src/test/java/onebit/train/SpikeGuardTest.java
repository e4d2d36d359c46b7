package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
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

  @Test
  void aFallIsNoSpikeNorIsAnythingBeforeThereIsAHistory() {
    assertEquals(0, afterQuietLosses(8, 200).spike(0.1));
    assertEquals(0, afterQuietLosses(8, 31).spike(100));
    assertEquals(0, afterQuietLosses(0, 200).spike(100));
  }
}
