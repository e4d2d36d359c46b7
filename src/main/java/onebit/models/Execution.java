package onebit.models;

import onebit.ops.Backend;

/** How a network runs, which decides time and memory and not what is computed. */
public record Execution(Passes passes, Memory memory) {
  /** Which launches a step is made of. */
  public enum Passes {
    /** Fused where the device gains by it: on CUDA. */
    AUTO,
    /** One launch or more for every layer. */
    SIMPLE,
    /** Binary convolutions with all that follows them as units. */
    FUSED
  }

  /** What forward keeps for backward. */
  public enum Memory {
    /** The results of all convolutions. */
    FAST,
    /** Bits and the values between units; the results of binary convolutions are computed again. */
    COMPACT,
    /** Bits and every second value between units or fewer; the others are computed again, too. */
    TINY
  }

  public static final Execution DEFAULT = new Execution(Passes.AUTO, Memory.FAST);

  /** @throws IllegalArgumentException if memory is to be saved by what only fused passes do */
  public Execution {
    if (memory != Memory.FAST && passes == Passes.SIMPLE) {
      throw new IllegalArgumentException("memory is " + memory.name().toLowerCase(java.util.Locale.ROOT) + ", which needs fused passes; passes is simple");
    }
  }

  /**
   * The same where batch norms take their statistics over several processes, which fused passes do not.
   *
   * @throws IllegalArgumentException if fused passes were asked for
   */
  public Execution withSharedStatistics() {
    if (passes == Passes.FUSED || memory != Memory.FAST) {
      throw new IllegalArgumentException("dist.syncBatchNorm: fused passes take each process's own statistics; it needs train.passes simple and train.memory fast");
    }
    return new Execution(Passes.SIMPLE, memory);
  }

  boolean fuses(Backend backend) {
    return passes == Passes.FUSED || memory != Memory.FAST || passes == Passes.AUTO && backend.gainsByFusing();
  }

  boolean recomputes() {
    return memory != Memory.FAST;
  }

  boolean rebuilds() {
    return memory == Memory.TINY;
  }
}
