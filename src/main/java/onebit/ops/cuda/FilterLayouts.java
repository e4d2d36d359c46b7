package onebit.ops.cuda;

import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import onebit.ops.ConvGeometry;
import onebit.tensor.BitTensor;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/**
 * Filters of bits as the kernels read them: every tap on words of its own, and the ones of the taps above and left of each corner of the window.
 *
 * <pre>
 * Shapes  taps O rows of R*S*ceil(C/32) words of 32 bits, ones [R+1][S+1][O]
 * Twin    kernels/xnor_conv2d.cu, xnor_conv2d_filters and xnor_conv2d_filters_all
 * </pre>
 *
 * The filters of many layers are laid out in one launch as soon as they are made; they hold until their bits are written by another op.
 */
final class FilterLayouts {
  /** The filters of one convolution. */
  record Layout(DeviceMemory taps, DeviceMemory ones, Shape filters) {}

  private final CudaDevice device;
  /** By the memory of the bits. */
  private final Map<Object, Layout> kept = new IdentityHashMap<>();
  private final Set<Object> madeWithTheirBits = Collections.newSetFromMap(new IdentityHashMap<>());
  /** By the very list that was given first. */
  private final Map<List<BitTensor>, FilterTable> tables = new IdentityHashMap<>();

  FilterLayouts(CudaDevice device) {
    this.device = device;
  }

  private static long tapBytes(Shape filters) {
    return 4L * filters.d0() * filters.d1() * filters.d2() * CudaBitOps.words(filters.d3());
  }

  private static long onesBytes(Shape filters) {
    return 4L * filters.d0() * (filters.d1() + 1) * (filters.d2() + 1);
  }

  private Layout room(BitTensor bits, Shape filters) {
    Layout layout = kept.computeIfAbsent(bits.memory(), any -> new Layout(device.allocate(tapBytes(filters)), device.allocate(onesBytes(filters)), filters));
    if (!layout.filters.equals(filters)) throw new IllegalArgumentException("filters " + filters + " are in the bits of filters " + layout.filters + "; both must be equal");
    return layout;
  }

  /** The filters of many layers, just made from ws, in one launch. */
  void layOutAll(List<BitTensor> bits, List<Tensor> ws) {
    FilterTable table = tables.computeIfAbsent(bits, any -> new FilterTable(device, ws, i -> {
      Shape filters = ws.get(i).shape();
      Layout to = room(bits.get(i), filters);
      return new FilterTable.Entry(new long[] {to.taps.address(), to.ones.address(), device.memory(bits.get(i)).address()}, filters.d0(), filters.d1(), filters.d2(), filters.d3());
    }));
    table.launchWarps(table.arguments(device.kernel("xnor_conv2d_filters_all")));
    for (BitTensor each : bits) madeWithTheirBits.add(each.memory());
  }

  /** An op that lays out nothing writes these bits. */
  void written(BitTensor bits) {
    madeWithTheirBits.remove(bits.memory());
  }

  /** The filters as they are now, for the launches that follow. */
  Layout now(BitTensor bits, ConvGeometry g) {
    Shape filters = g.filters();
    if (madeWithTheirBits.contains(bits.memory())) return room(bits, filters);
    return layOut(new Layout(device.scratch(CudaDevice.Scratch.FILTERS, tapBytes(filters)), device.scratch(CudaDevice.Scratch.COUNTS, onesBytes(filters)), filters), bits, g);
  }

  /** The filters as they are now, kept for backward. */
  Layout keep(BitTensor bits, ConvGeometry g) {
    Layout layout = room(bits, g.filters());
    return madeWithTheirBits.contains(bits.memory()) ? layout : layOut(layout, bits, g);
  }

  /** The filters as they were kept, or as they are now if none were. */
  Layout kept(BitTensor bits, ConvGeometry g) {
    return kept.containsKey(bits.memory()) ? room(bits, g.filters()) : keep(bits, g);
  }

  private Layout layOut(Layout to, BitTensor bits, ConvGeometry g) {
    device.kernel("xnor_conv2d_filters").memory(to.taps).memory(to.ones).bits(bits).integer(g.o()).integer(g.r()).integer(g.s()).integer(g.c())
        .each(Math.multiplyExact(g.o(), 32));
    return to;
  }
}
