package onebit.ops.cpu;

import onebit.ops.BitOps;
import onebit.ops.ConvGeometry;
import onebit.ops.ConvRules;
import onebit.ops.Padding;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Tensor;

/**
 * Packed bits on the CPU: patch rows against panels of filters, differing bits counted, sums made from the counts. One caller at a time.
 *
 * <pre>
 * Twin  src/main/java/onebit/ops/cuda/CudaBitOps.java
 * </pre>
 */
public final class CpuBitOps implements BitOps {
  private static final int TILE = 64;

  private final XnorKernel kernel;
  private final ThreadLocal<BitTile> tiles = ThreadLocal.withInitial(BitTile::new);
  private final FilterTables tables = new FilterTables();
  private final CpuConvOps real = new CpuConvOps();
  private final Float8Gradients float8 = new Float8Gradients();
  private long[] panels = new long[0], aligned = new long[0];
  private float[] values = new float[0];
  private long[] words;
  private float[] xs, centre, distance;
  private int rowBits, rowWords, padded, each, n, rows, blocks;
  private float threshold;
  private ConvGeometry g;

  /** The vector kernel where there is the Vector API and a processor with vectors for it, else the plain one. */
  public CpuBitOps() {
    this(VectorCpu.REFUSAL == null);
  }

  private CpuBitOps(boolean vector) {
    kernel = vector ? new VectorXnor() : new PlainXnor();
  }

  /** The ops in plain Java on every machine. */
  public static CpuBitOps plain() {
    return new CpuBitOps(false);
  }

  /** Which kernel the machine gets, and why if it is not the vector one: one sentence. */
  public static String status() {
    return VectorCpu.REFUSAL == null ? "Vector API with " + 32 * VectorCpu.LANES + "-bit popcounts" : "plain Java bit counts, because " + VectorCpu.REFUSAL;
  }

  @Override
  public void pack(BitTensor bits, Tensor x, float threshold) {
    ConvRules.requirePack("pack", bits, x);
    words = bits.longs();
    xs = x.floats();
    rowBits = bits.bits();
    this.threshold = threshold;
    CpuThreads.range(bits.rows(), Math.max(1, 32 * 1024 / rowBits), this,
        (op, from, to) -> op.kernel.pack(op.words, op.xs, from, to, op.rowBits, op.threshold));
  }

  /** The rows [from, to) of {@link #pack}, on the calling thread. */
  void packRows(long[] bits, float[] x, int from, int to, int bitsPerRow, float threshold) {
    kernel.pack(bits, x, from, to, bitsPerRow, threshold);
  }

  @Override
  public void unpack(Tensor x, BitTensor bits, BinarySet set) {
    ConvRules.requirePack("unpack", bits, x);
    ConvRules.requireSet("unpack", "set", set, bits.rows());
    words = bits.longs();
    xs = x.floats();
    centre = set.centre().floats();
    distance = set.distance().floats();
    rowBits = bits.bits();
    rowWords = bits.words();
    each = set.count() == 1 ? 0 : 1;
    CpuThreads.range(bits.rows(), Math.max(1, 32 * 1024 / rowBits), this, (op, from, to) -> {
      for (int row = from; row < to; row++) {
        float c = op.centre[row * op.each], d = op.distance[row * op.each];
        op.kernel.unpack(op.xs, row * op.rowBits, op.words, row * op.rowWords, op.rowBits, c - d, c + d);
      }
    });
  }

  @Override
  public void changedBits(Tensor counts, int at, BitTensor before, BitTensor now) {
    ConvRules.requireChangedBits(counts, at, before, now);
    long[] old = before.longs(), fresh = now.longs();
    long ones = 0, changes = 0;
    for (int i = 0, n = now.rows() * now.words(); i < n; i++) {
      ones += Long.bitCount(fresh[i]);
      changes += Long.bitCount(fresh[i] ^ old[i]);
      old[i] = fresh[i];
    }
    counts.floats()[2 * at] = ones;
    counts.floats()[2 * at + 1] = changes;
  }

  @Override
  public void xnorGemm(Tensor y, BitTensor a, BitTensor b) {
    ConvRules.requireXnorGemm(y, a, b);
    n = b.rows();
    padded = kernel.padded(n);
    panels(b.longs(), n, a.words(), padded);
    tables.fillProduct(a.bits(), a.words(), padded);
    multiply(y, a);
  }

  /** y = the products of all rows of a with the panels. */
  private void multiply(Tensor y, BitTensor a) {
    words = a.longs();
    rowWords = a.words();
    xs = y.floats();
    CpuThreads.range(a.rows(), TILE, this, (op, from, to) -> {
      BitTile tile = op.tiles.get();
      tile.rows(op.words, from, to, op.rowWords, op.tables);
      op.products(tile, to - from, from * op.n);
    });
  }

  @Override
  public void xnorConv2d(Tensor y, BitTensor x, BitTensor w, BinarySet xSet, BinarySet wSet, ConvGeometry g, Padding padding, float offset) {
    ConvRules.requireXnorConv2d(y, x, w, xSet, wSet, g);
    boolean matrix = g.r() == 1 && g.s() == 1 && g.stride() == 1 && g.pad() == 0;
    int patchWords = BitTile.words(g);
    this.g = g;
    n = g.o();
    padded = kernel.padded(n);
    if (aligned.length < n * patchWords) aligned = new long[n * patchWords];
    BitTile.alignFilters(aligned, w, g);
    panels(aligned, n, patchWords, padded);
    tables.fill(w, xSet, wSet, g, padding, offset, padded, matrix);
    if (matrix) {
      multiply(y, x);
      return;
    }
    words = x.longs();
    xs = y.floats();
    rows = Math.clamp(4 * TILE / g.q(), 1, g.p());
    blocks = (g.p() + rows - 1) / rows;
    CpuThreads.range(g.n() * blocks, 1, this, (op, piece, end) -> op.convolve(piece / op.blocks, piece % op.blocks * op.rows));
  }

  @Override
  public void xnorConv2dGradW(Tensor gradW, Tensor gradY, BitTensor x, BinarySet xSet, ConvGeometry g, float border, Tensor values) {
    ConvRules.requireXnorConv2dGradW(gradW, gradY, x, xSet, g, values);
    unpack(values, x, xSet);
    real.conv2dGradW(gradW, gradY, values, g, border);
  }

  @Override
  public void xnorConv2dGradX(Tensor gradX, Tensor gradY, BitTensor w, BinarySet wSet, Tensor values, ConvGeometry g) {
    ConvRules.requireXnorConv2dGradX(gradX, gradY, w, wSet, values, g);
    real.conv2dGradX(gradX, gradY, values, g);
  }

  @Override
  public void xnorConv2dGradFloat8(Tensor gradX, Tensor gradW, Tensor gradY, Tensor codes, BitTensor x, BinarySet xSet, BitTensor w, BinarySet wSet, ConvGeometry g,
      float border) {
    ConvRules.requireXnorConv2dGradFloat8(gradX, gradW, gradY, codes, x, xSet, w, wSet, g, false);
    Tensor rounded = float8.rounded(codes, gradY, wSet, g.o());
    int most = Math.max(g.o() * g.taps(), gradX.size());
    if (values.length < most) values = new float[most];
    Tensor filters = new Tensor(g.filters(), ElementType.FLOAT32, values), images = new Tensor(g.x(), ElementType.FLOAT32, values);
    unpack(filters, w, wSet);
    real.conv2dGradX(gradX, rounded, filters, g);
    unpack(images, x, xSet);
    real.conv2dGradW(gradW, rounded, images, g, border);
  }

  /** The output rows of an image from p0, as many as a piece has. */
  private void convolve(int image, int p0) {
    int p1 = Math.min(g.p(), p0 + rows), columns = g.q(), pixels = g.p() * columns;
    BitTile tile = tiles.get();
    tile.load(words, image, p0, p1, g, tables.countsOnes());
    for (int from = p0 * columns; from < p1 * columns; from += TILE) {
      int to = Math.min(p1 * columns, from + TILE);
      tile.patches(from, to, g, tables);
      products(tile, to - from, (image * pixels + from) * n);
    }
  }

  /** The products of a tile's rows, in place where the kernel writes whole rows, else by way of the tile's own room. */
  private void products(BitTile tile, int rows, int to) {
    if (n == padded && rows >= XnorKernel.ROWS) {
      kernel.products(xs, to, n, tile, rows, panels, tables);
      return;
    }
    int enough = Math.max(XnorKernel.ROWS, rows);
    if (tile.products.length < enough * padded) tile.products = new float[enough * padded];
    tile.repeatLast(rows);
    kernel.products(tile.products, 0, padded, tile, enough, panels, tables);
    for (int m = 0; m < rows; m++) System.arraycopy(tile.products, m * padded, xs, to + m * n, n);
  }

  private void panels(long[] filters, int count, int words, int padded) {
    if (panels.length < padded * words) panels = new long[padded * words];
    kernel.transpose(panels, filters, count, words, padded);
  }
}
