// l2_norm_test.cpp -- kernels/l2_norm.cu against loops in double
#include "kernel_test.h"

TEST(l2_normalize_divides_each_pixel_by_its_norm_and_its_gradients_follow) {
  const unsigned cases[][4] = {{1, 1, 1, 1}, {5, 3, 4, 2}, {70, 20, 32, 3}, {40, 65, 32, 2}, {9, 64, 16, 2}, {6, 512, 32, 1}, {3, 515, 32, 1}};   // pixels, channels, width, splits
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (auto& k : cases) {
      unsigned pixels = k[0], channels = k[1], n = pixels * channels, splits = k[3];
      Random random(n);
      std::vector<float> x = rounded<E>(random.normal(n)), g = rounded<E>(random.normal(n)), scale = random.normal(channels, 20, 3);
      if (pixels > 2) for (unsigned c = 0; c < channels; c++) x[2 * channels + c] = c % 2 ? 0.0f : -0.0f;
      std::vector<double> y(n), gradX(n), gradScale(channels);
      for (unsigned p = 0; p < pixels; p++) {
        double squares = 0, along = 0;
        for (unsigned i = p * channels; i < (p + 1) * channels; i++) {
          squares += double(x[i]) * x[i];
          along += double(scale[i % channels]) * g[i] * x[i];
        }
        double norm = std::sqrt(squares), d = norm + 1e-10;
        for (unsigned i = p * channels; i < (p + 1) * channels; i++) {
          double s = scale[i % channels];
          y[i] = s * x[i] / d;
          gradX[i] = norm == 0 ? 0 : s * g[i] / d - x[i] * along / (d * d * norm);
          gradScale[i % channels] += double(g[i]) * x[i] / d;
        }
      }
      Array<E> deviceX(elements<E>(x)), deviceG(elements<E>(g)), outY(n), outX(n);
      Array<float> scales(scale), outScale(channels);
      Array<double> shares(pixels), partial(splits * channels);
      run(entry<E>("l2_normalize"), blocks(2), outY, deviceX, scales, pixels, channels);
      run(entry<E>("l2_normalize_backward"), blocks(2), outX, shares, deviceG, deviceX, scales, pixels, channels);
      run(entry<E>("l2_normalize_scale"), sums(channels % 4 == 0 ? channels / 4 : channels, k[2], splits), partial, deviceG, deviceX, shares, pixels, channels);
      run("channel_sums_finish", blocks((channels + 255) / 256), outScale, outScale, partial, splits, 1u, channels);
      expect_elements("y", outY, y, 1e-6);
      expect_elements("gradX", outX, gradX, 1e-6);
      expect_near("gradScale", outScale.read(), gradScale, 1e-6);
    }
  });
}
