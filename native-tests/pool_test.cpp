// pool_test.cpp -- kernels/pool.cu against loops that spread gradients from the windows
#include "kernel_test.h"

namespace {
struct Shape {
  int n, h, w, c;
  size_t size() const { return size_t(n * h * w * c); }
  size_t at(int i, int hh, int ww, int k) const { return size_t(((i * h + hh) * w + ww) * c + k); }
};

/** visit(image, p, q, h0, h1, w0, w1): the part of each window that lies inside. */
template <class V> void windows(const Shape& x, const Shape& y, int window, int stride, int pad, V visit) {
  for (int n = 0; n < x.n; n++) for (int p = 0; p < y.h; p++) for (int q = 0; q < y.w; q++) {
    int h = p * stride - pad, w = q * stride - pad;
    visit(n, p, q, std::max(0, h), std::min(x.h, h + window), std::max(0, w), std::min(x.w, w + window));
  }
}
}  // namespace

TEST(max_pool_takes_the_largest_and_gives_the_gradient_to_the_first_of_them) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (auto [window, stride, pad] : {std::array{2, 2, 0}, {3, 2, 1}, {3, 1, 1}}) for (Shape x : {Shape{2, 7, 8, 3}, Shape{1, 4, 4, 33}, Shape{1, 5, 4, 16}}) {
      Shape y{x.n, (x.h + 2 * pad - window) / stride + 1, (x.w + 2 * pad - window) / stride + 1, x.c};
      std::vector<float> pixels = Random(5).normal(x.size()), g = rounded<E>(Random(6).normal(y.size())), wanted(y.size());
      for (float& v : pixels) v = std::round(v);   // ties are frequent
      std::vector<double> gradX(x.size());
      windows(x, y, window, stride, pad, [&](int n, int p, int q, int h0, int h1, int w0, int w1) {
        for (int c = 0; c < x.c; c++) {
          size_t best = x.at(n, h0, w0, c);
          for (int h = h0; h < h1; h++) for (int w = w0; w < w1; w++) if (pixels[x.at(n, h, w, c)] > pixels[best]) best = x.at(n, h, w, c);
          wanted[y.at(n, p, q, c)] = pixels[best];
          gradX[best] += g[y.at(n, p, q, c)];
        }
      });
      Array<E> deviceX(elements<E>(pixels)), deviceG(elements<E>(g)), outY(y.size()), outX(x.size());
      run(entry<E>("max_pool"), blocks(2), outY, deviceX, unsigned(y.size()), x.h, x.w, x.c, y.h, y.w, window, stride, pad);
      run(entry<E>("max_pool_backward"), blocks(2), outX, deviceG, deviceX, unsigned(x.size()), x.h, x.w, x.c, y.h, y.w, window, stride, pad);
      expect_equal("y", values(outY.read()), wanted);
      expect_elements("gradX", outX, gradX, 1e-6);
    }
  });
}

TEST(average_pool_is_the_mean_of_what_lies_inside) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (auto [window, stride] : {std::array{2, 2}, {4, 4}, {3, 2}}) for (Shape x : {Shape{2, 7, 8, 3}, Shape{1, 8, 8, 40}}) {
      Shape y{x.n, (x.h - window + stride - 1) / stride + 1, (x.w - window + stride - 1) / stride + 1, x.c};   // ceil mode
      std::vector<float> pixels = rounded<E>(Random(7).normal(x.size())), g = rounded<E>(Random(8).normal(y.size()));
      std::vector<double> wanted(y.size()), gradX(x.size());
      windows(x, y, window, stride, 0, [&](int n, int p, int q, int h0, int h1, int w0, int w1) {
        double count = (h1 - h0) * (w1 - w0);
        for (int c = 0; c < x.c; c++) for (int h = h0; h < h1; h++) for (int w = w0; w < w1; w++) {
          wanted[y.at(n, p, q, c)] += pixels[x.at(n, h, w, c)] / count;
          gradX[x.at(n, h, w, c)] += g[y.at(n, p, q, c)] / count;
        }
      });
      Array<E> deviceX(elements<E>(pixels)), deviceG(elements<E>(g)), outY(y.size()), outX(x.size());
      run(entry<E>("average_pool"), blocks(2), outY, deviceX, unsigned(y.size()), x.h, x.w, x.c, y.h, y.w, window, stride);
      run(entry<E>("average_pool_backward"), blocks(2), outX, deviceG, unsigned(x.size()), x.h, x.w, x.c, y.h, y.w, window, stride);
      expect_elements("y", outY, wanted, 1e-6);
      expect_elements("gradX", outX, gradX, 1e-6);
    }
  });
}

TEST(reduce_pad_subsamples_or_averages_and_pads_channels_with_zero) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (int window : {1, 2}) for (auto [c, d] : {std::pair{16, 32}, {3, 7}, {16, 24}}) {
      Shape x{2, 8, 6, c}, y{2, 4, 3, d};
      std::vector<float> pixels = rounded<E>(Random(9).normal(x.size())), g = rounded<E>(Random(10).normal(y.size()));
      std::vector<double> wanted(y.size()), gradX(x.size());
      windows(x, y, window, 2, 0, [&](int n, int p, int q, int h0, int h1, int w0, int w1) {
        for (int k = 0; k < c; k++) for (int h = h0; h < h1; h++) for (int w = w0; w < w1; w++) {
          size_t to = y.at(n, p, q, (d - c) / 2 + k), from = x.at(n, h, w, k);
          wanted[to] += pixels[from] / double(window * window);
          gradX[from] += g[to] / double(window * window);
        }
      });
      Array<E> deviceX(elements<E>(pixels)), deviceG(elements<E>(g)), outY(y.size()), outX(x.size());
      run(entry<E>("reduce_pad"), blocks(2), outY, deviceX, unsigned(y.size()), x.h, x.w, c, y.h, y.w, d, window, 2);
      run(entry<E>("reduce_pad_backward"), blocks(2), outX, deviceG, unsigned(x.size()), x.h, x.w, c, y.h, y.w, d, window, 2);
      expect_elements("y", outY, wanted, 1e-6);
      expect_elements("gradX", outX, gradX, 1e-6);
    }
  });
}
