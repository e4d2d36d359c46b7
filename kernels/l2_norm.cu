// l2_norm.cu -- L2 normalisation of each pixel with a scale per channel, forward and backward
//
//   l2_normalize           y = scale x / d,  d = norm + 1e-10,  norm = sqrt(sum of the pixel's x^2)
//   l2_normalize_backward  gradX = (scale gradY - x sum(scale gradY x) / (norm d)) / d,  0 where norm is 0;  shares[pixel] = 1 / d
//   l2_normalize_scale     partial sums of gradY x / d, whose totals channel_sums_finish makes gradScale
//
// Shapes     x, y, gradX, gradY rows of C values, a row being a pixel; scale C values; shares a double per pixel; partial [splits][C]
//            y, x, gradX, gradY are float, or bfloat16 in the entries named _bf16; scale is float
// Launch     block 256, any grid, a warp for a pixel at a time; _scale as channel_sums in common.cuh
// Limits     pixels * C < 2^31
// Exactness  double until y and gradX are rounded once, sums in a fixed tree; squares of floats neither overflow nor vanish in double
// Twin       src/main/java/onebit/ops/cpu/CpuNormOps.java, l2Normalize, l2NormalizeBackward
// Tests      native-tests/l2_norm_test.cpp, src/test/java/onebit/ops/NormOpsTest.java
// Source     Liu et al. 2016, ParseNet, arXiv 1506.04579, section 3.3; code ssd.pytorch layers/modules/l2norm.py
// Rungs      1 a warp per pixel, 2 neighbours in 16 bytes
#ifndef ELEMENT
#include "element.cuh"

constexpr double kL2Epsilon = 1e-10;

/** The sum over a warp, told to all its lanes. */
__device__ __forceinline__ double warp_total(double value) {
  for (int d = 16; d > 0; d /= 2) value += __shfl_xor_sync(kFullWarp, value, d);
  return value;
}

/** f(c, width) over the channels below n by the lanes of a warp: W from c where whole holds, those left over one by one. */
template <unsigned W, class F> __device__ __forceinline__ void for_each_channel(unsigned n, bool whole, F f) {
  unsigned lane = threadIdx.x % 32, vectors = whole ? n / W : 0;
  for (unsigned i = lane; i < vectors; i += 32) f(i * W, Width<W>{});
  for (unsigned c = vectors * W + lane; c < n; c += 32) f(c, Width<1>{});
}

/** f(pixel) by each warp of the grid. */
template <class F> __device__ __forceinline__ void for_each_pixel(unsigned pixels, F f) {
  for (unsigned pixel = blockIdx.x * 8 + threadIdx.x / 32; pixel < pixels; pixel += gridDim.x * 8) f(pixel);
}

#define ELEMENT_FILE "l2_norm.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256, 4) ENTRY(l2_normalize)(ELEMENT* y, const ELEMENT* x, const float* scale, unsigned pixels, unsigned channels) {
  constexpr unsigned kLoad = kWide<ELEMENT>;
  bool whole = channels % kLoad == 0 && aligned(y, x, scale);
  for_each_pixel(pixels, [=](unsigned pixel) {
    unsigned base = pixel * channels;
    double squares = 0;
    for_each_channel<kLoad>(channels, whole, [&](unsigned c, auto width) {
      float v[width.value];
      load_vector(x + base + c, v);
#pragma unroll
      for (float each : v) squares += double(each) * each;
    });
    double share = 1 / (sqrt(warp_total(squares)) + kL2Epsilon);
    for_each_channel<kLoad>(channels, whole, [=](unsigned c, auto width) {
      constexpr unsigned W = width.value;
      float v[W], s[W];
      load_vector(x + base + c, v);
      load_vector(scale + c, s);
#pragma unroll
      for (unsigned k = 0; k < W; k++) v[k] = float(double(v[k]) * s[k] * share);
      store_vector(y + base + c, v);
    });
  });
}

ONEBIT_KERNEL(256, 4) ENTRY(l2_normalize_backward)(ELEMENT* gradX, double* shares, const ELEMENT* gradY, const ELEMENT* x, const float* scale, unsigned pixels,
                                                unsigned channels) {
  constexpr unsigned kLoad = kWide<ELEMENT>;
  bool whole = channels % kLoad == 0 && aligned(gradX, gradY, x, scale);
  for_each_pixel(pixels, [=](unsigned pixel) {
    unsigned base = pixel * channels;
    double squares = 0, along = 0;
    for_each_channel<kLoad>(channels, whole, [&](unsigned c, auto width) {
      constexpr unsigned W = width.value;
      float v[W], g[W], s[W];
      load_vector(x + base + c, v);
      load_vector(gradY + base + c, g);
      load_vector(scale + c, s);
#pragma unroll
      for (unsigned k = 0; k < W; k++) squares += double(v[k]) * v[k], along += double(g[k]) * s[k] * v[k];
    });
    double norm = sqrt(warp_total(squares)), share = 1 / (norm + kL2Epsilon);
    along = warp_total(along) * share / norm;
    for_each_channel<kLoad>(channels, whole, [=](unsigned c, auto width) {
      constexpr unsigned W = width.value;
      float v[W], g[W], s[W];
      load_vector(x + base + c, v);
      load_vector(gradY + base + c, g);
      load_vector(scale + c, s);
#pragma unroll
      for (unsigned k = 0; k < W; k++) v[k] = norm == 0 ? 0.0f : float((double(g[k]) * s[k] - v[k] * along) * share);
      store_vector(gradX + base + c, v);
    });
    if (threadIdx.x % 32 == 0) shares[pixel] = share;
  });
}

ONEBIT_KERNEL(256) ENTRY(l2_normalize_scale)(double* partial, const ELEMENT* gradY, const ELEMENT* x, const double* shares, unsigned pixels, unsigned channels) {
  __shared__ double tile[kSumTile];
  channel_sums<1>(partial, pixels, channels, tile, [=](unsigned i, unsigned, auto width, auto& each) {
    constexpr unsigned W = width.value;
    float v[W], g[W];
    load_vector(x + i, v);
    load_vector(gradY + i, g);
    double share = shares[i / channels];
#pragma unroll
    for (unsigned k = 0; k < W; k++) each[0][k] = double(g[k]) * v[k] * share;
  });
}
#endif
