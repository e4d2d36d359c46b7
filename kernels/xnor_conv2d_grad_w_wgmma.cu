// xnor_conv2d_grad_w_wgmma.cu -- gradient of the filters of a convolution whose images are packed bits, on the warpgroups of sm_90a
//
//   gradW[o][r][s][c] = sum over n, p, q of gradY[n][p][q][o] x[n][p stride - pad + r dilation][q stride - pad + s dilation][c]
//
//   xnor_conv2d_grad_w_wgmma_bf16         partial = the sum over one split of the positions: 128 filters by 12 words of columns (tap, 32 channels) a block
//   xnor_conv2d_grad_w_wgmma_narrow_bf16  the same, 64 filters by 18 words
//
// Shapes     gradY N,P,Q,O bfloat16; x N*H*W rows of C bits; centre, distance 1 value; partial [splits][O R S C] float, which
//            xnor_conv2d_grad_w_finish of xnor_conv2d_grad_w.cu adds up
// Encoding   bit 1 = centre + distance, bit 0 = centre - distance, both rounded to bfloat16; channel k is bit k % 32 of word k / 32
// Padding    outside taps hold the value border, rounded to bfloat16
// Launch     block 384, grid (ceil(words / 12) ceil(O / 128), splits) or (ceil(words / 18) ceil(O / 64), splits) where words are R S ceil(C / 32); each
//            split has `positions` of the N P Q, a multiple of 64; dynamic shared memory of BitGradients.room
// Limits     O a multiple of 8; N H W ceil(C / 32), N P Q < 2^31; needs sm_90a: elsewhere the entries do nothing
// Exactness  products of bfloat16 summed in float32 in an order that depends on the shape only
// Twin       src/main/java/onebit/ops/cpu/CpuBitOps.java, xnorConv2dGradW
// Tests      native-tests/xnor_conv2d_grad_w_test.cpp, src/test/java/onebit/ops/BitGradientsTest.java
// Source     elementary; PTX ISA, wgmma.mma_async: the transposed product takes columns as bits expanded in registers, gradY as it lies in shared memory
// Rungs      1 mma.sync (xnor_conv2d_grad_w.cu), 2 wgmma: neither operand passes through ldmatrix, 3 fragments are made while products run (native-tests/ladder/README.md)
#include "bit_values.cuh"
#include "grad_w.cuh"
#include "wgmma.cuh"

/** Warpgroups of a block; each has TILES tiles of 64 columns, two words. */
constexpr unsigned kGradGroups = 3;

/** Whether this architecture has products of warpgroups; a kernel of another is empty and must not be launched. */
__device__ constexpr bool warpgroup_products() {
#if defined(__HOSTCUDA__) || !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  return true;
#else
  return false;
#endif
}

template <unsigned FILTERS, unsigned TILES>
__device__ __forceinline__ void grad_w_columns(unsigned char* room, float* partial, const __nv_bfloat16* gradY, const unsigned* x, const float* centre,
                                               const float* distance, float border, const GradShape g) {
  constexpr unsigned WORDS = 2 * kGradGroups * TILES, THREADS = 128 * kGradGroups, STAGES = 4, AHEAD = STAGES - 1, CHUNKS = FILTERS / 8, REGISTERS = FILTERS / 2;
  constexpr unsigned RISES = kGradStep * FILTERS * 2, WORDS_AT = STAGES * RISES, LEVELS_AT = WORDS_AT + STAGES * WORDS * kGradStep * 4;
  constexpr unsigned TABLE_AT = LEVELS_AT + STAGES * WORDS * kGradStep * 2, ENTRIES = WORDS * kGradStep / THREADS, ACROSS = THREADS / kGradStep;
  static_assert(WORDS * kGradStep % THREADS == 0 && THREADS % kGradStep == 0, "every thread has as many words, all of one position");
  unsigned thread = threadIdx.x, lane = thread % 32, group = lane / 4, member = lane % 4, warp = thread / 32 % 4, warpgroup = thread / 128;
  unsigned perPixel = unsigned(g.c + 31) / 32, words = unsigned(g.r * g.s) * perPixel, tilesAcross = (words + WORDS - 1) / WORDS;
  unsigned firstWord = blockIdx.x % tilesAcross * WORDS, firstRow = blockIdx.x / tilesAcross * FILTERS, filters = unsigned(g.o);
  unsigned all = unsigned(g.n) * unsigned(g.p) * unsigned(g.q), first = blockIdx.y * g.positions, end = min(all, first + g.positions);
  unsigned steps = first < end ? (end - first + kGradStep - 1) / kGradStep : 0;
  room += (1024 - reinterpret_cast<uintptr_t>(room) % 1024) % 1024;   // an atom of the products' layout
  GradColumns* table = reinterpret_cast<GradColumns*>(room + TABLE_AT);
  if (thread < WORDS) table[thread] = grad_columns(firstWord + thread, words, perPixel, g);
  uint32_t low = bf16_bits(*centre - *distance), outside = bf16_bits(border), change = (low ^ bf16_bits(*centre + *distance)) * 0x10001u;
  GradPosition walk, stride;
  walk.set(first + thread % kGradStep, g);
  stride.set(kGradStep, g);
  __syncthreads();

  // begins the copies of a stage; called for one stage after the other
  auto load = [&](unsigned slot, unsigned step) {
    unsigned from = first + step * kGradStep;
    unsigned char* to = room + slot * RISES;
#pragma unroll
    for (unsigned i = 0; i < (kGradStep * CHUNKS + THREADS - 1) / THREADS; i++) {
      unsigned index = i * THREADS + thread, position = index / CHUNKS, chunk = index % CHUNKS, row = firstRow + chunk * 8;
      if (kGradStep * CHUNKS % THREADS != 0 && index >= kGradStep * CHUNKS) break;
      bool some = from + position < end && row < filters;
      cp_async_16(to + wgmma_rows_at(position, chunk), some ? gradY + size_t(from + position) * filters + row : gradY, some ? 16 : 0);
    }
    unsigned* intoWords = reinterpret_cast<unsigned*>(room + WORDS_AT) + slot * WORDS * kGradStep;
    uint16_t* intoLevels = reinterpret_cast<uint16_t*>(room + LEVELS_AT) + slot * WORDS * kGradStep;
    bool within = from + thread % kGradStep < end;
    int h0 = walk.row * g.stride, v0 = walk.column * g.stride, image = walk.image * g.h;
#pragma unroll
    for (unsigned i = 0; i < ENTRIES; i++) {
      unsigned index = i * THREADS + thread;
      GradColumns own = table[i * ACROSS + thread / kGradStep];
      int h = h0 + own.down, v = v0 + own.along;
      bool some = own.word >= 0 && within, inside = some && unsigned(h) < unsigned(g.h) && unsigned(v) < unsigned(g.w);
      const unsigned* source = x + size_t(unsigned((image + h) * g.w + v)) * perPixel + unsigned(own.word);
      cp_async_4(intoWords + index, inside ? source : x, inside ? 4 : 0);
      intoLevels[index] = uint16_t(inside ? low : some ? outside : 0u);   // an outside tap has no bits, and its low value is all it can be
    }
    walk.move(stride, g);
  };

  float sums[TILES][REGISTERS] = {};
  // rows g and g + 8 of a warp's 16 are bits of one half of a word: rotated so that they lead the two lower bytes
  unsigned half = warp % 2, rotation = 7 - group + 16 * half, ownWord = warpgroup * 2 + warp / 2;
  auto bits = [&](uint32_t(&a)[TILES][4], unsigned slot, unsigned k) {
    const uint2* pairs = reinterpret_cast<const uint2*>(room + WORDS_AT) + slot * WORDS * kGradStep / 2;
    const uint32_t* levels = reinterpret_cast<const uint32_t*>(room + LEVELS_AT) + slot * WORDS * kGradStep / 2;
#pragma unroll
    for (unsigned tile = 0; tile < TILES; tile++) {
      unsigned at = ((tile * kGradGroups * 2 + ownWord) * kGradStep + k) / 2 + member;
#pragma unroll
      for (unsigned far = 0; far < 2; far++) {
        uint2 pair = pairs[at + 4 * far];
        uint32_t level = levels[at + 4 * far];
        uint32_t one = __funnelshift_l(pair.x, pair.x, rotation), two = __funnelshift_l(pair.y, pair.y, rotation);
        a[tile][2 * far] = (sign_masks<0>(one, two) & change) ^ level;
        a[tile][2 * far + 1] = (sign_masks<1>(one, two) & change) ^ level;
      }
    }
  };

#pragma unroll
  for (unsigned step = 0; step < AHEAD; step++) {
    if (step < steps) load(step, step);
    cp_async_commit();
  }
  // the copies of a stage are there for all threads; `later` are those of the stages behind it
  auto arrived = [&](auto later) {
    cp_async_wait<decltype(later)::value>();
    fence_proxy_async();   // this thread's copies, for the products of all
    __syncthreads();
  };
  arrived(Width<AHEAD - 1>{});
  // products run while the fragments of the next 16 positions are made, in registers of their own: the compiler runs one product after the other if those
  // that a product reads are written beside another
  uint32_t now[TILES][4], next[TILES][4];
  if (steps > 0) bits(next, 0, 0);
  for (unsigned step = 0; step < steps; step++) {
    unsigned slot = step % STAGES;
#pragma unroll
    for (unsigned k = 0; k < kGradStep; k += 16) {
      wgmma_take(now, next);
      wgmma_fence();
#pragma unroll
      for (unsigned tile = 0; tile < TILES; tile++) wgmma_bf16(sums[tile], now[tile], wgmma_rows(room + slot * RISES, k));
      wgmma_commit();
      if (k == kGradStep - 32) {
        // the slot of the last step: no thread comes here before it has waited for that step's products
        arrived(Width<AHEAD - 2>{});
        if (step + AHEAD < steps) load((step + AHEAD) % STAGES, step + AHEAD);
        cp_async_commit();
      }
      // without a branch, behind the last step too, where nobody takes them: where a branch ends, ptxas 13.0 gives `next` the registers of `now`, which products still read
      if (k + 16 < kGradStep) bits(next, slot, k + 16);
      else bits(next, (step + 1 < steps ? step + 1 : step) % STAGES, 0);
      wgmma_wait<0>();
    }
  }
  cp_async_wait<0>();
#pragma unroll
  for (unsigned tile = 0; tile < TILES; tile++) wgmma_hold(sums[tile]);

  unsigned perFilter = unsigned(g.r * g.s * g.c);
  float* own = partial + size_t(blockIdx.y) * (size_t(filters) * perFilter);
#pragma unroll
  for (unsigned tile = 0; tile < TILES; tile++) {
    unsigned word = firstWord + tile * kGradGroups * 2 + ownWord, tap = word / perPixel, channel = word % perPixel * 32 + half * 16 + group;
    if (word >= words) continue;
#pragma unroll
    for (unsigned below = 0; below < 2; below++) {
      unsigned c = channel + 8 * below;
      if (c >= unsigned(g.c)) continue;
      float* to = own + size_t(tap) * unsigned(g.c) + c;
#pragma unroll
      for (unsigned j = 0; j < FILTERS / 8; j++) {
        unsigned row = firstRow + j * 8 + member * 2;
        if (row >= filters) continue;   // filters are a multiple of 8
        to[size_t(row) * perFilter] = sums[tile][4 * j + 2 * below];
        to[size_t(row + 1) * perFilter] = sums[tile][4 * j + 2 * below + 1];
      }
    }
  }
}

extern __shared__ __align__(16) unsigned char xnor_conv2d_grad_w_wgmma_room[];

#define XNOR_CONV2D_GRAD_W_WGMMA(NAME, FILTERS, TILES)                                                                                            \
  extern "C" __global__ void __launch_bounds__(128 * kGradGroups, 1)                                                                               \
      NAME(float* partial, const __nv_bfloat16* gradY, const unsigned* x, const float* centre, const float* distance, float border, int n, int h, \
           int w, int c, int o, int r, int s, int stride, int pad, int dilation, int p, int q, unsigned positions) {                              \
    if constexpr (warpgroup_products()) {                                                                                                         \
      const GradShape g{n, h, w, c, o, r, s, stride, pad, dilation, p, q, positions};                                                             \
      grad_w_columns<FILTERS, TILES>(xnor_conv2d_grad_w_wgmma_room, partial, gradY, x, centre, distance, border, g);                              \
    }                                                                                                                                             \
  }
XNOR_CONV2D_GRAD_W_WGMMA(xnor_conv2d_grad_w_wgmma_bf16, 128, 2)
XNOR_CONV2D_GRAD_W_WGMMA(xnor_conv2d_grad_w_wgmma_narrow_bf16, 64, 3)
