// activate_test.cpp -- kernels/activate.cu against the functions and their derivatives
#include "kernel_test.h"

TEST(activate_is_relu_hardtanh_and_tanh_with_derivative_zero_at_kinks) {
  for (int kind : {0, 1, 2}) {
    unsigned n = 1000;
    Random random(unsigned(kind) + 1);
    std::vector<float> x = random.normal(n, 0, 1.5f), g = random.normal(n);
    std::copy_n(std::vector<float>{0, -0.0f, 1, -1, INFINITY, -INFINITY}.begin(), 6, x.begin());
    std::vector<double> y(n), gradX(n);
    for (unsigned i = 0; i < n; i++) {
      double v = x[i];
      y[i] = kind == 0 ? std::max(v, 0.0) : kind == 1 ? std::min(1.0, std::max(-1.0, v)) : std::tanh(v);
      gradX[i] = g[i] * (kind == 0 ? v > 0 : kind == 1 ? std::fabs(v) < 1 : 1 - std::tanh(v) * std::tanh(v));
    }
    if (kind == 0) x[4] = 3, y[4] = 3;   // an infinite y has no relative error
    Array<float> deviceX(x), deviceG(g), outY(n), outX(n);
    run("activate", blocks(2), outY, deviceX, kind, n);
    run("activate_backward", blocks(3), outX, deviceG, deviceX, kind, n);
    expect_near("y of kind " + std::to_string(kind), outY.read(), y, kind == 2 ? 1e-6 : 0);
    expect_near("gradX of kind " + std::to_string(kind), outX.read(), gradX, kind == 2 ? 1e-5 : 0);
  }
}
