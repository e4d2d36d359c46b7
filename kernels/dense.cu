// dense.cu -- a dense block whose values lie side by side in one buffer: norm and bits of its first channels, and the way back
//
//   dense_append          x[row][from + c] = y[row][c], and partial sums of y for dense_moments
//   dense_moments         mean, inverse = 1 / sqrt(var + epsilon) and the variance that running ones move to, of the channels just appended
//   dense_running         running statistics of the first C channels moved by momentum to the mean and variance of dense_moments
//   dense_put, dense_take x[row][from + c] = y[row][c], and y[row][c] = x[row][from + c]
//   dense_sign            bit = [t >= 0], t = (x - mean) gamma inverse + beta of the first C channels; running statistics moved by momentum
//   dense_sign_sums       per channel sums of h and h xhat, h = gradQ slope(t), xhat = (x - mean) inverse
//   dense_sign_backward   gradX += gamma inverse (h - mean(h) - xhat mean(h xhat)) in its first C channels
//
// Shapes     x, gradX rows of `pitch` values; y, gradQ rows of C values; words [rows][ceil(C / 32)]; partial [splits][2][C]; the rest C values
//            x, gradX, y, gradQ are float, or bfloat16 in the entries named _bf16; the rest is float
// Encoding   bit 1 = t >= 0; bit k of a row is bit k % 32 of its word k / 32; tail bits are 0
// Launch     block 256, any grid; _append and _sums as channel_sums in common.cuh; _moments and _running grid ceil(C / 256). Between _sums and _backward runs
//            batch_norm_backward_finish of batch_norm.cu
// Limits     rows * pitch < 2^31
// Exactness  the arithmetic of batch_norm.cu; t and h are not rounded to the elements' type; sums are double
// Twin       src/main/java/onebit/ops/cpu/CpuDenseOps.java, append, moveRunning, take, normSign, normSignBackward
// Tests      native-tests/dense_test.cpp, src/test/java/onebit/ops/DenseOpsTest.java
// Source     Huang et al. 2017, DenseNet, arXiv 1608.06993; Bethge et al. 2019, arXiv 1906.08637
// Rungs      1 values once in one buffer, norm and bits in one pass over them
#ifndef ELEMENT
#include "norm.cuh"
#include "slope.cuh"

ONEBIT_KERNEL(256) dense_running(float* runningMean, float* runningVar, const float* mean, const float* var, float momentum, unsigned channels) {
  unsigned c = blockIdx.x * 256 + threadIdx.x;
  if (c < channels) move_running(runningMean, runningVar, c, mean[c], var[c], momentum);
}

#define ELEMENT_FILE "dense.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(dense_append)(double* partial, ELEMENT* x, const ELEMENT* y, unsigned rows, unsigned channels, unsigned pitch, unsigned from) {
  __shared__ double tile[2 * kSumTile];
  Live live{kAll.count, (pitch | from) % kSumChannels == 0};
  channel_sums<2>(partial, rows, channels, tile, [=](unsigned i, unsigned c, auto width, auto& each) {
    constexpr unsigned W = width.value;
    float v[W], first[W];
    load_vector(y + i, v);
    load_vector(y + c, first);
    store_live(x + i / channels * pitch + from + c, v, live);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      double d = double(v[k]) - double(first[k]);
      each[0][k] = d;
      each[1][k] = d * d;
    }
  });
}

ONEBIT_KERNEL(256) ENTRY(dense_moments)(float* mean, float* inverse, float* var, const ELEMENT* y, const double* partial, unsigned splits, unsigned rows,
                                        unsigned channels, unsigned from, float epsilon, int unbiased) {
  unsigned c = blockIdx.x * 256 + threadIdx.x;
  if (c >= channels) return;
  Moments of(channel_total(partial, splits, 2, 0, channels, c), channel_total(partial, splits, 2, 1, channels, c), load(y + c), rows, epsilon, unbiased);
  mean[from + c] = of.mean;
  inverse[from + c] = of.inverse;
  var[from + c] = of.var;
}

ONEBIT_KERNEL(256) ENTRY(dense_put)(ELEMENT* x, const ELEMENT* y, unsigned n, unsigned channels, unsigned pitch, unsigned from) {
  bool whole = (channels | pitch | from) % kWide<ELEMENT> == 0 && aligned(x, y);
  for_each_vector<kWide<ELEMENT>>(n, whole, [=](unsigned i, auto width) {
    float v[width.value];
    load_vector(y + i, v);
    store_vector(x + i / channels * pitch + from + i % channels, v);
  });
}

ONEBIT_KERNEL(256) ENTRY(dense_take)(ELEMENT* y, const ELEMENT* x, unsigned n, unsigned channels, unsigned pitch, unsigned from) {
  bool whole = (channels | pitch | from) % kWide<ELEMENT> == 0 && aligned(x, y);
  for_each_vector<kWide<ELEMENT>>(n, whole, [=](unsigned i, auto width) {
    float v[width.value];
    load_vector(x + i / channels * pitch + from + i % channels, v);
    store_vector(y + i, v);
  });
}

ONEBIT_KERNEL(256) ENTRY(dense_sign)(unsigned* words, const ELEMENT* x, const float* gamma, const float* beta, const float* mean, const float* inverse,
                                     const float* var, float* runningMean, float* runningVar, float momentum, unsigned rows, unsigned channels,
                                     unsigned pitch) {
  if (blockIdx.x == 0 && runningMean != nullptr) {
    for (unsigned c = threadIdx.x; c < channels; c += 256) move_running(runningMean, runningVar, c, mean[c], var[c], momentum);
  }
  unsigned perRow = (channels + 31) / 32, lanes = perRow * 4;
  if ((channels | pitch) % 8 == 0 && lanes <= 256 && aligned(x)) {
    // a thread keeps eight channels and goes from row to row, making a byte of each
    unsigned k = threadIdx.x % lanes * 8, rowsEach = 256 / lanes;
    if (threadIdx.x >= rowsEach * lanes) return;
    float m[8] = {}, factor[8] = {}, shift[8] = {};
    bool inside = k < channels;
#pragma unroll
    for (unsigned j = 0; j < 8; j++) {
      if (inside) m[j] = mean[k + j], factor[j] = gamma[k + j] * inverse[k + j], shift[j] = beta[k + j];
    }
    unsigned char* bytes = reinterpret_cast<unsigned char*>(words);
    for (unsigned row = blockIdx.x * rowsEach + threadIdx.x / lanes; row < rows; row += gridDim.x * rowsEach) {
      unsigned packed = 0;
      if (inside) {
        float v[8];
        load_vector(x + row * pitch + k, v);
#pragma unroll
        for (unsigned j = 0; j < 8; j++) packed |= unsigned(norm_value(v[j], m[j], factor[j], shift[j]) >= 0) << j;
      }
      bytes[row * lanes + k / 8] = static_cast<unsigned char>(packed);
    }
    return;
  }
  unsigned lane = threadIdx.x % 32;
  for (unsigned word = (blockIdx.x * blockDim.x + threadIdx.x) / 32; word < rows * perRow; word += gridDim.x * blockDim.x / 32) {
    unsigned row = word / perRow, c = word % perRow * 32 + lane;
    bool inside = c < channels;
    unsigned packed = __ballot_sync(kFullWarp, inside && norm_value(load(x + row * pitch + c), mean[c], gamma[c] * inverse[c], beta[c]) >= 0);
    if (lane == 0) words[word] = packed;
  }
}

ONEBIT_KERNEL(256) ENTRY(dense_sign_sums)(double* partial, const ELEMENT* gradQ, const ELEMENT* x, const float* gamma, const float* beta, const float* mean,
                                          const float* inverse, int kind, float a, float b, unsigned rows, unsigned channels, unsigned pitch) {
  __shared__ double tile[2 * kSumTile];
  Slope f{kind, a, b};
  Live live{kAll.count, pitch % kSumChannels == 0};
  channel_sums<2>(partial, rows, channels, tile, [=](unsigned i, unsigned c, auto width, auto& each) {
    constexpr unsigned W = width.value;
    float v[W], g[W];
    load_live(x + i / channels * pitch + c, v, live);
    load_vector(gradQ + i, g);
    NormOf<W> norm({gamma, beta, mean, inverse}, c);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      float h = g[k] * f.slope(norm.apply(v[k], k));
      each[0][k] = h;
      each[1][k] = h * norm.hat(v[k], k);
    }
  });
}

ONEBIT_KERNEL(256) ENTRY(dense_sign_backward)(ELEMENT* gradX, const ELEMENT* gradQ, const ELEMENT* x, const float* gamma, const float* beta,
                                              const float* mean, const float* inverse, const float* meanH, const float* meanHx, int kind, float a, float b,
                                              unsigned n, unsigned channels, unsigned pitch, unsigned gradPitch) {
  Slope f{kind, a, b};
  bool whole = (channels | pitch | gradPitch) % kWide<ELEMENT> == 0 && aligned(gradX, gradQ, x, gamma, beta, mean, inverse, meanH, meanHx);
  for_each_vector<kWide<ELEMENT>>(n, whole, [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    unsigned row = i / channels, c = i % channels;
    float v[W], g[W], ofH[W], ofHx[W], sum[W];
    load_vector(x + row * pitch + c, v);
    load_vector(gradQ + i, g);
    load_vector(gradX + row * gradPitch + c, sum);
    load_vector(meanH + c, ofH);
    load_vector(meanHx + c, ofHx);
    NormOf<W> norm({gamma, beta, mean, inverse}, c);
#pragma unroll
    for (unsigned k = 0; k < W; k++) sum[k] = __fadd_rn(sum[k], norm.back(g[k] * f.slope(norm.apply(v[k], k)), ofH[k], ofHx[k], v[k], k));
    store_vector(gradX + row * gradPitch + c, sum);
  });
}
#endif
