// norm.cuh -- the arithmetic of batch normalisation, which every kernel that normalises takes from here
//
//   norm_value   (v - mean) factor + beta, factor = gamma inverse            norm_hat     (v - mean) inverse
//   norm_back    factor (g - mean(g) - (v - mean) inverse mean(g xhat)), the last two factors given as one
//   NormOf<W>    the same of W neighbouring channels, their values in registers
//   Moments      mean, inverse = 1 / sqrt(var + epsilon) and the variance that running ones move to, from two sums over the batch
//   norm_sums    gradGamma, gradBeta and the two means of norm_back, from two sums over the batch
//
// Shapes     vectors of C values
// Exactness  one order of operations: fused passes give, on float32, the bits of batch_norm.cu
// Twin       src/main/java/onebit/ops/cpu/CpuNormOps.java
#pragma once
#include "element.cuh"

__device__ __forceinline__ float norm_value(float v, float mean, float factor, float beta) { return multiply_add(v - mean, factor, beta); }
__device__ __forceinline__ float norm_hat(float v, float mean, float inverse) { return (v - mean) * inverse; }
__device__ __forceinline__ float norm_back(float g, float meanG, float meanGx, float v, float mean, float factor) { return factor * multiply_add(-(v - mean), meanGx, g - meanG); }

struct Norm {
  const float *gamma, *beta, *mean, *inverse;
};

/** The batch norm of W channels from c on, in registers. */
template <unsigned W> struct NormOf {
  float mean[W], inverse[W], factor[W], shift[W];

  __device__ __forceinline__ NormOf(const Norm& norm, unsigned c, Live live = kAll) {
    load_live(norm.mean + c, mean, live);
    load_live(norm.inverse + c, inverse, live);
    load_live(norm.gamma + c, factor, live);
    load_live(norm.beta + c, shift, live);
#pragma unroll
    for (unsigned k = 0; k < W; k++) factor[k] *= inverse[k];
  }

  NormOf() = default;

  __device__ __forceinline__ float apply(float v, unsigned k) const { return norm_value(v, mean[k], factor[k], shift[k]); }
  __device__ __forceinline__ float hat(float v, unsigned k) const { return norm_hat(v, mean[k], inverse[k]); }
  __device__ __forceinline__ float deviation(float v, unsigned k) const { return v - mean[k]; }
  __device__ __forceinline__ float back(float g, float meanG, float meanGx, float v, unsigned k) const {
    return norm_back(g, meanG, meanGx, v, mean[k], factor[k]);
  }

  /** That of N of them, from `at` on. */
  template <unsigned N> __device__ __forceinline__ NormOf<N> part(unsigned at) const {
    NormOf<N> some;
#pragma unroll
    for (unsigned k = 0; k < N; k++) some.mean[k] = mean[at + k], some.inverse[k] = inverse[at + k], some.factor[k] = factor[at + k], some.shift[k] = shift[at + k];
    return some;
  }
};

/** Running statistics of channel c moved by momentum towards these. */
__device__ __forceinline__ void move_running(float* runningMean, float* runningVar, unsigned c, float mean, float var, float momentum) {
  runningMean[c] = multiply_add(momentum, mean - runningMean[c], runningMean[c]);
  runningVar[c] = multiply_add(momentum, var - runningVar[c], runningVar[c]);
}

struct Moments {
  float mean, inverse, var;

  /** From the sums over the rows of v - from and of its square. */
  __device__ __forceinline__ Moments(double sum, double squares, float from, unsigned rows, float epsilon, int unbiased) {
    double shift = sum / rows, spread = squares / rows - shift * shift;
    if (spread < 0) spread = 0;
    mean = float(from + shift);
    inverse = float(1 / sqrt(spread + epsilon));
    var = float(unbiased && rows > 1 ? spread * rows / (rows - 1) : spread);
  }
};

/** From the sums over the rows of g and g xhat of channel c. */
__device__ __forceinline__ void norm_sums(float* gradGamma, float* gradBeta, float* meanG, float* meanGx, unsigned c, double g, double gx, unsigned rows,
                                          const float* inverse) {
  gradBeta[c] = float(g);
  gradGamma[c] = float(gx);
  meanG[c] = float(g / rows);
  meanGx[c] = float(gx / rows) * inverse[c];
}
