// block_conv2d_test.cpp -- kernels/block_conv2d.cu and block_conv2d_grad_w.cu against loops over the taps of each position
#include "kernel_test.h"

namespace {

/** A convolution of stride 2 over few channels as one over blocks, and its filters laid out by hand. */
struct Stem {
  int n, p, q, o, r, s, c, pad;
  int shift() const { return pad % 2; }
  int a() const { return (r + shift() + 1) / 2; }
  int b() const { return (s + shift() + 1) / 2; }
  int channels() const { return (4 * c + 7) / 8 * 8; }
  size_t blocks() const { return size_t(n * (p + a() - 1) * (q + b() - 1) * channels()); }
  int even() const { return pad + pad % 2; }
  int h() const { return 2 * (p - 1) + r - 2 * pad + o % 2; }
  int w() const { return 2 * (q - 1) + s - 2 * pad + n % 2; }
  unsigned rowsOfTwo(int rows) const {
    unsigned all = unsigned(rows + a() - 1), lines = unsigned(q + 3) / 4 + 1;
    return 2 * 128 * lines * all + 2 * ((2 * all * unsigned(w() * c) + 15) / 16 * 16 + 16) + 512 * unsigned(c);
  }
  size_t filters() const { return size_t(o * r * s * c); }
  size_t results() const { return size_t(n * p * q * o); }
  size_t block(int image, int row, int column, int k) const { return size_t(((image * (p + a() - 1) + row) * (q + b() - 1) + column) * channels() + k); }
  size_t result(int image, int row, int column, int filter) const { return size_t(((image * p + row) * q + column) * o + filter); }

  /** each(filter's value, tap down, tap along, channel of a block) of one filter. */
  template <class Each> void taps(int filter, Each each) const {
    for (int row = 0; row < r; row++) for (int column = 0; column < s; column++) for (int k = 0; k < c; k++) {
      int down = row + shift(), along = column + shift();
      each(size_t(((filter * r + row) * s + column) * c + k), down / 2, along / 2, (down % 2 * 2 + along % 2) * c + k);
    }
  }
  std::string words() const {
    return std::to_string(r) + "x" + std::to_string(s) + " filters over " + std::to_string(c) + " channels, " + std::to_string(o) + " of " + std::to_string(n) + "x" +
           std::to_string(p) + "x" + std::to_string(q);
  }
};

const Stem kStems[] = {{1, 1, 1, 8, 7, 7, 3, 3}, {3, 5, 7, 24, 7, 7, 3, 3}, {1, 9, 4, 64, 3, 3, 3, 1}, {2, 3, 65, 72, 7, 7, 3, 3}, {1, 7, 31, 33, 5, 2, 2, 0},
                       {3, 2, 6, 64, 4, 5, 4, 2}, {2, 4, 5, 5, 1, 1, 1, 0}, {1, 6, 13, 100, 8, 8, 2, 2}, {1, 17, 16, 40, 3, 6, 1, 1}};

}  // namespace

TEST(convolution_over_blocks_is_the_sum_over_taps) {
  if (!driver.lastError && driver.capability < 80) return;
  for (const Stem& g : kStems) {
    Random random(unsigned(g.q + g.o));
    std::vector<float> x = rounded<Bf16>(random.normal(g.blocks())), w = random.normal(g.filters()), held = rounded<Bf16>(w);
    std::vector<double> wanted(g.results());
    for (int i = 0; i < g.n; i++) for (int row = 0; row < g.p; row++) for (int column = 0; column < g.q; column++) for (int filter = 0; filter < g.o; filter++) {
      g.taps(filter, [&](size_t at, int down, int along, int k) { wanted[g.result(i, row, column, filter)] += double(held[at]) * x[g.block(i, row + down, column + along, k)]; });
    }
    Array<Bf16> deviceX(elements<Bf16>(x)), roughW(elements<Bf16>(w));
    Array<float> deviceW(w);
    for (int rows : {1, 3, g.p}) for (unsigned grid : {1u, 5u}) {
      unsigned chunks = unsigned(g.n * ((g.p + rows - 1) / rows)), each = (chunks + grid - 1) / grid;
      Launch launch{grid, unsigned(g.o + 63) / 64, 128, 1, std::max(g.rowsOfTwo(rows), 64u * 528)};
      Array<Bf16> y(g.results()), again(g.results());
      run("block_conv2d", launch, y, deviceX, deviceW, g.n, g.p, g.q, g.o, g.a(), g.b(), g.channels(), rows, each, g.r, g.s, g.c, g.shift());
      run("block_conv2d_bf16", launch, again, deviceX, roughW, g.n, g.p, g.q, g.o, g.a(), g.b(), g.channels(), rows, each, g.r, g.s, g.c, g.shift());
      std::string what = "y of " + g.words() + ", " + std::to_string(rows) + " rows a chunk, " + std::to_string(grid) + " blocks";
      expect_elements(what, y, wanted, 1e-6);
      expect_equal(what + ", filters of bfloat16", values(again.read()), values(y.read()));
    }
  }
}

TEST(gradient_of_filters_over_blocks_is_the_sum_over_positions) {
  if (!driver.lastError && driver.capability < 80) return;
  for (const Stem& g : kStems) {
    Random random(unsigned(g.q * g.o));
    std::vector<float> x = rounded<Bf16>(random.normal(g.blocks())), gradY = rounded<Bf16>(random.normal(g.results()));
    std::vector<double> wanted(g.filters());
    for (int i = 0; i < g.n; i++) for (int row = 0; row < g.p; row++) for (int column = 0; column < g.q; column++) for (int filter = 0; filter < g.o; filter++) {
      g.taps(filter, [&](size_t at, int down, int along, int k) { wanted[at] += double(gradY[g.result(i, row, column, filter)]) * x[g.block(i, row + down, column + along, k)]; });
    }
    Array<Bf16> deviceX(elements<Bf16>(x)), deviceG(elements<Bf16>(gradY)), rough(g.filters());
    Array<float> gradW(g.filters());
    unsigned blocked = unsigned(g.o * g.a() * g.b() * g.channels()), count = unsigned(g.filters());
    for (int rows : {1, 3, g.p}) for (unsigned each : {1u, 2u, 100u}) {
      unsigned chunks = unsigned(g.n * ((g.p + rows - 1) / rows)), splits = (chunks + each - 1) / each, steps = (unsigned(rows) * (unsigned(g.q + 3) / 4) + 15) / 16;
      unsigned bytes = std::max(2 * steps * 64 * 128 + g.rowsOfTwo(rows), 65536u);
      Array<float> partial(size_t(splits) * blocked);
      run("block_conv2d_grad_w_bf16", Launch{splits, unsigned(g.o + 63) / 64, 256, 1, bytes}, partial, deviceG, deviceX, g.n, g.p, g.q, g.o, g.a(), g.b(), g.channels(),
          rows, each);
      run("block_conv2d_grad_w_finish", blocks(2), gradW, partial, splits, count, g.r, g.s, g.c, g.a(), g.b(), g.channels(), g.shift());
      std::string what = "gradW of " + g.words() + ", " + std::to_string(rows) + " rows a chunk, " + std::to_string(splits) + " splits";
      expect_near(what, gradW.read(), wanted, 1e-6);
      run("block_conv2d_grad_w_finish_bf16", blocks(2), rough, partial, splits, count, g.r, g.s, g.c, g.a(), g.b(), g.channels(), g.shift());
      expect_elements(what + ", rounded", rough, wanted, 1e-6);
    }
  }
}

TEST(convolution_over_blocks_of_bytes_is_that_of_stored_blocks) {
  if (!driver.lastError && driver.capability < 80) return;
  for (const Stem& g : kStems) {
    size_t size = size_t(g.n * g.h() * g.w() * g.c);
    std::vector<unsigned char> bytes(size + 3);
    for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<unsigned char>(i < 8 ? i % 2 * 255 : i * 37 + i / 256);
    std::vector<unsigned char> shifted(bytes);
    std::rotate(shifted.rbegin(), shifted.rbegin() + 3, shifted.rend());
    Array<unsigned char> pixels(std::vector<unsigned char>(bytes.begin(), bytes.begin() + long(size))), crooked(shifted);
    Random random(unsigned(g.q));
    Array<float> statistics(random.uniform(size_t(2 * g.c), 0.1f, 0.9f)), w(random.normal(g.filters()));
    Array<Bf16> gradY(elements<Bf16>(random.normal(g.results()))), roughW(elements<Bf16>(w.read())), blocks_(g.blocks()), wanted(g.results()), y(g.results()), rough(g.results()), moved(g.results());
    unsigned blocked = unsigned(g.o * g.a() * g.b() * g.channels());
    run("pixel_blocks_of_bytes", blocks(2), blocks_, pixels, statistics, unsigned(g.blocks()), g.h(), g.w(), g.c, g.p + g.a() - 1, g.q + g.b() - 1, g.channels(), g.even());
    struct Split { int rows; unsigned each; };
    for (auto [rows, each] : {Split{1, 3}, Split{2, 100}, Split{g.p, 1}}) {
      unsigned splits = (unsigned(g.n * ((g.p + rows - 1) / rows)) + each - 1) / each, across = unsigned(g.o + 63) / 64, steps = (unsigned(rows) * (unsigned(g.q + 3) / 4) + 15) / 16;
      Launch forward{splits, across, 128, 1, std::max(g.rowsOfTwo(rows), 64u * 528)}, backward{splits, across, 256, 1, std::max(2 * steps * 64 * 128 + g.rowsOfTwo(rows), 65536u)};
      std::string what = g.words() + ", " + std::to_string(rows) + " rows a chunk, " + std::to_string(each) + " chunks";
      run("block_conv2d", forward, wanted, blocks_, w, g.n, g.p, g.q, g.o, g.a(), g.b(), g.channels(), rows, each, g.r, g.s, g.c, g.shift());
      run("block_conv2d_of_bytes", forward, y, pixels, statistics, w, g.n, g.p, g.q, g.o, g.a(), g.b(), g.channels(), rows, each, g.r, g.s, g.c, g.shift(), g.h(), g.w(), g.even());
      expect_equal("y of " + what, values(y.read()), values(wanted.read()));
      run("block_conv2d_of_bytes_bf16", forward, rough, pixels, statistics, roughW, g.n, g.p, g.q, g.o, g.a(), g.b(), g.channels(), rows, each, g.r, g.s, g.c, g.shift(), g.h(), g.w(),
          g.even());
      expect_equal("y of " + what + ", filters of bfloat16", values(rough.read()), values(wanted.read()));
      run("block_conv2d_of_bytes", forward, moved, Fields()(crooked.address + 3), statistics, w, g.n, g.p, g.q, g.o, g.a(), g.b(), g.channels(), rows, each, g.r, g.s, g.c, g.shift(),
          g.h(), g.w(), g.even());
      expect_equal("y of " + what + ", images at an odd address", values(moved.read()), values(wanted.read()));
      Array<float> partial(size_t(splits) * blocked), again(size_t(splits) * blocked);
      run("block_conv2d_grad_w_bf16", backward, partial, gradY, blocks_, g.n, g.p, g.q, g.o, g.a(), g.b(), g.channels(), rows, each);
      run("block_conv2d_grad_w_of_bytes_bf16", backward, again, gradY, pixels, statistics, g.n, g.p, g.q, g.o, g.a(), g.b(), g.channels(), rows, each, g.h(), g.w(), g.c, g.even());
      expect_equal("gradW of " + what, again.read(), partial.read());
    }
  }
}

TEST(statistics_of_convolutions_over_blocks_are_those_of_their_results) {
  if (!driver.lastError && driver.capability < 80) return;
  for (const Stem& g : kStems) {
    size_t size = size_t(g.n * g.h() * g.w() * g.c);
    std::vector<unsigned char> bytes(size);
    for (size_t i = 0; i < size; i++) bytes[i] = static_cast<unsigned char>(i * 37 + i / 256);
    Random random(unsigned(g.q + 7));
    Array<unsigned char> pixels(bytes);
    Array<float> scale(random.uniform(size_t(2 * g.c), 0.1f, 0.9f)), w(random.normal(g.filters()));
    Array<Bf16> roughW(elements<Bf16>(w.read())), wanted(g.results()), y(g.results());
    unsigned filters = unsigned(g.o), positions = unsigned(g.n * g.p * g.q), across = (filters + 63) / 64;
    struct Split { int rows; unsigned each; };
    for (auto [rows, each] : {Split{1, 1}, Split{2, 100}, Split{g.p, 2}}) for (bool rough : {false, true}) {
      unsigned splits = (unsigned(g.n * ((g.p + rows - 1) / rows)) + each - 1) / each;
      Launch launch{splits, across, 128, 1, std::max(g.rowsOfTwo(rows) + 2048, 64u * 528)};
      run("block_conv2d_of_bytes", launch, wanted, pixels, scale, w, g.n, g.p, g.q, g.o, g.a(), g.b(), g.channels(), rows, each, g.r, g.s, g.c, g.shift(), g.h(), g.w(), g.even());
      std::vector<double> sums(filters), squares(filters), mean(filters), inverse(filters), running(filters), runningVar(filters);
      std::vector<float> results = values(wanted.read());
      for (size_t i = 0; i < results.size(); i++) sums[i % filters] += results[i];
      for (unsigned c = 0; c < filters; c++) mean[c] = sums[c] / positions;
      for (size_t i = 0; i < results.size(); i++) squares[i % filters] += (results[i] - mean[i % filters]) * (results[i] - mean[i % filters]);
      for (unsigned c = 0; c < filters; c++) {
        inverse[c] = 1 / std::sqrt(squares[c] / positions + 1e-3);
        running[c] = 0.9 * 2 + 0.1 * mean[c];
        runningVar[c] = 0.9 * 3 + 0.1 * (positions > 1 ? squares[c] / (positions - 1) : squares[c]);
      }
      Array<double> partial(size_t(splits) * 2 * filters);
      Array<unsigned> counters(std::vector<unsigned>(across * ((splits + 23) / 24 + 1)));
      Array<float> foundMean(filters), foundInverse(filters), runningMean(std::vector<float>(filters, 2)), foundVar(std::vector<float>(filters, 3));
      Fields fields;
      fields(partial)(counters)(y).none()(foundMean)(foundInverse)(runningMean)(foundVar)(0.1f)(1e-3f)(1)(positions)(filters)(filters)(pixels)(scale);
      if (rough) fields(roughW);
      else fields(w);
      fields(g.n)(g.p)(g.q)(g.o)(g.a())(g.b())(g.channels())(rows)(each)(g.r)(g.s)(g.c)(g.shift())(g.h())(g.w())(g.even());
      run(rough ? "block_conv2d_statistics_bf16" : "block_conv2d_statistics", launch, fields);
      std::string what = " of " + g.words() + ", " + std::to_string(rows) + " rows a chunk, " + std::to_string(splits) + " splits";
      expect_equal("y" + what, values(y.read()), results);
      expect_near("mean" + what, foundMean.read(), mean, 2e-6);
      expect_near("inverse deviation" + what, foundInverse.read(), inverse, 2e-6);
      expect_near("running mean" + what, runningMean.read(), running, 2e-6);
      expect_near("running variance" + what, foundVar.read(), runningVar, 2e-6);
      expect_equal("counters" + what, counters.read(), std::vector<unsigned>(counters.n));
    }
  }
}
