// maxout.cu -- the two-slope nonlinearity of AdaBin
//
//   maxout           y = positive max(x, 0) + negative min(x, 0), slopes per channel
//   maxout_backward  gradX = gradY (positive if x > 0, negative if x < 0, 0 at 0) and, per channel, partial sums of
//                    gradY max(x, 0) and gradY min(x, 0); channel_sums_finish adds them up
//
// Shapes     x, y, gradX, gradY rows of C values; positive, negative C values; partial [splits][2][C]
//            x, y, gradX, gradY are float, or bfloat16 in the entries named _bf16; the rest is float
// Launch     block 256, any grid; maxout_backward as channel_sums in common.cuh
// Limits     rows * C < 2^31
// Exactness  y and gradX equal to the twin, in bfloat16 its nearest; the slopes' sums are double in an order of their own
// Twin       src/main/java/onebit/ops/cpu/CpuPointOps.java, maxout, maxoutBackward
// Tests      native-tests/maxout_test.cpp, src/test/java/onebit/ops/PointOpsTest.java
// Source     Tu et al. 2022, AdaBin, arXiv 2208.08084
// Rungs      1 one pass forward, gradient and sums in one pass, 2 neighbours in 16 bytes
#ifndef ELEMENT
#include "element.cuh"
#define ELEMENT_FILE "maxout.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(maxout)(ELEMENT* y, const ELEMENT* x, const float* positive, const float* negative, unsigned n, unsigned channels) {
  bool whole = channels % kWide<ELEMENT> == 0 && aligned(y, x, positive, negative);
  for_each_vector<kWide<ELEMENT>>(n, whole, [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    float v[W], above[W], below[W];
    load_vector(x + i, v);
    load_vector(positive + i % channels, above);
    load_vector(negative + i % channels, below);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      float over = v[k] > 0 || v[k] != v[k] ? v[k] : 0.0f, under = v[k] < 0 || v[k] != v[k] ? v[k] : 0.0f;
      v[k] = above[k] * over + below[k] * under;
    }
    store_vector(y + i, v);
  });
}

ONEBIT_KERNEL(256) ENTRY(maxout_backward)(ELEMENT* gradX, double* partial, const ELEMENT* gradY, const ELEMENT* x, const float* positive,
                                          const float* negative, unsigned rows, unsigned channels) {
  __shared__ double tile[2 * kSumTile];
  channel_sums<2>(partial, rows, channels, tile, [=](unsigned i, unsigned c, auto width, auto& each) {
    constexpr unsigned W = width.value;
    float v[W], g[W], above[W], below[W];
    load_vector(x + i, v);
    load_vector(gradY + i, g);
    load_vector(positive + c, above);
    load_vector(negative + c, below);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      each[0][k] = g[k] * (v[k] > 0 ? v[k] : 0.0f);
      each[1][k] = g[k] * (v[k] < 0 ? v[k] : 0.0f);
      g[k] *= v[k] > 0 ? above[k] : v[k] < 0 ? below[k] : 0.0f;
    }
    store_vector(gradX + i, g);
  });
}
#endif
