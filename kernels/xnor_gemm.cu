// xnor_gemm.cu -- product of two sign matrices held as packed bits
//
//   y[m][n] = sum over k of a[m][k] * b[n][k]          a, b in {-1, +1}
//           = K - 2 popc(A[m]) - 2 popc(B[n]) + 4 popc(A[m] & B[n])
//
//   bit_counts   ones[row] = popc of a row
//   xnor_gemm    on the tensor cores, mma.sync AND m16n8k256          xnor_gemm_popc   with __popc
//
// Shapes     a [M][W] words, b [N][W] words, W = ceil(K / 32); y [M][N] float32; ones N
// Encoding   bit 1 = +1, bit 0 = -1; channel k is bit k % 32 of word k / 32; bits past K are 0
// Launch     block 128, grid (ceil(M / 64), ceil(N / 64)); bit_counts block 256, any grid, one warp per row
// Limits     K < 2^24 (float32 result); xnor_gemm needs sm_80 to sm_90
// Exactness  whole numbers: equal to the twin on every device and every run
// Twin       src/main/java/onebit/ops/cpu/CpuBitOps.java, xnorGemm
// Tests      native-tests/xnor_gemm_test.cpp, src/test/java/onebit/ops/BitOpsTest.java
// Source     Rastegari et al. 2016, XNOR-Net, arXiv 1603.05279
// Rungs      1 shared tile with __popc, 2 mma.sync AND m16n8k256
#include "xnor_tile.cuh"

ONEBIT_KERNEL(256) bit_counts(int* ones, const unsigned* words, unsigned rows, unsigned perRow) {
  unsigned lane = threadIdx.x % 32;
  for (unsigned row = (blockIdx.x * 256 + threadIdx.x) / 32; row < rows; row += gridDim.x * 8) {
    int sum = 0;
    for (unsigned k = lane; k < perRow; k += 32) sum += __popc(words[row * perRow + k]);
    for (int d = 16; d > 0; d /= 2) sum += __shfl_down_sync(kFullWarp, sum, d);
    if (lane == 0) ones[row] = sum;
  }
}

template <bool TENSOR>
__device__ __forceinline__ void gemm(XnorRoom& room, float* y, const unsigned* a, const unsigned* b, const int* onesB, unsigned m, unsigned n,
                                     unsigned bits) {
  unsigned words = (bits + 31) / 32, row0 = blockIdx.x * kTile, column0 = blockIdx.y * kTile, own = threadIdx.x / kStep;
  xnor_tile<TENSOR>(
      room, words,
      [=](unsigned j, unsigned word) { return row0 + own + 16 * j < m ? a[(row0 + own + 16 * j) * words + word] : 0u; },
      [=](unsigned j, unsigned word) { return column0 + own + 16 * j < n ? b[(column0 + own + 16 * j) * words + word] : 0u; },
      [=](unsigned row, unsigned column, int common, int ones) {
        row += row0;
        column += column0;
        if (row < m && column < n) y[size_t(row) * n + column] = float(int(bits) - 2 * ones - 2 * onesB[column] + 4 * common);
      });
}

ONEBIT_KERNEL(128) xnor_gemm(float* y, const unsigned* a, const unsigned* b, const int* onesB, unsigned m, unsigned n, unsigned bits) {
  __shared__ XnorRoom room;
  gemm<true>(room, y, a, b, onesB, m, n, bits);
}

ONEBIT_KERNEL(128) xnor_gemm_popc(float* y, const unsigned* a, const unsigned* b, const int* onesB, unsigned m, unsigned n, unsigned bits) {
  __shared__ XnorRoom room;
  gemm<false>(room, y, a, b, onesB, m, n, bits);
}
