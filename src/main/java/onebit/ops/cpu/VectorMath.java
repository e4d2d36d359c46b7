package onebit.ops.cpu;

import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * Functions of many values at once with the Vector API, for {@link VectorCpu} only.
 *
 * <p>They are made of operations that are rounded in one way: the API's own functions are those of a library once Java has compiled the loop, and others before.
 */
final class VectorMath {
  private static final VectorSpecies<Double> D = DoubleVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Float> F = VectorSpecies.of(float.class, VectorShape.forBitSize(D.vectorBitSize() / 2));

  private VectorMath() {}

  /** y = {@link PlainMath#tanh}(x) on [from, to), bit for bit. */
  static void tanh(float[] y, float[] x, int from, int to) {
    int i = from;
    for (; i + F.length() <= to; i += F.length()) {
      DoubleVector a = ((DoubleVector) FloatVector.fromArray(F, x, i).convertShape(VectorOperators.F2D, D, 0)).mul(2).min(PlainMath.MOST).max(-PlainMath.MOST);
      DoubleVector shifted = a.fma(DoubleVector.broadcast(D, PlainMath.LOG2_E), DoubleVector.broadcast(D, PlainMath.SHIFT));
      DoubleVector r = shifted.sub(PlainMath.SHIFT).fma(DoubleVector.broadcast(D, -PlainMath.LN_2), a), p = DoubleVector.broadcast(D, PlainMath.EXP[0]);
      for (int k = 1; k < PlainMath.EXP.length; k++) p = p.fma(r, DoubleVector.broadcast(D, PlainMath.EXP[k]));
      DoubleVector power = shifted.reinterpretAsLongs().add(PlainMath.BIAS).lanewise(VectorOperators.LSHL, PlainMath.MANTISSA).reinterpretAsDoubles();
      DoubleVector e = p.mul(r).fma(power, power.sub(1));
      ((FloatVector) e.div(e.add(2)).convertShape(VectorOperators.D2F, F, 0)).intoArray(y, i);
    }
    PlainMath.tanh(y, x, i, to);
  }
}
