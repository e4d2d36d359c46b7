// common.cuh -- what every kernel file includes: the entry macro, the loop over elements, sums of a block, sums per channel
//
// Encoding   bit 1 = +1, bit 0 = -1; bit k of a row is bit k % 32 of its word k / 32; a row has ceil(bits / 32) words, tail bits are 0
// Exactness  sums are double, in an order that depends on the launch shape only: equal on every run
#pragma once
#include <cuda_runtime.h>
#include <stdint.h>

#define ONEBIT_KERNEL(...) extern "C" __global__ void __launch_bounds__(__VA_ARGS__)

constexpr unsigned kFullWarp = 0xffffffffu;

/**
 * a b + c, rounded once on a GPU whatever stands around it, so that kernels which must give the same bits do: the compiler makes one fma of a product and a sum
 * where it likes to. The emulated device rounds twice, as the twins do, but in its variant `contracted`.
 */
__device__ __forceinline__ float multiply_add(float a, float b, float c) {
#if defined(__HOSTCUDA__) && !defined(__HOSTCUDA_CONTRACTED__)
  return a * b + c;
#else
  return __fmaf_rn(a, b, c);
#endif
}

/** Division by a number that many values are divided by: a multiplication and a step of correction, exact for every unsigned value. */
struct Divisor {
  unsigned by, factor;

  __device__ __forceinline__ explicit Divisor(unsigned by) : by(by), factor(0xffffffffu / by) {}

  __device__ __forceinline__ unsigned divide(unsigned n, unsigned& rest) const {
    unsigned quotient = __umulhi(n, factor);   // exact or one too small
    rest = n - quotient * by;
    if (rest < by) return quotient;
    rest -= by;
    return quotient + 1;
  }
};

/** i over all elements below n, whatever the grid. */
#define FOR_EACH(i, n) for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += gridDim.x * blockDim.x)

/** The sum over a block of at most 1024 threads, in a tree; every thread gets it. `shared` holds 33 doubles and may be used again at once. */
__device__ __forceinline__ double block_sum(double value, double* shared) {
  for (int d = 16; d > 0; d /= 2) value += __shfl_down_sync(kFullWarp, value, d);
  unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  if (lane == 0) shared[warp] = value;
  __syncthreads();
  if (warp == 0) {
    double sum = lane < warps ? shared[lane] : 0.0;
    for (int d = 16; d > 0; d /= 2) sum += __shfl_down_sync(kFullWarp, sum, d);
    if (lane == 0) shared[32] = sum;
  }
  __syncthreads();
  double sum = shared[32];
  __syncthreads();
  return sum;
}

/** The sum of one value of each split, `apart` values from one to the next, in their order; 16 are asked for at once. */
template <class T> __device__ __forceinline__ double sum_of_splits(const T* first, size_t apart, unsigned splits) {
  double sum = 0;
  for (unsigned k = 0; k < splits; k += 16) {
    T each[16];
#pragma unroll
    for (unsigned i = 0; i < 16; i++) each[i] = k + i < splits ? first[(k + i) * apart] : T(0);
#pragma unroll
    for (unsigned i = 0; i < 16; i++) sum += each[i];
  }
  return sum;
}

/** A number of elements that is known when the kernel is compiled. */
template <unsigned N> struct Width {
  static constexpr unsigned value = N;
};

/** Channels that one thread of channel_sums adds up where their number is a multiple. */
constexpr unsigned kSumChannels = 4;

template <int VALUES, unsigned W, class Term>
__device__ __forceinline__ void sum_channels(double* partial, unsigned rows, unsigned channels, double* tile, Term term) {
  unsigned c = (blockIdx.x * blockDim.x + threadIdx.x) * W, lane = threadIdx.y * blockDim.x + threadIdx.x;
  double sum[VALUES * W] = {};
  if (c < channels) {
    for (unsigned row = blockIdx.y * blockDim.y + threadIdx.y; row < rows; row += gridDim.y * blockDim.y) {
      double each[VALUES][W];
      term(row * channels + c, c, Width<W>{}, each);
#pragma unroll
      for (unsigned v = 0; v < VALUES * W; v++) sum[v] += each[v / W][v % W];
    }
  }
#pragma unroll
  for (unsigned v = 0; v < VALUES * W; v++) tile[v * 256 + lane] = sum[v];
  __syncthreads();
  for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
    if (threadIdx.y < half) {
      for (unsigned v = 0; v < VALUES * W; v++) tile[v * 256 + lane] += tile[v * 256 + lane + half * blockDim.x];
    }
    __syncthreads();
  }
  if (threadIdx.y == 0 && c < channels) {
    for (unsigned v = 0; v < VALUES * W; v++) partial[(blockIdx.y * VALUES + v / W) * channels + c + v % W] = tile[v * 256 + lane];
  }
}

/**
 * partial[split][v][c] = the sum over the rows of one split of each[v][k], which term(index, c, width, each) gives for `width` channels c + k.
 *
 * Launch: block (x, y) of 256 threads, x lanes at a time and y rows; grid (ceil(lanes / x), splits), a lane being kSumChannels channels
 * where C is a multiple of that, else one; tile holds kSumTile * VALUES doubles. Addresses are multiples of 16 bytes.
 */
template <int VALUES, class Term>
__device__ __forceinline__ void channel_sums(double* partial, unsigned rows, unsigned channels, double* tile, Term term) {
  if (channels % kSumChannels == 0) sum_channels<VALUES, kSumChannels>(partial, rows, channels, tile, term);
  else sum_channels<VALUES, 1>(partial, rows, channels, tile, term);
}

constexpr unsigned kSumTile = 256 * kSumChannels;

/** Splits whose sums are added up first, before those of all groups. */
constexpr unsigned kSplitGroup = 24;

/** The sum over the splits of channel c of value v, by groups in their order. */
__device__ __forceinline__ double channel_total(const double* partial, unsigned splits, unsigned values, unsigned v, unsigned channels, unsigned c) {
  double sum = 0;
  for (unsigned from = 0; from < splits; from += kSplitGroup) {
    double part = 0;
#pragma unroll 8
    for (unsigned s = from; s < min(splits, from + kSplitGroup); s++) part += partial[(s * values + v) * channels + c];
    sum = from == 0 ? part : sum + part;
  }
  return sum;
}
