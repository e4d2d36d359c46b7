// sine_sign.cu -- BiPer's regulariser: the mean square of the level
//
//   squared_level         gradW += 2 factor level(w) slope(w) / n, and the sum of level^2 of each filter
//   squared_level_finish  sum[0] += factor mean(level^2)
//
// Shapes     w, gradW O filters of K values, n = O * K; squares O doubles; sum 1 value
// Launch     block 256, grid O; finish grid 1. Level and slope are slope.cu's, the bits pack_level's in pack.cu
// Limits     n < 2^31
// Exactness  sums are double in a tree; sin and cos are double, like the twin's
// Twin       src/main/java/onebit/ops/cpu/CpuBinarizeOps.java, squaredLevelPenalty
// Tests      native-tests/sine_sign_test.cpp, src/test/java/onebit/ops/BinarizeWeightsTest.java
// Source     Vargas et al. 2024, BiPer, arXiv 2404.01278
// Rungs      1 gradient and partial sums in one pass; sign_weights.cu: all layers in one launch
#include "filters.cuh"

ONEBIT_KERNEL(256) squared_level(float* gradW, double* squares, const float* w, int kind, float a, float b, float factor, unsigned size) {
  __shared__ double shared[33];
  unsigned from = blockIdx.x * size;
  double sum = add_squared_level(gradW + from, w + from, Slope{kind, a, b}, 2 * factor / (gridDim.x * size), size, shared);
  if (threadIdx.x == 0) squares[blockIdx.x] = sum;
}

ONEBIT_KERNEL(256) squared_level_finish(float* sum, const double* squares, unsigned filters, float factor, unsigned n) {
  __shared__ double shared[33];
  double total = sum_of_filters(squares, filters, shared);
  if (threadIdx.x == 0) sum[0] += float(factor * total / n);
}
