// block_conv2d.cu -- convolution of stride 2 over few channels, from the blocks of 2x2 pixels that pixel_blocks.cu makes, on the tensor cores
//
//   y[n][p][q][o] = sum over a, b, k of x[n][p + a][q + b][k] blocked[o][a][b][k]     blocked = w as pixel_blocks_filters rounds and lays it out
//
// Shapes     x N,U,V,K bfloat16, U = P + A - 1, V = Q + B - 1; y N,P,Q,O bfloat16; w O,R,S,C float, or bfloat16 in the entry named _bf16
// Launch     block 128, grid (any, ceil(O / 64)); a block takes every gridDim.x-th chunk of `rows` rows of y of one image; dynamic shared memory
//            of BlockConvolution.room
// Limits     A, B <= 4; K 8 or 16; values of each < 2^31; needs sm_80: before, the entries do nothing
// Exactness  products of bfloat16 are exact; float32 sums over A B K in an order that depends on the filters' extent only; rounded once
// Twin       none on the CPU: part of CudaConvOps.conv2d and conv2dOfPixels, whose twin is CpuConvOps
// Tests      native-tests/block_conv2d_test.cpp, src/test/java/onebit/ops/ConvOpsTest.java
// Source     elementary
// Rungs      1 the filters stay in registers; rows of x come by cp.async while those before are multiplied; row i of the 16 of a product is position
//            4 i + m, so that what is read once from shared memory serves all taps b of all m with the same m + b
#include "pixel_blocks.cuh"

/** Filters of a block on their way into registers: 16 taps of 16 channels each, and as many bytes more as put the next one into other banks. */
struct LaidOut {
  static constexpr unsigned kCount = 64, kBytes = 16 * 16 * 2 + 16;
};

/** Sums of a warp: positions m of 16 groups of 4, by 4 times 8 filters. */
struct BlockSums {
  float at[4][4][4];

  /** Adds all taps; line is that of this lane's group; ALL says that there are 4 by 4 taps. */
  template <bool ALL>
  __device__ __forceinline__ void add(const unsigned char* rows, unsigned line, unsigned lines, unsigned half, const uint32_t (&w)[16][4][2], int a, int b) {
#pragma unroll
    for (int down = 0; down < 4; down++) {
      if (!ALL && down >= a) break;
      unsigned from = line + unsigned(down) * lines;
      uint32_t x[2][4];
      ldmatrix_x4(x[0], rows + BlockRows::address(from, 0, half));
#pragma unroll
      for (int j = 0; j < 7; j++) {
        if (j < 6) ldmatrix_x4(x[(j + 1) % 2], rows + BlockRows::address(from, unsigned(j) + 1, half));
#pragma unroll
        for (int m = 3; m >= 0; m--) {
          int along = j - m;
          if (along < 0 || along > 3 || (!ALL && along >= b)) continue;
#pragma unroll
          for (int n = 0; n < 4; n++) mma_m16n8k16_bf16(at[m][n], x[j % 2], w[down * 4 + along][n], at[m][n]);
        }
      }
    }
  }
};

/** The filters of a block, laid out: column c of the n-th product of a warp is filter c / 2 * 8 + 2 n + c % 2, so that a lane ends up with 8 neighbours. */
template <class E> __device__ __forceinline__ void lay_out(unsigned char* room, const E* w, const BlockShape& g, int r, int s, int c, int shift) {
  zero_room(room, LaidOut::kCount * LaidOut::kBytes);
  __syncthreads();
  BlockFilters filters(r, s, c, shift);
  unsigned first = blockIdx.y * LaidOut::kCount, count = min(LaidOut::kCount, unsigned(g.o) - first), size = unsigned(r * s * c);
  for (unsigned i = threadIdx.x; i < count * size; i += blockDim.x) {
    BlockPlace at = filters.place(i);
    unsigned f = at.filter % 32, column = at.filter / 32 * 32 + f % 8 / 2 * 8 + f / 8 * 2 + f % 2;
    store(reinterpret_cast<__nv_bfloat16*>(room + column * LaidOut::kBytes) + (at.down * 4 + at.along) * 16 + at.k, load(w + size_t(first) * size + i));
  }
  __syncthreads();
}

template <class E>
__device__ __forceinline__ void block_convolve(unsigned char* room, __nv_bfloat16* y, const __nv_bfloat16* x, const E* w, const BlockShape g, int rows, int r, int s,
                                               int c, int shift) {
  unsigned lane = threadIdx.x % 32, group = lane / 4, member = lane % 4, warp = threadIdx.x / 32;
  unsigned filters = unsigned(g.o), warpsAcross = filters > 32 ? 2 : 1, warpsDown = 4 / warpsAcross, across = warp % warpsAcross;
  unsigned firstFilter = blockIdx.y * LaidOut::kCount + across * 32;
  BlockRows blocks(g);
  unsigned bytes = unsigned(rows + g.a - 1) * blocks.lines * kLineBytes, groupsAcross = blocks.lines - 1;
  unsigned perImage = unsigned(g.p + rows - 1) / unsigned(rows), chunks = unsigned(g.n) * perImage;
  Divisor overGroups(groupsAcross), overChunks(perImage);
  bool all = g.a == 4 && g.b == 4, whole = filters % 8 == 0 && aligned(y);

  lay_out(room, w, g, r, s, c, shift);
  uint32_t kept[16][4][2];
#pragma unroll
  for (int tap = 0; tap < 16; tap++) {
#pragma unroll
    for (int n = 0; n < 4; n++) {
      const uint32_t* from = reinterpret_cast<const uint32_t*>(room + (across * 32 + unsigned(n) * 8 + group) * LaidOut::kBytes) + tap * 8 + member;
      kept[tap][n][0] = from[0];
      kept[tap][n][1] = from[4];
    }
  }
  __syncthreads();
  zero_room(room, 2 * bytes);
  __syncthreads();

  auto copy = [&](unsigned char* to, unsigned chunk) {
    unsigned part, image = overChunks.divide(chunk, part), row = part * unsigned(rows), live = min(unsigned(rows), unsigned(g.p) - row);
    blocks.copy(to, x + size_t(image * unsigned(g.p + g.a - 1) + row) * blocks.v * unsigned(g.channels), live + unsigned(g.a) - 1);
  };
  unsigned slot = 0;
  if (blockIdx.x < chunks) copy(room, blockIdx.x);
  cp_async_commit();
  for (unsigned chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
    cp_async_wait<0>();
    __syncthreads();
    if (chunk + gridDim.x < chunks) copy(room + (1 - slot) * bytes, chunk + gridDim.x);
    cp_async_commit();
    unsigned part, image = overChunks.divide(chunk, part), first = part * unsigned(rows), live = min(unsigned(rows), unsigned(g.p) - first);
    unsigned groups = live * groupsAcross, filter = firstFilter + member * 8, count = filter < filters ? filters - filter : 0;
    __nv_bfloat16* to = y + size_t(image * unsigned(g.p) + first) * unsigned(g.q) * filters + filter;
    for (unsigned tile = warp / warpsAcross * 16; tile < groups; tile += warpsDown * 16) {
      unsigned along, row = overGroups.divide(min(tile + lane % 16, groups - 1), along), line = row * blocks.lines + along;
      BlockSums sums = {};
      if (all) sums.add<true>(room + slot * bytes, line, blocks.lines, lane / 16, kept, 4, 4);
      else sums.add<false>(room + slot * bytes, line, blocks.lines, lane / 16, kept, g.a, g.b);
#pragma unroll
      for (int half = 0; half < 2; half++) {
        unsigned at = tile + unsigned(half) * 8 + group;
        row = overGroups.divide(at, along);
        if (at >= groups || count == 0) continue;
#pragma unroll
        for (int m = 0; m < 4; m++) {
          unsigned column = along * 4 + unsigned(m);
          if (column >= unsigned(g.q)) continue;
          float v[8];
#pragma unroll
          for (int k = 0; k < 8; k++) v[k] = sums.at[m][k / 2][half * 2 + k % 2];
          store_live(to + (row * unsigned(g.q) + column) * filters, v, Live{count, whole});
        }
      }
    }
    slot = 1 - slot;
  }
  cp_async_wait<0>();
}

extern __shared__ __align__(128) unsigned char block_conv2d_room[];

#define BLOCK_CONV2D(NAME, E)                                                                                                                      \
  extern "C" __global__ void __launch_bounds__(128, 2) NAME(__nv_bfloat16* y, const __nv_bfloat16* x, const E* w, int n, int p, int q, int o, int a, \
                                                            int b, int channels, int rows, int r, int s, int c, int shift) {                       \
    if constexpr (bf16_products()) block_convolve(block_conv2d_room, y, x, w, BlockShape{n, p, q, o, a, b, channels}, rows, r, s, c, shift);       \
  }
BLOCK_CONV2D(block_conv2d, float)
BLOCK_CONV2D(block_conv2d_bf16, __nv_bfloat16)
