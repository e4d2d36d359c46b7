package onebit.dist;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import onebit.tensor.Bfloat16;
import onebit.tensor.ElementType;

/**
 * The mean of what all ranks sent of one slice, summed in the order of the ranks, and how values travel.
 *
 * <pre>
 * mean[i] = float((sum over r = 0, 1, ... of double(part r [i])) / ranks): one order, so the same bits in every run
 * Encoding  float32, or bfloat16: the high half of a float32 rounded to nearest, ties to even; NaN stays NaN
 * </pre>
 */
final class RankOrderMean {
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

  private RankOrderMean() {}

  /** Writes the mean of the parts of a segment, each of count values, as the values travel. */
  static void mean(MemorySegment mean, MemorySegment parts, int ranks, int count, ElementType type) {
    if (type == ElementType.FLOAT32) {
      for (int i = 0; i < count; i++) {
        double sum = 0;
        for (int r = 0; r < ranks; r++) sum += parts.get(FLOAT, 4L * ((long) r * count + i));
        mean.set(FLOAT, 4L * i, (float) (sum / ranks));
      }
    } else {
      for (int i = 0; i < count; i++) {
        double sum = 0;
        for (int r = 0; r < ranks; r++) sum += Bfloat16.value(parts.get(SHORT, 2L * ((long) r * count + i)));
        mean.set(SHORT, 2L * i, Bfloat16.of((float) (sum / ranks)));
      }
    }
  }

  /** Copies values into a segment from its element at on. */
  static void send(MemorySegment to, long at, float[] values, int from, int count, ElementType type) {
    if (type == ElementType.FLOAT32) MemorySegment.copy(values, from, to, FLOAT, 4 * at, count);
    else for (int i = 0; i < count; i++) to.set(SHORT, 2 * (at + i), Bfloat16.of(values[from + i]));
  }

  /** Copies elements of a segment into values. */
  static void receive(float[] values, int to, int count, MemorySegment from, long at, ElementType type) {
    if (type == ElementType.FLOAT32) MemorySegment.copy(from, FLOAT, 4 * at, values, to, count);
    else for (int i = 0; i < count; i++) values[to + i] = Bfloat16.value(from.get(SHORT, 2 * (at + i)));
  }
}
