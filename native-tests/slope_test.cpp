// slope_test.cpp -- kernels/slope.cu against level and slope in double
#include "kernel_test.h"

TEST(level_and_slope_are_those_of_the_binarizer) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (Slope f : slopes()) {
      unsigned n = 3000;
      std::vector<float> x = rounded<E>(Random(31).normal(n)), g = rounded<E>(Random(32).normal(n));
      std::vector<double> level, slope;
      for (unsigned i = 0; i < n; i++) {
        level.push_back(f.level(x[i]));
        slope.push_back(g[i] * f.slope(x[i]));
      }
      Array<float> floatX(x), y(n);
      Array<E> deviceX(elements<E>(x)), deviceG(elements<E>(g)), gradX(n);
      run("level", blocks(2), y, floatX, f.kind, f.a, f.b, n);
      run(entry<E>("slope"), blocks(2), gradX, deviceG, deviceX, f.kind, f.a, f.b, n);
      expect_near("level of kind " + std::to_string(f.kind), y.read(), level, 1e-6);
      expect_elements("slope of kind " + std::to_string(f.kind), gradX, slope, 1e-5);
    }
  });
}

TEST(a_curve_reads_its_slope_from_a_table) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (unsigned pieces : {1u, 6u, 500u}) {
      std::vector<float> table = {-1.5f, float(pieces) / 4, float(pieces)}, values = Random(pieces).normal(pieces + 1);   // from -1.5 to 2.5
      table.insert(table.end(), values.begin(), values.end());
      unsigned n = 3000;
      std::vector<float> x = rounded<E>(Random(35).normal(n)), g = rounded<E>(Random(36).normal(n));
      x[0] = -1.5f, x[1] = 2.5f, x[2] = -INFINITY, x[3] = INFINITY, x[4] = -0.0f;
      std::vector<double> slope;
      for (unsigned i = 0; i < n; i++) {
        double at = std::fmin(std::fmax((double(x[i]) + 1.5) * pieces / 4, 0), pieces);
        unsigned left = std::min(unsigned(at), pieces - 1);
        slope.push_back(g[i] * (values[left] * (left + 1 - at) + values[left + 1] * (at - left)));
      }
      Array<float> held(table);
      Array<E> deviceX(elements<E>(x)), deviceG(elements<E>(g)), gradX(n);
      run(entry<E>("slope"), blocks(2), gradX, deviceG, deviceX, 7, unsigned(held.address >> 32), unsigned(held.address), n);
      expect_elements("slope of " + std::to_string(pieces) + " pieces", gradX, slope, 1e-5 + 1e-7 * pieces);   // where among the pieces a value lies has 24 bits
    }
  });
}

TEST(scale_filters_multiplies_each_filter_by_its_scale) {
  unsigned filters = 6, size = 45, n = filters * size;
  std::vector<float> x = Random(33).normal(n), scale = Random(34).normal(filters), wanted(n);
  for (unsigned i = 0; i < n; i++) wanted[i] = scale[i / size] * x[i];
  Array<float> device(x), scales(scale), y(n);
  run("scale_filters", blocks(2), y, device, scales, n, size);
  expect_equal("y", y.read(), wanted);
}
