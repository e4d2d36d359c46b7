// batch_norm.cu -- batch normalisation per channel, forward and backward
//
//   batch_norm_sums, _finish     mean and variance of the batch, running statistics moved by momentum
//   batch_norm_inverse           inverse = 1 / sqrt(var + epsilon), for evaluation
//   batch_norm_apply             y = (x - mean) gamma inverse + beta
//   batch_norm_backward_sums     per channel sums of g and g xhat, xhat = (x - mean) inverse
//   batch_norm_backward_finish   gradGamma, gradBeta and the two means
//   batch_norm_backward_apply    gradX = gamma inverse (g - mean(g) - xhat mean(g xhat))
//
// Shapes     x, y, gradX, gradY rows of C values; partial [splits][2][C]; the rest C values
// Launch     block 256, any grid; _sums as channel_sums in common.cuh; _finish and _inverse grid ceil(C / 256)
// Limits     rows * C < 2^31
// Exactness  sums are double, of differences from the first row, so a large common offset costs no digits
// Twin       src/main/java/onebit/ops/cpu/CpuNormOps.java, batchNorm, batchNormInference, batchNormBackward
// Tests      native-tests/batch_norm_test.cpp, src/test/java/onebit/ops/NormOpsTest.java
// Source     Ioffe and Szegedy 2015, arXiv 1502.03167
// Rungs      1 sums, finish, apply as three launches
#include "common.cuh"

ONEBIT_KERNEL(256) batch_norm_sums(double* partial, const float* x, unsigned rows, unsigned channels) {
  __shared__ double tile[512];
  unsigned c = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.y * blockDim.x + threadIdx.x;
  double sum = 0, squares = 0;
  if (c < channels) {
    double first = x[c];
    for (unsigned row = blockIdx.y * blockDim.y + threadIdx.y; row < rows; row += gridDim.y * blockDim.y) {
      double d = x[row * channels + c] - first;
      sum += d;
      squares += d * d;
    }
  }
  tile[lane] = sum;
  tile[256 + lane] = squares;
  __syncthreads();
  for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
    if (threadIdx.y < half) {
      tile[lane] += tile[lane + half * blockDim.x];
      tile[256 + lane] += tile[256 + lane + half * blockDim.x];
    }
    __syncthreads();
  }
  if (threadIdx.y == 0 && c < channels) {
    partial[(blockIdx.y * 2) * channels + c] = tile[lane];
    partial[(blockIdx.y * 2 + 1) * channels + c] = tile[256 + lane];
  }
}

ONEBIT_KERNEL(256) batch_norm_finish(float* mean, float* inverse, float* runningMean, float* runningVar, const float* x,
                                     const double* partial, unsigned splits, unsigned rows, unsigned channels, float momentum,
                                     float epsilon, int unbiased) {
  unsigned c = blockIdx.x * 256 + threadIdx.x;
  if (c >= channels) return;
  double shift = channel_total(partial, splits, 2, 0, channels, c) / rows;
  double var = channel_total(partial, splits, 2, 1, channels, c) / rows - shift * shift;
  if (var < 0) var = 0;
  float m = float(x[c] + shift);
  mean[c] = m;
  inverse[c] = float(1 / sqrt(var + epsilon));
  double kept = unbiased && rows > 1 ? var * rows / (rows - 1) : var;
  runningMean[c] += momentum * (m - runningMean[c]);
  runningVar[c] += momentum * (float(kept) - runningVar[c]);
}

ONEBIT_KERNEL(256) batch_norm_inverse(float* inverse, const float* var, float epsilon, unsigned channels) {
  unsigned c = blockIdx.x * 256 + threadIdx.x;
  if (c < channels) inverse[c] = float(1 / sqrt(double(var[c]) + epsilon));
}

ONEBIT_KERNEL(256) batch_norm_apply(float* y, const float* x, const float* gamma, const float* beta, const float* mean,
                                    const float* inverse, unsigned n, unsigned channels) {
  FOR_EACH(i, n) {
    unsigned c = i % channels;
    y[i] = (x[i] - mean[c]) * (gamma[c] * inverse[c]) + beta[c];
  }
}

ONEBIT_KERNEL(256) batch_norm_backward_sums(double* partial, const float* gradY, const float* x, const float* mean, const float* inverse,
                                            unsigned rows, unsigned channels) {
  __shared__ double tile[512];
  channel_sums<2>(partial, rows, channels, tile, [=](unsigned i, unsigned c, float* each) {
    each[0] = gradY[i];
    each[1] = gradY[i] * ((x[i] - mean[c]) * inverse[c]);
  });
}

ONEBIT_KERNEL(256) batch_norm_backward_finish(float* gradGamma, float* gradBeta, float* meanG, float* meanGx, const double* partial,
                                              const float* inverse, unsigned splits, unsigned rows, unsigned channels) {
  unsigned c = blockIdx.x * 256 + threadIdx.x;
  if (c >= channels) return;
  double g = channel_total(partial, splits, 2, 0, channels, c), gx = channel_total(partial, splits, 2, 1, channels, c);
  gradBeta[c] = float(g);
  gradGamma[c] = float(gx);
  meanG[c] = float(g / rows);
  meanGx[c] = float(gx / rows) * inverse[c];
}

ONEBIT_KERNEL(256) batch_norm_backward_apply(float* gradX, const float* gradY, const float* x, const float* gamma, const float* mean,
                                             const float* inverse, const float* meanG, const float* meanGx, unsigned n, unsigned channels) {
  FOR_EACH(i, n) {
    unsigned c = i % channels;
    gradX[i] = gamma[c] * inverse[c] * (gradY[i] - meanG[c] - (x[i] - mean[c]) * meanGx[c]);
  }
}
