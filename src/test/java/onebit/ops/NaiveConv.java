package onebit.ops;

/** Convolution and its two adjoints as seven loops in double: the oracle of the tests. */
final class NaiveConv {
  private NaiveConv() {}

  interface Tap {
    void at(int y, int x, int w);
  }

  /** Calls tap for every product of the convolution; x is -1 for a tap outside the image. */
  static void taps(ConvGeometry g, Tap tap) {
    int cg = g.c() / g.groups(), og = g.o() / g.groups();
    for (int n = 0; n < g.n(); n++)
      for (int p = 0; p < g.p(); p++)
        for (int q = 0; q < g.q(); q++)
          for (int o = 0; o < g.o(); o++)
            for (int r = 0; r < g.r(); r++)
              for (int s = 0; s < g.s(); s++) {
                int h = p * g.stride() - g.pad() + r * g.dilation(), w = q * g.stride() - g.pad() + s * g.dilation();
                boolean inside = h >= 0 && h < g.h() && w >= 0 && w < g.w();
                for (int c = 0; c < cg; c++) {
                  int x = inside ? ((n * g.h() + h) * g.w() + w) * g.c() + o / og * cg + c : -1;
                  tap.at(((n * g.p() + p) * g.q() + q) * g.o() + o, x, ((o * g.r() + r) * g.s() + s) * cg + c);
                }
              }
  }

  static double[] forward(float[] x, float[] w, ConvGeometry g, double border) {
    double[] y = new double[g.y().size()];
    taps(g, (to, from, filter) -> y[to] += (from < 0 ? border : x[from]) * w[filter]);
    return y;
  }

  static double[] gradX(float[] gradY, float[] w, ConvGeometry g) {
    double[] gx = new double[g.x().size()];
    taps(g, (y, x, filter) -> {
      if (x >= 0) gx[x] += (double) gradY[y] * w[filter];
    });
    return gx;
  }

  static double[] gradW(float[] gradY, float[] x, ConvGeometry g, double border) {
    double[] gw = new double[g.filters().size()];
    taps(g, (y, from, filter) -> gw[filter] += gradY[y] * (from < 0 ? border : x[from]));
    return gw;
  }
}
