// slope.cu -- level and slope of a binarizer, element by element
//
//   level          y = level(x)
//   slope          gradX = gradQ slope(x)
//   scale_filters  y = scale[filter] x
//
// Shapes     x, y, gradX, gradQ n values; scale one value per filter of `size` values
// Launch     block 256, any grid
// Limits     n < 2^31
// Exactness  see slope.cuh
// Twin       src/main/java/onebit/ops/cpu/CpuBinarizeOps.java, level, slope, scaleFilters
// Tests      native-tests/slope_test.cpp, src/test/java/onebit/ops/BinarizeActivationsTest.java
// Source     the records named in slope.cuh
// Rungs      1 a thread per value
#include "slope.cuh"

ONEBIT_KERNEL(256) level(float* y, const float* x, int kind, float a, float b, unsigned n) {
  Slope f{kind, a, b};
  FOR_EACH(i, n) y[i] = f.level(x[i]);
}

ONEBIT_KERNEL(256) slope(float* gradX, const float* gradQ, const float* x, int kind, float a, float b, unsigned n) {
  Slope f{kind, a, b};
  FOR_EACH(i, n) gradX[i] = gradQ[i] * f.slope(x[i]);
}

ONEBIT_KERNEL(256) scale_filters(float* y, const float* x, const float* scale, unsigned n, unsigned size) {
  FOR_EACH(i, n) y[i] = scale[i / size] * x[i];
}
