package onebit.ops.cuda;

import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import onebit.binarize.Binarizer;
import onebit.ops.WeightOps;
import onebit.ops.WeightRules;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/**
 * The weights of many layers on the device: one launch forward and one backward over a table of layers, a block per filter;
 * forward one more for the filters as convolutions of bits read them.
 *
 * <pre>
 * Twin  kernels/adabin_weights.cu, sign_weights.cu, rotation.cu
 * Cost  a penalty takes one launch more backward
 * </pre>
 */
final class CudaWeightOps implements WeightOps {
  private final CudaDevice device;
  private final FilterLayouts layouts;
  /** By the very list that was given first. */
  private final Map<List<?>, FilterTable> tables = new IdentityHashMap<>();

  CudaWeightOps(CudaDevice device, FilterLayouts layouts) {
    this.device = device;
    this.layouts = layouts;
  }

  private FilterTable table(List<?> key, Supplier<FilterTable> made) {
    return tables.computeIfAbsent(key, list -> made.get());
  }

  private static int rounded(Tensor values) {
    return values.type() == ElementType.BFLOAT16 ? 1 : 0;
  }

  private long address(List<Tensor> tensors, int i) {
    return tensors == null ? 0 : address(tensors.get(i));
  }

  private long address(Tensor tensor) {
    return device.memory(tensor).address();
  }

  private long address(BitTensor bits) {
    return device.memory(bits).address();
  }

  @Override
  public void centreDistanceAll(List<BitTensor> bits, List<BinarySet> sets, List<Tensor> effective, List<Tensor> ws) {
    FilterTable table = table(bits, () -> {
      WeightRules.requireForward("centreDistanceAll", bits, effective, ws);
      WeightRules.requireFilterSets("centreDistanceAll", sets, ws);
      return new FilterTable(device, ws, i -> new FilterTable.Entry(new long[] {address(ws.get(i)), 0, address(sets.get(i).centre()),
          address(sets.get(i).distance()), address(bits.get(i)), address(effective.get(i))}, ws.get(i).shape().rowSize(), rounded(effective.get(i))));
    });
    table.launch(table.arguments(device.kernel("centre_distance_all")), 0);
    layouts.layOutAll(bits, ws);
  }

  @Override
  public void centreDistanceAllBackward(List<Tensor> gradients, List<Tensor> gradEs, List<Tensor> ws, List<BinarySet> sets, Binarizer f) {
    FilterTable table = table(gradients, () -> {
      WeightRules.requireBackward("centreDistanceAllBackward", gradients, gradEs, ws);
      WeightRules.requireFilterSets("centreDistanceAllBackward", sets, ws);
      return new FilterTable(device, ws, i -> new FilterTable.Entry(new long[] {address(ws.get(i)), address(gradients.get(i)), address(sets.get(i).centre()),
          address(sets.get(i).distance()), 0, address(gradEs.get(i))}, ws.get(i).shape().rowSize(), rounded(gradEs.get(i))));
    });
    table.launch(table.arguments(device.kernel("centre_distance_all_backward")).slope(SlopeCode.of(device, f)), 0);
  }

  @Override
  public void signWeightsAll(List<BitTensor> bits, List<BinarySet> sets, List<Tensor> effective, List<Tensor> ws, Binarizer f, float meanFactor,
      boolean real) {
    FilterTable table = table(bits, () -> {
      WeightRules.requireForward("signWeightsAll", bits, effective, ws);
      WeightRules.requireScales("signWeightsAll", sets, ws, meanFactor != 0);
      return new FilterTable(device, ws, i -> signs(ws.get(i), 0, sets.get(i), 0, address(bits.get(i)), effective.get(i), 0, 0));
    });
    table.launch(table.arguments(device.kernel("sign_weights_all")).slope(SlopeCode.of(device, f)).real(meanFactor).integer(real ? 1 : 0), 0);
    if (real) bits.forEach(layouts::written);
    else layouts.layOutAll(bits, ws);
  }

  /** An entry of kernels/sign_weights.cu. */
  private FilterTable.Entry signs(Tensor w, long gradient, BinarySet set, long gradScale, long words, Tensor values, long squares, long sum) {
    return new FilterTable.Entry(new long[] {address(w), gradient, address(set.distance()), gradScale, words, address(values), squares, sum},
        w.shape().rowSize(), w.shape().d0(), set.distance().size() > 1 ? 1 : 0, rounded(values));
  }

  @Override
  public void signWeightsAllBackward(List<Tensor> gradients, List<Tensor> gradScales, List<Tensor> penalties, List<Tensor> gradEs, List<Tensor> ws,
      List<BinarySet> sets, Binarizer f, boolean throughMeanAbsolute, boolean real, float factor) {
    FilterTable table = table(gradients, () -> {
      WeightRules.requireBackward("signWeightsAllBackward", gradients, gradEs, ws);
      WeightRules.requireScales("signWeightsAllBackward", sets, ws, throughMeanAbsolute);
      WeightRules.requireSignGradients("signWeightsAllBackward", gradScales, penalties, ws);
      DeviceMemory squares = penalties == null ? null : device.allocate(8L * FilterTable.count(ws));
      return new FilterTable(device, ws, i -> signs(ws.get(i), address(gradients.get(i)), sets.get(i), address(gradScales, i), 0, gradEs.get(i),
          squares == null ? 0 : squares.address() + 8L * FilterTable.count(ws.subList(0, i)), address(penalties, i)));
    });
    float weight = penalties == null ? 0 : factor;
    table.launch(table.arguments(device.kernel("sign_weights_all_backward")).slope(SlopeCode.of(device, f)).integer(throughMeanAbsolute ? 1 : 0)
        .integer(real ? 1 : 0).real(weight), 0);
    if (penalties != null) table.launchPerLayer(device.kernel("squared_level_all"), weight);
  }

  @Override
  public void rotateAll(List<BitTensor> bits, List<Mix> mixes, List<Tensor> effective, List<Tensor> ws, List<Tensor> r1s, List<Tensor> r2s, Binarizer f) {
    FilterTable table = table(bits, () -> {
      WeightRules.requireForward("rotateAll", bits, effective, ws);
      WeightRules.requireMixes("rotateAll", mixes, ws);
      WeightRules.requireRotations("rotateAll", r1s, r2s, ws);
      return new FilterTable(device, ws, i -> rotation(mixes.get(i), address(ws.get(i)), 0, address(r1s.get(i)), address(r2s.get(i)), 0, 0,
          address(bits.get(i)), effective.get(i), r1s.get(i).shape().d0(), r2s.get(i).shape().d0()));
    });
    int largest = 0;
    for (Tensor w : ws) largest = Math.max(largest, w.shape().rowSize());
    table.launch(table.arguments(device.kernel("rotate_all")).slope(SlopeCode.of(device, f)), 8 * largest);
    layouts.layOutAll(bits, ws);
  }

  /** An entry of kernels/rotation.cu. */
  private FilterTable.Entry rotation(Mix mix, long w, long gradient, long r1, long r2, long gradAngle, long gradScale, long words, Tensor values, int a,
      int b) {
    var shape = mix.u().shape();
    return new FilterTable.Entry(new long[] {w, gradient, address(mix.u()), address(mix.deviation()), address(mix.rotated()), address(mix.mixed()), r1, r2,
        address(mix.angle()), address(mix.scale()), gradAngle, gradScale, words, address(values)}, shape.rowSize(), rounded(values), a, b,
        shape.d1() * shape.d2(), shape.d3());
  }

  @Override
  public void rotateAllBackward(List<Tensor> gradients, List<Tensor> gradScales, List<Tensor> gradAngles, List<Tensor> gradEs, List<Mix> mixes,
      Binarizer f) {
    FilterTable table = table(gradients, () -> {
      List<Tensor> us = mixes.stream().map(Mix::u).toList();
      WeightRules.requireBackward("rotateAllBackward", gradients, gradEs, us);
      WeightRules.requireMixes("rotateAllBackward", mixes, us);
      WeightRules.requirePerFilter("rotateAllBackward", "gradScale", gradScales, us);
      WeightRules.requirePerFilter("rotateAllBackward", "gradAngle", gradAngles, us);
      return new FilterTable(device, us, i -> rotation(mixes.get(i), 0, address(gradients.get(i)), 0, 0, address(gradAngles.get(i)),
          address(gradScales.get(i)), 0, gradEs.get(i), 0, 0));
    });
    table.launch(table.arguments(device.kernel("rotate_all_backward")).slope(SlopeCode.of(device, f)), 0);
  }
}
