// last_block.cuh -- what the last block of a launch does: sums of what the others left, so that no second launch is needed
//
// Exactness  sums in an order that depends on the launch shape only, whichever block is the last
#pragma once
#include "common.cuh"

/** Whether this is the last of `count` blocks to come here; what the others wrote before is then to be seen, through __ldcg. */
__device__ __forceinline__ bool last_block(unsigned* counter, unsigned count) {
  __shared__ unsigned before;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0 && threadIdx.y == 0) {
    before = atomicAdd(counter, 1u);
    if (before == count - 1) *counter = 0;
  }
  __syncthreads();
  bool last = before == count - 1;
  __syncthreads();
  if (last) __threadfence();
  return last;
}

/** The counters that splits_summed takes for each group of channels. */
__device__ __forceinline__ unsigned split_counters(unsigned splits) { return (splits + kSplitGroup - 1) / kSplitGroup + 1; }

/** partial[at of the first] = the sums of `count` splits from `from` on, `step` apart, for `across` channels of this block. */
template <unsigned VALUES>
__device__ __forceinline__ void add_splits(double* partial, unsigned from, unsigned step, unsigned count, unsigned channels, unsigned first, unsigned across) {
  unsigned lane = threadIdx.y * blockDim.x + threadIdx.x, threads = blockDim.x * blockDim.y;
  for (unsigned i = lane; i < VALUES * across; i += threads) {
    unsigned v = i / across, c = first + i % across;
    if (c >= channels) continue;
    double sum = 0;
#pragma unroll 8
    for (unsigned s = 0; s < count; s++) sum += __ldcg(partial + ((from + s * step) * VALUES + v) * channels + c);
    partial[(from * VALUES + v) * channels + c] = sum;
  }
}

/**
 * Whether this block is the last of `splits` blocks that share channels; then the first split of partial [splits][VALUES][C] holds the sums of all,
 * by groups of kSplitGroup, each added up by the last block of its own. counters: split_counters(splits) of zeros.
 */
template <unsigned VALUES>
__device__ __forceinline__ bool splits_summed(double* partial, unsigned* counters, unsigned split, unsigned splits, unsigned channels, unsigned first,
                                              unsigned across) {
  unsigned group = split / kSplitGroup, groups = split_counters(splits) - 1, from = group * kSplitGroup, members = min(kSplitGroup, splits - from);
  if (!last_block(counters + group, members)) return false;
  add_splits<VALUES>(partial, from, 1, members, channels, first, across);
  if (groups > 1) {
    if (!last_block(counters + groups, groups)) return false;
    add_splits<VALUES>(partial, 0, kSplitGroup, groups, channels, first, across);
  }
  __syncthreads();
  return true;
}

/** finish(c, totals) for every channel of a block of channel_sums, by the last block that added to it, which is told that it is: totals over the splits by groups. */
template <unsigned VALUES, class Finish>
__device__ __forceinline__ bool finish_sums(double* partial, unsigned* counters, unsigned channels, Finish finish) {
  unsigned across = blockDim.x * (channels % kSumChannels == 0 ? kSumChannels : 1), lane = threadIdx.y * blockDim.x + threadIdx.x;
  unsigned first = blockIdx.x * across, c = first + lane;
  if (!splits_summed<VALUES>(partial, counters + blockIdx.x * split_counters(gridDim.y), blockIdx.y, gridDim.y, channels, first, across)) return false;
  if (lane >= across || c >= channels) return true;
  double total[VALUES];
#pragma unroll
  for (unsigned v = 0; v < VALUES; v++) total[v] = __ldcg(partial + v * channels + c);
  finish(c, total);
  return true;
}
