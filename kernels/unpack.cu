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
// Rungs      1 a thread per value, 2 neighbours in 16 bytes, 3 in bfloat16 a warp's words at once, bits as factors
#ifndef ELEMENT
#include "element.cuh"

/** The bfloat16 values of 8 bits: pairs of bits become pairs of 0 and 1, which choose in one multiplication. */
struct UnpackedByte {
  unsigned low, step;   // the value of 0, twice; what 1 adds to it, as whole numbers

  __device__ __forceinline__ UnpackedByte(float centre, float distance) : low(pack_pair(centre - distance, centre - distance)) {
    step = (pack_pair(centre + distance, 0.0f) & 0xffffu) - (low & 0xffffu);
  }

  __device__ __forceinline__ uint4 of(unsigned byte) const {
    unsigned spread = byte | byte << 15;   // bit 2 j stays, bit 2 j + 1 is 16 behind it
    return make_uint4((spread & 0x10001u) * step + low, (spread >> 2 & 0x10001u) * step + low, (spread >> 4 & 0x10001u) * step + low,
                      (spread >> 6 & 0x10001u) * step + low);
  }
};

/** Rows of whole words: a warp reads 32 words at once and writes their 1024 values in four turns. */
template <class E>
__device__ __forceinline__ void unpack_words(E* x, const unsigned* words, const float* centre, const float* distance, unsigned each, unsigned n, unsigned bits) {
  unsigned lane = threadIdx.x % 32, vectors = n / 8;
  Divisor perRow(bits / 8);
  UnpackedByte byte(centre[0], distance[0]);
  for (unsigned base = (blockIdx.x * blockDim.x + threadIdx.x) / 32 * 128; base < vectors; base += gridDim.x * blockDim.x / 32 * 128) {
    unsigned mine = base + lane * 4 < vectors ? words[base / 4 + lane] : 0;
    unsigned word[4];
#pragma unroll
    for (unsigned turn = 0; turn < 4; turn++) word[turn] = __shfl_sync(kFullWarp, mine, turn * 8 + lane / 4) >> lane % 4 * 8 & 255;
#pragma unroll
    for (unsigned turn = 0; turn < 4; turn++) {
      unsigned i = base + turn * 32 + lane, rest;
      if (i >= vectors) continue;
      if (each) {
        unsigned row = perRow.divide(i, rest);
        byte = UnpackedByte(centre[row], distance[row]);
      }
      reinterpret_cast<uint4*>(x)[i] = byte.of(word[turn]);
    }
  }
}

#define ELEMENT_FILE "unpack.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(unpack)(ELEMENT* x, const unsigned* words, const float* centre, const float* distance, unsigned each, unsigned n,
                                 unsigned bits) {
  if constexpr (sizeof(ELEMENT) == 2) {
    if (bits % 32 == 0 && aligned(x)) {
      unpack_words(x, words, centre, distance, each, n, bits);
      return;
    }
  }
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
