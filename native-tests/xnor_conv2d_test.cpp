// xnor_conv2d_test.cpp -- kernels/xnor_conv2d.cu against the real-valued convolution of the unpacked values
#include <deque>
#include "kernel_test.h"

namespace {
struct Case {
  int n, h, w, c, o, r, s, stride, pad, dilation;
};
const Case kCases[] = {{1, 5, 5, 1, 1, 3, 3, 1, 1, 1}, {2, 7, 6, 31, 5, 3, 3, 1, 1, 1}, {1, 8, 8, 32, 64, 3, 3, 1, 1, 1}, {1, 9, 8, 33, 65, 3, 3, 2, 1, 1},
                       {2, 5, 5, 64, 70, 1, 1, 2, 0, 1}, {1, 6, 7, 100, 3, 3, 3, 1, 2, 2}, {1, 9, 9, 20, 8, 5, 3, 2, 2, 1}, {3, 4, 4, 128, 16, 3, 3, 1, 1, 1},
                       {1, 12, 12, 64, 136, 3, 3, 1, 1, 1}, {2, 9, 8, 256, 24, 3, 3, 1, 1, 1}, {1, 4, 6, 16, 8, 3, 5, 1, 4, 3}, {1, 11, 9, 33, 9, 7, 5, 2, 3, 1},
                       {1, 18, 19, 64, 72, 3, 3, 1, 1, 1}, {2, 14, 10, 96, 8, 6, 6, 1, 3, 1}, {1, 4, 4, 1100, 8, 3, 3, 1, 1, 1},
                       {9, 1, 1, 64, 8, 3, 3, 1, 1, 1}, {40, 2, 3, 33, 7, 3, 3, 1, 1, 1}, {2, 23, 17, 48, 64, 3, 3, 2, 1, 1}, {1, 17, 14, 64, 16, 3, 3, 1, 2, 2},
                       {3, 12, 11, 64, 64, 3, 3, 1, 0, 1}, {1, 17, 14, 65, 9, 3, 3, 1, 2, 2}, {9, 1, 1, 160, 8, 3, 3, 1, 1, 1}, {2, 13, 9, 200, 70, 3, 3, 2, 1, 1},
                       {2, 12, 11, 320, 16, 3, 3, 1, 0, 1}, {1, 3, 140, 96, 8, 3, 3, 1, 1, 1}, {3, 7, 7, 512, 16, 3, 3, 1, 1, 1}, {3, 14, 14, 256, 24, 3, 3, 2, 1, 1},
                       {2, 11, 13, 130, 8, 3, 3, 3, 0, 2}};

/** With an image of x: by the kernels over at least so many channels and at most so many, where windows are theirs. */
void convolutions(const char* kernel, const BitProduct& product, int fewest = 0, int most = 0) {
  if (!product.native()) return;
  Random random(3);
  for (const Case& g : kCases) {
    int p = (g.h + 2 * g.pad - g.dilation * (g.r - 1) - 1) / g.stride + 1, q = (g.w + 2 * g.pad - g.dilation * (g.s - 1) - 1) / g.stride + 1;
    int taps = g.r * g.s;
    if (most && (g.r != 3 || g.s != 3 || g.c < fewest || g.c > most || g.pad > g.dilation)) continue;
    std::vector<unsigned> x = random.bits(size_t(g.n * g.h * g.w), unsigned(g.c)), w = random.bits(size_t(g.o), unsigned(taps * g.c));
    for (int zeroRule = 0; zeroRule < 2; zeroRule++) {
      for (int each = 0; each < 2; each++) {
        bool plain = each == 0;
        std::vector<float> xc = {plain ? 0.0f : 0.3f}, xd = {plain ? 1.0f : 0.7f};
        std::vector<float> wc = each ? random.normal(size_t(g.o)) : xc, wd = each ? random.uniform(size_t(g.o), 0.1f, 2) : xd;
        float offset = plain ? 0.0f : 0.25f;
        std::vector<double> wanted;
        std::vector<float> dots;
        std::vector<int16_t> sums;
        for (int image = 0; image < g.n; image++) for (int pp = 0; pp < p; pp++) for (int qq = 0; qq < q; qq++) for (int o = 0; o < g.o; o++) {
          double sum = offset, centre = wc[size_t(each ? o : 0)], distance = wd[size_t(each ? o : 0)];
          int dot = 0, sumX = 0;
          for (int tap = 0; tap < taps; tap++) {
            int h = pp * g.stride - g.pad + tap / g.s * g.dilation, v = qq * g.stride - g.pad + tap % g.s * g.dilation;
            bool inside = h >= 0 && h < g.h && v >= 0 && v < g.w;
            if (!inside && zeroRule) continue;
            for (int c = 0; c < g.c; c++) {
              int bx = inside ? sign_bit(x, size_t((image * g.h + h) * g.w + v), unsigned(g.c), unsigned(c)) : -1;
              int bw = sign_bit(w, size_t(o), unsigned(taps * g.c), unsigned(tap * g.c + c));
              sum += (double(xc[0]) + double(xd[0]) * bx) * (centre + distance * bw);
              dot += bx * bw;
              sumX += bx;
            }
          }
          wanted.push_back(sum);
          dots.push_back(float(dot));
          if (o == 0) sums.push_back(int16_t(sumX));
        }
        unsigned tapWords = unsigned((g.c + 31) / 32);
        Array<unsigned> deviceX(x), deviceW(w), filters(size_t(g.o * taps) * tapWords);
        Array<int> ones(size_t(g.o * (g.r + 1) * (g.s + 1)));
        Array<float> xCentre(xc), xDistance(xd), wCentre(wc), wDistance(wd);
        run("xnor_conv2d_filters", blocks(2), filters, ones, deviceW, unsigned(g.o), unsigned(g.r), unsigned(g.s), unsigned(g.c));
        Launch launch = product.convolution(unsigned(g.n * p * q), unsigned(g.o), unsigned(taps) * tapWords);
        if (most) launch = BitProduct::imaged(launch.gridX, g.o, g.h, g.w, g.c, g.stride, g.pad, g.dilation, p, q);
        const unsigned tiles = launch.gridX;
        std::string what = "y of C " + std::to_string(g.c) + " O " + std::to_string(g.o) + (zeroRule ? " zero rule" : " -1 rule") + (each ? " sets" : " signs");
        for (int element = 0; element < 3; element++) {
          if (element == 1 && plain) continue;
          launch.gridX = element == 0 ? tiles : 1;   // a block for each tile, or one for all
          Array<int16_t> sumsX(sums.size());
          std::vector<float> y = bit_product_y(element, wanted.size(), [&](auto& y) {
            auto go = [&](auto& sumsOrNull) {
              run(kernel, launch, y, sumsOrNull, deviceX, filters, ones, xCentre, xDistance, wCentre, wDistance, each, g.n, g.h, g.w, g.c, g.o, g.r, g.s, g.stride,
                  g.pad, g.dilation, p, q, zeroRule, element, offset);
            };
            std::nullptr_t none = nullptr;
            if (element == 2) go(sumsX);
            else go(none);
          });
          if (element == 2) {
            expect_equal(what + ", <bx,bw>", y, dots);
            expect_equal(what + ", sum(bx)", sumsX.read(), sums);
          } else if (plain) {
            expect_equal(what, y, std::vector<float>(wanted.begin(), wanted.end()));
          } else {
            expect_near(what + (element ? " bfloat16" : ""), y, wanted, element ? 2e-3 : 1e-5);
          }
        }
      }
    }
  }
}
}  // namespace

TEST(xnor_conv2d_is_the_convolution_of_the_unpacked_values) { convolutions("xnor_conv2d", {80, 90, 64}); }
TEST(xnor_conv2d_held_is_the_convolution_of_the_unpacked_values) { convolutions("xnor_conv2d_held", {80, 90, 64}, 33, 64); }
TEST(xnor_conv2d_planes_is_the_convolution_of_the_unpacked_values) { convolutions("xnor_conv2d_planes", {80, 90, 64}, 65, 640); }
TEST(xnor_conv2d_wide_is_the_convolution_of_the_unpacked_values) { convolutions("xnor_conv2d_wide", {80, 90, 128}); }
TEST(xnor_conv2d_xor_is_the_convolution_of_the_unpacked_values) { convolutions("xnor_conv2d_xor", {75, 75, 64}); }
TEST(xnor_conv2d_popc_is_the_convolution_of_the_unpacked_values) { convolutions("xnor_conv2d_popc", {0, 1000, 64}); }

namespace {
/** kernels/xnor_conv2d.cu, FilterLayout. */
struct FilterLayout {
  CUdeviceptr taps, ones, w;
  unsigned filters, r, s, channels;
};
}  // namespace

/** Layers of one tap to more than a warp counts, channels around the word: each as the definition has it, whether alone or with the others. */
TEST(filters_are_laid_out_alone_and_many_layers_at_once) {
  struct Layer {
    unsigned filters, r, s, channels;
  };
  const std::vector<Layer> layers = {{1, 1, 1, 1}, {9, 3, 3, 31}, {17, 3, 3, 32}, {8, 3, 3, 33}, {3, 3, 3, 64}, {5, 1, 3, 65}, {2, 7, 7, 3}, {4, 5, 7, 40}};
  Random random(7);
  std::deque<Array<unsigned>> ws, alone, together;
  std::deque<Array<int>> onesAlone, onesTogether;
  std::vector<FilterLayout> table;
  std::vector<std::array<unsigned, 2>> pairs;
  std::vector<std::vector<unsigned>> bits;
  for (const Layer& l : layers) {
    unsigned taps = l.r * l.s, words = (l.channels + 31) / 32, corners = (l.r + 1) * (l.s + 1);
    bits.push_back(random.bits(l.filters, taps * l.channels));
    ws.emplace_back(bits.back());
    alone.emplace_back(size_t(l.filters) * taps * words);
    together.emplace_back(size_t(l.filters) * taps * words);
    onesAlone.emplace_back(size_t(l.filters) * corners);
    onesTogether.emplace_back(size_t(l.filters) * corners);
  }
  for (size_t i = 0; i < layers.size(); i++) {
    const Layer& l = layers[i];
    table.push_back({together[i].address, onesTogether[i].address, ws[i].address, l.filters, l.r, l.s, l.channels});
    for (unsigned filter = 0; filter < l.filters; filter++) pairs.push_back({unsigned(i), filter});
  }
  Array<FilterLayout> deviceTable(table);
  Array<std::array<unsigned, 2>> blocksOf(pairs);
  run("xnor_conv2d_filters_all", blocks(unsigned(pairs.size() + 7) / 8), deviceTable, blocksOf, unsigned(pairs.size()));
  for (size_t i = 0; i < layers.size(); i++) {
    const Layer& l = layers[i];
    run("xnor_conv2d_filters", blocks(2), alone[i], onesAlone[i], ws[i], l.filters, l.r, l.s, l.channels);
    unsigned taps = l.r * l.s, words = (l.channels + 31) / 32;
    std::vector<unsigned> wanted(size_t(l.filters) * taps * words);
    std::vector<int> ones(size_t(l.filters) * (l.r + 1) * (l.s + 1));
    for (unsigned o = 0; o < l.filters; o++) {
      for (unsigned tap = 0; tap < taps; tap++) {
        for (unsigned c = 0; c < l.channels; c++) {
          if (sign_bit(bits[i], o, taps * l.channels, tap * l.channels + c) < 0) continue;
          wanted[(size_t(o) * taps + tap) * words + c / 32] |= 1u << c % 32;
          for (unsigned row = tap / l.s + 1; row <= l.r; row++) {
            for (unsigned column = tap % l.s + 1; column <= l.s; column++) ones[(row * (l.s + 1) + column) * l.filters + o]++;
          }
        }
      }
    }
    std::string what = "layer " + std::to_string(i);
    expect_equal(what + ", taps alone", alone[i].read(), wanted);
    expect_equal(what + ", taps with the others", together[i].read(), wanted);
    expect_equal(what + ", ones alone", onesAlone[i].read(), ones);
    expect_equal(what + ", ones with the others", onesTogether[i].read(), ones);
  }
}
