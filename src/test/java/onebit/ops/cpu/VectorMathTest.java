package onebit.ops.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import onebit.ops.Backend;
import onebit.ops.PointOps.Activation;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;
import org.junit.jupiter.api.Test;

/** A value's bits are its own: they depend neither on its place among others nor on what Java has compiled, which a resumed run has not. */
class VectorMathTest {
  private static float[] tanh(Backend backend, float... values) {
    Tensor x = backend.create(Shape.vector(values.length)), y = backend.create(x.shape());
    backend.write(x, values);
    backend.point().activate(y, x, Activation.TANH);
    return backend.read(y);
  }

  private static float[] drawn() {
    float[] values = new float[4096];
    SplittableRandom random = new SplittableRandom(1);
    for (int i = 0; i < values.length; i++) values[i] = (float) Math.scalb(random.nextGaussian(), random.nextInt(-20, 4));
    return values;
  }

  @Test
  void tanhHasTheSameBitsAloneAndAmongOthersBeforeAndAfterItIsCompiled() {
    try (Backend backend = new CpuBackend()) {
      float[] values = drawn(), first = tanh(backend, values), last = first;
      for (int i = 0; i < 2000; i++) last = tanh(backend, values);
      assertArrayEquals(first, last);
      for (int i = 0; i < values.length; i++) assertEquals(tanh(backend, values[i])[0], last[i], "tanh of " + values[i]);
    }
  }

  @Test
  void tanhIsWithinOneUlpOfThatOfJavaInDoubles() {
    float[] all = drawn();
    System.arraycopy(new float[] {0, Float.NaN, Float.POSITIVE_INFINITY, -1e30f, 9.01f, -9.02f, Float.MIN_VALUE, -Float.MIN_NORMAL}, 0, all, 0, 8);
    float[] found = new float[all.length];
    PlainMath.tanh(found, all, 0, all.length);
    for (int i = 0; i < all.length; i++) {
      float wanted = (float) Math.tanh(all[i]);
      assertTrue(Math.abs(wanted - found[i]) <= Math.ulp(wanted) || Float.isNaN(wanted) && Float.isNaN(found[i]), "tanh of " + all[i] + " is " + wanted + ", found " + found[i]);
    }
  }
}
