// concat.cu -- two tensors side by side in the innermost extent, and apart again
//
//   concat  y[row] = a[row], b[row]          split  a[row], b[row] = y[row]
//
// Shapes     a rows of A values, b rows of B values, y rows of A + B values; n = rows (A + B)
//            all are float, or bfloat16 in the entries named _bf16
// Launch     block 256, any grid
// Limits     n < 2^31
// Exactness  copies
// Twin       src/main/java/onebit/ops/cpu/CpuPointOps.java, concat, split
// Tests      native-tests/concat_test.cpp, src/test/java/onebit/ops/PointOpsTest.java
// Source     Huang et al. 2017, DenseNet, arXiv 1608.06993
// Rungs      1 a thread per value, 2 neighbours in 16 bytes
#ifndef ELEMENT
#include "element.cuh"
#define ELEMENT_FILE "concat.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(concat)(ELEMENT* y, const ELEMENT* a, const ELEMENT* b, unsigned n, unsigned channelsA, unsigned channelsB) {
  bool whole = (channelsA | channelsB) % kWide<ELEMENT> == 0 && aligned(y, a, b);
  for_each_vector<kWide<ELEMENT>>(n, whole, [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    unsigned row = i / (channelsA + channelsB), c = i % (channelsA + channelsB);
    float v[W];
    load_vector(c < channelsA ? a + row * channelsA + c : b + row * channelsB + c - channelsA, v);
    store_vector(y + i, v);
  });
}

ONEBIT_KERNEL(256) ENTRY(split)(ELEMENT* a, ELEMENT* b, const ELEMENT* y, unsigned n, unsigned channelsA, unsigned channelsB) {
  bool whole = (channelsA | channelsB) % kWide<ELEMENT> == 0 && aligned(y, a, b);
  for_each_vector<kWide<ELEMENT>>(n, whole, [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    unsigned row = i / (channelsA + channelsB), c = i % (channelsA + channelsB);
    float v[W];
    load_vector(y + i, v);
    store_vector(c < channelsA ? a + row * channelsA + c : b + row * channelsB + c - channelsA, v);
  });
}
#endif
