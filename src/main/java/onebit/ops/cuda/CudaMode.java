package onebit.ops.cuda;

import onebit.tensor.ElementType;

/**
 * How a device is to compute.
 *
 * @param activations   FLOAT32 or BFLOAT16; null for BFLOAT16 where the device has it, else FLOAT32
 * @param deterministic only algorithms that give equal bits on every run; otherwise those that cuDNN holds for the fastest
 */
public record CudaMode(ElementType activations, boolean deterministic) {
  public static final CudaMode FLOAT32 = new CudaMode(ElementType.FLOAT32, true);
  public static final CudaMode BFLOAT16 = new CudaMode(ElementType.BFLOAT16, true);

  public CudaMode {
    if (activations != null && activations != ElementType.FLOAT32 && activations != ElementType.BFLOAT16) {
      throw new IllegalArgumentException("cuda: activations are FLOAT32 or BFLOAT16, not " + activations);
    }
  }
}
