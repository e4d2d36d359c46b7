// xnor_gemm.cu -- product of two sign matrices held as packed bits
//
//   y[m][n] = sum over k of a[m][k] * b[n][k]          a, b in {-1, +1}
//           = K - 2 popc(A[m]) - 2 popc(B[n]) + 4 popc(A[m] & B[n])
//
//   bit_counts       onesA[row], onesB[row] = popc of a row
//   xnor_gemm        mma.sync AND, 64 columns per block          xnor_gemm_wide   the same, 128 columns per block
//   xnor_gemm_xor    mma.sync XOR for sm_75                      xnor_gemm_popc   __popc
//
// Shapes     a [M][W] words, b [N][W] words, W = ceil(K / 32); y [M][N]; onesA M, onesB N
// Encoding   bit 1 = +1, bit 0 = -1; channel k is bit k % 32 of word k / 32; bits past K are 0; element of y: 0 float32, 1 bfloat16, 2 int16
// Launch     block 128, grid (ceil(M / 128), ceil(N / 64 or 128)), dynamic shared memory of CudaBitOps.room; bit_counts block 256, any grid
// Limits     K < 2^21 in float32, K < 2^15 in int16, bfloat16 rounds; AND needs sm_80 to sm_90, XOR sm_75: elsewhere these entries do nothing
// Exactness  whole numbers: equal to the twin on every device and every run
// Twin       src/main/java/onebit/ops/cpu/CpuBitOps.java, xnorGemm
// Tests      native-tests/xnor_gemm_test.cpp, src/test/java/onebit/ops/BitOpsTest.java
// Source     Rastegari et al. 2016, XNOR-Net, arXiv 1603.05279
// Rungs      native-tests/ladder/xnor_gemm.cu: 1 naive, 2 shared tile, 3 mma.sync AND, 4 wgmma
#include "xnor_tile.cuh"

ONEBIT_KERNEL(256) bit_counts(int* onesA, int* onesB, const unsigned* a, const unsigned* b, unsigned m, unsigned n, unsigned perRow) {
  unsigned lane = threadIdx.x % 32;
  for (unsigned row = (blockIdx.x * 256 + threadIdx.x) / 32; row < m + n; row += gridDim.x * 8) {
    const unsigned* words = row < m ? a + size_t(row) * perRow : b + size_t(row - m) * perRow;
    int sum = 0;
    for (unsigned k = lane; k < perRow; k += 32) sum += __popc(words[k]);
    for (int d = 16; d > 0; d /= 2) sum += __shfl_down_sync(kFullWarp, sum, d);
    if (lane == 0) (row < m ? onesA + row : onesB + (row - m))[0] = sum;
  }
}

template <class PRODUCT, unsigned COLUMNS>
__device__ __forceinline__ void gemm(unsigned* room, void* y, const unsigned* a, const unsigned* b, const int* onesA, const int* onesB, unsigned m, unsigned n,
                                     unsigned bits, int element) {
  unsigned words = (bits + 31) / 32, row0 = blockIdx.x * kTileRows, column0 = blockIdx.y * COLUMNS, row = xnor_row<PRODUCT>();
  auto stage = [&](unsigned* toA, unsigned* toB, unsigned step) {
    stage_matrix<RowStage, kTileRows>(toA, a, row0, m, step, words);
    stage_matrix<ColumnStage, COLUMNS>(toB, b, column0, n, step, words);
  };
  XnorTile<PRODUCT, COLUMNS, false> tile;
  tile.begin(room, words, stage);
  tile.run(room, words, n - column0, stage);
  float less[8];   // of the rows of this thread
#pragma unroll
  for (unsigned k = 0; k < 8; k++) less[k] = xnor_less<PRODUCT>(int(bits), PRODUCT::kXor || row0 + row + 16 * k >= m ? 0 : onesA[row0 + row + 16 * k]);
#pragma unroll
  for (unsigned part = 0; part < COLUMNS / 64; part++) {
    unsigned column = column0 + xnor_column<PRODUCT, COLUMNS>(part);
    if (column >= n) continue;
    int base[8];
#pragma unroll
    for (unsigned j = 0; j < 8; j++) {
      int ones = column + j < n ? onesB[column + j] : 0;
      base[j] = xnor_base<PRODUCT>(int(bits), int(bits), ones, ones);
    }
#pragma unroll
    for (unsigned k = 0; k < 8; k++) {
      unsigned at = row0 + row + 16 * k;
      if (at >= m) continue;
      float v[8];
#pragma unroll
      for (unsigned j = 0; j < 8; j++) v[j] = xnor_dot<PRODUCT>(base[j], tile.count(part, k, j), less[k]);
      store_eight(y, element, size_t(at) * n + column, n - column, v);
    }
  }
}

extern __shared__ __align__(16) unsigned xnor_gemm_room[];

#define XNOR_GEMM(NAME, PRODUCT, COLUMNS)                                                                                                            \
  ONEBIT_KERNEL(128) NAME(void* y, const unsigned* a, const unsigned* b, const int* onesA, const int* onesB, unsigned m, unsigned n, unsigned bits,  \
                          int element) {                                                                                                             \
    if constexpr (xnor_has<PRODUCT>()) gemm<PRODUCT, COLUMNS>(xnor_gemm_room, y, a, b, onesA, onesB, m, n, bits, element);                           \
  }
XNOR_GEMM(xnor_gemm, XnorAnd, 64)
XNOR_GEMM(xnor_gemm_wide, XnorAnd, 128)
XNOR_GEMM(xnor_gemm_xor, XnorXor, 64)
XNOR_GEMM(xnor_gemm_popc, XnorPopc, 64)
