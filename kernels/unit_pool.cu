// unit_pool.cu -- what follows a real convolution: batch norm, nonlinearity and max pooling, with nothing kept but the convolution's result
//
//   t = batch norm(y), z = the largest f(t) of the window, chosen = which of the window it is, the first in row order; null where it has one pixel
//   unit_pool_forward         z and chosen
//   unit_pool_backward        gradGamma, gradBeta, gradPositive, gradNegative; the gradient of t is gathered from gradZ and never stored
//   unit_pool_backward_apply  gradY, which may take the place of y
//
// Shapes     y, gradY N,H,W,C; z, gradZ N,P,Q,C; chosen N,P,Q,C bytes: row of the window * window + column; partial [splits][4][C] double
//            images are float, or bfloat16 in the entries named _bf16; the rest is float
// Launch     unit_pool_forward block 256, unit_pool_backward_apply block 128, any grid; unit_pool_backward block 128, grid (any number of splits,
//            ceil(C / 64))
// Limits     N * H * W * C < 2^31; window <= 15; counters hold 0 before and after
// Exactness  values in the operations of batch_norm.cu, maxout.cu, activate.cu and pool.cu; sums are double in the order of unit_passes.cuh
// Twin       src/main/java/onebit/ops/cpu/CpuFusedOps.java, poolForward, poolBackward
// Tests      native-tests/unit_test.cpp, src/test/java/onebit/ops/FusedOpsTest.java
// Source     Ioffe and Szegedy 2015, arXiv 1502.03167; anchors/performance.md section 7, stem
// Rungs      1 seven simple launches, 2 one pass forward, two backward, 3 ways of their own for windows of 3 by steps of 2, all loads asked for at once:
//            a thread of the backward has the four pixels in the middle of a window
#ifndef ELEMENT
#include "unit_passes.cuh"

/** W neighbouring bytes to an address that is a multiple of W; 1, 4 or 8. */
template <unsigned W> __device__ __forceinline__ void store_bytes(unsigned char* p, const unsigned (&v)[W]) {
  unsigned words[(W + 3) / 4] = {};
#pragma unroll
  for (unsigned k = 0; k < W; k++) words[k / 4] |= v[k] << k % 4 * 8;
  if constexpr (W == 8) *reinterpret_cast<uint2*>(p) = make_uint2(words[0], words[1]);
  else if constexpr (W == 4) *reinterpret_cast<unsigned*>(p) = words[0];
  else *p = static_cast<unsigned char>(words[0]);
}

struct Windows {
  FIELD(int, h);
  FIELD(int, w);
  FIELD(int, p);
  FIELD(int, q);
  FIELD(int, size);
  FIELD(int, stride);
  FIELD(int, pad);

  /** i / stride, i not negative, without a division for the usual strides. */
  __device__ __forceinline__ int over(int i) const { return stride == 1 ? i : stride == 2 ? i >> 1 : i / stride; }

  /** Windows of 3 by steps of 2 with 1 pixel around an image of even sides. */
  __device__ __forceinline__ bool of_three() const { return size == 3 && stride == 2 && pad == 1 && h == 2 * p && w == 2 * q; }

  /** The first window over row or column i. */
  __device__ __forceinline__ int first(int i) const {
    int before = i + pad - size;
    return before < 0 ? 0 : over(before + stride);
  }
};

template <class E> struct UnitPoolForward {
  E* z;
  unsigned char* chosen;
  const E* y;
  Norm norm;
  Nonlinearity f;
  Windows windows;
  FIELD(unsigned, n);
  FIELD(unsigned, channels);
};

template <class E> struct UnitPoolBackward {
  E* gradY;
  double* partial;
  unsigned* counters;
  UnitSums to;
  const E* gradZ;
  const unsigned char* chosen;
  const E* y;
  Norm norm;
  Nonlinearity f;
  Windows windows;
  FIELD(unsigned, rows);
  FIELD(unsigned, channels);

  /** g = the sum of gradZ over the windows that chose a value, for 8 channels of a row. */
  __device__ __forceinline__ void gather(float (&g)[8], unsigned row, unsigned c, Live live, const Divisor& overW, const Divisor& overH) const {
    const Windows& k = windows;
    if (k.size == 1 && k.stride == 1 && k.pad == 0 && !chosen) {
      load_live(gradZ + row * channels + c, g, live);
      return;
    }
    unsigned down, along;
    int n = int(overH.divide(overW.divide(row, along), down)), h = int(down), w = int(along);
    int p0 = k.first(h), p1 = min(k.over(h + k.pad) + 1, k.p), q0 = k.first(w), q1 = min(k.over(w + k.pad) + 1, k.q);
#pragma unroll
    for (unsigned j = 0; j < 8; j++) g[j] = 0;
    for (int p = p0; p < p1; p++) {
#pragma unroll 1
      for (int q = q0; q < q1; q++) {
        float z[8];
        unsigned i = unsigned((n * k.p + p) * k.q + q) * channels + c;
        unsigned char which = static_cast<unsigned char>((h - p * k.stride + k.pad) * k.size + w - q * k.stride + k.pad);
        load_live(gradZ + i, z, live);
#pragma unroll
        for (unsigned j = 0; j < 8; j++) {
          if (j < live.count && (!chosen || chosen[i + j] == which)) g[j] += z[j];
        }
      }
    }
  }

  /** Whether every window has its own four pixels in its middle, with bfloat16 elements. */
  __device__ __forceinline__ bool fours() const { return sizeof(E) == 2 && windows.of_three() && channels % 8 == 0; }
};

/** Norm and nonlinearity of 8 channels of a pass that gives a pixel's gradient back. */
template <int KNOWN> struct PoolUnit {
  NormOf<8> norm;
  NonlinearityOf<8, KNOWN> f;

  template <class E> __device__ __forceinline__ PoolUnit(const UnitPoolBackward<E>& a, unsigned c, Live live) : norm(a.norm, c, live), f(a.f, c, live) {}

  /** Adds a pixel to the sums, from its gradient g and its y. */
  template <class E> __device__ __forceinline__ void add(const float (&g)[8], const float (&y)[8], Live live, BackwardSums<E>& sums) const {
#pragma unroll
    for (unsigned k = 0; k < 8; k++) {
      if (k >= live.count) break;
      float t = norm.apply(y[k], k), back = rounded<E>(f.back(g[k], t, k));
      sums.of[0][k] += back;
      sums.of[1][k] += back * norm.hat(y[k], k);
      sums.of[2][k] += g[k] * (t > 0 ? t : 0.0f);
      sums.of[3][k] += g[k] * (t < 0 ? t : 0.0f);
    }
  }

  /** The gradient of y in place of g. */
  template <class E> __device__ __forceinline__ void apply(float (&g)[8], const float (&y)[8], const float (&ofG)[8], const float (&ofGx)[8]) const {
#pragma unroll
    for (unsigned k = 0; k < 8; k++) {
      g[k] = norm.back(rounded<E>(f.back(g[k], norm.apply(y[k], k), k)), ofG[k], ofGx[k], y[k], k);
    }
  }
};

/**
 * Windows of 3 by steps of 2 with 1 pixel around an image of even sides: the four pixels in the middle of window (a, b), which are no other window's
 * middle, and what the windows (a, b), (a, b + 1), (a + 1, b) and (a + 1, b + 1) give back to them, all asked for at once.
 */
struct FourPixels {
  uint4 y[4], z[4];
  uint2 of[4];
  unsigned first, line;

  /** window: its number; c: the first of 8 channels. */
  template <class E> __device__ __forceinline__ FourPixels(const UnitPoolBackward<E>& a, unsigned window, unsigned c, const Divisor& overQ, const Divisor& overP) {
    unsigned column, row, p = unsigned(a.windows.p), q = unsigned(a.windows.q), image = overP.divide(overQ.divide(window, column), row);
    line = 2 * q * a.channels;
    first = ((image * p + row) * 2 * line) + 2 * column * a.channels + c;
#pragma unroll
    for (unsigned i = 0; i < 4; i++) {
      y[i] = *reinterpret_cast<const uint4*>(a.y + first + i / 2 * line + i % 2 * a.channels);
      z[i] = {}, of[i] = make_uint2(~0u, ~0u);
      if ((i % 2 && column + 1 == q) || (i / 2 && row + 1 == p)) continue;
      unsigned at = (window + i / 2 * q + i % 2) * a.channels + c;
      z[i] = *reinterpret_cast<const uint4*>(a.gradZ + at);
      of[i] = *reinterpret_cast<const uint2*>(a.chosen + at);
    }
  }

  /** y and g of pixel i of the four: row i / 2, column i % 2. */
  template <unsigned I, class E> __device__ __forceinline__ void take(float (&v)[8], float (&g)[8], const E* type) const {
    unpack_vector(&y[I], 0, v, type);
#pragma unroll
    for (unsigned k = 0; k < 8; k++) g[k] = 0;
#pragma unroll
    for (unsigned window = 0; window < 4; window++) {   // pixel (1 + down, 1 + along) of window 0
      constexpr unsigned down = I / 2, along = I % 2;
      if (window / 2 > down || window % 2 > along) continue;
      unsigned which = (1 + down - 2 * (window / 2)) * 3 + 1 + along - 2 * (window % 2);
      float given[8];
      unpack_vector(&z[window], 0, given, type);
#pragma unroll
      for (unsigned k = 0; k < 8; k++) {
        if (((k < 4 ? of[window].x : of[window].y) >> k % 4 * 8 & 255) == which) g[k] += given[k];
      }
    }
  }

  /** f(i, y, g) for each of the four. */
  template <class E, class F> __device__ __forceinline__ void each(const E* type, F f) const {
    float v[8], g[8];
    take<0>(v, g, type), f(0, v, g);
    take<1>(v, g, type), f(1, v, g);
    take<2>(v, g, type), f(2, v, g);
    take<3>(v, g, type), f(3, v, g);
  }
};

/** Sums over all pixels of this block's tiles, pixel by pixel. */
template <int KNOWN, class E> __device__ __forceinline__ void pool_rows(const UnitPoolBackward<E>& a, BackwardSums<E>& sums) {
  unsigned c = tile_channel();
  Live live = tile_live(c, a.channels);
  Divisor overW(unsigned(a.windows.w)), overH(unsigned(a.windows.h));
  for (unsigned tile = blockIdx.x; c < a.channels && tile * kTileRows < a.rows; tile += gridDim.x) {
    PoolUnit<KNOWN> unit(a, c, live);
#pragma unroll 1
    for (unsigned row = tile * kTileRows + threadIdx.x / 8; row < min(a.rows, (tile + 1) * kTileRows); row += 16) {
      float g[8], y[8];
      load_live(a.y + row * a.channels + c, y, live);
      a.gather(g, row, c, live, overW, overH);
      unit.add(g, y, live, sums);
    }
    sums.keep();
  }
}

/** The same, four pixels at a time: a tile of pixels is kTileRows / 4 windows. */
template <int KNOWN, class E> __device__ __forceinline__ void pool_fours(const UnitPoolBackward<E>& a, BackwardSums<E>& sums) {
  unsigned c = tile_channel(), windows = a.rows / 4;
  if (c >= a.channels) return;
  Divisor overQ(unsigned(a.windows.q)), overP(unsigned(a.windows.p));
  PoolUnit<KNOWN> unit(a, c, kAll);
  for (unsigned tile = blockIdx.x; tile * (kTileRows / 4) < windows; tile += gridDim.x) {
#pragma unroll 1
    for (unsigned window = tile * (kTileRows / 4) + threadIdx.x / 8; window < min(windows, (tile + 1) * (kTileRows / 4)); window += 16) {
      FourPixels pixels(a, window, c, overQ, overP);
      pixels.each(a.y, [&](unsigned, const float(&y)[8], const float(&g)[8]) { unit.add(g, y, kAll, sums); });
    }
    sums.keep();
  }
}

/** W channels of a window's largest value and which of the window it is, from window (row, column) of an image: windows of 3 by steps of 2. */
template <int KNOWN, unsigned W, class E>
__device__ __forceinline__ void largest_of_nine(const UnitPoolForward<E>& a, unsigned i, unsigned c, unsigned image, unsigned row, unsigned column) {
  unsigned h = unsigned(a.windows.h), w = unsigned(a.windows.w), centre = ((image * h + 2 * row) * w + 2 * column) * a.channels + c;
  bool top = row == 0, left = column == 0;
  Ahead<E, W> y[9];
#pragma unroll
  for (unsigned at = 0; at < 9; at++) {
    if ((at / 3 == 0 && top) || (at % 3 == 0 && left)) continue;
    y[at].ask(a.y + centre + (at / 3) * w * a.channels - w * a.channels + at % 3 * a.channels - a.channels, true);
  }
  NormOf<W> norm(a.norm, c);
  NonlinearityOf<W, KNOWN> f(a.f, c);
  float best[W];
  unsigned which[W];
#pragma unroll
  for (unsigned k = 0; k < W; k++) best[k] = -INFINITY, which[k] = (top ? 3 : 0) + (left ? 1 : 0);
#pragma unroll
  for (unsigned at = 0; at < 9; at++) {
    if ((at / 3 == 0 && top) || (at % 3 == 0 && left)) continue;
    float v[W];
    y[at].take(v, 0, kAll);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      v[k] = rounded<E>(f.value(norm.apply(v[k], k), k));
      if (v[k] > best[k]) which[k] = at;
      if (v[k] > best[k] || v[k] != v[k]) best[k] = v[k];
    }
  }
  store_vector(a.z + i, best);
  if (a.chosen) store_bytes(a.chosen + i, which);
}

#define ELEMENT_FILE "unit_pool.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256, 2) ENTRY(unit_pool_forward)(const UnitPoolForward<ELEMENT> a) {
  const Windows& k = a.windows;
  Divisor overQ(unsigned(k.q)), overP(unsigned(k.p)), overChannels(a.channels);
  constexpr unsigned WIDE = kWide<ELEMENT>;
  if (a.f.plain() && k.of_three() && a.channels % WIDE == 0) {
    FOR_EACH(vector, a.n / WIDE) {
      unsigned c, row, column, window = overChannels.divide(vector * WIDE, c), image = overP.divide(overQ.divide(window, column), row);
      largest_of_nine<kPlain, WIDE>(a, vector * WIDE, c, image, row, column);
    }
    return;
  }
  with_known(a.f.plain(), [&](auto known) {
    for_each_vector<kWide<ELEMENT>>(a.n, a.channels % kWide<ELEMENT> == 0, [&](unsigned i, auto lanes) {
      constexpr unsigned W = lanes.value;
      unsigned c, down, along, pixel = overChannels.divide(i, c);
      int n = int(overP.divide(overQ.divide(pixel, along), down)), top = int(down) * k.stride - k.pad, left = int(along) * k.stride - k.pad;
      NormOf<W> norm(a.norm, c);
      NonlinearityOf<W, decltype(known)::value> f(a.f, c);
      float best[W] = {};
      unsigned which[W] = {};
      unsigned first = unsigned(max(0, -top) * k.size + max(0, -left));
      for (int h = max(0, top); h < min(k.h, top + k.size); h++) {
#pragma unroll 1
        for (int w = max(0, left); w < min(k.w, left + k.size); w++) {
          unsigned here = unsigned((h - top) * k.size + w - left);
          float v[W];
          load_vector(a.y + ((n * k.h + h) * k.w + w) * a.channels + c, v);
#pragma unroll
          for (unsigned j = 0; j < W; j++) {
            v[j] = rounded<ELEMENT>(f.value(norm.apply(v[j], j), j));
            if (here == first || v[j] > best[j]) which[j] = here;
            if (here == first || v[j] > best[j] || v[j] != v[j]) best[j] = v[j];
          }
        }
      }
      store_vector(a.z + i, best);
      if (a.chosen) store_bytes(a.chosen + i, which);
    });
  });
}

ONEBIT_KERNEL(128, kBackwardBlocks<ELEMENT>) ENTRY(unit_pool_backward)(const UnitPoolBackward<ELEMENT> a) {
  __shared__ double room[kTileSums<4>], kept[kOwnSums];
  BackwardSums<ELEMENT> sums(kept);
  if (!a.f.plain()) pool_rows<kAnything>(a, sums);
  else if (a.fours()) pool_fours<kPlain>(a, sums);
  else pool_rows<kPlain>(a, sums);
  finish_tiles<4>(sums, a.partial, a.counters, a.channels, room, [&](unsigned c, const double (&total)[4]) { a.to.finish(c, total, a.rows, a.norm); });
}

ONEBIT_KERNEL(128, 3) ENTRY(unit_pool_backward_apply)(const UnitPoolBackward<ELEMENT> a) {
  unsigned across = (a.channels + 7) / 8;
  Divisor overAcross(across);
  if (a.f.plain() && a.fours()) {
    Divisor overQ(unsigned(a.windows.q)), overP(unsigned(a.windows.p));
    FOR_EACH(i, a.rows / 4 * across) {
      unsigned group, window = overAcross.divide(i, group), c = group * 8;
      FourPixels pixels(a, window, c, overQ, overP);
      float ofG[8], ofGx[8];
      load_vector(a.to.meanG + c, ofG);
      load_vector(a.to.meanGx + c, ofGx);
      PoolUnit<kPlain> unit(a, c, kAll);
      pixels.each(a.y, [&](unsigned at, const float(&y)[8], float(&g)[8]) {
        unit.template apply<ELEMENT>(g, y, ofG, ofGx);
        store_vector(a.gradY + pixels.first + at / 2 * pixels.line + at % 2 * a.channels, g);
      });
    }
    return;
  }
  Divisor overW(unsigned(a.windows.w)), overH(unsigned(a.windows.h));
  with_known(a.f.plain(), [&](auto known) {
    FOR_EACH(i, a.rows * across) {
      unsigned group, row = overAcross.divide(i, group), c = group * 8;
      Live live = tile_live(c, a.channels);
      float g[8], y[8], ofG[8], ofGx[8];
      load_live(a.y + row * a.channels + c, y, live);
      a.gather(g, row, c, live, overW, overH);
      load_live(a.to.meanG + c, ofG, live);
      load_live(a.to.meanGx + c, ofGx, live);
      PoolUnit<decltype(known)::value>(a, c, live).template apply<ELEMENT>(g, y, ofG, ofGx);
      store_live(a.gradY + row * a.channels + c, g, live);
    }
  });
}
#endif
