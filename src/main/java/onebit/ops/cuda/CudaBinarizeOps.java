package onebit.ops.cuda;

import java.util.stream.IntStream;
import onebit.binarize.Binarizer;
import onebit.ops.BinarizeOps;
import onebit.ops.Rotation;
import onebit.ops.Shapes;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.Tensor;

/**
 * Binarization on the device: one block per filter or sample where sums are needed, else one thread per value.
 *
 * <pre>
 * Twin  kernels/slope.cu, pack.cu, adabin_weights.cu, adabin_activations.cu, sign.cu, sine_sign.cu, sample_scale.cu, sample_standard.cu, rotation.cu
 * </pre>
 */
final class CudaBinarizeOps implements BinarizeOps {
  private static final int FILTER = 256;
  private static final int SAMPLE = 1024;

  private final CudaBackend backend;
  private final CudaDevice device;
  private final FilterLayouts layouts;

  CudaBinarizeOps(CudaBackend backend, CudaDevice device, FilterLayouts layouts) {
    this.backend = backend;
    this.device = device;
    this.layouts = layouts;
  }

  @Override
  public void sign(BitTensor bits, Tensor x, Binarizer f) {
    Shapes.requireBits("sign", bits, x);
    SlopeCode slope = SlopeCode.of(device, f);
    layouts.written(bits);
    device.kernel("pack_level", x).bits(bits).element(x).slope(slope).integer(bits.rows()).integer(bits.bits())
        .blocks(CudaBitOps.packBlocks(device, bits), 256);
  }

  @Override
  public void level(Tensor y, Tensor x, Binarizer f) {
    Shapes.requireEqual("level", "y", y, "x", x);
    SlopeCode slope = SlopeCode.of(device, f);
    device.kernel("level").tensor(y).tensor(x).slope(slope).integer(x.size()).each(x.size());
  }

  @Override
  public void scaleFilters(Tensor y, Tensor x, Tensor scale) {
    Shapes.requireEqual("scaleFilters", "y", y, "x", x);
    Shapes.requirePerFilter("scaleFilters", "scale", scale, x);
    device.kernel("scale_filters").tensor(y).tensor(x).tensor(scale).integer(x.size()).integer(x.shape().rowSize()).each(x.size());
  }

  @Override
  public void slope(Tensor gradX, Tensor gradQ, Tensor x, Binarizer f) {
    Shapes.requireEqual("slope", "gradX", gradX, "x", x);
    Shapes.requireEqual("slope", "gradQ", gradQ, "x", x);
    SlopeCode slope = SlopeCode.of(device, f);
    device.kernel("slope", x).element(gradX).element(gradQ).element(x).slope(slope).integer(x.size()).each(x.size());
  }

  @Override
  public void learnedSet(BitTensor bits, BinarySet set, Tensor x, Tensor alpha, Tensor beta, boolean codeForm) {
    Shapes.requireBits("learnedSet", bits, x);
    Shapes.requireLearnedSet("learnedSet", alpha, beta);
    Shapes.requireCount("learnedSet", "the set's centre", set.centre(), 1);
    layouts.written(bits);
    device.kernel("pack_learned", x).bits(bits).tensor(set.centre()).tensor(set.distance()).element(x).tensor(alpha).tensor(beta)
        .integer(codeForm ? 1 : 0).integer(bits.rows()).integer(bits.bits()).blocks(CudaBitOps.packBlocks(device, bits), 256);
  }

  @Override
  public void learnedSetBackward(Tensor gradX, Tensor gradAlpha, Tensor gradBeta, Tensor gradQ, Tensor x, Tensor alpha, Tensor beta,
      Binarizer f, boolean codeForm) {
    Shapes.requireLearnedSet("learnedSetBackward", alpha, beta);
    Shapes.requireLearnedSet("learnedSetBackward", gradAlpha, gradBeta);
    Shapes.requireEqual("learnedSetBackward", "gradX", gradX, "x", x);
    Shapes.requireEqual("learnedSetBackward", "gradQ", gradQ, "x", x);
    SlopeCode slope = SlopeCode.of(device, f);
    int blocks = Math.clamp(device.blocks(x.size()), 1, 1024);   // at least one, so that an empty tensor gives 0
    DeviceMemory partial = device.scratch(CudaDevice.Scratch.SUMS, 16L * blocks);
    device.kernel("learned_set_backward", x).element(gradX).memory(partial).element(gradQ).element(x).tensor(alpha).tensor(beta).slope(slope)
        .integer(codeForm ? 1 : 0).integer(x.size()).blocks(blocks, 256);
    device.kernel("learned_set_backward_finish").tensor(gradAlpha).tensor(gradBeta).memory(partial).integer(blocks).blocks(1, 256);
  }

  @Override
  public void sampleScaleBackward(Tensor gradX, Tensor gradQ, Tensor x, Binarizer f, float epsilon) {
    Shapes.requireEqual("sampleScaleBackward", "gradX", gradX, "x", x);
    Shapes.requireEqual("sampleScaleBackward", "gradQ", gradQ, "x", x);
    SlopeCode slope = SlopeCode.of(device, f);
    device.kernel("sample_scale_backward", x).element(gradX).element(gradQ).element(x).slope(slope).real(epsilon).integer(x.shape().rowSize())
        .blocks(x.shape().d0(), SAMPLE);
  }

  @Override
  public void sampleStandard(BitTensor bits, Tensor statistics, Tensor x) {
    Shapes.requireSampleBits("sampleStandard", bits, x);
    Shapes.requireCount("sampleStandard", "statistics", statistics, 2 * x.shape().d0());
    int rowsPerSample = bits.rows() / x.shape().d0();
    device.kernel("sample_standard", x).tensor(statistics).element(x).integer(x.shape().rowSize()).blocks(x.shape().d0(), SAMPLE);
    packRows(bits, x, statistics, rowsPerSample, 2);
  }

  private void packRows(BitTensor bits, Tensor x, Tensor thresholds, int rowsEach, int step) {
    layouts.written(bits);
    device.kernel("pack_rows", x).bits(bits).element(x).tensor(thresholds).integer(rowsEach).integer(step).integer(bits.rows()).integer(bits.bits())
        .blocks(CudaBitOps.packBlocks(device, bits), 256);
  }

  @Override
  public void sampleStandardBackward(Tensor gradX, Tensor gradQ, Tensor x, Tensor statistics, Binarizer f) {
    Shapes.requireEqual("sampleStandardBackward", "gradX", gradX, "x", x);
    Shapes.requireEqual("sampleStandardBackward", "gradQ", gradQ, "x", x);
    Shapes.requireCount("sampleStandardBackward", "statistics", statistics, 2 * x.shape().d0());
    SlopeCode slope = SlopeCode.of(device, f);
    device.kernel("sample_standard_backward", x).element(gradX).element(gradQ).element(x).tensor(statistics).slope(slope).integer(x.shape().rowSize())
        .blocks(x.shape().d0(), SAMPLE);
  }

  @Override
  public void meanAbsolute(Tensor distance, Tensor w, float factor) {
    Shapes.requirePerFilter("meanAbsolute", "distance", distance, w);
    device.kernel("mean_absolute").tensor(distance).tensor(w).real(factor).integer(w.shape().rowSize()).blocks(w.shape().d0(), FILTER);
  }

  @Override
  public void signWeightsBackward(Tensor gradW, Tensor gradE, Tensor w, Tensor scale, Binarizer f, boolean throughMeanAbsolute) {
    Shapes.requireEqual("signWeightsBackward", "gradW", gradW, "w", w);
    Shapes.requireEqual("signWeightsBackward", "gradE", gradE, "w", w);
    Shapes.requireScale("signWeightsBackward", scale, w);
    SlopeCode slope = SlopeCode.of(device, f);
    device.kernel("sign_weights_backward").tensor(gradW).tensor(gradE).tensor(w).tensor(scale).integer(scale.size() > 1 ? 1 : 0).slope(slope)
        .integer(throughMeanAbsolute ? 1 : 0).integer(w.shape().rowSize()).blocks(w.shape().d0(), FILTER);
  }

  @Override
  public void scaleBackward(Tensor gradScale, Tensor gradE, Tensor w, Binarizer f, boolean real) {
    Shapes.requireEqual("scaleBackward", "gradE", gradE, "w", w);
    Shapes.requirePerFilter("scaleBackward", "gradScale", gradScale, w);
    SlopeCode slope = SlopeCode.of(device, f);
    device.kernel("scale_backward").tensor(gradScale).tensor(gradE).tensor(w).slope(slope).integer(real ? 1 : 0).integer(w.shape().rowSize())
        .blocks(w.shape().d0(), FILTER);
  }

  @Override
  public void centreDistance(BitTensor bits, BinarySet set, Tensor w) {
    Shapes.requireBits("centreDistance", bits, w);
    Shapes.requireFilterSet("centreDistance", set, w);
    device.kernel("centre_distance").tensor(set.centre()).tensor(set.distance()).tensor(w).integer(w.shape().rowSize()).blocks(w.shape().d0(), FILTER);
    packRows(bits, w, set.centre(), 1, 1);
  }

  @Override
  public void centreDistanceBackward(Tensor gradW, Tensor gradE, Tensor w, BinarySet set, Binarizer f) {
    Shapes.requireEqual("centreDistanceBackward", "gradW", gradW, "w", w);
    Shapes.requireEqual("centreDistanceBackward", "gradE", gradE, "w", w);
    Shapes.requireFilterSet("centreDistanceBackward", set, w);
    SlopeCode slope = SlopeCode.of(device, f);
    device.kernel("centre_distance_backward").tensor(gradW).tensor(gradE).tensor(w).tensor(set.centre()).tensor(set.distance()).slope(slope)
        .integer(w.shape().rowSize()).blocks(w.shape().d0(), FILTER);
  }

  @Override
  public void standardize(Tensor u, Tensor deviation, Tensor w) {
    Shapes.requireEqual("standardize", "u", u, "w", w);
    Shapes.requirePerFilter("standardize", "deviation", deviation, w);
    device.kernel("standardize", u).element(u).tensor(deviation).element(w).integer(w.shape().rowSize()).blocks(w.shape().d0(), FILTER);
  }

  @Override
  public void standardizeBackward(Tensor gradW, Tensor q, Tensor u, Tensor deviation) {
    Shapes.requireEqual("standardizeBackward", "gradW", gradW, "u", u);
    Shapes.requireEqual("standardizeBackward", "q", q, "u", u);
    Shapes.requirePerFilter("standardizeBackward", "deviation", deviation, u);
    device.kernel("standardize_backward", gradW).element(gradW).element(q).element(u).tensor(deviation).integer(u.shape().rowSize())
        .blocks(u.shape().d0(), FILTER);
  }

  @Override
  public void rotateMix(Tensor mixed, Tensor rotated, Tensor u, Tensor r1, Tensor r2, Tensor angle) {
    Shapes.requireRotateMix(mixed, rotated, u, r1, r2, angle);
    int a = r1.shape().d0(), b = r2.shape().d0(), size = u.shape().rowSize();
    device.kernel("rotate_mix").tensor(mixed).tensor(rotated).tensor(u).tensor(r1).tensor(r2).tensor(angle).integer(a).integer(b)
        .integer(u.shape().d1() * u.shape().d2()).integer(u.shape().d3()).launch(u.shape().d0(), 1, FILTER, 1, 8 * size);
  }

  @Override
  public void rotateMixBackward(Tensor q, Tensor gradAngle, Tensor gradE, Tensor mixed, Tensor rotated, Tensor u, Tensor angle, Tensor scale,
      Binarizer f) {
    Shapes.requireRotateMixBackward(q, gradAngle, gradE, mixed, rotated, u, angle, scale);
    SlopeCode slope = SlopeCode.of(device, f);
    device.kernel("rotate_mix_backward").tensor(q).tensor(gradAngle).tensor(gradE).tensor(mixed).tensor(rotated).tensor(u).tensor(angle)
        .tensor(scale).slope(slope).integer(u.shape().rowSize()).blocks(u.shape().d0(), FILTER);
  }

  /** On the host, between two epochs: the singular value decompositions are small, the copies three matrices. */
  @Override
  public void rotationRounds(Tensor r1, Tensor r2, Tensor u, int rounds) {
    Shapes.requireRotation("rotationRounds", r1, r2, u);
    float[] first = backend.read(r1), second = backend.read(r2);
    new Rotation(u.shape(), r1.shape().d0(), r2.shape().d0(), first, second, (count, body) -> IntStream.range(0, count).parallel().forEach(body))
        .improve(backend.read(u), rounds);
    backend.write(r1, first);
    backend.write(r2, second);
  }

  @Override
  public void squaredLevelPenalty(Tensor sum, Tensor gradW, Tensor w, Binarizer f, float factor) {
    Shapes.requireCount("squaredLevelPenalty", "sum", sum, 1);
    Shapes.requireEqual("squaredLevelPenalty", "gradW", gradW, "w", w);
    SlopeCode slope = SlopeCode.of(device, f);
    int filters = w.shape().d0();
    DeviceMemory squares = device.scratch(CudaDevice.Scratch.SUMS, 8L * filters);
    device.kernel("squared_level").tensor(gradW).memory(squares).tensor(w).slope(slope).real(factor).integer(w.shape().rowSize()).blocks(filters, FILTER);
    device.kernel("squared_level_finish").tensor(sum).memory(squares).integer(filters).real(factor).integer(w.size()).blocks(1, FILTER);
  }
}
