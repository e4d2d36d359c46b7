// add.cu -- sums of tensors, element by element
//
//   add                y = a + b                 accumulate is y = y + x
//   accumulate_scaled  y = y + factor x
//   add_bias           y = x + bias of the channel
//   bias_backward      partial sums per channel of gradY; channel_sums_finish adds them up
//
// Shapes     y, a, b, x n values; bias C values, channels last; partial [splits][C]
// Launch     block 256, any grid; bias_backward as channel_sums in common.cuh
// Limits     n < 2^31
// Exactness  one addition (and multiplication) per element: equal to the twin; the sums of bias_backward are double
// Twin       src/main/java/onebit/ops/cpu/CpuPointOps.java, add, accumulateScaled, addBias, biasBackward
// Tests      native-tests/add_test.cpp, src/test/java/onebit/ops/PointOpsTest.java
// Source     elementary
// Rungs      1 a thread per value
#include "common.cuh"

ONEBIT_KERNEL(256) add(float* y, const float* a, const float* b, unsigned n) {
  FOR_EACH(i, n) y[i] = a[i] + b[i];
}

ONEBIT_KERNEL(256) accumulate_scaled(float* y, const float* x, float factor, unsigned n) {
  FOR_EACH(i, n) y[i] += factor * x[i];
}

ONEBIT_KERNEL(256) add_bias(float* y, const float* x, const float* bias, unsigned n, unsigned channels) {
  FOR_EACH(i, n) y[i] = x[i] + bias[i % channels];
}

ONEBIT_KERNEL(256) bias_backward(double* partial, const float* gradY, unsigned rows, unsigned channels) {
  __shared__ double tile[256];
  channel_sums<1>(partial, rows, channels, tile, [=](unsigned i, unsigned, float* each) { each[0] = gradY[i]; });
}
