// activate_test.cpp -- kernels/activate.cu against the functions and their derivatives
#include "kernel_test.h"

TEST(activate_is_relu_hardtanh_and_tanh_with_derivative_zero_at_kinks) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (int kind : {0, 1, 2}) {
      unsigned n = 1000;
      Random random(unsigned(kind) + 1);
      std::vector<float> x = rounded<E>(random.normal(n, 0, 1.5f)), g = rounded<E>(random.normal(n));
      std::copy_n(std::vector<float>{0, -0.0f, 1, -1, INFINITY, -INFINITY}.begin(), 6, x.begin());
      std::vector<double> y(n), gradX(n);
      for (unsigned i = 0; i < n; i++) {
        double v = x[i];
        y[i] = kind == 0 ? std::max(v, 0.0) : kind == 1 ? std::min(1.0, std::max(-1.0, v)) : std::tanh(v);
        gradX[i] = g[i] * (kind == 0 ? v > 0 : kind == 1 ? std::fabs(v) < 1 : 1 - std::tanh(v) * std::tanh(v));
      }
      if (kind == 0) x[4] = 3, y[4] = 3;   // an infinite y has no relative error
      Array<E> deviceX(elements<E>(x)), deviceG(elements<E>(g)), outY(n), outX(n);
      run(entry<E>("activate"), blocks(2), outY, deviceX, kind, n);
      run(entry<E>("activate_backward"), blocks(3), outX, deviceG, deviceX, kind, n);
      expect_elements("y of kind " + std::to_string(kind), outY, y, kind == 2 ? 1e-6 : 0);
      expect_elements("gradX of kind " + std::to_string(kind), outX, gradX, kind == 2 ? 1e-5 : 0);
    }
  });
}
