package onebit.ops.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** Functions of many values at once with the Vector API, for {@link VectorCpu} only; within 1 ulp of the rounded double result. */
final class VectorMath {
  private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;

  private VectorMath() {}

  /** y = tanh(x) on [from, to). */
  static void tanh(float[] y, float[] x, int from, int to) {
    int i = from;
    for (; i + F.length() <= to; i += F.length()) FloatVector.fromArray(F, x, i).lanewise(VectorOperators.TANH).intoArray(y, i);
    for (; i < to; i++) y[i] = (float) Math.tanh(x[i]);
  }
}
