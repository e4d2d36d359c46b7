// sign.cu -- gradients of weights scale * sign(level(w)), and of the scale
//
//   sign_weights_backward  gradW = scale g slope(w), plus mean(g s) sign(w) per filter where the scale is mean |w| and carries gradient
//   scale_backward         gradScale = sum over the filter of g s, or of g level(w) when the weights stay real
//   mean_absolute          distance = factor mean |w| per filter
//
// Shapes     w, gradW, gradE O filters of K values; scale 1 value (each 0) or O values (each 1); gradScale, distance O values
// Launch     block 256, grid O. The forward is pack_level in pack.cu
// Limits     O * K < 2^31
// Exactness  sums are double in a tree
// Twin       src/main/java/onebit/ops/cpu/CpuBinarizeOps.java, signWeightsBackward, scaleBackward, meanAbsolute
// Tests      native-tests/sign_test.cpp, src/test/java/onebit/ops/BinarizeWeightsTest.java
// Source     Liu et al. 2018, Bi-Real Net, arXiv 1808.00278; BMXNet-v2; Vargas et al. 2024, BiPer, arXiv 2404.01278
// Rungs      1 a block per filter; sign_weights.cu: all layers in one launch
#include "filters.cuh"

ONEBIT_KERNEL(256) sign_weights_backward(float* gradW, const float* gradE, const float* w, const float* scale, unsigned each, int kind,
                                         float a, float b, int throughMean, unsigned size) {
  __shared__ double shared[33];
  unsigned from = blockIdx.x * size;
  sign_gradient(gradW + from, gradE + from, w + from, scale[blockIdx.x * each], Slope{kind, a, b}, throughMean, size, shared);
}

ONEBIT_KERNEL(256) scale_backward(float* gradScale, const float* gradE, const float* w, int kind, float a, float b, int real, unsigned size) {
  __shared__ double shared[33];
  unsigned from = blockIdx.x * size;
  float sum = scale_gradient(gradE + from, w + from, Slope{kind, a, b}, real, size, shared);
  if (threadIdx.x == 0) gradScale[blockIdx.x] = sum;
}

ONEBIT_KERNEL(256) mean_absolute(float* distance, const float* w, float factor, unsigned size) {
  __shared__ double shared[33];
  float mean = mean_magnitude(w + blockIdx.x * size, factor, size, shared);
  if (threadIdx.x == 0) distance[blockIdx.x] = mean;
}
