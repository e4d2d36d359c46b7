package onebit.ops;

import com.google.common.primitives.Floats;
import java.util.Arrays;
import java.util.List;

/** What makes a value of a byte of an image: (byte / 255 - mean) / deviation of its channel; equal numbers make equal scales. */
public record PixelScale(float[] mean, float[] deviation) {
  public PixelScale(List<Double> mean, List<Double> deviation) {
    this(Floats.toArray(mean), Floats.toArray(deviation));
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof PixelScale scale && Arrays.equals(mean, scale.mean) && Arrays.equals(deviation, scale.deviation);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(mean) + Arrays.hashCode(deviation);
  }

  @Override
  public String toString() {
    return "mean " + Arrays.toString(mean) + ", deviation " + Arrays.toString(deviation);
  }
}
