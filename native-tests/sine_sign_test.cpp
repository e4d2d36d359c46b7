// sine_sign_test.cpp -- kernels/sine_sign.cu against sums in double
#include "kernel_test.h"

TEST(squared_level_adds_the_penalty_and_its_gradient) {
  for (unsigned size : {1u, 300u, 1250u}) for (unsigned filters : {1u, 4u, 300u}) {
    unsigned n = filters * size;
    Slope f{4, 20, 0};
    float factor = 0.3f;
    std::vector<float> w = Random(n).normal(n, 0, 0.1f), start = Random(n + 1).normal(n);
    std::vector<double> grad;
    double penalty = 2;
    for (unsigned i = 0; i < n; i++) {
      grad.push_back(start[i] + 2.0 * factor / n * f.level(w[i]) * f.slope(w[i]));
      penalty += factor * f.level(w[i]) * f.level(w[i]) / n;
    }
    Array<float> device(w), gradW(start), sum(std::vector<float>{2});
    Array<double> squares(filters);
    run("squared_level", blocks(filters), gradW, squares, device, f.kind, f.a, f.b, factor, size);
    run("squared_level_finish", blocks(1), sum, squares, filters, factor, n);
    expect_near("gradW", gradW.read(), grad, 1e-5);
    expect_near("penalty", sum.read(), std::vector<double>{penalty}, 1e-6);
  }
}
