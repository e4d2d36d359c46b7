// adabin_activations.cu -- gradients of activations binarized with a learned centre and distance
//
//   with u = (x - beta) / alpha, p = slope(u), s = the sign of u, all sums over the tensor:
//   gradX = g p; code form gradBeta = sum g (alpha - p), gradAlpha = sum g (s + beta - u p);
//   paper form gradBeta = sum g (1 - p), gradAlpha = sum g (s - u p)
//
//   learned_set_backward         gradX and partial sums per block
//   learned_set_backward_finish  the two sums
//
// Shapes     x, gradQ, gradX n values; partial [blocks][2] double; alpha, beta, gradAlpha, gradBeta 1 value
//            x, gradX, gradQ are float, or bfloat16 in learned_set_backward_bf16; the rest is float
// Launch     block 256, any grid; finish block 256, grid 1. The forward is pack_learned in pack.cu
// Limits     n < 2^31
// Exactness  gradX equal to the twin, in bfloat16 its nearest; sums are double in a tree, in an order of their own
// Twin       src/main/java/onebit/ops/cpu/CpuBinarizeOps.java, learnedSetBackward
// Tests      native-tests/adabin_activations_test.cpp, src/test/java/onebit/ops/BinarizeActivationsTest.java
// Source     Tu et al. 2022, AdaBin, arXiv 2208.08084; code binarylib.py lines 41-69
// Rungs      1 gradient and partial sums in one pass, 2 neighbours in 16 bytes
#ifndef ELEMENT
#include "element.cuh"
#include "slope.cuh"

ONEBIT_KERNEL(256) learned_set_backward_finish(float* gradAlpha, float* gradBeta, const double* partial, unsigned blocks) {
  __shared__ double shared[33];
  double sumAlpha = 0, sumBeta = 0;
  for (unsigned i = threadIdx.x; i < blocks; i += 256) {
    sumAlpha += partial[2 * i];
    sumBeta += partial[2 * i + 1];
  }
  sumAlpha = block_sum(sumAlpha, shared);
  sumBeta = block_sum(sumBeta, shared);
  if (threadIdx.x == 0) {
    gradAlpha[0] = float(sumAlpha);
    gradBeta[0] = float(sumBeta);
  }
}

#define ELEMENT_FILE "adabin_activations.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(learned_set_backward)(ELEMENT* gradX, double* partial, const ELEMENT* gradQ, const ELEMENT* x, const float* alpha,
                                               const float* beta, int kind, float slopeA, float slopeB, int codeForm, unsigned n) {
  __shared__ double shared[33];
  Slope f{kind, slopeA, slopeB};
  float a = alpha[0], b = beta[0], inverse = 1 / a, weight = codeForm ? a : 1.0f, added = codeForm ? b : 0.0f;
  double sumAlpha = 0, sumBeta = 0;
  for_each_vector<kWide<ELEMENT>>(n, aligned(gradX, gradQ, x), [&](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    float v[W], g[W];
    load_vector(x + i, v);
    load_vector(gradQ + i, g);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      float u = (v[k] - b) * inverse, p = f.slope(u);
      sumAlpha += g[k] * (copysignf(1.0f, u + 0.0f) + added - u * p);
      sumBeta += g[k] * (weight - p);
      g[k] *= p;
    }
    store_vector(gradX + i, g);
  });
  sumAlpha = block_sum(sumAlpha, shared);
  sumBeta = block_sum(sumBeta, shared);
  if (threadIdx.x == 0) {
    partial[2 * blockIdx.x] = sumAlpha;
    partial[2 * blockIdx.x + 1] = sumBeta;
  }
}
#endif
