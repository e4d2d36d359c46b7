// xnor_tile.cuh -- one block's tile of a product of packed bits: counts of common ones of 64 rows against 64 columns
//
//   common[m][n] = sum over words of popc(a[m] & b[n])          ones[m] = sum over words of popc(a[m])
//
// Launch     block 128: four warps, 16 rows each on the tensor cores, or 16 x 8 threads with 4 x 8 counts each
// Limits     TENSOR needs sm_80 to sm_90 (m16n8k256 AND); without it the counts are __popc on any device
// Exactness  whole numbers
// Source     PTX ISA, mma.sync m16n8k256 b1 and.popc; anchors/performance.md section 1
#pragma once
#include "common.cuh"
#include "mma.cuh"

constexpr unsigned kTile = 64, kStep = 8, kStride = 12;   // a stride of 12 words spreads a fragment over all banks

struct XnorRoom {
  unsigned a[kTile * kStride], b[kTile * kStride];
  int ones[kTile];
};

/**
 * Walks the words eight at a time; a(j, word) and b(j, word) give the word of the tile's row threadIdx.x / 8 + 16 j, 0 outside;
 * store(row, column, common, ones) takes each result.
 */
template <bool TENSOR, class A, class B, class Store>
__device__ __forceinline__ void xnor_tile(XnorRoom& room, unsigned words, A a, B b, Store store) {
  unsigned thread = threadIdx.x, own = thread / kStep, at = thread % kStep, lane = thread % 32, warp = thread / 32;
  unsigned group = lane / 4, member = lane % 4, nextA[4], nextB[4];
  int counts[8][4] = {}, ones[4] = {};
  for (unsigned j = 0; j < 4; j++) {
    nextA[j] = at < words ? a(j, at) : 0u;
    nextB[j] = at < words ? b(j, at) : 0u;
  }
  for (unsigned step = 0; step < words; step += kStep) {
    for (unsigned j = 0; j < 4; j++) {
      room.a[(own + 16 * j) * kStride + at] = nextA[j];
      room.b[(own + 16 * j) * kStride + at] = nextB[j];
      ones[j] += __popc(nextA[j]);
    }
    __syncthreads();
    unsigned word = step + kStep + at;
    for (unsigned j = 0; j < 4; j++) {
      nextA[j] = word < words ? a(j, word) : 0u;
      nextB[j] = word < words ? b(j, word) : 0u;
    }
    if (TENSOR) {
      const unsigned* rows = room.a + (warp * 16 + group) * kStride + member;
      uint32_t left[4] = {rows[0], rows[8 * kStride], rows[4], rows[8 * kStride + 4]};
#pragma unroll
      for (unsigned n = 0; n < 8; n++) {
        const unsigned* columns = room.b + (n * 8 + group) * kStride + member;
        uint32_t right[2] = {columns[0], columns[4]};
        mma_m16n8k256_and_popc(counts[n], left, right, counts[n]);
      }
    } else {
      unsigned row = thread / 8, column = thread % 8;
      for (unsigned k = 0; k < kStep; k++) {
        unsigned left[4];
#pragma unroll
        for (unsigned i = 0; i < 4; i++) left[i] = room.a[(row + 16 * i) * kStride + k];
#pragma unroll
        for (unsigned n = 0; n < 8; n++) {
          unsigned right = room.b[(column + 8 * n) * kStride + k];
#pragma unroll
          for (unsigned i = 0; i < 4; i++) counts[n][i] += __popc(left[i] & right);
        }
      }
    }
    __syncthreads();
  }
  for (unsigned j = 0; j < 4; j++) {
    for (int d = 1; d < 8; d *= 2) ones[j] += __shfl_xor_sync(kFullWarp, ones[j], d);
    if (at == 0) room.ones[own + 16 * j] = ones[j];
  }
  __syncthreads();
#pragma unroll
  for (unsigned n = 0; n < 8; n++) {
#pragma unroll
    for (unsigned i = 0; i < 4; i++) {
      unsigned row = TENSOR ? warp * 16 + group + i / 2 * 8 : thread / 8 + 16 * i;
      unsigned column = TENSOR ? n * 8 + member * 2 + i % 2 : thread % 8 + 8 * n;
      store(row, column, counts[n][i], room.ones[row]);
    }
  }
}
