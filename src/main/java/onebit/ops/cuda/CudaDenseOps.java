package onebit.ops.cuda;

import onebit.binarize.Binarizer;
import onebit.ops.DenseOps;
import onebit.ops.DenseRules;
import onebit.ops.FusedOps.Norm;
import onebit.ops.FusedOps.Product;
import onebit.ops.FusedOps.Running;
import onebit.tensor.BitTensor;
import onebit.tensor.Tensor;

/**
 * Dense blocks on the device.
 *
 * <pre>
 * Twin  kernels/dense.cu, unit_product.cu
 * Cost  append: two launches with moments, else one; appendOf one, and one for its filters unless they were laid out with their bits; moveRunning and normSign one; normSignBackward two
 * </pre>
 */
final class CudaDenseOps implements DenseOps {
  private final CudaDevice device;
  private final CudaBitOps bits;
  private final ChannelSums sums;

  CudaDenseOps(CudaDevice device, CudaBitOps bits, ChannelSums sums) {
    this.device = device;
    this.bits = bits;
    this.sums = sums;
  }

  private static int pitch(Channels x) {
    return x.of().shape().channels();
  }

  @Override
  public void append(Channels to, Tensor y, Moments moments) {
    DenseRules.requireAppend("append", to, y, moments);
    int rows = to.rows(), channels = to.count();
    if (moments == null) {
      device.kernel("dense_put", y).element(to.of()).element(y).integer(y.size()).integer(channels).integer(pitch(to)).integer(to.from()).each(y.size());
      return;
    }
    DeviceMemory partial = sums.plan(rows, channels, 2);
    sums.launch(device.kernel("dense_append", y).memory(partial).element(to.of()).element(y).integer(rows).integer(channels).integer(pitch(to))
        .integer(to.from()));
    device.kernel("dense_moments", y).tensor(moments.mean()).tensor(moments.inverse()).tensor(moments.var()).element(y).memory(partial)
        .integer(sums.splits()).integer(rows).integer(channels).integer(to.from()).real(moments.epsilon()).integer(moments.unbiased() ? 1 : 0)
        .blocks((channels + 255) / 256, 256);
  }

  @Override
  public void appendOf(Channels to, Product of, Moments moments) {
    DenseRules.requireAppendOf("appendOf", to, of, moments);
    int rows = to.rows(), channels = to.count(), splits = bits.statisticsSplits(of, to.of().type());
    bits.prepare(of);
    Kernel kernel = bits.statistics(of, to.of());
    if (moments == null) kernel.address(0);
    else kernel.memory(sums.tiles(splits, channels, 2));
    kernel.memory(sums.counters()).channels(to).address(0);
    if (moments == null) kernel.address(0).address(0).address(0).address(0).real(0).real(0).integer(0);
    else kernel.address(at(moments.mean(), to)).address(at(moments.inverse(), to)).address(0).address(at(moments.var(), to)).real(0).real(moments.epsilon()).integer(moments.unbiased() ? 1 : 0);
    bits.launchStatistics(kernel.integer(rows).integer(channels).integer(pitch(to)), of, splits);
  }

  /** Where the values of these channels lie in a vector of all. */
  private long at(Tensor ofAll, Channels x) {
    return device.memory(ofAll).address() + 4L * x.from();
  }

  @Override
  public void moveRunning(Running running, Moments moments) {
    DenseRules.requireMoveRunning("moveRunning", running, moments);
    int channels = running.mean().size();
    device.kernel("dense_running").tensor(running.mean()).tensor(running.var()).tensor(moments.mean()).tensor(moments.var()).real(running.momentum()).integer(channels)
        .blocks((channels + 255) / 256, 256);
  }

  @Override
  public void take(Tensor y, Channels from) {
    DenseRules.requirePiece("take", from, y);
    device.kernel("dense_take", y).element(y).element(from.of()).integer(y.size()).integer(from.count()).integer(pitch(from)).integer(from.from())
        .each(y.size());
  }

  @Override
  public void normSign(BitTensor bits, Channels x, Norm n, Tensor var, Running running) {
    DenseRules.requireNormSign("normSign", bits, x, n, var, running);
    Tensor buffer = x.of();
    Kernel kernel = device.kernel("dense_sign", buffer).bits(bits).element(buffer).tensor(n.gamma()).tensor(n.beta()).tensor(n.mean()).tensor(n.inverse());
    if (running == null) kernel.address(0).address(0).address(0).real(0);
    else kernel.tensor(var).tensor(running.mean()).tensor(running.var()).real(running.momentum());
    kernel.integer(x.rows()).integer(x.count()).integer(pitch(x)).blocks(CudaBitOps.packBlocks(device, bits), 256);
  }

  @Override
  public void normSignBackward(Channels gradX, Tensor gradGamma, Tensor gradBeta, Tensor gradQ, Channels x, Norm n, Binarizer f) {
    DenseRules.requireNormSignBackward("normSignBackward", gradX, gradGamma, gradBeta, gradQ, x, n);
    SlopeCode slope = SlopeCode.of(device, f);
    int rows = x.rows(), channels = x.count(), splits = sums.tileSplits(rows, channels);
    DeviceMemory partial = sums.tiles(splits, channels, 2), means = device.scratch(CudaDevice.Scratch.CHANNELS, 8L * channels);
    long meanH = means.address(), meanHx = meanH + 4L * channels;
    device.kernel("dense_sign_sums", gradQ).memory(partial).memory(sums.counters()).tensor(gradGamma).tensor(gradBeta).address(meanH).address(meanHx).element(gradQ)
        .element(x.of()).tensor(n.gamma()).tensor(n.beta()).tensor(n.mean()).tensor(n.inverse()).slope(slope).integer(rows).integer(channels).integer(pitch(x))
        .launch(splits, (channels + 63) / 64, 128, 1, 0);
    device.kernel("dense_sign_backward", gradQ).element(gradX.of()).element(gradQ).element(x.of()).tensor(n.gamma()).tensor(n.beta()).tensor(n.mean())
        .tensor(n.inverse()).address(meanH).address(meanHx).slope(slope).integer(gradQ.size()).integer(channels).integer(pitch(x)).integer(pitch(gradX))
        .each(gradQ.size());
  }
}
