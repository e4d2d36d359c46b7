// sample_standard.cu -- activations standardised per sample: statistics, and the gradient through them
//
//   sample_standard           statistics = {mean, 1 / unbiased deviation} (pack_rows then packs x against the mean)
//   sample_standard_backward  gradX = (h - mean(h) - a sum(h a) / (M - 1)) / deviation, a = (x - mean) / deviation, h = gradQ slope(a)
//
// Shapes     x, gradQ, gradX N samples of M values; statistics [N][2]
//            x, gradX, gradQ are float, or bfloat16 in the entries named _bf16; statistics is float
// Launch     block 1024, grid N
// Limits     N * M < 2^31; a constant sample has inverse deviation 0
// Exactness  sums as sample.cuh says; gradX is rounded once
// Twin       src/main/java/onebit/ops/cpu/CpuBinarizeOps.java, sampleStandard, sampleStandardBackward
// Tests      native-tests/samples_test.cpp, src/test/java/onebit/ops/BinarizeActivationsTest.java
// Source     Lin et al. 2020, RBNN, arXiv 2009.13055; code binarized_modules.py
// Rungs      1 a block per sample, 2 neighbours in 16 bytes, 2 moments from one reading, passes in turn forward and back, sums of 8 in float
#ifndef ELEMENT
#include "sample.cuh"
#include "slope.cuh"
#define ELEMENT_FILE "sample_standard.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(1024, 1) ENTRY(sample_standard)(float* statistics, const ELEMENT* x, unsigned size) {
  __shared__ double shared[33];
  const ELEMENT* sample = x + blockIdx.x * size;
  SampleMoments moments = sample_moments(sample, size, aligned(sample), shared);
  if (threadIdx.x == 0) {
    statistics[2 * blockIdx.x] = float(moments.mean);
    double deviation = sqrt(moments.variance(size));
    statistics[2 * blockIdx.x + 1] = deviation > 0 ? float(1 / deviation) : 0.0f;
  }
}

ONEBIT_KERNEL(1024, 1) ENTRY(sample_standard_backward)(ELEMENT* gradX, const ELEMENT* gradQ, const ELEMENT* x, const float* statistics,
                                                        int kind, float a, float b, unsigned size) {
  __shared__ double shared[33];
  const ELEMENT *sample = x + blockIdx.x * size, *gradient = gradQ + blockIdx.x * size;
  ELEMENT* out = gradX + blockIdx.x * size;
  bool whole = aligned(sample, gradient, out);
  float mean = statistics[2 * blockIdx.x], inverse = statistics[2 * blockIdx.x + 1];
  Slope{kind, a, b}.with([&](auto slope, auto plain) {
    using S = typename SampleSum<ELEMENT>::S;
    SampleSum<ELEMENT> sum, dot;
    each_pair_of_sample<false>(sample, gradient, size, whole, plain, [&](unsigned, const auto& v, auto width) {
      float h[width.value];
      auto u = [&](unsigned k) { return (v.x[k] - mean) * inverse; };
#pragma unroll
      for (unsigned k = 0; k < width.value; k++) h[k] = v.g[k] * slope(u(k));
      sum.add([&](unsigned k) { return S(h[k]); }, width);
      dot.add([&](unsigned k) { return S(h[k]) * u(k); }, width);
    });
    float meanH = float(block_sum(sum.sum, shared) / size), pull = float(block_sum(dot.sum, shared) / max(1u, size - 1));
    each_pair_of_sample<true>(sample, gradient, size, whole, plain, [&](unsigned i, const auto& v, auto width) {
      float g[width.value];
#pragma unroll
      for (unsigned k = 0; k < width.value; k++) {
        float u = (v.x[k] - mean) * inverse;
        g[k] = (v.g[k] * slope(u) - meanH - u * pull) * inverse;
      }
      store_vector(out + i, g);
    });
  });
}
#endif
