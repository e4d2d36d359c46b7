// unit_backward.cu -- backward of what follows a binary convolution, from the gradients that meet at its result
//
//   g = slope(z) gradQ of the convolution after it + gradient of the shortcut that starts here
//   unit_backward        gradT = g f'(t) and the sums: gradGamma, gradBeta, gradPositive, gradNegative, gradAlpha, gradBeta of the set
//   unit_backward_adabin the same for Maxout, a learned set and the polynomial slope, in fewer instructions
//   unit_backward_apply  gradY = gamma inverse (gradT - mean(gradT) - xhat mean(gradT xhat))
//   unit_join            gradZ = g and the sums of the set: where no unit lies before
//
//   unit_join reads z; unit_backward has y and x, and computes z from them as unit_forward did
//
// Shapes     gradQ, z, gradT, gradY N,P,Q,C; over: gradient at a shortcut's result; partial [splits][4][C] double, ofSet [blocks][2] double
//            images are float, or bfloat16 in the entries named _bf16; the rest is float
// Launch     unit_backward, unit_backward_adabin block 128, grid (any number of splits, ceil(C / 64)); unit_join as channel_sums in common.cuh; unit_backward_apply block
//            256, any grid
// Limits     N * P * Q * C < 2^31; counters hold 0 before and after
// Exactness  values in the operations of the simple kernels, in bfloat16 without their roundings between; sums are double, in the order of
//            unit_product.cu, which gives the same bits from a y that it computes again
// Twin       src/main/java/onebit/ops/cpu/CpuFusedOps.java, backward, join
// Tests      native-tests/unit_test.cpp, src/test/java/onebit/ops/FusedOpsTest.java
// Source     Ioffe and Szegedy 2015, arXiv 1502.03167; Tu et al. 2022, AdaBin, arXiv 2208.08084; anchors/performance.md section 7
// Rungs      1 eight simple launches, 2 one pass with all sums and their finish in the last block, then one pass, 3 sums in the tiles of the
//            binary convolution
#ifndef ELEMENT
#include "unit_passes.cuh"

/** All rows of this block's tiles. */
template <int KNOWN, class E> __device__ __forceinline__ void rows_backward(const UnitBackward<E>& a, BackwardSums<E>& sums) {
  unsigned c = tile_channel();
  Live live = tile_live(c, a.channels);
  typename Incoming<E>::Set set = a.g.template the_set<KNOWN>();
  UnitRead<KNOWN, E> of{a.unit};
  for (unsigned tile = blockIdx.x; c < a.channels && tile * kTileRows < a.rows; tile += gridDim.x) {
#pragma unroll 1
    for (unsigned row = tile * kTileRows + threadIdx.x / 8; row < min(a.rows, (tile + 1) * kTileRows); row += 16) {
      float y[8];
      Ahead<E, 8, knows(KNOWN, kPlain)> ofY;
      ofY.ask(a.unit.y + row * a.channels + c, live.together);
      auto asked = a.template ask<KNOWN>(row, c, live);
      ofY.take(y, 0, live);
      a.template at<KNOWN>(y, asked, of, set, row, c, live, sums);
    }
    sums.keep();
  }
}

/** The same on the straight way, with the unit held in registers and the next row asked for before this one is computed. */
template <int KNOWN, class E> __device__ __forceinline__ void straight_rows_backward(const UnitBackward<E>& a, BackwardSums<E>& sums) {
  unsigned c = tile_channel(), first = blockIdx.x * kTileRows + threadIdx.x / 8;
  if (c >= a.channels) return;
  typename Incoming<E>::Set set = a.g.template the_set<KNOWN>();
  UnitHeld<KNOWN> of(a.unit, c, kAll);
  Ahead<E, 8> ofY, nextY;
  typename UnitBackward<E>::template Asked<KNOWN> asked, next;
  auto ask = [&](unsigned row) {
    nextY.ask(a.unit.y + row * a.channels + c, true);
    next = a.template ask<KNOWN>(row, c, kAll);
  };
  if (first < a.rows) ask(first);
  for (unsigned tile = blockIdx.x; tile * kTileRows < a.rows; tile += gridDim.x) {
    unsigned end = min(a.rows, (tile + 1) * kTileRows);
#pragma unroll 1
    for (unsigned row = tile * kTileRows + threadIdx.x / 8; row < end; row += 16) {
      ofY = nextY, asked = next;
      unsigned behind = row + 16 < end ? row + 16 : row % kTileRows % 16 + (tile + gridDim.x) * kTileRows;
      if (behind < a.rows) ask(behind);
      float y[8];
      ofY.take(y, 0, kAll);
      a.template at<KNOWN>(y, asked, of, set, row, c, kAll, sums);
    }
    sums.keep();
  }
}

#define ELEMENT_FILE "unit_backward.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(128, kBackwardBlocks<ELEMENT>) ENTRY(unit_backward)(const UnitBackward<ELEMENT> a) {
  __shared__ double room[kTileSums<4>], kept[kOwnSums];
  BackwardSums<ELEMENT> sums(kept);
  if (!a.plain()) rows_backward<kAnything>(a, sums);
  else if (a.straight()) straight_rows_backward<kPlain | kStraight>(a, sums);
  else rows_backward<kPlain>(a, sums);
  a.finish(sums, room);
}

ONEBIT_KERNEL(128, kBackwardBlocks<ELEMENT>) ENTRY(unit_backward_adabin)(const UnitBackward<ELEMENT> a) {
  __shared__ double room[kTileSums<4>], kept[kOwnSums];
  BackwardSums<ELEMENT> sums(kept);
  if (a.straight()) straight_rows_backward<kAdaBin | kStraight>(a, sums);
  else rows_backward<kAdaBin>(a, sums);
  a.finish(sums, room);
}

ONEBIT_KERNEL(256, 2) ENTRY(unit_join)(const UnitBackward<ELEMENT> a) {
  __shared__ double tile[256];
  double ofSet[2] = {};
  bool plain = a.g.plain();
  auto set = a.g.template the_set<kAnything>();
  unsigned wide = a.channels % kSumChannels == 0 ? kSumChannels : 1, c = (blockIdx.x * blockDim.x + threadIdx.x) * wide;
  for (unsigned row = blockIdx.y * blockDim.y + threadIdx.y; c < a.channels && row < a.rows; row += gridDim.y * blockDim.y) {
    if (wide == 1) {
      float g[1];
      a.g.template of_stored<kAnything>(g, set, row, c, a.channels, a.p, a.q, ofSet);
      store_vector(a.gradT + row * a.channels + c, g);
    } else {
      float g[kSumChannels];
      if (plain) a.g.template of_stored<kPlain>(g, set, row, c, a.channels, a.p, a.q, ofSet);
      else a.g.template of_stored<kAnything>(g, set, row, c, a.channels, a.p, a.q, ofSet);
      store_vector(a.gradT + row * a.channels + c, g);
    }
  }
  finish_set<256>(a, a.counters + gridDim.x, tile, ofSet);
}

ONEBIT_KERNEL(256) ENTRY(unit_backward_apply)(const UnitBackwardApply<ELEMENT> a) {
  for_each_vector<kWide<ELEMENT>>(a.n, a.channels % kWide<ELEMENT> == 0, [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    unsigned c = i % a.channels;
    float y[W];
    load_vector(a.y + i, y);
    a.at(y, i, c, kAll);
  });
}
#endif
