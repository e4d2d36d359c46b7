// bit_values.cuh -- bits that become bfloat16 factors in registers, on their way from shared memory into the tensor cores
//
//   value = bit ? high : low          both values are bfloat16, kept as low and change = low ^ high, once in each half of a register
//   BitPair     the words of two neighbouring k, 32 columns each, and what their bits choose from
//   expand<J>   the register that mma_m16n8k16_bf16 takes as half of b: columns 8 J to 8 J + 7, one column for each group of lanes
//
// Encoding   column 8 J + g of a word is its bit 8 J + g; lane g * 4 + t has the words of k = 2 t and 2 t + 1, shifted so that its bit leads byte J
// Cost       two instructions for two values: a byte permutation that repeats signs, and one (signs & change) ^ low
// Exactness  the two values themselves
// Source     PTX ISA, prmt and mma.sync m16n8k16; anchors/performance.md section 7, "Backward convolutions"
#pragma once
#include "element.cuh"
#include "mma.cuh"

/** Whether this architecture multiplies bfloat16; a kernel of another that asks is empty and must not be launched. */
__device__ constexpr bool bf16_products() {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  return true;
#else
  return false;
#endif
}

/** Two bits as masks: 0xffff in the lower half where bit 8 J + 7 of first is 1, in the upper half by second. */
template <unsigned J> __device__ __forceinline__ uint32_t sign_masks(uint32_t first, uint32_t second) {
#if defined(__HOSTCUDA__)
  return (first >> (8 * J + 7) & 1 ? 0xffffu : 0u) | (second >> (8 * J + 7) & 1 ? 0xffff0000u : 0u);
#else
  uint32_t masks;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(masks) : "r"(first), "r"(second), "n"((8 | J) * 0x0011 + (12 | J) * 0x1100));
  return masks;
#endif
}

/** The words of two neighbouring k; low and change hold the values of the first k in the lower half, of the second in the upper. */
struct BitPair {
  uint32_t first, second, low, change;

  /** words: of the first and of the second k; group is lane / 4. */
  __device__ __forceinline__ BitPair(uint2 words, unsigned group, uint32_t low, uint32_t change)
      : first(words.x << (7 - group)), second(words.y << (7 - group)), low(low), change(change) {}

  template <unsigned J> __device__ __forceinline__ uint32_t expand() const { return (sign_masks<J>(first, second) & change) ^ low; }
};

/** A float rounded to bfloat16, in the lower half. */
__device__ __forceinline__ uint32_t bf16_bits(float v) { return pack_pair(v, 0.0f); }

/** A warp's 64 rows times two words of columns, 16 k at a time. */
struct WarpSums {
  float at[4][8][4];   // of 16 rows, of 8 columns, as mma_m16n8k16_bf16 lays them out

  /** Adds a's rows times the columns of word `which`; of the tiles of 16 rows and of 8 columns only the first so many where not all are wanted. */
  template <bool ALL>
  __device__ __forceinline__ void add(const uint32_t (&a)[4][4], unsigned which, const BitPair& near, const BitPair& far, unsigned rows, unsigned columns) {
    const uint32_t b[4][2] = {{near.expand<0>(), far.expand<0>()}, {near.expand<1>(), far.expand<1>()}, {near.expand<2>(), far.expand<2>()},
                              {near.expand<3>(), far.expand<3>()}};
#pragma unroll
    for (unsigned j = 0; j < 4; j++) {
      if (!ALL && j >= columns) continue;
#pragma unroll
      for (unsigned i = 0; i < 4; i++) {
        if (!ALL && i >= rows) continue;
        float(&sums)[4] = at[i][which * 4 + j];
        mma_m16n8k16_bf16(sums, a[i], b[j], sums);
      }
    }
  }
};
