// ladder_test.cpp -- every rung against the same reference, and with --perf the time of every rung the device has
#include "../kernel_test.h"

namespace {

constexpr int kGemmRungs = 5, kConvRungs = 4;

/** Random signs of rows; the ones of each row. */
std::vector<int> ones_of(const std::vector<unsigned>& bits, size_t rows) {
  std::vector<int> ones(rows);
  for (size_t i = 0; i < bits.size(); i++) ones[i / (bits.size() / rows)] += __builtin_popcount(bits[i]);
  return ones;
}

const BitProduct kWide = {80, 90, 128}, kNarrow = {80, 90, 64};
constexpr unsigned kWgmmaStages = 4;
Launch wgmma_launch(unsigned rows, unsigned across, unsigned columns) {
  return {(rows + 127) / 128, (across + columns - 1) / columns, 256, 1, kWgmmaStages * (128 + columns) * 128 + 1024};
}

void gemm_bulk(const Array<float>& y, const BitTiles& tiles) {
  begin("xnor_gemm_bulk", tiles.product(driver.multiprocessors), y, tiles.a, tiles.b, tiles.less, tiles.base, tiles.m, tiles.n, tiles.k, 0);
}

void gemm_rung(int rung, const Array<float>& y, const Array<unsigned>& a, const Array<unsigned>& b, const Array<int>& onesA, const Array<int>& ones,
               unsigned m, unsigned n, unsigned k, const BitTiles& tiles) {
  if (rung == 1) begin("gemm_naive", blocks(std::min(65535u, (m * n + 255) / 256)), y, a, b, ones, m, n, k);
  if (rung == 2) begin("gemm_shared_tile", {(m + 63) / 64, (n + 63) / 64, 256, 1, 0}, y, a, b, ones, m, n, k);
  if (rung == 3) begin("xnor_gemm_wide", kWide.launch(m, n, (k + 31) / 32, 0), y, a, b, onesA, ones, m, n, k, 0);
  if (rung == 4) begin("gemm_wgmma", wgmma_launch(m, n, 256), y, a, b, ones, m, n, k);
  if (rung == 5) {
    begin("xnor_gemm_tiles", tiles.laying(), tiles.a, tiles.b, tiles.less, tiles.base, a, b, m, n, k);
    gemm_bulk(y, tiles);
  }
}

struct Conv {
  int n, h, c, o, stride;
  int p() const { return (h - 1) / stride + 1; }
  unsigned pixels() const { return unsigned(n * p() * p()); }
  unsigned words() const { return unsigned(9 * ((c + 31) / 32)); }
};

/** A convolution's operands on the device: random signs, 3x3, pad 1. */
struct Operands {
  Array<unsigned> x, taps;
  Array<int> ones;
  Array<float> zero = Array<float>(std::vector<float>{0}), one = Array<float>(std::vector<float>{1});
  Operands(const Conv& g, const std::vector<unsigned>& xBits, const std::vector<unsigned>& wBits)
      : x(xBits), taps(size_t(g.o) * g.words()), ones(size_t(g.o) * 16) {
    Array<unsigned> w(wBits);
    run("xnor_conv2d_filters", blocks(unsigned(g.o + 7) / 8), taps, ones, w, unsigned(g.o), 3u, 3u, unsigned(g.c));
  }
};

void conv_rung(int rung, const Array<float>& y, const Operands& d, const Conv& g) {
  int p = g.p();
  auto plain = [&](const char* kernel, const Launch& launch) {
    begin(kernel, launch, y, d.x, d.taps, d.ones, g.n, g.h, g.h, g.c, g.o, 3, 3, g.stride, 1, p, p);
  };
  if (rung == 1) plain("conv_naive", blocks(std::min(65535u, (g.pixels() * unsigned(g.o) + 255) / 256)));
  if (rung == 2) plain("conv_shared_tile", {(g.pixels() + 63) / 64, unsigned(g.o + 63) / 64, 256, 1, 0});
  if (rung == 3) {
    bool wide = g.o % 128 == 0;
    std::nullptr_t none = nullptr;
    Launch launch = (wide ? kWide : kNarrow).convolution(g.pixels(), unsigned(g.o), g.words());
    launch.gridX = std::max(1u, std::min(launch.gridX, (wide ? 2 : 3) * driver.multiprocessors / launch.gridY));
    begin(wide ? "xnor_conv2d_wide" : "xnor_conv2d", launch, y, none, d.x, d.taps, d.ones,
          d.zero, d.one, d.zero, d.one, 0, g.n, g.h, g.h, g.c, g.o, 3, 3, g.stride, 1, 1, p, p, 1, 0, 0.0f);
  }
  if (rung == 4) {
    bool wide = g.o % 128 == 0;
    plain(wide ? "conv_wgmma_wide" : "conv_wgmma", wgmma_launch(g.pixels(), unsigned(g.o), wide ? 128 : 64));
  }
}

bool has_rung(int rung) {
  return rung < 3 || (rung == 3 && kWide.native()) || (rung > 3 && BitTiles::native());
}

void report(const char* what, int rung, const std::vector<float>& times, double operations) {
  double median = times[times.size() / 2];
  printf("%-34s rung %d  median %9.4f ms  (%.4f to %.4f)  %8.1f TOPS\n", what, rung, median, times.front(), times.back(), operations / median * 1e-9);
}
}  // namespace

TEST(every_rung_of_the_matrix_product_is_the_sum_of_products) {
  Random random(1);
  for (unsigned k : {128u, 384u, 1024u, 2176u}) {
    for (auto [m, n] : {std::pair{1u, 3u}, {130u, 65u}, {128u, 257u}}) {
      std::vector<unsigned> a = random.bits(m, k), b = random.bits(n, k);
      std::vector<float> wanted(m * n);
      for (unsigned i = 0; i < m * n; i++) {
        int unequal = 0;
        for (unsigned q = 0; q < k / 32; q++) unequal += __builtin_popcount(a[i / n * (k / 32) + q] ^ b[i % n * (k / 32) + q]);
        wanted[i] = float(int(k) - 2 * unequal);
      }
      Array<unsigned> deviceA(a), deviceB(b);
      Array<int> onesA(ones_of(a, m)), ones(ones_of(b, n));
      BitTiles tiles(m, n, k);
      for (int rung = 1; rung <= kGemmRungs; rung++) {
        if (!has_rung(rung)) continue;
        Array<float> y(m * n);
        gemm_rung(rung, y, deviceA, deviceB, onesA, ones, m, n, k, tiles);
        expect_equal("rung " + std::to_string(rung) + " of " + std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k), y.read(), wanted);
      }
    }
  }
}

TEST(every_rung_of_the_convolution_is_the_sum_over_valid_taps) {
  Random random(2);
  for (const Conv& g : {Conv{2, 9, 64, 64, 1}, Conv{1, 12, 128, 128, 2}, Conv{1, 5, 64, 70, 2}, Conv{1, 7, 256, 24, 1}}) {
    std::vector<unsigned> x = random.bits(size_t(g.n * g.h * g.h), unsigned(g.c)), w = random.bits(size_t(g.o), unsigned(9 * g.c));
    std::vector<float> wanted;
    for (int pixel = 0; pixel < int(g.pixels()); pixel++) for (int o = 0; o < g.o; o++) {
      int sum = 0;
      for (int tap = 0; tap < 9; tap++) {
        int h = pixel / g.p() % g.p() * g.stride - 1 + tap / 3, v = pixel % g.p() * g.stride - 1 + tap % 3;
        if (h < 0 || h >= g.h || v < 0 || v >= g.h) continue;
        for (int c = 0; c < g.c; c++) {
          sum += sign_bit(x, size_t((pixel / g.p() / g.p() * g.h + h) * g.h + v), unsigned(g.c), unsigned(c)) *
                 sign_bit(w, size_t(o), unsigned(9 * g.c), unsigned(tap * g.c + c));
        }
      }
      wanted.push_back(float(sum));
    }
    Operands d(g, x, w);
    for (int rung = 1; rung <= kConvRungs; rung++) {
      if (!has_rung(rung)) continue;
      Array<float> y(wanted.size());
      conv_rung(rung, y, d, g);
      expect_equal("rung " + std::to_string(rung) + " of C " + std::to_string(g.c) + " O " + std::to_string(g.o), y.read(), wanted);
    }
  }
}

MEASURE(gemm) {
  for (unsigned size : {4096u, 8192u}) {
    Random random(size);
    std::vector<unsigned> a = random.bits(size, size), b = random.bits(size, size);
    Array<unsigned> left[2] = {Array<unsigned>(a), Array<unsigned>(b)}, right[2] = {Array<unsigned>(b), Array<unsigned>(a)};
    Array<int> ones[2] = {Array<int>(ones_of(b, size)), Array<int>(ones_of(a, size))};
    Array<float> y[2] = {Array<float>(size_t(size) * size), Array<float>(size_t(size) * size)};
    double operations = 2.0 * size * size * size;
    std::string what = "gemm " + std::to_string(size);
    BitTiles tiles(size, size, size);
    for (int rung = 1; rung <= kGemmRungs; rung++) {
      if (!has_rung(rung)) continue;
      std::vector<float> times = milliseconds(rung < 3 ? 5 : 31,
                                              [&](int i) { gemm_rung(rung, y[i % 2], left[i % 2], right[i % 2], ones[1 - i % 2], ones[i % 2], size, size, size, tiles); });
      report(what.c_str(), rung, times, operations);
    }
    if (has_rung(5)) report((what + ", its product alone").c_str(), 5, milliseconds(31, [&](int i) { gemm_bulk(y[i % 2], tiles); }), operations);
  }
}

MEASURE(conv) {
  for (const Conv& g : {Conv{256, 56, 64, 64, 1}, Conv{256, 28, 128, 128, 1}, Conv{256, 14, 256, 256, 1}, Conv{256, 7, 512, 512, 1}, Conv{256, 56, 64, 128, 2},
                        Conv{256, 28, 128, 256, 2}, Conv{256, 14, 256, 512, 2}}) {
    Random random(unsigned(g.c));
    std::vector<unsigned> x = random.bits(size_t(g.n * g.h * g.h), unsigned(g.c)), w = random.bits(size_t(g.o), unsigned(9 * g.c));
    Operands d(g, x, w);
    Array<float> y[2] = {Array<float>(size_t(g.pixels()) * size_t(g.o)), Array<float>(size_t(g.pixels()) * size_t(g.o))};
    for (int rung = 1; rung <= kConvRungs; rung++) {
      if (!has_rung(rung)) continue;
      std::vector<float> times = milliseconds(rung < 3 ? 5 : 31, [&](int i) { conv_rung(rung, y[i % 2], d, g); });
      std::string what = "conv " + std::to_string(g.c) + " to " + std::to_string(g.o) + " at " + std::to_string(g.h) + (g.stride == 2 ? " stride 2" : "");
      report(what.c_str(), rung, times, 2.0 * g.pixels() * g.o * 9 * g.c);
    }
  }
}
