// sample.cuh -- what a block does with one sample of a batch, which is larger than its registers and read more than once
//
//   each_of_sample<W, BACK>(n, whole, ask, work)   work(i, asked, width) over the elements, W of them at a time; asked = ask(i, width), two before work
//   each_pair_of_sample<BACK>(x, g, ...)           the same, asked the x and g there, 16 bytes of each; one by one where a slope is long
//   SampleSum<E>                                   a thread's sum over elements, in an order that depends on n alone
//   sample_moments                                 mean, and sum of squares around it, from one reading
//
// Order      passes go forward and back in turn: what one reads last is still in the cache when the next begins with it. A block is all that a multiprocessor
//            holds, so that fewer samples share the cache
// Exactness  beside float all is added in double. Beside bfloat16 the 8 elements of 16 bytes are first added in float, at most 4 roundings on the way of each:
//            an error below 2^-22 of the sum of absolute values, of var below 2^-21 (var + (mean - x[0])^2)
#pragma once
#include "element.cuh"

constexpr unsigned kSampleThreads = 1024;

template <unsigned W, bool BACK, class Ask, class Work> __device__ __forceinline__ void each_of_sample(unsigned n, bool whole, Ask ask, Work work) {
  unsigned vectors = W > 1 && whole ? n / W : 0;
  auto place = [=](unsigned at) { return (BACK ? vectors - 1 - at : at) * W; };
  for (unsigned at = threadIdx.x; at < vectors; at += 2 * kSampleThreads) {
    bool both = at + kSampleThreads < vectors;
    unsigned i = place(at), k = place(both ? at + kSampleThreads : at);
    auto one = ask(i, Width<W>{}), two = ask(k, Width<W>{});
    work(i, one, Width<W>{});
    if (both) work(k, two, Width<W>{});
  }
  for (unsigned i = vectors * W + threadIdx.x; i < n; i += kSampleThreads) work(i, ask(i, Width<1>{}), Width<1>{});
}

/** W neighbours of x, */
template <unsigned W> struct SampleRow {
  float x[W];
};

/** and of the gradient. */
template <unsigned W> struct SamplePair {
  float x[W], g[W];
};

template <bool BACK, class E, class Plain, class Work>
__device__ __forceinline__ void each_pair_of_sample(const E* x, const E* g, unsigned n, bool whole, Plain, Work work) {
  each_of_sample<Plain::value ? kWide<E> : 1, BACK>(n, whole, [=](unsigned i, auto width) {
    SamplePair<width.value> v;
    load_vector(x + i, v.x);
    load_vector(g + i, v.g);
    return v;
  }, work);
}

template <class E> struct SampleSum {
  using S = typename TileSum<E>::type;
  double sum = 0;

  /** Adds value(k) for all k below W. */
  template <unsigned W, class Value> __device__ __forceinline__ void add(Value value, Width<W>) {
    if constexpr (sizeof(E) == 2 && W == 8) {
      S four[4];
#pragma unroll
      for (unsigned k = 0; k < 4; k++) four[k] = value(k) + value(k + 4);
      sum += double((four[0] + four[2]) + (four[1] + four[3]));
    } else {
#pragma unroll
      for (unsigned k = 0; k < W; k++) sum += double(value(k));
    }
  }
};

struct SampleMoments {
  double mean, squares;   // squares around the mean

  /** The unbiased variance. */
  __device__ __forceinline__ double variance(unsigned n) const { return squares / max(1u, n - 1); }
};

/** For all threads of the block; shared: room of block_sum. Taken around the first element, so that equal elements have no variance at all. */
template <class E> __device__ __forceinline__ SampleMoments sample_moments(const E* x, unsigned n, bool whole, double* shared) {
  using S = typename SampleSum<E>::S;
  SampleSum<E> sum, squares;
  S first = load(x);
  each_of_sample<kWide<E>, false>(n, whole, [=](unsigned i, auto width) {
    SampleRow<width.value> v;
    load_vector(x + i, v.x);
    return v;
  }, [&](unsigned, const auto& v, auto width) {
    sum.add([&](unsigned k) { return S(v.x[k]) - first; }, width);
    squares.add([&](unsigned k) { return (S(v.x[k]) - first) * (S(v.x[k]) - first); }, width);
  });
  double off = block_sum(sum.sum, shared) / n;
  return {off + first, fmax(0.0, block_sum(squares.sum, shared) - n * off * off)};
}
