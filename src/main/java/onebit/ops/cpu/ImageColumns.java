package onebit.ops.cpu;

import java.util.Arrays;
import onebit.ops.ConvGeometry;

/** The taps of each output pixel as one row of R*S*C/groups values, and back. */
final class ImageColumns {
  private ImageColumns() {}

  /** columns = the rows of output rows [from, to) of one group, counted over all images; outside taps hold the border value. */
  static void gather(float[] columns, float[] x, int group, int from, int to, ConvGeometry g, float border) {
    int cg = g.c() / g.groups(), segment = g.s() * cg, at = 0;
    boolean whole = g.dilation() == 1 && g.groups() == 1;
    for (int t = from; t < to; t++) {
      int image = t / g.p(), p = t % g.p();
      for (int q = 0; q < g.q(); q++) {
        int w0 = q * g.stride() - g.pad();
        boolean inside = whole && w0 >= 0 && w0 + g.s() <= g.w();
        for (int r = 0; r < g.r(); r++) {
          int h = p * g.stride() - g.pad() + r * g.dilation();
          if (h < 0 || h >= g.h()) {
            Arrays.fill(columns, at, at + segment, border);
          } else {
            int row = (image * g.h() + h) * g.w();
            if (inside) System.arraycopy(x, (row + w0) * g.c(), columns, at, segment);
            else gatherTaps(columns, at, x, row, w0, group * cg, cg, g, border);
          }
          at += segment;
        }
      }
    }
  }

  private static void gatherTaps(float[] columns, int at, float[] x, int row, int w0, int c0, int cg, ConvGeometry g, float border) {
    for (int s = 0; s < g.s(); s++, at += cg) {
      int w = w0 + s * g.dilation();
      if (w < 0 || w >= g.w()) Arrays.fill(columns, at, at + cg, border);
      else System.arraycopy(x, (row + w) * g.c() + c0, columns, at, cg);
    }
  }

  /** x += the rows of output rows [from, to) of one group, counted over all images, each value at its tap; outside taps are dropped. */
  static void scatterAdd(float[] x, float[] columns, int group, int from, int to, ConvGeometry g) {
    int cg = g.c() / g.groups(), segment = g.s() * cg, at = 0;
    for (int t = from; t < to; t++) {
      int image = t / g.p(), p = t % g.p();
      for (int q = 0; q < g.q(); q++) {
        int w0 = q * g.stride() - g.pad();
        for (int r = 0; r < g.r(); r++, at += segment) {
          int h = p * g.stride() - g.pad() + r * g.dilation();
          if (h < 0 || h >= g.h()) continue;
          int row = (image * g.h() + h) * g.w();
          for (int s = 0; s < g.s(); s++) {
            int w = w0 + s * g.dilation();
            if (w >= 0 && w < g.w()) add(x, (row + w) * g.c() + group * cg, columns, at + s * cg, cg);
          }
        }
      }
    }
  }

  private static void add(float[] to, int toFrom, float[] from, int fromFrom, int count) {
    for (int i = 0; i < count; i++) to[toFrom + i] += from[fromFrom + i];
  }
}
