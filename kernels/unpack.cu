// unpack.cu -- values of packed bits
//
//   x = centre + distance where the bit is 1, centre - distance where it is 0
//
// Shapes     words [rows][ceil(bits / 32)]; x rows of `bits` values, n in all; centre, distance 1 value (each 0) or one per row (each 1)
// Encoding   bit 1 = centre + distance; value k of a row is bit k % 32 of word k / 32
//            x is float, or bfloat16 in unpack_bf16; centre and distance are float
// Launch     block 256, any grid
// Limits     n < 2^31
// Exactness  one addition: equal to the twin, in bfloat16 its nearest
// Twin       src/main/java/onebit/ops/cpu/CpuBitOps.java, unpack
// Tests      native-tests/unpack_test.cpp, src/test/java/onebit/ops/BitOpsTest.java
// Source     Tu et al. 2022, AdaBin, arXiv 2208.08084, for the sets
// Rungs      1 a thread per value, 2 neighbours in 16 bytes
#ifndef ELEMENT
#include "element.cuh"
#define ELEMENT_FILE "unpack.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(unpack)(ELEMENT* x, const unsigned* words, const float* centre, const float* distance, unsigned each, unsigned n,
                                 unsigned bits) {
  unsigned perRow = (bits + 31) / 32;
  for_each_vector<kWide<ELEMENT>>(n, bits % kWide<ELEMENT> == 0 && aligned(x), [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    unsigned row = i / bits, bit = i % bits, word = words[row * perRow + bit / 32] >> bit % 32;
    float c = centre[row * each], d = distance[row * each], v[W];
#pragma unroll
    for (unsigned k = 0; k < W; k++) v[k] = word >> k & 1 ? c + d : c - d;
    store_vector(x + i, v);
  });
}
#endif
