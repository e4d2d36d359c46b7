// sample_scale.cu -- gradient of activations divided by the deviation of their sample
//
//   with r = sqrt(var + epsilon), h = gradQ slope(x / r), M values per sample, var unbiased:
//   gradX = h / r - (x - mean) sum(h x) / ((M - 1) r^3)
//
// Shapes     x, gradQ, gradX N samples of M values
// Launch     block 512, grid N. The forward bit is that of x itself: pack in pack.cu
// Limits     N * M < 2^31
// Exactness  sums are double in a tree
// Twin       src/main/java/onebit/ops/cpu/CpuBinarizeOps.java, sampleScaleBackward
// Tests      native-tests/samples_test.cpp, src/test/java/onebit/ops/BinarizeActivationsTest.java
// Source     Vargas et al. 2024, BiPer; code binarized_modules.py
// Rungs      1 a block per sample
#include "slope.cuh"

ONEBIT_KERNEL(512) sample_scale_backward(float* gradX, const float* gradQ, const float* x, int kind, float a, float b, float epsilon,
                                         unsigned size) {
  __shared__ double shared[33];
  Slope f{kind, a, b};
  const float *sample = x + blockIdx.x * size, *g = gradQ + blockIdx.x * size;
  float* out = gradX + blockIdx.x * size;
  double sum = 0, squares = 0, hx = 0;
  for (unsigned i = threadIdx.x; i < size; i += 512) sum += sample[i];
  double mean = block_sum(sum, shared) / size;
  for (unsigned i = threadIdx.x; i < size; i += 512) squares += (sample[i] - mean) * (sample[i] - mean);
  double r = sqrt(block_sum(squares, shared) / max(1u, size - 1) + epsilon);
  float inverse = float(1 / r);
  for (unsigned i = threadIdx.x; i < size; i += 512) hx += double(g[i] * f.slope(sample[i] * inverse)) * sample[i];
  hx = block_sum(hx, shared);
  float pull = float(hx / (max(1u, size - 1) * r * r * r)), centre = float(mean);
  for (unsigned i = threadIdx.x; i < size; i += 512) {
    out[i] = g[i] * f.slope(sample[i] * inverse) * inverse - (sample[i] - centre) * pull;
  }
}
