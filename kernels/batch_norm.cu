// batch_norm.cu -- batch normalisation per channel, forward and backward
//
//   batch_norm_sums, _finish     mean and variance of the batch, running statistics moved by momentum
//   batch_norm_inverse           inverse = 1 / sqrt(var + epsilon), for evaluation
//   batch_norm_apply             y = (x - mean) gamma inverse + beta
//   batch_norm_backward_sums     per channel sums of g and g xhat, xhat = (x - mean) inverse
//   batch_norm_backward_finish   gradGamma, gradBeta and the two means
//   batch_norm_backward_apply    gradX = gamma inverse (g - mean(g) - xhat mean(g xhat))
//
// Shapes     x, y, gradX, gradY rows of C values; partial [splits][2][C]; the rest C values
//            y, x, gradX, gradY are float, or bfloat16 in the entries named _bf16; the rest is float
// Launch     block 256, any grid; _sums as channel_sums in common.cuh; _finish and _inverse grid ceil(C / 256)
// Limits     rows * C < 2^31
// Exactness  sums are double, of differences from the first row, so a large common offset costs no digits; y and gradX are rounded once
// Twin       src/main/java/onebit/ops/cpu/CpuNormOps.java, batchNorm, batchNormInference, batchNormBackward
// Tests      native-tests/batch_norm_test.cpp, src/test/java/onebit/ops/NormOpsTest.java
// Source     Ioffe and Szegedy 2015, arXiv 1502.03167
// Rungs      1 sums, finish, apply as three launches, 2 neighbours in 16 bytes
#ifndef ELEMENT
#include "norm.cuh"

ONEBIT_KERNEL(256) batch_norm_inverse(float* inverse, const float* var, float epsilon, unsigned channels) {
  unsigned c = blockIdx.x * 256 + threadIdx.x;
  if (c < channels) inverse[c] = float(1 / sqrt(double(var[c]) + epsilon));
}

ONEBIT_KERNEL(256) batch_norm_backward_finish(float* gradGamma, float* gradBeta, float* meanG, float* meanGx, const double* partial,
                                              const float* inverse, unsigned splits, unsigned rows, unsigned channels) {
  unsigned c = blockIdx.x * 256 + threadIdx.x;
  if (c >= channels) return;
  double g = channel_total(partial, splits, 2, 0, channels, c), gx = channel_total(partial, splits, 2, 1, channels, c);
  norm_sums(gradGamma, gradBeta, meanG, meanGx, c, g, gx, rows, inverse);
}

#define ELEMENT_FILE "batch_norm.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(batch_norm_sums)(double* partial, const ELEMENT* x, unsigned rows, unsigned channels) {
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
}

ONEBIT_KERNEL(256) ENTRY(batch_norm_finish)(float* mean, float* inverse, float* runningMean, float* runningVar, const ELEMENT* x,
                                            const double* partial, unsigned splits, unsigned rows, unsigned channels, float momentum,
                                            float epsilon, int unbiased) {
  unsigned c = blockIdx.x * 256 + threadIdx.x;
  if (c >= channels) return;
  Moments of(channel_total(partial, splits, 2, 0, channels, c), channel_total(partial, splits, 2, 1, channels, c), load(x + c), rows, epsilon, unbiased);
  mean[c] = of.mean;
  inverse[c] = of.inverse;
  move_running(runningMean, runningVar, c, of.mean, of.var, momentum);
}

ONEBIT_KERNEL(256) ENTRY(batch_norm_apply)(ELEMENT* y, const ELEMENT* x, const float* gamma, const float* beta, const float* mean,
                                           const float* inverse, unsigned n, unsigned channels) {
  bool whole = channels % kWide<ELEMENT> == 0 && aligned(y, x, gamma, beta, mean, inverse);
  for_each_vector<kWide<ELEMENT>>(n, whole, [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    unsigned c = i % channels;
    float v[W];
    load_vector(x + i, v);
    NormOf<W> norm({gamma, beta, mean, inverse}, c);
#pragma unroll
    for (unsigned k = 0; k < W; k++) v[k] = norm.apply(v[k], k);
    store_vector(y + i, v);
  });
}

ONEBIT_KERNEL(256) ENTRY(batch_norm_backward_sums)(double* partial, const ELEMENT* gradY, const ELEMENT* x, const float* mean,
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
