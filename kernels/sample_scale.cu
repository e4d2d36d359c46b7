// sample_scale.cu -- gradient of activations divided by the deviation of their sample
//
//   with r = sqrt(var + epsilon), h = gradQ slope(x / r), M values per sample, var unbiased:
//   gradX = h / r - (x - mean) sum(h x) / ((M - 1) r^3)
//
// Shapes     x, gradQ, gradX N samples of M values
//            all are float, or bfloat16 in sample_scale_backward_bf16
// Launch     block 1024, grid N. The forward bit is that of x itself: pack in pack.cu
// Limits     N * M < 2^31
// Exactness  sums as sample.cuh says; gradX is rounded once
// Twin       src/main/java/onebit/ops/cpu/CpuBinarizeOps.java, sampleScaleBackward
// Tests      native-tests/samples_test.cpp, src/test/java/onebit/ops/BinarizeActivationsTest.java
// Source     Vargas et al. 2024, BiPer; code binarized_modules.py
// Rungs      1 a block per sample, 2 neighbours in 16 bytes, 2 three passes in turn forward and back instead of four, sums of 8 in float
#ifndef ELEMENT
#include "sample.cuh"
#include "slope.cuh"
#define ELEMENT_FILE "sample_scale.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(1024, 1) ENTRY(sample_scale_backward)(ELEMENT* gradX, const ELEMENT* gradQ, const ELEMENT* x, int kind, float a, float b,
                                                     float epsilon, unsigned size) {
  __shared__ double shared[33];
  const ELEMENT *sample = x + blockIdx.x * size, *gradient = gradQ + blockIdx.x * size;
  ELEMENT* out = gradX + blockIdx.x * size;
  bool whole = aligned(sample, gradient, out);
  SampleMoments moments = sample_moments(sample, size, whole, shared);
  double r = sqrt(moments.variance(size) + epsilon);
  float inverse = float(1 / r), centre = float(moments.mean);
  Slope{kind, a, b}.with([&](auto slope, auto plain) {
    using S = typename SampleSum<ELEMENT>::S;
    SampleSum<ELEMENT> hx;
    each_pair_of_sample<true>(sample, gradient, size, whole, plain, [&](unsigned, const auto& v, auto width) {
      hx.add([&](unsigned k) { return S(v.g[k] * slope(v.x[k] * inverse)) * v.x[k]; }, width);
    });
    float pull = float(block_sum(hx.sum, shared) / (max(1u, size - 1) * r * r * r));
    each_pair_of_sample<false>(sample, gradient, size, whole, plain, [&](unsigned i, const auto& v, auto width) {
      float g[width.value];
#pragma unroll
      for (unsigned k = 0; k < width.value; k++) g[k] = v.g[k] * slope(v.x[k] * inverse) * inverse - (v.x[k] - centre) * pull;
      store_vector(out + i, g);
    });
  });
}
#endif
