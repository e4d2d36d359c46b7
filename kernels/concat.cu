// concat.cu -- two tensors side by side in the innermost extent, and apart again
//
//   concat  y[row] = a[row], b[row]          split  a[row], b[row] = y[row]
//
// Shapes     a rows of A values, b rows of B values, y rows of A + B values; n = rows (A + B)
// Launch     block 256, any grid
// Limits     n < 2^31
// Exactness  copies
// Twin       src/main/java/onebit/ops/cpu/CpuPointOps.java, concat, split
// Tests      native-tests/concat_test.cpp, src/test/java/onebit/ops/PointOpsTest.java
// Source     Huang et al. 2017, DenseNet, arXiv 1608.06993
// Rungs      1 a thread per value
#include "common.cuh"

ONEBIT_KERNEL(256) concat(float* y, const float* a, const float* b, unsigned n, unsigned channelsA, unsigned channelsB) {
  FOR_EACH(i, n) {
    unsigned row = i / (channelsA + channelsB), c = i % (channelsA + channelsB);
    y[i] = c < channelsA ? a[row * channelsA + c] : b[row * channelsB + c - channelsA];
  }
}

ONEBIT_KERNEL(256) split(float* a, float* b, const float* y, unsigned n, unsigned channelsA, unsigned channelsB) {
  FOR_EACH(i, n) {
    unsigned row = i / (channelsA + channelsB), c = i % (channelsA + channelsB);
    if (c < channelsA) a[row * channelsA + c] = y[i];
    else b[row * channelsB + c - channelsA] = y[i];
  }
}
