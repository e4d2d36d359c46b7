// planar_test.cpp -- kernels/planar.cu against copies
#include "kernel_test.h"

TEST(planar_changes_the_order_of_channels_and_back) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    unsigned images = 3, pixels = 35;
    for (unsigned channels : {1u, 3u, 64u}) {
      std::vector<float> x = rounded<E>(Random(channels).normal(images * pixels * channels)), y(x.size());
      for (unsigned i = 0; i < images; i++) for (unsigned p = 0; p < pixels; p++) for (unsigned c = 0; c < channels; c++) {
        y[(i * channels + c) * pixels + p] = x[(i * pixels + p) * channels + c];
      }
      Array<E> device(elements<E>(x)), planar(x.size()), back(x.size());
      run(entry<E>("to_planar"), blocks(2), planar, device, unsigned(x.size()), pixels, channels);
      run(entry<E>("from_planar"), blocks(2), back, planar, unsigned(x.size()), pixels, channels);
      expect_equal("planar", values(planar.read()), y);
      expect_equal("back", values(back.read()), x);
    }
  });
}
