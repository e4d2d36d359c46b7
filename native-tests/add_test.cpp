// add_test.cpp -- kernels/add.cu against loops
#include "kernel_test.h"

TEST(add_and_its_kin_sum_element_by_element) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (unsigned rows : {1u, 37u, 300u}) for (unsigned channels : {1u, 5u, 64u}) {
      unsigned n = rows * channels, splits = 3;
      Random random(n);
      std::vector<float> a = rounded<E>(random.normal(n)), b = rounded<E>(random.normal(n)), bias = random.normal(channels), sum(n), scaled(n), biased(n);
      std::vector<double> gradBias(channels);
      float factor = 0.3f;
      for (unsigned i = 0; i < n; i++) {
        sum[i] = a[i] + b[i];
        scaled[i] = a[i] + factor * b[i];
        biased[i] = a[i] + bias[i % channels];
        gradBias[i % channels] += a[i];
      }
      Array<E> deviceA(elements<E>(a)), deviceB(elements<E>(b)), y(n), total(elements<E>(a)), z(n);
      Array<float> deviceBias(bias), out(channels), alone(channels);
      Array<Bf16> copy(n);
      Array<double> partial(splits * channels);
      Launch launch = sums(channels, 8, splits);
      Array<unsigned> counters(std::vector<unsigned>(launch.gridX * 2));
      run(entry<E>("add"), blocks(2), y, deviceA, deviceB, n);
      run(entry<E>("accumulate_scaled"), blocks(2), total, deviceB, factor, n);
      run(entry<E>("add_bias"), blocks(1), z, deviceA, deviceBias, n, channels);
      run(entry<E>("bias_backward"), launch, partial, counters, alone, nullptr, deviceA, rows, channels);
      run(entry<E>("bias_backward"), launch, partial, counters, out, copy, deviceA, rows, channels);
      expect_equal("gradient of bias beside a copy", out.read(), alone.read());
      expect_equal("rounded copy", values(copy.read()), rounded<Bf16>(a));
      expect_equal("counters", counters.read(), std::vector<unsigned>(counters.n));
      expect_equal("sum", values(y.read()), rounded<E>(sum));
      expect_elements("scaled sum", total, scaled, 1e-6);
      expect_equal("biased", values(z.read()), rounded<E>(biased));
      double size = 0;
      for (float v : a) size += std::fabs(v);
      for (unsigned c = 0; c < channels; c++) expect(std::fabs(out.read()[c] - gradBias[c]) <= 1e-6 * size, "gradient of bias " + std::to_string(c) + " is off");
    }
  });
}
