// non_finite.cu -- how many values are NaN or infinite
//
//   non_finite         partial[block] = the count among the block's values
//   non_finite_finish  count[0] = the sum of the partial counts
//   non_finite_each    the same for every tensor of a table, a block per piece
//   non_finite_each_finish  counts[tensor] = the sum over the tensor's pieces
//
// Shapes     x n values; partial one double per block; count 1 value
// Launch     block 256, grid of `blocks`; finish block 256, grid 1; _each grid of `pieces`, its finish one block per tensor
// Limits     n < 2^31; a count above 2^24 is rounded
// Exactness  whole numbers: equal to the twin
// Twin       src/main/java/onebit/ops/cpu/CpuPointOps.java, countNonFinite
// Tests      native-tests/optimizers_test.cpp, src/test/java/onebit/ops/PointOpsTest.java, src/test/java/onebit/ops/OptimOpsTest.java
// Source     IEEE 754: an exponent of all ones
// Rungs      1 a thread per value
#include "multi_tensor.cuh"

__device__ __forceinline__ double is_bad(float v) { return (__float_as_uint(v) & 0x7f800000u) == 0x7f800000u ? 1 : 0; }

ONEBIT_KERNEL(256) non_finite(double* partial, const float* x, unsigned n) {
  __shared__ double shared[33];
  double bad = 0;
  FOR_EACH(i, n) bad += is_bad(x[i]);
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

ONEBIT_KERNEL(256) non_finite_each(double* partial, const TensorEntry* table, const uint2* pieces) {
  __shared__ double shared[33];
  TensorEntry t = table[pieces[blockIdx.x].x];
  double bad = 0;
  FOR_EACH_OF_PIECE(k, pieces[blockIdx.x].y, t.size) bad += is_bad(t.value[k]);
  bad = block_sum(bad, shared);
  if (threadIdx.x == 0) partial[blockIdx.x] = bad;
}

ONEBIT_KERNEL(256) non_finite_each_finish(float* counts, const double* partial, const TensorEntry*, const uint2* pieces, unsigned pieceCount) {
  __shared__ double shared[33];
  double bad = 0;
  for (unsigned i = threadIdx.x; i < pieceCount; i += 256) bad += pieces[i].x == blockIdx.x ? partial[i] : 0;
  bad = block_sum(bad, shared);
  if (threadIdx.x == 0) counts[blockIdx.x] = float(bad);
}
