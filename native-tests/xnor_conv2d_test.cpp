// xnor_conv2d_test.cpp -- kernels/xnor_conv2d.cu against the real-valued convolution of the unpacked values
#include "kernel_test.h"

namespace {
struct Case {
  int n, h, w, c, o, r, s, stride, pad, dilation;
};
const Case kCases[] = {{1, 5, 5, 1, 1, 3, 3, 1, 1, 1}, {2, 7, 6, 31, 5, 3, 3, 1, 1, 1}, {1, 8, 8, 32, 64, 3, 3, 1, 1, 1}, {1, 9, 8, 33, 65, 3, 3, 2, 1, 1},
                       {2, 5, 5, 64, 70, 1, 1, 2, 0, 1}, {1, 6, 7, 100, 3, 3, 3, 1, 2, 2}, {1, 9, 9, 20, 8, 5, 3, 2, 2, 1}, {3, 4, 4, 128, 16, 3, 3, 1, 1, 1}};

template <class E> void convolutions(const std::string& kernel, int least, int most) {
  if (driver.capability < least || driver.capability > most) return;
  Random random(3);
  for (const Case& g : kCases) {
    int p = (g.h + 2 * g.pad - g.dilation * (g.r - 1) - 1) / g.stride + 1, q = (g.w + 2 * g.pad - g.dilation * (g.s - 1) - 1) / g.stride + 1;
    int taps = g.r * g.s;
    std::vector<unsigned> x = random.bits(size_t(g.n * g.h * g.w), unsigned(g.c)), w = random.bits(size_t(g.o), unsigned(taps * g.c));
    for (int zeroRule = 0; zeroRule < 2; zeroRule++) {
      for (int each = 0; each < 2; each++) {
        bool plain = each == 0;
        std::vector<float> xc = {plain ? 0.0f : 0.3f}, xd = {plain ? 1.0f : 0.7f};
        std::vector<float> wc = each ? random.normal(size_t(g.o)) : xc, wd = each ? random.uniform(size_t(g.o), 0.1f, 2) : xd;
        float offset = plain ? 0.0f : 0.25f;
        auto xValue = [&](int pixel, int c) { return double(xc[0]) + double(xd[0]) * sign_bit(x, size_t(pixel), unsigned(g.c), unsigned(c)); };
        std::vector<double> wanted;
        for (int image = 0; image < g.n; image++) for (int pp = 0; pp < p; pp++) for (int qq = 0; qq < q; qq++) for (int o = 0; o < g.o; o++) {
          double sum = offset, centre = wc[size_t(each ? o : 0)], distance = wd[size_t(each ? o : 0)];
          for (int tap = 0; tap < taps; tap++) {
            int h = pp * g.stride - g.pad + tap / g.s * g.dilation, v = qq * g.stride - g.pad + tap % g.s * g.dilation;
            bool inside = h >= 0 && h < g.h && v >= 0 && v < g.w;
            if (!inside && zeroRule) continue;
            for (int c = 0; c < g.c; c++) {
              double value = inside ? xValue((image * g.h + h) * g.w + v, c) : double(xc[0]) - double(xd[0]);
              sum += value * (centre + distance * sign_bit(w, size_t(o), unsigned(taps * g.c), unsigned(tap * g.c + c)));
            }
          }
          wanted.push_back(sum);
        }
        unsigned tapWords = unsigned((g.c + 31) / 32);
        Array<unsigned> deviceX(x), deviceW(w), filters(size_t(g.o * taps) * tapWords);
        Array<int> ones(size_t(g.o * taps));
        Array<E> y(wanted.size());
        Array<float> xCentre(xc), xDistance(xd), wCentre(wc), wDistance(wd);
        run("xnor_conv2d_filters", blocks(2), filters, ones, deviceW, unsigned(g.o), unsigned(taps), unsigned(g.c));
        run(kernel, {unsigned(g.n * p * q + 63) / 64, unsigned(g.o + 63) / 64, 128, 1, 0}, y, deviceX, filters, ones, xCentre, xDistance, wCentre, wDistance,
            each, g.n, g.h, g.w, g.c, g.o, g.r, g.s, g.stride, g.pad, g.dilation, p, q, zeroRule, offset);
        std::string what = "y of C " + std::to_string(g.c) + " O " + std::to_string(g.o) + (zeroRule ? " zero rule" : " -1 rule") + (each ? " sets" : " signs");
        if (plain) expect_equal(what, values(y.read()), rounded<E>(std::vector<float>(wanted.begin(), wanted.end())));
        else expect_elements(what, y, wanted, 1e-5);
      }
    }
  }
}
}  // namespace

TEST(xnor_conv2d_on_tensor_cores_is_the_convolution_of_the_unpacked_values) {
  each_element([](auto zero) { convolutions<decltype(zero)>(entry<decltype(zero)>("xnor_conv2d"), 80, 90); });
}

TEST(xnor_conv2d_popc_is_the_convolution_of_the_unpacked_values) {
  each_element([](auto zero) { convolutions<decltype(zero)>(entry<decltype(zero)>("xnor_conv2d_popc"), 0, 1000); });
}
