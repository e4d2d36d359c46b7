// rotation.cu -- RBNN's weights: standardised filters mixed with their bi-rotation, and the gradients through both
//
//   standardize           u = (w - mean) / deviation per filter, unbiased
//   standardize_backward  gradW = (q - mean(q) - u sum(q u) / (K - 1)) / deviation
//   rotate_mix            rotated = R1^T X R2, X the filter in C,R,S order seen as a x b; mixed = u + |sin angle| (rotated - u)
//   rotate_mix_backward   q = (1 - |sin angle|) h, gradAngle = sign(sin angle) cos(angle) sum h (rotated - u), h = scale g slope(mixed)
//
// Shapes     u, rotated, mixed, w, q, gradE O filters of K = R*S*C values; r1 [a][a], r2 [b][b]; angle, scale, deviation O values
// Launch     block 256, grid O; rotate_mix with 8 K bytes of dynamic shared memory
// Limits     a b = K; 8 K bytes must fit the shared memory of a block (K <= 28000 on sm_90)
// Exactness  products are summed in double; the first product is kept in float32 between the two
// Twin       src/main/java/onebit/ops/cpu/CpuBinarizeOps.java, standardize, rotateMix and their backwards
// Tests      native-tests/rotation_test.cpp, src/test/java/onebit/ops/RotationTest.java
// Source     Lin et al. 2020, RBNN, arXiv 2009.13055; code binarized_modules.py
// Rungs      1 a block per filter, the filter in shared memory
#include "slope.cuh"

ONEBIT_KERNEL(256) standardize(float* u, float* deviation, const float* w, unsigned size) {
  __shared__ double shared[33];
  const float* filter = w + blockIdx.x * size;
  double sum = 0, squares = 0;
  for (unsigned i = threadIdx.x; i < size; i += 256) sum += filter[i];
  double mean = block_sum(sum, shared) / size;
  for (unsigned i = threadIdx.x; i < size; i += 256) squares += (filter[i] - mean) * (filter[i] - mean);
  double sd = sqrt(block_sum(squares, shared) / max(1u, size - 1)), inverse = sd > 0 ? 1 / sd : 0.0;
  if (threadIdx.x == 0) deviation[blockIdx.x] = float(sd);
  for (unsigned i = threadIdx.x; i < size; i += 256) u[blockIdx.x * size + i] = float((filter[i] - mean) * inverse);
}

ONEBIT_KERNEL(256) standardize_backward(float* gradW, const float* q, const float* u, const float* deviation, unsigned size) {
  __shared__ double shared[33];
  const float *qs = q + blockIdx.x * size, *us = u + blockIdx.x * size;
  double sum = 0, dot = 0;
  for (unsigned i = threadIdx.x; i < size; i += 256) {
    sum += qs[i];
    dot += double(qs[i]) * us[i];
  }
  float mean = float(block_sum(sum, shared) / size), pull = float(block_sum(dot, shared) / max(1u, size - 1));
  float inverse = deviation[blockIdx.x] > 0 ? 1 / deviation[blockIdx.x] : 0.0f;
  for (unsigned i = threadIdx.x; i < size; i += 256) gradW[blockIdx.x * size + i] = (qs[i] - mean - us[i] * pull) * inverse;
}

ONEBIT_KERNEL(256) rotate_mix(float* mixed, float* rotated, const float* u, const float* r1, const float* r2, const float* angle, unsigned a,
                              unsigned b, unsigned taps, unsigned channels) {
  extern __shared__ float rotation_room[];
  unsigned size = a * b, from = blockIdx.x * size;
  float *x = rotation_room, *left = rotation_room + size;
  for (unsigned i = threadIdx.x; i < size; i += 256) x[i] = u[from + i % taps * channels + i / taps];
  __syncthreads();
  for (unsigned i = threadIdx.x; i < size; i += 256) {
    unsigned row = i / b, column = i % b;
    double sum = 0;
    for (unsigned k = 0; k < a; k++) sum += double(r1[k * a + row]) * x[k * b + column];
    left[i] = float(sum);
  }
  __syncthreads();
  float share = fabsf(float(sin(double(angle[blockIdx.x]))));
  for (unsigned i = threadIdx.x; i < size; i += 256) {
    unsigned row = i / b, column = i % b, to = from + i % taps * channels + i / taps;
    double sum = 0;
    for (unsigned k = 0; k < b; k++) sum += double(left[row * b + k]) * r2[k * b + column];
    float v = float(sum);
    rotated[to] = v;
    mixed[to] = x[i] + share * (v - x[i]);
  }
}

ONEBIT_KERNEL(256) rotate_mix_backward(float* q, float* gradAngle, const float* gradE, const float* mixed, const float* rotated,
                                       const float* u, const float* angle, const float* scale, int kind, float a, float b, unsigned size) {
  __shared__ double shared[33];
  Slope f{kind, a, b};
  unsigned from = blockIdx.x * size;
  double turn = angle[blockIdx.x], sum = 0;
  float sine = float(sin(turn)), kept = 1 - fabsf(sine), s = scale[blockIdx.x];
  for (unsigned i = from + threadIdx.x; i < from + size; i += 256) {
    float h = s * gradE[i] * f.slope(mixed[i]);
    sum += double(h) * (rotated[i] - u[i]);
    q[i] = kept * h;
  }
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) gradAngle[blockIdx.x] = float((sine > 0 ? 1.0f : sine < 0 ? -1.0f : 0.0f) * float(cos(turn)) * sum);
}
