// pool.cu -- pooling and the parameter-free shortcuts
//
//   max_pool           y = the largest value of the window inside the image
//   max_pool_backward  gradX = the sum of gradY over the windows whose first largest value in row order is this one
//   average_pool       y = the mean of the window inside the image; backward spreads gradY evenly
//   reduce_pad         y = the window's sum / window^2 in the middle channels, 0 in the others (window 1: subsampling)
//
// Shapes     x, gradX N,H,W,C; y, gradY N,P,Q,C, or N,P,Q,D for reduce_pad, D - C zero channels around; n values of the destination
//            all are float, or bfloat16 in the entries named _bf16
// Launch     block 256, any grid; a thread per value of the destination, or per 16 bytes of them
// Limits     n < 2^31
// Exactness  gradients are gathered in row order of the windows: equal to the twin, in bfloat16 its nearest
// Twin       src/main/java/onebit/ops/cpu/CpuPoolOps.java, maxPool, averagePool, subsamplePad, poolPad and their backwards
// Tests      native-tests/pool_test.cpp, src/test/java/onebit/ops/PoolOpsTest.java
// Source     He et al. 2016, shortcut option A, for reduce_pad with window 1
// Rungs      1 one thread per value of the destination, gradients gathered, 2 neighbouring channels in 16 bytes, 3 places by multiplications, four pixels of
//            an average asked for at once
#ifndef ELEMENT
#include "element.cuh"

struct Place {
  int n, h, w, c;
};

/** Where the i-th value of images lies. */
struct Places {
  Divisor height, width, channels;

  __device__ __forceinline__ Places(int height, int width, int channels) : height(unsigned(height)), width(unsigned(width)), channels(unsigned(channels)) {}

  __device__ __forceinline__ Place at(unsigned i) const {
    unsigned c, w, h, n = height.divide(width.divide(channels.divide(i, c), w), h);
    return {int(n), int(h), int(w), int(c)};
  }
};

/** The windows that hold a coordinate of an image: the first, and one past the last. */
struct WindowsOver {
  int window, pad;
  Divisor stride;

  __device__ __forceinline__ WindowsOver(int window, int stride, int pad) : window(window), pad(pad), stride(unsigned(stride)) {}

  __device__ __forceinline__ void at(int h, int count, int& from, int& to) const {
    unsigned rest;
    int before = h + pad - window;
    from = before < 0 ? 0 : int(stride.divide(unsigned(before) + stride.by, rest));
    to = min(int(stride.divide(unsigned(h + pad), rest)) + 1, count);
  }
};

/** Adds the pixels of a window in row order, a few asked for at once: rows by columns of them from x on, in an image w pixels wide. */
template <unsigned W, class E> __device__ __forceinline__ void add_window(float (&sum)[W], const E* x, int rows, int columns, int w, int c) {
  constexpr int kTogether = 4;
  int column = 0;
#pragma unroll 1
  for (int left = rows * columns; left > 0; left -= kTogether) {
    float v[kTogether][W];
#pragma unroll
    for (int j = 0; j < kTogether; j++) {
      if (j >= left) continue;
      load_vector(x, v[j]);
      bool ends = ++column == columns;
      x += ends ? (w - columns + 1) * c : c;
      column = ends ? 0 : column;
    }
#pragma unroll
    for (int j = 0; j < kTogether; j++) {
      if (j >= left) continue;
#pragma unroll
      for (unsigned k = 0; k < W; k++) sum[k] += v[j][k];
    }
  }
}

#define ELEMENT_FILE "pool.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256, 4) ENTRY(max_pool)(ELEMENT* y, const ELEMENT* x, unsigned n, int h, int w, int c, int p, int q, int window, int stride,
                                   int pad) {
  Places places(p, q, c);
  for_each_vector<kWide<ELEMENT>>(n, c % kWide<ELEMENT> == 0 && aligned(y, x), [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    Place at = places.at(i);
    int h0 = max(0, at.h * stride - pad), h1 = min(h, at.h * stride - pad + window);
    int w0 = max(0, at.w * stride - pad), w1 = min(w, at.w * stride - pad + window);
    float best[W];
#pragma unroll
    for (unsigned k = 0; k < W; k++) best[k] = __int_as_float(0xff800000);
    for (int hh = h0; hh < h1; hh++) {
      for (int ww = w0; ww < w1; ww++) {
        float v[W];
        load_vector(x + ((at.n * h + hh) * w + ww) * c + at.c, v);
#pragma unroll
        for (unsigned k = 0; k < W; k++) {
          if (v[k] > best[k] || v[k] != v[k]) best[k] = v[k];
        }
      }
    }
    store_vector(y + i, best);
  });
}

ONEBIT_KERNEL(256) ENTRY(max_pool_backward)(ELEMENT* gradX, const ELEMENT* gradY, const ELEMENT* x, unsigned n, int h, int w, int c, int p,
                                            int q, int window, int stride, int pad) {
  Places places(h, w, c);
  WindowsOver windows(window, stride, pad);
  for_each_vector<kWide<ELEMENT>>(n, c % kWide<ELEMENT> == 0 && aligned(gradX, gradY, x), [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    Place at = places.at(i);
    int p0, p1, q0, q1;
    windows.at(at.h, p, p0, p1);
    windows.at(at.w, q, q0, q1);
    float sum[W] = {};
    for (int pp = p0; pp < p1; pp++) {
      for (int qq = q0; qq < q1; qq++) {
        int h0 = max(0, pp * stride - pad), h1 = min(h, pp * stride - pad + window);
        int w0 = max(0, qq * stride - pad), w1 = min(w, qq * stride - pad + window);
        float best[W], g[W];
        bool own[W];
        load_vector(x + ((at.n * h + h0) * w + w0) * c + at.c, best);
#pragma unroll
        for (unsigned k = 0; k < W; k++) own[k] = h0 == at.h && w0 == at.w;
        for (int hh = h0; hh < h1; hh++) {
#pragma unroll (W == 4 ? 1 : 2)
          for (int ww = w0; ww < w1; ww++) {
            float v[W];
            load_vector(x + ((at.n * h + hh) * w + ww) * c + at.c, v);
            bool here = hh == at.h && ww == at.w;
#pragma unroll
            for (unsigned k = 0; k < W; k++) {
              own[k] = v[k] > best[k] ? here : own[k];
              best[k] = v[k] > best[k] ? v[k] : best[k];
            }
          }
        }
        load_vector(gradY + ((at.n * p + pp) * q + qq) * c + at.c, g);
#pragma unroll
        for (unsigned k = 0; k < W; k++) sum[k] += own[k] ? g[k] : 0.0f;
      }
    }
    store_vector(gradX + i, sum);
  });
}

ONEBIT_KERNEL(256) ENTRY(average_pool)(ELEMENT* y, const ELEMENT* x, unsigned n, int h, int w, int c, int p, int q, int window, int stride) {
  Places places(p, q, c);
  for_each_vector<kWide<ELEMENT>>(n, c % kWide<ELEMENT> == 0 && aligned(y, x), [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    Place at = places.at(i);
    int h0 = at.h * stride, h1 = min(h, h0 + window), w0 = at.w * stride, w1 = min(w, w0 + window);
    float sum[W] = {};
    add_window(sum, x + ((at.n * h + h0) * w + w0) * c + at.c, h1 - h0, w1 - w0, w, c);
#pragma unroll
    for (unsigned k = 0; k < W; k++) sum[k] *= 1.0f / ((h1 - h0) * (w1 - w0));
    store_vector(y + i, sum);
  });
}

ONEBIT_KERNEL(256) ENTRY(average_pool_backward)(ELEMENT* gradX, const ELEMENT* gradY, unsigned n, int h, int w, int c, int p, int q,
                                                int window, int stride) {
  Places places(h, w, c);
  float whole = __frcp_rn(float(window * window));
  WindowsOver windows(window, stride, 0);
  for_each_vector<kWide<ELEMENT>>(n, c % kWide<ELEMENT> == 0 && aligned(gradX, gradY), [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    Place at = places.at(i);
    int p0, p1, q0, q1;
    windows.at(at.h, p, p0, p1);
    windows.at(at.w, q, q0, q1);
    float sum[W] = {};
    for (int pp = p0; pp < p1; pp++) {
      int rows = min(window, h - pp * stride);
#pragma unroll 1
      for (int qq = q0; qq < q1; qq++) {
        int pixels = rows * min(window, w - qq * stride);
        float g[W], share = pixels == window * window ? whole : __frcp_rn(float(pixels));
        load_vector(gradY + ((at.n * p + pp) * q + qq) * c + at.c, g);
#pragma unroll
        for (unsigned k = 0; k < W; k++) sum[k] += share * g[k];
      }
    }
    store_vector(gradX + i, sum);
  });
}

ONEBIT_KERNEL(256) ENTRY(reduce_pad)(ELEMENT* y, const ELEMENT* x, unsigned n, int h, int w, int c, int p, int q, int d, int window,
                                     int stride) {
  bool whole = c % kWide<ELEMENT> == 0 && (d - c) / 2 % kWide<ELEMENT> == 0 && aligned(y, x);
  Places places(p, q, d);
  for_each_vector<kWide<ELEMENT>>(n, whole, [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    Place at = places.at(i);
    int from = at.c - (d - c) / 2;
    float sum[W] = {}, factor = 1.0f / (window * window);
    if (from >= 0 && from < c) {
      int h0 = at.h * stride, h1 = min(h, h0 + window), w0 = at.w * stride, w1 = min(w, w0 + window);
      for (int hh = h0; hh < h1; hh++) {
        for (int ww = w0; ww < w1; ww++) {
          float v[W];
          load_vector(x + ((at.n * h + hh) * w + ww) * c + from, v);
#pragma unroll
          for (unsigned k = 0; k < W; k++) sum[k] = multiply_add(factor, v[k], sum[k]);
        }
      }
    }
    store_vector(y + i, sum);
  });
}

ONEBIT_KERNEL(256) ENTRY(reduce_pad_backward)(ELEMENT* gradX, const ELEMENT* gradY, unsigned n, int h, int w, int c, int p, int q, int d,
                                              int window, int stride) {
  bool whole = c % kWide<ELEMENT> == 0 && (d - c) / 2 % kWide<ELEMENT> == 0 && aligned(gradX, gradY);
  Places places(h, w, c);
  WindowsOver windows(window, stride, 0);
  for_each_vector<kWide<ELEMENT>>(n, whole, [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    Place at = places.at(i);
    int p0, p1, q0, q1;
    windows.at(at.h, p, p0, p1);
    windows.at(at.w, q, q0, q1);
    float sum[W] = {}, factor = 1.0f / (window * window);
    for (int pp = p0; pp < p1; pp++) {
      for (int qq = q0; qq < q1; qq++) {
        float g[W];
        load_vector(gradY + ((at.n * p + pp) * q + qq) * d + (d - c) / 2 + at.c, g);
#pragma unroll
        for (unsigned k = 0; k < W; k++) sum[k] = multiply_add(factor, g[k], sum[k]);
      }
    }
    store_vector(gradX + i, sum);
  });
}
#endif
