// maxout.cu -- the two-slope nonlinearity of AdaBin
//
//   maxout           y = positive max(x, 0) + negative min(x, 0), slopes per channel
//   maxout_backward  gradX = gradY (positive if x > 0, negative if x < 0, 0 at 0) and, per channel, partial sums of
//                    gradY max(x, 0) and gradY min(x, 0); channel_sums_finish adds them up
//
// Shapes     x, y, gradX, gradY rows of C values; positive, negative C values; partial [splits][2][C]
// Launch     block 256, any grid; maxout_backward as channel_sums in common.cuh
// Limits     rows * C < 2^31
// Exactness  y and gradX equal to the twin; the slopes' sums are double in an order of their own
// Twin       src/main/java/onebit/ops/cpu/CpuPointOps.java, maxout, maxoutBackward
// Tests      native-tests/maxout_test.cpp, src/test/java/onebit/ops/PointOpsTest.java
// Source     Tu et al. 2022, AdaBin, arXiv 2208.08084
// Rungs      1 one pass forward, gradient and sums in one pass
#include "common.cuh"

ONEBIT_KERNEL(256) maxout(float* y, const float* x, const float* positive, const float* negative, unsigned n, unsigned channels) {
  FOR_EACH(i, n) {
    unsigned c = i % channels;
    float v = x[i], over = v > 0 || v != v ? v : 0.0f, under = v < 0 || v != v ? v : 0.0f;
    y[i] = positive[c] * over + negative[c] * under;
  }
}

ONEBIT_KERNEL(256) maxout_backward(float* gradX, double* partial, const float* gradY, const float* x, const float* positive,
                                   const float* negative, unsigned rows, unsigned channels) {
  __shared__ double tile[512];
  channel_sums<2>(partial, rows, channels, tile, [=](unsigned i, unsigned c, float* each) {
    float v = x[i], g = gradY[i];
    each[0] = g * (v > 0 ? v : 0.0f);
    each[1] = g * (v < 0 ? v : 0.0f);
    gradX[i] = g * (v > 0 ? positive[c] : v < 0 ? negative[c] : 0.0f);
  });
}
