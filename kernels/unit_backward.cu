// unit_backward.cu -- backward of what follows a binary convolution, from the gradients that meet at its result
//
//   g = slope(z) gradQ of the convolution after it + gradient of the shortcut that starts here
//   unit_backward        gradT = g f'(t) and the sums: gradGamma, gradBeta, gradPositive, gradNegative, gradAlpha, gradBeta of the set
//   unit_backward_adabin the same for Maxout, a learned set and the polynomial slope, shortcuts as they are, in fewer instructions
//   unit_backward_apply  gradY = gamma inverse (gradT - mean(gradT) - xhat mean(gradT xhat))
//   unit_join            gradZ = g and the sums of the set: where no unit lies before
//
//   unit_join reads z; unit_backward has y and x, and computes z from them as unit_forward did
//
// Shapes     gradQ, z, gradT, gradY N,P,Q,C; over: gradient at a shortcut's result; partial [splits][4][C] double, ofSet [blocks][2] double
//            images are float, or bfloat16 in the entries named _bf16; the rest is float
// Launch     unit_backward, unit_backward_adabin block 128, grid (any number of splits, ceil(C / 64)); unit_join as channel_sums in common.cuh; unit_backward_apply block
//            256, any grid
// Limits     N * P * Q * C < 2^31; counters hold 0 before and after; unit_backward_adabin C a multiple of 8, no shortcut of kind 2
// Exactness  values in the operations of the simple kernels, in bfloat16 without their roundings between; sums as unit_passes.cuh says, in the order of
//            unit_product.cu, which gives the same bits from a y that it computes again; those of gradT are taken before it is rounded
// Twin       src/main/java/onebit/ops/cpu/CpuFusedOps.java, backward, join
// Tests      native-tests/unit_test.cpp, src/test/java/onebit/ops/FusedOpsTest.java
// Source     Ioffe and Szegedy 2015, arXiv 1502.03167; Tu et al. 2022, AdaBin, arXiv 2208.08084; anchors/performance.md section 7
// Rungs      1 eight simple launches, 2 one pass with all sums and their finish in the last block, then one pass, 3 sums in the tiles of the
//            binary convolution, 4 a thread keeps its channels, two rows at a time asked for ahead; sums of 4 tiles in float beside bfloat16,
//            5 rows come ahead into shared memory; four threads share what they keep, four blocks a multiprocessor
#ifndef ELEMENT
#include "unit_passes.cuh"

/** All rows of this block's tiles. */
template <int KNOWN, class E> __device__ __forceinline__ void rows_backward(const UnitBackward<E>& a, BackwardSums<E>& sums) {
  unsigned c = tile_channel(), rows = c < a.channels ? a.rows : 0;
  Live live = tile_live(c, a.channels);
  typename Incoming<E>::Set set = a.g.template the_set<KNOWN>();
  UnitRead<KNOWN, E> of{a.unit};
  for (unsigned tile = blockIdx.x; tile * kTileRows < a.rows; tile += gridDim.x) {
#pragma unroll 1
    for (unsigned row = tile * kTileRows + threadIdx.x / 8; row < min(rows, (tile + 1) * kTileRows); row += 16) {
      float y[8];
      load_live(a.unit.y + row * a.channels + c, y, live);
      auto asked = a.template ask<KNOWN>(row, c, live);
      a.template at<KNOWN>(y, asked, of, set, row, c, live, sums);
    }
    sums.keep();
  }
}

/** Rows of a thread that shared memory holds on the straight way: this one and those that are on their way. */
template <class E> constexpr unsigned kRing = sizeof(E) == 2 ? 3 : 2;

/** 16-byte words of a row's 8 channels in one array, of all that a block holds of a row for each thread, and of all rows. */
template <class E> constexpr unsigned kRingPieces = 8 * sizeof(E) / 16;
template <class E> constexpr unsigned kRowWords = UnitBackward<E>::kArrays * kRingPieces<E> * 128;
template <class E> constexpr unsigned kRingWords = kRing<E> * kRowWords<E>;

/**
 * The same on the straight way, with the unit held in registers. Rows come ahead into a ring in shared memory: each thread copies what it will read, so that it
 * waits for its own copies and for no other thread.
 */
template <int KNOWN, class E> __device__ __forceinline__ void straight_rows_backward(const UnitBackward<E>& a, BackwardSums<E>& sums, uint4* ring) {
  constexpr unsigned kAhead = kRing<E> - 1;
  unsigned c = tile_channel(), rows = c < a.channels ? a.rows : 0, row = blockIdx.x * kTileRows + threadIdx.x / 8, next = row, from = 0, to = 0;
  if (rows == 0) c = 0;
  ring += threadIdx.x;
  auto behind = [](unsigned row) {
    row += 16;
    return row % kTileRows < 16 ? row + (gridDim.x - 1) * kTileRows : row;
  };
  auto round = [](unsigned at) { return at == kAhead * kRowWords<E> ? 0 : at + kRowWords<E>; };
  auto ask = [&] {
    if (next < rows) {
      typename UnitBackward<E>::template Asked<KNOWN> none = {};
      auto copy = [&](auto&, const E* array, unsigned number) {
#pragma unroll
        for (unsigned i = 0; i < kRingPieces<E>; i++) cp_async_16(ring + to + (number * kRingPieces<E> + i) * 128, array + (next * a.channels + c) + i * kWide<E>);
      };
      copy(none, a.unit.y, 0u);
      a.template each_beside<KNOWN>(none, copy);
    }
    cp_async_commit();
    next = behind(next), to = round(to);
  };
#pragma unroll
  for (unsigned i = 0; i < kAhead; i++) ask();
  typename Incoming<E>::Set set = a.g.template the_set<KNOWN>();
  UnitHeld<KNOWN> of(a.unit, c, kAll);
  for (unsigned tile = blockIdx.x; tile * kTileRows < a.rows; tile += gridDim.x) {
#pragma unroll 1
    for (unsigned k = 0; k < kTileRows / 16; k++) {
      ask();
      cp_async_wait<int(kAhead)>();
      if (row < rows) {
        Ahead<E, 8> ofY;
        typename UnitBackward<E>::template Asked<KNOWN> asked = {};
        auto read = [&](auto& ahead, const E*, unsigned number) {
#pragma unroll
          for (unsigned i = 0; i < kRingPieces<E>; i++) ahead.raw[i] = ring[from + (number * kRingPieces<E> + i) * 128];
        };
        read(ofY, a.unit.y, 0u);
        a.template each_beside<KNOWN>(asked, read);
        float y[8];
        ofY.take(y, 0, kAll);
        a.template at<KNOWN>(y, asked, of, set, row, c, kAll, sums);
      }
      row = behind(row), from = round(from);
    }
    sums.keep();
  }
}

/** Blocks that a multiprocessor shall hold at once: as many as leave each the registers it needs. */
template <class E> constexpr unsigned kBackwardBlocks = sizeof(E) == 2 ? 3 : 2;
template <class E> constexpr unsigned kAdaBinBlocks = sizeof(E) == 2 ? 4 : 2;

#define ELEMENT_FILE "unit_backward.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(128, kBackwardBlocks<ELEMENT>) ENTRY(unit_backward)(const UnitBackward<ELEMENT> a) {
  __shared__ double room[kTileSums<4>];
  __shared__ uint4 ring[kRingWords<ELEMENT>];
  BackwardSums<ELEMENT> sums(room);
  if (!a.plain()) rows_backward<kAnything>(a, sums);
  else if (a.straight()) straight_rows_backward<kPlain | kStraight>(a, sums, ring);
  else rows_backward<kPlain>(a, sums);
  a.finish(sums, room, reinterpret_cast<double*>(ring));
}

ONEBIT_KERNEL(128, kAdaBinBlocks<ELEMENT>) ENTRY(unit_backward_adabin)(const UnitBackward<ELEMENT> a) {
  __shared__ double room[kTileSums<4>];
  __shared__ uint4 ring[kRingWords<ELEMENT>];
  BackwardSums<ELEMENT> sums(room);
  if (a.joined()) straight_rows_backward<kAdaBin | kJoined>(a, sums, ring);
  else straight_rows_backward<kAdaBin | kStraight>(a, sums, ring);
  a.template finish<kAdaBin>(sums, room, reinterpret_cast<double*>(ring));
}

ONEBIT_KERNEL(256, 2) ENTRY(unit_join)(const UnitBackward<ELEMENT> a) {
  __shared__ double tile[2 * 256], kept[4 * 256];
  unsigned lane = threadIdx.y * blockDim.x + threadIdx.x, first = (blockIdx.y * gridDim.x + blockIdx.x) * 256 + lane, step = gridDim.x * gridDim.y * 256;
  SetSums<ELEMENT, 256> sums(kept, lane);
  double ofSet[2];
  auto all = [&](auto known, auto width) {
    constexpr int KNOWN = known.value;
    constexpr unsigned W = width.value;
    auto set = a.g.template the_set<KNOWN>();
    Divisor perRow(a.channels / W);
    unsigned vectors = a.rows * perRow.by, done = 0;
    for (unsigned i = first; i < vectors; i += step) {
      float g[W] = {};
      unsigned vector, row = perRow.divide(i, vector), c = vector * W;
      a.g.template of_stored<KNOWN>(g, set, row, c, a.channels, a.p, a.q, sums);
      store_vector(a.gradT + row * a.channels + c, g);
      if (++done % 8 == 0) sums.keep();
    }
    a.g.template give<KNOWN>(ofSet, sums);
  };
  bool straight = a.channels % 8 == 0 && a.g.over.kind != 2;
  if (straight && a.g.adabin()) all(Width<kAdaBin | kStraight>{}, Width<8>{});
  else if (straight && a.g.plain()) all(Width<kPlain | kStraight>{}, Width<8>{});
  else if (a.channels % 4 == 0 && a.g.plain()) all(Width<kPlain>{}, Width<4>{});
  else all(Width<kAnything>{}, Width<1>{});
  if (a.g.set.kind != 2) return;
  unsigned blocks = gridDim.x * gridDim.y;
  sum_set<256>(tile, lane, ofSet, a.ofSet + 2 * (blockIdx.y * gridDim.x + blockIdx.x));
  if (last_block(a.counters + gridDim.x, blocks)) finish_set<256>(a.ofSet, blocks, tile, a.gradAlpha, a.gradBetaOfSet);
}

ONEBIT_KERNEL(256) ENTRY(unit_backward_apply)(const UnitBackwardApply<ELEMENT> a) {
  if (OwnRows::fit(a.channels)) {
    struct Asked {
      Ahead<ELEMENT, 8> gradT, y;
    };
    unsigned rows = a.n / a.channels;
    OwnRows mine(a.channels, rows);
    unsigned c = mine.c;
    NormOf<8> norm(a.norm, c);
    typename UnitBackwardApply<ELEMENT>::template Means<8> means(a, c, kAll);
    mine.template each<Asked>(rows, [&](Asked& asked, unsigned row) {
      asked.gradT.ask(a.gradT + row * a.channels + c, true);
      asked.y.ask(a.y + row * a.channels + c, true);
    }, [&](const Asked& asked, unsigned row) {
      float g[8], y[8];
      asked.gradT.take(g, 0, kAll);
      asked.y.take(y, 0, kAll);
      a.of(norm, means, g, y, row * a.channels + c, kAll);
    });
    return;
  }
  FOR_EACH(i, a.n) {
    float y[1] = {load(a.y + i)};
    a.at(y, i, i % a.channels, kAll);
  }
}
#endif
