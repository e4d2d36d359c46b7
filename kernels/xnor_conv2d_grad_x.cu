// xnor_conv2d_grad_x.cu -- gradient of the images of a convolution whose filters are packed bits
//
//   gradX[n][h][w][c] = sum over o, and over the taps r, s with h = p stride - pad + r dilation, w = q stride - pad + s dilation, of
//                       gradY[n][p][q][o] w[o][r][s][c]
//
//   xnor_conv2d_grad_x_bf16         128 pixels by 4 words of channels a block
//   xnor_conv2d_grad_x_narrow_bf16  256 pixels by 2 words
//   xnor_conv2d_grad_x_e4m3_bf16, xnor_conv2d_grad_x_narrow_e4m3_bf16   the same of the codes that float8_round made of gradY
//
// Shapes     gradX N,H,W,C and gradY N,P,Q,O bfloat16, gradY or a byte a code with unscale 1 value and centred N,P,Q; taps O rows of R*S*ceil(C/32) words, as xnor_conv2d_filters lays them out; centre, distance
//            1 value (each 0) or O values (each 1)
// Encoding   bit 1 = centre + distance, bit 0 = centre - distance, both rounded to bfloat16; channel k is bit k % 32 of word k / 32. In float8 a
//            bit is +-1, for the codes have the distance in them, or 0 where that is 0, and centred of all valid taps is added in float32: exact sets
// Padding    gradients of outside taps are dropped
// Launch     block 128, grid (tiles of channels times tiles of N ceil(H / stride) ceil(W / stride) pixels, stride stride): the pixels of one row and
//            column modulo the stride see the same taps; dynamic shared memory of BitGradients.room
// Limits     N H W, N P Q, O R S ceil(C / 32) < 2^31; H, W, P, Q < 2^15; needs sm_80, float8 sm_89: before, the entries do nothing
// Exactness  products of bfloat16 or float8 summed in float32, in an order that depends on the shape only; rounded once
// Twin       src/main/java/onebit/ops/cpu/CpuBitOps.java, xnorConv2dGradX, xnorConv2dGradFloat8
// Tests      native-tests/xnor_conv2d_grad_x_test.cpp, native-tests/float8_test.cpp, src/test/java/onebit/ops/BitGradientsTest.java, Float8GradientsTest
// Source     elementary; anchors/performance.md section 7: no unpacked filters are read
// Rungs      1 implicit product of tiles: gradY by cp.async and ldmatrix, bits expanded in registers; 2 the same in float8 (native-tests/ladder/README.md)
#include <type_traits>
#include "bit_values.cuh"

constexpr unsigned kGradDepth = 64;   // filters of a stage, all at one tap

/** Where the parts of one stage lie, in bytes: gradY of all pixels, then words of all channels, filter after filter. */
template <unsigned ROWS, unsigned WORDS, unsigned BYTES> struct GradXStage {
  static constexpr unsigned kStages = 3, kWords = ROWS * kGradDepth * BYTES, kBytes = kWords + WORDS * kGradDepth * 4;
  static constexpr unsigned kRow = WORDS * 64 + 16;   // of results, which lie where the stages were
  static constexpr unsigned kRoom = kStages * kBytes > ROWS * kRow ? kStages * kBytes : ROWS * kRow;
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

/** A filter's two values as bfloat16, or as float8 without its distance: low, and what changes it into high. */
template <class V>
__device__ __forceinline__ void filter_values(V* low, V* change, const float* centre, const float* distance, int each, unsigned filters, unsigned padded) {
  for (unsigned i = threadIdx.x; i < padded; i += blockDim.x) {
    float d = i < filters ? distance[i * unsigned(each)] : 0.0f;
    if constexpr (sizeof(V) == 1) {
      low[i] = V(d != 0.0f ? kFloat8MinusOne : 0);
      change[i] = V(d != 0.0f ? 0x80 : 0);
    } else {
      float c = i < filters ? centre[i * unsigned(each)] : 0.0f;
      uint32_t value = bf16_bits(c - d);
      low[i] = V(value);
      change[i] = V(value ^ bf16_bits(c + d));
    }
  }
}

/** What makes a gradient of the codes of float8_round: 2^-k, and the sums over the filters' centres of each position. */
struct GradXCodes {
  const float *unscale, *centred;
};

/** WARPS_DOWN by WARPS_ACROSS warps, each 64 pixels by 2 words of channels; E is bfloat16, or a byte for a code of float8. */
template <unsigned WARPS_DOWN, unsigned WARPS_ACROSS, class E>
__device__ __forceinline__ void grad_x_tile(unsigned char* room, __nv_bfloat16* gradX, const E* gradY, const unsigned* filterWords, const float* centre,
                                            const float* distance, int each, const GradXShape g, const GradXCodes codes) {
  constexpr unsigned BYTES = sizeof(E), PER = 16 / BYTES;   // filters of a chunk of 16 bytes
  constexpr bool FLOAT8 = BYTES == 1;
  constexpr unsigned ROWS = 64 * WARPS_DOWN, WORDS = 2 * WARPS_ACROSS, THREADS = 32 * WARPS_DOWN * WARPS_ACROSS, CHUNKS = kGradDepth / PER;
  using Stage = GradXStage<ROWS, WORDS, BYTES>;
  using Value = std::conditional_t<FLOAT8, uint8_t, uint16_t>;
  unsigned thread = threadIdx.x, lane = thread % 32, group = lane / 4, member = lane % 4, warp = thread / 32, down = warp / WARPS_ACROSS, across = warp % WARPS_ACROSS;
  unsigned perPixel = unsigned(g.c + 31) / 32, tilesAcross = (perPixel + WORDS - 1) / WORDS, firstWord = blockIdx.x % tilesAcross * WORDS;
  unsigned filters = unsigned(g.o), padded = (filters + kGradDepth - 1) / kGradDepth * kGradDepth, first = blockIdx.x / tilesAcross * ROWS;
  int top = int(blockIdx.y) / g.stride, left = int(blockIdx.y) % g.stride;
  unsigned high = unsigned(max(0, (g.h - top + g.stride - 1) / g.stride)), wide = unsigned(max(0, (g.w - left + g.stride - 1) / g.stride)), pixels = unsigned(g.n) * high * wide;
  if (first >= pixels) return;
  GradXPixel* table = reinterpret_cast<GradXPixel*>(room + Stage::kRoom);
  GradXTap* tapTable = reinterpret_cast<GradXTap*>(table + ROWS);
  Value *low = reinterpret_cast<Value*>(tapTable + g.r * g.s + 1), *change = low + padded;
  float* centredOf = reinterpret_cast<float*>(change + padded);   // of float8, of each pixel
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
  bool whole = filters % PER == 0 && aligned(gradY);
  // chunks of neighbouring rows lie in other banks; a row has 8 of them or 4
  auto swizzled = [](unsigned row, unsigned chunk) { return (chunk ^ (CHUNKS == 4 ? row / 2 % 4 : row % 8)) * 16; };
  __syncthreads();
  if constexpr (FLOAT8) {
    for (unsigned i = thread; i < ROWS; i += THREADS) {
      GradXPixel pixel = table[i];
      float sum = 0;
      for (int k = 1; k <= tapTable[0].index; k++) {
        GradXTap tap = tapTable[k];
        bool some = unsigned(pixel.row + tap.down) < unsigned(g.p) && unsigned(pixel.column + tap.along) < unsigned(g.q);
        if (some) sum += codes.centred[pixel.position + tap.move];
      }
      centredOf[i] = sum;
    }
  }
  unsigned depth = padded / kGradDepth, steps = unsigned(tapTable[0].index) * depth;

  auto load = [&](unsigned char* to, unsigned step) {
    GradXTap tap = tapTable[1 + step / depth];
    unsigned from = step % depth * kGradDepth, chunk = thread % CHUNKS, filter = from + chunk * PER;
#pragma unroll 4
    for (unsigned row = thread / CHUNKS; row < ROWS; row += THREADS / CHUNKS) {
      GradXPixel pixel = table[row];
      bool some = unsigned(pixel.row + tap.down) < unsigned(g.p) && unsigned(pixel.column + tap.along) < unsigned(g.q) && filter < filters;
      const E* source = gradY + size_t(unsigned(pixel.position + tap.move)) * filters + filter;
      unsigned char* at = to + row * (kGradDepth * BYTES) + swizzled(row, chunk);
      if (whole) {
        cp_async_16(at, some ? source : gradY, some ? 16 : 0);
      } else {
#pragma unroll
        for (unsigned k = 0; k < PER; k++) {
          bool one = some && filter + k < filters;
          reinterpret_cast<Value*>(at)[k] = one ? reinterpret_cast<const Value*>(source)[k] : Value(0);
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
    const unsigned char* words = from + Stage::kWords;
    const uint32_t *lows = reinterpret_cast<const uint32_t*>(low + filter), *changes = reinterpret_cast<const uint32_t*>(change + filter);
#pragma unroll
    for (unsigned k = 0; k < kGradDepth; k += 32 / BYTES) {
      if (filter + k >= filters) break;
      uint32_t a[4][4];
#pragma unroll
      for (unsigned i = 0; i < 4; i++) {
        if (!all.value && i >= rows) continue;
        ldmatrix_x4(a[i], from + (aRow + 16 * i) * (kGradDepth * BYTES) + swizzled(aRow, k / PER + aChunk));
      }
      unsigned piece = k / (4 / BYTES) + member;   // of 2 filters, or 4 of float8
      uint32_t nearLow = lows[piece], farLow = lows[piece + 4], nearChange = changes[piece], farChange = changes[piece + 4];
#pragma unroll
      for (unsigned which = 0; which < 2; which++) {
        if (!all.value && columns[which] == 0) continue;
        unsigned at = (across * 2 + which) * kGradDepth / (4 / BYTES) + piece;
        if constexpr (FLOAT8) {
          uint4 near = reinterpret_cast<const uint4*>(words)[at], far = reinterpret_cast<const uint4*>(words)[at + 4];
          sums.add<decltype(all)::value != 0>(a, which, BitQuad(near.x, near.y, near.z, near.w, group, nearLow, nearChange),
                                              BitQuad(far.x, far.y, far.z, far.w, group, farLow, farChange), rows, columns[which]);
        } else {
          const uint2* pairs = reinterpret_cast<const uint2*>(words);
          sums.add<decltype(all)::value != 0>(a, which, BitPair(pairs[at], group, nearLow, nearChange), BitPair(pairs[at + 4], group, farLow, farChange), rows, columns[which]);
        }
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

  float back = 1;
  if constexpr (FLOAT8) back = *codes.unscale;
#pragma unroll
  for (unsigned i = 0; i < 4; i++) {
#pragma unroll
    for (unsigned half = 0; half < 2; half++) {
      unsigned row = down * 64 + i * 16 + half * 8 + group;
      unsigned char* at = room + row * Stage::kRow + across * 128 + member * 4;
      float more = 0;
      if constexpr (FLOAT8) more = centredOf[row];
      auto made = [&](float sum) { return FLOAT8 ? sum * back + more : sum; };
#pragma unroll
      for (unsigned j = 0; j < 8; j++) *reinterpret_cast<uint32_t*>(at + j * 16) = pack_pair(made(sums.at[i][j][half * 2]), made(sums.at[i][j][half * 2 + 1]));
    }
  }
  __syncthreads();
  bool vectors = g.c % 8 == 0 && aligned(gradX);
  for (unsigned index = thread; index < ROWS * WORDS * 4; index += THREADS) {
    unsigned row = index / (WORDS * 4), chunk = index % (WORDS * 4), channel = firstWord * 32 + chunk * 8;
    if (first + row >= pixels || channel >= unsigned(g.c)) continue;
    const unsigned char* from = room + row * Stage::kRow + chunk * 16;
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
      grad_x_tile<DOWN, ACROSS>(xnor_conv2d_grad_x_room, gradX, gradY, taps, centre, distance, each, g, GradXCodes{});                             \
    }                                                                                                                                              \
  }
XNOR_CONV2D_GRAD_X(xnor_conv2d_grad_x_bf16, 2, 2)
XNOR_CONV2D_GRAD_X(xnor_conv2d_grad_x_narrow_bf16, 4, 1)

#define XNOR_CONV2D_GRAD_X_CODES(NAME, DOWN, ACROSS)                                                                                               \
  extern "C" __global__ void __launch_bounds__(32 * DOWN * ACROSS, 2)                                                                              \
      NAME(__nv_bfloat16* gradX, const unsigned char* gradY, const float* unscale, const float* centred, const unsigned* taps, const float* distance, \
           int each, int n, int h, int w, int c, int o, int r, int s, int stride, int pad, int dilation, int p, int q) {                           \
    if constexpr (float8_products()) {                                                                                                             \
      const GradXShape g{n, h, w, c, o, r, s, stride, pad, dilation, p, q};                                                                        \
      grad_x_tile<DOWN, ACROSS>(xnor_conv2d_grad_x_room, gradX, gradY, taps, distance, distance, each, g, GradXCodes{unscale, centred});           \
    }                                                                                                                                              \
  }
XNOR_CONV2D_GRAD_X_CODES(xnor_conv2d_grad_x_e4m3_bf16, 2, 2)
XNOR_CONV2D_GRAD_X_CODES(xnor_conv2d_grad_x_narrow_e4m3_bf16, 4, 1)
