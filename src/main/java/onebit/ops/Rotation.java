package onebit.ops;

import java.util.function.IntConsumer;
import onebit.tensor.Shape;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.ejml.dense.row.factory.DecompositionFactory_DDRM;
import org.ejml.interfaces.decomposition.SingularValueDecomposition_F64;

/**
 * RBNN's bi-rotation of the filters of one layer, in double on the host.
 *
 * <pre>
 * Shapes  a filter in C,R,S order is X [a][b] row by row; R1 [a][a], R2 [b][b]
 * Source  Lin et al. 2020 (RBNN, arXiv 2009.13055); code binarized_modules.py
 * </pre>
 */
public final class Rotation {
  /** Runs body for 0 to count-1, each once, in any order. */
  @FunctionalInterface
  public interface Pieces {
    void run(int count, IntConsumer body);
  }

  private final int filters;
  private final int a;
  private final int b;
  private final int[] memoryIndex;
  private final float[] r1;
  private final float[] r2;
  private final Pieces pieces;
  private final DMatrixRMaj first;
  private final DMatrixRMaj second;

  /** Filters of shape w; r1 [a][a] and r2 [b][b] are changed by {@link #improve}. */
  public Rotation(Shape w, int a, int b, float[] r1, float[] r2, Pieces pieces) {
    filters = w.d0();
    this.a = a;
    this.b = b;
    int taps = w.d1() * w.d2(), channels = w.d3();
    memoryIndex = new int[a * b];
    for (int c = 0; c < channels; c++) {
      for (int t = 0; t < taps; t++) memoryIndex[c * taps + t] = t * channels + c;
    }
    this.r1 = r1;
    this.r2 = r2;
    this.pieces = pieces;
    first = matrix(r1, a);
    second = matrix(r2, b);
  }

  private static DMatrixRMaj matrix(float[] square, int n) {
    DMatrixRMaj m = new DMatrixRMaj(n, n);
    for (int i = 0; i < n * n; i++) m.data[i] = square[i];
    return m;
  }

  private DMatrixRMaj filter(float[] u, int o) {
    DMatrixRMaj x = new DMatrixRMaj(a, b);
    for (int i = 0; i < a * b; i++) x.data[i] = u[o * a * b + memoryIndex[i]];
    return x;
  }

  private DMatrixRMaj rotated(DMatrixRMaj x) {
    DMatrixRMaj left = new DMatrixRMaj(a, b), v = new DMatrixRMaj(a, b);
    CommonOps_DDRM.multTransA(first, x, left);
    CommonOps_DDRM.mult(left, second, v);
    return v;
  }

  /** Rounds of signs, then R1, then R2 with the new R1 and the old signs. */
  public void improve(float[] u, int rounds) {
    DMatrixRMaj[] xs = new DMatrixRMaj[filters], signs = new DMatrixRMaj[filters];
    for (int o = 0; o < filters; o++) xs[o] = filter(u, o);
    for (int round = 0; round < rounds; round++) {
      pieces.run(filters, o -> {
        signs[o] = rotated(xs[o]);
        for (int i = 0; i < a * b; i++) signs[o].data[i] = Math.signum(signs[o].data[i]);
      });
      first.setTo(procrustes(sum(a, o -> {
        DMatrixRMaj product = new DMatrixRMaj(a, b), d = new DMatrixRMaj(a, a);
        CommonOps_DDRM.multTransB(signs[o], second, product);
        CommonOps_DDRM.multTransB(product, xs[o], d);
        return d;
      }), true));
      second.setTo(procrustes(sum(b, o -> {
        DMatrixRMaj product = new DMatrixRMaj(b, a), d = new DMatrixRMaj(b, b);
        CommonOps_DDRM.multTransA(xs[o], first, product);
        CommonOps_DDRM.mult(product, signs[o], d);
        return d;
      }), false));
    }
    for (int i = 0; i < a * a; i++) r1[i] = (float) first.data[i];
    for (int i = 0; i < b * b; i++) r2[i] = (float) second.data[i];
  }

  private DMatrixRMaj sum(int n, java.util.function.IntFunction<DMatrixRMaj> term) {
    DMatrixRMaj[] terms = new DMatrixRMaj[filters];
    pieces.run(filters, o -> terms[o] = term.apply(o));
    DMatrixRMaj total = new DMatrixRMaj(n, n);
    for (DMatrixRMaj one : terms) CommonOps_DDRM.addEquals(total, one);
    return total;
  }

  /** From d = U S V^T: V U^T when transposed, else U V^T. */
  private static DMatrixRMaj procrustes(DMatrixRMaj d, boolean transposed) {
    int n = d.numRows;
    SingularValueDecomposition_F64<DMatrixRMaj> svd = DecompositionFactory_DDRM.svd(n, n, true, true, false);
    if (!svd.decompose(d)) throw new IllegalStateException("rotation: the singular values of a " + n + "x" + n + " matrix could not be found");
    DMatrixRMaj r = new DMatrixRMaj(n, n);
    if (transposed) CommonOps_DDRM.mult(svd.getV(null, false), svd.getU(null, true), r);
    else CommonOps_DDRM.mult(svd.getU(null, false), svd.getV(null, true), r);
    return r;
  }
}
