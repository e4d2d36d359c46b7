package onebit.models;

import onebit.ops.Backend;

/** How a network runs, which decides time, memory and rounding, and not what is computed. */
public record Execution(Passes passes, Memory memory, Gradients gradients) {
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
    /** Bits and the values between units, but those whose second computation makes the step's memory smaller. */
    TINY
  }

  /** What the gradients at the results of binary convolutions are rounded to before they are multiplied with bits. */
  public enum Gradients {
    /** Nothing beside what they are stored as: bfloat16 on a GPU, float32 with precision fp32. */
    BFLOAT16,
    /** Float8 of the form e4m3, scaled by each tensor's own largest value. */
    FLOAT8
  }

  public static final Execution DEFAULT = new Execution(Passes.AUTO, Memory.FAST);

  public Execution(Passes passes, Memory memory) {
    this(passes, memory, Gradients.BFLOAT16);
  }

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
    return new Execution(Passes.SIMPLE, memory, gradients);
  }

  boolean fuses(Backend backend) {
    return passes == Passes.FUSED || memory != Memory.FAST || passes == Passes.AUTO && backend.gainsByFusing();
  }

  /** @throws IllegalArgumentException if the backend does not have what is asked for */
  void requireGradients(Backend backend) {
    if (roundsToFloat8() && backend.float8Refusal() != null) throw new IllegalArgumentException("train.gradients float8: " + backend.float8Refusal());
  }

  boolean roundsToFloat8() {
    return gradients == Gradients.FLOAT8;
  }

  boolean recomputes() {
    return memory != Memory.FAST;
  }

  boolean rebuilds() {
    return memory == Memory.TINY;
  }
}
