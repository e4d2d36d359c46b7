// adabin_weights.cu -- centre and distance of each filter, and the gradient through them
//
//   centre_distance           centre = mean w, distance = biased deviation (pack_rows then packs w against the centre)
//   centre_distance_backward  gradW = g e - mean(g e) - u mean(g e u) + u mean(g s) + mean(g)
//                             with u = (w - centre) / distance, e = slope(u), s = +1 or -1, means per filter
//
// Shapes     w, gradW, gradE O filters of K values; centre, distance O values
// Launch     block 256, grid O
// Limits     O * K < 2^31; a constant filter has distance 0, and u = 0 in backward
// Exactness  sums are double in a tree
// Twin       src/main/java/onebit/ops/cpu/CpuBinarizeOps.java, centreDistance, centreDistanceBackward
// Tests      native-tests/adabin_weights_test.cpp, src/test/java/onebit/ops/BinarizeWeightsTest.java
// Source     Tu et al. 2022, AdaBin, arXiv 2208.08084; code binarylib.py lines 102-107
// Rungs      1 a block per filter
#include "slope.cuh"

ONEBIT_KERNEL(256) centre_distance(float* centre, float* distance, const float* w, unsigned size) {
  __shared__ double shared[33];
  const float* filter = w + blockIdx.x * size;
  double sum = 0, squares = 0;
  for (unsigned i = threadIdx.x; i < size; i += 256) sum += filter[i];
  double mean = block_sum(sum, shared) / size;
  for (unsigned i = threadIdx.x; i < size; i += 256) squares += (filter[i] - mean) * (filter[i] - mean);
  squares = block_sum(squares, shared);
  if (threadIdx.x == 0) {
    centre[blockIdx.x] = float(mean);
    distance[blockIdx.x] = float(sqrt(squares / size));
  }
}

ONEBIT_KERNEL(256) centre_distance_backward(float* gradW, const float* gradE, const float* w, const float* centre, const float* distance,
                                            int kind, float a, float b, unsigned size) {
  __shared__ double shared[33];
  Slope f{kind, a, b};
  const float *filter = w + blockIdx.x * size, *g = gradE + blockIdx.x * size;
  float* out = gradW + blockIdx.x * size;
  float c = centre[blockIdx.x], inverse = distance[blockIdx.x] > 0 ? 1 / distance[blockIdx.x] : 0.0f;
  double ge = 0, geu = 0, gs = 0, all = 0;
  for (unsigned i = threadIdx.x; i < size; i += 256) {
    float u = (filter[i] - c) * inverse, e = g[i] * f.slope(u);
    ge += e;
    geu += double(e) * u;
    gs += filter[i] >= c ? g[i] : -g[i];
    all += g[i];
  }
  ge = block_sum(ge, shared);
  geu = block_sum(geu, shared);
  gs = block_sum(gs, shared);
  all = block_sum(all, shared);
  float constant = float((all - ge) / size), linear = float((gs - geu) / size);
  for (unsigned i = threadIdx.x; i < size; i += 256) {
    float u = (filter[i] - c) * inverse;
    out[i] = g[i] * f.slope(u) + (constant + u * linear);
  }
}
