package onebit.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import java.util.Random;
import java.util.function.ToDoubleFunction;
import onebit.tensor.Bfloat16;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.function.Executable;

/**
 * Fresh random inputs for a contract test, destinations that hold garbage, and comparisons in double.
 *
 * <p>On a backend whose activations are bfloat16, images are of that type, random values are drawn from it, so that a reference starts from what
 * the op sees, and an image may be off by half a step of it, 1/256 of the wanted value, beside the test's tolerance.
 */
public final class Fresh {
  /** Images on both sides of a word and of a piece of work, with one pixel, one channel and one image among them. */
  public static final Shape[] IMAGES = {Shape.image(1, 1, 1, 1), Shape.image(2, 1, 1, 3), Shape.image(2, 3, 5, 31), Shape.image(3, 2, 2, 32),
      Shape.image(2, 4, 3, 33), Shape.image(1, 5, 5, 64), Shape.image(4, 1, 1, 100), Shape.image(3, 3, 1, 1)};
  /** Filters, some of one tap and of one channel. */
  public static final Shape[] FILTERS = {Shape.filters(3, 3, 3, 1), Shape.filters(2, 1, 1, 31), Shape.filters(1, 3, 3, 4), Shape.filters(5, 1, 1, 32),
      Shape.filters(2, 3, 3, 7), Shape.filters(3, 1, 1, 100), Shape.filters(2, 2, 3, 11)};

  /** What destinations hold before; a bfloat16 has it too. */
  public static final float GARBAGE = 0x1p30f;

  private final Backend backend;
  private final Random random;
  private final boolean rounds;

  public Fresh(Backend backend, long seed) {
    this(backend, seed, backend.activations() == ElementType.BFLOAT16);
  }

  /** Draws values that bfloat16 holds, or any; for references on another backend. */
  public Fresh(Backend backend, long seed, boolean rounds) {
    this.backend = backend;
    this.random = new Random(seed);
    this.rounds = rounds;
  }

  public Random random() {
    return random;
  }

  /** Standard normal values. */
  public float[] normal(int n) {
    float[] x = new float[n];
    for (int i = 0; i < n; i++) x[i] = rounded((float) random.nextGaussian());
    return x;
  }

  /** What an activation of this value holds. */
  public float rounded(float value) {
    return rounds ? Bfloat16.round(value) : value;
  }

  public float[] rounded(float[] values) {
    float[] all = new float[values.length];
    for (int i = 0; i < all.length; i++) all[i] = rounded(values[i]);
    return all;
  }

  public float[] uniform(int n, double low, double high) {
    float[] x = new float[n];
    for (int i = 0; i < n; i++) x[i] = rounded((float) random.nextDouble(low, high));
    return x;
  }

  public Tensor tensor(Shape shape, float... values) {
    Tensor t = create(shape);
    backend.write(t, values);
    return t;
  }

  private Tensor create(Shape shape) {
    return shape.rank() == 4 ? backend.create(shape, backend.activations()) : backend.create(shape);
  }

  /** One pixel with so many channels. */
  public Tensor pixel(float... values) {
    return tensor(Shape.image(1, 1, 1, values.length), values);
  }

  public Tensor garbagePixel(int n) {
    return garbage(Shape.image(1, 1, 1, n));
  }

  /** Values that are no activations: parameters, statistics, sums. */
  public Tensor vector(float... values) {
    return tensor(Shape.vector(values.length), values);
  }

  /** A destination that holds what must be overwritten. */
  public Tensor garbage(Shape shape) {
    Tensor t = create(shape);
    backend.fill(t, GARBAGE);
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
    double step = got.type() == ElementType.BFLOAT16 ? 1.0 / 256 : 0;
    for (int i = 0; i < want.length; i++) {
      int at = i;
      assertEquals(want[i], values[i], relative * (largest + 1e-3) + step * Math.abs(want[i]), () -> name + " at " + at);
    }
  }

  public void assertExactly(String name, float[] want, Tensor got) {
    assertArrayEquals(got.type() == ElementType.BFLOAT16 ? rounded(want) : want, backend.read(got), name);
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
