// xnor_conv2d_grad_w.cu -- gradient of the filters of a convolution whose images are packed bits
//
//   gradW[o][r][s][c] = sum over n, p, q of gradY[n][p][q][o] x[n][p stride - pad + r dilation][q stride - pad + s dilation][c]
//
//   xnor_conv2d_grad_w_bf16         partial = the sum over one split of the positions: 128 filters by 4 words of columns (tap, 32 channels) a block
//   xnor_conv2d_grad_w_narrow_bf16  the same, 64 filters by 6 words
//   xnor_conv2d_grad_w_e4m3, xnor_conv2d_grad_w_narrow_e4m3   the same of the codes that float8_round made of gradY
//   xnor_conv2d_grad_w_finish       gradW = the sum of the splits, in their order; _finish_bf16 rounds it
//
// Shapes     gradY N,P,Q,O bfloat16, or a byte a code with unscale 1 value and the filters' distances, 1 (each 0) or O (each 1); x N*H*W rows of C bits; centre, distance 1 value; partial [splits][O R S C] float; gradW O,R,S,C
// Encoding   bit 1 = centre + distance, bit 0 = centre - distance, both rounded to bfloat16; channel k is bit k % 32 of word k / 32. In float8 a bit is
//            +-1, an outside tap 0, and distance S + centre T + border (A - T) is taken of the sums S, with T over the tap's inside positions and A over all,
//            which one more product of 8 columns gives: exact sets, for an eighth more products where centre or border is not 0
// Padding    outside taps hold the value border, rounded to bfloat16 but in float8
// Launch     block 128 (narrow: 96), grid (ceil(words / 4) ceil(O / 128), splits) or (ceil(words / 6) ceil(O / 64), splits) where words are
//            R S ceil(C / 32); each split has `positions` of the N P Q, a multiple of 64; dynamic shared memory of BitGradients.room.
//            xnor_conv2d_grad_w_finish block 256, any grid
// Limits     N H W ceil(C / 32), N P Q < 2^31; needs sm_80, float8 sm_89: before, the entries do nothing
// Exactness  products of bfloat16 or float8 summed in float32, the splits in double, in an order that depends on the shape only
// Twin       src/main/java/onebit/ops/cpu/CpuBitOps.java, xnorConv2dGradW, xnorConv2dGradFloat8
// Tests      native-tests/xnor_conv2d_grad_w_test.cpp, native-tests/float8_test.cpp, src/test/java/onebit/ops/BitGradientsTest.java, Float8GradientsTest
// Source     elementary; anchors/performance.md section 7: no unpacked copy of the activations is written or read
// Rungs      1 implicit product of tiles: gradY by cp.async and ldmatrix, bits expanded in registers; 2 the same in float8 (native-tests/ladder/README.md)
#include "bit_values.cuh"
#include "grad_w.cuh"

/** Where the parts of one stage lie, in bytes: gradY of all positions, words and levels of all columns, position after position. */
template <unsigned ROWS, unsigned WORDS, unsigned BYTES> struct GradStage {
  static constexpr unsigned kStages = 3, kWords = kGradStep * ROWS * BYTES, kLevels = kWords + WORDS * kGradStep * 4, kBytes = kLevels + WORDS * kGradStep * 2;
};

/** What makes a gradient of the codes of float8_round: 2^-k, and the distances they were folded with. */
struct GradCodes {
  const float *unscale, *distance;
  int each;
};

/** WARPS_DOWN by WARPS_ACROSS warps, each 64 filters by 2 words of columns; E is bfloat16, or a byte for a code of float8. */
template <unsigned WARPS_DOWN, unsigned WARPS_ACROSS, class E>
__device__ __forceinline__ void grad_w_tile(unsigned char* room, float* partial, const E* gradY, const unsigned* x, const float* centre,
                                            const float* distance, float border, const GradShape g, const GradCodes codes) {
  constexpr unsigned BYTES = sizeof(E), PER = 16 / BYTES;   // filters of a chunk of 16 bytes
  constexpr bool FLOAT8 = BYTES == 1;
  constexpr unsigned ROWS = 64 * WARPS_DOWN, WORDS = 2 * WARPS_ACROSS, THREADS = 32 * WARPS_DOWN * WARPS_ACROSS, CHUNKS = ROWS / PER;
  constexpr unsigned ENTRIES = WORDS * kGradStep / THREADS, WALKS = THREADS % kGradStep == 0 ? 1 : 2;
  constexpr unsigned STRIDE = THREADS / CHUNKS;   // positions that all threads copy at once
  static_assert(WORDS * kGradStep % THREADS == 0 && THREADS * WALKS % kGradStep == 0, "every thread has as many words, of one position or two");
  using Stage = GradStage<ROWS, WORDS, BYTES>;
  unsigned thread = threadIdx.x, lane = thread % 32, group = lane / 4, member = lane % 4, warp = thread / 32, down = warp / WARPS_ACROSS, across = warp % WARPS_ACROSS;
  unsigned perPixel = unsigned(g.c + 31) / 32, words = unsigned(g.r * g.s) * perPixel, tilesAcross = (words + WORDS - 1) / WORDS;
  unsigned firstWord = blockIdx.x % tilesAcross * WORDS, firstRow = blockIdx.x / tilesAcross * ROWS, filters = unsigned(g.o);
  unsigned all = unsigned(g.n) * unsigned(g.p) * unsigned(g.q), first = blockIdx.y * g.positions, end = min(all, first + g.positions);
  unsigned steps = first < end ? (end - first + kGradStep - 1) / kGradStep : 0;
  GradColumns* table = reinterpret_cast<GradColumns*>(room + Stage::kStages * Stage::kBytes);
  for (unsigned i = thread; i < WORDS; i += THREADS) table[i] = grad_columns(firstWord + i, words, perPixel, g);
  uint32_t low = FLOAT8 ? kFloat8MinusOne : bf16_bits(*centre - *distance), outside = FLOAT8 ? 0 : bf16_bits(border);
  uint32_t change = FLOAT8 ? 0x80808080u : (low ^ bf16_bits(*centre + *distance)) * 0x10001u;
  bool corrected = FLOAT8 && (*centre != 0.0f || border != 0.0f);
  GradPosition walk[WALKS], stride;
#pragma unroll
  for (unsigned i = 0; i < WALKS; i++) walk[i].set(first + (i * THREADS + thread) % kGradStep, g);
  stride.set(kGradStep, g);
  bool whole = filters % PER == 0 && aligned(gradY);
  // chunks of neighbouring positions lie in other banks; a row has 4 of them or a multiple of 8
  auto swizzled = [](unsigned position, unsigned chunk) { return (chunk ^ (CHUNKS == 4 ? position / 2 % 4 : position % 8)) * 16; };
  __syncthreads();

  // begins the copies of a stage; called for one stage after the other
  auto load = [&](unsigned char* to, unsigned step) {
    unsigned from = first + step * kGradStep, chunk = thread % CHUNKS, row = firstRow + chunk * PER;
    const E* source = gradY + size_t(from + thread / CHUNKS) * filters + row;
    bool inside = whole && from + kGradStep <= end && firstRow + ROWS <= filters;   // all of the stage is there
#pragma unroll
    for (unsigned i = 0; i < (kGradStep + STRIDE - 1) / STRIDE; i++) {
      unsigned position = i * STRIDE + thread / CHUNKS;
      if (kGradStep % STRIDE != 0 && position >= kGradStep) break;
      unsigned char* at = to + position * (ROWS * BYTES) + swizzled(position, chunk);
      bool some = from + position < end && row < filters;
      if (inside) {
        cp_async_16(at, source);
      } else if (whole) {
        cp_async_16(at, some ? source : gradY, some ? 16 : 0);
      } else {
#pragma unroll
        for (unsigned k = 0; k < PER; k++) {
          bool one = some && row + k < filters;
          if constexpr (FLOAT8) at[k] = one ? source[k] : (unsigned char)(0);
          else reinterpret_cast<uint16_t*>(at)[k] = one ? reinterpret_cast<const uint16_t*>(source)[k] : uint16_t(0);
        }
      }
      source += STRIDE * filters;
    }
#pragma unroll
    for (unsigned i = 0; i < ENTRIES; i++) {
      unsigned index = i * THREADS + thread, position = index % kGradStep, column = index / kGradStep;
      const GradPosition& at = walk[i * THREADS % kGradStep == 0 ? 0 : WALKS - 1];
      GradColumns own = table[column];
      int h = at.row * g.stride + own.down, v = at.column * g.stride + own.along;
      bool some = own.word >= 0 && from + position < end, inside = some && unsigned(h) < unsigned(g.h) && unsigned(v) < unsigned(g.w);
      const unsigned* source = x + size_t(unsigned((at.image * g.h + h) * g.w + v)) * perPixel + unsigned(own.word);
      cp_async_4(to + Stage::kWords + index * 4, inside ? source : x, inside ? 4 : 0);
      reinterpret_cast<uint16_t*>(to + Stage::kLevels)[index] = uint16_t(inside ? low : some ? outside : 0u);
    }
#pragma unroll
    for (unsigned i = 0; i < WALKS; i++) walk[i].move(stride, g);
  };

  WarpSums sums = {};
  unsigned warpRow = firstRow + down * 64, rows = warpRow < filters ? min(4u, (filters - warpRow + 15) / 16) : 0;
  unsigned columns[2] = {unsigned(table[across * 2].count + 7) / 8, unsigned(table[across * 2 + 1].count + 7) / 8};
  bool full = rows == 4 && columns[0] == 4 && columns[1] == 4;
  // ldmatrix, transposed: lane 8 i + r gives the address of position r of matrix i; they are the rows' first and second half, then 8 positions on;
  // of float8, whose 16 rows are one chunk, all four are 8 positions apart
  unsigned aPosition = FLOAT8 ? lane : lane % 8 + lane / 16 * 8, aChunk = FLOAT8 ? down * 4 : down * 8 + lane / 8 % 2;
  float inside[4][4] = {};   // of float8: of 16 rows, columns 0 and 1 sum the inside positions of the two words, column 2 all

  auto multiply = [&](const unsigned char* from, unsigned live, auto all) {
    const uint32_t* levels = reinterpret_cast<const uint32_t*>(from + Stage::kLevels);
    const uint2* pairs = reinterpret_cast<const uint2*>(from + Stage::kWords);
#pragma unroll
    for (unsigned k = 0; k < kGradStep; k += 32 / BYTES) {
      if (k >= live) break;
      uint32_t a[4][4];
#pragma unroll
      for (unsigned i = 0; i < 4; i++) {
        if (!all.value && i >= rows) continue;
        ldmatrix_x4_trans(a[i], from + (k + aPosition) * (ROWS * BYTES) + swizzled(aPosition, aChunk + i * (FLOAT8 ? 1 : 2)));
        if constexpr (FLOAT8) {
          // a register has two filters at two positions; of two such come four positions of each: row g is filter 2 g, row g + 8 filter 2 g + 1
          uint32_t r[4] = {a[i][0], a[i][1], a[i][2], a[i][3]};
          a[i][0] = __byte_perm(r[0], r[1], 0x6420), a[i][1] = __byte_perm(r[0], r[1], 0x7531);
          a[i][2] = __byte_perm(r[2], r[3], 0x6420), a[i][3] = __byte_perm(r[2], r[3], 0x7531);
        }
      }
      [[maybe_unused]] uint32_t ones[2] = {group == 2 ? kFloat8One * 0x01010101u : 0, group == 2 ? kFloat8One * 0x01010101u : 0};
#pragma unroll
      for (unsigned which = 0; which < 2; which++) {
        if (!all.value && columns[which] == 0) continue;
        unsigned at = ((across * 2 + which) * kGradStep + k) / 2 + member;
        // an outside tap has no bits, and its low value is all it can be
        if constexpr (FLOAT8) {
          uint32_t near = __byte_perm(levels[at], levels[at + 4], 0x6420), far = __byte_perm(levels[at + 8], levels[at + 12], 0x6420);
          if (group == which) ones[0] = near & 0x7f7f7f7fu, ones[1] = far & 0x7f7f7f7fu;
          sums.add<decltype(all)::value != 0>(a, which, BitQuad(pairs[at].x, pairs[at].y, pairs[at + 4].x, pairs[at + 4].y, group, near, change),
                                              BitQuad(pairs[at + 8].x, pairs[at + 8].y, pairs[at + 12].x, pairs[at + 12].y, group, far, change), rows, columns[which]);
        } else {
          uint32_t near = levels[at], far = levels[at + 4];
          sums.add<decltype(all)::value != 0>(a, which, BitPair(pairs[at], group, near, change), BitPair(pairs[at + 4], group, far, change), rows, columns[which]);
        }
      }
      if constexpr (FLOAT8) {
        if (!corrected) continue;
#pragma unroll
        for (unsigned i = 0; i < 4; i++) {
          if (all.value || i < rows) mma_m16n8k32_e4m3(inside[i], a[i], ones, inside[i]);
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
    const unsigned char* stage = room + slot * Stage::kBytes;
    unsigned live = min(kGradStep, end - first - step * kGradStep);
    if (full) multiply(stage, live, Width<1>{});
    else multiply(stage, live, Width<0>{});
    slot = slot + 1 == Stage::kStages ? 0 : slot + 1;
  }
  cp_async_wait<0>();

  float* own = partial + size_t(blockIdx.y) * (size_t(filters) * unsigned(g.r * g.s * g.c));
#pragma unroll
  for (unsigned which = 0; which < 2; which++) {
    unsigned word = firstWord + across * 2 + which, tap = word / perPixel, channel = word % perPixel * 32;
    if (word >= words) continue;
#pragma unroll
    for (unsigned i = 0; i < 4; i++) {
#pragma unroll
      for (unsigned half = 0; half < 2; half++) {
        unsigned row = warpRow + i * 16 + (FLOAT8 ? group * 2 + half : half * 8 + group);
        float more = 0, factor = 1;
        if constexpr (FLOAT8) {
          if (corrected) {
            float in = __shfl_sync(kFullWarp, inside[i][half * 2 + which], int(lane & ~3u)), of = __shfl_sync(kFullWarp, inside[i][half * 2], int(lane & ~3u) + 1);
            more = *centre * in + border * (of - in);
          }
        }
        if (row >= filters) continue;
        if constexpr (FLOAT8) factor = *codes.unscale / float8_fold(codes.distance[row * unsigned(codes.each)]);
        auto made = [&](float sum) { return FLOAT8 ? (*distance * sum + more) * factor : sum; };
        float* to = own + (size_t(row) * unsigned(g.r * g.s) + tap) * unsigned(g.c) + channel;
#pragma unroll
        for (unsigned j = 0; j < 4; j++) {
          unsigned c = j * 8 + member * 2;
          const float(&v)[4] = sums.at[i][which * 4 + j];
          if (g.c % 2 == 0) {
            if (channel + c < unsigned(g.c)) *reinterpret_cast<float2*>(to + c) = make_float2(made(v[half * 2]), made(v[half * 2 + 1]));
          } else {
            if (channel + c < unsigned(g.c)) to[c] = made(v[half * 2]);
            if (channel + c + 1 < unsigned(g.c)) to[c + 1] = made(v[half * 2 + 1]);
          }
        }
      }
    }
  }
}

extern __shared__ __align__(16) unsigned char xnor_conv2d_grad_w_room[];

#define XNOR_CONV2D_GRAD_W(NAME, DOWN, ACROSS, BLOCKS)                                                                                            \
  extern "C" __global__ void __launch_bounds__(32 * DOWN * ACROSS, BLOCKS)                                                                         \
      NAME(float* partial, const __nv_bfloat16* gradY, const unsigned* x, const float* centre, const float* distance, float border, int n, int h, \
           int w, int c, int o, int r, int s, int stride, int pad, int dilation, int p, int q, unsigned positions) {                              \
    if constexpr (bf16_products()) {                                                                                                              \
      const GradShape g{n, h, w, c, o, r, s, stride, pad, dilation, p, q, positions};                                                             \
      grad_w_tile<DOWN, ACROSS>(xnor_conv2d_grad_w_room, partial, gradY, x, centre, distance, border, g, GradCodes{});                            \
    }                                                                                                                                             \
  }
XNOR_CONV2D_GRAD_W(xnor_conv2d_grad_w_bf16, 2, 2, 2)
XNOR_CONV2D_GRAD_W(xnor_conv2d_grad_w_narrow_bf16, 1, 3, 2)

#define XNOR_CONV2D_GRAD_W_CODES(NAME, DOWN, ACROSS, BLOCKS)                                                                                       \
  extern "C" __global__ void __launch_bounds__(32 * DOWN * ACROSS, BLOCKS)                                                                          \
      NAME(float* partial, const unsigned char* gradY, const float* unscale, const float* folded, int each, const unsigned* x, const float* centre, \
           const float* distance, float border, int n, int h, int w, int c, int o, int r, int s, int stride, int pad, int dilation, int p, int q,   \
           unsigned positions) {                                                                                                                    \
    if constexpr (float8_products()) {                                                                                                              \
      const GradShape g{n, h, w, c, o, r, s, stride, pad, dilation, p, q, positions};                                                               \
      grad_w_tile<DOWN, ACROSS>(xnor_conv2d_grad_w_room, partial, gradY, x, centre, distance, border, g, GradCodes{unscale, folded, each});         \
    }                                                                                                                                               \
  }
XNOR_CONV2D_GRAD_W_CODES(xnor_conv2d_grad_w_e4m3, 2, 2, 2)
XNOR_CONV2D_GRAD_W_CODES(xnor_conv2d_grad_w_narrow_e4m3, 1, 3, 2)

template <class E> __device__ __forceinline__ void grad_w_finish(E* gradW, const float* partial, unsigned splits, unsigned n) {
  FOR_EACH(i, n) store(gradW + i, float(sum_of_splits(partial + i, n, splits)));
}

ONEBIT_KERNEL(256) xnor_conv2d_grad_w_finish(float* gradW, const float* partial, unsigned splits, unsigned n) { grad_w_finish(gradW, partial, splits, n); }
ONEBIT_KERNEL(256) xnor_conv2d_grad_w_finish_bf16(__nv_bfloat16* gradW, const float* partial, unsigned splits, unsigned n) {
  grad_w_finish(gradW, partial, splits, n);
}
