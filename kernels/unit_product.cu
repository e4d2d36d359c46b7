// unit_product.cu -- the passes of a unit over the binary convolution's result y as its tiles come up, so that y need not be stored or read
//
//   unit_product_statistics  mean and inverse deviation of y per channel, running statistics moved by momentum; y itself where there is room for it,
//                            as rows of their own or as channels of wider ones. Where a shortcut is given, y is the sum with it
//   unit_product_forward     z = f(batch norm(y) + shortcut(x)) and the next layer's bits of z
//   unit_product_backward    gradT and the sums of unit_backward.cu
//   unit_product_apply       gradY as unit_backward_apply
//   each ends in nothing (mma.sync AND, sm_80 to sm_90a), _xor (sm_75) or _popc (later devices, through PTX); elsewhere it does nothing
//   unit_product_statistics_held, _planes   the first of them where xnor_held.cuh or xnor_planes.cuh has the tiles
//
// Shapes     as unit_forward.cu, unit_backward.cu, xnor_conv2d.cu; partial [splits][2 or 4][C] double; y of _statistics rows of `pitch` values
//            y, z, x and gradients are float, or bfloat16 in the entries named _bf16; the rest is float
// Encoding   a byte of bits is written by the thread that has its 8 channels; what is left of a row's last word is 0
// Launch     block 128, grid (splits, ceil(C / 64)): any number of splits; dynamic shared memory of CudaBitOps.room
// Limits     as xnor_conv2d.cu; N * P * Q * C < 2^31, with pitch for C too; counters hold 0 before and after
// Exactness  y is rounded to its element before it is used, a sum with a shortcut once more, and sums run in the order of unit_backward.cu: the same bits as from a stored y.
//            Statistics: sums of y and y y, in double on float, an error of var below 2^-45 (var + mean mean). On bfloat16 the rows of a tile are first added in
//            float: 64 of them on the tensor cores, 16 at a time, else 8: an error of mean below 2^-18 mean |y|, of var below 2^-17 (var + mean mean), where a
//            tensor core cuts a sum off at the 24 bits of its largest term. Mean and deviation are rounded from the sums once
// Twin       src/main/java/onebit/ops/cpu/CpuFusedOps.java, forwardOf, sumOf, backward; src/main/java/onebit/ops/cpu/CpuDenseOps.java, appendOf
// Tests      native-tests/unit_product_test.cpp, src/test/java/onebit/ops/FusedProductTest.java, src/test/java/onebit/ops/DenseOpsTest.java
// Source     Ioffe and Szegedy 2015, arXiv 1502.03167; anchors/performance.md sections 0 and 7: y recomputed instead of stored
// Rungs      1 convolution, then a pass over y, 2 the pass in the convolution's tiles
#ifndef ELEMENT
#include "unit_passes.cuh"
#include "xnor_planes.cuh"

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

/** 16-byte words of 8 elements. */
template <class E> constexpr unsigned kRaw = 8 * sizeof(E) / 16;

/** The rows of a tile that a thread has, and their y at its 8 channels. */
template <class PRODUCT, class E> struct TileRows {
  const uint4* y;
  unsigned first, count, channel;   // rows first + 16 k for k below count
  Live live;

  __device__ __forceinline__ TileRows(const uint4* y, unsigned tile, unsigned rows, unsigned channels)
      : y(y), first(tile * kTileRows + xnor_row<PRODUCT>()), channel(product_channel<PRODUCT>()), live(tile_live(channel, channels)) {
    count = live.count && first < rows ? min(8u, (rows - first + 15) / 16) : 0u;
  }

  /** take(y, asked, row) for every row; asked is what ask(row) gave while the row before was computed. */
  template <class Ask, class Take> __device__ __forceinline__ void run(Ask ask, Take take) const {
    if (count == 0) return;
    auto next = ask(first);
#pragma unroll 1
    for (unsigned k = 0; k < count; k++) {
      auto asked = next;
      if (k + 1 < count) next = ask(first + 16 * (k + 1));
      uint4 raw[kRaw<E>];
#pragma unroll
      for (unsigned i = 0; i < kRaw<E>; i++) raw[i] = y[(k * kRaw<E> + i) * kTileRows];
      float v[8];
      unpack_vector(raw, 0, v, static_cast<E*>(nullptr));
      take(v, asked, first + 16 * k);
    }
  }
};

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
  template <class TILES, class F> __device__ __forceinline__ void with_tiles(unsigned* room, F f) const {
    const Conv g{n, h, w, c, o, r, s, stride, pad, dilation, p, q, zeroRule, kFloat32};
    const Operands operands{x, taps, ones, xCentre, xDistance, wCentre, wDistance, each, offset};
    TILES tiles(room, operands, g);
    f(tiles, unsigned(n * p * q));
  }

  /** f(rows): a TileRows for each tile of a block, y rounded as an element of type E holds it, in shared memory, each thread's for itself: f may be large. */
  template <class PRODUCT, class E, class F> __device__ __forceinline__ void each_tile(unsigned* room, F f) const {
    with_tiles<ConvTiles<PRODUCT, 64>>(room, [&](ConvTiles<PRODUCT, 64>& tiles, unsigned rows) {
      uint4* own = reinterpret_cast<uint4*>(tiles.spare()) + threadIdx.x;
      tiles.template each<false>(blockIdx.x, gridDim.x, false, [&](unsigned k, unsigned, unsigned, const float(&out)[8], int, bool, auto) {
        uint4 raw[kRaw<E>];
        pack_vector(out, raw, static_cast<E*>(nullptr));
#pragma unroll
        for (unsigned i = 0; i < kRaw<E>; i++) own[(k * kRaw<E> + i) * kTileRows] = raw[i];
      }, [&](unsigned tile) { f(TileRows<PRODUCT, E>(own, tile, rows, unsigned(o))); });
    });
  }
};

template <class A> struct Over {
  A pass;
  Product product;
};

/**
 * The sums of y and of its square over a block's rows. On bfloat16 and AND the tensor cores add up what a warp has of a tile, 16 rows at a time, in float: where
 * Y is 16 rows of 8 columns, its transpose with rows of ones below times Y has the sums of squares on its diagonal, the sums in its last row. Else each thread
 * keeps those of its 8 channels, of bfloat16 8 rows at a time.
 */
template <class PRODUCT, class E> struct ProductSums {
  static constexpr bool kCores = PRODUCT::kTensor && !PRODUCT::kXor && sizeof(E) == 2;
  static constexpr unsigned kParts = PRODUCT::kTensor ? 2 : 4;   // of a block's rows
  struct Shared {
    alignas(16) unsigned staged[kCores ? 4 * 16 * kStageWords : 4];   // of each warp 16 rows of its 32 columns
    double kept[kCores ? 4 * 64 : 1];                                 // of each warp sums of its columns, then of squares
  };
  typename TileSum<E>::type of[16] = {};   // on the tensor cores for 8 columns each: a row and two of its columns, then of the sums
  double own[kCores ? 1 : 16] = {};
  unsigned* staged;   // of this warp
  double* kept;       // likewise

  __device__ __forceinline__ explicit ProductSums(Shared& shared)
      : staged(shared.staged + (kCores ? threadIdx.x / 32 * 16 * kStageWords : 0)), kept(shared.kept + (kCores ? threadIdx.x / 32 * 64 : 0)) {
    if constexpr (kCores) kept[threadIdx.x % 32] = kept[32 + threadIdx.x % 32] = 0;
  }

  /** 8 values of row k of a thread as they are stored, by all threads; there are none where nothing is live. */
  __device__ __forceinline__ void add(unsigned k, const uint4 (&raw)[kRaw<E>], unsigned live) {
    if constexpr (kCores) {
      unsigned lane = threadIdx.x % 32;
      const uint4 y = live ? raw[0] : make_uint4(0u, 0u, 0u, 0u);
      *reinterpret_cast<uint4*>(staged + RowStage::at(lane / 4, lane % 4) + k % 2 * 8 * kStageWords) = y;
      if (k % 2 == 0) return;
      __syncwarp();
#pragma unroll
      for (unsigned c = 0; c < 4; c += 2) {   // two chunks further: another bit of the place
        uint32_t part[4];   // rows 0 to 7 and 8 to 15 of the columns of a chunk, then of the next
        ldmatrix_x4_trans(part, staged + (RowStage::at(lane % 16, lane / 16) ^ c * 4));
        add_up(c, part[0], part[1]);
        add_up(c + 1, part[2], part[3]);
      }
      __syncwarp();
    } else {
      using S = typename TileSum<E>::type;
      float v[8];
      unpack_vector(raw, 0, v, static_cast<E*>(nullptr));
#pragma unroll
      for (unsigned j = 0; j < 8; j++) {
        if (j >= live) continue;
        of[j] += S(v[j]);
        of[8 + j] += S(v[j]) * S(v[j]);
      }
    }
  }

  /** 16 rows of the 8 columns of chunk c. */
  __device__ __forceinline__ void add_up(unsigned c, uint32_t upper, uint32_t lower) {
    constexpr uint32_t kOnes = 0x3f803f80;
    const uint32_t left[4] = {upper, kOnes, lower, kOnes}, right[2] = {upper, lower};
    float(&sum)[4] = reinterpret_cast<float(&)[4]>(of[4 * c]);
    mma_m16n8k16_bf16(sum, left, right, sum);
  }

  /** A tile is done. */
  __device__ __forceinline__ void keep() {
    if constexpr (kCores) {
      unsigned lane = threadIdx.x % 32, g = lane / 4;
      if (lane % 4 == g / 2) {   // others have what is beside the diagonal
#pragma unroll
        for (unsigned c = 0; c < 4; c++) {
          kept[8 * c + g] += double(g % 2 ? of[4 * c + 3] : of[4 * c + 2]);
          kept[32 + 8 * c + g] += double(g % 2 ? of[4 * c + 1] : of[4 * c]);
        }
      }
#pragma unroll
      for (float& sum : of) sum = 0;
    } else {
#pragma unroll
      for (unsigned i = 0; i < 16; i++) own[i] += double(of[i]), of[i] = 0;
    }
  }

  /** All of them in shared memory: [kParts][2][64] double. */
  __device__ __forceinline__ void share(double* room) {
    unsigned lane = threadIdx.x % 32, part = PRODUCT::kTensor ? threadIdx.x / 64 : threadIdx.x / 32, column = xnor_column<PRODUCT, 64>(0);
    if constexpr (kCores) {
#pragma unroll
      for (unsigned v = 0; v < 2; v++) room[(part * 2 + v) * 64 + threadIdx.x / 32 % 2 * 32 + lane] = kept[32 * v + lane];
    } else {
#pragma unroll
      for (unsigned i = 0; i < 16; i++) {
        double s = own[i];
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

template <class PRODUCT, class TILES, class E>
__device__ __forceinline__ void product_statistics(const Over<UnitStatistics<E>>& a, unsigned* room, typename ProductSums<PRODUCT, E>::Shared& kept) {
  if constexpr (xnor_is_chosen<PRODUCT>()) {
    const UnitStatistics<E>& pass = a.pass;
    ProductSums<PRODUCT, E> sums(kept);
    a.product.template with_tiles<TILES>(room, [&](TILES& tiles, unsigned) {
      bool together = pass.pitch % 8 == 0 && aligned(pass.y);
      const size_t below = size_t(16) * pass.pitch;   // from a row of this thread to its next
      E* to = nullptr;
      tiles.template each<true>(blockIdx.x, gridDim.x, together && !pass.added, [&](unsigned k, unsigned from, unsigned, const float(&out)[8], int, bool there, auto whole) {
        constexpr bool kWhole = decltype(whole)::value;
        const unsigned c = product_channel<PRODUCT>();
        const Live live = tile_live(c, pass.channels);
        uint4 raw[kRaw<E>];
        pack_vector(out, raw, static_cast<E*>(nullptr));
        if (!kWhole && pass.added && there) {
          float v[8], x[8];
          unpack_vector(raw, 0, v, static_cast<E*>(nullptr));
          load_live(pass.added + (from * pass.channels + c) + k * (16 * pass.channels), x, live);
#pragma unroll
          for (unsigned j = 0; j < 8; j++) v[j] = __fadd_rn(v[j], x[j]);
          pack_vector(v, raw, static_cast<E*>(nullptr));
        }
        sums.add(k, raw, kWhole ? 8u : there ? live.count : 0u);
        if (!pass.y || !there) return;
        to = k == 0 || !kWhole ? pass.y + (from * pass.pitch + c + k * (16 * pass.pitch)) : to + below;
        if (kWhole || (live.together && together)) {
#pragma unroll
          for (unsigned i = 0; i < kRaw<E>; i++) reinterpret_cast<uint4*>(to)[i] = raw[i];
        } else {
          float v[8];
          unpack_vector(raw, 0, v, static_cast<E*>(nullptr));
          store_live(to, v, {live.count, false});
        }
      }, [&](unsigned) { sums.keep(); });
    });
    if (pass.partial) sums.finish(pass, reinterpret_cast<double*>(room));
  }
}

/** z and bits of the rows of a tile, the unit held in registers over them. */
template <int KNOWN, class PRODUCT, class E> __device__ __forceinline__ void rows_forward(const UnitForward<E>& pass, const TileRows<PRODUCT, E>& rows) {
  unsigned c = rows.channel, bytes = (pass.channels + 31) / 32 * 4;
  Live live = knows(KNOWN, kStraight) ? kAll : rows.live;
  if (rows.count == 0) return;
  UnitHeld<KNOWN> of(pass.unit, c, live);
  Binarization::Set set = pass.next.set();
  rows.run([&](unsigned row) { return pass.template ask<8>(row, c, live); }, [&](float(&t)[8], const Ahead<E, 8>& x, unsigned row) {
    unsigned packed = pass.of(of.norm, of.f, set, t, x, row, c, live);
    if (!pass.next.kind) return;
    unsigned char* to = reinterpret_cast<unsigned char*>(pass.bits) + size_t(row) * bytes + c / 8;
    to[0] = static_cast<unsigned char>(packed);
    if (c + 8 >= pass.channels) for (unsigned k = 1; c / 8 + k < bytes; k++) to[k] = 0;
  });
}

template <class PRODUCT, class E> __device__ __forceinline__ void product_forward(const Over<UnitForward<E>>& a, unsigned* room) {
  if constexpr (xnor_is_chosen<PRODUCT>()) {
    const UnitForward<E>& pass = a.pass;
    if (blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) pass.give_set();
    const int way = !pass.unit.f.plain() ? 0 : pass.channels % 8 == 0 && pass.unit.shortcut.kind != 2 ? 2 : 1;
    a.product.template each_tile<PRODUCT, E>(room, [&](const TileRows<PRODUCT, E>& rows) {
      if (way == 0) rows_forward<kAnything>(pass, rows);
      else if (way == 2) rows_forward<kPlain | kStraight>(pass, rows);
      else rows_forward<kPlain>(pass, rows);
    });
  }
}

/** gradT of the rows of a tile, and what they add to the sums. */
template <int KNOWN, class PRODUCT, class E, class Sums>
__device__ __forceinline__ void rows_backward(const UnitBackward<E>& pass, const TileRows<PRODUCT, E>& rows, Sums& sums) {
  unsigned c = rows.channel;
  Live live = knows(KNOWN, kStraight) ? kAll : rows.live;
  if (rows.count == 0) return;
  auto set = pass.g.template the_set<KNOWN>();
  auto over = [&](const auto& of) {
    rows.run([&](unsigned row) { return pass.template ask<KNOWN>(row, c, live); },
             [&](const float(&y)[8], const auto& asked, unsigned row) { pass.template at<KNOWN>(y, asked, of, set, row, c, live, sums); });
  };
  if constexpr (knows(KNOWN, kStraight)) over(UnitHeld<KNOWN>(pass.unit, c, live));
  else over(UnitRead<KNOWN, E>{pass.unit});
}

template <class PRODUCT, class E> __device__ __forceinline__ void product_backward(const Over<UnitBackward<E>>& a, unsigned* room, double* kept) {
  if constexpr (xnor_is_chosen<PRODUCT>()) {
    const UnitBackward<E>& pass = a.pass;
    // what a thread keeps lies where the thread that has its rows and channels in unit_backward.cu would keep it, so that all is added in the order there
    unsigned in = xnor_row<PRODUCT>() * 8 + xnor_column<PRODUCT, 64>(0) / 8;
    BackwardSums<E, PRODUCT::kTensor ? 4 : 8> sums(kept, in);
    constexpr bool kHolds = sizeof(E) == 2;   // double sums leave no registers for a unit
    const int way = kHolds && pass.straight() && pass.unit.f.kind == 1 && pass.g.adabin() ? 3 : !pass.plain() ? 0 : kHolds && pass.straight() ? 2 : 1;
    a.product.template each_tile<PRODUCT, E>(room, [&](const TileRows<PRODUCT, E>& rows) {
      if (way == 3) rows_backward<kHolds ? kAdaBin | kStraight : kPlain>(pass, rows, sums);
      else if (way == 0) rows_backward<kAnything>(pass, rows, sums);
      else if (way == 2) rows_backward<kHolds ? kPlain | kStraight : kPlain>(pass, rows, sums);
      else rows_backward<kPlain>(pass, rows, sums);
      sums.keep();
    });
    if (way == 3) pass.template finish<kAdaBin>(sums, kept, reinterpret_cast<double*>(room));
    else pass.finish(sums, kept, reinterpret_cast<double*>(room));
  }
}

template <class PRODUCT, class E> __device__ __forceinline__ void product_apply(const Over<UnitBackwardApply<E>>& a, unsigned* room) {
  if constexpr (xnor_is_chosen<PRODUCT>()) {
    const UnitBackwardApply<E>& pass = a.pass;
    a.product.template each_tile<PRODUCT, E>(room, [&](const TileRows<PRODUCT, E>& rows) {
      unsigned c = rows.channel;
      Live live = rows.live;
      if (rows.count == 0) return;
      NormOf<8> norm(pass.norm, c, live);
      typename UnitBackwardApply<E>::template Means<8> means(pass, c, live);
      rows.run([&](unsigned row) {
        Ahead<E, 8> g;
        g.ask(pass.gradT + row * pass.channels + c, live.together);
        return g;
      }, [&](const float(&y)[8], const Ahead<E, 8>& asked, unsigned row) {
        float g[8];
        asked.take(g, 0, live);
        pass.of(norm, means, g, y, row * pass.channels + c, live);
      });
    });
  }
}

extern __shared__ __align__(16) unsigned unit_product_room[];

/** Blocks that a multiprocessor shall hold at once: as many as leave each the registers it needs. */
template <class E> constexpr unsigned kTileBlocks = sizeof(E) == 2 ? 3 : 2;
template <class E> constexpr unsigned kHeldBlocks = sizeof(E) == 2 ? 4 : 2;

#define ELEMENT_FILE "unit_product.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(128, kTileBlocks<ELEMENT>) ENTRY(unit_product_statistics)(const Over<UnitStatistics<ELEMENT>> a) {
  __shared__ typename ProductSums<XnorAnd, ELEMENT>::Shared kept;
  product_statistics<XnorAnd, ConvTiles<XnorAnd, 64>>(a, unit_product_room, kept);
}
ONEBIT_KERNEL(128, kHeldBlocks<ELEMENT>) ENTRY(unit_product_statistics_held)(const Over<UnitStatistics<ELEMENT>> a) {
  __shared__ typename ProductSums<XnorAnd, ELEMENT>::Shared kept;
  product_statistics<XnorAnd, HeldTiles<XnorAnd, 64>>(a, unit_product_room, kept);
}
ONEBIT_KERNEL(128, kHeldBlocks<ELEMENT>) ENTRY(unit_product_statistics_planes)(const Over<UnitStatistics<ELEMENT>> a) {
  __shared__ typename ProductSums<XnorAnd, ELEMENT>::Shared kept;
  product_statistics<XnorAnd, PlaneTiles<XnorAnd, 64>>(a, unit_product_room, kept);
}
ONEBIT_KERNEL(128, 2) ENTRY(unit_product_statistics_xor)(const Over<UnitStatistics<ELEMENT>> a) {
  __shared__ typename ProductSums<XnorXor, ELEMENT>::Shared kept;
  product_statistics<XnorXor, ConvTiles<XnorXor, 64>>(a, unit_product_room, kept);
}
ONEBIT_KERNEL(128, 2) ENTRY(unit_product_statistics_popc)(const Over<UnitStatistics<ELEMENT>> a) {
  __shared__ typename ProductSums<XnorPopc, ELEMENT>::Shared kept;
  product_statistics<XnorPopc, ConvTiles<XnorPopc, 64>>(a, unit_product_room, kept);
}
ONEBIT_KERNEL(128, kTileBlocks<ELEMENT>) ENTRY(unit_product_forward)(const Over<UnitForward<ELEMENT>> a) { product_forward<XnorAnd>(a, unit_product_room); }
ONEBIT_KERNEL(128, kTileBlocks<ELEMENT>) ENTRY(unit_product_forward_xor)(const Over<UnitForward<ELEMENT>> a) { product_forward<XnorXor>(a, unit_product_room); }
ONEBIT_KERNEL(128, 2) ENTRY(unit_product_forward_popc)(const Over<UnitForward<ELEMENT>> a) { product_forward<XnorPopc>(a, unit_product_room); }
ONEBIT_KERNEL(128, 2) ENTRY(unit_product_backward)(const Over<UnitBackward<ELEMENT>> a) {
  __shared__ double kept[kTileSums<4>];
  product_backward<XnorAnd>(a, unit_product_room, kept);
}
ONEBIT_KERNEL(128, 2) ENTRY(unit_product_backward_xor)(const Over<UnitBackward<ELEMENT>> a) {
  __shared__ double kept[kTileSums<4>];
  product_backward<XnorXor>(a, unit_product_room, kept);
}
ONEBIT_KERNEL(128, 2) ENTRY(unit_product_backward_popc)(const Over<UnitBackward<ELEMENT>> a) {
  __shared__ double kept[kTileSums<4>];
  product_backward<XnorPopc>(a, unit_product_room, kept);
}
ONEBIT_KERNEL(128, kTileBlocks<ELEMENT>) ENTRY(unit_product_apply)(const Over<UnitBackwardApply<ELEMENT>> a) { product_apply<XnorAnd>(a, unit_product_room); }
ONEBIT_KERNEL(128, kTileBlocks<ELEMENT>) ENTRY(unit_product_apply_xor)(const Over<UnitBackwardApply<ELEMENT>> a) { product_apply<XnorXor>(a, unit_product_room); }
ONEBIT_KERNEL(128, 2) ENTRY(unit_product_apply_popc)(const Over<UnitBackwardApply<ELEMENT>> a) { product_apply<XnorPopc>(a, unit_product_room); }
#endif
