// xnor_conv2d_grad_x_test.cpp -- kernels/xnor_conv2d_grad_x.cu against loops over the taps of each position
#include "kernel_test.h"

TEST(gradient_of_images_from_filters_of_bits_is_the_sum_over_taps) {
  struct Case { int n, h, w, c, o, r, s, stride, pad, dilation; };
  const Case cases[] = {{1, 5, 5, 1, 1, 3, 3, 1, 1, 1}, {2, 7, 6, 33, 20, 3, 3, 2, 1, 1}, {3, 9, 8, 64, 64, 3, 3, 1, 1, 1}, {1, 9, 8, 31, 5, 5, 3, 1, 2, 2},
                        {3, 4, 5, 96, 130, 1, 1, 2, 0, 1}, {2, 8, 9, 128, 72, 3, 3, 2, 1, 1}, {70, 1, 1, 40, 72, 3, 3, 1, 1, 1}, {1, 17, 16, 130, 16, 3, 1, 1, 1, 1},
                        {1, 9, 9, 16, 16, 3, 3, 3, 2, 2}};
  struct Form { const char* entry; unsigned rows, words; };
  const Form forms[] = {{"xnor_conv2d_grad_x_bf16", 128, 4}, {"xnor_conv2d_grad_x_narrow_bf16", 256, 2}};
  if (!driver.lastError && driver.capability < 80) return;
  for (const Case& g : cases) for (int each : {0, 1}) {
    int p = (g.h + 2 * g.pad - g.dilation * (g.r - 1) - 1) / g.stride + 1, q = (g.w + 2 * g.pad - g.dilation * (g.s - 1) - 1) / g.stride + 1;
    Random random(unsigned(g.h * g.c + g.o + each));
    unsigned tapBits = unsigned(g.r * g.s * g.c), perPixel = unsigned(g.c + 31) / 32, size = unsigned(g.n * g.h * g.w * g.c), sets = each ? unsigned(g.o) : 1;
    std::vector<unsigned> bits = random.bits(unsigned(g.o), tapBits);
    std::vector<float> gradY = rounded<Bf16>(random.normal(size_t(g.n * p * q) * unsigned(g.o))), centre = random.normal(sets), distance = random.uniform(sets, 0.1f, 2);
    std::vector<double> wanted(size);
    for (int n = 0; n < g.n; n++) for (int pp = 0; pp < p; pp++) for (int qq = 0; qq < q; qq++) for (int r = 0; r < g.r; r++) for (int s = 0; s < g.s; s++) {
      int h = pp * g.stride - g.pad + r * g.dilation, v = qq * g.stride - g.pad + s * g.dilation;
      if (h < 0 || h >= g.h || v < 0 || v >= g.w) continue;
      for (int o = 0; o < g.o; o++) {
        float c0 = centre[size_t(o * each)], d0 = distance[size_t(o * each)];
        float two[] = {rounded<Bf16>({c0 - d0})[0], rounded<Bf16>({c0 + d0})[0]};
        double up = gradY[size_t(((n * p + pp) * q + qq) * g.o + o)];
        for (int c = 0; c < g.c; c++) {
          wanted[size_t(((n * g.h + h) * g.w + v) * g.c + c)] += up * two[sign_bit(bits, size_t(o), tapBits, unsigned((r * g.s + s) * g.c + c)) > 0];
        }
      }
    }
    Array<Bf16> deviceG(elements<Bf16>(gradY));
    Array<unsigned> w(bits), taps(size_t(g.o * g.r * g.s) * perPixel);
    Array<int> ones(size_t((g.r + 1) * (g.s + 1) * g.o));
    Array<float> c(centre), d(distance);
    run("xnor_conv2d_filters", blocks(2), taps, ones, w, unsigned(g.o), unsigned(g.r), unsigned(g.s), unsigned(g.c));
    for (const Form& form : forms) {
      Array<Bf16> gradX(size);
      unsigned pixels = unsigned(g.n * ((g.h + g.stride - 1) / g.stride) * ((g.w + g.stride - 1) / g.stride)), padded = unsigned(g.o + 63) / 64 * 64;
      unsigned bytes = 3 * (form.rows * 128 + form.words * 256) + form.rows * 16 + unsigned(g.r * g.s + 1) * 16 + 4 * padded;
      Launch launch{(perPixel + form.words - 1) / form.words * ((pixels + form.rows - 1) / form.rows), unsigned(g.stride * g.stride), 128, 1, bytes};
      run(form.entry, launch, gradX, deviceG, taps, c, d, each, g.n, g.h, g.w, g.c, g.o, g.r, g.s, g.stride, g.pad, g.dilation, p, q);
      expect_elements(std::string(form.entry) + " of " + std::to_string(g.o) + " to " + std::to_string(g.c), gradX, wanted, 1e-6);
    }
  }
}
