package onebit.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import java.util.Random;
import java.util.function.ToDoubleFunction;
import onebit.tensor.BitTensor;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.function.Executable;

/** Fresh random inputs for a contract test, destinations that hold garbage, and comparisons in double. */
public final class Fresh {
  /** Images on both sides of a word and of a piece of work, with one pixel, one channel and one image among them. */
  public static final Shape[] IMAGES = {Shape.image(1, 1, 1, 1), Shape.image(2, 1, 1, 3), Shape.image(2, 3, 5, 31), Shape.image(3, 2, 2, 32),
      Shape.image(2, 4, 3, 33), Shape.image(1, 5, 5, 64), Shape.image(4, 1, 1, 100), Shape.image(3, 3, 1, 1)};
  /** Filters, some of one tap and of one channel. */
  public static final Shape[] FILTERS = {Shape.filters(3, 3, 3, 1), Shape.filters(2, 1, 1, 31), Shape.filters(1, 3, 3, 4), Shape.filters(5, 1, 1, 32),
      Shape.filters(2, 3, 3, 7), Shape.filters(3, 1, 1, 100), Shape.filters(2, 2, 3, 11)};

  private final Backend backend;
  private final Random random;

  public Fresh(Backend backend, long seed) {
    this.backend = backend;
    this.random = new Random(seed);
  }

  public Random random() {
    return random;
  }

  /** Standard normal values. */
  public float[] normal(int n) {
    float[] x = new float[n];
    for (int i = 0; i < n; i++) x[i] = (float) random.nextGaussian();
    return x;
  }

  public float[] uniform(int n, double low, double high) {
    float[] x = new float[n];
    for (int i = 0; i < n; i++) x[i] = (float) random.nextDouble(low, high);
    return x;
  }

  public Tensor tensor(Shape shape, float... values) {
    Tensor t = backend.create(shape);
    backend.write(t, values);
    return t;
  }

  public Tensor vector(float... values) {
    return tensor(Shape.vector(values.length), values);
  }

  /** A destination that holds what must be overwritten. */
  public Tensor garbage(Shape shape) {
    Tensor t = backend.create(shape);
    backend.fill(t, 1e9f);
    return t;
  }

  public Tensor garbage(int n) {
    return garbage(Shape.vector(n));
  }

  /** Bits with every word full of ones, as an earlier use may leave them. */
  public BitTensor garbageBits(int rows, int bits) {
    BitTensor t = backend.createBits(rows, bits);
    float[] ones = new float[rows * bits];
    Arrays.fill(ones, 1);
    backend.bits().pack(t, tensor(Shape.matrix(rows, bits), ones), 0);
    return t;
  }

  /** Requires every bit as wanted, and 0 past the end of each row. */
  public void assertBits(boolean[] want, BitTensor got) {
    long[] words = backend.read(got);
    for (int row = 0; row < got.rows(); row++) {
      for (int k = 0; k < got.words() * 64; k++) {
        boolean bit = (words[row * got.words() + k / 64] >>> (k % 64) & 1) != 0;
        assertEquals(k < got.bits() && want[row * got.bits() + k], bit, "row " + row + " bit " + k);
      }
    }
  }

  /** Requires values within 2e-5 of the largest wanted one. */
  public void assertClose(String name, double[] want, Tensor got) {
    assertClose(name, want, got, 2e-5);
  }

  public void assertClose(String name, double[] want, Tensor got, double relative) {
    float[] values = backend.read(got);
    assertEquals(want.length, values.length, name);
    double largest = 0;
    for (double v : want) largest = Math.max(largest, Math.abs(v));
    for (int i = 0; i < want.length; i++) assertEquals(want[i], values[i], relative * (largest + 1e-3), name + " at " + i);
  }

  public void assertExactly(String name, float[] want, Tensor got) {
    assertArrayEquals(want, backend.read(got), name);
  }

  public static double[] doubles(float[] x) {
    double[] y = new double[x.length];
    for (int i = 0; i < x.length; i++) y[i] = x[i];
    return y;
  }

  public static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) sum += a[i] * b[i];
    return sum;
  }

  public static double dot(double[] a, float[] b) {
    return dot(a, doubles(b));
  }

  /** The gradient of f at x by central differences. */
  public static double[] slopes(ToDoubleFunction<double[]> f, double[] x) {
    double[] gradient = new double[x.length], at = x.clone();
    double h = 1e-5;
    for (int i = 0; i < x.length; i++) {
      at[i] = x[i] + h;
      double above = f.applyAsDouble(at);
      at[i] = x[i] - h;
      gradient[i] = (above - f.applyAsDouble(at)) / (2 * h);
      at[i] = x[i];
    }
    return gradient;
  }

  /** Requires that an op refuses its arguments with exactly these words. */
  public static void assertRefused(String words, Executable op) {
    assertEquals(words, assertThrows(IllegalArgumentException.class, op).getMessage());
  }
}
