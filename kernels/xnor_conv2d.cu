// xnor_conv2d.cu -- convolution of packed activations with packed filters, each with its set of two values
//
//   y = dx dw <bx,bw> + dx cw sum(bx) + cx dw sum(bw) + cx cw V + offset, over the V valid taps of each position
//   <bx,bw> = V - 2 popc(x) - 2 popc(w) + 4 popc(x & w), popc over the valid taps
//
//   xnor_conv2d_filters   filters with every tap on a word of its own, and the ones of all taps above and left of each corner of the window
//   xnor_conv2d           mma.sync AND, 64 filters per block          xnor_conv2d_wide   the same, 128 filters per block
//   xnor_conv2d_xor       mma.sync XOR for sm_75                      xnor_conv2d_popc   __popc
//
// Shapes     x N*H*W rows of C bits; w O rows of R*S*C bits, taps O rows of R*S*ceil(C/32) words, ones [R+1][S+1][O]; y N,P,Q,O
//            xCentre, xDistance 1 value; wCentre, wDistance 1 value (each 0) or O values (each 1); sumsX N,P,Q int16, or null
// Encoding   bit 1 = centre + distance, bit 0 = centre - distance; channel k is bit k % 32 of word k / 32; bits past C are 0
//            element of y: 0 float32, 1 bfloat16, both of the formula; 2 int16: <bx,bw> alone, whatever the sets and the offset.
//            sumsX, with any element: sum(bx) over the valid taps of each position; with <bx,bw> it gives y back by the formula above, where
//            sum(bw) = 2 popc(w) - V, V = C (r1 - r0) (s1 - s0), popc(w) = ones[r1][s1] - ones[r0][s1] - ones[r1][s0] + ones[r0][s0]
//            for valid taps of rows r0 to r1 and columns s0 to s1 (ends not included)
// Padding    zeroRule 1: outside taps leave every sum; 0: they are bit 0 of x
// Launch     block 128, grid (ceil(N P Q / 128), ceil(O / 64 or 128)), dynamic shared memory of CudaBitOps.room; xnor_conv2d_filters block 256,
//            any grid, one warp per filter
// Limits     R*S*C < 2^24, in int16 < 2^15; R, S < 2^15; AND needs sm_80 to sm_90, XOR sm_75: elsewhere these entries do nothing
// Exactness  counts are whole numbers; with centres 0 and distances 1 equal to the twin, else a few float32 operations in its order
// Twin       src/main/java/onebit/ops/cpu/CpuBitOps.java, xnorConv2d
// Tests      native-tests/xnor_conv2d_test.cpp, src/test/java/onebit/ops/BitOpsTest.java
// Source     Rastegari et al. 2016, XNOR-Net, arXiv 1603.05279; Tu et al. 2022, AdaBin, arXiv 2208.08084
// Rungs      native-tests/ladder/xnor_conv2d.cu: 1 naive, 2 shared tile, 3 mma.sync AND
#include "xnor_tile.cuh"

ONEBIT_KERNEL(256) xnor_conv2d_filters(unsigned* taps, int* ones, const unsigned* w, unsigned filters, unsigned r, unsigned s, unsigned channels) {
  unsigned tapCount = r * s, perRow = (tapCount * channels + 31) / 32, tapWords = (channels + 31) / 32, lane = threadIdx.x % 32;
  for (unsigned filter = (blockIdx.x * 256 + threadIdx.x) / 32; filter < filters; filter += gridDim.x * 8) {
    const unsigned* row = w + size_t(filter) * perRow;
    unsigned* own = taps + size_t(filter) * tapCount * tapWords;
    for (unsigned i = lane; i < tapCount * tapWords; i += 32) {
      unsigned k = i % tapWords, bit = i / tapWords * channels + 32 * k, count = min(32u, channels - 32 * k), shift = bit % 32;
      unsigned word = row[bit / 32] >> shift;
      if (shift + count > 32) word |= row[bit / 32 + 1] << (32 - shift);
      if (count < 32) word &= (1u << count) - 1;
      own[i] = word;
    }
    __syncwarp();
    for (unsigned corner = lane; corner < (r + 1) * (s + 1); corner += 32) {
      unsigned rows = corner / (s + 1), columns = corner % (s + 1);
      int sum = 0;
      for (unsigned i = 0; i < rows; i++) {
        for (unsigned k = 0; k < columns * tapWords; k++) sum += __popc(own[i * s * tapWords + k]);
      }
      ones[size_t(corner) * filters + filter] = sum;
    }
  }
}

struct Conv {
  int n, h, w, c, o, r, s, stride, pad, dilation, p, q, zeroRule, element;
};

/** Which taps of a position are counted: rows [r0, r1), columns [s0, s1). */
struct TapRange {
  short r0, r1, s0, s1;
};

/** The taps of an axis that lie inside: from is the first, the result one past the last. */
__device__ __forceinline__ int inside_taps(int origin, int extent, int taps, int dilation, int& from) {
  from = origin >= 0 ? 0 : min(taps, (dilation - 1 - origin) / dilation);
  int to = extent <= origin ? 0 : min(taps, (extent - 1 - origin) / dilation + 1);
  return max(from, to);
}

/** 8 neighbours of one line of ones. */
__device__ __forceinline__ void load_ones(int (&v)[8], const int* from, bool whole, unsigned live) {
  if (whole) {
    int4 low = reinterpret_cast<const int4*>(from)[0], high = reinterpret_cast<const int4*>(from)[1];
    v[0] = low.x, v[1] = low.y, v[2] = low.z, v[3] = low.w, v[4] = high.x, v[5] = high.y, v[6] = high.z, v[7] = high.w;
  } else {
#pragma unroll
    for (unsigned k = 0; k < 8; k++) v[k] = k < live ? from[k] : 0;
  }
}

template <class PRODUCT, unsigned COLUMNS>
__device__ __forceinline__ void conv(unsigned* room, void* y, short* sumsX, const unsigned* x, const unsigned* taps, const int* ones, const float* xCentre,
                                     const float* xDistance, const float* wCentre, const float* wDistance, int each, const Conv g, float offset) {
  int tapWords = (g.c + 31) / 32, pixels = g.n * g.p * g.q, tapCount = g.r * g.s, row0 = blockIdx.x * kTileRows, column0 = blockIdx.y * COLUMNS;
  int column = column0 + int(xnor_column<COLUMNS>());
  unsigned words = unsigned(tapCount * tapWords), live = column < g.o ? unsigned(g.o - column) : 0u;
  TapRange* ranges = reinterpret_cast<TapRange*>(room);
  room += kTileRows * sizeof(TapRange) / sizeof(unsigned);
  {
    int pixel = min(row0 + int(threadIdx.x), pixels - 1), r0 = 0, s0 = 0, r1 = g.r, s1 = g.s;
    if (g.zeroRule) {
      r1 = inside_taps(pixel / g.q % g.p * g.stride - g.pad, g.h, g.r, g.dilation, r0);
      s1 = inside_taps(pixel % g.q * g.stride - g.pad, g.w, g.s, g.dilation, s0);
    }
    ranges[threadIdx.x] = {short(r0), short(r1), short(s0), short(s1)};
  }
  int top[4], left[4], image[4];
#pragma unroll
  for (int j = 0; j < 4; j++) {
    int pixel = row0 + int(threadIdx.x) / 4 + 32 * j;
    bool some = pixel < pixels;
    top[j] = some ? pixel / g.q % g.p * g.stride - g.pad : -(1 << 30);   // no tap of a position past the last is inside
    left[j] = some ? pixel % g.q * g.stride - g.pad : 0;
    image[j] = some ? pixel / g.q / g.p * g.h * g.w : 0;
  }
  struct Tap {
    int down, along, word;
  };
  struct Own {
    float cx, dx, cw[8], dw[8];
    int ones[8];   // of all taps
  };
  bool whole = g.o % 8 == 0;   // so are all lines of ones
  const int* corner = ones + column;
  int line = g.s + 1;
  xnor_tile<PRODUCT, COLUMNS>(
      room, words, unsigned(g.o - column0),
      [&](unsigned* toX, unsigned* toW, unsigned step) {
        stage_rows<kTileRows>(
            toX, x, step, words, unsigned(tapWords),
            [&](unsigned word) {
              int tap = int(word) / tapWords;
              return Tap{tap / g.s * g.dilation, tap % g.s * g.dilation, int(word) % tapWords};
            },
            [&](unsigned j, unsigned, const Tap& tap) {
              int h = top[j] + tap.down, v = left[j] + tap.along;
              bool inside = h >= 0 && h < g.h && v >= 0 && v < g.w;
              return inside ? x + size_t(image[j] + h * g.w + v) * unsigned(tapWords) + tap.word : nullptr;
            });
        stage_matrix<COLUMNS>(toW, taps, unsigned(column0), unsigned(g.o), step, words);
      },
      [&] {
        Own own;
        own.cx = xCentre[0];
        own.dx = xDistance[0];
        load_ones(own.ones, corner + size_t(g.r * line + g.s) * g.o, whole && live > 0, live);
#pragma unroll
        for (unsigned k = 0; k < 8; k++) {
          own.cw[k] = k < live ? wCentre[(column + int(k)) * each] : 0.0f;
          own.dw[k] = k < live ? wDistance[(column + int(k)) * each] : 0.0f;
        }
        return own;
      },
      [&](const Own& own, unsigned row, const int (&common)[8], int onesX) {
        int pixel = row0 + int(row);
        if (pixel >= pixels) return;
        TapRange t = ranges[row];
        int counted = (t.r1 - t.r0) * (t.s1 - t.s0), valid = counted * g.c, onesW[8];
#pragma unroll
        for (unsigned k = 0; k < 8; k++) onesW[k] = own.ones[k];
        if (counted != tapCount) {
#pragma unroll
          for (unsigned at = 0; at < 4; at++) {
            int down = at / 2 ? t.r0 : t.r1, along = at % 2 ? t.s0 : t.s1, v[8] = {};
            if (at != 0 && (down == 0 || along == 0)) continue;   // nothing above or left
            load_ones(v, corner + size_t(down * line + along) * g.o, whole, live);
#pragma unroll
            for (unsigned k = 0; k < 8; k++) onesW[k] = at == 0 ? v[k] : at == 3 ? onesW[k] + v[k] : onesW[k] - v[k];
          }
        }
        int sumX = 2 * onesX - valid;
        float out[8];
#pragma unroll
        for (unsigned k = 0; k < 8; k++) {
          int sumW = 2 * onesW[k] - valid, dot = valid - 2 * onesX - 2 * onesW[k] + 4 * common[k];
          float rest = own.cx * own.dw[k] * float(sumW) + own.cx * own.cw[k] * float(valid) + offset;
          out[k] = g.element == kInt16 ? float(dot) : own.dx * own.dw[k] * float(dot) + (own.dx * own.cw[k] * float(sumX) + rest);
        }
        store_eight(y, g.element, size_t(pixel) * unsigned(g.o) + unsigned(column), live, out);
        if (sumsX && column == 0) sumsX[pixel] = short(sumX);
      });
}

extern __shared__ __align__(16) unsigned xnor_conv2d_room[];

#define XNOR_CONV2D(NAME, PRODUCT, COLUMNS, BLOCKS)                                                                                                  \
  extern "C" __global__ void __launch_bounds__(128, BLOCKS)                                                                                          \
      NAME(void* y, short* sumsX, const unsigned* x, const unsigned* taps, const int* ones, const float* xCentre, const float* xDistance,            \
           const float* wCentre, const float* wDistance, int each, int n, int h, int w, int c, int o, int r, int s, int stride, int pad,             \
           int dilation, int p, int q, int zeroRule, int element, float offset) {                                                                    \
    if constexpr (xnor_has<PRODUCT>()) {                                                                                                             \
      conv<PRODUCT, COLUMNS>(xnor_conv2d_room, y, sumsX, x, taps, ones, xCentre, xDistance, wCentre, wDistance, each,                                \
                             Conv{n, h, w, c, o, r, s, stride, pad, dilation, p, q, zeroRule, element}, offset);                                     \
    }                                                                                                                                                \
  }
XNOR_CONV2D(xnor_conv2d, XnorAnd, 64, 4)
XNOR_CONV2D(xnor_conv2d_wide, XnorAnd, 128, 2)
XNOR_CONV2D(xnor_conv2d_xor, XnorXor, 64, 4)
XNOR_CONV2D(xnor_conv2d_popc, XnorPopc, 64, 2)
