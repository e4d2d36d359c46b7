// sample_scale.cu -- gradient of activations divided by the deviation of their sample
//
//   with r = sqrt(var + epsilon), h = gradQ slope(x / r), M values per sample, var unbiased:
//   gradX = h / r - (x - mean) sum(h x) / ((M - 1) r^3)
//
// Shapes     x, gradQ, gradX N samples of M values
//            all are float, or bfloat16 in sample_scale_backward_bf16
// Launch     block 512, grid N. The forward bit is that of x itself: pack in pack.cu
// Limits     N * M < 2^31
// Exactness  sums are double in a tree; gradX is rounded once
// Twin       src/main/java/onebit/ops/cpu/CpuBinarizeOps.java, sampleScaleBackward
// Tests      native-tests/samples_test.cpp, src/test/java/onebit/ops/BinarizeActivationsTest.java
// Source     Vargas et al. 2024, BiPer; code binarized_modules.py
// Rungs      1 a block per sample, 2 neighbours in 16 bytes
#ifndef ELEMENT
#include "element.cuh"
#include "slope.cuh"
#define ELEMENT_FILE "sample_scale.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(512, 2) ENTRY(sample_scale_backward)(ELEMENT* gradX, const ELEMENT* gradQ, const ELEMENT* x, int kind, float a, float b,
                                                float epsilon, unsigned size) {
  __shared__ double shared[33];
  Slope f{kind, a, b};
  const ELEMENT *sample = x + blockIdx.x * size, *gradient = gradQ + blockIdx.x * size;
  ELEMENT* out = gradX + blockIdx.x * size;
  bool whole = aligned(sample, gradient, out);
  double sum = 0, squares = 0, hx = 0;
  for_each_of_block<kWide<ELEMENT>>(size, whole, [&](unsigned i, auto width) {
    float v[width.value];
    load_vector(sample + i, v);
#pragma unroll
    for (unsigned k = 0; k < width.value; k++) sum += v[k];
  });
  double mean = block_sum(sum, shared) / size;
  for_each_of_block<kWide<ELEMENT>>(size, whole, [&](unsigned i, auto width) {
    float v[width.value];
    load_vector(sample + i, v);
#pragma unroll
    for (unsigned k = 0; k < width.value; k++) squares += (v[k] - mean) * (v[k] - mean);
  });
  double r = sqrt(block_sum(squares, shared) / max(1u, size - 1) + epsilon);
  float inverse = float(1 / r);
  for_each_of_block<kWide<ELEMENT>>(size, whole, [&](unsigned i, auto width) {
    float v[width.value], g[width.value];
    load_vector(sample + i, v);
    load_vector(gradient + i, g);
#pragma unroll
    for (unsigned k = 0; k < width.value; k++) hx += double(g[k] * f.slope(v[k] * inverse)) * v[k];
  });
  hx = block_sum(hx, shared);
  float pull = float(hx / (max(1u, size - 1) * r * r * r)), centre = float(mean);
  for_each_of_block<kWide<ELEMENT>>(size, whole, [&](unsigned i, auto width) {
    float v[width.value], g[width.value];
    load_vector(sample + i, v);
    load_vector(gradient + i, g);
#pragma unroll
    for (unsigned k = 0; k < width.value; k++) g[k] = g[k] * f.slope(v[k] * inverse) * inverse - (v[k] - centre) * pull;
    store_vector(out + i, g);
  });
}
#endif
