package onebit.ops.cpu;

import java.util.Set;
import jdk.incubator.vector.FloatVector;

/** Whether this Java and this processor can run the 512-bit kernels. */
final class VectorCpu {
  private static final Set<String> FLAGS = OpenBlas.processorFlags();

  /** Why the 512-bit float kernels cannot be used, or null. */
  static final String REFUSAL = refusal();
  /** Why the 512-bit popcount kernels cannot be used, or null. */
  static final String POPCOUNT_REFUSAL =
      REFUSAL == null && !FLAGS.contains("avx512_vpopcntdq") ? "the processor has no 512-bit popcount (avx512_vpopcntdq)" : REFUSAL;

  private VectorCpu() {}

  private static String refusal() {
    if (Boolean.getBoolean("onebit.vector.off")) return "the system property onebit.vector.off is set";
    if (ModuleLayer.boot().findModule("jdk.incubator.vector").isEmpty()) {
      return "this Java runs without the module jdk.incubator.vector (start it with --add-modules jdk.incubator.vector)";
    }
    if (!FLAGS.contains("avx512f") || !FLAGS.contains("avx512dq")) return "the processor has no 512-bit vectors (avx512f, avx512dq)";
    return Width.LANES >= 16 ? null : "this Java uses vectors of " + 32 * Width.LANES + " bits here (its option UseAVX, 2 on the first processors with AVX-512, says so)";
  }

  /** The widest vectors that Java compiles; wider ones become objects. Loaded only where there is the Vector API. */
  private static final class Width {
    static final int LANES = FloatVector.SPECIES_PREFERRED.length();
  }
}
