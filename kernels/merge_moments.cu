// merge_moments.cu -- batch-norm statistics of a batch that lies on several ranks
//
//   merge_moments   mean = sum n_r mean_r / N, var = sum n_r (var_r + (mean_r - mean)^2) / N, inverse = 1 / sqrt(var + epsilon);
//                   running statistics moved by momentum
//   merge_sums      scale, shift = gamma inverse (own sums / n - all sums / N) of g xhat and of g: what gradX of a part lacks
//
// Shapes     all of merge_moments, moments of merge_sums [ranks][2 C + 1]: mean, biased variance, rows; own [2 C], all of merge_sums
//            [ranks][2 C]: sums of g xhat, then of g; the rest C values
// Launch     block 256, grid ceil(C / 256)
// Limits     rows of one rank < 2^24, so that float32 holds them exactly
// Exactness  sums over the ranks are double, in the order of the ranks: the same bits on every rank
// Twin       src/main/java/onebit/ops/cpu/CpuNormOps.java, mergeMoments, mergeSums
// Tests      native-tests/merge_moments_test.cpp, src/test/java/onebit/ops/MergeMomentsTest.java
// Source     Chan, Golub and LeVeque 1979, Updating Formulae for Computing Sample Variances
// Rungs      1 a thread per channel
#include "norm.cuh"

__device__ double total_rows(const float* moments, unsigned ranks, unsigned width) {
  double rows = 0;
  for (unsigned r = 0; r < ranks; r++) rows += moments[r * width + width - 1];
  return rows;
}

ONEBIT_KERNEL(256) merge_moments(float* mean, float* var, float* inverse, float* runningMean, float* runningVar, const float* all, unsigned ranks,
                                 unsigned channels, float momentum, float epsilon, int unbiased) {
  unsigned c = blockIdx.x * 256 + threadIdx.x, width = 2 * channels + 1;
  if (c >= channels) return;
  double rows = total_rows(all, ranks, width), m = 0, v = 0;
  for (unsigned r = 0; r < ranks; r++) m += double(all[r * width + 2 * channels]) * all[r * width + c];
  m /= rows;
  for (unsigned r = 0; r < ranks; r++) {
    double d = all[r * width + c] - m;
    v += all[r * width + 2 * channels] * (all[r * width + channels + c] + d * d);
  }
  v /= rows;
  mean[c] = float(m);
  var[c] = float(v);
  inverse[c] = float(1 / sqrt(v + epsilon));
  double kept = unbiased && rows > 1 ? v * rows / (rows - 1) : v;
  move_running(runningMean, runningVar, c, float(m), float(kept), momentum);
}

ONEBIT_KERNEL(256) merge_sums(float* scale, float* shift, const float* own, const float* all, const float* moments, const float* gamma,
                              const float* inverse, unsigned ranks, unsigned rows, unsigned channels) {
  unsigned c = blockIdx.x * 256 + threadIdx.x, width = 2 * channels;
  if (c >= channels) return;
  double total = total_rows(moments, ranks, width + 1), gx = 0, g = 0, factor = double(gamma[c]) * inverse[c];
  for (unsigned r = 0; r < ranks; r++) {
    gx += all[r * width + c];
    g += all[r * width + channels + c];
  }
  scale[c] = float(factor * (own[c] / double(rows) - gx / total));
  shift[c] = float(factor * (own[channels + c] / double(rows) - g / total));
}
