// xnor_conv2d_grad_w_test.cpp -- kernels/xnor_conv2d_grad_w.cu and xnor_conv2d_grad_w_wgmma.cu against loops over the taps of each position
#include "kernel_test.h"

namespace {
struct Form {
  const char* entry;
  unsigned rows, words, threads, stages;
};

void gradient_of_filters(const std::vector<Form>& forms, bool warpgroups) {
  struct Case { int n, h, w, c, o, r, s, stride, pad, dilation; };
  const Case cases[] = {{1, 5, 5, 1, 1, 3, 3, 1, 1, 1}, {2, 7, 6, 33, 20, 3, 3, 2, 1, 1}, {3, 9, 8, 64, 64, 3, 3, 1, 1, 1}, {1, 9, 8, 31, 5, 5, 3, 1, 2, 2},
                        {3, 4, 5, 96, 130, 1, 1, 2, 0, 1}, {1, 8, 8, 128, 128, 3, 1, 1, 1, 1}, {70, 1, 1, 40, 72, 3, 3, 1, 1, 1}, {2, 11, 13, 16, 16, 3, 3, 1, 1, 1},
                        {2, 9, 9, 160, 136, 3, 3, 1, 1, 1}};
  for (const Case& g : cases) {
    int p = (g.h + 2 * g.pad - g.dilation * (g.r - 1) - 1) / g.stride + 1, q = (g.w + 2 * g.pad - g.dilation * (g.s - 1) - 1) / g.stride + 1;
    Random random(unsigned(g.h * g.c + g.o));
    unsigned positions = unsigned(g.n * p * q), words = unsigned(g.r * g.s * ((g.c + 31) / 32)), size = unsigned(g.o * g.r * g.s * g.c);
    std::vector<unsigned> bits = random.bits(size_t(g.n * g.h * g.w), unsigned(g.c));
    std::vector<float> gradY = rounded<Bf16>(random.normal(size_t(positions) * unsigned(g.o)));
    const float centre = 0.3f, distance = 0.85f;
    for (float border : {0.0f, -1.0f}) {
      float two[] = {rounded<Bf16>({centre - distance})[0], rounded<Bf16>({centre + distance})[0]};
      std::vector<double> wanted(size);
      for (int n = 0; n < g.n; n++) for (int pp = 0; pp < p; pp++) for (int qq = 0; qq < q; qq++) for (int r = 0; r < g.r; r++) for (int s = 0; s < g.s; s++) {
        int h = pp * g.stride - g.pad + r * g.dilation, v = qq * g.stride - g.pad + s * g.dilation;
        bool inside = h >= 0 && h < g.h && v >= 0 && v < g.w;
        for (int c = 0; c < g.c; c++) {
          double x = inside ? two[sign_bit(bits, size_t((n * g.h + h) * g.w + v), unsigned(g.c), unsigned(c)) > 0] : border;
          for (int o = 0; o < g.o; o++) wanted[size_t(((o * g.r + r) * g.s + s) * g.c + c)] += x * gradY[size_t(((n * p + pp) * q + qq) * g.o + o)];
        }
      }
      Array<Bf16> deviceG(elements<Bf16>(gradY)), rough(size);
      Array<unsigned> deviceX(bits);
      Array<float> c(std::vector<float>{centre}), d(std::vector<float>{distance}), gradW(size);
      for (const Form& form : forms) for (unsigned each : {64u, (positions + 63) / 64 * 64}) {
        if (warpgroups && g.o % 8 != 0) continue;
        unsigned splits = (positions + each - 1) / each, bytes = form.stages * (64 * form.rows * 2 + form.words * 64 * 6) + form.words * 16 + (warpgroups ? 1024 : 0);
        Array<float> partial(size_t(splits) * size);
        Launch launch{(words + form.words - 1) / form.words * ((unsigned(g.o) + form.rows - 1) / form.rows), splits, form.threads, 1, bytes};
        run(form.entry, launch, partial, deviceG, deviceX, c, d, border, g.n, g.h, g.w, g.c, g.o, g.r, g.s, g.stride, g.pad, g.dilation, p, q, each);
        run("xnor_conv2d_grad_w_finish", blocks(2), gradW, partial, splits, size);
        std::string what = std::string(form.entry) + " of " + std::to_string(g.c) + " to " + std::to_string(g.o) + " in " + std::to_string(splits) + " splits";
        expect_near(what, gradW.read(), wanted, 1e-6);
        run("xnor_conv2d_grad_w_finish_bf16", blocks(2), rough, partial, splits, size);
        expect_elements(what + ", rounded", rough, wanted, 1e-6);
      }
    }
  }
}
}  // namespace

TEST(gradient_of_filters_from_bits_is_the_sum_over_positions) {
  if (!driver.lastError && driver.capability < 80) return;   // the emulated device has all products
  gradient_of_filters({{"xnor_conv2d_grad_w_bf16", 128, 4, 128, 3}, {"xnor_conv2d_grad_w_narrow_bf16", 64, 6, 96, 3}}, false);
}

TEST(gradient_of_filters_on_warpgroups_is_the_sum_over_positions) {
  if (!driver.lastError && driver.capability != 90) return;
  gradient_of_filters({{"xnor_conv2d_grad_w_wgmma_bf16", 128, 12, 384, 4}, {"xnor_conv2d_grad_w_wgmma_narrow_bf16", 64, 18, 384, 4}}, true);
}

TEST(splits_are_added_in_their_order_however_many_there_are) {
  const unsigned n = 300;
  for (unsigned splits : {0u, 1u, 11u, 16u, 17u, 44u, 132u}) {
    Random random(splits + 1);
    std::vector<float> partial = random.normal(size_t(splits) * n), wanted(n);
    for (unsigned i = 0; i < n; i++) {
      double sum = 0;
      for (unsigned k = 0; k < splits; k++) sum += partial[size_t(k) * n + i];
      wanted[i] = float(sum);
    }
    Array<float> of(partial), gradW(n);
    run("xnor_conv2d_grad_w_finish", blocks(2), gradW, of, splits, n);
    expect_equal(std::to_string(splits) + " splits", gradW.read(), wanted);
  }
}
