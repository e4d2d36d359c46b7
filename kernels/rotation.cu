// rotation.cu -- RBNN's weights, and its activations where they stay real: standardised filters mixed with their bi-rotation, and the gradients through both
//
//   standardize           u = (w - mean) / deviation per filter, unbiased
//   standardize_backward  gradW = (q - mean(q) - u sum(q u) / (K - 1)) / deviation
//   rotate_mix            rotated = R1^T X R2, X the filter in C,R,S order seen as a x b; mixed = u + |sin angle| (rotated - u)
//   rotate_mix_backward   q = (1 - |sin angle|) h, gradAngle = sign(sin angle) cos(angle) sum h (rotated - u), h = scale g slope(mixed)
//   rotate_all            the first and third for the filters of many layers, with their bits and the values scale s of these
//   rotate_all_backward   the way back through all of it, with gradScale = sum of g s, s = +1 or -1 by the sign of mixed
//
// Shapes     u, rotated, mixed, w, q, gradE O filters of K = R*S*C values; r1 [a][a], r2 [b][b]; angle, scale, deviation O values
//            u, w, q, gradW of the first two are samples of float or, in the entries named _bf16, bfloat16 values where activations are standardised
//            values, and in their place backward the gradient at them, are float, or bfloat16 where rounded is 1; float ones may be gradW
// Launch     block 256, grid O; the entries for many layers one block per (layer, filter) pair of blocks; rotate_mix and rotate_all with
//            8 K bytes of dynamic shared memory, of the largest K
// Limits     a b = K; 8 K bytes must fit the shared memory of a block (K <= 28000 on sm_90)
// Exactness  products are summed in double; the first product is kept in float32 between the two; many layers get what each gets alone
// Twin       src/main/java/onebit/ops/cpu/CpuBinarizeOps.java, standardize, rotateMix and their backwards; CpuWeightOps.java for all layers
// Tests      native-tests/rotation_test.cpp, src/test/java/onebit/ops/RotationTest.java, src/test/java/onebit/ops/WeightsTogetherTest.java, src/test/java/onebit/ops/BinarizeActivationsTest.java
// Source     Lin et al. 2020, RBNN, arXiv 2009.13055; code binarized_modules.py
// Rungs      1 a block per filter, the filter in shared memory, 2 all layers in one launch, 3 16 products a thread, so that fewer floats become double
#ifndef ELEMENT
#include "filters.cuh"

/** u and deviation of one filter, by one block. */
template <class T>
__device__ __forceinline__ void standardize_filter(T* u, float* deviation, const T* filter, unsigned size, double* shared) {
  double sum = 0, squares = 0;
  for (unsigned i = threadIdx.x; i < size; i += 256) sum += load(filter + i);
  double mean = block_sum(sum, shared) / size;
  for (unsigned i = threadIdx.x; i < size; i += 256) squares += (load(filter + i) - mean) * (load(filter + i) - mean);
  double sd = sqrt(block_sum(squares, shared) / max(1u, size - 1)), inverse = sd > 0 ? 1 / sd : 0.0;
  if (threadIdx.x == 0) *deviation = float(sd);
  for (unsigned i = threadIdx.x; i < size; i += 256) store(u + i, float((load(filter + i) - mean) * inverse));
}

/** The gradient of one filter from that of its u, by one block; out may be the memory of q. */
template <class T>
__device__ __forceinline__ void standardize_gradient(T* out, const T* q, const T* u, float deviation, unsigned size, double* shared) {
  double sum = 0, dot = 0;
  for (unsigned i = threadIdx.x; i < size; i += 256) {
    sum += load(q + i);
    dot += double(load(q + i)) * load(u + i);
  }
  float mean = float(block_sum(sum, shared) / size), pull = float(block_sum(dot, shared) / max(1u, size - 1));
  float inverse = deviation > 0 ? 1 / deviation : 0.0f;
  for (unsigned i = threadIdx.x; i < size; i += 256) store(out + i, multiply_add(-load(u + i), pull, load(q + i) - mean) * inverse);
}

/**
 * out(row, column, sum over k of left(k, row) right(k, column)) of a product of rows x columns, by one block. A thread has 4 rows and 4 columns, far apart so
 * that neighbouring threads read neighbouring words: 8 floats become double for 16 products.
 */
template <class Left, class Right, class Out>
__device__ __forceinline__ void block_product(unsigned rows, unsigned columns, unsigned depth, Left left, Right right, Out out) {
  unsigned down = (rows + 3) / 4, across = (columns + 3) / 4;
  for (unsigned i = threadIdx.x; i < down * across; i += 256) {
    unsigned row = i / across, column = i % across;
    double sum[4][4] = {};
    for (unsigned k = 0; k < depth; k++) {
      double l[4], r[4];
#pragma unroll
      for (unsigned j = 0; j < 4; j++) l[j] = row + j * down < rows ? double(left(k, row + j * down)) : 0.0;
#pragma unroll
      for (unsigned j = 0; j < 4; j++) r[j] = column + j * across < columns ? double(right(k, column + j * across)) : 0.0;
#pragma unroll
      for (unsigned j = 0; j < 16; j++) sum[j / 4][j % 4] += l[j / 4] * r[j % 4];
    }
#pragma unroll
    for (unsigned j = 0; j < 16; j++) {
      if (row + j / 4 * down < rows && column + j % 4 * across < columns) out(row + j / 4 * down, column + j % 4 * across, float(sum[j / 4][j % 4]));
    }
  }
}

/** rotated and mixed of one filter, by one block with room for 2 a b floats. */
__device__ __forceinline__ void mix_filter(float* mixed, float* rotated, const float* u, const float* r1, const float* r2, float angle, unsigned a,
                                           unsigned b, unsigned taps, unsigned channels, float* room) {
  unsigned size = a * b;
  float *x = room, *left = room + size;
  for (unsigned i = threadIdx.x; i < size; i += 256) x[i] = u[i % taps * channels + i / taps];
  __syncthreads();
  block_product(a, b, a, [=](unsigned k, unsigned row) { return r1[k * a + row]; }, [=](unsigned k, unsigned column) { return x[k * b + column]; },
                [=](unsigned row, unsigned column, float v) { left[row * b + column] = v; });
  __syncthreads();
  float share = fabsf(float(sin(double(angle))));
  block_product(a, b, b, [=](unsigned k, unsigned row) { return left[row * b + k]; }, [=](unsigned k, unsigned column) { return r2[k * b + column]; },
                [=](unsigned row, unsigned column, float v) {
    unsigned i = row * b + column, to = i % taps * channels + i / taps;
    rotated[to] = v;
    mixed[to] = multiply_add(share, v - x[i], x[i]);
  });
}

/** q of one filter, by one block, and the gradient of its angle, which every thread gets; q may be the memory of g. */
template <class T>
__device__ __forceinline__ float mix_gradient(float* q, const T* g, const float* mixed, const float* rotated, const float* u, float angle, float scale,
                                              const Slope f, unsigned size, double* shared) {
  double turn = angle, sum = 0;
  float sine = float(sin(turn)), kept = 1 - fabsf(sine);
  for (unsigned i = threadIdx.x; i < size; i += 256) {
    float h = scale * load(g + i) * f.slope(mixed[i]);
    sum += double(h) * (rotated[i] - u[i]);
    q[i] = kept * h;
  }
  sum = block_sum(sum, shared);
  return float((sine > 0 ? 1.0f : sine < 0 ? -1.0f : 0.0f) * float(cos(turn)) * sum);
}

ONEBIT_KERNEL(256) rotate_mix(float* mixed, float* rotated, const float* u, const float* r1, const float* r2, const float* angle, unsigned a,
                              unsigned b, unsigned taps, unsigned channels) {
  extern __shared__ float rotation_room[];
  unsigned from = blockIdx.x * a * b;
  mix_filter(mixed + from, rotated + from, u + from, r1, r2, angle[blockIdx.x], a, b, taps, channels, rotation_room);
}

ONEBIT_KERNEL(256) rotate_mix_backward(float* q, float* gradAngle, const float* gradE, const float* mixed, const float* rotated,
                                       const float* u, const float* angle, const float* scale, int kind, float a, float b, unsigned size) {
  __shared__ double shared[33];
  unsigned from = blockIdx.x * size;
  float gradient = mix_gradient(q + from, gradE + from, mixed + from, rotated + from, u + from, angle[blockIdx.x], scale[blockIdx.x], Slope{kind, a, b},
                                size, shared);
  if (threadIdx.x == 0) gradAngle[blockIdx.x] = gradient;
}

/** The filters of one layer; what a direction does not take is 0. Layout as written by src/main/java/onebit/ops/cuda/CudaWeightOps.java. */
struct RotationEntry {
  const float* w;
  float* gradient;
  float *u, *deviation, *rotated, *mixed;
  const float *r1, *r2, *angle, *scale;
  float *gradAngle, *gradScale;
  unsigned* words;
  void* values;
  unsigned size, rounded, a, b, taps, channels;
};

ONEBIT_KERNEL(256) rotate_all(const RotationEntry* table, const uint2* blocks, int kind, float a, float b) {
  extern __shared__ float rotation_room[];
  __shared__ double shared[33];
  RotationEntry t = table[blocks[blockIdx.x].x];
  unsigned filter = blocks[blockIdx.x].y;
  size_t from = size_t(filter) * t.size;
  Slope f{kind, a, b};
  standardize_filter(t.u + from, t.deviation + filter, t.w + from, t.size, shared);
  __syncthreads();
  mix_filter(t.mixed + from, t.rotated + from, t.u + from, t.r1, t.r2, t.angle[filter], t.a, t.b, t.taps, t.channels, rotation_room);
  __syncthreads();
  const float* mixed = t.mixed + from;
  float s = t.scale[filter];
  store_filter(t.words, t.values, t.rounded, filter, t.size, [=](unsigned k, float& v) {
    bool positive = f.level(mixed[k]) >= 0;
    v = positive ? 0 + s : 0 - s;
    return positive;
  });
}

ONEBIT_KERNEL(256, 4) rotate_all_backward(const RotationEntry* table, const uint2* blocks, int kind, float a, float b) {
  __shared__ double shared[33];
  RotationEntry t = table[blocks[blockIdx.x].x];
  unsigned filter = blocks[blockIdx.x].y;
  size_t from = size_t(filter) * t.size;
  Slope f{kind, a, b};
  float* q = t.gradient + from;
  with_values(t.values, t.rounded, from, [&](auto* g) {
    float gradScale = scale_gradient(g, t.mixed + from, f, 0, t.size, shared);
    float gradAngle = mix_gradient(q, g, t.mixed + from, t.rotated + from, t.u + from, t.angle[filter], t.scale[filter], f, t.size, shared);
    if (threadIdx.x == 0) {
      t.gradScale[filter] = gradScale;
      t.gradAngle[filter] = gradAngle;
    }
  });
  standardize_gradient(q, q, t.u + from, t.deviation[filter], t.size, shared);
}

#define ELEMENT_FILE "rotation.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(standardize)(ELEMENT* u, float* deviation, const ELEMENT* w, unsigned size) {
  __shared__ double shared[33];
  standardize_filter(u + blockIdx.x * size, deviation + blockIdx.x, w + blockIdx.x * size, size, shared);
}

ONEBIT_KERNEL(256) ENTRY(standardize_backward)(ELEMENT* gradW, const ELEMENT* q, const ELEMENT* u, const float* deviation, unsigned size) {
  __shared__ double shared[33];
  unsigned from = blockIdx.x * size;
  standardize_gradient(gradW + from, q + from, u + from, deviation[blockIdx.x], size, shared);
}
#endif
