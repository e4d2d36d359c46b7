// bit_values.cuh -- bits that become bfloat16 or float8 factors in registers, on their way from shared memory into the tensor cores
//
//   value = bit ? high : low          both values are bfloat16, kept as low and change = low ^ high, once in each half of a register
//   BitPair     the words of two neighbouring k, 32 columns each, and what their bits choose from
//   BitQuad     the words of four k, 32 columns each, that become -1 and +1 in float8; with a low and a change of 0 there is 0
//   expand<J>   the register that the product takes as half of b: columns 8 J to 8 J + 7, one column for each group of lanes
//
// Encoding   column 8 J + g of a word is its bit 8 J + g; lane g * 4 + t has the words of k = 2 t and 2 t + 1, shifted so that its bit leads byte J
// Cost       two instructions for two bfloat16: a byte permutation that repeats signs, and one (signs & change) ^ low; three for four float8
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

/** The words of four k; a byte of low is the code of bit 0, and of change what makes that of bit 1 of it, of each k. */
struct BitQuad {
  uint32_t lead[4], low, change;   // lead: byte k of the j-th has the bit of column 8 j + group of the k-th word in front

  __device__ __forceinline__ BitQuad(uint32_t w0, uint32_t w1, uint32_t w2, uint32_t w3, unsigned group, uint32_t low, uint32_t change) : low(low), change(change) {
    unsigned shift = 7 - group;
    w0 <<= shift, w1 <<= shift, w2 <<= shift, w3 <<= shift;
    uint32_t lower01 = __byte_perm(w0, w1, 0x5140), lower23 = __byte_perm(w2, w3, 0x5140), upper01 = __byte_perm(w0, w1, 0x7362), upper23 = __byte_perm(w2, w3, 0x7362);
    lead[0] = __byte_perm(lower01, lower23, 0x5410), lead[1] = __byte_perm(lower01, lower23, 0x7632);
    lead[2] = __byte_perm(upper01, upper23, 0x5410), lead[3] = __byte_perm(upper01, upper23, 0x7632);
  }

  template <unsigned J> __device__ __forceinline__ uint32_t expand() const { return (lead[J] & change) ^ low; }
};

/** A float rounded to bfloat16, in the lower half. */
__device__ __forceinline__ uint32_t bf16_bits(float v) { return pack_pair(v, 0.0f); }

/** A warp's 64 rows times two words of columns, 16 k of bfloat16 or 32 of float8 at a time. */
struct WarpSums {
  float at[4][8][4];   // of 16 rows, of 8 columns, as the products lay them out

  /** Adds a's rows times the columns of word `which`; of the tiles of 16 rows and of 8 columns only the first so many where not all are wanted. */
  template <bool ALL>
  __device__ __forceinline__ void add(const uint32_t (&a)[4][4], unsigned which, const BitPair& near, const BitPair& far, unsigned rows, unsigned columns) {
    const uint32_t b[4][2] = {{near.expand<0>(), far.expand<0>()}, {near.expand<1>(), far.expand<1>()}, {near.expand<2>(), far.expand<2>()},
                              {near.expand<3>(), far.expand<3>()}};
    multiply<ALL>(which, rows, columns, [&](float(&sums)[4], unsigned i, unsigned j) { mma_m16n8k16_bf16(sums, a[i], b[j], sums); });
  }

  /** As mma_m16n8k32_e4m3, each code widened once. */
  template <bool ALL>
  __device__ __forceinline__ void add(const uint32_t (&a)[4][4], unsigned which, const BitQuad& near, const BitQuad& far, unsigned rows, unsigned columns) {
    const uint32_t b[4][2] = {{near.expand<0>(), far.expand<0>()}, {near.expand<1>(), far.expand<1>()}, {near.expand<2>(), far.expand<2>()},
                              {near.expand<3>(), far.expand<3>()}};
#pragma unroll
    for (unsigned half = 0; half < 2; half++) {
      uint32_t wide[4][4], bits[4][2];
#pragma unroll
      for (unsigned i = 0; i < 4; i++) {
        if (!ALL && i >= rows) continue;
        e4m3_to_f16(a[i][2 * half], wide[i][0], wide[i][2]);
        e4m3_to_f16(a[i][2 * half + 1], wide[i][1], wide[i][3]);
      }
#pragma unroll
      for (unsigned j = 0; j < 4; j++) e4m3_to_f16(b[j][half], bits[j][0], bits[j][1]);
      multiply<ALL>(which, rows, columns, [&](float(&sums)[4], unsigned i, unsigned j) { mma_m16n8k16_f16(sums, wide[i], bits[j], sums); });
    }
  }

 private:
  template <bool ALL, class Product> __device__ __forceinline__ void multiply(unsigned which, unsigned rows, unsigned columns, Product product) {
#pragma unroll
    for (unsigned j = 0; j < 4; j++) {
      if (!ALL && j >= columns) continue;
#pragma unroll
      for (unsigned i = 0; i < 4; i++) {
        if (!ALL && i >= rows) continue;
        product(at[i][which * 4 + j], i, j);
      }
    }
  }
};
