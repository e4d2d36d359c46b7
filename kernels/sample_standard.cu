// sample_standard.cu -- activations standardised per sample: statistics, and the gradient through them
//
//   sample_standard           statistics = {mean, 1 / unbiased deviation} (pack_rows then packs x against the mean)
//   sample_standard_backward  gradX = (h - mean(h) - a sum(h a) / (M - 1)) / deviation, a = (x - mean) / deviation, h = gradQ slope(a)
//
// Shapes     x, gradQ, gradX N samples of M values; statistics [N][2]
//            x, gradX, gradQ are float, or bfloat16 in the entries named _bf16; statistics is float
// Launch     block 512, grid N
// Limits     N * M < 2^31; a constant sample has inverse deviation 0
// Exactness  sums are double in a tree; gradX is rounded once
// Twin       src/main/java/onebit/ops/cpu/CpuBinarizeOps.java, sampleStandard, sampleStandardBackward
// Tests      native-tests/samples_test.cpp, src/test/java/onebit/ops/BinarizeActivationsTest.java
// Source     Lin et al. 2020, RBNN, arXiv 2009.13055; code binarized_modules.py
// Rungs      1 a block per sample, 2 neighbours in 16 bytes
#ifndef ELEMENT
#include "element.cuh"
#include "slope.cuh"
#define ELEMENT_FILE "sample_standard.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(512) ENTRY(sample_standard)(float* statistics, const ELEMENT* x, unsigned size) {
  __shared__ double shared[33];
  const ELEMENT* sample = x + blockIdx.x * size;
  double sum = 0, squares = 0;
  for_each_of_block<kWide<ELEMENT>>(size, aligned(sample), [&](unsigned i, auto width) {
    float v[width.value];
    load_vector(sample + i, v);
#pragma unroll
    for (unsigned k = 0; k < width.value; k++) sum += v[k];
  });
  double mean = block_sum(sum, shared) / size;
  for_each_of_block<kWide<ELEMENT>>(size, aligned(sample), [&](unsigned i, auto width) {
    float v[width.value];
    load_vector(sample + i, v);
#pragma unroll
    for (unsigned k = 0; k < width.value; k++) squares += (v[k] - mean) * (v[k] - mean);
  });
  squares = block_sum(squares, shared);
  if (threadIdx.x == 0) {
    statistics[2 * blockIdx.x] = float(mean);
    double deviation = sqrt(squares / max(1u, size - 1));
    statistics[2 * blockIdx.x + 1] = deviation > 0 ? float(1 / deviation) : 0.0f;
  }
}

ONEBIT_KERNEL(512) ENTRY(sample_standard_backward)(ELEMENT* gradX, const ELEMENT* gradQ, const ELEMENT* x, const float* statistics, int kind,
                                                   float a, float b, unsigned size) {
  __shared__ double shared[33];
  Slope f{kind, a, b};
  const ELEMENT *sample = x + blockIdx.x * size, *gradient = gradQ + blockIdx.x * size;
  ELEMENT* out = gradX + blockIdx.x * size;
  bool whole = aligned(sample, gradient, out);
  float mean = statistics[2 * blockIdx.x], inverse = statistics[2 * blockIdx.x + 1];
  double sum = 0, dot = 0;
  for_each_of_block<kWide<ELEMENT>>(size, whole, [&](unsigned i, auto width) {
    float v[width.value], g[width.value];
    load_vector(sample + i, v);
    load_vector(gradient + i, g);
#pragma unroll
    for (unsigned k = 0; k < width.value; k++) {
      float u = (v[k] - mean) * inverse, h = g[k] * f.slope(u);
      sum += h;
      dot += double(h) * u;
    }
  });
  float meanH = float(block_sum(sum, shared) / size), pull = float(block_sum(dot, shared) / max(1u, size - 1));
  for_each_of_block<kWide<ELEMENT>>(size, whole, [&](unsigned i, auto width) {
    float v[width.value], g[width.value];
    load_vector(sample + i, v);
    load_vector(gradient + i, g);
#pragma unroll
    for (unsigned k = 0; k < width.value; k++) {
      float u = (v[k] - mean) * inverse;
      g[k] = (g[k] * f.slope(u) - meanH - u * pull) * inverse;
    }
    store_vector(out + i, g);
  });
}
#endif
