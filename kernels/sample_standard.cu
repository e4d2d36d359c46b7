// sample_standard.cu -- activations standardised per sample: statistics, and the gradient through them
//
//   sample_standard           statistics = {mean, 1 / unbiased deviation} (pack_rows then packs x against the mean)
//   sample_standard_backward  gradX = (h - mean(h) - a sum(h a) / (M - 1)) / deviation, a = (x - mean) / deviation, h = gradQ slope(a)
//
// Shapes     x, gradQ, gradX N samples of M values; statistics [N][2]
// Launch     block 512, grid N
// Limits     N * M < 2^31; a constant sample has inverse deviation 0
// Exactness  sums are double in a tree
// Twin       src/main/java/onebit/ops/cpu/CpuBinarizeOps.java, sampleStandard, sampleStandardBackward
// Tests      native-tests/samples_test.cpp, src/test/java/onebit/ops/BinarizeActivationsTest.java
// Source     Lin et al. 2020, RBNN, arXiv 2009.13055; code binarized_modules.py
// Rungs      1 a block per sample
#include "slope.cuh"

ONEBIT_KERNEL(512) sample_standard(float* statistics, const float* x, unsigned size) {
  __shared__ double shared[33];
  const float* sample = x + blockIdx.x * size;
  double sum = 0, squares = 0;
  for (unsigned i = threadIdx.x; i < size; i += 512) sum += sample[i];
  double mean = block_sum(sum, shared) / size;
  for (unsigned i = threadIdx.x; i < size; i += 512) squares += (sample[i] - mean) * (sample[i] - mean);
  squares = block_sum(squares, shared);
  if (threadIdx.x == 0) {
    statistics[2 * blockIdx.x] = float(mean);
    double deviation = sqrt(squares / max(1u, size - 1));
    statistics[2 * blockIdx.x + 1] = deviation > 0 ? float(1 / deviation) : 0.0f;
  }
}

ONEBIT_KERNEL(512) sample_standard_backward(float* gradX, const float* gradQ, const float* x, const float* statistics, int kind, float a,
                                            float b, unsigned size) {
  __shared__ double shared[33];
  Slope f{kind, a, b};
  const float *sample = x + blockIdx.x * size, *g = gradQ + blockIdx.x * size;
  float* out = gradX + blockIdx.x * size;
  float mean = statistics[2 * blockIdx.x], inverse = statistics[2 * blockIdx.x + 1];
  double sum = 0, dot = 0;
  for (unsigned i = threadIdx.x; i < size; i += 512) {
    float u = (sample[i] - mean) * inverse, h = g[i] * f.slope(u);
    sum += h;
    dot += double(h) * u;
  }
  float meanH = float(block_sum(sum, shared) / size), pull = float(block_sum(dot, shared) / max(1u, size - 1));
  for (unsigned i = threadIdx.x; i < size; i += 512) {
    float u = (sample[i] - mean) * inverse;
    out[i] = (g[i] * f.slope(u) - meanH - u * pull) * inverse;
  }
}
