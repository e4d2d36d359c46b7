package onebit.ops.cuda;

import onebit.binarize.Binarizer;
import onebit.ops.ConvGeometry;
import onebit.ops.FusedOps;
import onebit.ops.FusedRules;
import onebit.ops.PixelScale;
import onebit.ops.PointOps.Activation;
import onebit.ops.Shapes;
import onebit.tensor.BitTensor;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Fused passes on the device; every argument structure is appended field by field in the order of its declaration.
 *
 * <pre>
 * Twin  kernels/unit.cuh, unit_passes.cuh, unit_pool.cuh, unit_forward.cu, unit_backward.cu, unit_product.cu, unit_pool.cu, block_conv2d.cu
 * Cost  statistics (of pixels with their convolution), both forwards and join one launch each, both backwards two; what works on a product one more for
 *       its filters unless they were laid out with their bits, and forwardOf one for statistics
 * </pre>
 */
final class CudaFusedOps implements FusedOps {
  private static final int SUMS = 4;

  private final CudaDevice device;
  private final CudaBitOps bits;
  private final CudaConvOps conv;
  private final ChannelSums sums;

  CudaFusedOps(CudaDevice device, CudaBitOps bits, CudaConvOps conv, ChannelSums sums) {
    this.device = device;
    this.bits = bits;
    this.conv = conv;
    this.sums = sums;
  }

  private static Kernel orNull(Kernel kernel, Tensor tensor) {
    return tensor == null ? kernel.address(0) : kernel.tensor(tensor);
  }

  private static Kernel elementOrNull(Kernel kernel, Tensor tensor) {
    return tensor == null ? kernel.address(0) : kernel.element(tensor);
  }

  /** struct Norm. */
  private static Kernel norm(Kernel kernel, Norm norm) {
    return kernel.tensor(norm.gamma()).tensor(norm.beta()).tensor(norm.mean()).tensor(norm.inverse());
  }

  /** struct Shortcut; x may be the source of a shortcut or the gradient at its result. */
  private static Kernel shortcut(Kernel kernel, Shortcut s) {
    int kind = switch (s.kind()) {
      case NONE -> 0;
      case SAME -> 1;
      case SUBSAMPLE_PAD, AVERAGE_PAD -> 2;
    };
    Shape shape = kind == 0 ? Shape.scalar() : s.x().shape();
    return elementOrNull(kernel, s.x()).integer(kind).integer(shape.d1()).integer(shape.d2()).integer(shape.d3()).integer(s.window()).integer(s.stride());
  }

  /** struct Nonlinearity. */
  private static Kernel nonlinearity(Kernel kernel, Nonlinearity f) {
    int kind = f.maxout() ? 1 : f.fixed() == null ? 0 : f.fixed() == Activation.RELU ? 2 : f.fixed() == Activation.HARD_TANH ? 3 : 4;
    return orNull(orNull(kernel, f.positive()), f.negative()).integer(kind);
  }

  /** struct Unit. */
  private static Kernel unit(Kernel kernel, Unit unit) {
    return nonlinearity(shortcut(norm(elementOrNull(kernel, unit.y()), unit.norm()), unit.shortcut()), unit.f());
  }

  /** struct Binarization. */
  private static Kernel binarization(Kernel kernel, Binarization b) {
    int kind = b.kind().ordinal();
    return orNull(orNull(kernel, b.alpha()), b.beta()).integer(kind).integer(b.codeForm() ? 1 : 0);
  }

  private static int rows(Tensor y) {
    return y.size() / y.shape().channels();
  }

  @Override
  public void statistics(Unit unit, Running running) {
    FusedRules.requireStatistics("statistics", unit, running);
    Tensor y = unit.y();
    int channels = y.shape().channels(), rows = rows(y), splits = sums.tileSplits(rows, channels);
    DeviceMemory partial = sums.tiles(splits, channels, 2);
    statistics(device.kernel("unit_statistics", y), partial, y, null, unit.norm(), running, rows, channels).launch(splits, (channels + 63) / 64, 128, 1, 0);
  }

  @Override
  public void statisticsOfPixels(Unit unit, Tensor pixels, PixelScale scale, Tensor w, ConvGeometry g, Running running) {
    FusedRules.requireStatistics("statisticsOfPixels", unit, running);
    if (conv.statisticsOfPixels(unit.y(), pixels, scale, w, g, unit.norm(), running, sums)) return;
    conv.conv2dOfPixels(unit.y(), pixels, scale, w, g);
    statistics(unit, running);
  }

  /** struct UnitStatistics. */
  private Kernel statistics(Kernel kernel, DeviceMemory partial, Tensor y, Tensor added, Norm norm, Running to, int rows, int channels) {
    elementOrNull(elementOrNull(kernel.memory(partial).memory(sums.counters()), y), added).tensor(norm.mean()).tensor(norm.inverse());
    kernel.tensor(to.mean()).tensor(to.var()).real(to.momentum()).real(to.epsilon()).integer(to.unbiased() ? 1 : 0);
    return kernel.integer(rows).integer(channels).integer(channels);
  }

  @Override
  public void inverseDeviation(Tensor inverse, Tensor var, float epsilon) {
    Shapes.requireEqual("inverseDeviation", "inverse", inverse, "var", var);
    device.kernel("batch_norm_inverse").tensor(inverse).tensor(var).real(epsilon).integer(var.size()).blocks((var.size() + 255) / 256, 256);
  }

  @Override
  public void forward(BitTensor bits, Tensor z, Unit unit, Binarization next) {
    FusedRules.requireForward("forward", bits, z, unit, next);
    int channels = z.shape().channels(), rows = rows(z);
    forward(device.kernel("unit_forward", z), bits, z, unit, next)
        .blocks(channels % 32 == 0 ? ownRows(rows, channels) : device.blocks(Math.multiplyExact(Math.multiplyExact(rows, CudaBitOps.words(channels)), 32)), 256);
  }

  /** Blocks of 256 threads that keep their 8 channels over many rows: enough of them to fill the device, few enough that what is read of channels is little. */
  private int ownRows(int rows, int channels) {
    int high = Math.max(1, 256 * 8 / Math.max(8, channels)), steps = (rows + high - 1) / high;
    return Math.clamp(steps / 8, Math.min(steps, 2 * device.multiprocessors()), 12 * device.multiprocessors());
  }

  /** struct UnitForward. */
  private static Kernel forward(Kernel kernel, BitTensor bits, Tensor z, Unit unit, Binarization next) {
    boolean packs = next.kind() != Binarization.Kind.NONE, learned = next.kind() == Binarization.Kind.LEARNED;
    (packs ? kernel.bits(bits) : kernel.address(0)).element(z);
    orNull(orNull(kernel, learned ? next.set().centre() : null), learned ? next.set().distance() : null);
    return binarization(unit(kernel, unit), next).integer(rows(z)).integer(z.shape().channels()).integer(z.shape().d1()).integer(z.shape().d2());
  }

  @Override
  public void forwardOf(BitTensor to, Tensor z, Unit unit, Binarization next, Running running) {
    FusedRules.requireForwardOf("forwardOf", to, z, unit, next, running);
    int channels = z.shape().channels(), rows = rows(z), splits = bits.splits(unit.product(), z.type());
    BitProduct product = bits.prepare(unit.product());
    if (running != null) {
      int along = bits.statisticsSplits(unit.product(), z.type());
      DeviceMemory partial = sums.tiles(along, channels, 2);
      bits.launchStatistics(statistics(bits.statistics(unit.product(), z), partial, unit.y(), null, unit.norm(), running, rows, channels), unit.product(), along);
    }
    if (running != null && unit.y() != null) forward(to, z, unit, next);
    else bits.launch(forward(device.kernel(product.pass("unit_product_forward"), z), to, z, unit, next), unit.product(), splits);
  }

  @Override
  public void sumOf(Tensor z, Product of, Tensor added, Norm next, Running running) {
    FusedRules.requireSumOf("sumOf", z, of, added, next, running);
    int channels = z.shape().channels(), rows = rows(z), splits = bits.statisticsSplits(of, z.type());
    bits.prepare(of);
    Kernel kernel = bits.statistics(of, z);
    if (next != null) statistics(kernel, sums.tiles(splits, channels, 2), z, added, next, running, rows, channels);
    else kernel.address(0).address(0).element(z).element(added).address(0).address(0).address(0).address(0).real(0).real(0).integer(0).integer(rows).integer(channels).integer(channels);
    bits.launchStatistics(kernel, of, splits);
  }

  @Override
  public void backward(Tensor gradY, Tensor gradT, UnitGradients to, Unit unit, Incoming g) {
    FusedRules.requireBackward("backward", gradY, gradT, to, unit, g);
    boolean adabin = isAdaBin(unit, g, gradT.shape().channels());
    int channels = gradT.shape().channels(), rows = rows(gradT), splits = sums.tileSplits(rows, channels, adabin ? 4 : 6), across = (channels + 63) / 64;
    DeviceMemory partial = sums.tiles(splits, channels, SUMS);
    if (unit.y() == null) {
      BitProduct product = bits.prepared(unit.product());
      bits.launch(backward(device.kernel(product.pass("unit_product_backward"), gradT), partial, splits * across, gradT, to, unit, g), unit.product(), splits);
      bits.launch(apply(device.kernel(product.pass("unit_product_apply"), gradY), gradY, gradT, unit, channels), unit.product(), bits.splits(unit.product(), gradY.type()));
    } else {
      Kernel kernel = adabin ? device.kernel("unit_backward_adabin", gradT) : device.kernel("unit_backward", gradT);
      backward(kernel, partial, splits * across, gradT, to, unit, g).launch(splits, across, 128, 1, 0);
      apply(device.kernel("unit_backward_apply", gradY), gradY, gradT, unit, channels).blocks(ownRows(rows, channels), 256);
    }
  }

  /** Whether the pass is the one that has an entry of its own, of which a multiprocessor holds four blocks at once. */
  private static boolean isAdaBin(Unit unit, Incoming g, int channels) {
    return unit.f().maxout() && g.gradQ() != null && g.of().kind() == Binarization.Kind.LEARNED && g.slope() instanceof Binarizer.Polynomial
        && channels % 8 == 0 && asItIs(unit.shortcut()) && asItIs(g.over());
  }

  private static boolean asItIs(Shortcut s) {
    return s.kind() == Shortcut.Kind.NONE || s.kind() == Shortcut.Kind.SAME;
  }

  /** struct UnitBackward. */
  private Kernel backward(Kernel kernel, DeviceMemory partial, int blocks, Tensor gradT, UnitGradients to, Unit unit, Incoming g) {
    return rows(unit(incoming(unitSums(sums(kernel, partial, blocks, gradT, g), to, gradT.shape().channels()), g), unit), gradT);
  }

  /** struct UnitBackwardApply. */
  private Kernel apply(Kernel kernel, Tensor gradY, Tensor gradT, Unit unit, int channels) {
    long means = means(channels);
    elementOrNull(kernel.element(gradY).element(gradT), unit.y()).address(means).address(means + 4L * channels);
    return norm(kernel, unit.norm()).integer(gradT.size()).integer(channels);
  }

  /** Where the two means of a backward pass wait for its second launch. */
  private long means(int channels) {
    return device.scratch(CudaDevice.Scratch.CHANNELS, 8L * channels).address();
  }

  /** struct UnitSums. */
  private Kernel unitSums(Kernel kernel, UnitGradients to, int channels) {
    long means = means(channels);
    orNull(orNull(kernel.tensor(to.gradGamma()).tensor(to.gradBeta()), to.gradPositive()), to.gradNegative());
    return kernel.address(means).address(means + 4L * channels);
  }

  /** struct Windows. */
  private static Kernel windows(Kernel kernel, Shape y, Shape z, Window window) {
    return kernel.integer(y.d1()).integer(y.d2()).integer(z.d1()).integer(z.d2()).integer(window.size()).integer(window.stride()).integer(window.pad());
  }

  @Override
  public void poolForward(Tensor z, Tensor chosen, Unit unit, Window window) {
    FusedRules.requirePool("poolForward", z, chosen, unit, window);
    Kernel kernel = device.kernel("unit_pool_forward", z).element(z);
    orNull(kernel, chosen).element(unit.y());
    windows(nonlinearity(norm(kernel, unit.norm()), unit.f()), unit.y().shape(), z.shape(), window).integer(z.size()).integer(z.shape().channels())
        .each(z.size() / (window.size() > 2 ? 4 : 16) + 1);
  }

  @Override
  public void poolBackward(Tensor gradY, UnitGradients to, Unit unit, Tensor gradZ, Tensor chosen, Window window) {
    FusedRules.requirePool("poolBackward", gradZ, chosen, unit, window);
    Shapes.requireEqual("poolBackward", "gradY", gradY, "y", unit.y());
    int channels = gradY.shape().channels(), splits = sums.tileSplits(rows(gradY), channels);
    DeviceMemory partial = sums.tiles(splits, channels, SUMS);
    // the first launch does not touch gradY, so it does not declare it
    poolBackward(device.kernel("unit_pool_backward", gradY).memory(device.memory(gradY)), gradY, partial, to, unit, gradZ, chosen, window).launch(splits, (channels + 63) / 64, 128, 1, 0);
    poolBackward(device.kernel("unit_pool_backward_apply", gradY).element(gradY), gradY, partial, to, unit, gradZ, chosen, window).blocks(device.blocks((gradY.size() + 3) / 4), 128);
  }

  /** struct UnitPoolBackward, but for its first field. */
  private Kernel poolBackward(Kernel kernel, Tensor gradY, DeviceMemory partial, UnitGradients to, Unit unit, Tensor gradZ, Tensor chosen, Window window) {
    int channels = gradY.shape().channels();
    orNull(unitSums(kernel.memory(partial).memory(sums.counters()), to, channels).element(gradZ), chosen).element(unit.y());
    return windows(nonlinearity(norm(kernel, unit.norm()), unit.f()), gradY.shape(), gradZ.shape(), window).integer(rows(gradY)).integer(channels);
  }

  @Override
  public void join(Tensor gradZ, Incoming g) {
    FusedRules.requireJoin("join", gradZ, g);
    DeviceMemory partial = sums.plan(rows(gradZ), gradZ.shape().channels(), SUMS);
    Kernel kernel = sums(device.kernel("unit_join", gradZ), partial, sums.blocks(), gradZ, g);
    for (int i = 0; i < 6; i++) kernel.address(0);
    incoming(kernel, g);
    for (int i = 0; i < UNIT_FIELDS; i++) kernel.address(0);
    sums.launch(rows(kernel, gradZ));
  }

  private static final int UNIT_FIELDS = 1 + 4 + 7 + 3;

  /** The first fields of struct UnitBackward. */
  private Kernel sums(Kernel kernel, DeviceMemory partial, int blocks, Tensor gradT, Incoming g) {
    kernel.element(gradT).memory(partial).memory(device.scratch(CudaDevice.Scratch.TOTALS, 16L * blocks)).memory(sums.counters());
    return orNull(orNull(kernel, g.gradAlpha()), g.gradBeta());
  }

  /** struct Incoming. */
  private Kernel incoming(Kernel kernel, Incoming g) {
    elementOrNull(elementOrNull(kernel, g.gradQ()), g.z()).slope(g.slope() == null ? SlopeCode.NONE : SlopeCode.of(device, g.slope()));
    return shortcut(binarization(kernel, g.of()), g.over());
  }

  /** The last fields of struct UnitBackward. */
  private static Kernel rows(Kernel kernel, Tensor gradT) {
    return kernel.integer(rows(gradT)).integer(gradT.shape().channels()).integer(gradT.shape().d1()).integer(gradT.shape().d2());
  }
}
