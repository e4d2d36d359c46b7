// add.cu -- sums of tensors, element by element
//
//   add                y = a + b                 accumulate is y = y + x
//   accumulate_scaled  y = y + factor x
//   add_bias           y = x + bias of the channel
//   bias_backward      gradBias = the sum per channel of gradY, and where rounded is not null, rounded = gradY in bfloat16
//
// Shapes     y, a, b, x n values; bias C values, channels last; partial [splits][C], counters
//            split_counters(splits) for each block across, 0 before and after
//            y, a, b, x, gradY are float, or bfloat16 in the entries named _bf16; bias is float
// Launch     block 256, any grid; bias_backward as channel_sums in common.cuh
// Limits     n < 2^31
// Exactness  one addition (and multiplication) per element: equal to the twin, in bfloat16 its nearest; the sums of bias_backward are double
// Twin       src/main/java/onebit/ops/cpu/CpuPointOps.java, add, accumulateScaled, addBias, biasBackward
// Tests      native-tests/add_test.cpp, src/test/java/onebit/ops/PointOpsTest.java
// Source     elementary
// Rungs      1 a thread per value, 2 neighbours in 16 bytes, 3 the last block of bias_backward finishes its sums
#ifndef ELEMENT
#include "element.cuh"
#include "last_block.cuh"
#define ELEMENT_FILE "add.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(add)(ELEMENT* y, const ELEMENT* a, const ELEMENT* b, unsigned n) {
  for_each_vector<kWide<ELEMENT>>(n, aligned(y, a, b), [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    float left[W], right[W];
    load_vector(a + i, left);
    load_vector(b + i, right);
#pragma unroll
    for (unsigned k = 0; k < W; k++) left[k] += right[k];
    store_vector(y + i, left);
  });
}

ONEBIT_KERNEL(256) ENTRY(accumulate_scaled)(ELEMENT* y, const ELEMENT* x, float factor, unsigned n) {
  for_each_vector<kWide<ELEMENT>>(n, aligned(y, x), [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    float sum[W], v[W];
    load_vector(y + i, sum);
    load_vector(x + i, v);
#pragma unroll
    for (unsigned k = 0; k < W; k++) sum[k] += factor * v[k];
    store_vector(y + i, sum);
  });
}

ONEBIT_KERNEL(256) ENTRY(add_bias)(ELEMENT* y, const ELEMENT* x, const float* bias, unsigned n, unsigned channels) {
  bool whole = channels % kWide<ELEMENT> == 0 && aligned(y, x, bias);
  for_each_vector<kWide<ELEMENT>>(n, whole, [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    float v[W], added[W];
    load_vector(x + i, v);
    load_vector(bias + i % channels, added);
#pragma unroll
    for (unsigned k = 0; k < W; k++) v[k] += added[k];
    store_vector(y + i, v);
  });
}

ONEBIT_KERNEL(256) ENTRY(bias_backward)(double* partial, unsigned* counters, float* gradBias, __nv_bfloat16* rounded, const ELEMENT* gradY, unsigned rows,
                                        unsigned channels) {
  __shared__ double tile[kSumTile];
  channel_sums<1>(partial, rows, channels, tile, [=](unsigned i, unsigned, auto width, auto& each) {
    constexpr unsigned W = width.value;
    float g[W];
    load_vector(gradY + i, g);
    if (rounded) store_vector(rounded + i, g);
#pragma unroll
    for (unsigned k = 0; k < W; k++) each[0][k] = g[k];
  });
  finish_sums<1>(partial, counters, channels, [=](unsigned c, const double (&total)[1]) { gradBias[c] = float(total[0]); });
}
#endif
