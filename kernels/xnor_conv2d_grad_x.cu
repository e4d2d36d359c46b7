// xnor_conv2d_grad_x.cu -- gradient of the images of a convolution whose filters are packed bits
//
//   gradX[n][h][w][c] = sum over o, and over the taps r, s with h = p stride - pad + r dilation, w = q stride - pad + s dilation, of
//                       gradY[n][p][q][o] w[o][r][s][c]
//
//   xnor_conv2d_grad_x_bf16         128 pixels by 4 words of channels a block
//   xnor_conv2d_grad_x_narrow_bf16  256 pixels by 2 words
//
// Shapes     gradX N,H,W,C and gradY N,P,Q,O bfloat16; taps O rows of R*S*ceil(C/32) words, as xnor_conv2d_filters lays them out; centre, distance
//            1 value (each 0) or O values (each 1)
// Encoding   bit 1 = centre + distance, bit 0 = centre - distance, both rounded to bfloat16; channel k is bit k % 32 of word k / 32
// Padding    gradients of outside taps are dropped
// Launch     block 128, grid (tiles of channels times tiles of N ceil(H / stride) ceil(W / stride) pixels, stride stride): the pixels of one row and
//            column modulo the stride see the same taps; dynamic shared memory of BitGradients.room
// Limits     N H W, N P Q, O R S ceil(C / 32) < 2^31; H, W, P, Q < 2^15; needs sm_80: before, the entries do nothing
// Exactness  products of bfloat16 summed in float32, in an order that depends on the shape only; rounded once
// Twin       src/main/java/onebit/ops/cpu/CpuBitOps.java, xnorConv2dGradX
// Tests      native-tests/xnor_conv2d_grad_x_test.cpp, src/test/java/onebit/ops/BitGradientsTest.java
// Source     elementary; anchors/performance.md section 7: no unpacked filters are read
// Rungs      1 implicit product of tiles: gradY by cp.async and ldmatrix, bits expanded in registers
#include "bit_values.cuh"

constexpr unsigned kGradDepth = 64;   // filters of a stage, all at one tap

/** Where the parts of one stage lie, in bytes: gradY of all pixels, then words of all channels, filter after filter. */
template <unsigned ROWS, unsigned WORDS> struct GradXStage {
  static constexpr unsigned kStages = 3, kWords = ROWS * kGradDepth * 2, kBytes = kWords + WORDS * kGradDepth * 4;
};

struct GradXShape {
  int n, h, w, c, o, r, s, stride, pad, dilation, p, q;
};

/** A pixel: its position of y before a tap moves it, row and column of that, and where gradX has it; past the last pixel row is outside. */
struct GradXPixel {
  int position, row, column, to;
};

struct GradXTap {
  int index, down, along, move;
};

/** A filter's two values as bfloat16: low, and what changes it into high. */
__device__ __forceinline__ void filter_values(uint16_t* low, uint16_t* change, const float* centre, const float* distance, int each, unsigned filters, unsigned padded) {
  for (unsigned i = threadIdx.x; i < padded; i += blockDim.x) {
    float c = i < filters ? centre[i * unsigned(each)] : 0.0f, d = i < filters ? distance[i * unsigned(each)] : 0.0f;
    uint32_t value = bf16_bits(c - d);
    low[i] = uint16_t(value);
    change[i] = uint16_t(value ^ bf16_bits(c + d));
  }
}

/** WARPS_DOWN by WARPS_ACROSS warps, each 64 pixels by 2 words of channels. */
template <unsigned WARPS_DOWN, unsigned WARPS_ACROSS>
__device__ __forceinline__ void grad_x_tile(unsigned char* room, __nv_bfloat16* gradX, const __nv_bfloat16* gradY, const unsigned* filterWords, const float* centre,
                                            const float* distance, int each, const GradXShape g) {
  constexpr unsigned ROWS = 64 * WARPS_DOWN, WORDS = 2 * WARPS_ACROSS, THREADS = 32 * WARPS_DOWN * WARPS_ACROSS, CHUNKS = kGradDepth / 8, OUT = WORDS * 64 + 16;
  using Stage = GradXStage<ROWS, WORDS>;
  static_assert(ROWS * OUT <= Stage::kStages * Stage::kBytes, "results fit where the stages were");
  unsigned thread = threadIdx.x, lane = thread % 32, group = lane / 4, member = lane % 4, warp = thread / 32, down = warp / WARPS_ACROSS, across = warp % WARPS_ACROSS;
  unsigned perPixel = unsigned(g.c + 31) / 32, tilesAcross = (perPixel + WORDS - 1) / WORDS, firstWord = blockIdx.x % tilesAcross * WORDS;
  unsigned filters = unsigned(g.o), padded = (filters + kGradDepth - 1) / kGradDepth * kGradDepth, first = blockIdx.x / tilesAcross * ROWS;
  int top = int(blockIdx.y) / g.stride, left = int(blockIdx.y) % g.stride;
  unsigned high = unsigned(max(0, (g.h - top + g.stride - 1) / g.stride)), wide = unsigned(max(0, (g.w - left + g.stride - 1) / g.stride)), pixels = unsigned(g.n) * high * wide;
  if (first >= pixels) return;
  GradXPixel* table = reinterpret_cast<GradXPixel*>(room + Stage::kStages * Stage::kBytes);
  GradXTap* tapTable = reinterpret_cast<GradXTap*>(table + ROWS);
  uint16_t *low = reinterpret_cast<uint16_t*>(tapTable + g.r * g.s + 1), *change = low + padded;
  for (unsigned i = thread; i < ROWS; i += THREADS) {
    unsigned at = first + i, image = at / wide / high;
    int row = int(at / wide % high), column = int(at % wide);
    table[i] = {(int(image) * g.p + row) * g.q + column, at < pixels ? row : -0x10000, column,
                (int(image) * g.h + row * g.stride + top) * g.w + column * g.stride + left};
  }
  if (thread == 0) {
    int count = 0;
    for (int tap = 0; tap < g.r * g.s; tap++) {
      int h = top + g.pad - tap / g.s * g.dilation, v = left + g.pad - tap % g.s * g.dilation;
      if (h % g.stride == 0 && v % g.stride == 0) tapTable[1 + count++] = {tap, h / g.stride, v / g.stride, h / g.stride * g.q + v / g.stride};
    }
    tapTable[0].index = count;
  }
  filter_values(low, change, centre, distance, each, filters, padded);
  bool whole = filters % 8 == 0 && aligned(gradY);
  __syncthreads();
  unsigned depth = padded / kGradDepth, steps = unsigned(tapTable[0].index) * depth;

  auto load = [&](unsigned char* to, unsigned step) {
    GradXTap tap = tapTable[1 + step / depth];
    unsigned from = step % depth * kGradDepth, chunk = thread % CHUNKS, filter = from + chunk * 8;
#pragma unroll 4
    for (unsigned row = thread / CHUNKS; row < ROWS; row += THREADS / CHUNKS) {
      GradXPixel pixel = table[row];
      bool some = unsigned(pixel.row + tap.down) < unsigned(g.p) && unsigned(pixel.column + tap.along) < unsigned(g.q) && filter < filters;
      const __nv_bfloat16* source = gradY + size_t(unsigned(pixel.position + tap.move)) * filters + filter;
      unsigned char* at = to + row * (kGradDepth * 2) + (chunk ^ (row % 8)) * 16;
      if (whole) {
        cp_async_16(at, some ? source : gradY, some ? 16 : 0);
      } else {
#pragma unroll
        for (unsigned k = 0; k < 8; k++) {
          bool one = some && filter + k < filters;
          reinterpret_cast<uint16_t*>(at)[k] = one ? reinterpret_cast<const uint16_t*>(source)[k] : uint16_t(0);
        }
      }
    }
#pragma unroll
    for (unsigned index = thread; index < WORDS * kGradDepth; index += THREADS) {
      unsigned word = firstWord + index / kGradDepth, o = from + index % kGradDepth;
      bool some = word < perPixel && o < filters;
      const unsigned* source = filterWords + size_t(o * unsigned(g.r * g.s) + unsigned(tap.index)) * perPixel + word;
      cp_async_4(to + Stage::kWords + index * 4, some ? source : filterWords, some ? 4 : 0);
    }
  };

  WarpSums sums = {};
  unsigned warpRow = first + down * 64, rows = warpRow < pixels ? min(4u, (pixels - warpRow + 15) / 16) : 0, columns[2];
#pragma unroll
  for (unsigned which = 0; which < 2; which++) {
    unsigned channel = (firstWord + across * 2 + which) * 32;
    columns[which] = channel < unsigned(g.c) ? min(4u, (unsigned(g.c) - channel + 7) / 8) : 0;
  }
  bool full = rows == 4 && columns[0] == 4 && columns[1] == 4;
  // ldmatrix: lane 8 i + r gives the address of row r of matrix i: upper and lower rows, then both 8 filters on
  unsigned aRow = down * 64 + lane % 16, aChunk = lane / 16;

  auto multiply = [&](const unsigned char* from, unsigned filter, auto all) {
    const uint2* pairs = reinterpret_cast<const uint2*>(from + Stage::kWords);
    const uint32_t *lows = reinterpret_cast<const uint32_t*>(low + filter), *changes = reinterpret_cast<const uint32_t*>(change + filter);
#pragma unroll
    for (unsigned k = 0; k < kGradDepth; k += 16) {
      if (filter + k >= filters) break;
      uint32_t a[4][4];
#pragma unroll
      for (unsigned i = 0; i < 4; i++) {
        if (!all.value && i >= rows) continue;
        ldmatrix_x4(a[i], from + (aRow + 16 * i) * (kGradDepth * 2) + ((k / 8 + aChunk) ^ (aRow % 8)) * 16);
      }
      unsigned pair = k / 2 + member;
      uint32_t nearLow = lows[pair], farLow = lows[pair + 4], nearChange = changes[pair], farChange = changes[pair + 4];
#pragma unroll
      for (unsigned which = 0; which < 2; which++) {
        if (!all.value && columns[which] == 0) continue;
        unsigned at = (across * 2 + which) * kGradDepth / 2 + pair;
        sums.add<decltype(all)::value != 0>(a, which, BitPair(pairs[at], group, nearLow, nearChange), BitPair(pairs[at + 4], group, farLow, farChange), rows, columns[which]);
      }
    }
  };

  for (unsigned step = 0; step + 1 < Stage::kStages; step++) {
    if (step < steps) load(room + step * Stage::kBytes, step);
    cp_async_commit();
  }
  unsigned slot = 0;
  for (unsigned step = 0; step < steps; step++) {
    cp_async_wait<Stage::kStages - 2>();
    __syncthreads();
    if (step + Stage::kStages - 1 < steps) load(room + (slot == 0 ? Stage::kStages - 1 : slot - 1) * Stage::kBytes, step + Stage::kStages - 1);
    cp_async_commit();
    unsigned filter = step % depth * kGradDepth;
    if (full) multiply(room + slot * Stage::kBytes, filter, Width<1>{});
    else multiply(room + slot * Stage::kBytes, filter, Width<0>{});
    slot = slot + 1 == Stage::kStages ? 0 : slot + 1;
  }
  cp_async_wait<0>();
  __syncthreads();   // nobody reads the stages any more: the results go there

#pragma unroll
  for (unsigned i = 0; i < 4; i++) {
#pragma unroll
    for (unsigned half = 0; half < 2; half++) {
      unsigned char* at = room + (down * 64 + i * 16 + half * 8 + group) * OUT + across * 128 + member * 4;
#pragma unroll
      for (unsigned j = 0; j < 8; j++) *reinterpret_cast<uint32_t*>(at + j * 16) = pack_pair(sums.at[i][j][half * 2], sums.at[i][j][half * 2 + 1]);
    }
  }
  __syncthreads();
  bool vectors = g.c % 8 == 0 && aligned(gradX);
  for (unsigned index = thread; index < ROWS * WORDS * 4; index += THREADS) {
    unsigned row = index / (WORDS * 4), chunk = index % (WORDS * 4), channel = firstWord * 32 + chunk * 8;
    if (first + row >= pixels || channel >= unsigned(g.c)) continue;
    const unsigned char* from = room + row * OUT + chunk * 16;
    __nv_bfloat16* to = gradX + size_t(unsigned(table[row].to)) * unsigned(g.c) + channel;
    if (vectors) {
      *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(from);
    } else {
      for (unsigned k = 0; k < 8 && channel + k < unsigned(g.c); k++) to[k] = reinterpret_cast<const __nv_bfloat16*>(from)[k];
    }
  }
}

extern __shared__ __align__(16) unsigned char xnor_conv2d_grad_x_room[];

#define XNOR_CONV2D_GRAD_X(NAME, DOWN, ACROSS)                                                                                                     \
  extern "C" __global__ void __launch_bounds__(32 * DOWN * ACROSS, 2)                                                                              \
      NAME(__nv_bfloat16* gradX, const __nv_bfloat16* gradY, const unsigned* taps, const float* centre, const float* distance, int each, int n,   \
           int h, int w, int c, int o, int r, int s, int stride, int pad, int dilation, int p, int q) {                                            \
    if constexpr (bf16_products()) {                                                                                                               \
      const GradXShape g{n, h, w, c, o, r, s, stride, pad, dilation, p, q};                                                                        \
      grad_x_tile<DOWN, ACROSS>(xnor_conv2d_grad_x_room, gradX, gradY, taps, centre, distance, each, g);                                           \
    }                                                                                                                                              \
  }
XNOR_CONV2D_GRAD_X(xnor_conv2d_grad_x_bf16, 2, 2)
XNOR_CONV2D_GRAD_X(xnor_conv2d_grad_x_narrow_bf16, 4, 1)
