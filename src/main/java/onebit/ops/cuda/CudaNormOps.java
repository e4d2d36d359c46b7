package onebit.ops.cuda;

import onebit.ops.NormOps;
import onebit.ops.Shapes;
import onebit.tensor.Tensor;

/**
 * Batch and L2 normalisation on the device: sums with their finish and the application are a launch each; where an image is one pixel and there are few
 * of them, one for both.
 *
 * <pre>
 * Twin  kernels/batch_norm.cu, l2_norm.cu
 * </pre>
 */
final class CudaNormOps implements NormOps {
  /** Most rows that one block per 128 channels normalises. */
  private static final int FEW_ROWS = 512;

  private final CudaDevice device;
  private final ChannelSums sums;

  CudaNormOps(CudaDevice device, ChannelSums sums) {
    this.device = device;
    this.sums = sums;
  }

  @Override
  public void batchNorm(Tensor y, Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVar, Tensor mean, Tensor inverse,
      float momentum, float epsilon, boolean unbiased) {
    Shapes.requireBatchNorm("batchNorm", y, x, gamma, beta, runningMean, runningVar);
    Shapes.requirePerChannel("batchNorm", "mean", mean, x);
    Shapes.requirePerChannel("batchNorm", "inverse", inverse, x);
    int channels = x.shape().channels(), rows = x.size() / channels;
    boolean together = together(x);
    DeviceMemory partial = sums.plan(rows, channels, 2);
    Kernel kernel = device.kernel("batch_norm_sums", x).memory(partial).memory(sums.counters()).tensor(mean).tensor(inverse).tensor(runningMean).tensor(runningVar);
    (together ? kernel.element(y) : kernel.address(0)).element(x).tensor(gamma).tensor(beta).integer(rows).integer(channels).real(momentum).real(epsilon)
        .integer(unbiased ? 1 : 0);
    sums.launch(kernel);
    if (!together) apply(y, x, gamma, beta, mean, device.memory(inverse));
  }

  /** Whether the block that finishes sums normalises what it summed: a second launch would take longer than the few rows of it. */
  private static boolean together(Tensor x) {
    int images = x.shape().d0();
    return images <= FEW_ROWS && x.size() == images * x.shape().channels();
  }

  @Override
  public void batchNormInference(Tensor y, Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVar, float epsilon) {
    Shapes.requireBatchNorm("batchNormInference", y, x, gamma, beta, runningMean, runningVar);
    int channels = x.shape().channels();
    DeviceMemory inverse = device.scratch(CudaDevice.Scratch.CHANNELS, 8L * channels);
    device.kernel("batch_norm_inverse").memory(inverse).tensor(runningVar).real(epsilon).integer(channels).blocks((channels + 255) / 256, 256);
    apply(y, x, gamma, beta, runningMean, inverse);
  }

  private void apply(Tensor y, Tensor x, Tensor gamma, Tensor beta, Tensor mean, DeviceMemory inverse) {
    device.kernel("batch_norm_apply", x).element(y).element(x).tensor(gamma).tensor(beta).tensor(mean).memory(inverse).integer(x.size())
        .integer(x.shape().channels()).each(x.size());
  }

  @Override
  public void batchNormBackward(Tensor gradX, Tensor gradGamma, Tensor gradBeta, Tensor gradY, Tensor x, Tensor gamma, Tensor mean,
      Tensor inverse) {
    Shapes.requireBatchNorm("batchNormBackward", gradX, x, gradGamma, gradBeta, mean, inverse);
    Shapes.requireEqual("batchNormBackward", "gradY", gradY, "x", x);
    Shapes.requirePerChannel("batchNormBackward", "gamma", gamma, x);
    int channels = x.shape().channels(), rows = x.size() / channels;
    DeviceMemory partial = sums.plan(rows, channels, 2), means = device.scratch(CudaDevice.Scratch.CHANNELS, 8L * channels);
    long meanG = means.address(), meanGx = meanG + 4L * channels;
    boolean together = together(x);
    Kernel kernel = device.kernel("batch_norm_backward_sums", x).memory(partial).memory(sums.counters()).tensor(gradGamma).tensor(gradBeta).address(meanG).address(meanGx);
    (together ? kernel.element(gradX) : kernel.address(0)).element(gradY).element(x).tensor(gamma).tensor(mean).tensor(inverse).integer(rows).integer(channels);
    sums.launch(kernel);
    if (together) return;
    device.kernel("batch_norm_backward_apply", x).element(gradX).element(gradY).element(x).tensor(gamma).tensor(mean).tensor(inverse).address(meanG)
        .address(meanGx).integer(x.size()).integer(channels).each(x.size());
  }

  @Override
  public void mergeMoments(Tensor mean, Tensor var, Tensor inverse, Tensor runningMean, Tensor runningVar, Tensor all, float momentum, float epsilon,
      boolean unbiased) {
    int channels = mean.size(), ranks = Shapes.requireMoments("mergeMoments", all, mean);
    device.kernel("merge_moments").tensor(mean).tensor(var).tensor(inverse).tensor(runningMean).tensor(runningVar).tensor(all).integer(ranks)
        .integer(channels).real(momentum).real(epsilon).integer(unbiased ? 1 : 0).blocks((channels + 255) / 256, 256);
  }

  @Override
  public void mergeSums(Tensor scale, Tensor shift, Tensor own, Tensor all, Tensor moments, int rows, Tensor gamma, Tensor inverse) {
    int channels = scale.size(), ranks = Shapes.requireMoments("mergeSums", moments, scale);
    Shapes.requireSums("mergeSums", own, all, scale, ranks);
    device.kernel("merge_sums").tensor(scale).tensor(shift).tensor(own).tensor(all).tensor(moments).tensor(gamma).tensor(inverse).integer(ranks)
        .integer(rows).integer(channels).blocks((channels + 255) / 256, 256);
  }

  @Override
  public void l2Normalize(Tensor y, Tensor x, Tensor scale) {
    Shapes.requireL2("l2Normalize", y, x, scale);
    pixels(device.kernel("l2_normalize", x).element(y).element(x).tensor(scale), x);
  }

  @Override
  public void l2NormalizeBackward(Tensor gradX, Tensor gradScale, Tensor gradY, Tensor x, Tensor scale) {
    Shapes.requireL2("l2NormalizeBackward", gradX, x, scale);
    Shapes.requireEqual("l2NormalizeBackward", "gradY", gradY, "x", x);
    Shapes.requirePerChannel("l2NormalizeBackward", "gradScale", gradScale, x);
    int channels = x.shape().channels(), pixels = x.size() / channels;
    DeviceMemory partial = sums.plan(pixels, channels, 1), shares = device.scratch(CudaDevice.Scratch.VALUES, 8L * pixels), out = device.memory(gradScale);
    pixels(device.kernel("l2_normalize_backward", x).element(gradX).memory(shares).element(gradY).element(x).tensor(scale), x);
    sums.launch(device.kernel("l2_normalize_scale", x).memory(partial).element(gradY).element(x).memory(shares).integer(pixels).integer(channels));
    sums.finish(out, out, partial);
  }

  /** Runs with a warp for each pixel. */
  private static void pixels(Kernel kernel, Tensor x) {
    int channels = x.shape().channels(), pixels = x.size() / channels;
    kernel.integer(pixels).integer(channels).each((int) Math.min(Integer.MAX_VALUE, 32L * pixels));
  }
}
