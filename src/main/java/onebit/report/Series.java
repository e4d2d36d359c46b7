package onebit.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * One named number over the steps of a run; a value that was not a finite number is NaN, a gap in the curve.
 *
 * <pre>
 * Units    steps counted from the start of the run; epochs as recorded, NaN where they were not
 * </pre>
 */
record Series(String name, double[] steps, double[] epochs, double[] values) {
  /** What a reader sees instead of the names in metrics.jsonl. */
  private static final Map<String, String> WORDS = Map.ofEntries(Map.entry("loss", "training loss"), Map.entry("testLoss", "test loss"), Map.entry("trainTop1", "training top-1, %"),
      Map.entry("testTop1", "test top-1, %"), Map.entry("testTop5", "test top-5, %"), Map.entry("testMap", "test mean average precision, %"),
      Map.entry("testMapOfArea", "the same as an area, %"), Map.entry("gradientNorm", "mean length of the gradient"), Map.entry("largestGradientNorm", "largest"),
      Map.entry("clippedSteps", "steps whose gradient was cut"), Map.entry("learningRate", "learning rate"), Map.entry("imagesPerSecond", "images per second"),
      Map.entry("loaderStallShare", "share of time that training waited for data"), Map.entry("skippedSteps", "skipped steps"),
      Map.entry("longestSnapshotMillis", "longest copy for a checkpoint, ms"), Map.entry("longestCheckpointWaitMillis", "longest wait for a checkpoint, ms"));

  /** The numbers called {@code name} in {@code records}, by their words for readers; records that do not have that name are left out. */
  static Series of(String name, List<Map<String, Object>> records) {
    List<Map<String, Object>> having = new ArrayList<>();
    for (Map<String, Object> record : records) {
      Object value = record.get(name);
      if (value instanceof Number || value == null && record.containsKey(name)) {
        having.add(record);
      }
    }
    return new Series(WORDS.getOrDefault(name, name), numbers("step", having), numbers("epoch", having), numbers(name, having));
  }

  private static double[] numbers(String name, List<Map<String, Object>> records) {
    return records.stream().mapToDouble(r -> {
      double value = r.get(name) instanceof Number number ? number.doubleValue() : Double.NaN;
      return Double.isFinite(value) ? value : Double.NaN;
    }).toArray();
  }

  /** Number of values, gaps included. */
  int size() {
    return values.length;
  }

  /** True where at least one value is finite. */
  boolean hasValues() {
    return indexOf(true) >= 0;
  }

  /** The last finite value, or NaN. */
  double last() {
    for (int i = size() - 1; i >= 0; i--) {
      if (!Double.isNaN(values[i])) {
        return values[i];
      }
    }
    return Double.NaN;
  }

  /** The first finite value, or NaN. */
  double first() {
    for (double value : values) {
      if (!Double.isNaN(value)) {
        return value;
      }
    }
    return Double.NaN;
  }

  /** Index of the first smallest ({@code lowest}) or largest value, or -1. */
  int indexOf(boolean lowest) {
    int best = -1;
    for (int i = 0; i < size(); i++) {
      boolean better = best < 0 || (lowest ? values[i] < values[best] : values[i] > values[best]);
      if (!Double.isNaN(values[i]) && better) {
        best = i;
      }
    }
    return best;
  }

  /** At most about {@code most} points that keep every peak: the first, lowest and highest of each stretch, and the gaps. */
  Series thinned(int most) {
    if (size() <= most) {
      return this;
    }
    int stretch = Math.ceilDiv(size() * 4, most);
    List<Integer> kept = new ArrayList<>();
    for (int from = 0; from < size(); from += stretch) {
      int to = Math.min(from + stretch, size());
      int low = from;
      int high = from;
      int gap = -1;
      for (int i = from; i < to; i++) {
        low = Double.isNaN(values[low]) || values[i] < values[low] ? i : low;
        high = Double.isNaN(values[high]) || values[i] > values[high] ? i : high;
        gap = Double.isNaN(values[i]) ? i : gap;
      }
      kept.add(from);
      kept.add(low);
      kept.add(high);
      if (gap >= 0) {
        kept.add(gap);
      }
    }
    kept.add(size() - 1);
    int[] at = kept.stream().mapToInt(Integer::intValue).sorted().distinct().toArray();
    return new Series(name, pick(steps, at), pick(epochs, at), pick(values, at));
  }

  private static double[] pick(double[] from, int[] at) {
    double[] picked = new double[at.length];
    for (int i = 0; i < at.length; i++) {
      picked[i] = from[at[i]];
    }
    return picked;
  }
}
