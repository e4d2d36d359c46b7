// pad_border.cu -- images with a border of one value
//
//   y[n][h][w][c] = x[n][h - pad][w - pad][c] inside, border outside
//
// Shapes     x N,H,W,C; y N,H+2pad,W+2pad,C, n values
//            both are float, or bfloat16 in pad_border_bf16
// Launch     block 256, any grid
// Limits     n < 2^31
// Exactness  copies; bfloat16 rounds the border
// Twin       src/main/java/onebit/ops/cpu/CpuConvOps.java, conv2d and conv2dGradW with a border
// Tests      native-tests/pad_border_test.cpp, src/test/java/onebit/ops/ConvOpsTest.java
// Source     Bethge et al. 2019, arXiv 1906.08637: BMXNet pads with -1
// Rungs      1 a thread per value, 2 neighbours in 16 bytes
#ifndef ELEMENT
#include "element.cuh"
#define ELEMENT_FILE "pad_border.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(pad_border)(ELEMENT* y, const ELEMENT* x, float border, unsigned n, int h, int w, int c, int pad) {
  for_each_vector<kWide<ELEMENT>>(n, c % kWide<ELEMENT> == 0 && aligned(y, x), [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    int channel = int(i % c), column = int(i / c % (w + 2 * pad)) - pad, row = int(i / c / (w + 2 * pad) % (h + 2 * pad)) - pad;
    int image = int(i / c / (w + 2 * pad) / (h + 2 * pad));
    float v[W];
#pragma unroll
    for (unsigned k = 0; k < W; k++) v[k] = border;
    if (row >= 0 && row < h && column >= 0 && column < w) load_vector(x + ((size_t(image) * h + row) * w + column) * c + channel, v);
    store_vector(y + i, v);
  });
}
#endif
