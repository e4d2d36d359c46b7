package onebit.train;

/**
 * Finds losses far above the recent ones, by their distance from the recent mean in standard deviations.
 *
 * <pre>
 * Units    limit in standard deviations; 0 finds nothing. The last 128 losses count, at least 32, and a spike does not count among them
 * Source   the z-score guard of llm.c
 * </pre>
 */
final class SpikeGuard {
  private static final int WINDOW = 128, LEAST = 32;

  private final double limit;
  private final double[] recent = new double[WINDOW];
  private int seen;

  SpikeGuard(double limit) {
    this.limit = limit;
  }

  /** The loss's distance in standard deviations if it is a spike, else 0; a finite loss only. */
  double spike(double loss) {
    int count = Math.min(seen, WINDOW);
    if (limit > 0 && count >= LEAST) {
      double mean = 0, square = 0;
      for (int i = 0; i < count; i++) mean += recent[i] / count;
      for (int i = 0; i < count; i++) square += (recent[i] - mean) * (recent[i] - mean) / count;
      double distance = (loss - mean) / Math.max(Math.sqrt(square), 1e-12);
      if (distance > limit) return distance;
    }
    recent[seen++ % WINDOW] = loss;
    return 0;
  }
}
