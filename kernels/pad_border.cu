// pad_border.cu -- images with a border of one value
//
//   y[n][h][w][c] = x[n][h - pad][w - pad][c] inside, border outside
//
// Shapes     x N,H,W,C; y N,H+2pad,W+2pad,C, n values
// Launch     block 256, any grid
// Limits     n < 2^31
// Exactness  copies
// Twin       src/main/java/onebit/ops/cpu/CpuConvOps.java, conv2d and conv2dGradW with a border
// Tests      native-tests/pad_border_test.cpp, src/test/java/onebit/ops/ConvOpsTest.java
// Source     Bethge et al. 2019, arXiv 1906.08637: BMXNet pads with -1
// Rungs      1 a thread per value
#include "common.cuh"

ONEBIT_KERNEL(256) pad_border(float* y, const float* x, float border, unsigned n, int h, int w, int c, int pad) {
  FOR_EACH(i, n) {
    int channel = int(i % c), column = int(i / c % (w + 2 * pad)) - pad, row = int(i / c / (w + 2 * pad) % (h + 2 * pad)) - pad;
    int image = int(i / c / (w + 2 * pad) / (h + 2 * pad));
    bool inside = row >= 0 && row < h && column >= 0 && column < w;
    y[i] = inside ? x[((size_t(image) * h + row) * w + column) * c + channel] : border;
  }
}
