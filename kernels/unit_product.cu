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
// Launch     block 128, grid (splits, ceil(C / 64)): any number of splits; dynamic shared memory of CudaBitOps.room
// Limits     as xnor_conv2d.cu; N * P * Q * C < 2^31, with pitch for C too; counters hold 0 before and after
// Exactness  y is rounded to its element before it is used, a sum with a shortcut once more, and sums run in the order of unit_backward.cu: the same bits as from a stored y.
//            Statistics: sums of y and y y, in double on float, an error of var below 2^-45 (var + mean mean). On bfloat16 the rows of a tile are first added in
//            float, on the tensor cores 64 of them with at most 10 roundings on the way of each, else 8: an error of mean below 2^-20 mean |y|, of var below
//            2^-19 (var + mean mean). Mean and deviation are rounded from the sums once
// Twin       src/main/java/onebit/ops/cpu/CpuFusedOps.java, forwardOf, sumOf, backward; src/main/java/onebit/ops/cpu/CpuDenseOps.java, appendOf
// Tests      native-tests/unit_product_test.cpp, src/test/java/onebit/ops/FusedProductTest.java, src/test/java/onebit/ops/DenseOpsTest.java
// Source     Ioffe and Szegedy 2015, arXiv 1502.03167; anchors/performance.md sections 0 and 7: y recomputed instead of stored
// Rungs      1 convolution, then a pass over y, 2 the pass in the convolution's tiles
#ifndef ELEMENT
#include "unit_passes.cuh"
#include "xnor_conv.cuh"

/** The first of the 8 channels of this thread. */
template <class PRODUCT> __device__ __forceinline__ unsigned product_channel() { return blockIdx.y * 64 + xnor_column<PRODUCT, 64>(0); }

/** 8 values as 16-byte words of their elements. */
__device__ __forceinline__ void pack_vector(const float (&v)[8], uint4 (&raw)[1], const __nv_bfloat16*) {
  raw[0] = make_uint4(pack_pair(v[0], v[1]), pack_pair(v[2], v[3]), pack_pair(v[4], v[5]), pack_pair(v[6], v[7]));
}

__device__ __forceinline__ void pack_vector(const float (&v)[8], uint4 (&raw)[2], const float*) {
#pragma unroll
  for (unsigned i = 0; i < 2; i++) {
    raw[i] = make_uint4(__float_as_uint(v[4 * i]), __float_as_uint(v[4 * i + 1]), __float_as_uint(v[4 * i + 2]), __float_as_uint(v[4 * i + 3]));
  }
}

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

  /** f(tiles, rows): the tiles of a block, and their rows in all. */
  template <class PRODUCT, class F> __device__ __forceinline__ void with_tiles(unsigned* room, F f) const {
    const Conv g{n, h, w, c, o, r, s, stride, pad, dilation, p, q, zeroRule, kFloat32};
    const Operands operands{x, taps, ones, xCentre, xDistance, wCentre, wDistance, each, offset};
    ConvTiles<PRODUCT, 64> tiles(room, operands, g);
    f(tiles, unsigned(n * p * q));
  }

  /**
   * take(y, row, channel, live) for the 8 channels of this thread of every row of a block's tiles that it has, y rounded as an element of type E holds it;
   * done() behind each tile. The values of a tile lie in shared memory meanwhile, each thread's for itself, so that take may be large.
   */
  template <class PRODUCT, class E, class Take, class Done> __device__ __forceinline__ void each_row(unsigned* room, Take take, Done done) const {
    constexpr unsigned kRaw = 8 * sizeof(E) / 16;
    with_tiles<PRODUCT>(room, [&](ConvTiles<PRODUCT, 64>& tiles, unsigned rows) {
      uint4* own = reinterpret_cast<uint4*>(tiles.spare()) + threadIdx.x;
      unsigned channel = product_channel<PRODUCT>();
      Live live = tile_live(channel, unsigned(o));
      tiles.template each<false>(blockIdx.x, gridDim.x, [&](unsigned k, unsigned, unsigned, const float(&out)[8], int) {
        uint4 raw[kRaw];
        pack_vector(out, raw, static_cast<E*>(nullptr));
#pragma unroll
        for (unsigned i = 0; i < kRaw; i++) own[(k * kRaw + i) * kTileRows] = raw[i];
      }, [&](unsigned tile) {
        unsigned row = tile * kTileRows + xnor_row<PRODUCT>();
#pragma unroll 1
        for (unsigned k = 0; k < 8 && live.count && row + 16 * k < rows; k++) {
          uint4 raw[kRaw];
#pragma unroll
          for (unsigned i = 0; i < kRaw; i++) raw[i] = own[(k * kRaw + i) * kTileRows];
          float y[8];
          unpack_vector(raw, 0, y, static_cast<E*>(nullptr));
          take(y, row + 16 * k, channel, live);
        }
        done();
      });
    });
  }

  template <class PRODUCT, class E, class Take> __device__ __forceinline__ void each_row(unsigned* room, Take take) const { each_row<PRODUCT, E>(room, take, [] {}); }
};

template <class A> struct Over {
  A pass;
  Product product;
};

/**
 * The sums of y and of its square over a block's rows. On bfloat16 and the tensor cores the 64 rows that a warp has of a tile are first added in float, 8 by
 * each thread and these in a tree, so that each lane keeps two of the warp's sums; else each thread keeps those of its 8 channels, of bfloat16 8 rows at a time.
 */
template <class PRODUCT, class E> struct ProductSums {
  static constexpr bool kTree = PRODUCT::kTensor && sizeof(E) == 2;
  static constexpr unsigned kParts = PRODUCT::kTensor ? 2 : 4;   // of a block's rows
  typename TileSum<E>::type of[16] = {};
  double kept[kTree ? 1 : 16] = {};
  double* two;   // of this lane, in shared memory

  __device__ __forceinline__ explicit ProductSums(double* room) : two(room + threadIdx.x) { two[0] = two[kTileRows] = 0; }

  /** 8 values of a row. */
  __device__ __forceinline__ void add(const float (&v)[8], unsigned live) {
    using S = typename TileSum<E>::type;
#pragma unroll
    for (unsigned j = 0; j < 8; j++) {
      if (j >= live) continue;
      of[j] += S(v[j]);
      of[8 + j] += S(v[j]) * S(v[j]);
    }
  }

  /** A tile is done. */
  __device__ __forceinline__ void keep() {
    if constexpr (kTree) {
      hand_over<8>();
      hand_over<4>();
      hand_over<2>();
      two[0] += double(of[0]);
      two[kTileRows] += double(of[1]);
#pragma unroll
      for (float& sum : of) sum = 0;
    } else {
#pragma unroll
      for (unsigned i = 0; i < 16; i++) kept[i] += double(of[i]), of[i] = 0;
    }
  }

  /** Lanes of other rows: each hands over one half of what it has left, and gets the other. */
  template <unsigned HALF> __device__ __forceinline__ void hand_over() {
    bool upper = threadIdx.x % 32 & 2 * HALF;
#pragma unroll
    for (unsigned i = 0; i < HALF; i++) {
      float low = of[i], high = of[HALF + i], mine = upper ? high : low, other = upper ? low : high;
      of[i] = mine + __shfl_xor_sync(kFullWarp, other, int(2 * HALF));
    }
  }

  /** All of them in shared memory: [kParts][2][64] double. */
  __device__ __forceinline__ void share(double* room) {
    unsigned lane = threadIdx.x % 32, part = PRODUCT::kTensor ? threadIdx.x / 64 : threadIdx.x / 32, column = xnor_column<PRODUCT, 64>(0);
    if constexpr (kTree) {
#pragma unroll
      for (unsigned i = 0; i < 2; i++) room[(part * 2 + lane / 16) * 64 + column + lane / 4 % 4 * 2 + i] = two[i * kTileRows];
    } else {
#pragma unroll
      for (unsigned i = 0; i < 16; i++) {
        double s = kept[i];
        if constexpr (PRODUCT::kTensor) s += __shfl_xor_sync(kFullWarp, s, 4);
        s += __shfl_xor_sync(kFullWarp, s, 8);
        s += __shfl_xor_sync(kFullWarp, s, 16);
        if (lane < (PRODUCT::kTensor ? 4 : 8)) room[(part * 2 + i / 8) * 64 + column + i % 8] = s;
      }
    }
  }

  /** From the sums of all blocks, by the last of those that share channels. */
  __device__ __forceinline__ void finish(const UnitStatistics<E>& pass, double* room) {
    __syncthreads();
    share(room);
    __syncthreads();
    unsigned first = blockIdx.y * 64, v = threadIdx.x / 64, c = first + threadIdx.x % 64;
    double sum = 0;
#pragma unroll
    for (unsigned part = 0; part < kParts; part++) sum += room[part * 128 + threadIdx.x];
    if (c < pass.channels) pass.partial[(blockIdx.x * 2 + v) * pass.channels + c] = sum;
    if (!splits_summed<2>(pass.partial, pass.counters + blockIdx.y * split_counters(gridDim.x), blockIdx.x, gridDim.x, pass.channels, first, 64)) return;
    if (v == 0 && c < pass.channels) {
      const double total[2] = {__ldcg(pass.partial + c), __ldcg(pass.partial + pass.channels + c)};
      pass.finish(c, total, 0.0f);
    }
  }
};

/** STRAIGHT: all vectors of channels are whole, in y too. */
template <bool STRAIGHT, class PRODUCT, class E> __device__ __forceinline__ void product_statistics(const Over<UnitStatistics<E>>& a, unsigned* room, double* kept) {
  const UnitStatistics<E>& pass = a.pass;
  ProductSums<PRODUCT, E> sums(kept);
  a.product.template with_tiles<PRODUCT>(room, [&](ConvTiles<PRODUCT, 64>& tiles, unsigned) {
    unsigned c = product_channel<PRODUCT>();
    Live live = STRAIGHT ? Live{8, true} : tile_live(c, pass.channels);
    bool whole = STRAIGHT || (live.together && pass.pitch % 8 == 0 && aligned(pass.y));
    tiles.template each<true>(blockIdx.x, gridDim.x, [&](unsigned k, unsigned from, unsigned, const float(&out)[8], int) {
      uint4 raw[8 * sizeof(E) / 16];
      float v[8];
      pack_vector(out, raw, static_cast<E*>(nullptr));
      unpack_vector(raw, 0, v, static_cast<E*>(nullptr));
      if (pass.added) {
        float x[8];
        load_live(pass.added + (from * pass.channels + c) + k * (16 * pass.channels), x, live);
#pragma unroll
        for (unsigned j = 0; j < 8; j++) v[j] = __fadd_rn(v[j], x[j]);
        pack_vector(v, raw, static_cast<E*>(nullptr));
        unpack_vector(raw, 0, v, static_cast<E*>(nullptr));
      }
      sums.add(v, STRAIGHT ? 8u : live.count);
      if (!pass.y) return;
      E* to = pass.y + (from * pass.pitch + c) + k * (16 * pass.pitch);
      if (whole) {
#pragma unroll
        for (unsigned i = 0; i < 8 * sizeof(E) / 16; i++) reinterpret_cast<uint4*>(to)[i] = raw[i];
      } else {
        store_live(to, v, {live.count, false});
      }
    }, [&](unsigned) { sums.keep(); });
  });
  if (pass.partial) sums.finish(pass, reinterpret_cast<double*>(room));
}

template <class PRODUCT, class E> __device__ __forceinline__ void product_statistics(const Over<UnitStatistics<E>>& a, unsigned* room, double* kept) {
  if constexpr (xnor_has<PRODUCT>()) {
    if (a.pass.channels % 8 == 0 && a.pass.pitch % 8 == 0 && aligned(a.pass.y)) product_statistics<true, PRODUCT>(a, room, kept);
    else product_statistics<false, PRODUCT>(a, room, kept);
  }
}

template <class PRODUCT, class E> __device__ __forceinline__ void product_forward(const Over<UnitForward<E>>& a, unsigned* room) {
  if constexpr (xnor_has<PRODUCT>()) {
    const UnitForward<E>& pass = a.pass;
    unsigned bytes = (pass.channels + 31) / 32 * 4;
    if (blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) pass.give_set();
    bool plain = pass.unit.f.plain();
    a.product.template each_row<PRODUCT, E>(room, [&](const float(&y)[8], unsigned row, unsigned c, Live live) {
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
    // what a thread keeps lies where the thread that has its rows and channels in unit_backward.cu would keep it, so that all is added in the order there
    unsigned in = xnor_row<PRODUCT>() * 8 + xnor_column<PRODUCT, 64>(0) / 8;
    BackwardSums<E> sums(kept, in);
    bool plain = a.pass.plain();
    auto set = a.pass.g.template the_set<kAnything>();
    UnitRead<kPlain, E> ofPlain{a.pass.unit};
    UnitRead<kAnything, E> of{a.pass.unit};
    a.product.template each_row<PRODUCT, E>(room, [&](const float(&y)[8], unsigned row, unsigned c, Live live) {
      if (plain) a.pass.template at<kPlain>(y, a.pass.template ask<kPlain>(row, c, live), ofPlain, set, row, c, live, sums);
      else a.pass.template at<kAnything>(y, a.pass.template ask<kAnything>(row, c, live), of, set, row, c, live, sums);
    }, [&] { sums.keep(); });
    sums.hand_over(kept);
    a.pass.finish(sums, reinterpret_cast<double*>(room));
  }
}

template <class PRODUCT, class E> __device__ __forceinline__ void product_apply(const Over<UnitBackwardApply<E>>& a, unsigned* room) {
  if constexpr (xnor_has<PRODUCT>()) {
    a.product.template each_row<PRODUCT, E>(room, [&](const float(&y)[8], unsigned row, unsigned c, Live live) {
      a.pass.at(y, row * a.pass.channels + c, c, live);
    });
  }
}

extern __shared__ __align__(16) unsigned unit_product_room[];

/** Blocks that a multiprocessor shall hold at once: as many as leave each the registers it needs. */
template <class E> constexpr unsigned kTileBlocks = sizeof(E) == 2 ? 3 : 2;

#define ELEMENT_FILE "unit_product.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(128, kTileBlocks<ELEMENT>) ENTRY(unit_product_statistics)(const Over<UnitStatistics<ELEMENT>> a) {
  __shared__ double kept[2 * kTileRows];
  product_statistics<XnorAnd>(a, unit_product_room, kept);
}
ONEBIT_KERNEL(128, kTileBlocks<ELEMENT>) ENTRY(unit_product_statistics_xor)(const Over<UnitStatistics<ELEMENT>> a) {
  __shared__ double kept[2 * kTileRows];
  product_statistics<XnorXor>(a, unit_product_room, kept);
}
ONEBIT_KERNEL(128, 2) ENTRY(unit_product_statistics_popc)(const Over<UnitStatistics<ELEMENT>> a) {
  __shared__ double kept[2 * kTileRows];
  product_statistics<XnorPopc>(a, unit_product_room, kept);
}
ONEBIT_KERNEL(128, kTileBlocks<ELEMENT>) ENTRY(unit_product_forward)(const Over<UnitForward<ELEMENT>> a) { product_forward<XnorAnd>(a, unit_product_room); }
ONEBIT_KERNEL(128, kTileBlocks<ELEMENT>) ENTRY(unit_product_forward_xor)(const Over<UnitForward<ELEMENT>> a) { product_forward<XnorXor>(a, unit_product_room); }
ONEBIT_KERNEL(128, 2) ENTRY(unit_product_forward_popc)(const Over<UnitForward<ELEMENT>> a) { product_forward<XnorPopc>(a, unit_product_room); }
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
ONEBIT_KERNEL(128, kTileBlocks<ELEMENT>) ENTRY(unit_product_apply)(const Over<UnitBackwardApply<ELEMENT>> a) { product_apply<XnorAnd>(a, unit_product_room); }
ONEBIT_KERNEL(128, kTileBlocks<ELEMENT>) ENTRY(unit_product_apply_xor)(const Over<UnitBackwardApply<ELEMENT>> a) { product_apply<XnorXor>(a, unit_product_room); }
ONEBIT_KERNEL(128, 2) ENTRY(unit_product_apply_popc)(const Over<UnitBackwardApply<ELEMENT>> a) { product_apply<XnorPopc>(a, unit_product_room); }
#endif
