package onebit.ops.cpu;

import onebit.tensor.BinarySet;
import onebit.tensor.Float8;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * What float8 leaves of the gradient at a binary convolution's result.
 *
 * <pre>
 * Twin  kernels/float8_round.cu
 * </pre>
 */
final class Float8Gradients {
  private static final int GRAIN = 1 << 15;

  private float[] from, to, distance;
  private byte[] codes;
  private float scale, back;
  private int filters, each;
  private float[] room = new float[0];

  /** The values that the codes of gradY hold, after the codes are written; valid until the next call. */
  Tensor rounded(Tensor codesOf, Tensor gradY, BinarySet wSet, int count) {
    int n = gradY.size();
    if (room.length < n) room = new float[n];
    from = gradY.floats();
    to = room;
    codes = codesOf.bytes();
    distance = wSet.distance().floats();
    filters = count;
    each = wSet.count() == 1 ? 0 : 1;
    int k = Float8.exponent(peak(n));
    scale = Math.scalb(1f, k);
    back = Math.scalb(1f, -k);
    CpuThreads.range(n, GRAIN, this, Float8Gradients::round);
    return new Tensor(Shape.vector(n), gradY.type(), room);
  }

  /** The distance of the filter that value i is at, 1 where that is 0: what is multiplied before the rounding. */
  private float fold(int i) {
    float d = distance[i % filters * each];
    return d == 0 ? 1 : d;
  }

  /** The largest size; what is not finite is larger than everything. */
  private float peak(int n) {
    int peak = 0;
    for (int i = 0; i < n; i++) peak = Math.max(peak, Float.floatToRawIntBits(from[i] * fold(i)) & 0x7fffffff);
    return Float.intBitsToFloat(peak);
  }

  private void round(int begin, int end) {
    for (int i = begin; i < end; i++) {
      float fold = fold(i);
      codes[i] = Float8.of(from[i] * fold * scale);
      to[i] = Float8.value(codes[i]) * back / fold;
    }
  }
}
