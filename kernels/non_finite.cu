// non_finite.cu -- how many values are NaN or infinite
//
//   non_finite         partial[block] = the count among the block's values
//   non_finite_finish  count[0] = the sum of the partial counts
//
// Shapes     x n values; partial one double per block; count 1 value
// Launch     block 256, grid of `blocks`; finish block 256, grid 1
// Limits     n < 2^31; a count above 2^24 is rounded
// Exactness  whole numbers: equal to the twin
// Twin       src/main/java/onebit/ops/cpu/CpuPointOps.java, countNonFinite
// Tests      src/test/java/onebit/ops/PointOpsTest.java
// Source     IEEE 754: an exponent of all ones
// Rungs      1 a thread per value
#include "common.cuh"

ONEBIT_KERNEL(256) non_finite(double* partial, const float* x, unsigned n) {
  __shared__ double shared[33];
  double bad = 0;
  FOR_EACH(i, n) bad += (__float_as_uint(x[i]) & 0x7f800000u) == 0x7f800000u ? 1 : 0;
  bad = block_sum(bad, shared);
  if (threadIdx.x == 0) partial[blockIdx.x] = bad;
}

ONEBIT_KERNEL(256) non_finite_finish(float* count, const double* partial, unsigned blocks) {
  __shared__ double shared[33];
  double bad = 0;
  for (unsigned i = threadIdx.x; i < blocks; i += 256) bad += partial[i];
  bad = block_sum(bad, shared);
  if (threadIdx.x == 0) count[0] = float(bad);
}
