// changed_bits.cu -- how many bits are 1 and how many changed since the last look
//
//   counts[2 at] = popc(now), counts[2 at + 1] = popc(now ^ before); then before = now
//
// Shapes     before, now W words; counts [K][2] float32
// Launch     block 256, grid 1
// Limits     exact below 2^24 bits, beyond that within 6e-8 of the count
// Exactness  whole numbers, summed in double
// Twin       src/main/java/onebit/ops/cpu/CpuBitOps.java, changedBits
// Tests      native-tests/changed_bits_test.cpp, src/test/java/onebit/ops/BitOpsTest.java
// Source     Helwegen et al. 2019, arXiv 1906.02107: the flip ratio
// Rungs      1 one block
#include "common.cuh"

ONEBIT_KERNEL(256) changed_bits(float* counts, unsigned* before, const unsigned* now, unsigned words, int at) {
  __shared__ double tree[33];
  int ones = 0, changes = 0;
  for (unsigned i = threadIdx.x; i < words; i += 256) {
    ones += __popc(now[i]);
    changes += __popc(now[i] ^ before[i]);
    before[i] = now[i];
  }
  double allOnes = block_sum(ones, tree), allChanges = block_sum(changes, tree);
  if (threadIdx.x == 0) {
    counts[2 * at] = float(allOnes);
    counts[2 * at + 1] = float(allChanges);
  }
}
