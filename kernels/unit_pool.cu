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

struct Windows {
  FIELD(int, h);
  FIELD(int, w);
  FIELD(int, p);
  FIELD(int, q);
  FIELD(int, size);
  FIELD(int, stride);
  FIELD(int, pad);
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
  template <unsigned W> __device__ __forceinline__ void gather(float (&g)[W], unsigned row, unsigned c) const {
    const Windows& k = windows;
    int n = int(row) / k.w / k.h, h = int(row) / k.w % k.h, w = int(row) % k.w;
    int p0 = h + k.pad - k.size + 1 <= 0 ? 0 : (h + k.pad - k.size + k.stride) / k.stride, p1 = min((h + k.pad) / k.stride + 1, k.p);
    int q0 = w + k.pad - k.size + 1 <= 0 ? 0 : (w + k.pad - k.size + k.stride) / k.stride, q1 = min((w + k.pad) / k.stride + 1, k.q);
#pragma unroll
    for (unsigned j = 0; j < W; j++) g[j] = 0;
    for (int p = p0; p < p1; p++) {
#pragma unroll 1
      for (int q = q0; q < q1; q++) {
        unsigned i = ((n * k.p + p) * k.q + q) * channels + c;
        unsigned char which = static_cast<unsigned char>((h - p * k.stride + k.pad) * k.size + w - q * k.stride + k.pad);
#pragma unroll
        for (unsigned j = 0; j < W; j++) {
          if (!chosen || chosen[i + j] == which) g[j] += load(gradZ + i + j);
        }
      }
    }
  }
};

#define ELEMENT_FILE "unit_pool.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(unit_pool_forward)(const UnitPoolForward<ELEMENT> a) {
  const Windows& k = a.windows;
  for_each_vector<kWide<ELEMENT>>(a.n, a.channels % kWide<ELEMENT> == 0, [&](unsigned i, auto lanes) {
    constexpr unsigned W = lanes.value;
    unsigned c = i % a.channels, pixel = i / a.channels;
    int n = int(pixel) / k.q / k.p, top = int(pixel) / k.q % k.p * k.stride - k.pad, left = int(pixel) % k.q * k.stride - k.pad;
    NormOf<W> norm(a.norm, c);
    float best[W];
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
          v[j] = rounded<ELEMENT>(a.f.value(norm.apply(v[j], j), c + j));
          if (here == first || v[j] > best[j]) which[j] = here;
          if (here == first || v[j] > best[j] || v[j] != v[j]) best[j] = v[j];
        }
      }
    }
    store_vector(a.z + i, best);
    if (!a.chosen) return;
#pragma unroll
    for (unsigned j = 0; j < W; j++) a.chosen[i + j] = static_cast<unsigned char>(which[j]);
  });
}

ONEBIT_KERNEL(256) ENTRY(unit_pool_backward)(const UnitPoolBackward<ELEMENT> a) {
  __shared__ double tile[4 * kSumTile];
  channel_sums<4>(a.partial, a.rows, a.channels, tile, [&](unsigned i, unsigned c, auto width, auto& each) {
    constexpr unsigned W = width.value;
    float g[W], y[W];
    a.gather(g, (i - c) / a.channels, c);
    load_vector(a.y + i, y);
    NormOf<W> norm(a.norm, c);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      float t = norm.apply(y[k], k);
      each[2][k] = g[k] * (t > 0 ? t : 0.0f);
      each[3][k] = g[k] * (t < 0 ? t : 0.0f);
      g[k] = rounded<ELEMENT>(a.f.back(g[k], t, c + k));
      each[0][k] = g[k];
      each[1][k] = g[k] * ((y[k] - norm.mean[k]) * norm.inverse[k]);
    }
  });
  finish_sums<4>(a.partial, a.counters, a.channels, [&](unsigned c, const double (&total)[4]) { a.to.finish(c, total, a.rows, a.norm); });
}

ONEBIT_KERNEL(256) ENTRY(unit_pool_backward_apply)(const UnitPoolBackward<ELEMENT> a) {
  for_each_vector<kWide<ELEMENT>>(a.rows * a.channels, a.channels % kWide<ELEMENT> == 0, [&](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    unsigned c = i % a.channels;
    float g[W], y[W], ofG[W], ofGx[W];
    a.gather(g, i / a.channels, c);
    load_vector(a.y + i, y);
    load_vector(a.to.meanG + c, ofG);
    load_vector(a.to.meanGx + c, ofGx);
    NormOf<W> norm(a.norm, c);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      float t = norm.apply(y[k], k), back = rounded<ELEMENT>(a.f.back(g[k], t, c + k));
      g[k] = norm.scale[k] * norm.inverse[k] * (back - ofG[k] - (y[k] - norm.mean[k]) * ofGx[k]);
    }
    store_vector(a.gradY + i, g);
  });
}
#endif
