// unit_pool.cu -- what follows a real convolution: batch norm, nonlinearity and max pooling, with nothing kept but the convolution's result
//
//   t = batch norm(y), z = the largest f(t) of the window, chosen = which of the window it is, the first in row order; null where it has one pixel
//   unit_pool_forward         z and chosen
//   unit_pool_backward        gradGamma, gradBeta, gradPositive, gradNegative; the gradient of t is gathered from gradZ and never stored
//   unit_pool_backward_apply  gradY, which may take the place of y
//
// Shapes     y, gradY N,H,W,C; z, gradZ N,P,Q,C; chosen N,P,Q,C bytes: row of the window * window + column; partial [splits][4][C] double
//            images are float, or bfloat16 in the entries named _bf16; the rest is float
// Launch     block 256, any grid; unit_pool_backward as channel_sums in common.cuh
// Limits     N * H * W * C < 2^31; window <= 15; counters hold 0 before and after
// Exactness  values and sums in the operations and the order of batch_norm.cu, maxout.cu, activate.cu and pool.cu
// Twin       src/main/java/onebit/ops/cpu/CpuFusedOps.java, poolForward, poolBackward
// Tests      native-tests/unit_test.cpp, src/test/java/onebit/ops/FusedOpsTest.java
// Source     Ioffe and Szegedy 2015, arXiv 1502.03167; anchors/performance.md section 7, stem
// Rungs      1 seven simple launches, 2 one pass forward, two backward
#ifndef ELEMENT
#include "unit.cuh"

/** W neighbouring bytes at an address that is a multiple of W; 1, 4 or 8. */
template <unsigned W> __device__ __forceinline__ void load_bytes(const unsigned char* p, unsigned char (&v)[W]) {
  unsigned words[(W + 3) / 4];
  if constexpr (W == 8) {
    uint2 pair = *reinterpret_cast<const uint2*>(p);
    words[0] = pair.x, words[1] = pair.y;
  } else {
    words[0] = W == 4 ? *reinterpret_cast<const unsigned*>(p) : *p;
  }
#pragma unroll
  for (unsigned k = 0; k < W; k++) v[k] = static_cast<unsigned char>(words[k / 4] >> k % 4 * 8);
}

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

  /** g = the sum of gradZ over the windows that chose a value, for W channels of a row. */
  template <unsigned W> __device__ __forceinline__ void gather(float (&g)[W], unsigned row, unsigned c, const Divisor& overW, const Divisor& overH) const {
    const Windows& k = windows;
    if (k.size == 1 && k.stride == 1 && k.pad == 0 && !chosen) {
      load_vector(gradZ + row * channels + c, g);
      return;
    }
    unsigned down, along;
    int n = int(overH.divide(overW.divide(row, along), down)), h = int(down), w = int(along);
    int p0 = k.first(h), p1 = min(k.over(h + k.pad) + 1, k.p), q0 = k.first(w), q1 = min(k.over(w + k.pad) + 1, k.q);
#pragma unroll
    for (unsigned j = 0; j < W; j++) g[j] = 0;
    auto add = [&](const float(&z)[W], const unsigned char(&of)[W], int p, int q) {
      unsigned char which = static_cast<unsigned char>((h - p * k.stride + k.pad) * k.size + w - q * k.stride + k.pad);
#pragma unroll
      for (unsigned j = 0; j < W; j++) {
        if (!chosen || of[j] == which) g[j] += z[j];
      }
    };
    unsigned origin = unsigned((n * k.p + p0) * k.q + q0) * channels + c;
    if (k.size <= 2 * k.stride) {   // at most two windows an axis: all four asked for before the first is needed
      float z[4][W] = {};
      unsigned char of[4][W] = {};
#pragma unroll
      for (int at = 0; at < 4; at++) {
        unsigned i = origin + unsigned(at / 2 * k.q + at % 2) * channels;
        if (p0 + at / 2 >= p1 || q0 + at % 2 >= q1) continue;
        load_vector(gradZ + i, z[at]);
        if (chosen) load_bytes(chosen + i, of[at]);
      }
#pragma unroll
      for (int at = 0; at < 4; at++) {
        if (p0 + at / 2 < p1 && q0 + at % 2 < q1) add(z[at], of[at], p0 + at / 2, q0 + at % 2);
      }
      return;
    }
    for (int p = p0; p < p1; p++) {
#pragma unroll 1
      for (int q = q0; q < q1; q++) {
        float z[W];
        unsigned char of[W] = {};
        unsigned i = origin + unsigned((p - p0) * k.q + q - q0) * channels;
        load_vector(gradZ + i, z);
        if (chosen) load_bytes(chosen + i, of);
        add(z, of, p, q);
      }
    }
  }
};

#define ELEMENT_FILE "unit_pool.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256, 3) ENTRY(unit_pool_forward)(const UnitPoolForward<ELEMENT> a) {
  const Windows& k = a.windows;
  Divisor overQ(unsigned(k.q)), overP(unsigned(k.p)), overChannels(a.channels);
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

ONEBIT_KERNEL(256, 2) ENTRY(unit_pool_backward)(const UnitPoolBackward<ELEMENT> a) {
  __shared__ double tile[4 * kSumTile];
  Divisor overW(unsigned(a.windows.w)), overH(unsigned(a.windows.h)), overChannels(a.channels);
  with_known(a.f.plain(), [&](auto known) {
    channel_sums<4>(a.partial, a.rows, a.channels, tile, [&](unsigned i, unsigned c, auto width, auto& each) {
      constexpr unsigned W = width.value;
      float g[W], y[W];
      unsigned none, row = overChannels.divide(i - c, none);
      load_vector(a.y + i, y);
      a.gather(g, row, c, overW, overH);
      NormOf<W> norm(a.norm, c);
      NonlinearityOf<W, decltype(known)::value> f(a.f, c);
#pragma unroll
      for (unsigned k = 0; k < W; k++) {
        float t = norm.apply(y[k], k);
        each[2][k] = g[k] * (t > 0 ? t : 0.0f);
        each[3][k] = g[k] * (t < 0 ? t : 0.0f);
        g[k] = rounded<ELEMENT>(f.back(g[k], t, k));
        each[0][k] = g[k];
        each[1][k] = g[k] * norm.hat(y[k], k);
      }
    });
  });
  finish_sums<4>(a.partial, a.counters, a.channels, [&](unsigned c, const double (&total)[4]) { a.to.finish(c, total, a.rows, a.norm); });
}

ONEBIT_KERNEL(256, 3) ENTRY(unit_pool_backward_apply)(const UnitPoolBackward<ELEMENT> a) {
  Divisor overW(unsigned(a.windows.w)), overH(unsigned(a.windows.h)), overChannels(a.channels);
  with_known(a.f.plain(), [&](auto known) {
    for_each_vector<4>(a.rows * a.channels, a.channels % 4 == 0, [&](unsigned i, auto width) {
      constexpr unsigned W = width.value;
      unsigned c, row = overChannels.divide(i, c);
      float g[W], y[W], ofG[W], ofGx[W];
      load_vector(a.y + i, y);
      a.gather(g, row, c, overW, overH);
      load_vector(a.to.meanG + c, ofG);
      load_vector(a.to.meanGx + c, ofGx);
      NormOf<W> norm(a.norm, c);
      NonlinearityOf<W, decltype(known)::value> f(a.f, c);
#pragma unroll
      for (unsigned k = 0; k < W; k++) {
        float t = norm.apply(y[k], k), back = rounded<ELEMENT>(f.back(g[k], t, k));
        g[k] = norm.back(back, ofG[k], ofGx[k], y[k], k);
      }
      store_vector(a.gradY + i, g);
    });
  });
}
#endif
