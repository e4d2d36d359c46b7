package onebit.ops.cpu;

import onebit.ops.BitOps;
import onebit.ops.ConvGeometry;
import onebit.ops.ConvRules;
import onebit.ops.Padding;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
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
  private final ThreadLocal<BitPatches> patches = ThreadLocal.withInitial(BitPatches::new);
  private final FilterTables tables = new FilterTables();
  private long[] panels = new long[0], aligned = new long[0];
  private long[] words;
  private float[] xs, centre, distance;
  private int rowBits, rowWords, padded, each, n, rows, blocks;
  private float threshold;
  private ConvGeometry g;

  /** The vector kernel where the Vector API is present and the processor counts bits in vectors, else the plain one. */
  public CpuBitOps() {
    this(VectorCpu.POPCOUNT_REFUSAL == null);
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
    return VectorCpu.POPCOUNT_REFUSAL == null ? "Vector API with 512-bit popcounts" : "plain Java bit counts, because " + VectorCpu.POPCOUNT_REFUSAL;
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
  public void xnorGemm(Tensor y, BitTensor a, BitTensor b) {
    ConvRules.requireXnorGemm(y, a, b);
    rowWords = a.words();
    rowBits = a.bits();
    n = b.rows();
    padded = kernel.padded(n);
    words = a.longs();
    xs = y.floats();
    panels(b.longs(), n, rowWords, padded);
    CpuThreads.range(a.rows(), TILE, this, (op, from, to) -> {
      BitPatches tile = op.patches.get();
      int words = op.rowWords, padded = op.padded, n = op.n, rows = tileRows(to - from);
      tile.room(rows, words, padded);
      System.arraycopy(op.words, from * words, tile.rows, 0, (to - from) * words);
      op.kernel.differences(tile.counts, tile.rows, rows, op.panels, words, padded);
      for (int m = from; m < to; m++) dots(op.xs, m * n, tile.counts, (m - from) * padded, n, op.rowBits);
    });
  }

  private static void dots(float[] y, int to, int[] counts, int from, int n, int bits) {
    for (int i = 0; i < n; i++) y[to + i] = bits - 2 * counts[from + i];
  }

  @Override
  public void xnorConv2d(Tensor y, BitTensor x, BitTensor w, BinarySet xSet, BinarySet wSet, ConvGeometry g, Padding padding, float offset) {
    ConvRules.requireXnorConv2d(y, x, w, xSet, wSet, g);
    this.g = g;
    rowWords = BitPatches.words(g);
    padded = kernel.padded(g.o());
    if (aligned.length < g.o() * rowWords) aligned = new long[g.o() * rowWords];
    BitPatches.alignFilters(aligned, w, g);
    words = x.longs();
    xs = y.floats();
    panels(aligned, g.o(), rowWords, padded);
    tables.fill(w, xSet, wSet, g, padding, offset);
    rows = Math.clamp(4 * TILE / g.q(), 1, g.p());
    blocks = (g.p() + rows - 1) / rows;
    CpuThreads.range(g.n() * blocks, 1, this, (op, piece, end) -> op.convolve(piece / op.blocks, piece % op.blocks * op.rows));
  }

  private void convolve(int image, int p0) {
    int p1 = Math.min(g.p(), p0 + rows);
    BitPatches tile = patches.get();
    tile.strips(words, image, p0, p1, g, tables.countsOnes());
    for (int from = p0 * g.q(); from < p1 * g.q(); from += TILE) {
      int to = Math.min(p1 * g.q(), from + TILE), tileRows = tileRows(to - from);
      tile.room(tileRows, rowWords, padded);
      tile.patches(from, to, g);
      kernel.differences(tile.counts, tile.rows, tileRows, panels, rowWords, padded);
      for (int pixel = from; pixel < to; pixel++) {
        int at = pixel - from;
        tables.values(kernel, xs, (image * g.p() * g.q() + pixel) * g.o(), tile.counts, at * padded, tile.ones[at], pixel / g.q(), pixel % g.q());
      }
    }
  }

  private static int tileRows(int rows) {
    return (rows + XnorKernel.ROWS - 1) / XnorKernel.ROWS * XnorKernel.ROWS;
  }

  private void panels(long[] filters, int count, int words, int padded) {
    if (panels.length < padded * words) panels = new long[padded * words];
    kernel.transpose(panels, filters, count, words, padded);
  }
}
