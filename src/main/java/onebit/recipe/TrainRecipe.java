package onebit.recipe;

import java.util.Optional;
import onebit.models.Execution;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.Range;

/**
 * How long training goes and what it starts from.
 *
 * <pre>
 * Units     epochs is the length of every schedule; training runs epochs firstEpoch to epochs - 1, or only stopAfter of them; spikeGuard is how
 *           many standard deviations above the recent losses a loss is logged with its samples (0 = never)
 * </pre>
 *
 * @param precision     what activations and their gradients are stored as; auto: bf16 on GPUs that have it, else fp32. A run keeps its first choice
 * @param deterministic whether a GPU uses only algorithms that give equal bits on every run
 * @param passes auto: fused passes on a CUDA device; simple: a launch or more for every layer; fused: everywhere
 * @param memory fast: keep the results of binary convolutions for backward; compact: compute them again from bits; tiny: and most of the
 *     values between them
 * @param gradientAccumulation in how many parts, one after the other, a process computes the gradient of its batch; batch norm takes its statistics
 *     over each part. data.batch and the schedules count whole batches
 * @param gradients bfloat16: gradients at the results of binary convolutions are multiplied as they are stored; float8: rounded to float8 (e4m3)
 *     before, on the CPU and on GPUs of compute capability 8.9 or newer with precision bf16, for methods whose weights and activations are bits
 * @param float8Limit the largest relative error of a layer's float8 gradients, measured on the first batch of every epoch, with which a run goes on;
 *     rounding alone makes about 0.03
 * @param realProducts library: real-valued convolutions and products of a GPU by cuDNN and cuBLAS, but those that cuDNN refuses, which is said; own: by the own kernels, slow, for hosts without
 *     these libraries
 * @param initFrom a run, by its folder or its recipe's name, or a file, whose weights are those to start from
 * @param initPart only those whose names begin so are taken over, or with - before it those whose names do not; the rest of the network stays as it was drawn: backbone. takes a
 *     backbone, -fc. leaves out a last layer for other classes
 */
public record TrainRecipe(
    @Range(min = 1, max = 100_000) int epochs,
    @Default("0") @Range(min = 0, max = 100_000) int firstEpoch,
    @Default("1") @Range(min = 0) long seed,
    @Default("0") @Range(min = 0, max = 1, exclusiveMax = true) double labelSmoothing,
    @Default("auto") Precision precision,
    @Default("true") boolean deterministic,
    @Default("auto") Execution.Passes passes,
    @Default("fast") Execution.Memory memory,
    @Default("1") @Range(min = 1, max = 100_000) int gradientAccumulation,
    @Default("bfloat16") Execution.Gradients gradients,
    @Default("0.1") @Range(min = 0, max = 1) double float8Limit,
    @Default("library") RealProducts realProducts,
    Optional<String> initFrom,
    Optional<String> initPart,
    @Range(min = 1, max = 100_000) Optional<Integer> stopAfter,
    @Default("8") @Range(min = 0, max = 1000) double spikeGuard) {

  /** bfloat16 or float32; weights, statistics, sums and checkpoints are float32 in both. */
  public enum Precision { AUTO, BF16, FP32 }

  /** Who multiplies real values on a GPU. */
  public enum RealProducts { LIBRARY, OWN }

  /** @throws IllegalArgumentException if no epoch is left */
  public TrainRecipe {
    if (firstEpoch >= epochs) throw new IllegalArgumentException("firstEpoch is " + firstEpoch + "; it must be less than epochs, " + epochs);
    if (initPart.isPresent() && initFrom.isEmpty()) throw new IllegalArgumentException("initPart is " + initPart.get() + " without an initFrom to take it from");
    new Execution(passes, memory, gradients);
  }

  /** How the network runs. */
  public Execution execution() {
    return new Execution(passes, memory, gradients);
  }

  /** The largest part that so many images are computed in. */
  public int part(int images) {
    return (images + gradientAccumulation - 1) / gradientAccumulation;
  }
}
