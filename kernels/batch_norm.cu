// batch_norm.cu -- batch normalisation per channel, forward and backward
//
//   batch_norm_sums              mean and variance of the batch, running statistics moved by momentum; where y is not null, y too
//   batch_norm_inverse           inverse = 1 / sqrt(var + epsilon), for evaluation
//   batch_norm_apply             y = (x - mean) gamma inverse + beta
//   batch_norm_backward_sums     gradGamma, gradBeta and the two means from sums of g and g xhat, xhat = (x - mean) inverse; where gradX is not null, gradX too
//   batch_norm_backward_apply    gradX = gamma inverse (g - mean(g) - xhat mean(g xhat))
//
// Shapes     x, y, gradX, gradY rows of C values; partial [splits][2][C], counters split_counters(splits) for each block across, 0 before and after; the rest C values
//            y, x, gradX, gradY are float, or bfloat16 in the entries named _bf16; the rest is float
// Launch     block 256, any grid; _sums as channel_sums in common.cuh; _inverse grid ceil(C / 256)
// Limits     rows * C < 2^31; with y or gradX the last block of some channels does their rows alone, which should be few
// Exactness  sums are double, of differences from the first row, so a large common offset costs no digits; y and gradX are rounded once
// Twin       src/main/java/onebit/ops/cpu/CpuNormOps.java, batchNorm, batchNormInference, batchNormBackward
// Tests      native-tests/batch_norm_test.cpp, src/test/java/onebit/ops/NormOpsTest.java
// Source     Ioffe and Szegedy 2015, arXiv 1502.03167
// Rungs      1 sums, finish, apply as three launches, 2 neighbours in 16 bytes, 3 the last block of the sums finishes them, and of few rows does all
#ifndef ELEMENT
#include "last_block.cuh"
#include "norm.cuh"

ONEBIT_KERNEL(256) batch_norm_inverse(float* inverse, const float* var, float epsilon, unsigned channels) {
  unsigned c = blockIdx.x * 256 + threadIdx.x;
  if (c < channels) inverse[c] = float(1 / sqrt(double(var[c]) + epsilon));
}

/** each(index, channel, width) for all rows of the channels that this block of channel_sums adds up. */
template <unsigned W, class Each> __device__ __forceinline__ void each_own_row(unsigned rows, unsigned channels, Each each) {
  unsigned c = (blockIdx.x * blockDim.x + threadIdx.x) * W;
  if (c >= channels) return;
  for (unsigned row = threadIdx.y; row < rows; row += blockDim.y) each(row * channels + c, c, Width<W>{});
}

/** The same, W as in channel_sums, behind what the block's threads wrote. */
template <class Each> __device__ __forceinline__ void own_rows(unsigned rows, unsigned channels, Each each) {
  __syncthreads();
  if (channels % kSumChannels == 0) each_own_row<kSumChannels>(rows, channels, each);
  else each_own_row<1>(rows, channels, each);
}

/** y = the norm of W values of x, of channels from c on. */
template <unsigned W, class E> __device__ __forceinline__ void normalise(E* y, const E* x, const Norm& of, unsigned c) {
  float v[W];
  load_vector(x, v);
  NormOf<W> norm(of, c);
#pragma unroll
  for (unsigned k = 0; k < W; k++) v[k] = norm.apply(v[k], k);
  store_vector(y, v);
}

#define ELEMENT_FILE "batch_norm.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(batch_norm_sums)(double* partial, unsigned* counters, float* mean, float* inverse, float* runningMean, float* runningVar, ELEMENT* y,
                                          const ELEMENT* x, const float* gamma, const float* beta, unsigned rows, unsigned channels, float momentum,
                                          float epsilon, int unbiased) {
  __shared__ double tile[2 * kSumTile];
  channel_sums<2>(partial, rows, channels, tile, [=](unsigned i, unsigned c, auto width, auto& each) {
    constexpr unsigned W = width.value;
    float v[W], first[W];
    load_vector(x + i, v);
    load_vector(x + c, first);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      double d = double(v[k]) - double(first[k]);
      each[0][k] = d;
      each[1][k] = d * d;
    }
  });
  bool last = finish_sums<2>(partial, counters, channels, [=](unsigned c, const double (&total)[2]) {
    Moments of(total[0], total[1], load(x + c), rows, epsilon, unbiased);
    mean[c] = of.mean;
    inverse[c] = of.inverse;
    move_running(runningMean, runningVar, c, of.mean, of.var, momentum);
  });
  if (!last || !y) return;
  own_rows(rows, channels, [=](unsigned i, unsigned c, auto width) {
    normalise<width.value>(y + i, x + i, {gamma, beta, mean, inverse}, c);
  });
}

ONEBIT_KERNEL(256) ENTRY(batch_norm_apply)(ELEMENT* y, const ELEMENT* x, const float* gamma, const float* beta, const float* mean,
                                           const float* inverse, unsigned n, unsigned channels) {
  bool whole = channels % kWide<ELEMENT> == 0 && aligned(y, x, gamma, beta, mean, inverse);
  for_each_vector<kWide<ELEMENT>>(n, whole, [=](unsigned i, auto width) {
    normalise<width.value>(y + i, x + i, {gamma, beta, mean, inverse}, i % channels);
  });
}

ONEBIT_KERNEL(256) ENTRY(batch_norm_backward_sums)(double* partial, unsigned* counters, float* gradGamma, float* gradBeta, float* meanG, float* meanGx,
                                                   ELEMENT* gradX, const ELEMENT* gradY, const ELEMENT* x, const float* gamma, const float* mean,
                                                   const float* inverse, unsigned rows, unsigned channels) {
  __shared__ double tile[2 * kSumTile];
  channel_sums<2>(partial, rows, channels, tile, [=](unsigned i, unsigned c, auto width, auto& each) {
    constexpr unsigned W = width.value;
    float v[W], g[W], m[W], share[W];
    load_vector(x + i, v);
    load_vector(gradY + i, g);
    load_vector(mean + c, m);
    load_vector(inverse + c, share);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      each[0][k] = g[k];
      each[1][k] = g[k] * norm_hat(v[k], m[k], share[k]);
    }
  });
  bool last = finish_sums<2>(partial, counters, channels, [=](unsigned c, const double (&total)[2]) {
    norm_sums(gradGamma, gradBeta, meanG, meanGx, c, total[0], total[1], rows, inverse);
  });
  if (!last || !gradX) return;
  own_rows(rows, channels, [=](unsigned i, unsigned c, auto width) {
    constexpr unsigned W = width.value;
    float v[W], g[W];
    load_vector(x + i, v);
    load_vector(gradY + i, g);
#pragma unroll
    for (unsigned k = 0; k < W; k++) v[k] = norm_back(g[k], meanG[c + k], meanGx[c + k], v[k], mean[c + k], gamma[c + k] * inverse[c + k]);
    store_vector(gradX + i, v);
  });
}

ONEBIT_KERNEL(256) ENTRY(batch_norm_backward_apply)(ELEMENT* gradX, const ELEMENT* gradY, const ELEMENT* x, const float* gamma,
                                                    const float* mean, const float* inverse, const float* meanG, const float* meanGx,
                                                    unsigned n, unsigned channels) {
  bool whole = channels % kWide<ELEMENT> == 0 && aligned(gradX, gradY, x, gamma, mean, inverse, meanG, meanGx);
  for_each_vector<kWide<ELEMENT>>(n, whole, [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    unsigned c = i % channels;
    float v[W], g[W], m[W], scale[W], share[W], ofG[W], ofGx[W];
    load_vector(x + i, v);
    load_vector(gradY + i, g);
    load_vector(mean + c, m);
    load_vector(gamma + c, scale);
    load_vector(inverse + c, share);
    load_vector(meanG + c, ofG);
    load_vector(meanGx + c, ofGx);
#pragma unroll
    for (unsigned k = 0; k < W; k++) v[k] = norm_back(g[k], ofG[k], ofGx[k], v[k], m[k], scale[k] * share[k]);
    store_vector(gradX + i, v);
  });
}
#endif
