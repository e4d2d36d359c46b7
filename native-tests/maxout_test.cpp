// maxout_test.cpp -- kernels/maxout.cu and kernels/channel_sums.cu against loops
#include "kernel_test.h"

TEST(maxout_has_one_slope_per_side_and_channel) {
  const unsigned cases[][4] = {{1, 1, 1, 1}, {5, 3, 4, 2}, {70, 20, 32, 3}, {40, 65, 32, 2}, {33, 64, 32, 2}};   // rows, channels, width, splits
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (auto& k : cases) {
      unsigned rows = k[0], channels = k[1], n = rows * channels, splits = k[3];
      Random random(n);
      std::vector<float> x = rounded<E>(random.normal(n)), g = rounded<E>(random.normal(n)), y(n), gradX(n);
      std::vector<float> positive = random.normal(channels), negative = random.normal(channels);
      std::vector<double> gradPositive(channels), gradNegative(channels);
      x[0] = 0;
      if (n > 9) x[8] = std::numeric_limits<float>::quiet_NaN();
      for (unsigned i = 0; i < n; i++) {
        unsigned c = i % channels;
        y[i] = x[i] > 0 ? positive[c] * x[i] : negative[c] * x[i];
        gradX[i] = x[i] > 0 ? g[i] * positive[c] : x[i] < 0 ? g[i] * negative[c] : 0;
        if (x[i] == x[i]) (x[i] > 0 ? gradPositive : gradNegative)[c] += double(g[i]) * x[i];
      }
      Array<E> deviceX(elements<E>(x)), deviceG(elements<E>(g)), outY(n), outX(n);
      Array<float> p(positive), m(negative), outP(channels), outN(channels);
      Array<double> partial(splits * 2 * channels);
      run(entry<E>("maxout"), blocks(2), outY, deviceX, p, m, n, channels);
      run(entry<E>("maxout_backward"), sums(channels, k[2], splits), outX, partial, deviceG, deviceX, p, m, rows, channels);
      run("channel_sums_finish", blocks((channels + 255) / 256), outP, outN, partial, splits, 2u, channels);
      expect_equal("y", values(outY.read()), rounded<E>(y));
      expect_equal("gradX", values(outX.read()), rounded<E>(gradX));
      expect_near("gradPositive", outP.read(), gradPositive, 1e-5);
      expect_near("gradNegative", outN.read(), gradNegative, 1e-5);
    }
  });
}
