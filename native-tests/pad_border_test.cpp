// pad_border_test.cpp -- kernels/pad_border.cu against a copy
#include "kernel_test.h"

TEST(pad_border_surrounds_each_image) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (int pad : {0, 1, 3}) for (int c : {1, 5, 16}) {
      int images = 2, h = 4, w = 3, hh = h + 2 * pad, ww = w + 2 * pad;
      std::vector<float> x = rounded<E>(Random(unsigned(c)).normal(size_t(images * h * w * c))), wanted(size_t(images * hh * ww * c), -1);
      for (int n = 0; n < images; n++) for (int i = 0; i < h; i++) for (int j = 0; j < w; j++) for (int k = 0; k < c; k++) {
        wanted[size_t(((n * hh + i + pad) * ww + j + pad) * c + k)] = x[size_t(((n * h + i) * w + j) * c + k)];
      }
      Array<E> device(elements<E>(x)), y(wanted.size());
      run(entry<E>("pad_border"), blocks(2), y, device, -1.0f, unsigned(wanted.size()), h, w, c, pad);
      expect_equal("y with border " + std::to_string(pad), values(y.read()), wanted);
    }
  });
}
