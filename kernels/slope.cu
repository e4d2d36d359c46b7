// slope.cu -- level and slope of a binarizer, element by element
//
//   level          y = level(x)
//   slope          gradX = gradQ slope(x)
//   scale_filters  y = scale[filter] x
//
// Shapes     x, y, gradX, gradQ n values; scale one value per filter of `size` values
//            of slope, gradX, gradQ and x are float, or bfloat16 in slope_bf16; the rest is float
// Launch     block 256, any grid
// Limits     n < 2^31
// Exactness  see slope.cuh
// Twin       src/main/java/onebit/ops/cpu/CpuBinarizeOps.java, level, slope, scaleFilters
// Tests      native-tests/slope_test.cpp, src/test/java/onebit/ops/BinarizeActivationsTest.java
// Source     the records named in slope.cuh
// Rungs      1 a thread per value, 2 neighbours in 16 bytes
#ifndef ELEMENT
#include "element.cuh"
#include "slope.cuh"

ONEBIT_KERNEL(256) level(float* y, const float* x, int kind, float a, float b, unsigned n) {
  Slope f{kind, a, b};
  FOR_EACH(i, n) y[i] = f.level(x[i]);
}

ONEBIT_KERNEL(256) scale_filters(float* y, const float* x, const float* scale, unsigned n, unsigned size) {
  FOR_EACH(i, n) y[i] = scale[i / size] * x[i];
}

#define ELEMENT_FILE "slope.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(slope)(ELEMENT* gradX, const ELEMENT* gradQ, const ELEMENT* x, int kind, float a, float b, unsigned n) {
  Slope f{kind, a, b};
  for_each_vector<kWide<ELEMENT>>(n, aligned(gradX, gradQ, x), [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    float v[W], g[W];
    load_vector(x + i, v);
    load_vector(gradQ + i, g);
#pragma unroll
    for (unsigned k = 0; k < W; k++) g[k] *= f.slope(v[k]);
    store_vector(gradX + i, g);
  });
}
#endif
