// sign_weights.cu -- weights scale * sign(level(w)) of many layers at once, and the gradients through them
//
//   sign_weights_all            bits, and values scale s (or scale level(w) where real); the scale is given, or meanFactor mean |w| per filter
//   sign_weights_all_backward   gradW = scale g slope(w), plus mean(g s) sign(w) through a mean |w|; gradScale = sum of g s (g level where real);
//                               with a penalty, gradW += 2 penalty level slope / n, and the sum of level^2 of each filter
//   squared_level_all           sum[0] = penalty mean(level^2) of each layer
//
// Shapes     a table of layers, each O filters of K values: w, gradW, values O * K, scale 1 value (each 0) or O (each 1), gradScale O, sum 1
//            values, and in their place backward the gradient at them, are float, or bfloat16 where rounded is 1; float ones may be gradW
// Encoding   bit 1 = +1: level(w) >= 0
// Launch     block 256, one per (layer, filter) pair of blocks; squared_level_all one block per layer
// Limits     O * K < 2^31
// Exactness  the arithmetic of sign.cu, sine_sign.cu and pack.cu: equal to a launch for each layer, bit for bit
// Twin       src/main/java/onebit/ops/cpu/CpuWeightOps.java, signWeightsAll, signWeightsAllBackward
// Tests      native-tests/sign_weights_test.cpp, src/test/java/onebit/ops/WeightsTogetherTest.java
// Source     Liu et al. 2018, Bi-Real Net, arXiv 1808.00278; BMXNet-v2; Vargas et al. 2024, BiPer, arXiv 2404.01278
// Rungs      1 all layers in one launch, a block per filter
#include "filters.cuh"

/** The filters of one layer; what a layer has not is 0. Layout as written by src/main/java/onebit/ops/cuda/CudaWeightOps.java. */
struct SignEntry {
  const float* w;
  float* gradient;
  float *scale, *gradScale;
  unsigned* words;
  void* values;
  double* squares;
  float* sum;
  unsigned size, filters, each, rounded;
};

ONEBIT_KERNEL(256) sign_weights_all(const SignEntry* table, const uint2* blocks, int kind, float a, float b, float meanFactor, int real) {
  __shared__ double shared[33];
  SignEntry t = table[blocks[blockIdx.x].x];
  unsigned filter = blocks[blockIdx.x].y;
  const float* w = t.w + size_t(filter) * t.size;
  Slope f{kind, a, b};
  float s = meanFactor != 0 ? mean_magnitude(w, meanFactor, t.size, shared) : t.scale[filter * t.each];
  if (meanFactor != 0 && threadIdx.x == 0) t.scale[filter] = s;
  store_filter(t.words, t.values, t.rounded, filter, t.size, [=](unsigned k, float& v) {
    float level = f.level(w[k]);
    v = real ? s * level : level >= 0 ? 0 + s : 0 - s;
    return level >= 0;
  });
}

ONEBIT_KERNEL(256, 4) sign_weights_all_backward(const SignEntry* table, const uint2* blocks, int kind, float a, float b, int throughMean, int real,
                                             float penalty) {
  __shared__ double shared[33];
  SignEntry t = table[blocks[blockIdx.x].x];
  unsigned filter = blocks[blockIdx.x].y;
  size_t from = size_t(filter) * t.size;
  const float* w = t.w + from;
  Slope f{kind, a, b};
  with_values(t.values, t.rounded, from, [&](auto* g) {
    if (t.gradScale != nullptr) {
      float sum = scale_gradient(g, w, f, real, t.size, shared);
      if (threadIdx.x == 0) t.gradScale[filter] = sum;
    }
    sign_gradient(t.gradient + from, g, w, t.scale[filter * t.each], f, throughMean, t.size, shared);
  });
  if (penalty == 0) return;
  double squares = add_squared_level(t.gradient + from, w, f, 2 * penalty / (t.filters * t.size), t.size, shared);
  if (threadIdx.x == 0) t.squares[filter] = squares;
}

ONEBIT_KERNEL(256) squared_level_all(const SignEntry* table, float penalty) {
  __shared__ double shared[33];
  SignEntry t = table[blockIdx.x];
  double total = sum_of_filters(t.squares, t.filters, shared);
  if (threadIdx.x == 0) t.sum[0] = float(penalty * total / (t.filters * t.size));
}
