// direct_conv2d_test.cpp -- kernels/direct_conv2d.cu against loops over the taps of each position
#include "kernel_test.h"

TEST(direct_convolution_and_its_gradients_are_sums_over_taps) {
  struct Case { int n, h, w, c, o, r, s, stride, pad, dilation, groups; };
  const Case cases[] = {{1, 5, 5, 1, 1, 3, 3, 1, 1, 1, 1}, {2, 7, 6, 4, 6, 3, 3, 2, 1, 1, 2}, {1, 9, 8, 3, 5, 5, 3, 1, 2, 2, 1}, {3, 4, 5, 8, 2, 1, 1, 2, 0, 1, 1}};
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (const Case& g : cases) {
      int p = (g.h + 2 * g.pad - g.dilation * (g.r - 1) - 1) / g.stride + 1, q = (g.w + 2 * g.pad - g.dilation * (g.s - 1) - 1) / g.stride + 1;
      int in = g.c / g.groups, out = g.o / g.groups;
      Random random(unsigned(g.h * g.c));
      std::vector<float> x = rounded<E>(random.normal(size_t(g.n * g.h * g.w * g.c))), w = rounded<E>(random.normal(size_t(g.o * g.r * g.s * in)));
      std::vector<float> gradY = rounded<E>(random.normal(size_t(g.n * p * q * g.o)));
      std::vector<double> y(gradY.size()), gradX(x.size()), gradW(w.size());
      for (int n = 0; n < g.n; n++) for (int pp = 0; pp < p; pp++) for (int qq = 0; qq < q; qq++) for (int o = 0; o < g.o; o++)
        for (int r = 0; r < g.r; r++) for (int s = 0; s < g.s; s++) for (int c = 0; c < in; c++) {
          int h = pp * g.stride - g.pad + r * g.dilation, v = qq * g.stride - g.pad + s * g.dilation;
          if (h < 0 || h >= g.h || v < 0 || v >= g.w) continue;
          size_t at = size_t(((n * g.h + h) * g.w + v) * g.c + o / out * in + c), tap = size_t(((o * g.r + r) * g.s + s) * in + c), to = size_t(((n * p + pp) * q + qq) * g.o + o);
          y[to] += double(x[at]) * w[tap];
          gradX[at] += double(gradY[to]) * w[tap];
          gradW[tap] += double(gradY[to]) * x[at];
        }
      Array<E> deviceX(elements<E>(x)), deviceW(elements<E>(w)), deviceG(elements<E>(gradY)), outY(y.size()), outX(x.size());
      Array<float> outW(w.size());
      auto go = [&](const std::string& kernel, unsigned grid, auto& to, auto& a, auto& b) {
        run(kernel, blocks(grid), to, a, b, g.n, g.h, g.w, g.c, g.o, g.r, g.s, g.stride, g.pad, g.dilation, p, q, g.groups);
      };
      go(entry<E>("direct_conv2d"), 2, outY, deviceX, deviceW);
      go(entry<E>("direct_conv2d_grad_x"), 3, outX, deviceG, deviceW);
      for (unsigned splits : {1u, 5u}) {
        Array<double> partial(splits * w.size());
        run(entry<E>("direct_conv2d_grad_w"), {2, splits, 256, 1, 0}, partial, deviceG, deviceX, g.n, g.h, g.w, g.c, g.o, g.r, g.s, g.stride, g.pad, g.dilation, p, q,
            g.groups);
        run("direct_conv2d_grad_w_finish", blocks(2), outW, partial, splits, unsigned(w.size()));
        expect_near("gradW of " + std::to_string(splits) + " splits", outW.read(), gradW, 1e-6);
      }
      expect_elements("y", outY, y, 1e-6);
      expect_elements("gradX", outX, gradX, 1e-6);
    }
  });
}

TEST(direct_gemm_multiplies_factors_in_every_order) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (int order = 0; order < 4; order++) {
      int ta = order / 2, tb = order % 2, both = sizeof(E) == 2;
      unsigned m = 7, n = 35, k = 20;
      Random random{unsigned(order)};
      std::vector<float> a = rounded<E>(random.normal(m * k)), b = rounded<E>(random.normal(k * n));
      std::vector<double> wanted(m * n);
      for (unsigned i = 0; i < m * n; i++) {
        for (unsigned j = 0; j < k; j++) wanted[i] += double(a[ta ? j * m + i / n : i / n * k + j]) * b[tb ? i % n * k + j : j * n + i % n];
      }
      Array<E> deviceA(elements<E>(a)), deviceB(elements<E>(b)), rough(m * n);
      Array<float> c(m * n);
      run(entry<E>("direct_gemm"), blocks(2), c, deviceA, deviceB, 0, ta, tb, m, n, k);
      expect_near("c", c.read(), wanted, 1e-6);
      if (both) {
        run(entry<E>("direct_gemm"), blocks(2), rough, deviceA, deviceB, 1, ta, tb, m, n, k);
        expect_elements("c in bfloat16", rough, wanted, 1e-6);
      }
    }
  });
}
