// normalize_test.cpp -- kernels/normalize.cu against three operations
#include "kernel_test.h"

TEST(normalize_scales_pixels_per_channel) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (unsigned channels : {1u, 3u}) {
      unsigned n = 256 * channels;
      std::vector<unsigned char> pixels(n);
      std::vector<float> statistics = Random(channels).uniform(2 * channels, 0.1f, 0.9f), wanted(n);
      for (unsigned i = 0; i < n; i++) {
        pixels[i] = static_cast<unsigned char>(i / channels);
        wanted[i] = (float(pixels[i]) / 255.0f - statistics[i % channels]) / statistics[channels + i % channels];
      }
      Array<unsigned char> device(pixels);
      Array<float> s(statistics);
      Array<E> y(n);
      run(entry<E>("normalize"), blocks(2), y, device, s, n, channels);
      expect_elements("y", y, wanted, 1e-6);
    }
  });
}
