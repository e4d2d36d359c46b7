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
    long[] words = bits.longs();
    float[] xs = x.floats();
    int grain = Math.max(1, 32 * 1024 / bits.bits());
    CpuThreads.range(bits.rows(), grain, (from, to) -> kernel.pack(words, xs, from, to, bits.bits(), threshold));
  }

  @Override
  public void unpack(Tensor x, BitTensor bits, BinarySet set) {
    ConvRules.requirePack("unpack", bits, x);
    ConvRules.requireSet("unpack", "set", set, bits.rows());
    long[] words = bits.longs();
    float[] xs = x.floats(), centre = set.centre().floats(), distance = set.distance().floats();
    int grain = Math.max(1, 32 * 1024 / bits.bits()), each = set.count() == 1 ? 0 : 1;
    CpuThreads.range(bits.rows(), grain, (from, to) -> {
      for (int row = from; row < to; row++) {
        float c = centre[row * each], d = distance[row * each];
        kernel.unpack(xs, row * bits.bits(), words, row * bits.words(), bits.bits(), c - d, c + d);
      }
    });
  }

  @Override
  public void xnorGemm(Tensor y, BitTensor a, BitTensor b) {
    ConvRules.requireXnorGemm(y, a, b);
    int words = a.words(), n = b.rows(), padded = kernel.padded(n), bits = a.bits();
    long[] as = a.longs(), filters = panels(b.longs(), n, words, padded);
    float[] ys = y.floats();
    CpuThreads.range(a.rows(), TILE, (from, to) -> {
      BitPatches tile = patches.get();
      int rows = tileRows(to - from);
      tile.room(rows, words, padded);
      System.arraycopy(as, from * words, tile.rows, 0, (to - from) * words);
      kernel.differences(tile.counts, tile.rows, rows, filters, words, padded);
      for (int m = from; m < to; m++) dots(ys, m * n, tile.counts, (m - from) * padded, n, bits);
    });
  }

  private static void dots(float[] y, int to, int[] counts, int from, int n, int bits) {
    for (int i = 0; i < n; i++) y[to + i] = bits - 2 * counts[from + i];
  }

  @Override
  public void xnorConv2d(Tensor y, BitTensor x, BitTensor w, BinarySet xSet, BinarySet wSet, ConvGeometry g, Padding padding, float offset) {
    ConvRules.requireXnorConv2d(y, x, w, xSet, wSet, g);
    int words = BitPatches.words(g), padded = kernel.padded(g.o());
    if (aligned.length < g.o() * words) aligned = new long[g.o() * words];
    BitPatches.alignFilters(aligned, w, g);
    long[] xs = x.longs(), filters = panels(aligned, g.o(), words, padded);
    float[] ys = y.floats();
    tables.fill(w, xSet, wSet, g, padding, offset);
    int rows = Math.clamp(4 * TILE / g.q(), 1, g.p()), blocks = (g.p() + rows - 1) / rows;
    CpuThreads.pieces(g.n() * blocks, piece -> {
      int image = piece / blocks, p0 = piece % blocks * rows, p1 = Math.min(g.p(), p0 + rows);
      BitPatches tile = patches.get();
      tile.strips(xs, image, p0, p1, g, tables.countsOnes());
      for (int from = p0 * g.q(); from < p1 * g.q(); from += TILE) {
        int to = Math.min(p1 * g.q(), from + TILE), tileRows = tileRows(to - from);
        tile.room(tileRows, words, padded);
        tile.patches(from, to, g);
        kernel.differences(tile.counts, tile.rows, tileRows, filters, words, padded);
        for (int pixel = from; pixel < to; pixel++) {
          int at = pixel - from;
          tables.values(kernel, ys, (image * g.p() * g.q() + pixel) * g.o(), tile.counts, at * padded, tile.ones[at], pixel / g.q(), pixel % g.q());
        }
      }
    });
  }

  private static int tileRows(int rows) {
    return (rows + XnorKernel.ROWS - 1) / XnorKernel.ROWS * XnorKernel.ROWS;
  }

  private long[] panels(long[] filters, int count, int words, int padded) {
    if (panels.length < padded * words) panels = new long[padded * words];
    kernel.transpose(panels, filters, count, words, padded);
    return panels;
  }
}
