package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import onebit.data.BadImageException;
import onebit.data.Dataset;
import onebit.data.Datasets;
import onebit.data.Split;
import onebit.ops.Backend;
import onebit.ops.cpu.CpuBackend;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;

class FeedMeasurementTest {
  private static final long SLOW_NANOS = 50_000_000;
  /** So many that the three batches which lie ready, should the steps begin late, make them a fifth faster at most. */
  private static final int STEPS = 20;

  /** Seven drawn digits, each of which takes its time; the last cannot be decoded. */
  private record SlowDigits(Dataset digits) implements Dataset {
    @Override public String name() {
      return "slow digits";
    }

    @Override public int size() {
      return 7;
    }

    @Override public int height() {
      return digits.height();
    }

    @Override public int width() {
      return digits.width();
    }

    @Override public int channels() {
      return digits.channels();
    }

    @Override public int classes() {
      return digits.classes();
    }

    @Override public int label(int index) {
      return digits.label(index);
    }

    @Override public void read(int index, byte[] into, int offset) throws IOException {
      LockSupport.parkNanos(SLOW_NANOS);
      if (index == 6) throw new BadImageException("the seventh is damaged");
      digits.read(index, into, offset);
    }
  }

  @Test
  void stepsThatWaitForASlowLoaderAreAsSlowAsItAndTheWaitIsCounted() throws IOException {
    Recipes recipes = new Recipes();
    Recipe recipe = recipes.load("default", List.of("data.batch=4", "data.workers=2"));
    FeedMeasurement m;
    try (Backend backend = new CpuBackend()) {
      m = FeedMeasurement.of(recipe, new SlowDigits(Datasets.open("glyphs", null, Split.TRAIN)), backend, new FeedMeasurement.Plan(1, 2, STEPS, 0.05));
    }
    assertTrue(m.loader() < 2.5e9 / SLOW_NANOS && m.fed() < 2.5e9 / SLOW_NANOS, "two threads cannot make more than 40 images/s: " + m);
    assertTrue(m.stallShare() >= 0 && m.stallShare() <= 1, m.toString());
    // on a machine too busy to step twice as fast as the loader reads, nothing need wait
    if (m.copied() > 2 * 2e9 / SLOW_NANOS) assertTrue(m.fed() < m.copied() && m.stallShare() > 0.3, "the loader is what holds the steps up: " + m);
    assertEquals(7, m.images());
    assertTrue(!m.rise().steady() && m.rise().seconds() >= 0.05, "a twentieth of a second cannot show that the loader rises no more: " + m);
    assertTrue(m.bad() > 0, "the seventh digit was replaced and nobody counted it");
  }
}
