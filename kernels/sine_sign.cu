// sine_sign.cu -- BiPer's regulariser: the mean square of the level
//
//   squared_level         gradW += 2 factor level(w) slope(w) / n, and partial sums of level^2 per block
//   squared_level_finish  sum[0] += factor mean(level^2)
//
// Shapes     w, gradW n values; partial one double per block; sum 1 value
// Launch     block 256, any grid; finish block 256, grid 1. Level and slope are slope.cu's, the bits pack_level's in pack.cu
// Limits     n < 2^31
// Exactness  sums are double in a tree; sin and cos are double, like the twin's
// Twin       src/main/java/onebit/ops/cpu/CpuBinarizeOps.java, squaredLevelPenalty
// Tests      native-tests/sine_sign_test.cpp, src/test/java/onebit/ops/BinarizeWeightsTest.java
// Source     Vargas et al. 2024, BiPer, arXiv 2404.01278
// Rungs      1 gradient and partial sums in one pass
#include "slope.cuh"

ONEBIT_KERNEL(256) squared_level(float* gradW, double* partial, const float* w, int kind, float a, float b, float factor, unsigned n) {
  __shared__ double shared[33];
  Slope f{kind, a, b};
  float each = 2 * factor / n;
  double sum = 0;
  FOR_EACH(i, n) {
    float level = f.level(w[i]);
    sum += double(level) * level;
    gradW[i] += each * level * f.slope(w[i]);
  }
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

ONEBIT_KERNEL(256) squared_level_finish(float* sum, const double* partial, unsigned blocks, float factor, unsigned n) {
  __shared__ double shared[33];
  double total = 0;
  for (unsigned i = threadIdx.x; i < blocks; i += 256) total += partial[i];
  total = block_sum(total, shared);
  if (threadIdx.x == 0) sum[0] += float(factor * total / n);
}
