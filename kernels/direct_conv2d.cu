// direct_conv2d.cu -- real-valued convolution, its gradients and the matrix product as plain sums, where cuDNN or cuBLAS may not be used or refuses
//
//   direct_conv2d          y[n][p][q][o] = sum over r, s, c of x[n][p stride - pad + r dilation][q stride - pad + s dilation][c] w[o][r][s][c]
//   direct_conv2d_grad_x   gradX = the sum of gradY w over the positions that saw a value of x
//   direct_conv2d_grad_w   partial = the sum of gradY x over the positions of a tap, of one split of them
//   direct_conv2d_grad_w_finish   gradW = the sum of the splits
//   direct_gemm            c[m][n] = sum over k of a[m][k] b[k][n], each factor also transposed
//
// Shapes     x N,H,W,C; w O,R,S,C/groups; y N,P,Q,O; a [M][K] or [K][M], b [K][N] or [N][K], c [M][N]; gradW of float32,
//            partial [splits][O R S C/groups] double, c of bfloat16 where rounded is 1, else
//            float32; the rest is float, or bfloat16 in the entries named _bf16
// Launch     block 256, any grid; direct_conv2d_grad_w grid (any, splits)
// Limits     fewer than 2^31 values each
// Exactness  sums in double, in an order that depends on the shape only
// Twin       src/main/java/onebit/ops/cpu/CpuConvOps.java, conv2d
// Tests      native-tests/direct_conv2d_test.cpp, src/test/java/onebit/ops/ConvOpsTest.java
// Source     elementary
// Rungs      1 a thread per value
#ifndef ELEMENT
#include "element.cuh"

struct DirectConv {
  int n, h, w, c, o, r, s, stride, pad, dilation, p, q, groups;
  __device__ int in() const { return c / groups; }
  __device__ int out() const { return o / groups; }
};
#define DIRECT_SHAPE int n, int h, int w, int c, int o, int r, int s, int stride, int pad, int dilation, int p, int q, int groups
#define DIRECT_CONV \
  DirectConv { n, h, w, c, o, r, s, stride, pad, dilation, p, q, groups }

template <class E> __device__ __forceinline__ double direct_value(const E* x, const E* w, int image, int row, int column, int filter, const DirectConv g) {
  double sum = 0;
  for (int r = 0; r < g.r; r++) {
    for (int s = 0; s < g.s; s++) {
      int h = row * g.stride - g.pad + r * g.dilation, v = column * g.stride - g.pad + s * g.dilation;
      if (h < 0 || h >= g.h || v < 0 || v >= g.w) continue;
      const E* from = x + size_t((image * g.h + h) * g.w + v) * unsigned(g.c) + unsigned(filter / g.out() * g.in());
      const E* tap = w + size_t((filter * g.r + r) * g.s + s) * unsigned(g.in());
      for (int c = 0; c < g.in(); c++) sum += double(load(from + c)) * load(tap + c);
    }
  }
  return sum;
}

template <class E> __device__ __forceinline__ double direct_grad_x(const E* gradY, const E* w, int image, int h, int v, int channel, const DirectConv g) {
  double sum = 0;
  int first = channel / g.in() * g.out();
  for (int r = 0; r < g.r; r++) {
    for (int s = 0; s < g.s; s++) {
      int down = h + g.pad - r * g.dilation, along = v + g.pad - s * g.dilation;
      if (down < 0 || along < 0 || down % g.stride != 0 || along % g.stride != 0 || down / g.stride >= g.p || along / g.stride >= g.q) continue;
      const E* from = gradY + size_t((image * g.p + down / g.stride) * g.q + along / g.stride) * unsigned(g.o);
      for (int o = first; o < first + g.out(); o++) {
        sum += double(load(from + o)) * load(w + size_t((o * g.r + r) * g.s + s) * unsigned(g.in()) + unsigned(channel % g.in()));
      }
    }
  }
  return sum;
}

/** One split's share of the positions of a tap. */
template <class E>
__device__ __forceinline__ double direct_grad_w(const E* gradY, const E* x, int filter, int r, int s, int channel, int split, int splits, const DirectConv g) {
  double sum = 0;
  for (int at = split; at < g.n * g.p * g.q; at += splits) {
    int h = at / g.q % g.p * g.stride - g.pad + r * g.dilation, v = at % g.q * g.stride - g.pad + s * g.dilation;
    if (h < 0 || h >= g.h || v < 0 || v >= g.w) continue;
    const E* from = x + size_t((at / g.q / g.p * g.h + h) * g.w + v) * unsigned(g.c) + unsigned(filter / g.out() * g.in() + channel);
    sum += double(load(gradY + size_t(at) * unsigned(g.o) + unsigned(filter))) * load(from);
  }
  return sum;
}

ONEBIT_KERNEL(256) direct_conv2d_grad_w_finish(float* gradW, const double* partial, unsigned splits, unsigned n) {
  FOR_EACH(i, n) gradW[i] = float(sum_of_splits(partial + i, n, splits));
}

#define ELEMENT_FILE "direct_conv2d.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(direct_conv2d)(ELEMENT* y, const ELEMENT* x, const ELEMENT* filters, DIRECT_SHAPE) {
  DirectConv g = DIRECT_CONV;
  FOR_EACH(i, unsigned(g.n * g.p * g.q * g.o)) {
    int at = int(i) / g.o;
    store(y + i, float(direct_value(x, filters, at / g.q / g.p, at / g.q % g.p, at % g.q, int(i) % g.o, g)));
  }
}

ONEBIT_KERNEL(256) ENTRY(direct_conv2d_grad_x)(ELEMENT* gradX, const ELEMENT* gradY, const ELEMENT* filters, DIRECT_SHAPE) {
  DirectConv g = DIRECT_CONV;
  FOR_EACH(i, unsigned(g.n * g.h * g.w * g.c)) {
    int at = int(i) / g.c;
    store(gradX + i, float(direct_grad_x(gradY, filters, at / g.w / g.h, at / g.w % g.h, at % g.w, int(i) % g.c, g)));
  }
}

ONEBIT_KERNEL(256) ENTRY(direct_conv2d_grad_w)(double* partial, const ELEMENT* gradY, const ELEMENT* x, DIRECT_SHAPE) {
  DirectConv g = DIRECT_CONV;
  unsigned count = unsigned(g.o * g.r * g.s * g.in());
  FOR_EACH(i, count) {
    int tap = int(i) / g.in();
    partial[size_t(blockIdx.y) * count + i] = direct_grad_w(gradY, x, tap / g.s / g.r, tap / g.s % g.r, tap % g.s, int(i) % g.in(), int(blockIdx.y), int(gridDim.y), g);
  }
}

ONEBIT_KERNEL(256) ENTRY(direct_gemm)(void* c, const ELEMENT* a, const ELEMENT* b, int rounded, int transposeA, int transposeB, unsigned m, unsigned n,
                                      unsigned k) {
  FOR_EACH(i, m * n) {
    unsigned row = i / n, column = i % n;
    double sum = 0;
    for (unsigned j = 0; j < k; j++) {
      float left = load(a + (transposeA ? size_t(j) * m + row : size_t(row) * k + j)), right = load(b + (transposeB ? size_t(column) * k + j : size_t(j) * n + column));
      sum += double(left) * right;
    }
    if (rounded) store(static_cast<__nv_bfloat16*>(c) + i, float(sum));
    else static_cast<float*>(c)[i] = float(sum);
  }
}
#endif
