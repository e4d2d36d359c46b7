// block_conv2d.cu -- convolution of stride 2 over few channels, as one over blocks of 2x2 pixels, on the tensor cores
//
//   y[n][p][q][o] = sum over a, b, k of x[n][p + a][q + b][k] blocked[o][a][b][k]     blocked = w as pixel_blocks_filters rounds and lays it out
//
//   block_conv2d           x is stored, as pixel_blocks.cu makes it
//   block_conv2d_of_bytes  x is made on the way, as pixel_blocks_of_bytes makes it, and stored nowhere
//   block_conv2d_statistics  the same, and what unit_statistics makes of y, which is not read again
//
// Shapes     x N,U,V,K bfloat16, U = P + A - 1, V = Q + B - 1; y N,P,Q,O bfloat16; w O,R,S,C float, or bfloat16 in the entries named _bf16;
//            pixels N,H,W,C bytes; statistics C means, then C deviations, float
// Launch     block 128, grid (splits, ceil(O / 64)); each split has `each` chunks of `rows` rows of y of one image; dynamic shared memory of
//            BlockConvolution.room
// Limits     A, B <= 4; K 8 or 16; values of each < 2^31; needs sm_80: before, the entries do nothing
//            counters of unit_passes.cuh hold 0 before and after
// Exactness  products of bfloat16 are exact; float32 sums over A B K in an order that depends on the filters' extent only; rounded once. Values of
//            bytes have the bits of normalize_bf16. Statistics are of the rounded y: float32 over the positions of a chunk that a
//            warp has, eight partial sums of each filter, then double, in an order that depends on the shape, `rows` and `each`
// Twin       none on the CPU: part of CudaConvOps.conv2d and conv2dOfPixels, whose twin is CpuConvOps, and of CudaFusedOps.statisticsOfPixels
// Tests      native-tests/block_conv2d_test.cpp, src/test/java/onebit/ops/ConvOpsTest.java, FusedOpsTest.java
// Source     elementary
// Rungs      1 the filters stay in registers; rows of x come by cp.async while those before are multiplied; row i of the 16 of a product is position
//            4 i + m, so that what is read once from shared memory serves all taps b of all m with the same m + b
#include "pixel_blocks.cuh"
#include "unit_passes.cuh"

/** Filters of a block on their way into registers: 16 taps of 16 channels each, and as many bytes more as put the next one into other banks. */
struct LaidOut {
  static constexpr unsigned kCount = 64, kBytes = 16 * 16 * 2 + 16;
};

/** Sums of a warp: positions m of 16 groups of 4, by 4 times 8 filters. */
struct BlockSums {
  float at[4][4][4];

  /** Adds all taps; row and along are of this lane's group; ALL says that there are 4 by 4 taps. */
  template <bool ALL>
  __device__ __forceinline__ void add(const BlockRing& ring, const BlockChunk& chunk, unsigned row, unsigned along, unsigned half, const uint32_t (&w)[16][4][2], int a,
                                      int b) {
#pragma unroll
    for (int down = 0; down < 4; down++) {
      if (!ALL && down >= a) break;
      unsigned from = ring.line(chunk, row + unsigned(down)) + along;
      uint32_t x[2][4];
      ldmatrix_x4(x[0], ring.room + BlockRing::address(from, 0, half));
#pragma unroll
      for (int j = 0; j < 7; j++) {
        if (j < 6) ldmatrix_x4(x[(j + 1) % 2], ring.room + BlockRing::address(from, unsigned(j) + 1, half));
#pragma unroll
        for (int m = 3; m >= 0; m--) {
          int tap = j - m;
          if (tap < 0 || tap > 3 || (!ALL && tap >= b)) continue;
#pragma unroll
          for (int n = 0; n < 4; n++) mma_m16n8k16_bf16(at[m][n], x[j % 2], w[down * 4 + tap][n], at[m][n]);
        }
      }
    }
  }
};

/** Writes 8 neighbours, or those of them that there are. */
__device__ __forceinline__ void put(__nv_bfloat16* to, const unsigned (&words)[4], unsigned count, bool whole) {
  if (whole) {
    *reinterpret_cast<uint4*>(to) = make_uint4(words[0], words[1], words[2], words[3]);
  } else {
#pragma unroll
    for (unsigned k = 0; k < 8; k++) {
      if (k < count) reinterpret_cast<uint16_t*>(to)[k] = uint16_t(words[k / 2] >> (k % 2 * 16));
    }
  }
}

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

/** Statistics of y that nobody asks for. */
struct NoSums {
  static constexpr unsigned kBytes = 0;

  __device__ __forceinline__ void prepare(unsigned char*) {}
  __device__ __forceinline__ void begin() {}
  __device__ __forceinline__ void add(const unsigned (&)[4]) {}
  __device__ __forceinline__ void end() {}
  __device__ __forceinline__ void finish(unsigned, unsigned) const {}
};

/** Sums of y and of its square: of a chunk those of each lane, of a split those of each warp. */
struct TileSums {
  static constexpr unsigned kBytes = 4 * 4 * 16 * 8;   // of warps, members, and twice 8 filters
  const UnitStatistics<__nv_bfloat16>& pass;
  double* room;
  float of[2][8];

  __device__ __forceinline__ void prepare(unsigned char* at) {
    room = reinterpret_cast<double*>(at);
    zero_room(at, kBytes);
  }

  __device__ __forceinline__ void begin() {
#pragma unroll
    for (unsigned k = 0; k < 8; k++) of[0][k] = of[1][k] = 0;
  }

  /** 8 rounded values of a position. */
  __device__ __forceinline__ void add(const unsigned (&words)[4]) {
#pragma unroll
    for (unsigned k = 0; k < 8; k += 2) {
      float v[2];
      unpack_pair(words[k / 2], v[0], v[1]);
#pragma unroll
      for (unsigned i = 0; i < 2; i++) of[0][k + i] += v[i], of[1][k + i] += v[i] * v[i];
    }
  }

  /** Behind a chunk, by all lanes. */
  __device__ __forceinline__ void end() {
    unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
    for (unsigned i = 0; i < 16; i++) {
      float sum = of[i / 8][i % 8];
#pragma unroll
      for (int d = 4; d < 32; d *= 2) sum += __shfl_xor_sync(kFullWarp, sum, d);
      if (lane < 4) room[(warp * 4 + lane) * 16 + i] += double(sum);
    }
  }

  /** Behind all tiles: the last split moves the statistics. */
  __device__ __forceinline__ void finish(unsigned warpsAcross, unsigned filters) const {
    __syncthreads();
    unsigned first = blockIdx.y * LaidOut::kCount, v = threadIdx.x / 64, at = threadIdx.x % 64, c = first + at;
    double sum = 0;
    for (unsigned warp = warpsAcross == 2 ? at / 32 : 0; warp < 4; warp += warpsAcross) sum += room[(warp * 4 + at % 32 / 8) * 16 + v * 8 + at % 8];
    if (c < filters) pass.partial[(blockIdx.x * 2 + v) * filters + c] = sum;
    if (!splits_summed<2>(pass.partial, pass.counters + blockIdx.y * split_counters(gridDim.x), blockIdx.x, gridDim.x, filters, first, 64)) return;
    if (v != 0 || c >= filters) return;
    double total[2] = {__ldcg(pass.partial + c), __ldcg(pass.partial + filters + c)};
    pass.finish(c, total, 0.0f);
  }
};

template <class Source, class Sums, class E>
__device__ __forceinline__ void block_convolve(unsigned char* room, __nv_bfloat16* y, Source source, Sums statistics, const E* w, const BlockShape g, unsigned each, int r,
                                               int s, int c, int shift) {
  unsigned lane = threadIdx.x % 32, group = lane / 4, member = lane % 4, warp = threadIdx.x / 32;
  unsigned filters = unsigned(g.o), warpsAcross = filters > 32 ? 2 : 1, warpsDown = 4 / warpsAcross, across = warp % warpsAcross;
  unsigned filter = blockIdx.y * LaidOut::kCount + across * 32 + member * 8, count = filter < filters ? filters - filter : 0;
  BlockRing ring(room, g);
  BlockWalk walk(g);
  unsigned groupsAcross = ring.lines - 1, first = blockIdx.x * each, end = min(unsigned(g.n) * walk.perImage(), first + each);
  Divisor overGroups(groupsAcross);
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
  zero_room(room, ring.bytes());
  source.prepare(room + ring.bytes(), unsigned(g.rows + g.a - 1));
  statistics.prepare(room + ring.bytes() + source.bytes());
  __syncthreads();

  // where blocks are made, those of the two blocks of threads of a multiprocessor take turns: the second half of the grid comes second to each
  walk_chunks(source, ring, walk, first, end, blockIdx.x < gridDim.x / 2, [](const BlockChunk&, unsigned) {}, [&](const BlockChunk& at, unsigned) {
    unsigned groups = at.live * groupsAcross;
    __nv_bfloat16* to = y + size_t(at.image * unsigned(g.p) + at.row) * unsigned(g.q) * filters + filter;
    statistics.begin();
    for (unsigned tile = warp / warpsAcross * 16; tile < groups; tile += warpsDown * 16) {
      unsigned along, row = overGroups.divide(min(tile + lane % 16, groups - 1), along);
      BlockSums sums = {};
      if (all) sums.add<true>(ring, at, row, along, lane / 16, kept, 4, 4);
      else sums.add<false>(ring, at, row, along, lane / 16, kept, g.a, g.b);
#pragma unroll
      for (int half = 0; half < 2; half++) {
        unsigned place = tile + unsigned(half) * 8 + group;
        row = overGroups.divide(place, along);
        if (place >= groups || count == 0) continue;
#pragma unroll
        for (int m = 0; m < 4; m++) {
          unsigned column = along * 4 + unsigned(m);
          if (column >= unsigned(g.q)) continue;
          unsigned words[4];
#pragma unroll
          for (int n = 0; n < 4; n++) words[n] = pack_pair(sums.at[m][n][half * 2], sums.at[m][n][half * 2 + 1]);
          put(to + (row * unsigned(g.q) + column) * filters, words, count, whole);
          statistics.add(words);
        }
      }
    }
    statistics.end();
  });
  statistics.finish(warpsAcross, filters);
}

extern __shared__ __align__(128) unsigned char block_conv2d_room[];

#define BLOCK_CONV2D(NAME, E)                                                                                                                         \
  extern "C" __global__ void __launch_bounds__(128, 2) NAME(__nv_bfloat16* y, const __nv_bfloat16* x, const E* w, int n, int p, int q, int o, int a,    \
                                                            int b, int channels, int rows, unsigned each, int r, int s, int c, int shift) {           \
    if constexpr (bf16_products()) {                                                                                                                  \
      StoredBlocks source{x, unsigned(p + a - 1), unsigned(channels) / 8};                                                                            \
      block_convolve(block_conv2d_room, y, source, NoSums{}, w, BlockShape{n, p, q, o, a, b, channels, rows}, each, r, s, c, shift);                            \
    }                                                                                                                                                 \
  }
BLOCK_CONV2D(block_conv2d, float)
BLOCK_CONV2D(block_conv2d_bf16, __nv_bfloat16)

#define BLOCK_CONV2D_OF_BYTES(NAME, E)                                                                                                                \
  extern "C" __global__ void __launch_bounds__(128, 2) NAME(__nv_bfloat16* y, const unsigned char* pixels, const float* statistics, const E* w, int n, \
                                                            int p, int q, int o, int a, int b, int channels, int rows, unsigned each, int r, int s,   \
                                                            int c, int shift, int h, int v, int even) {                                               \
    if constexpr (bf16_products()) {                                                                                                                  \
      PixelBytes source{pixels, statistics, n, h, v, c, even, nullptr, 0};                                                                            \
      block_convolve(block_conv2d_room, y, source, NoSums{}, w, BlockShape{n, p, q, o, a, b, channels, rows}, each, r, s, c, shift);                            \
    }                                                                                                                                                 \
  }
BLOCK_CONV2D_OF_BYTES(block_conv2d_of_bytes, float)
BLOCK_CONV2D_OF_BYTES(block_conv2d_of_bytes_bf16, __nv_bfloat16)

/** As BlockConvolution writes it: every field takes 8 bytes. */
template <class E> struct BlockStatistics {
  UnitStatistics<__nv_bfloat16> pass;
  const unsigned char* pixels;
  const float* statistics;
  const E* w;
  FIELD(int, n);
  FIELD(int, p);
  FIELD(int, q);
  FIELD(int, o);
  FIELD(int, a);
  FIELD(int, b);
  FIELD(int, channels);
  FIELD(int, rows);
  FIELD(unsigned, each);
  FIELD(int, r);
  FIELD(int, s);
  FIELD(int, c);
  FIELD(int, shift);
  FIELD(int, h);
  FIELD(int, v);
  FIELD(int, even);
};

#define BLOCK_CONV2D_STATISTICS(NAME, E)                                                                                                             \
  extern "C" __global__ void __launch_bounds__(128, 2) NAME(const BlockStatistics<E> k) {                                                             \
    if constexpr (bf16_products()) {                                                                                                                  \
      PixelBytes source{k.pixels, k.statistics, k.n, k.h, k.v, k.c, k.even, nullptr, 0};                                                              \
      BlockShape shape{k.n, k.p, k.q, k.o, k.a, k.b, k.channels, k.rows};                                                                             \
      block_convolve(block_conv2d_room, k.pass.y, source, TileSums{k.pass, nullptr, {}}, k.w, shape, k.each, k.r, k.s, k.c, k.shift);                 \
    }                                                                                                                                                 \
  }
BLOCK_CONV2D_STATISTICS(block_conv2d_statistics, float)
BLOCK_CONV2D_STATISTICS(block_conv2d_statistics_bf16, __nv_bfloat16)
