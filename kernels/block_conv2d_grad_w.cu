// block_conv2d_grad_w.cu -- gradient of the filters of a convolution of stride 2 over few channels, as one over blocks of 2x2 pixels, on the tensor cores
//
//   blocked[o][a][b][k] = sum over n, p, q of gradY[n][p][q][o] x[n][p + a][q + b][k]      gradW[o][r][s][c] = the one of them that is its gradient
//
//   block_conv2d_grad_w_bf16           partial = the sum over one split of the rows of y; x is stored, as pixel_blocks.cu makes it
//   block_conv2d_grad_w_of_bytes_bf16  the same where x is made on the way, as pixel_blocks_of_bytes makes it, and stored nowhere
//   block_conv2d_grad_w_finish         gradW = the sum of the splits, in their order; _finish_bf16 rounds it
//
// Shapes     x N,U,V,K bfloat16, U = P + A - 1, V = Q + B - 1; gradY N,P,Q,O bfloat16; partial [splits][O][A][B][K] float; gradW O,R,S,C float or bfloat16;
//            pixels N,H,W,C bytes; statistics C means, then C deviations, float
// Launch     block 256, grid (splits, ceil(O / 64)); each split has `each` chunks of `rows` rows of y of one image; dynamic shared memory of
//            BlockConvolution.gradientRoom. block_conv2d_grad_w_finish block 256, any grid
// Limits     A, B <= 4; K 8 or 16; values of each < 2^31; one value of x that is not finite may make every gradient NaN; needs sm_80: before, the
//            entries do nothing
// Exactness  products of bfloat16 are exact; float32 sums of a split, double of all, in an order that depends on the shape, `each` and `rows` only
// Twin       none on the CPU: part of CudaConvOps.conv2dGradW and conv2dOfPixelsGradW, whose twin is CpuConvOps
// Tests      native-tests/block_conv2d_test.cpp, src/test/java/onebit/ops/ConvOpsTest.java
// Source     elementary
// Rungs      1 a block keeps the sums of 64 filters by all taps and channels in registers; rows of gradY and x come by cp.async while those before are
//            multiplied; step i of the 16 of a product is position 4 i + m, so that blocks read once serve all taps b of all m with the same m + b
#include "pixel_blocks.cuh"

/** Sums of a warp: 4 times 16 filters by the 4 taps b of one a, of 16 channels. */
struct BlockGradients {
  static constexpr unsigned kBytes = 128;   // of 64 filters of a position of gradY
  float at[4][4][2][4];

  /** Adds positions m and m + 1 of 16 groups of 4; group is this lane's of gradY, line that of its group of x; ALL says that there are 4 taps b. */
  template <bool ALL>
  __device__ __forceinline__ void add(const unsigned char* gradY, unsigned group, const unsigned char* blocks, unsigned line, unsigned m, unsigned lane, int b) {
    uint32_t x[5][4];
#pragma unroll
    for (int j = 0; j < 5; j++) ldmatrix_x4_trans(x[j], blocks + BlockRing::address(line, m + unsigned(j), lane / 16));
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const unsigned char* position = gradY + (group * 4 + m + unsigned(i)) * kBytes;
      uint32_t g[4][4];
#pragma unroll
      for (int f = 0; f < 4; f++) ldmatrix_x4_trans(g[f], position + ((unsigned(f) * 2 + lane / 8 % 2) ^ group % 8) * 16);
#pragma unroll
      for (int along = 0; along < 4; along++) {
        if (!ALL && along >= b) break;
#pragma unroll
        for (int f = 0; f < 4; f++) {
#pragma unroll
          for (int half = 0; half < 2; half++) {
            uint32_t channels[2] = {x[i + along][half * 2], x[i + along][half * 2 + 1]};
            mma_m16n8k16_bf16(at[f][along][half], g[f], channels, at[f][along][half]);
          }
        }
      }
    }
  }
};

template <class Source>
__device__ __forceinline__ void block_gradients(unsigned char* room, float* partial, const __nv_bfloat16* gradY, Source source, const BlockShape g, unsigned each) {
  unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, tap = warp % 4, m = warp / 4 * 2, filters = unsigned(g.o), firstFilter = blockIdx.y * 64;
  BlockRing ring(room, g);
  BlockWalk walk(g);
  unsigned groupsAcross = ring.lines - 1, bytes = (unsigned(g.rows) * groupsAcross + 15) / 16 * 64 * BlockGradients::kBytes;
  unsigned first = blockIdx.x * each, end = min(unsigned(g.n) * walk.perImage(), first + each);
  unsigned char* gradients = room + ring.bytes();
  Divisor overGroups(groupsAcross), overPositions(groupsAcross * 4);
  bool whole = filters % 8 == 0 && aligned(gradY), all = g.b == 4, own = tap < unsigned(g.a);
  zero_room(room, ring.bytes());
  source.prepare(gradients + 2 * bytes, unsigned(g.rows + g.a - 1));
  __syncthreads();

  auto copy = [&](const BlockChunk& at, unsigned stage) {
    unsigned positions = (at.live * groupsAcross + 15) / 16 * 64, part = threadIdx.x % 8, filter = firstFilter + part * 8;
    const __nv_bfloat16* from = gradY + size_t(at.image * unsigned(g.p) + at.row) * unsigned(g.q) * filters;
    for (unsigned i = threadIdx.x / 8; i < positions; i += blockDim.x / 8) {
      unsigned column, row = overPositions.divide(i, column);
      bool some = row < at.live && column < unsigned(g.q) && filter < filters;
      const __nv_bfloat16* place = from + size_t(row * unsigned(g.q) + column) * filters + filter;
      unsigned char* to = gradients + stage * bytes + i * BlockGradients::kBytes + (part ^ i / 4 % 8) * 16;
      if (whole) {
        cp_async_16(to, some ? place : gradY, some ? 16 : 0);
      } else {
#pragma unroll
        for (unsigned k = 0; k < 8; k++) {
          reinterpret_cast<uint16_t*>(to)[k] = some && filter + k < filters ? reinterpret_cast<const uint16_t*>(place)[k] : uint16_t(0);
        }
      }
    }
  };

  BlockGradients sums = {};
  walk_chunks(source, ring, walk, first, end, m == 0, copy, [&](const BlockChunk& at, unsigned stage) {
    unsigned groups = at.live * groupsAcross;
    const unsigned char* from = gradients + stage * bytes;
    for (unsigned tile = 0; own && tile < groups; tile += 16) {
      // past the last group gradY holds 0
      unsigned along, row = overGroups.divide(min(tile + lane % 16, groups - 1), along), line = ring.line(at, row + tap) + along;
      unsigned group = tile + lane % 8 + lane / 16 * 8;
      if (all) sums.add<true>(from, group, room, line, m, lane, 4);
      else sums.add<false>(from, group, room, line, m, lane, g.b);
    }
  });
  __syncthreads();

  // the warps of the later two positions hand their sums to those of the first two
  float* handed = reinterpret_cast<float*>(room) + tap * 32 + lane;
#pragma unroll
  for (int i = 0; i < 128; i++) {
    if (m != 0) handed[i * 128] = sums.at[i / 32][i / 8 % 4][i / 4 % 2][i % 4];
  }
  __syncthreads();
  if (m != 0 || !own) return;
  float* to = partial + size_t(blockIdx.x) * (size_t(filters) * unsigned(g.a * g.b * g.channels));
#pragma unroll
  for (int i = 0; i < 128; i += 2) {
    unsigned filter = firstFilter + unsigned(i / 32) * 16 + unsigned(i / 2 % 2) * 8 + lane / 4, along = unsigned(i / 8 % 4), k = unsigned(i / 4 % 2) * 8 + lane % 4 * 2;
    const float* own4 = sums.at[i / 32][i / 8 % 4][i / 4 % 2];
    float2 sum = make_float2(own4[i % 4] + handed[i * 128], own4[i % 4 + 1] + handed[(i + 1) * 128]);
    if (filter >= filters || along >= unsigned(g.b) || k >= unsigned(g.channels)) continue;
    *reinterpret_cast<float2*>(to + ((filter * unsigned(g.a) + tap) * unsigned(g.b) + along) * unsigned(g.channels) + k) = sum;
  }
}

extern __shared__ __align__(128) unsigned char block_conv2d_grad_w_room[];

ONEBIT_KERNEL(256) block_conv2d_grad_w_bf16(float* partial, const __nv_bfloat16* gradY, const __nv_bfloat16* x, int n, int p, int q, int o, int a, int b,
                                            int channels, int rows, unsigned each) {
  if constexpr (bf16_products()) {
    StoredBlocks source{x, unsigned(p + a - 1), unsigned(channels) / 8};
    block_gradients(block_conv2d_grad_w_room, partial, gradY, source, BlockShape{n, p, q, o, a, b, channels, rows}, each);
  }
}

ONEBIT_KERNEL(256) block_conv2d_grad_w_of_bytes_bf16(float* partial, const __nv_bfloat16* gradY, const unsigned char* pixels, const float* statistics, int n, int p,
                                                     int q, int o, int a, int b, int channels, int rows, unsigned each, int h, int w, int c, int even) {
  if constexpr (bf16_products()) {
    PixelBytes source{pixels, statistics, n, h, w, c, even, nullptr, 0};
    block_gradients(block_conv2d_grad_w_room, partial, gradY, source, BlockShape{n, p, q, o, a, b, channels, rows}, each);
  }
}

template <class E>
__device__ __forceinline__ void sum_splits(E* gradW, const float* partial, unsigned splits, unsigned count, int r, int s, int c, int a, int b, int channels, int shift) {
  BlockFilters filters(r, s, c, shift);
  unsigned size = unsigned(r * s * c), blocked = count / size * unsigned(a * b * channels);
  FOR_EACH(i, count) {
    BlockPlace at = filters.place(i);
    const float* from = partial + ((at.filter * unsigned(a) + at.down) * unsigned(b) + at.along) * unsigned(channels) + at.k;
    store(gradW + i, float(sum_of_splits(from, blocked, splits)));
  }
}

ONEBIT_KERNEL(256) block_conv2d_grad_w_finish(float* gradW, const float* partial, unsigned splits, unsigned count, int r, int s, int c, int a, int b, int channels,
                                              int shift) {
  sum_splits(gradW, partial, splits, count, r, s, c, a, b, channels, shift);
}

ONEBIT_KERNEL(256) block_conv2d_grad_w_finish_bf16(__nv_bfloat16* gradW, const float* partial, unsigned splits, unsigned count, int r, int s, int c, int a, int b,
                                                   int channels, int shift) {
  sum_splits(gradW, partial, splits, count, r, s, c, a, b, channels, shift);
}
