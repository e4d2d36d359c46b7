// adabin_activations_test.cpp -- kernels/adabin_activations.cu against sums in double
#include "kernel_test.h"

TEST(learned_set_backward_gives_the_gradients_of_x_and_of_the_set) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (Slope f : slopes()) for (int codeForm : {0, 1}) for (unsigned n : {1u, 255u, 4000u}) {
      Random random(n + unsigned(f.kind));
      float alpha = 0.7f, beta = -0.2f, inverse = 1 / alpha;
      std::vector<float> x = rounded<E>(random.normal(n)), g = rounded<E>(random.normal(n));
      std::vector<double> gradX(n);
      double gradAlpha = 0, gradBeta = 0, size = 0;
      for (unsigned i = 0; i < n; i++) {
        double u = double((x[i] - beta) * inverse), p = f.slope(u), s = u >= 0 ? 1 : -1;
        gradX[i] = g[i] * p;
        double a = g[i] * (s + (codeForm ? beta : 0) - u * p), b = g[i] * ((codeForm ? alpha : 1) - p);
        gradAlpha += a;
        gradBeta += b;
        size += std::fabs(a) + std::fabs(b);
      }
      for (unsigned grid : {1u, 5u}) {
        Array<E> deviceX(elements<E>(x)), deviceG(elements<E>(g)), outX(n);
        Array<float> a(std::vector<float>{alpha}), b(std::vector<float>{beta}), outAlpha(1), outBeta(1);
        Array<double> partial(2 * grid);
        run(entry<E>("learned_set_backward"), blocks(grid), outX, partial, deviceG, deviceX, a, b, f.kind, f.a, f.b, codeForm, n);
        run("learned_set_backward_finish", blocks(1), outAlpha, outBeta, partial, grid);
        std::string what = " of slope kind " + std::to_string(f.kind);
        expect_elements("gradX" + what, outX, gradX, 2e-5);
        expect(std::fabs(outAlpha.read()[0] - gradAlpha) <= 2e-6 * size, "gradAlpha" + what + " is off");
        expect(std::fabs(outBeta.read()[0] - gradBeta) <= 2e-6 * size, "gradBeta" + what + " is off");
      }
    }
  });
}
