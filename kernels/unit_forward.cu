// unit_forward.cu -- what follows a binary convolution: batch norm, shortcut, nonlinearity, and the bits of the next convolution
//
//   unit_statistics  mean and inverse deviation of y per channel, running statistics moved by momentum
//   unit_forward     z = f(batch norm(y) + shortcut(x)) and the next layer's bits of z, in one pass
//
// Shapes     y, z N,P,Q,C; x as unit.cuh says; bits N*P*Q rows of ceil(C/32) words; partial [splits][2][C] double; per channel C values
//            y, z, x are float, or bfloat16 in the entries named _bf16; the rest is float
// Launch     unit_statistics as channel_sums in common.cuh; unit_forward block 256, any grid
// Limits     N * P * Q * C < 2^31; counters hold 0 before and after
// Exactness  values and sums in the operations and the order of batch_norm.cu, pool.cu, add.cu, maxout.cu, activate.cu and pack.cu; in bfloat16
//            only z is rounded, and its bits are those of the rounded value
// Twin       src/main/java/onebit/ops/cpu/CpuFusedOps.java, forward, statistics
// Tests      native-tests/unit_test.cpp, src/test/java/onebit/ops/FusedOpsTest.java
// Source     Ioffe and Szegedy 2015, arXiv 1502.03167; anchors/performance.md section 7, "what reaches b1"
// Rungs      1 six simple launches, 2 sums with their finish in the last block, then one pass, 3 16 bytes a thread where C % 32 == 0
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

#define ELEMENT_FILE "unit_forward.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(unit_statistics)(const UnitStatistics<ELEMENT> a) {
  __shared__ double tile[2 * kSumTile];
  const ELEMENT* y = a.y;
  channel_sums<2>(a.partial, a.rows, a.channels, tile, [=](unsigned i, unsigned c, auto width, auto& each) {
    constexpr unsigned W = width.value;
    float v[W], first[W];
    load_vector(y + i, v);
    load_vector(y + c, first);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      double d = double(v[k]) - double(first[k]);
      each[0][k] = d;
      each[1][k] = d * d;
    }
  });
  finish_sums<2>(a.partial, a.counters, a.channels, [&](unsigned c, const double (&total)[2]) { a.finish(c, total, load(y + c)); });
}

ONEBIT_KERNEL(256) ENTRY(unit_forward)(const UnitForward<ELEMENT> a) {
  if (blockIdx.x == 0 && threadIdx.x == 0) a.give_set();
  if (a.channels % 32 == 0) {
    if (!a.unit.f.plain()) words_forward<kAnything>(a);
    else if (a.unit.shortcut.kind != 2) words_forward<kPlain | kStraight>(a);
    else words_forward<kPlain>(a);
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
