// filters.cuh -- what one block of 256 threads does to one filter: sums over it, its bits and values, gradients; for one layer or for many
//
// Exactness  sums are double in a tree, so that a filter gets the same in a launch for its layer and in a launch for all
#pragma once
#include "element.cuh"
#include "slope.cuh"

/** mean |w| times factor; every thread gets it. */
__device__ __forceinline__ float mean_magnitude(const float* filter, float factor, unsigned size, double* shared) {
  double sum = 0;
  for (unsigned i = threadIdx.x; i < size; i += 256) sum += fabsf(filter[i]);
  sum = block_sum(sum, shared);
  return float(factor * sum / size);
}

/** sum of g s, s = +1 or -1 by the level, or of g level where the weights stay real; every thread gets it. */
template <class T>
__device__ __forceinline__ float scale_gradient(const T* g, const float* filter, const Slope f, int real, unsigned size, double* shared) {
  double sum = 0;
  for (unsigned i = threadIdx.x; i < size; i += 256) {
    float level = f.level(filter[i]), given = load(g + i);
    sum += real ? double(given) * level : double(level >= 0 ? given : -given);
  }
  return float(block_sum(sum, shared));
}

/** s g slope(w), plus mean(g s) sign(w) where the scale is mean |w| and carries gradient; out may be the memory of g. */
template <class T>
__device__ __forceinline__ void sign_gradient(float* out, const T* g, const float* filter, float s, const Slope f, int throughMean, unsigned size,
                                              double* shared) {
  float share = 0;
  if (throughMean) {
    double sum = 0;
    for (unsigned i = threadIdx.x; i < size; i += 256) {
      float given = load(g + i);
      sum += f.level(filter[i]) >= 0 ? given : -given;
    }
    share = float(block_sum(sum, shared) / size);
  }
  for (unsigned i = threadIdx.x; i < size; i += 256) {
    float v = filter[i], sign = v > 0 ? 1.0f : v < 0 ? -1.0f : v;
    out[i] = multiply_add(share, sign, s * load(g + i) * f.slope(v));
  }
}

/** gradient += each level slope; the sum of level^2, which every thread gets. */
__device__ __forceinline__ double add_squared_level(float* gradient, const float* filter, const Slope f, float each, unsigned size, double* shared) {
  double sum = 0;
  for (unsigned i = threadIdx.x; i < size; i += 256) {
    float level = f.level(filter[i]);
    sum += double(level) * level;
    gradient[i] = multiply_add(each * level, f.slope(filter[i]), gradient[i]);
  }
  return block_sum(sum, shared);
}

/** The sum of one double for each filter, by one block; every thread gets it. */
__device__ __forceinline__ double sum_of_filters(const double* partial, unsigned filters, double* shared) {
  double total = 0;
  for (unsigned i = threadIdx.x; i < filters; i += 256) total += partial[i];
  return block_sum(total, shared);
}

/** Bits and values of one filter of a layer: of(k, v) tells the bit of value k, and in v the value. All 256 threads take part. */
template <class Of>
__device__ __forceinline__ void store_filter(unsigned* words, void* values, unsigned rounded, unsigned filter, unsigned size, Of of) {
  unsigned perRow = (size + 31) / 32, lane = threadIdx.x % 32;
  size_t from = size_t(filter) * size;
  for (unsigned word = threadIdx.x / 32; word < perRow; word += 8) {
    unsigned k = word * 32 + lane;
    float v = 0;
    unsigned packed = __ballot_sync(kFullWarp, k < size && of(k, v));
    if (lane == 0) words[size_t(filter) * perRow + word] = packed;
    if (k >= size) continue;
    if (rounded) store(static_cast<__nv_bfloat16*>(values) + from + k, v);
    else store(static_cast<float*>(values) + from + k, v);
  }
}

/** gradient(p) with the filter's own values as they are stored: float, or bfloat16 where rounded is 1. */
template <class Gradient> __device__ __forceinline__ void with_values(const void* values, unsigned rounded, size_t from, Gradient gradient) {
  if (rounded) gradient(static_cast<const __nv_bfloat16*>(values) + from);
  else gradient(static_cast<const float*>(values) + from);
}
