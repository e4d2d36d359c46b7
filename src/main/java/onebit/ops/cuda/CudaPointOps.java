package onebit.ops.cuda;

import onebit.ops.PixelScale;
import onebit.ops.PointOps;
import onebit.ops.Shapes;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/**
 * Element-wise ops on the device, one launch each; sums over rows take two.
 *
 * <pre>
 * Twin  kernels/add.cu, activate.cu, maxout.cu, columns.cu, concat.cu, convert.cu, planar.cu, normalize.cu, augment.cu
 * </pre>
 */
final class CudaPointOps implements PointOps {
  private final CudaDevice device;
  private final ChannelSums sums;
  private final PixelScales scales;

  CudaPointOps(CudaDevice device, ChannelSums sums, PixelScales scales) {
    this.device = device;
    this.sums = sums;
    this.scales = scales;
  }

  @Override
  public void copy(Tensor y, Tensor x) {
    Shapes.requireEqual("copy", "y", y, "x", x);
    if (y.type() == x.type()) device.copy(device.memory(y), device.memory(x), (long) x.size() * x.type().bytes());
    else if (y.type() == ElementType.BFLOAT16) device.kernel("to_bfloat16").memory(device.memory(y)).tensor(x).integer(x.size()).each(x.size());
    else device.kernel("to_float32").tensor(y).memory(device.memory(x)).integer(x.size()).each(x.size());
  }

  @Override
  public void add(Tensor y, Tensor a, Tensor b) {
    Shapes.requireEqual("add", "a", a, "y", y);
    Shapes.requireEqual("add", "b", b, "y", y);
    device.kernel("add", y).element(y).element(a).element(b).integer(y.size()).each(y.size());
  }

  @Override
  public void accumulateScaled(Tensor y, Tensor x, float factor) {
    Shapes.requireEqual("accumulateScaled", "x", x, "y", y);
    device.kernel("accumulate_scaled", y).element(y).element(x).real(factor).integer(y.size()).each(y.size());
  }

  @Override
  public void addBias(Tensor y, Tensor x, Tensor bias) {
    Shapes.requireEqual("addBias", "y", y, "x", x);
    Shapes.requirePerChannel("addBias", "bias", bias, x);
    device.kernel("add_bias", x).element(y).element(x).tensor(bias).integer(x.size()).integer(x.shape().channels()).each(x.size());
  }

  @Override
  public void biasBackward(Tensor gradBias, Tensor rounded, Tensor gradY) {
    Shapes.requireBias(gradBias, rounded, gradY);
    int channels = gradY.shape().channels(), rows = gradY.size() / channels;
    DeviceMemory partial = sums.plan(rows, channels, 1);
    Kernel kernel = device.kernel("bias_backward", gradY).memory(partial).memory(sums.counters()).tensor(gradBias);
    sums.launch((rounded == null ? kernel.address(0) : kernel.bfloat16(rounded)).element(gradY).integer(rows).integer(channels));
  }

  @Override
  public void activate(Tensor y, Tensor x, Activation f) {
    Shapes.requireEqual("activate", "y", y, "x", x);
    device.kernel("activate", x).element(y).element(x).integer(kind(f)).integer(x.size()).each(x.size());
  }

  @Override
  public void activateBackward(Tensor gradX, Tensor gradY, Tensor x, Activation f) {
    Shapes.requireEqual("activateBackward", "gradX", gradX, "x", x);
    Shapes.requireEqual("activateBackward", "gradY", gradY, "x", x);
    device.kernel("activate_backward", x).element(gradX).element(gradY).element(x).integer(kind(f)).integer(x.size()).each(x.size());
  }

  private static int kind(Activation f) {
    return switch (f) {
      case RELU -> 0;
      case HARD_TANH -> 1;
      case TANH -> 2;
    };
  }

  @Override
  public void maxout(Tensor y, Tensor x, Tensor positive, Tensor negative) {
    Shapes.requireEqual("maxout", "y", y, "x", x);
    Shapes.requirePerChannel("maxout", "positive", positive, x);
    Shapes.requirePerChannel("maxout", "negative", negative, x);
    device.kernel("maxout", x).element(y).element(x).tensor(positive).tensor(negative).integer(x.size()).integer(x.shape().channels()).each(x.size());
  }

  @Override
  public void maxoutBackward(Tensor gradX, Tensor gradPositive, Tensor gradNegative, Tensor gradY, Tensor x, Tensor positive, Tensor negative) {
    Shapes.requireMaxoutBackward(gradX, gradPositive, gradNegative, gradY, x, positive, negative);
    int channels = x.shape().channels(), rows = x.size() / channels;
    DeviceMemory partial = sums.plan(rows, channels, 2);
    sums.launch(device.kernel("maxout_backward", x).element(gradX).memory(partial).element(gradY).element(x).tensor(positive).tensor(negative).integer(rows)
        .integer(channels));
    sums.finish(device.memory(gradPositive), device.memory(gradNegative), partial);
  }

  @Override
  public void concat(Tensor y, Tensor a, Tensor b) {
    Shapes.requireConcat("concat", y, a, b);
    int n = a.size() + b.size();
    device.kernel("concat", y).element(y).element(a).element(b).integer(n).integer(a.shape().channels()).integer(b.shape().channels()).each(n);
  }

  @Override
  public void split(Tensor gradA, Tensor gradB, Tensor gradY) {
    Shapes.requireConcat("split", gradY, gradA, gradB);
    int n = gradA.size() + gradB.size();
    device.kernel("split", gradY).element(gradA).element(gradB).element(gradY).integer(n).integer(gradA.shape().channels()).integer(gradB.shape().channels()).each(n);
  }

  @Override
  public void toPlanar(Tensor y, Tensor x) {
    Shapes.requireEqual("toPlanar", "y", y, "x", x);
    planar(device.kernel("to_planar", x).element(y).element(x), x);
  }

  @Override
  public void fromPlanar(Tensor y, Tensor x) {
    Shapes.requireEqual("fromPlanar", "y", y, "x", x);
    planar(device.kernel("from_planar", x).element(y).element(x), y);
  }

  private static void planar(Kernel kernel, Tensor image) {
    int pixels = image.shape().d1() * image.shape().d2();
    kernel.integer(image.size()).integer(pixels).integer(image.shape().d3()).each(image.size());
  }

  @Override
  public void rows(Tensor y, Tensor x, int first) {
    Shapes.requireRows("rows", y, x, first);
    long row = (long) x.shape().rowSize() * x.type().bytes(), bytes = row * y.shape().d0();
    if (bytes > 0) device.copy(device.memory(y), device.memory(x).part(row * first, bytes), bytes);
  }

  @Override
  public void place(Tensor y, Tensor x, Tensor bias, int column) {
    Shapes.requireColumns("place", "y", y, "x", x, column);
    Shapes.requirePerChannel("place", "bias", bias, x);
    int row = x.shape().rowSize();
    device.kernel("place", x).columns(y, column, row).element(x).tensor(bias).integer(x.size()).integer(row).integer(y.shape().d1()).integer(x.shape().channels()).each(x.size());
  }

  @Override
  public void take(Tensor gradX, Tensor gradY, int column) {
    Shapes.requireColumns("take", "gradY", gradY, "gradX", gradX, column);
    int row = gradX.shape().rowSize();
    device.kernel("take", gradX).element(gradX).columns(gradY, column, row).integer(gradX.size()).integer(row).integer(gradY.shape().d1()).each(gradX.size());
  }

  @Override
  public void normalize(Tensor y, Tensor pixels, PixelScale scale) {
    int channels = y.shape().channels();
    Shapes.requireEqual("normalize", "pixels", pixels, "y", y);
    Shapes.requirePixels("normalize", pixels, scale, channels);
    device.kernel("normalize", y).element(y).tensor(pixels).memory(scales.memory(scale)).integer(y.size()).integer(channels).each(y.size());
  }

  @Override
  public void augment(Tensor y, Tensor pixels, Tensor choices, PixelScale scale) {
    Shapes.requireAugment(y, pixels, choices, scale);
    device.kernel("augment", y).element(y).tensor(pixels).tensor(choices).memory(scales.memory(scale)).integer(y.size()).integer(y.shape().d1())
        .integer(y.shape().d2()).integer(y.shape().d3()).integer(pixels.shape().d1()).integer(pixels.shape().d2()).each(y.size());
  }
}
