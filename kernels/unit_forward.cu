// unit_forward.cu -- what follows a binary convolution: batch norm, shortcut, nonlinearity, and the bits of the next convolution
//
//   unit_statistics  mean and inverse deviation of y per channel, running statistics moved by momentum
//   unit_forward     z = f(batch norm(y) + shortcut(x)) and the next layer's bits of z, in one pass
//
// Shapes     y, z N,P,Q,C; x as unit.cuh says; bits N*P*Q rows of ceil(C/32) words; partial [splits][2][C] double; per channel C values
//            y, z, x are float, or bfloat16 in the entries named _bf16; the rest is float
// Launch     unit_statistics block 128, grid (any number of splits, ceil(C / 64)); unit_forward block 256, any grid
// Limits     N * P * Q * C < 2^31; counters hold 0 before and after
// Exactness  values and sums in the operations and the order of batch_norm.cu, pool.cu, add.cu, maxout.cu, activate.cu and pack.cu; in bfloat16
//            only z is rounded, and its bits are those of the rounded value. Statistics: the double sums of unit_product.cu in its order
// Twin       src/main/java/onebit/ops/cpu/CpuFusedOps.java, forward, statistics
// Tests      native-tests/unit_test.cpp, src/test/java/onebit/ops/FusedOpsTest.java
// Source     Ioffe and Szegedy 2015, arXiv 1502.03167; anchors/performance.md section 7, "what reaches b1"
// Rungs      1 six simple launches, 2 sums with their finish in the last block, then one pass, 3 16 bytes a thread where C % 32 == 0,
//            4 a thread keeps its channels over its rows, the next row asked for ahead; statistics in the tiles of the backward pass
#ifndef ELEMENT
#include "unit_passes.cuh"

/** z and bits where rows are whole words: a thread has the 16 bytes of a vector, neighbours join their bits. */
template <int KNOWN, class E> __device__ __forceinline__ void words_forward(const UnitForward<E>& a) {
  constexpr unsigned W = kWide<E>, group = 32 / W;   // threads that make a word
  Divisor perRow(a.channels / W);
  unsigned vectors = a.rows * perRow.by, lane = threadIdx.x % 32;
  for (unsigned base = blockIdx.x * blockDim.x; base < vectors; base += gridDim.x * blockDim.x) {
    unsigned i = base + threadIdx.x, packed = 0;
    if (i < vectors) {
      unsigned vector, row = perRow.divide(i, vector);
      packed = a.template run<KNOWN, W>(row, vector * W) << lane % group * W;
    }
    for (unsigned d = 1; d < group; d *= 2) packed |= __shfl_xor_sync(kFullWarp, packed, int(d));
    if (lane % group == 0 && i < vectors && a.next.kind) a.bits[i / group] = packed;
  }
}

/** The same on the straight way: a thread keeps its 8 channels, what is known of them stays in registers, and their bits are a byte. */
template <int KNOWN, class E> __device__ __forceinline__ void straight_forward(const UnitForward<E>& a) {
  struct Asked {
    Ahead<E, 8> y, x;
  };
  OwnRows mine(a.channels, a.rows);
  unsigned c = mine.c;
  NormOf<8> norm(a.unit.norm, c);
  NonlinearityOf<8, KNOWN> f(a.unit.f, c);
  Binarization::Set set = a.next.set();
  unsigned char* bytes = reinterpret_cast<unsigned char*>(a.bits);
  mine.template each<Asked>(a.rows, [&](Asked& asked, unsigned row) {
    asked.y.ask(a.unit.y + row * a.channels + c, true);
    a.unit.shortcut.template ask<KNOWN>(asked.x, row * a.channels + c, kAll);
  }, [&](const Asked& asked, unsigned row) {
    float t[8];
    asked.y.take(t, 0, kAll);
    unsigned packed = a.of(norm, f, set, t, asked.x, row, c, kAll);
    if (a.next.kind) bytes[(row * a.channels + c) / 8] = static_cast<unsigned char>(packed);
  });
}

/** Adds y and its square, of 8 channels of the rows of this block's tiles, in the order of unit_product.cu; TOGETHER rows are asked for at once. */
template <unsigned TOGETHER, class E> __device__ __forceinline__ void tile_statistics(const UnitStatistics<E>& a, Live live, double (&sum)[2][8]) {
  unsigned c = tile_channel();
  if (c >= a.channels) return;
  for (unsigned tile = blockIdx.x; tile * kTileRows < a.rows; tile += gridDim.x) {
    unsigned end = min(a.rows, (tile + 1) * kTileRows);
#pragma unroll 1
    for (unsigned row = tile * kTileRows + threadIdx.x / 8; row < end; row += 16 * TOGETHER) {
      Ahead<E, 8> y[TOGETHER];
#pragma unroll
      for (unsigned i = 0; i < TOGETHER; i++) y[i].ask(a.y + min(row + 16 * i, end - 1) * a.channels + c, live.together);
#pragma unroll
      for (unsigned i = 0; i < TOGETHER; i++) {
        if (row + 16 * i >= end) break;
        float v[8];
        y[i].take(v, 0, live);
#pragma unroll
        for (unsigned k = 0; k < 8; k++) {
          double d = double(v[k]);
          sum[0][k] += d;
          sum[1][k] += d * d;
        }
      }
    }
  }
}

#define ELEMENT_FILE "unit_forward.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(128) ENTRY(unit_statistics)(const UnitStatistics<ELEMENT> a) {
  __shared__ double room[kTileSums<2>];
  double sum[2][8] = {};
  if (a.channels % 8 == 0) tile_statistics<4>(a, kAll, sum);
  else tile_statistics<1>(a, tile_live(tile_channel(), a.channels), sum);
  finish_tiles<2>([&](unsigned v, unsigned k) { return sum[v][k]; }, a.partial, a.counters, a.channels, room,
                  [&](unsigned c, const double (&total)[2]) { a.finish(c, total, 0.0f); });
}

ONEBIT_KERNEL(256) ENTRY(unit_forward)(const UnitForward<ELEMENT> a) {
  if (blockIdx.x == 0 && threadIdx.x == 0) a.give_set();
  if (a.channels % 32 == 0) {
    bool straight = a.unit.f.plain() && a.unit.shortcut.kind != 2 && a.next.set().compared() && OwnRows::fit(a.channels);
    if (!straight) words_forward<kAnything>(a);
    else if (a.unit.f.kind == 1 && a.unit.shortcut.kind == 1) straight_forward<kAdaBin | kJoined | kCompared>(a);
    else straight_forward<kPlain | kStraight | kCompared>(a);
  } else {
    unsigned perRow = (a.channels + 31) / 32, lane = threadIdx.x % 32;
    for (unsigned word = (blockIdx.x * blockDim.x + threadIdx.x) / 32; word < a.rows * perRow; word += gridDim.x * blockDim.x / 32) {
      unsigned row = word / perRow, c = word % perRow * 32 + lane;
      unsigned packed = __ballot_sync(kFullWarp, c < a.channels && a.template run<kAnything, 1>(row, c));
      if (lane == 0 && a.next.kind) a.bits[word] = packed;
    }
  }
}
#endif
