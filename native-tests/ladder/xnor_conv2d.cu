// xnor_conv2d.cu -- the rungs of the binary convolution of signs with the zero rule, each a kernel that can be tested and timed
//
//   conv_naive         1: a thread per result, words from global memory
//   conv_shared_tile   2: 64 positions x 64 filters per block from tiles in shared memory, __popc
//   xnor_conv2d        3: mma.sync AND, kernels/xnor_conv2d.cu itself
//   conv_wgmma         4: wgmma AND on sm_90a, 128 positions x 64 filters per block; conv_wgmma_wide 128 filters
//
// Shapes     x N*H*W rows of C bits, taps and ones as xnor_conv2d_filters gives them; y N,P,Q,O float32; stride, pad; dilation is 1
// Launch     1: block 256, grid ceil(N P Q O / 256); 2: block 256, grid (ceil(N P Q / 64), ceil(O / 64)); 4: block 256,
//            grid (ceil(N P Q / 128), ceil(O / 64 or 128)), dynamic shared memory wgmma_room<64 or 128>(); ceil(C / 32) even
#include "../../kernels/xnor_conv2d.cu"
#include "wgmma_tile.cuh"

struct Window {
  int h, w, c, o, r, s, stride, pad, p, q;
};

/** The words of a tap of a position, null where it lies outside. */
__device__ __forceinline__ const unsigned* tap_words(const unsigned* x, const Window& g, int pixel, int tap) {
  int h = pixel / g.q % g.p * g.stride - g.pad + tap / g.s, v = pixel % g.q * g.stride - g.pad + tap % g.s;
  return h >= 0 && h < g.h && v >= 0 && v < g.w ? x + size_t((pixel / g.q / g.p * g.h + h) * g.w + v) * unsigned((g.c + 31) / 32) : nullptr;
}

ONEBIT_KERNEL(256) conv_naive(float* y, const unsigned* x, const unsigned* taps, const int*, int n, int h, int w, int c, int o, int r, int s, int stride,
                              int pad, int p, int q) {
  Window g = {h, w, c, o, r, s, stride, pad, p, q};
  int tapWords = (c + 31) / 32;
  FOR_EACH(i, unsigned(n * p * q * o)) {
    int pixel = int(i) / o, filter = int(i) % o, sum = 0;
    for (int tap = 0; tap < r * s; tap++) {
      const unsigned *from = tap_words(x, g, pixel, tap), *own = taps + size_t(filter * r * s + tap) * unsigned(tapWords);
      if (!from) continue;
      sum += c;
      for (int k = 0; k < tapWords; k++) sum -= 2 * __popc(from[k] ^ own[k]);
    }
    y[i] = float(sum);
  }
}

ONEBIT_KERNEL(256) conv_shared_tile(float* y, const unsigned* x, const unsigned* taps, const int*, int n, int h, int w, int c, int o, int r, int s, int stride,
                                    int pad, int p, int q) {
  __shared__ unsigned left[64][17], right[64][17];
  __shared__ unsigned char inside[64][17];
  Window g = {h, w, c, o, r, s, stride, pad, p, q};
  int tapWords = (c + 31) / 32, words = r * s * tapWords, pixels = n * p * q, row0 = int(blockIdx.x) * 64, column0 = int(blockIdx.y) * 64;
  int row = int(threadIdx.x) / 16, column = int(threadIdx.x) % 16, sum[4][4] = {};
  for (int step = 0; step < words; step += 16) {
    for (int i = int(threadIdx.x); i < 64 * 16; i += 256) {
      int at = i / 16, word = step + i % 16;
      const unsigned* from = word < words && row0 + at < pixels ? tap_words(x, g, row0 + at, word / tapWords) : nullptr;
      left[at][i % 16] = from ? from[word % tapWords] : 0u;
      inside[at][i % 16] = from ? (unsigned char)(min(32, c - word % tapWords * 32)) : 0;
      right[at][i % 16] = word < words && column0 + at < o ? taps[size_t(column0 + at) * unsigned(words) + unsigned(word)] : 0u;
    }
    __syncthreads();
    for (int k = 0; k < 16; k++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int valid = inside[row + 16 * i][k];
        if (valid == 0) continue;
#pragma unroll
        for (int j = 0; j < 4; j++) sum[i][j] += valid - 2 * __popc(left[row + 16 * i][k] ^ right[column + 16 * j][k]);
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; i++) {
    for (int j = 0; j < 4; j++) {
      int pixel = row0 + row + 16 * i, filter = column0 + column + 16 * j;
      if (pixel < pixels && filter < o) y[size_t(pixel) * unsigned(o) + unsigned(filter)] = float(sum[i][j]);
    }
  }
}

template <unsigned COLUMNS>
__device__ __forceinline__ void conv_on_warpgroups(unsigned char* room, float* y, const unsigned* x, const unsigned* taps, const int* ones, int n, const Window g) {
  unsigned tapWords = unsigned(g.c + 31) / 32, words = unsigned(g.r * g.s) * tapWords;
  int pixels = n * g.p * g.q, row0 = int(blockIdx.x * kWgmmaRows), column0 = int(blockIdx.y * COLUMNS);
  wgmma_tile<COLUMNS>(
      room, words,
      [&](unsigned char* toX, unsigned char* toW, unsigned step) {
        wgmma_stage<kWgmmaRows, 2>(toX, x, step, words, [&](unsigned row, unsigned word) {
          int pixel = row0 + int(row);
          const unsigned* from = pixel < pixels ? tap_words(x, g, pixel, int(word / tapWords)) : nullptr;
          return from ? from + word % tapWords : nullptr;
        });
        wgmma_stage<COLUMNS, 2>(toW, taps, step, words, [&](unsigned row, unsigned word) {
          return column0 + int(row) < g.o ? taps + size_t(unsigned(column0) + row) * words + word : nullptr;
        });
      },
      [&](unsigned row, unsigned column, int first, int second, int onesX) {
        int pixel = row0 + int(row), filter = column0 + int(column);
        if (pixel >= pixels || filter >= g.o) return;
        int r0, s0, r1 = inside_taps(pixel / g.q % g.p * g.stride - g.pad, g.h, g.r, 1, r0), s1 = inside_taps(pixel % g.q * g.stride - g.pad, g.w, g.s, 1, s0);
        auto corner = [&](int down, int along, int f) { return ones[size_t(down * (g.s + 1) + along) * unsigned(g.o) + unsigned(f)]; };
        auto value = [&](int common, int f) {
          int onesW = corner(r1, s1, f) - corner(r0, s1, f) - corner(r1, s0, f) + corner(r0, s0, f);
          return float((r1 - r0) * (s1 - s0) * g.c - 2 * onesX - 2 * onesW + 4 * common);
        };
        float* to = y + size_t(pixel) * unsigned(g.o) + unsigned(filter);
        to[0] = value(first, filter);
        if (filter + 1 < g.o) to[1] = value(second, filter + 1);
      });
}

extern __shared__ __align__(1024) unsigned char conv_wgmma_room[];

ONEBIT_KERNEL(256) conv_wgmma(float* y, const unsigned* x, const unsigned* taps, const int* ones, int n, int h, int w, int c, int o, int r, int s, int stride,
                              int pad, int p, int q) {
  conv_on_warpgroups<64>(conv_wgmma_room, y, x, taps, ones, n, Window{h, w, c, o, r, s, stride, pad, p, q});
}

ONEBIT_KERNEL(256) conv_wgmma_wide(float* y, const unsigned* x, const unsigned* taps, const int* ones, int n, int h, int w, int c, int o, int r, int s,
                                   int stride, int pad, int p, int q) {
  conv_on_warpgroups<128>(conv_wgmma_room, y, x, taps, ones, n, Window{h, w, c, o, r, s, stride, pad, p, q});
}
