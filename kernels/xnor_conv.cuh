// xnor_conv.cuh -- one block's tile of a binary convolution: 128 positions by 64 or 128 filters, handed over 8 filters at a time
//
//   y = dx dw <bx,bw> + dx cw sum(bx) + cx dw sum(bw) + cx cw V + offset, as xnor_conv2d.cu says
//
// Shapes     as xnor_conv2d.cu; a Conv whose element is int16 hands over <bx,bw> alone
// Launch     block 128; blockIdx.y counts groups of COLUMNS filters; dynamic shared memory of CudaBitOps.room. Between two tiles of a block stands a barrier
// Exactness  a value is the same whoever takes it
#pragma once
#include "xnor_tile.cuh"

struct Conv {
  int n, h, w, c, o, r, s, stride, pad, dilation, p, q, zeroRule, element;
  Divisor overQ, overP, overTapWords, overS;

  __device__ __forceinline__ Conv(int n, int h, int w, int c, int o, int r, int s, int stride, int pad, int dilation, int p, int q, int zeroRule, int element)
      : n(n), h(h), w(w), c(c), o(o), r(r), s(s), stride(stride), pad(pad), dilation(dilation), p(p), q(q), zeroRule(zeroRule), element(element),
        overQ(unsigned(q)), overP(unsigned(p)), overTapWords(unsigned(c + 31) / 32), overS(unsigned(s)) {}

  /** Image, row and column of position i. */
  __device__ __forceinline__ int position(unsigned i, int& row, int& column) const {
    unsigned down, along, line = overQ.divide(i, along), image = overP.divide(line, down);
    row = int(down), column = int(along);
    return int(image);
  }
};

/** Bits of x, filters by taps with their ones, the two sets (each: whether every filter has one), and what is added. */
struct Operands {
  const unsigned *x, *taps;
  const int* ones;
  const float *xCentre, *xDistance, *wCentre, *wDistance;
  int each;
  float offset;
};

/** Which taps of a position are counted: rows [r0, r1), columns [s0, s1). */
struct TapRange {
  short r0, r1, s0, s1;
};

/** The taps of an axis that lie inside: from is the first, the result one past the last. */
__device__ __forceinline__ int inside_taps(int origin, int extent, int taps, int dilation, int& from) {
  auto over = [=](int i) { return dilation == 1 ? i : i / dilation; };
  from = origin >= 0 ? 0 : min(taps, over(dilation - 1 - origin));
  int to = extent <= origin ? 0 : min(taps, over(extent - 1 - origin) + 1);
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

/** take(pixel, column, live, values, sumX): 8 neighbouring columns of a position of the tile, the first `live` of them, and its sum(bx). */
template <class PRODUCT, unsigned COLUMNS, class Take>
__device__ __forceinline__ void conv(unsigned* room, unsigned tile, const Operands& a, const Conv& g, Take take) {
  int tapWords = (g.c + 31) / 32, pixels = g.n * g.p * g.q, tapCount = g.r * g.s, row0 = int(tile * kTileRows), column0 = blockIdx.y * COLUMNS;
  int column = column0 + int(xnor_column<COLUMNS>());
  unsigned words = unsigned(tapCount * tapWords), live = column < g.o ? unsigned(g.o - column) : 0u;
  TapRange* ranges = reinterpret_cast<TapRange*>(room);
  room += kTileRows * sizeof(TapRange) / sizeof(unsigned);
  {
    int r0 = 0, s0 = 0, r1 = g.r, s1 = g.s;
    if (g.zeroRule) {
      int row, along;
      g.position(unsigned(min(row0 + int(threadIdx.x), pixels - 1)), row, along);
      r1 = inside_taps(row * g.stride - g.pad, g.h, g.r, g.dilation, r0);
      s1 = inside_taps(along * g.stride - g.pad, g.w, g.s, g.dilation, s0);
    }
    ranges[threadIdx.x] = {short(r0), short(r1), short(s0), short(s1)};
  }
  int top[4], left[4], image[4];
#pragma unroll
  for (int j = 0; j < 4; j++) {
    int pixel = row0 + int(threadIdx.x) / 4 + 32 * j, row, along, of = g.position(unsigned(pixel), row, along);
    bool some = pixel < pixels;
    top[j] = some ? row * g.stride - g.pad : -(1 << 30);   // no tap of a position past the last is inside
    left[j] = some ? along * g.stride - g.pad : 0;
    image[j] = some ? of * g.h * g.w : 0;
  }
  struct Tap {
    int down, along, word;
  };
  struct Own {
    float cx, dx, cw[8], dw[8];
    int ones[8];   // of all taps
  };
  bool whole = g.o % 8 == 0;   // so are all lines of ones
  const int* corner = a.ones + column;
  int line = g.s + 1;
  xnor_tile<PRODUCT, COLUMNS>(
      room, words, unsigned(g.o - column0),
      [&](unsigned* toX, unsigned* toW, unsigned step) {
        stage_rows<kTileRows>(
            toX, a.x, step, words, unsigned(tapWords),
            [&](unsigned word) {
              unsigned of, along, tap = g.overTapWords.divide(word, of), down = g.overS.divide(tap, along);
              return Tap{int(down) * g.dilation, int(along) * g.dilation, int(of)};
            },
            [&](unsigned j, unsigned, const Tap& tap) {
              int h = top[j] + tap.down, v = left[j] + tap.along;
              bool inside = h >= 0 && h < g.h && v >= 0 && v < g.w;
              return inside ? a.x + size_t(image[j] + h * g.w + v) * unsigned(tapWords) + tap.word : nullptr;
            });
        stage_matrix<COLUMNS>(toW, a.taps, unsigned(column0), unsigned(g.o), step, words);
      },
      [&] {
        Own own;
        own.cx = a.xCentre[0];
        own.dx = a.xDistance[0];
        load_ones(own.ones, corner + size_t(g.r * line + g.s) * g.o, whole && live > 0, live);
#pragma unroll
        for (unsigned k = 0; k < 8; k++) {
          own.cw[k] = k < live ? a.wCentre[(column + int(k)) * a.each] : 0.0f;
          own.dw[k] = k < live ? a.wDistance[(column + int(k)) * a.each] : 0.0f;
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
          float rest = own.cx * own.dw[k] * float(sumW) + own.cx * own.cw[k] * float(valid) + a.offset;
          out[k] = g.element == kInt16 ? float(dot) : own.dx * own.dw[k] * float(dot) + (own.dx * own.cw[k] * float(sumX) + rest);
        }
        take(unsigned(pixel), unsigned(column), live, out, sumX);
      });
}
