package onebit.ops.cuda;

import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;
import onebit.ops.BitOps;
import onebit.ops.ConvGeometry;
import onebit.ops.ConvRules;
import onebit.ops.FusedOps.Product;
import onebit.ops.Padding;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/**
 * Packed bits on the device: products on the tensor cores from sm_75 to sm_90, by population count elsewhere.
 *
 * <pre>
 * Twin  kernels/pack.cu, unpack.cu, xnor_gemm.cu, xnor_gemm_tiles.cu, xnor_conv2d.cu, xnor_conv.cuh, xnor_held.cuh, xnor_planes.cuh, changed_bits.cu
 * </pre>
 */
final class CudaBitOps implements BitOps {
  /** A block's rows, 32-bit words of a row in one stage, most stages, kinds of border, and bytes beside the stages: kernels/xnor_tile.cuh, xnor_conv.cuh. */
  private static final int ROWS = 128, STAGE_WORDS = 16, STAGES = 3, BORDERS = 16, PLACES_BYTES = 16 * ROWS + 8 * 256;

  /** Bytes of a block that leave room for four blocks, as registers do, and for three where filters take a part. */
  private static final int HELD_BYTES = 48 << 10, PLANES_BYTES = 75 << 10;

  /** Bytes of a block in which bfloat16 statistics are added up, beside those of the tiles: kernels/unit_product.cu, ProductSums. */
  private static final int SUMS_BYTES = 6272;

  /** Pixels with their border from which on these are no longer counted in 32 bits. */
  private static final int MOST_HELD = 1 << 29;

  /** Words of a row from which on counts no longer fit the kernels' floats. */
  private static final int MOST_WORDS = 1 << 16;

  /** Bytes of 8 rows by 8 float32 of each thread, in the place of the stages. */
  private static final int VALUES_BYTES = 4 * ROWS * 64;

  private final CudaDevice device;
  private final BitProduct product;
  private final BitGradients gradients;
  private final FilterLayouts layouts;
  private Tuning tuning;
  private ToDoubleFunction<Runnable> clock;

  /** conv is what multiplies values where bits are not multiplied as they are. */
  CudaBitOps(CudaDevice device, BitProduct product, CudaConvOps conv) {
    this.device = device;
    this.product = product;
    layouts = new FilterLayouts(device);
    gradients = new BitGradients(device, conv, this);
  }

  /** From now on convolutions take the way that was fastest by that clock. */
  void use(Tuning ways, ToDoubleFunction<Runnable> timed) {
    tuning = ways;
    clock = timed;
    gradients.use(ways, timed);
  }

  /** 32-bit words of a row of so many bits on the device. */
  static int words(int bits) {
    return (bits + 31) >>> 5;
  }

  private static void requireCounted(int words) {
    if (words >= MOST_WORDS) throw new IllegalArgumentException("bit products: a row has " + words + " words of 32 bits; on the device it must have fewer than " + MOST_WORDS);
  }

  private static void requireCounted(ConvGeometry g) {
    requireCounted(Math.multiplyExact(g.r() * g.s(), words(g.c())));
  }

  /** Bytes of shared memory of a block: its stages, or what else takes so many bytes in their place. */
  private static int room(int columnsPerBlock, int words, int least) {
    return Math.max(4 * Math.min(STAGES, (words + STAGE_WORDS - 1) / STAGE_WORDS) * (ROWS + columnsPerBlock) * STAGE_WORDS, least);
  }

  private static int blocks(int n, int each) {
    return (n + each - 1) / each;
  }

  /** What the kernels call the element type of y. */
  private static int element(Tensor y) {
    return switch (y.type()) {
      case FLOAT32 -> 0;
      case BFLOAT16 -> 1;
      case INT16 -> 2;
      default -> throw new IllegalArgumentException("bit products: y is " + y.type() + "; it must be FLOAT32, BFLOAT16 or INT16");
    };
  }

  /** One warp per word. */
  static int packBlocks(CudaDevice device, BitTensor bits) {
    return device.blocks(Math.multiplyExact(Math.multiplyExact(bits.rows(), words(bits.bits())), 32));
  }

  @Override
  public void pack(BitTensor bits, Tensor x, float threshold) {
    ConvRules.requirePack("pack", bits, x);
    layouts.written(bits);
    device.kernel("pack", x).bits(bits).element(x).real(threshold).integer(bits.rows()).integer(bits.bits()).blocks(packBlocks(device, bits), 256);
  }

  @Override
  public void unpack(Tensor x, BitTensor bits, BinarySet set) {
    ConvRules.requirePack("unpack", bits, x);
    ConvRules.requireSet("unpack", "set", set, bits.rows());
    device.kernel("unpack", x).element(x).bits(bits).tensor(set.centre()).tensor(set.distance()).integer(set.count() == 1 ? 0 : 1).integer(x.size())
        .integer(bits.bits()).each(x.size());
  }

  @Override
  public void changedBits(Tensor counts, int at, BitTensor before, BitTensor now) {
    ConvRules.requireChangedBits(counts, at, before, now);
    device.kernel("changed_bits").tensor(counts).bits(before).bits(now).integer(Math.multiplyExact(now.rows(), words(now.bits()))).integer(at).blocks(1, 256);
  }

  @Override
  public void xnorGemm(Tensor y, BitTensor a, BitTensor b) {
    ConvRules.requireXnorGemm(y, a, b);
    requireCounted(words(a.bits()));
    List<BitProduct.Way> blocks = waysOfXnorGemm(b.rows());
    if (tuning == null) {
      xnorGemm(blocks, 0, y, a, b);
      return;
    }
    List<Tuning.Choice> ways = waysOfXnorGemm(y, a, b);
    xnorGemm(blocks, tuning.choose(ways.getFirst().shape(), ways.stream().map(Tuning.Choice::way).toList(), i -> clock.applyAsDouble(() -> xnorGemm(blocks, i, y, a, b))), y, a, b);
  }

  /** The ways to multiply these matrices, each as the choice by which a tuning takes it; the first is taken where there is no tuning. */
  List<Tuning.Choice> waysOfXnorGemm(Tensor y, BitTensor a, BitTensor b) {
    List<String> ways = new ArrayList<>();
    for (BitProduct.Way way : waysOfXnorGemm(b.rows())) ways.add(way.toString());
    if (device.hasWarpgroups()) ways.add(GemmTiles.WAY);
    return ways.stream().map(way -> new Tuning.Choice("xnorGemm " + a.rows() + "x" + b.rows() + "x" + a.bits() + " to " + y.type(), way, 0)).toList();
  }

  /** Those with blocks of one tile, the usual one first. */
  private List<BitProduct.Way> waysOfXnorGemm(int n) {
    BitProduct.Way usual = new BitProduct.Way(product, product.columnsPerBlock(n));
    List<BitProduct.Way> all = new ArrayList<>(List.of(usual));
    for (BitProduct.Way way : BitProduct.ways(device.capability(), n)) if (!way.equals(usual)) all.add(way);
    return all;
  }

  /** The product by one of the ways, of which those behind the blocks of one tile is that of warpgroups. */
  private void xnorGemm(List<BitProduct.Way> ways, int at, Tensor y, BitTensor a, BitTensor b) {
    if (at == ways.size()) new GemmTiles(device).multiply(y, element(y), a, b);
    else multiply(ways.get(at).product(), ways.get(at).columns(), y, a, b);
  }

  /** By one product, with blocks of one tile of so many columns. */
  private void multiply(BitProduct product, int columns, Tensor y, BitTensor a, BitTensor b) {
    int m = a.rows(), n = b.rows(), room = room(columns, words(a.bits()), 0), rows = Math.addExact(m, n);
    long ones = device.scratch(CudaDevice.Scratch.COUNTS, 4L * rows).address();
    device.kernel("bit_counts").address(ones).address(ones + 4L * m).bits(a).bits(b).integer(m).integer(n).integer(words(b.bits()))
        .blocks(device.blocks(Math.multiplyExact(rows, 32)), 256);
    device.kernel(product.entry("xnor_gemm", columns)).memory(device.memory(y)).bits(a).bits(b).address(ones).address(ones + 4L * m).integer(m).integer(n).integer(a.bits())
        .integer(element(y)).launch(blocks(m, ROWS), blocks(n, columns), 128, 1, room);
  }

  @Override
  public void xnorConv2d(Tensor y, BitTensor x, BitTensor w, BinarySet xSet, BinarySet wSet, ConvGeometry g, Padding padding, float offset) {
    ConvRules.requireXnorConv2d(y, x, w, xSet, wSet, g);
    xnorConv2d(y, 0, x, w, xSet, wSet, g, padding, offset);
  }

  @Override
  public void xnorConv2dGradW(Tensor gradW, Tensor gradY, BitTensor x, BinarySet xSet, ConvGeometry g, float border, Tensor values) {
    gradients.gradW(gradW, gradY, x, xSet, g, border, values);
  }

  @Override
  public void xnorConv2dGradX(Tensor gradX, Tensor gradY, BitTensor w, BinarySet wSet, Tensor values, ConvGeometry g) {
    gradients.gradX(gradX, gradY, w, wSet, values, g);
  }

  @Override
  public void xnorConv2dGradFloat8(Tensor gradX, Tensor gradW, Tensor gradY, Tensor codes, BitTensor x, BinarySet xSet, BitTensor w, BinarySet wSet, ConvGeometry g,
      float border) {
    gradients.float8(gradX, gradW, gradY, codes, x, xSet, w, wSet, g, border);
  }

  /** The convolution; with an address, the sum(bx) of each position as int16 there. */
  void xnorConv2d(Tensor y, long sumsX, BitTensor x, BitTensor w, BinarySet xSet, BinarySet wSet, ConvGeometry g, Padding padding, float offset) {
    requireCounted(g);
    FilterLayouts.Layout filters = layouts.now(w, g);
    if (tuning == null) {
      multiply(product, copies(g) == Copies.TAPS ? product.columnsPerBlock(g.o()) : 64, y, sumsX, x, filters, xSet, wSet, g, padding, offset);
      return;
    }
    List<BitProduct.Way> ways = BitProduct.ways(device.capability(), g.o());
    int at = tuning.choose("xnorConv2d " + g + " to " + y.type() + (sumsX == 0 ? "" : " with sums of bits"), ways.stream().map(BitProduct.Way::toString).toList(),
        i -> clock.applyAsDouble(() -> multiply(ways.get(i).product(), ways.get(i).columns(), y, sumsX, x, filters, xSet, wSet, g, padding, offset)));
    multiply(ways.get(at).product(), ways.get(at).columns(), y, sumsX, x, filters, xSet, wSet, g, padding, offset);
  }

  /** The convolution by one product, with so many columns a block. */
  private void multiply(BitProduct product, int columns, Tensor y, long sumsX, BitTensor x, FilterLayouts.Layout filters, BinarySet xSet, BinarySet wSet, ConvGeometry g,
      Padding padding, float offset) {
    Copies copies = product == BitProduct.AND && columns == 64 ? copies(g) : Copies.TAPS;
    Kernel kernel = switch (copies) {
      case TAPS -> device.kernel(product.entry("xnor_conv2d", columns));
      case HELD -> device.kernel("xnor_conv2d_held");
      case PLANES -> device.kernel("xnor_conv2d_planes");
    };
    int across = blocks(g.o(), columns), room = room(g, copies, columns, 0), atOnce = copies != Copies.TAPS ? 4 : product == BitProduct.AND && columns == 64 ? 3 : 2;
    extents(sets(kernel.memory(device.memory(y)).address(sumsX), x, filters, xSet, wSet), g, padding).integer(element(y)).real(offset)
        .launch(alongRows(g, across, atOnce, room), across, 128, 1, room);
  }

  /** What is copied of x: every tap for itself, or a tile once, with filters in registers (kernels/xnor_held.cuh) or beside it (xnor_planes.cuh). */
  private enum Copies {
    TAPS, HELD, PLANES
  }

  private Copies copies(ConvGeometry g) {
    int words = words(g.c());
    if (product != BitProduct.AND || g.r() != 3 || g.s() != 3 || words < 2 || g.pad() > g.dilation()) return Copies.TAPS;
    if ((long) g.n() * (g.h() + g.pad()) * (g.w() + g.pad()) >= MOST_HELD) return Copies.TAPS;
    if (words == 2) return heldRoom(g) <= HELD_BYTES ? Copies.HELD : Copies.TAPS;
    return planesRoom(g) <= PLANES_BYTES ? Copies.PLANES : Copies.TAPS;
  }

  /** Bytes of shared memory of a block, of which the stages take at least `least`. */
  private static int room(ConvGeometry g, Copies copies, int columns, int least) {
    return switch (copies) {
      case TAPS -> room(g, columns, least);
      case HELD -> Math.toIntExact(heldRoom(g));
      case PLANES -> Math.toIntExact(planesRoom(g));
    };
  }

  /** The most pixels that the positions of a tile read. */
  private static long heldPixels(ConvGeometry g) {
    long across = g.w() + g.pad(), lines = (ROWS - 1) / g.q() + 1, images = lines / g.p() + 1;
    long between = g.stride() * (across - g.q()), below = Math.max(0, g.h() + g.pad() - g.p() * g.stride()) * across;
    return (ROWS - 1) * g.stride() + lines * between + images * below + 2 * g.dilation() * (across + 1) + 1;
  }

  /** Bytes of a block: table, places and ends of two tiles, and the pixels that these read. */
  private static long heldRoom(ConvGeometry g) {
    return tableBytes(64) + 16 * ROWS + 16 + 16 * heldPixels(g);
  }

  /** The same with where taps begin and with filters, and 16 bytes of a pixel in each plane. */
  private static long planesRoom(ConvGeometry g) {
    long planes = (words(g.c()) + 3) / 4, plane = (heldPixels(g) + 5) / 8 * 8 + 2;
    return tableBytes(64) + 16 * ROWS + 16 + (9 * planes + 3) / 4 * 16 + (9 * planes + 1) / 2 * 32 * 64 + 32 * planes * plane;
  }

  /** Blocks along the rows, where `across` share each: as many as registers and shared memory let the device hold at once, each with many tiles, unless there are fewer tiles. */
  private int alongRows(ConvGeometry g, int across, int held, int room) {
    int atOnce = Math.clamp(device.blocksBySharedMemory(room), 1, held) * device.multiprocessors();
    return Math.clamp(blocks(pixels(g), ROWS), 1, Math.max(1, atOnce / across));
  }

  private static int pixels(ConvGeometry g) {
    return g.n() * g.p() * g.q();
  }

  /** Of a convolution: with its table and the places of its rows. */
  private static int room(ConvGeometry g, int columns, int least) {
    return room(columns, g.r() * g.s() * words(g.c()), least) + PLACES_BYTES + tableBytes(columns);
  }

  /** What values take beside their counts: two words a kind of border and two more for each column. */
  private static int tableBytes(int columns) {
    return 96 + 8 * BORDERS * (columns + 4) + 8 * columns;
  }

  /** How filters lie on the device for the launches that multiply them. */
  FilterLayouts layouts() {
    return layouts;
  }

  private static Kernel sets(Kernel kernel, BitTensor x, FilterLayouts.Layout filters, BinarySet xSet, BinarySet wSet) {
    return kernel.bits(x).memory(filters.taps()).memory(filters.ones()).tensor(xSet.centre()).tensor(xSet.distance()).tensor(wSet.centre()).tensor(wSet.distance())
        .integer(wSet.count() == 1 ? 0 : 1);
  }

  private static Kernel extents(Kernel kernel, ConvGeometry g, Padding padding) {
    return kernel.integer(g.n()).integer(g.h()).integer(g.w()).integer(g.c()).integer(g.o()).integer(g.r()).integer(g.s()).integer(g.stride()).integer(g.pad())
        .integer(g.dilation()).integer(g.p()).integer(g.q()).integer(padding == Padding.ZERO ? 1 : 0);
  }

  /** Lays out the filters of a product as they are now, for it and for its backward, and tells how its kernels are called. */
  BitProduct prepare(Product p) {
    requireCounted(p.g());
    layouts.keep(p.w(), p.g());
    return product;
  }

  /** The same, but that filters laid out before are taken to be what they were. */
  BitProduct prepared(Product p) {
    requireCounted(p.g());
    layouts.kept(p.w(), p.g());
    return product;
  }

  /** Blocks along the rows of a product whose values are of that type; the bits of sums depend on it. */
  int splits(Product p, ElementType values) {
    return alongRows(p.g(), blocks(p.g().o(), 64), values == ElementType.BFLOAT16 ? 3 : 2, room(p.g(), 64, VALUES_BYTES));
  }

  /** The statistics of a product that was prepared; its arguments but for the product are still to come. */
  Kernel statistics(Product p, Tensor z) {
    return switch (copies(p.g())) {
      case TAPS -> device.kernel(product.pass("unit_product_statistics"), z);
      case HELD -> device.kernel("unit_product_statistics_held", z);
      case PLANES -> device.kernel("unit_product_statistics_planes", z);
    };
  }

  /** Blocks along the rows of the statistics; the bits of sums depend on it. */
  int statisticsSplits(Product p, ElementType values) {
    if (copies(p.g()) == Copies.TAPS) return splits(p, values);
    return alongRows(p.g(), blocks(p.g().o(), 64), values == ElementType.BFLOAT16 ? 4 : 2, statisticsRoom(p) + SUMS_BYTES);
  }

  private int statisticsRoom(Product p) {
    return room(p.g(), copies(p.g()), 64, VALUES_BYTES);
  }

  /** Tiles of so many rows. */
  static int tiles(int rows) {
    return blocks(rows, ROWS);
  }

  /** struct Product, which ends the arguments; then the launch, so many blocks along the rows. */
  void launch(Kernel kernel, Product p, int blocks) {
    launch(kernel, p, blocks, room(p.g(), 64, VALUES_BYTES));
  }

  /** The same for its statistics. */
  void launchStatistics(Kernel kernel, Product p, int blocks) {
    launch(kernel, p, blocks, statisticsRoom(p));
  }

  private void launch(Kernel kernel, Product p, int blocks, int room) {
    extents(sets(kernel, p.x(), layouts.kept(p.w(), p.g()), p.xSet(), p.wSet()).real(p.offset()), p.g(), p.padding()).launch(blocks, blocks(p.g().o(), 64), 128, 1, room);
  }
}
