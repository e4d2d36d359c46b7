// xnor_conv2d.cu -- convolution of packed activations with packed filters, each with its set of two values
//
//   y = dx dw <bx,bw> + dx cw sum(bx) + cx dw sum(bw) + cx cw V + offset, over the V valid taps of each position
//   <bx,bw> = V - 2 popc(x) - 2 popc(w) + 4 popc(x & w), popc over the valid taps
//
//   xnor_conv2d_filters   filters with every tap on a word of its own, and the ones of each tap
//   xnor_conv2d           on the tensor cores, mma.sync AND m16n8k256          xnor_conv2d_popc   with __popc
//
// Shapes     x N*H*W rows of C bits; w O rows of R*S*C bits, taps O rows of R*S*ceil(C/32) words, ones [O][R*S]; y N,P,Q,O
//            xCentre, xDistance 1 value; wCentre, wDistance 1 value (each 0) or O values (each 1)
//            y is float, or bfloat16 in the entries named _bf16; the sets are float
// Encoding   bit 1 = centre + distance, bit 0 = centre - distance; channel k is bit k % 32 of word k / 32; bits past C are 0
// Padding    zeroRule 1: outside taps leave every sum; 0: they are bit 0 of x
// Launch     block 128, grid (ceil(N P Q / 64), ceil(O / 64)); xnor_conv2d_filters block 256, any grid
// Limits     R*S*C < 2^24; xnor_conv2d needs sm_80 to sm_90
// Exactness  counts are whole numbers; with centres 0 and distances 1 equal to the twin, else a few float32 operations in its order;
//            bfloat16 rounds the result once
// Twin       src/main/java/onebit/ops/cpu/CpuBitOps.java, xnorConv2d
// Tests      native-tests/xnor_conv2d_test.cpp, src/test/java/onebit/ops/BitOpsTest.java
// Source     Rastegari et al. 2016, XNOR-Net, arXiv 1603.05279; Tu et al. 2022, AdaBin, arXiv 2208.08084
// Rungs      1 implicit GEMM from a shared tile with __popc, 2 mma.sync AND m16n8k256
#ifndef ELEMENT
#include "element.cuh"
#include "xnor_tile.cuh"

ONEBIT_KERNEL(256) xnor_conv2d_filters(unsigned* taps, int* ones, const unsigned* w, unsigned filters, unsigned tapCount, unsigned channels) {
  unsigned perRow = (tapCount * channels + 31) / 32, tapWords = (channels + 31) / 32;
  FOR_EACH(i, filters * tapCount) {
    const unsigned* row = w + i / tapCount * perRow;
    unsigned first = i % tapCount * channels;
    int sum = 0;
    for (unsigned k = 0; k < tapWords; k++) {
      unsigned bit = first + 32 * k, count = min(32u, channels - 32 * k), shift = bit % 32;
      unsigned word = row[bit / 32] >> shift;
      if (shift + count > 32) word |= row[bit / 32 + 1] << (32 - shift);
      if (count < 32) word &= (1u << count) - 1;
      taps[i * tapWords + k] = word;
      sum += __popc(word);
    }
    ones[i] = sum;
  }
}

struct Conv {
  int n, h, w, c, o, r, s, stride, pad, dilation, p, q, zeroRule;
};

/** Which taps of a position are counted: rows [r0, r1), columns [s0, s1). */
struct TapRange {
  int r0, r1, s0, s1;
};

struct ConvRoom {
  XnorRoom tile;
  TapRange range[kTile];
  int ones[kTile];
};

/** The taps of an axis that lie inside: from is the first, the result one past the last. */
__device__ __forceinline__ int inside_taps(int origin, int extent, int taps, int dilation, int& from) {
  from = origin >= 0 ? 0 : min(taps, (dilation - 1 - origin) / dilation);
  int to = extent <= origin ? 0 : min(taps, (extent - 1 - origin) / dilation + 1);
  return max(from, to);
}

template <bool TENSOR, class T>
__device__ __forceinline__ void conv(ConvRoom& room, T* y, const unsigned* x, const unsigned* taps, const int* tapOnes,
                                     const float* xCentre, const float* xDistance, const float* wCentre, const float* wDistance, int each,
                                     const Conv g, float offset) {
  int tapWords = (g.c + 31) / 32, pixels = g.n * g.p * g.q, tapCount = g.r * g.s, row0 = blockIdx.x * kTile, column0 = blockIdx.y * kTile;
  int own = threadIdx.x / kStep, at = threadIdx.x % kTile;
  unsigned words = unsigned(tapCount * tapWords);
  if (threadIdx.x < kTile) {
    int pixel = min(row0 + at, pixels - 1);
    TapRange all = {0, g.r, 0, g.s};
    if (g.zeroRule) {
      all.r1 = inside_taps(pixel / g.q % g.p * g.stride - g.pad, g.h, g.r, g.dilation, all.r0);
      all.s1 = inside_taps(pixel % g.q * g.stride - g.pad, g.w, g.s, g.dilation, all.s0);
    }
    room.range[at] = all;
  } else {
    int sum = 0;
    for (int tap = 0; tap < tapCount && column0 + at < g.o; tap++) sum += tapOnes[(column0 + at) * tapCount + tap];
    room.ones[at] = sum;
  }
  int top[4], left[4], image[4];
#pragma unroll
  for (int j = 0; j < 4; j++) {
    int pixel = min(row0 + own + 16 * j, pixels - 1);
    top[j] = pixel / g.q % g.p * g.stride - g.pad;
    left[j] = pixel % g.q * g.stride - g.pad;
    image[j] = pixel / g.q / g.p * g.h * g.w;
  }
  float cx = xCentre[0], dx = xDistance[0];
  xnor_tile<TENSOR>(
      room.tile, words,
      [&](unsigned j, unsigned word) {
        int tap = int(word) / tapWords, h = top[j] + tap / g.s * g.dilation, w = left[j] + tap % g.s * g.dilation;
        bool inside = row0 + own + 16 * int(j) < pixels && h >= 0 && h < g.h && w >= 0 && w < g.w;
        return inside ? x[size_t(image[j] + h * g.w + w) * tapWords + int(word) % tapWords] : 0u;
      },
      [&](unsigned j, unsigned word) {
        int filter = column0 + own + 16 * int(j);
        return filter < g.o ? taps[size_t(filter) * words + word] : 0u;
      },
      [&](unsigned row, unsigned column, int common, int onesX) {
        int pixel = row0 + int(row), filter = column0 + int(column);
        if (pixel >= pixels || filter >= g.o) return;
        TapRange k = room.range[row];
        int counted = (k.r1 - k.r0) * (k.s1 - k.s0), valid = counted * g.c, onesW = room.ones[column];
        if (counted != tapCount) {
          onesW = 0;
#pragma unroll 1
          for (int tap = 0; tap < tapCount; tap++) {
            int r = tap / g.s, s = tap % g.s;
            if (r >= k.r0 && r < k.r1 && s >= k.s0 && s < k.s1) onesW += tapOnes[filter * tapCount + tap];
          }
        }
        float cw = wCentre[filter * each], dw = wDistance[filter * each];
        int sumX = 2 * onesX - valid, sumW = 2 * onesW - valid, dot = valid - 2 * onesX - 2 * onesW + 4 * common;
        float rest = cx * dw * float(sumW) + cx * cw * float(valid) + offset;
        store(y + size_t(pixel) * g.o + filter, dx * dw * float(dot) + (dx * cw * float(sumX) + rest));
      });
}

#define XNOR_CONV2D(NAME, TENSOR)                                                                                                           \
  ONEBIT_KERNEL(128) ENTRY(NAME)(ELEMENT* y, const unsigned* x, const unsigned* taps, const int* tapOnes, const float* xCentre,             \
                                 const float* xDistance, const float* wCentre, const float* wDistance, int each, int n, int h, int w,       \
                                 int c, int o, int r, int s, int stride, int pad, int dilation, int p, int q, int zeroRule, float offset) { \
    __shared__ ConvRoom room;                                                                                                               \
    conv<TENSOR>(room, y, x, taps, tapOnes, xCentre, xDistance, wCentre, wDistance, each,                                                   \
                 Conv{n, h, w, c, o, r, s, stride, pad, dilation, p, q, zeroRule}, offset);                                                 \
  }
#define ELEMENT_FILE "xnor_conv2d.cu"
#include "each_element.cuh"
#else

XNOR_CONV2D(xnor_conv2d, true)
XNOR_CONV2D(xnor_conv2d_popc, false)
#endif
