// columns.cu -- rows of values as columns of a wider matrix, and back
//
//   place  y[row][i] = x[row][i] + bias[i % C], i < width          take  x[row][i] = y[row][i] rounded to x's type
//
// Shapes     x rows of `width` values, y rows of `pitch` values, of which the address is that of the first column meant; n = rows width
//            bias C values; x is float, or bfloat16 in the entries named _bf16; y is float
// Launch     block 256, any grid
// Limits     rows * pitch < 2^31
// Exactness  place adds in float32; take on bfloat16 is off by at most 2^-8 of the value; NaN stays NaN
// Twin       src/main/java/onebit/ops/cpu/CpuPointOps.java, place, take
// Tests      native-tests/columns_test.cpp, src/test/java/onebit/ops/PointOpsTest.java
// Source     Liu et al. 2016, SSD, arXiv 1512.02325, section 2.1: predictions of several maps side by side
// Rungs      1 a thread per value, 2 neighbours in 16 bytes of y
#ifndef ELEMENT
#include "element.cuh"
#define ELEMENT_FILE "columns.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(place)(float* y, const ELEMENT* x, const float* bias, unsigned n, unsigned width, unsigned pitch, unsigned channels) {
  bool whole = (width | pitch) % 4 == 0 && aligned(y, x);
  Divisor byWidth(width), byChannels(channels);
  for_each_vector<4>(n, whole, [=](unsigned i, auto neighbours) {
    float v[neighbours.value];
    load_vector(x + i, v);
    unsigned column, channel, row = byWidth.divide(i, column);
    byChannels.divide(column, channel);
    for (int k = 0; k < neighbours.value; k++, channel = channel + 1 == channels ? 0 : channel + 1) v[k] += bias[channel];
    store_vector(y + size_t(row) * pitch + column, v);
  });
}

ONEBIT_KERNEL(256) ENTRY(take)(ELEMENT* x, const float* y, unsigned n, unsigned width, unsigned pitch) {
  bool whole = (width | pitch) % 4 == 0 && aligned(y, x);
  for_each_vector<4>(n, whole, [=](unsigned i, auto neighbours) {
    float v[neighbours.value];
    load_vector(y + size_t(i / width) * pitch + i % width, v);
    store_vector(x + i, v);
  });
}
#endif
