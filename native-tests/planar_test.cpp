// planar_test.cpp -- kernels/planar.cu against copies
#include "kernel_test.h"

TEST(planar_changes_the_order_of_channels_and_back) {
  unsigned images = 3, pixels = 35;
  for (unsigned channels : {1u, 3u, 64u}) {
    std::vector<float> x = Random(channels).normal(images * pixels * channels), y(x.size());
    for (unsigned i = 0; i < images; i++) for (unsigned p = 0; p < pixels; p++) for (unsigned c = 0; c < channels; c++) {
      y[(i * channels + c) * pixels + p] = x[(i * pixels + p) * channels + c];
    }
    Array<float> device(x), planar(x.size()), back(x.size());
    run("to_planar", blocks(2), planar, device, unsigned(x.size()), pixels, channels);
    run("from_planar", blocks(2), back, planar, unsigned(x.size()), pixels, channels);
    expect_equal("planar", planar.read(), y);
    expect_equal("back", back.read(), x);
  }
}
