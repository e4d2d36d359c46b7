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

TEST(scale_filters_multiplies_each_filter_by_its_scale) {
  unsigned filters = 6, size = 45, n = filters * size;
  std::vector<float> x = Random(33).normal(n), scale = Random(34).normal(filters), wanted(n);
  for (unsigned i = 0; i < n; i++) wanted[i] = scale[i / size] * x[i];
  Array<float> device(x), scales(scale), y(n);
  run("scale_filters", blocks(2), y, device, scales, n, size);
  expect_equal("y", y.read(), wanted);
}
