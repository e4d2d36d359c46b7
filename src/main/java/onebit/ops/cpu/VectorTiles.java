package onebit.ops.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * The two inner products of a direct convolution with the Vector API, one small method per shape of tile; L is the number of a vector's lanes.
 *
 * <p>A patch is S*C consecutive values of each padded image row, so neither product needs columns.
 */
final class VectorTiles {
  private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
  private static final int L = F.length();

  /** Values of a patch that {@link #gradWTile} sums at a time: as many vectors as leave registers for the rest, of which AVX2 has 16 and AVX-512 32. */
  static final int GRAD_W_VALUES = L >= 16 ? 3 * L : 2 * L;

  private VectorTiles() {}

  /**
   * y[q][n] += sum over k of x[q * step + k] * w[k][n] for one row of outputs.
   *
   * <pre>
   * Shapes  y: pixels of yStep values from yFrom; w: depth x width values from wFrom; width L, 2 L or 4 L
   * </pre>
   */
  static void forwardRow(float[] y, int yFrom, int yStep, int pixels, float[] x, int xFrom, int xStep, float[] w, int wFrom, int depth, int width) {
    int q = 0;
    switch (width / L) {
      case 4 -> {
        for (; q + 2 <= pixels; q += 2) twoByFour(y, yFrom + q * yStep, yStep, x, xFrom + q * xStep, xStep, w, wFrom, depth);
        if (q < pixels) oneByFour(y, yFrom + q * yStep, x, xFrom + q * xStep, w, wFrom, depth);
      }
      case 2 -> {
        for (; q + 4 <= pixels; q += 4) fourByTwo(y, yFrom + q * yStep, yStep, x, xFrom + q * xStep, xStep, w, wFrom, depth);
        for (; q < pixels; q++) oneByTwo(y, yFrom + q * yStep, x, xFrom + q * xStep, w, wFrom, depth);
      }
      default -> {
        for (; q + 8 <= pixels; q += 8) eightByOne(y, yFrom + q * yStep, yStep, x, xFrom + q * xStep, xStep, w, wFrom, depth);
        for (; q < pixels; q++) oneByOne(y, yFrom + q * yStep, x, xFrom + q * xStep, w, wFrom, depth);
      }
    }
  }

  private static void twoByFour(float[] y, int to, int yStep, float[] x, int x0, int xStep, float[] w, int from, int depth) {
    int to1 = to + yStep, x1 = x0 + xStep;
    FloatVector s00 = FloatVector.fromArray(F, y, to), s01 = FloatVector.fromArray(F, y, to + L);
    FloatVector s02 = FloatVector.fromArray(F, y, to + 2 * L), s03 = FloatVector.fromArray(F, y, to + 3 * L);
    FloatVector s10 = FloatVector.fromArray(F, y, to1), s11 = FloatVector.fromArray(F, y, to1 + L);
    FloatVector s12 = FloatVector.fromArray(F, y, to1 + 2 * L), s13 = FloatVector.fromArray(F, y, to1 + 3 * L);
    for (int k = 0; k < depth; k++) {
      int at = from + k * 4 * L;
      FloatVector w0 = FloatVector.fromArray(F, w, at), w1 = FloatVector.fromArray(F, w, at + L);
      FloatVector w2 = FloatVector.fromArray(F, w, at + 2 * L), w3 = FloatVector.fromArray(F, w, at + 3 * L);
      FloatVector a0 = FloatVector.broadcast(F, x[x0 + k]), a1 = FloatVector.broadcast(F, x[x1 + k]);
      s00 = w0.fma(a0, s00);
      s01 = w1.fma(a0, s01);
      s02 = w2.fma(a0, s02);
      s03 = w3.fma(a0, s03);
      s10 = w0.fma(a1, s10);
      s11 = w1.fma(a1, s11);
      s12 = w2.fma(a1, s12);
      s13 = w3.fma(a1, s13);
    }
    s00.intoArray(y, to);
    s01.intoArray(y, to + L);
    s02.intoArray(y, to + 2 * L);
    s03.intoArray(y, to + 3 * L);
    s10.intoArray(y, to1);
    s11.intoArray(y, to1 + L);
    s12.intoArray(y, to1 + 2 * L);
    s13.intoArray(y, to1 + 3 * L);
  }

  private static void oneByFour(float[] y, int to, float[] x, int x0, float[] w, int from, int depth) {
    FloatVector s0 = FloatVector.fromArray(F, y, to), s1 = FloatVector.fromArray(F, y, to + L);
    FloatVector s2 = FloatVector.fromArray(F, y, to + 2 * L), s3 = FloatVector.fromArray(F, y, to + 3 * L);
    for (int k = 0; k < depth; k++) {
      int at = from + k * 4 * L;
      FloatVector a = FloatVector.broadcast(F, x[x0 + k]);
      s0 = FloatVector.fromArray(F, w, at).fma(a, s0);
      s1 = FloatVector.fromArray(F, w, at + L).fma(a, s1);
      s2 = FloatVector.fromArray(F, w, at + 2 * L).fma(a, s2);
      s3 = FloatVector.fromArray(F, w, at + 3 * L).fma(a, s3);
    }
    s0.intoArray(y, to);
    s1.intoArray(y, to + L);
    s2.intoArray(y, to + 2 * L);
    s3.intoArray(y, to + 3 * L);
  }

  private static void fourByTwo(float[] y, int to, int yStep, float[] x, int x0, int xStep, float[] w, int from, int depth) {
    int to1 = to + yStep, to2 = to1 + yStep, to3 = to2 + yStep, x1 = x0 + xStep, x2 = x1 + xStep, x3 = x2 + xStep;
    FloatVector s00 = FloatVector.fromArray(F, y, to), s01 = FloatVector.fromArray(F, y, to + L);
    FloatVector s10 = FloatVector.fromArray(F, y, to1), s11 = FloatVector.fromArray(F, y, to1 + L);
    FloatVector s20 = FloatVector.fromArray(F, y, to2), s21 = FloatVector.fromArray(F, y, to2 + L);
    FloatVector s30 = FloatVector.fromArray(F, y, to3), s31 = FloatVector.fromArray(F, y, to3 + L);
    for (int k = 0; k < depth; k++) {
      FloatVector w0 = FloatVector.fromArray(F, w, from + k * 2 * L), w1 = FloatVector.fromArray(F, w, from + k * 2 * L + L);
      FloatVector a0 = FloatVector.broadcast(F, x[x0 + k]), a1 = FloatVector.broadcast(F, x[x1 + k]);
      FloatVector a2 = FloatVector.broadcast(F, x[x2 + k]), a3 = FloatVector.broadcast(F, x[x3 + k]);
      s00 = w0.fma(a0, s00);
      s01 = w1.fma(a0, s01);
      s10 = w0.fma(a1, s10);
      s11 = w1.fma(a1, s11);
      s20 = w0.fma(a2, s20);
      s21 = w1.fma(a2, s21);
      s30 = w0.fma(a3, s30);
      s31 = w1.fma(a3, s31);
    }
    s00.intoArray(y, to);
    s01.intoArray(y, to + L);
    s10.intoArray(y, to1);
    s11.intoArray(y, to1 + L);
    s20.intoArray(y, to2);
    s21.intoArray(y, to2 + L);
    s30.intoArray(y, to3);
    s31.intoArray(y, to3 + L);
  }

  private static void oneByTwo(float[] y, int to, float[] x, int x0, float[] w, int from, int depth) {
    FloatVector s0 = FloatVector.fromArray(F, y, to), s1 = FloatVector.fromArray(F, y, to + L);
    for (int k = 0; k < depth; k++) {
      FloatVector a = FloatVector.broadcast(F, x[x0 + k]);
      s0 = FloatVector.fromArray(F, w, from + k * 2 * L).fma(a, s0);
      s1 = FloatVector.fromArray(F, w, from + k * 2 * L + L).fma(a, s1);
    }
    s0.intoArray(y, to);
    s1.intoArray(y, to + L);
  }

  private static void eightByOne(float[] y, int to, int yStep, float[] x, int x0, int xStep, float[] w, int from, int depth) {
    int x1 = x0 + xStep, x2 = x1 + xStep, x3 = x2 + xStep, x4 = x3 + xStep, x5 = x4 + xStep, x6 = x5 + xStep, x7 = x6 + xStep;
    FloatVector s0 = FloatVector.fromArray(F, y, to), s1 = FloatVector.fromArray(F, y, to + yStep);
    FloatVector s2 = FloatVector.fromArray(F, y, to + 2 * yStep), s3 = FloatVector.fromArray(F, y, to + 3 * yStep);
    FloatVector s4 = FloatVector.fromArray(F, y, to + 4 * yStep), s5 = FloatVector.fromArray(F, y, to + 5 * yStep);
    FloatVector s6 = FloatVector.fromArray(F, y, to + 6 * yStep), s7 = FloatVector.fromArray(F, y, to + 7 * yStep);
    for (int k = 0; k < depth; k++) {
      FloatVector w0 = FloatVector.fromArray(F, w, from + k * L);
      s0 = w0.fma(FloatVector.broadcast(F, x[x0 + k]), s0);
      s1 = w0.fma(FloatVector.broadcast(F, x[x1 + k]), s1);
      s2 = w0.fma(FloatVector.broadcast(F, x[x2 + k]), s2);
      s3 = w0.fma(FloatVector.broadcast(F, x[x3 + k]), s3);
      s4 = w0.fma(FloatVector.broadcast(F, x[x4 + k]), s4);
      s5 = w0.fma(FloatVector.broadcast(F, x[x5 + k]), s5);
      s6 = w0.fma(FloatVector.broadcast(F, x[x6 + k]), s6);
      s7 = w0.fma(FloatVector.broadcast(F, x[x7 + k]), s7);
    }
    s0.intoArray(y, to);
    s1.intoArray(y, to + yStep);
    s2.intoArray(y, to + 2 * yStep);
    s3.intoArray(y, to + 3 * yStep);
    s4.intoArray(y, to + 4 * yStep);
    s5.intoArray(y, to + 5 * yStep);
    s6.intoArray(y, to + 6 * yStep);
    s7.intoArray(y, to + 7 * yStep);
  }

  /**
   * The row of {@link #forwardRow} for 3 taps, stride 1 and L outputs, where each x serves three pixels; returns how many pixels it did.
   *
   * <pre>
   * Shapes  x: pixels of c values; w: 3 x c x L
   * </pre>
   */
  static int threeTapRow(float[] y, int yFrom, int yStep, int pixels, float[] x, int xFrom, int c, float[] w, int wFrom) {
    int q = 0;
    for (; q + 8 <= pixels; q += 8) threeTaps(y, yFrom + q * yStep, yStep, x, xFrom + q * c, c, w, wFrom);
    return q;
  }

  private static void threeTaps(float[] y, int to, int yStep, float[] x, int x0, int c, float[] w, int from) {
    FloatVector s0 = FloatVector.fromArray(F, y, to), s1 = FloatVector.fromArray(F, y, to + yStep);
    FloatVector s2 = FloatVector.fromArray(F, y, to + 2 * yStep), s3 = FloatVector.fromArray(F, y, to + 3 * yStep);
    FloatVector s4 = FloatVector.fromArray(F, y, to + 4 * yStep), s5 = FloatVector.fromArray(F, y, to + 5 * yStep);
    FloatVector s6 = FloatVector.fromArray(F, y, to + 6 * yStep), s7 = FloatVector.fromArray(F, y, to + 7 * yStep);
    int from1 = from + c * L, from2 = from1 + c * L, x2 = x0 + 2 * c, x4 = x0 + 4 * c, x6 = x0 + 6 * c, x8 = x0 + 8 * c;
    for (int k = 0; k < c; k++) {
      FloatVector w0 = FloatVector.fromArray(F, w, from + k * L), w1 = FloatVector.fromArray(F, w, from1 + k * L);
      FloatVector w2 = FloatVector.fromArray(F, w, from2 + k * L);
      FloatVector a0 = FloatVector.broadcast(F, x[x0 + k]), a1 = FloatVector.broadcast(F, x[x0 + c + k]);
      FloatVector a2 = FloatVector.broadcast(F, x[x2 + k]), a3 = FloatVector.broadcast(F, x[x2 + c + k]);
      FloatVector a4 = FloatVector.broadcast(F, x[x4 + k]), a5 = FloatVector.broadcast(F, x[x4 + c + k]);
      FloatVector a6 = FloatVector.broadcast(F, x[x6 + k]), a7 = FloatVector.broadcast(F, x[x6 + c + k]);
      FloatVector a8 = FloatVector.broadcast(F, x[x8 + k]), a9 = FloatVector.broadcast(F, x[x8 + c + k]);
      s0 = w2.fma(a2, w1.fma(a1, w0.fma(a0, s0)));
      s1 = w2.fma(a3, w1.fma(a2, w0.fma(a1, s1)));
      s2 = w2.fma(a4, w1.fma(a3, w0.fma(a2, s2)));
      s3 = w2.fma(a5, w1.fma(a4, w0.fma(a3, s3)));
      s4 = w2.fma(a6, w1.fma(a5, w0.fma(a4, s4)));
      s5 = w2.fma(a7, w1.fma(a6, w0.fma(a5, s5)));
      s6 = w2.fma(a8, w1.fma(a7, w0.fma(a6, s6)));
      s7 = w2.fma(a9, w1.fma(a8, w0.fma(a7, s7)));
    }
    s0.intoArray(y, to);
    s1.intoArray(y, to + yStep);
    s2.intoArray(y, to + 2 * yStep);
    s3.intoArray(y, to + 3 * yStep);
    s4.intoArray(y, to + 4 * yStep);
    s5.intoArray(y, to + 5 * yStep);
    s6.intoArray(y, to + 6 * yStep);
    s7.intoArray(y, to + 7 * yStep);
  }

  private static void oneByOne(float[] y, int to, float[] x, int x0, float[] w, int from, int depth) {
    FloatVector s = FloatVector.fromArray(F, y, to);
    for (int k = 0; k < depth; k++) s = FloatVector.fromArray(F, w, from + k * L).fma(FloatVector.broadcast(F, x[x0 + k]), s);
    s.intoArray(y, to);
  }

  /**
   * gradW[o][k] += sum over rows and pixels of gradY[p][q][o] * x[p][q * step + k], for 4 filters o and {@link #GRAD_W_VALUES} values k.
   *
   * <pre>
   * Shapes  gradY: rows x pixels x yStep from yFrom; x: row strides xRow, pixel strides xStep; gradW: row stride wStep
   * </pre>
   */
  static void gradWTile(float[] gradW, int to, int wStep, float[] gradY, int yFrom, int yStep, float[] x, int xFrom, int xRow, int xStep, int rows, int pixels) {
    if (GRAD_W_VALUES == 3 * L) gradWFourByThree(gradW, to, wStep, gradY, yFrom, yStep, x, xFrom, xRow, xStep, rows, pixels);
    else gradWFourByTwo(gradW, to, wStep, gradY, yFrom, yStep, x, xFrom, xRow, xStep, rows, pixels);
  }

  private static void gradWFourByThree(
      float[] gradW, int to, int wStep, float[] gradY, int yFrom, int yStep, float[] x, int xFrom, int xRow, int xStep, int rows, int pixels) {
    int to1 = to + wStep, to2 = to1 + wStep, to3 = to2 + wStep;
    FloatVector s00 = FloatVector.fromArray(F, gradW, to), s01 = FloatVector.fromArray(F, gradW, to + L), s02 = FloatVector.fromArray(F, gradW, to + 2 * L);
    FloatVector s10 = FloatVector.fromArray(F, gradW, to1), s11 = FloatVector.fromArray(F, gradW, to1 + L), s12 = FloatVector.fromArray(F, gradW, to1 + 2 * L);
    FloatVector s20 = FloatVector.fromArray(F, gradW, to2), s21 = FloatVector.fromArray(F, gradW, to2 + L), s22 = FloatVector.fromArray(F, gradW, to2 + 2 * L);
    FloatVector s30 = FloatVector.fromArray(F, gradW, to3), s31 = FloatVector.fromArray(F, gradW, to3 + L), s32 = FloatVector.fromArray(F, gradW, to3 + 2 * L);
    for (int p = 0; p < rows; p++) {
      int yRow = yFrom + p * pixels * yStep, row = xFrom + p * xRow;
      for (int q = 0; q < pixels; q++) {
        int at = row + q * xStep, y = yRow + q * yStep;
        FloatVector x0 = FloatVector.fromArray(F, x, at), x1 = FloatVector.fromArray(F, x, at + L), x2 = FloatVector.fromArray(F, x, at + 2 * L);
        FloatVector g0 = FloatVector.broadcast(F, gradY[y]), g1 = FloatVector.broadcast(F, gradY[y + 1]);
        FloatVector g2 = FloatVector.broadcast(F, gradY[y + 2]), g3 = FloatVector.broadcast(F, gradY[y + 3]);
        s00 = x0.fma(g0, s00);
        s01 = x1.fma(g0, s01);
        s02 = x2.fma(g0, s02);
        s10 = x0.fma(g1, s10);
        s11 = x1.fma(g1, s11);
        s12 = x2.fma(g1, s12);
        s20 = x0.fma(g2, s20);
        s21 = x1.fma(g2, s21);
        s22 = x2.fma(g2, s22);
        s30 = x0.fma(g3, s30);
        s31 = x1.fma(g3, s31);
        s32 = x2.fma(g3, s32);
      }
    }
    s00.intoArray(gradW, to);
    s01.intoArray(gradW, to + L);
    s02.intoArray(gradW, to + 2 * L);
    s10.intoArray(gradW, to1);
    s11.intoArray(gradW, to1 + L);
    s12.intoArray(gradW, to1 + 2 * L);
    s20.intoArray(gradW, to2);
    s21.intoArray(gradW, to2 + L);
    s22.intoArray(gradW, to2 + 2 * L);
    s30.intoArray(gradW, to3);
    s31.intoArray(gradW, to3 + L);
    s32.intoArray(gradW, to3 + 2 * L);
  }

  private static void gradWFourByTwo(
      float[] gradW, int to, int wStep, float[] gradY, int yFrom, int yStep, float[] x, int xFrom, int xRow, int xStep, int rows, int pixels) {
    int to1 = to + wStep, to2 = to1 + wStep, to3 = to2 + wStep;
    FloatVector s00 = FloatVector.fromArray(F, gradW, to), s01 = FloatVector.fromArray(F, gradW, to + L);
    FloatVector s10 = FloatVector.fromArray(F, gradW, to1), s11 = FloatVector.fromArray(F, gradW, to1 + L);
    FloatVector s20 = FloatVector.fromArray(F, gradW, to2), s21 = FloatVector.fromArray(F, gradW, to2 + L);
    FloatVector s30 = FloatVector.fromArray(F, gradW, to3), s31 = FloatVector.fromArray(F, gradW, to3 + L);
    for (int p = 0; p < rows; p++) {
      int yRow = yFrom + p * pixels * yStep, row = xFrom + p * xRow;
      for (int q = 0; q < pixels; q++) {
        int at = row + q * xStep, y = yRow + q * yStep;
        FloatVector x0 = FloatVector.fromArray(F, x, at), x1 = FloatVector.fromArray(F, x, at + L);
        FloatVector g0 = FloatVector.broadcast(F, gradY[y]), g1 = FloatVector.broadcast(F, gradY[y + 1]);
        FloatVector g2 = FloatVector.broadcast(F, gradY[y + 2]), g3 = FloatVector.broadcast(F, gradY[y + 3]);
        s00 = x0.fma(g0, s00);
        s01 = x1.fma(g0, s01);
        s10 = x0.fma(g1, s10);
        s11 = x1.fma(g1, s11);
        s20 = x0.fma(g2, s20);
        s21 = x1.fma(g2, s21);
        s30 = x0.fma(g3, s30);
        s31 = x1.fma(g3, s31);
      }
    }
    s00.intoArray(gradW, to);
    s01.intoArray(gradW, to + L);
    s10.intoArray(gradW, to1);
    s11.intoArray(gradW, to1 + L);
    s20.intoArray(gradW, to2);
    s21.intoArray(gradW, to2 + L);
    s30.intoArray(gradW, to3);
    s31.intoArray(gradW, to3 + L);
  }
}
