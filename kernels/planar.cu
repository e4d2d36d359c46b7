// planar.cu -- images between channels last and channels first
//
//   to_planar    y[n][c][pixel] = x[n][pixel][c]          from_planar  y[n][pixel][c] = x[n][c][pixel]
//
// Shapes     x, y n values in all, images of `pixels` x C
// Launch     block 256, any grid
// Limits     n < 2^31
// Exactness  copies
// Twin       src/main/java/onebit/ops/cpu/CpuPointOps.java, toPlanar, fromPlanar
// Tests      native-tests/planar_test.cpp, src/test/java/onebit/ops/PointOpsTest.java
// Source     PyTorch's flatten order
// Rungs      1 a thread per value
#include "common.cuh"

ONEBIT_KERNEL(256) to_planar(float* y, const float* x, unsigned n, unsigned pixels, unsigned channels) {
  FOR_EACH(i, n) {
    unsigned row = pixels * channels, image = i / row, rest = i % row;
    y[i] = x[image * row + rest % pixels * channels + rest / pixels];
  }
}

ONEBIT_KERNEL(256) from_planar(float* y, const float* x, unsigned n, unsigned pixels, unsigned channels) {
  FOR_EACH(i, n) {
    unsigned row = pixels * channels, image = i / row, rest = i % row;
    y[i] = x[image * row + rest % channels * pixels + rest / channels];
  }
}
