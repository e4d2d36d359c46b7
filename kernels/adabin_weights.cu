// adabin_weights.cu -- centre and distance of each filter, and the gradient through them
//
//   centre_distance           centre = mean w, distance = biased deviation (pack_rows then packs w against the centre)
//   centre_distance_backward  gradW = g e - mean(g e) - u mean(g e u) + u mean(g s) + mean(g)
//                             with u = (w - centre) / distance, e = slope(u), s = +1 or -1, means per filter
//   centre_distance_all, centre_distance_all_backward   the same for the filters of many layers, with their bits and the values of these
//                             forward, and gradE backward, float or bfloat16 where rounded is 1; float gradE may be gradW
//
// Shapes     w, gradW, gradE O filters of K values; centre, distance O values
// Launch     block 256, grid O; the entries for many layers one block per (layer, filter) pair of blocks
// Limits     O * K < 2^31; a constant filter has distance 0, and u = 0 in backward
// Exactness  sums are double in a tree
// Twin       src/main/java/onebit/ops/cpu/CpuBinarizeOps.java, centreDistance, centreDistanceBackward; CpuWeightOps.java for all layers
// Tests      native-tests/adabin_weights_test.cpp, src/test/java/onebit/ops/BinarizeWeightsTest.java, src/test/java/onebit/ops/WeightsTogetherTest.java
// Source     Tu et al. 2022, AdaBin, arXiv 2208.08084; code binarylib.py lines 102-107
// Rungs      1 a block per filter, 2 all layers in one launch, 3 backward asks for the slope of a value once, and adds four sums up together
#include "filters.cuh"

/** Centre and distance of one filter, by one block. */
__device__ __forceinline__ void centre_and_distance(float* centre, float* distance, const float* filter, unsigned size, double* shared) {
  double sum = 0, squares = 0;
  for (unsigned i = threadIdx.x; i < size; i += 256) sum += filter[i];
  double mean = block_sum(sum, shared) / size;
  for (unsigned i = threadIdx.x; i < size; i += 256) squares += (filter[i] - mean) * (filter[i] - mean);
  squares = block_sum(squares, shared);
  if (threadIdx.x == 0) {
    *centre = float(mean);
    *distance = float(sqrt(squares / size));
  }
}

/** What a block needs for the gradient of a filter: the slopes of so many of its first values, which may take a tanh in double each, and room for sums. */
struct GradientRoom {
  static constexpr unsigned kSlopes = 4608;
  float slopes[kSlopes];
  double sums[9][4];   // of each of 8 warps, then of all
};

/** The sums of four values over a block of 256 threads, each in the order of block_sum; every thread gets them. */
__device__ __forceinline__ void block_sums(double (&of)[4], double (&room)[9][4]) {
  unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
  for (unsigned v = 0; v < 4; v++) {
    for (int d = 16; d > 0; d /= 2) of[v] += __shfl_down_sync(kFullWarp, of[v], d);
    if (lane == 0) room[warp][v] = of[v];
  }
  __syncthreads();
  if (warp == 0) {
    double sum = room[lane % 8][lane / 8];
    for (int d = 4; d > 0; d /= 2) sum += __shfl_down_sync(kFullWarp, sum, d, 8);
    if (lane % 8 == 0) room[8][lane / 8] = sum;
  }
  __syncthreads();
#pragma unroll
  for (unsigned v = 0; v < 4; v++) of[v] = room[8][v];
}

/** The gradient of one filter, by one block; out may be the memory of given. */
template <class T>
__device__ __forceinline__ void centre_distance_gradient(float* out, const T* given, const float* filter, float c, float distance, const Slope f,
                                                         unsigned size, GradientRoom& room) {
  float inverse = distance > 0 ? 1 / distance : 0.0f;
  double sums[4] = {};   // of g e, g e u, g s, g
  for (unsigned i = threadIdx.x; i < size; i += 256) {
    float u = (filter[i] - c) * inverse, g = load(given + i), slope = f.slope(u), e = g * slope;
    if (i < GradientRoom::kSlopes) room.slopes[i] = slope;
    sums[0] += e;
    sums[1] += double(e) * u;
    sums[2] += filter[i] >= c ? g : -g;
    sums[3] += g;
  }
  block_sums(sums, room.sums);
  float constant = float((sums[3] - sums[0]) / size), linear = float((sums[2] - sums[1]) / size);
  for (unsigned i = threadIdx.x; i < size; i += 256) {
    float u = (filter[i] - c) * inverse, slope = i < GradientRoom::kSlopes ? room.slopes[i] : f.slope(u);
    out[i] = multiply_add(load(given + i), slope, multiply_add(u, linear, constant));
  }
}

ONEBIT_KERNEL(256) centre_distance(float* centre, float* distance, const float* w, unsigned size) {
  __shared__ double shared[33];
  centre_and_distance(centre + blockIdx.x, distance + blockIdx.x, w + blockIdx.x * size, size, shared);
}

ONEBIT_KERNEL(256) centre_distance_backward(float* gradW, const float* gradE, const float* w, const float* centre, const float* distance,
                                            int kind, float a, float b, unsigned size) {
  __shared__ GradientRoom room;
  size_t at = size_t(blockIdx.x) * size;
  centre_distance_gradient(gradW + at, gradE + at, w + at, centre[blockIdx.x], distance[blockIdx.x], Slope{kind, a, b}, size, room);
}

/** The filters of one layer. Layout as written by src/main/java/onebit/ops/cuda/CudaWeightOps.java. */
struct FilterEntry {
  const float* w;
  float* gradient;
  float *centre, *distance;
  unsigned* words;
  void* values;
  unsigned size, rounded;
};

ONEBIT_KERNEL(256) centre_distance_all(const FilterEntry* table, const uint2* blocks) {
  __shared__ double shared[33];
  FilterEntry t = table[blocks[blockIdx.x].x];
  unsigned filter = blocks[blockIdx.x].y;
  const float* w = t.w + size_t(filter) * t.size;
  centre_and_distance(t.centre + filter, t.distance + filter, w, t.size, shared);
  __syncthreads();
  float centre = t.centre[filter], distance = t.distance[filter];
  store_filter(t.words, t.values, t.rounded, filter, t.size, [=](unsigned k, float& v) {
    bool positive = w[k] >= centre;
    v = positive ? centre + distance : centre - distance;
    return positive;
  });
}

ONEBIT_KERNEL(256) centre_distance_all_backward(const FilterEntry* table, const uint2* blocks, int kind, float a, float b) {
  __shared__ GradientRoom room;
  FilterEntry t = table[blocks[blockIdx.x].x];
  unsigned filter = blocks[blockIdx.x].y;
  size_t at = size_t(filter) * t.size;
  Slope f{kind, a, b};
  float centre = t.centre[filter], distance = t.distance[filter];
  with_values(t.values, t.rounded, at, [&](auto* given) {
    centre_distance_gradient(t.gradient + at, given, t.w + at, centre, distance, f, t.size, room);
  });
}
