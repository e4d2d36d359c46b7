package onebit.ops.cpu;

import java.util.Set;
import jdk.incubator.vector.FloatVector;

/** Whether this Java and this processor can run the vector kernels, and on vectors of which width. */
final class VectorCpu {
  /** Why the vector kernels cannot be used, or null. */
  static final String REFUSAL = refusal();
  /** Floats of one vector, 8 or 16; 0 where there are none. */
  static final int LANES = REFUSAL == null ? Width.LANES : 0;

  private VectorCpu() {}

  private static String refusal() {
    if (Boolean.getBoolean("onebit.vector.off")) return "the system property onebit.vector.off is set";
    if (ModuleLayer.boot().findModule("jdk.incubator.vector").isEmpty()) {
      return "this Java runs without the module jdk.incubator.vector (start it with --add-modules jdk.incubator.vector)";
    }
    if (!OpenBlas.processorFlags().containsAll(Set.of("avx2", "fma"))) return "the processor has no 256-bit vectors (avx2, fma)";
    return Width.LANES >= 8 ? null : "this Java uses vectors of " + 32 * Width.LANES + " bits here (its option UseAVX says so)";
  }

  /** The widest vectors that Java compiles, 256 bits by default on the first processors with AVX-512; wider ones become objects. Loaded only where there is the Vector API. */
  private static final class Width {
    static final int LANES = FloatVector.SPECIES_PREFERRED.length();
  }
}
