// wgmma_tile.cuh -- one block's tile on warpgroups of sm_90a: common ones of 128 rows of a against 64 to 256 rows of b
//
// Launch     block 256: two warpgroups with 64 rows each; dynamic shared memory wgmma_room<COLUMNS>() bytes
// Pipeline   4 stages of 1024 bits per row, copied by cp.async two stages ahead; products of a stage run while the next copies are begun
// Ones       one more product of 8 columns with rows of all ones, which lie behind the stages
#pragma once
#include "../../kernels/common.cuh"
#include "../../kernels/wgmma_bits.cuh"

constexpr unsigned kWgmmaRows = 128, kWgmmaWords = 32, kWgmmaStages = 4;

template <unsigned COLUMNS> constexpr unsigned wgmma_room() { return kWgmmaStages * (kWgmmaRows + COLUMNS) * 128 + 1024; }

/** Begins the copies of one stage of ROWS rows: at(row, word) is the address of PIECE words, null for zeros. */
template <unsigned ROWS, unsigned PIECE, class At>
__device__ __forceinline__ void wgmma_stage(unsigned char* to, const unsigned* base, unsigned step, unsigned words, At at) {
  unsigned chunk = threadIdx.x % 8;
#pragma unroll
  for (unsigned piece = 0; piece < 4; piece += PIECE) {
    unsigned word = step * kWgmmaWords + chunk * 4 + piece;
#pragma unroll
    for (unsigned j = 0; j < ROWS / 32; j++) {
      unsigned row = j * 32 + threadIdx.x / 8;
      const unsigned* from = word < words ? at(row, word) : nullptr;
      cp_async<4 * PIECE>(to + wgmma_at(row, chunk * 16 + piece * 4), from ? from : base, from ? 4 * PIECE : 0);
    }
  }
}

/** stage(a, b, step) begins the copies of both operands; store(row, column, common of column and the next, ones of the row) takes the results. */
template <unsigned COLUMNS, class Stage, class Store>
__device__ __forceinline__ void wgmma_tile(unsigned char* room, unsigned words, Stage stage, Store store) {
  constexpr unsigned bytesA = kWgmmaRows * 128, stageBytes = (kWgmmaRows + COLUMNS) * 128, width = COLUMNS < 128 ? COLUMNS : 128;
  unsigned steps = (words + kWgmmaWords - 1) / kWgmmaWords, group = threadIdx.x / 128;
  unsigned* allOnes = reinterpret_cast<unsigned*>(room + kWgmmaStages * stageBytes);
  allOnes[threadIdx.x] = 0xffffffffu;
  int counts[COLUMNS / width][width / 2] = {}, ones[4] = {};
  for (unsigned step = 0; step < 2; step++) {
    if (step < steps) stage(room + step * stageBytes, room + step * stageBytes + bytesA, step);
    cp_async_commit();
  }
  for (unsigned step = 0; step < steps; step++) {
    cp_async_wait<1>();
    fence_proxy_async();   // this thread's copies, for the products of all
    __syncthreads();
    unsigned char* own = room + step % kWgmmaStages * stageBytes;
    wgmma_fence();
#pragma unroll
    for (unsigned k = 0; k < 4; k++) {
      WgmmaOperand a = wgmma_operand(own + group * 64 * 128, k * 32);
#pragma unroll
      for (unsigned n = 0; n < COLUMNS / width; n++) wgmma_and_popc(counts[n], a, wgmma_operand(own + bytesA + n * width * 128, k * 32));
      wgmma_and_popc(ones, a, wgmma_operand(allOnes, k * 32));
    }
    wgmma_commit();
    // the slot of the next copies was read two steps ago, by products that every thread waited for before this step's barrier
    if (step + 2 < steps) {
      unsigned char* next = room + (step + 2) % kWgmmaStages * stageBytes;
      stage(next, next + bytesA, step + 2);
    }
    cp_async_commit();
    wgmma_wait<1>();
  }
  wgmma_wait<0>();
#pragma unroll
  for (unsigned n = 0; n < COLUMNS / width; n++) wgmma_hold(counts[n]);
  wgmma_hold(ones);
  unsigned lane = threadIdx.x % 32, row = group * 64 + threadIdx.x / 32 % 4 * 16 + lane / 4;
#pragma unroll
  for (unsigned n = 0; n < COLUMNS / width; n++) {
#pragma unroll
    for (unsigned j = 0; j < width / 8; j++) {
      unsigned column = n * width + j * 8 + lane % 4 * 2;
      store(row, column, counts[n][4 * j], counts[n][4 * j + 1], ones[0]);
      store(row + 8, column, counts[n][4 * j + 2], counts[n][4 * j + 3], ones[2]);
    }
  }
}
