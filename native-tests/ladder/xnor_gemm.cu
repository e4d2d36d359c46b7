// xnor_gemm.cu -- the rungs of the binary matrix product, each a kernel that can be tested and timed
//
//   gemm_naive         1: a thread per result, words from global memory
//   gemm_shared_tile   2: 64 x 64 results per block from tiles in shared memory, __popc
//   xnor_gemm_wide     3: mma.sync AND, kernels/xnor_gemm.cu itself
//   gemm_wgmma         4: wgmma AND on sm_90a, 128 x 256 results per block
//   xnor_gemm_tiles, xnor_gemm_bulk   5: kernels/xnor_gemm_tiles.cu itself
//
// Shapes     a [M][W] words, b [N][W] words, W = ceil(K / 32), ones N of b; y [M][N] float32
// Launch     1: block 256, grid ceil(M N / 256); 2: block 256, grid (ceil(M / 64), ceil(N / 64)); 4: block 256, grid (ceil(M / 128), ceil(N / 256)),
//            dynamic shared memory wgmma_room<256>(); W a multiple of 4
#include "../../kernels/xnor_gemm.cu"
#include "../../kernels/xnor_gemm_tiles.cu"
#include "wgmma_tile.cuh"

ONEBIT_KERNEL(256) gemm_naive(float* y, const unsigned* a, const unsigned* b, const int*, unsigned m, unsigned n, unsigned bits) {
  unsigned words = (bits + 31) / 32;
  FOR_EACH(i, m * n) {
    const unsigned *row = a + size_t(i / n) * words, *column = b + size_t(i % n) * words;
    int unequal = 0;
    for (unsigned k = 0; k < words; k++) unequal += __popc(row[k] ^ column[k]);
    y[i] = float(int(bits) - 2 * unequal);
  }
}

ONEBIT_KERNEL(256) gemm_shared_tile(float* y, const unsigned* a, const unsigned* b, const int*, unsigned m, unsigned n, unsigned bits) {
  __shared__ unsigned left[64][17], right[64][17];
  unsigned words = (bits + 31) / 32, row0 = blockIdx.x * 64, column0 = blockIdx.y * 64, row = threadIdx.x / 16, column = threadIdx.x % 16;
  int unequal[4][4] = {};
  for (unsigned step = 0; step < words; step += 16) {
    for (unsigned i = threadIdx.x; i < 64 * 16; i += 256) {
      unsigned r = i / 16, word = step + i % 16;
      left[r][i % 16] = row0 + r < m && word < words ? a[size_t(row0 + r) * words + word] : 0u;
      right[r][i % 16] = column0 + r < n && word < words ? b[size_t(column0 + r) * words + word] : 0u;
    }
    __syncthreads();
    for (unsigned k = 0; k < 16; k++) {
#pragma unroll
      for (unsigned i = 0; i < 4; i++) {
#pragma unroll
        for (unsigned j = 0; j < 4; j++) unequal[i][j] += __popc(left[row + 16 * i][k] ^ right[column + 16 * j][k]);
      }
    }
    __syncthreads();
  }
  for (unsigned i = 0; i < 4; i++) {
    for (unsigned j = 0; j < 4; j++) {
      unsigned r = row0 + row + 16 * i, c = column0 + column + 16 * j;
      if (r < m && c < n) y[size_t(r) * n + c] = float(int(bits) - 2 * unequal[i][j]);
    }
  }
}

extern __shared__ __align__(1024) unsigned char gemm_wgmma_room[];

ONEBIT_KERNEL(256) gemm_wgmma(float* y, const unsigned* a, const unsigned* b, const int* onesB, unsigned m, unsigned n, unsigned bits) {
  unsigned words = (bits + 31) / 32, row0 = blockIdx.x * kWgmmaRows, column0 = blockIdx.y * 256;
  wgmma_tile<256>(
      gemm_wgmma_room, words,
      [&](unsigned char* toA, unsigned char* toB, unsigned step) {
        wgmma_stage<kWgmmaRows, 4>(toA, a, step, words, [&](unsigned row, unsigned word) { return row0 + row < m ? a + size_t(row0 + row) * words + word : nullptr; });
        wgmma_stage<256, 4>(toB, b, step, words, [&](unsigned row, unsigned word) { return column0 + row < n ? b + size_t(column0 + row) * words + word : nullptr; });
      },
      [&](unsigned row, unsigned column, int first, int second, int ones) {
        row += row0;
        column += column0;
        if (row >= m || column >= n) return;
        float* to = y + size_t(row) * n + column;
        int rest = int(bits) - 2 * ones;
        to[0] = float(rest - 2 * onesB[column] + 4 * first);
        if (column + 1 < n) to[1] = float(rest - 2 * onesB[column + 1] + 4 * second);
      });
}
