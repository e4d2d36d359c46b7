// unpack.cu -- values of packed bits
//
//   x = centre + distance where the bit is 1, centre - distance where it is 0
//
// Shapes     words [rows][ceil(bits / 32)]; x rows of `bits` values, n in all; centre, distance 1 value (each 0) or one per row (each 1)
// Encoding   bit 1 = centre + distance; value k of a row is bit k % 32 of word k / 32
// Launch     block 256, any grid
// Limits     n < 2^31
// Exactness  one addition: equal to the twin
// Twin       src/main/java/onebit/ops/cpu/CpuBitOps.java, unpack
// Tests      native-tests/unpack_test.cpp, src/test/java/onebit/ops/BitOpsTest.java
// Source     Tu et al. 2022, AdaBin, arXiv 2208.08084, for the sets
// Rungs      1 a thread per value
#include "common.cuh"

ONEBIT_KERNEL(256) unpack(float* x, const unsigned* words, const float* centre, const float* distance, unsigned each, unsigned n, unsigned bits) {
  unsigned perRow = (bits + 31) / 32;
  FOR_EACH(i, n) {
    unsigned row = i / bits, k = i % bits;
    float c = centre[row * each], d = distance[row * each];
    x[i] = words[row * perRow + k / 32] >> k % 32 & 1 ? c + d : c - d;
  }
}
