// samples_test.cpp -- kernels/sample_scale.cu and kernels/sample_standard.cu against sums in double
#include "kernel_test.h"

namespace {
struct Moments {
  double mean, variance;   // unbiased
};
Moments moments(const float* x, unsigned size) {
  double sum = 0, squares = 0;
  for (unsigned i = 0; i < size; i++) sum += x[i];
  for (unsigned i = 0; i < size; i++) squares += std::pow(x[i] - sum / size, 2);
  return {sum / size, squares / (size - 1)};
}
}  // namespace

TEST(sample_scale_backward_goes_through_the_deviation_of_its_sample) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (Slope f : slopes()) for (unsigned size : {5u, 70u, 1504u, 16392u + 8 * 1024}) {
      unsigned samples = 3;
      float epsilon = 1e-5f;
      std::vector<float> x = rounded<E>(Random(size).normal(samples * size, 0.1f, 2)), g = rounded<E>(Random(size + 1).normal(samples * size));
      std::vector<double> wanted;
      for (unsigned s = 0; s < samples; s++) {
        Moments m = moments(&x[s * size], size);
        double r = std::sqrt(m.variance + epsilon), hx = 0;
        auto h = [&](unsigned i) { return g[i] * f.slope(double(x[i] * float(1 / r))); };
        for (unsigned i = s * size; i < (s + 1) * size; i++) hx += h(i) * x[i];
        for (unsigned i = s * size; i < (s + 1) * size; i++) wanted.push_back(h(i) / r - (x[i] - m.mean) * hx / ((size - 1) * r * r * r));
      }
      Array<E> deviceX(elements<E>(x)), deviceG(elements<E>(g)), gradX(x.size());
      run(entry<E>("sample_scale_backward"), blocks(samples, 1024), gradX, deviceG, deviceX, f.kind, f.a, f.b, epsilon, size);
      expect_elements("gradX of slope kind " + std::to_string(f.kind) + " size " + std::to_string(size), gradX, wanted, 5e-5);
    }
  });
}

TEST(sample_standard_gives_the_moments_and_goes_through_them) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (Slope f : slopes()) for (unsigned size : {5u, 70u, 1504u, 16392u + 8 * 1024}) {
      unsigned samples = 3;
      std::vector<float> x = rounded<E>(Random(size).normal(samples * size, 0.4f, 2)), g = rounded<E>(Random(size + 1).normal(samples * size));
      std::vector<double> wanted, statistics;
      for (unsigned s = 0; s < samples; s++) {
        Moments m = moments(&x[s * size], size);
        double inverse = 1 / std::sqrt(m.variance), sum = 0, dot = 0;
        statistics.insert(statistics.end(), {m.mean, inverse});
        auto u = [&](unsigned i) { return double((x[i] - float(m.mean)) * float(inverse)); };
        for (unsigned i = s * size; i < (s + 1) * size; i++) sum += g[i] * f.slope(u(i)), dot += g[i] * f.slope(u(i)) * u(i);
        for (unsigned i = s * size; i < (s + 1) * size; i++) wanted.push_back((g[i] * f.slope(u(i)) - sum / size - u(i) * dot / (size - 1)) * inverse);
      }
      Array<E> deviceX(elements<E>(x)), deviceG(elements<E>(g)), gradX(x.size());
      Array<float> deviceStatistics(2 * samples);
      run(entry<E>("sample_standard"), blocks(samples, 1024), deviceStatistics, deviceX, size);
      run(entry<E>("sample_standard_backward"), blocks(samples, 1024), gradX, deviceG, deviceX, deviceStatistics, f.kind, f.a, f.b, size);
      expect_near("statistics of size " + std::to_string(size), deviceStatistics.read(), statistics, 1e-5);
      expect_elements("gradX of slope kind " + std::to_string(f.kind) + " size " + std::to_string(size), gradX, wanted, 5e-5);
    }
  });
}

TEST(sample_standard_of_equal_and_of_far_values) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    unsigned size = 20011;
    std::vector<float> x(2 * size, 0.7f), far = rounded<E>(Random(3).normal(size, 40.0f, 2));
    std::copy(far.begin(), far.end(), x.begin() + size);
    x = rounded<E>(x);
    Moments m = moments(&x[size], size);
    Array<E> deviceX(elements<E>(x));
    Array<float> statistics(4);
    run(entry<E>("sample_standard"), blocks(2, 1024), statistics, deviceX, size);
    expect_near("a sample of one value, and one around 40", statistics.read(), std::vector<double>{x[0], 0, m.mean, 1 / std::sqrt(m.variance)}, 1e-5);
  });
}
