package onebit.layers;

import java.util.random.RandomGenerator;
import onebit.tensor.Shape;

/** First values of filters O,R,S,C or of a matrix [out][in]. */
@FunctionalInterface
public interface Init {
  float[] draw(Shape shape, RandomGenerator random);

  /** U(-1/sqrt(n), 1/sqrt(n)), n values per filter: PyTorch's default for convolutions and linear layers. */
  Init TORCH = (shape, random) -> uniform(shape.size(), 1 / Math.sqrt(shape.rowSize()), random);

  /** N(0, sqrt(2/n)), n values per filter: kaiming_normal_ of PyTorch, and MXNet's Xavier gaussian, fan-in, magnitude 2. */
  Init KAIMING = (shape, random) -> normal(shape.size(), Math.sqrt(2.0 / shape.rowSize()), random);

  /** N(0, sqrt(2/(R S O))): He et al. 2015, fan-out. */
  Init FAN_OUT = (shape, random) -> normal(shape.size(), Math.sqrt(2.0 / ((double) shape.d1() * shape.d2() * shape.d0())), random);

  /** N(0, sqrt(2/(m + n))), m and n values per filter and per channel: xavier_normal_ of PyTorch. */
  Init XAVIER_NORMAL = (shape, random) -> normal(shape.size(), Math.sqrt(2 / (shape.rowSize() + (double) shape.size() / shape.channels())), random);

  /** N(0, deviation). */
  static Init gaussian(double deviation) {
    return (shape, random) -> normal(shape.size(), deviation, random);
  }

  /** U(-a, a), a = sqrt(magnitude / mean of fan-in and fan-out): MXNet's Xavier with its defaults. */
  static Init xavier(double magnitude) {
    return (shape, random) -> {
      double fanIn = shape.rowSize(), fanOut = (double) shape.size() / shape.channels();
      return uniform(shape.size(), Math.sqrt(magnitude / ((fanIn + fanOut) / 2)), random);
    };
  }

  private static float[] uniform(int size, double bound, RandomGenerator random) {
    float[] values = new float[size];
    for (int i = 0; i < size; i++) values[i] = (float) ((2 * random.nextDouble() - 1) * bound);
    return values;
  }

  private static float[] normal(int size, double deviation, RandomGenerator random) {
    float[] values = new float[size];
    for (int i = 0; i < size; i++) values[i] = (float) (random.nextGaussian() * deviation);
    return values;
  }
}
