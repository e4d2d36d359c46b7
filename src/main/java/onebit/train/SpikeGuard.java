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
  private long seen;

  SpikeGuard(double limit) {
    this.limit = limit;
  }

  /** The loss's distance in standard deviations if it is a spike, else 0; a finite loss only. */
  double spike(double loss) {
    int count = (int) Math.min(seen, WINDOW);
    if (limit > 0 && count >= LEAST) {
      double mean = 0, square = 0;
      for (int i = 0; i < count; i++) mean += recent[i] / count;
      for (int i = 0; i < count; i++) square += (recent[i] - mean) * (recent[i] - mean) / count;
      double distance = (loss - mean) / Math.max(Math.sqrt(square), 1e-12);
      if (distance > limit) return distance;
    }
    recent[(int) (seen++ % WINDOW)] = loss;
    return 0;
  }

  /** How many losses were seen and the last of them, in the order they are kept in, for {@link #read}. */
  String write() {
    StringBuilder text = new StringBuilder(Long.toString(seen));
    for (int i = 0; i < Math.min(seen, WINDOW); i++) text.append(' ').append(recent[i]);
    return text.toString();
  }

  /**
   * Goes on where the guard that wrote this was.
   *
   * @throws NumberFormatException if it did not
   */
  void read(String text) {
    if (text.isEmpty()) return;
    String[] words = text.split(" ");
    long count = Long.parseLong(words[0]);
    if (words.length != 1 + Math.min(count, WINDOW)) throw new NumberFormatException(count + " losses in " + words.length + " words");
    for (int i = 1; i < words.length; i++) recent[i - 1] = Double.parseDouble(words[i]);
    seen = count;
  }
}
