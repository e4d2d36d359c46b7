// planar.cu -- images between channels last and channels first
//
//   to_planar    y[n][c][pixel] = x[n][pixel][c]          from_planar  y[n][pixel][c] = x[n][c][pixel]
//
// Shapes     x, y n values in all, images of `pixels` x C
//            both are float, or bfloat16 in the entries named _bf16
// Launch     block 256, any grid
// Limits     n < 2^31
// Exactness  copies
// Twin       src/main/java/onebit/ops/cpu/CpuPointOps.java, toPlanar, fromPlanar
// Tests      native-tests/planar_test.cpp, src/test/java/onebit/ops/PointOpsTest.java
// Source     PyTorch's flatten order
// Rungs      1 a thread per value
#ifndef ELEMENT
#include "element.cuh"
#define ELEMENT_FILE "planar.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(to_planar)(ELEMENT* y, const ELEMENT* x, unsigned n, unsigned pixels, unsigned channels) {
  FOR_EACH(i, n) {
    unsigned row = pixels * channels, image = i / row, rest = i % row;
    y[i] = x[image * row + rest % pixels * channels + rest / pixels];
  }
}

ONEBIT_KERNEL(256) ENTRY(from_planar)(ELEMENT* y, const ELEMENT* x, unsigned n, unsigned pixels, unsigned channels) {
  FOR_EACH(i, n) {
    unsigned row = pixels * channels, image = i / row, rest = i % row;
    y[i] = x[image * row + rest % channels * pixels + rest / channels];
  }
}
#endif
