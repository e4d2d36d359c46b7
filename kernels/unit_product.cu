// unit_product.cu -- the passes of a unit over the binary convolution's result y as its tiles come up, so that y need not be stored or read
//
//   unit_product_statistics  mean and inverse deviation of y per channel, running statistics moved by momentum; y itself where there is room for it,
//                            as rows of their own or as channels of wider ones. Where a shortcut is given, y is the sum with it
//   unit_product_forward     z = f(batch norm(y) + shortcut(x)) and the next layer's bits of z
//   unit_product_backward    gradT and the sums of unit_backward.cu
//   unit_product_apply       gradY as unit_backward_apply
//   each ends in nothing (mma.sync AND), _xor (sm_75) or _popc (elsewhere)
//
// Shapes     as unit_forward.cu, unit_backward.cu, xnor_conv2d.cu; partial [splits][2 or 4][C] double; y of _statistics rows of `pitch` values
//            y, z, x and gradients are float, or bfloat16 in the entries named _bf16; the rest is float
// Encoding   a byte of bits is written by the thread that has its 8 channels; what is left of a row's last word is 0
// Launch     block 128, grid (splits, ceil(C / 64)): any number of splits where sums are taken, else ceil(N P Q / 128); dynamic shared memory of CudaBitOps.room
// Limits     as xnor_conv2d.cu; N * P * Q * C < 2^31, with pitch for C too; counters hold 0 before and after
// Exactness  y is rounded to its element before it is used, a sum with a shortcut once more, and sums run in the order of unit_backward.cu: the same bits as from a stored y.
//            Statistics: double sums of y and y y, an error of var below 2^-45 (var + mean mean); mean and deviation are rounded from them once
// Twin       src/main/java/onebit/ops/cpu/CpuFusedOps.java, forwardOf, sumOf, backward; src/main/java/onebit/ops/cpu/CpuDenseOps.java, appendOf
// Tests      native-tests/unit_product_test.cpp, src/test/java/onebit/ops/FusedProductTest.java, src/test/java/onebit/ops/DenseOpsTest.java
// Source     Ioffe and Szegedy 2015, arXiv 1502.03167; anchors/performance.md sections 0 and 7: y recomputed instead of stored
// Rungs      1 convolution, then a pass over y, 2 the pass in the convolution's tiles
#ifndef ELEMENT
#include "unit_passes.cuh"
#include "xnor_conv.cuh"

/** A binary convolution as fields: Operands and Conv of xnor_conv.cuh. */
struct Product {
  const unsigned *x, *taps;
  const int* ones;
  const float *xCentre, *xDistance, *wCentre, *wDistance;
  FIELD(int, each);
  FIELD(float, offset);
  FIELD(int, n);
  FIELD(int, h);
  FIELD(int, w);
  FIELD(int, c);
  FIELD(int, o);
  FIELD(int, r);
  FIELD(int, s);
  FIELD(int, stride);
  FIELD(int, pad);
  FIELD(int, dilation);
  FIELD(int, p);
  FIELD(int, q);
  FIELD(int, zeroRule);

  /** take(y, row, channel, live) for 8 channels at a time of every row of a block's tiles, y rounded as an element of type E holds it; done() behind each tile. */
  template <class PRODUCT, class E, class Take, class Done> __device__ __forceinline__ void tiles(unsigned* room, Take take, Done done) const {
    const Conv g{n, h, w, c, o, r, s, stride, pad, dilation, p, q, zeroRule, kFloat32};
    const Operands operands{x, taps, ones, xCentre, xDistance, wCentre, wDistance, each, offset};
    unsigned rows = unsigned(n * p * q);
    for (unsigned tile = blockIdx.x; tile * kTileRows < rows; tile += gridDim.x) {
      conv<PRODUCT, 64>(room, tile, operands, g, [&](unsigned row, unsigned channel, unsigned, const float(&out)[8], int) {
        float y[8];
#pragma unroll
        for (unsigned k = 0; k < 8; k++) y[k] = rounded<E>(out[k]);
        take(y, row, channel, tile_live(channel, unsigned(o)));
      });
      done();
      __syncthreads();
    }
  }

  template <class PRODUCT, class E, class Take> __device__ __forceinline__ void tiles(unsigned* room, Take take) const { tiles<PRODUCT, E>(room, take, [] {}); }
};

template <class A> struct Over {
  A pass;
  Product product;
};

template <class PRODUCT, class E> __device__ __forceinline__ void product_statistics(const Over<UnitStatistics<E>>& a, unsigned* room) {
  if constexpr (xnor_has<PRODUCT>()) {
    const UnitStatistics<E>& pass = a.pass;
    double sum[2][8] = {};
    bool whole = pass.pitch % 8 == 0 && aligned(pass.y);
    a.product.template tiles<PRODUCT, E>(room, [&](const float(&y)[8], unsigned row, unsigned c, Live live) {
      float v[8];
#pragma unroll
      for (unsigned k = 0; k < 8; k++) v[k] = y[k];
      if (pass.added) {
        float x[8];
        load_live(pass.added + row * pass.channels + c, x, live);
#pragma unroll
        for (unsigned k = 0; k < 8; k++) v[k] = rounded<E>(__fadd_rn(y[k], x[k]));
      }
#pragma unroll
      for (unsigned k = 0; k < 8; k++) {
        if (k >= live.count) break;
        sum[0][k] += double(v[k]);
        sum[1][k] += double(v[k]) * double(v[k]);
      }
      if (pass.y) store_live(pass.y + row * pass.pitch + c, v, {live.count, live.together && whole});
    });
    if (!pass.partial) return;
    finish_tiles<2>([&](unsigned v, unsigned k) { return sum[v][k]; }, pass.partial, pass.counters, pass.channels, reinterpret_cast<double*>(room),
                    [&](unsigned c, const double(&total)[2]) { pass.finish(c, total, 0.0f); });
  }
}

template <class PRODUCT, class E> __device__ __forceinline__ void product_forward(const Over<UnitForward<E>>& a, unsigned* room) {
  if constexpr (xnor_has<PRODUCT>()) {
    const UnitForward<E>& pass = a.pass;
    unsigned bytes = (pass.channels + 31) / 32 * 4;
    if (blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) pass.give_set();
    bool plain = pass.unit.f.plain();
    a.product.template tiles<PRODUCT, E>(room, [&](const float(&y)[8], unsigned row, unsigned c, Live live) {
      float t[8];
#pragma unroll
      for (unsigned k = 0; k < 8; k++) t[k] = y[k];
      Ahead<E, 8> x = pass.template ask<8>(row, c, live);
      unsigned packed = plain ? pass.template at<kPlain>(t, x, row, c, live) : pass.template at<kAnything>(t, x, row, c, live);
      if (!pass.next.kind) return;
      unsigned char* to = reinterpret_cast<unsigned char*>(pass.bits) + size_t(row) * bytes + c / 8;
      to[0] = static_cast<unsigned char>(packed);
      if (c + 8 >= pass.channels) for (unsigned k = 1; c / 8 + k < bytes; k++) to[k] = 0;
    });
  }
}

template <class PRODUCT, class E> __device__ __forceinline__ void product_backward(const Over<UnitBackward<E>>& a, unsigned* room, double* kept) {
  if constexpr (xnor_has<PRODUCT>()) {
    BackwardSums<E> sums(kept);
    bool plain = a.pass.plain();
    auto set = a.pass.g.template the_set<kAnything>();
    UnitRead<kPlain, E> ofPlain{a.pass.unit};
    UnitRead<kAnything, E> of{a.pass.unit};
    a.product.template tiles<PRODUCT, E>(room, [&](const float(&y)[8], unsigned row, unsigned c, Live live) {
      if (plain) a.pass.template at<kPlain>(y, a.pass.template ask<kPlain>(row, c, live), ofPlain, set, row, c, live, sums);
      else a.pass.template at<kAnything>(y, a.pass.template ask<kAnything>(row, c, live), of, set, row, c, live, sums);
    }, [&] { sums.keep(); });
    a.pass.finish(sums, reinterpret_cast<double*>(room));
  }
}

template <class PRODUCT, class E> __device__ __forceinline__ void product_apply(const Over<UnitBackwardApply<E>>& a, unsigned* room) {
  if constexpr (xnor_has<PRODUCT>()) {
    a.product.template tiles<PRODUCT, E>(room, [&](const float(&y)[8], unsigned row, unsigned c, Live live) {
      a.pass.at(y, row * a.pass.channels + c, c, live);
    });
  }
}

extern __shared__ __align__(16) unsigned unit_product_room[];

#define ELEMENT_FILE "unit_product.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(128) ENTRY(unit_product_statistics)(const Over<UnitStatistics<ELEMENT>> a) { product_statistics<XnorAnd>(a, unit_product_room); }
ONEBIT_KERNEL(128) ENTRY(unit_product_statistics_xor)(const Over<UnitStatistics<ELEMENT>> a) { product_statistics<XnorXor>(a, unit_product_room); }
ONEBIT_KERNEL(128) ENTRY(unit_product_statistics_popc)(const Over<UnitStatistics<ELEMENT>> a) { product_statistics<XnorPopc>(a, unit_product_room); }
ONEBIT_KERNEL(128) ENTRY(unit_product_forward)(const Over<UnitForward<ELEMENT>> a) { product_forward<XnorAnd>(a, unit_product_room); }
ONEBIT_KERNEL(128) ENTRY(unit_product_forward_xor)(const Over<UnitForward<ELEMENT>> a) { product_forward<XnorXor>(a, unit_product_room); }
ONEBIT_KERNEL(128) ENTRY(unit_product_forward_popc)(const Over<UnitForward<ELEMENT>> a) { product_forward<XnorPopc>(a, unit_product_room); }
ONEBIT_KERNEL(128, 2) ENTRY(unit_product_backward)(const Over<UnitBackward<ELEMENT>> a) {
  __shared__ double kept[kOwnSums];
  product_backward<XnorAnd>(a, unit_product_room, kept);
}
ONEBIT_KERNEL(128, 2) ENTRY(unit_product_backward_xor)(const Over<UnitBackward<ELEMENT>> a) {
  __shared__ double kept[kOwnSums];
  product_backward<XnorXor>(a, unit_product_room, kept);
}
ONEBIT_KERNEL(128, 2) ENTRY(unit_product_backward_popc)(const Over<UnitBackward<ELEMENT>> a) {
  __shared__ double kept[kOwnSums];
  product_backward<XnorPopc>(a, unit_product_room, kept);
}
ONEBIT_KERNEL(128) ENTRY(unit_product_apply)(const Over<UnitBackwardApply<ELEMENT>> a) { product_apply<XnorAnd>(a, unit_product_room); }
ONEBIT_KERNEL(128) ENTRY(unit_product_apply_xor)(const Over<UnitBackwardApply<ELEMENT>> a) { product_apply<XnorXor>(a, unit_product_room); }
ONEBIT_KERNEL(128) ENTRY(unit_product_apply_popc)(const Over<UnitBackwardApply<ELEMENT>> a) { product_apply<XnorPopc>(a, unit_product_room); }
#endif
