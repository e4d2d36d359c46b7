package onebit.dist;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

class ScalingModelTest {
  private static ScalingModel.Point point(ScalingModel model, int ranks, double compute, long bytes, int buckets) {
    return new ScalingModel.Point(ranks, compute, model.step(ranks, compute, bytes, buckets), model.reduce(ranks, bytes, buckets), bytes, buckets);
  }

  @Test
  void theFitFindsTheModelThatMadeThePoints() {
    ScalingModel made = new ScalingModel(2e-3, 1e9, 0.5);
    ScalingModel found = ScalingModel.fit(List.of(point(made, 1, 0.1, 80_000_000, 5), point(made, 2, 0.11, 80_000_000, 5), point(made, 4, 0.13, 80_000_000, 5)));
    assertEquals(made.latency(), found.latency(), 1e-6);
    assertEquals(made.bandwidth(), found.bandwidth(), 1e3);
    assertEquals(made.overlap(), found.overlap(), 0.011);
    assertEquals(0, found.error(List.of(point(made, 2, 0.11, 80_000_000, 5), point(made, 4, 0.13, 80_000_000, 5))), 1e-3);
  }

  /** 80 MB at 1 GB/s between two: 0.08 s, of which the last of 5 buckets hides behind nothing; half of the backward of 0.15 s hides 0.05 s. */
  @Test
  void theErrorIsTheShareByWhichStepsDiffer() {
    ScalingModel half = new ScalingModel(0, 1e9, 0.5);
    List<ScalingModel.Point> measured = List.of(new ScalingModel.Point(1, 9, 9, 0, 80_000_000, 5), new ScalingModel.Point(2, 0.15, 0.18, 0.08, 80_000_000, 5));
    assertEquals(0, half.error(measured), 1e-12);
    assertEquals(0.23 / 0.18 - 1, half.hiding(0).error(measured), 1e-12);
    assertEquals(1 - 0.166 / 0.18, half.hiding(1).error(measured), 1e-12);
  }

  /** 46.8 MB on 8 GPUs at 475 GB/s: performance.md's 0.17 ms. */
  @Test
  void theModelGivesThePublishedCostOfResNet18() {
    ScalingModel node = new ScalingModel(0, 475e9, 0);
    assertEquals(0.172e-3, node.reduce(8, 46_800_000, 1), 0.001e-3);
    assertEquals(18.15e-3, node.step(1, 18.15e-3, 46_800_000, 1));
    assertEquals(1.87e-3, new ScalingModel(0, 50e9, 0).reduce(10_000, 46_800_000, 1), 0.01e-3);
  }

  @Test
  void theLastBucketHidesBehindNothing() {
    ScalingModel all = new ScalingModel(0, 1e9, 1);
    assertEquals(1 + all.reduce(2, 4_000_000, 4) / 4, all.step(2, 1, 4_000_000, 4), 1e-12);
  }

  @Test
  void anOverlapThatThePointsDoNotTellIsNotGiven() {
    ScalingModel made = new ScalingModel(2e-3, 1e9, 0.5);
    assertNull(made.overlapUnknown(List.of(point(made, 1, 0.1, 80_000_000, 5), point(made, 2, 0.11, 80_000_000, 5))));
    assertTrue(made.overlapUnknown(List.of(point(made, 1, 0.1, 80_000_000, 1), point(made, 2, 0.11, 80_000_000, 1))).contains("one bucket"));
    assertTrue(made.overlapUnknown(List.of(new ScalingModel.Point(2, 0.65, 0.79, 0.036, 18_700_000, 4))).contains("share cores"));
    assertTrue(made.overlapUnknown(List.of(point(made, 2, 10, 80_000_000, 5))).contains("0.7 %"));
  }

  @Test
  void oneProcessIsTooFew() {
    assertThrows(IllegalArgumentException.class, () -> ScalingModel.fit(List.of(new ScalingModel.Point(1, 1, 1, 0, 4, 1))));
  }
}
