// softmax_cross_entropy.cu -- softmax cross-entropy with label smoothing, also to a teacher's soft labels, its gradient, and the count of right answers
//
//   loss = (1 - s) (log sum e^z - z[label]) + s (log sum e^z - mean z)          gradLogits = (softmax - target) / N
//   softmax_cross_entropy    rows[row] = {loss, hit in the top 1, hit in the top 5}, result = {mean loss, top-1 hits, top-5 hits}
//   distilled_cross_entropy  the same with h that loss + (1 - h) T^2 (log sum e^(z/T) - sum p z / T), p = softmax(teacher / T), in its place
//
// Shapes     logits, teacher, gradLogits [N][K]; labels N int32; rows [N][3] double; result 3 values; counter 1, 0 before and after
// Launch     block 128, grid N
// Limits     a label outside 0..K-1 makes the loss NaN: the host cannot be told within the step
// Exactness  double throughout, like the twin, which rounds the hard part of a distilled loss to float32 on the way
// Twin       src/main/java/onebit/ops/cpu/CpuLossOps.java, softmaxCrossEntropy, distilledCrossEntropy
// Tests      native-tests/softmax_cross_entropy_test.cpp, src/test/java/onebit/ops/LossOpsTest.java
// Source     Szegedy et al. 2016, arXiv 1512.00567, for the smoothing; Hinton et al. 2015, arXiv 1503.02531, for the teacher
// Rungs      1 a block per row in double, 2 the last block adds the rows up
#include "last_block.cuh"

__device__ __forceinline__ double block_max(double value, double* shared) {
  for (int d = 16; d > 0; d /= 2) value = fmax(value, __shfl_down_sync(kFullWarp, value, d));
  unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  if (lane == 0) shared[warp] = value;
  __syncthreads();
  double all = shared[0];
  for (unsigned i = 1; i < warps; i++) all = fmax(all, shared[i]);
  __syncthreads();
  return all;
}

/** result = what all rows come to, by the last block: thread t adds those from t and from t + 128 on, 256 apart, and both only behind their warps' sums. */
__device__ __forceinline__ void finish_rows(float* result, const double* rows, unsigned* counter, unsigned n, double* shared) {
  if (!last_block(counter, n)) return;
  unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (unsigned v = 0; v < 3; v++) {
    double low = 0, high = 0;
    for (unsigned i = threadIdx.x; i < n; i += 256) low += __ldcg(rows + i * 3 + v);
    for (unsigned i = threadIdx.x + 128; i < n; i += 256) high += __ldcg(rows + i * 3 + v);
    for (int d = 16; d > 0; d /= 2) {
      low += __shfl_down_sync(kFullWarp, low, d);
      high += __shfl_down_sync(kFullWarp, high, d);
    }
    if (lane == 0) shared[warp] = low + high;
    __syncthreads();
    if (threadIdx.x == 0) {
      double sum = (shared[0] + shared[2]) + (shared[1] + shared[3]);
      result[v] = float(v == 0 ? sum / n : sum);
    }
    __syncthreads();
  }
}

ONEBIT_KERNEL(128) softmax_cross_entropy(float* result, double* rows, unsigned* counter, float* gradLogits, const float* logits, const int* labels, unsigned n,
                                         unsigned classes, float smoothing) {
  __shared__ double shared[33];
  const float* z = logits + blockIdx.x * classes;
  float* g = gradLogits + blockIdx.x * classes;
  unsigned label = unsigned(labels[blockIdx.x]);
  bool known = label < classes;
  float own = z[known ? label : 0];
  double most = -INFINITY, total = 0, above = 0;
  for (unsigned k = threadIdx.x; k < classes; k += 128) {
    float v = z[k];
    most = fmax(most, double(v));
    total += v;
    above += v < own || (v == own && k >= label) ? 0 : 1;   // a NaN is above all
  }
  most = block_max(most, shared);
  total = block_sum(total, shared);
  above = block_sum(above, shared);
  double sum = 0;
  for (unsigned k = threadIdx.x; k < classes; k += 128) sum += exp(z[k] - most);
  sum = block_sum(sum, shared);
  double logSum = most + log(sum);
  for (unsigned k = threadIdx.x; k < classes; k += 128) {
    double target = (k == label ? 1 - smoothing : 0.0f) + smoothing / classes;
    g[k] = float((exp(z[k] - logSum) - target) / n);
  }
  if (threadIdx.x == 0) {
    double* row = rows + blockIdx.x * 3;
    row[0] = known ? (1 - smoothing) * (logSum - own) + smoothing * (logSum - total / classes) : double(NAN);
    row[1] = known && above < 1 ? 1 : 0;
    row[2] = known && above < 5 ? 1 : 0;
  }
  finish_rows(result, rows, counter, n, shared);
}

/** log sum over k of e^(u z_k), told to all threads. */
__device__ __forceinline__ double log_sum(const float* z, unsigned classes, double u, double* shared) {
  double most = -INFINITY, sum = 0;
  for (unsigned k = threadIdx.x; k < classes; k += 128) most = fmax(most, double(z[k]));
  most = block_max(most, shared);
  for (unsigned k = threadIdx.x; k < classes; k += 128) sum += exp((z[k] - most) * u);
  return most * u + log(block_sum(sum, shared));
}

ONEBIT_KERNEL(128, 4) distilled_cross_entropy(float* result, double* rows, unsigned* counter, float* gradLogits, const float* logits, const float* teacher, const int* labels, unsigned n,
                                           unsigned classes, float temperature, float hard, float smoothing) {
  __shared__ double shared[33];
  const float* z = logits + blockIdx.x * classes;
  const float* taught = teacher + blockIdx.x * classes;
  float* g = gradLogits + blockIdx.x * classes;
  unsigned label = unsigned(labels[blockIdx.x]);
  bool known = label < classes;
  float own = z[known ? label : 0];
  double t = temperature, u = 1 / t, h = hard, total = 0, above = 0, soft = 0;
  double logSum = log_sum(z, classes, 1, shared), logSumSoft = log_sum(z, classes, u, shared), logSumTaught = log_sum(taught, classes, u, shared);
  for (unsigned k = threadIdx.x; k < classes; k += 128) {
    float v = z[k];
    total += v;
    above += v < own || (v == own && k >= label) ? 0 : 1;   // a NaN is above all
    double p = exp(taught[k] * u - logSumTaught), target = (k == label ? 1 - smoothing : 0.0f) + smoothing / classes;
    soft += p * (logSumSoft - v * u);
    g[k] = float((h * (exp(v - logSum) - target) + (1 - h) * t * (exp(v * u - logSumSoft) - p)) / n);
  }
  total = block_sum(total, shared);
  above = block_sum(above, shared);
  soft = block_sum(soft, shared);
  if (threadIdx.x == 0) {
    double* row = rows + blockIdx.x * 3;
    double given = h > 0 ? h * ((1 - smoothing) * (logSum - own) + smoothing * (logSum - total / classes)) : 0;
    row[0] = known ? given + (1 - h) * t * t * soft : double(NAN);
    row[1] = known && above < 1 ? 1 : 0;
    row[2] = known && above < 5 ? 1 : 0;
  }
  finish_rows(result, rows, counter, n, shared);
}
