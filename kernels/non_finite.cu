// non_finite.cu -- how many values are NaN or infinite, and what of a step is
//
//   non_finite         partial[block] = the count among the block's values
//   non_finite_finish  count[0] = the sum of the partial counts
//   judge              verdict = {0, -1 if the loss result[0] is bad, else 1 + the first tensor of a table that holds a bad value; result; penalty};
//                      where it is not 0, value = gradient for every entry of the table put
//
// Shapes     x n values; partial one double per block; count 1 value; verdict 5, result 3, penalty 1 value or null; counter 1, 0 before and after
// Launch     block 256, grid of `blocks`; finish block 256, grid 1; judge grid of `pieces`, at least 1
// Limits     n < 2^31; a count above 2^24 is rounded
// Exactness  whole numbers: equal to the twin
// Twin       src/main/java/onebit/ops/cpu/CpuPointOps.java, countNonFinite; CpuOptimOps.java, judge
// Tests      native-tests/optimizers_test.cpp, src/test/java/onebit/ops/PointOpsTest.java, src/test/java/onebit/ops/OptimOpsTest.java
// Source     IEEE 754: an exponent of all ones
// Rungs      1 a thread per value, 2 the last block of judge gives the verdict and puts back
#include "last_block.cuh"
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

ONEBIT_KERNEL(256) judge(float* verdict, const float* result, const float* penalty, double* partial, unsigned* counter, const TensorEntry* table, const uint2* pieces,
                         unsigned pieceCount, const TensorEntry* put, unsigned putCount) {
  __shared__ double shared[33];
  __shared__ unsigned first;
  if (blockIdx.x < pieceCount) {
    TensorEntry t = table[pieces[blockIdx.x].x];
    double bad = 0;
    FOR_EACH_OF_PIECE(k, pieces[blockIdx.x].y, t.size) bad += is_bad(t.value[k]);
    bad = block_sum(bad, shared);
    if (threadIdx.x == 0) partial[blockIdx.x] = bad;
  }
  if (!last_block(counter, gridDim.x)) return;
  if (threadIdx.x == 0) first = ~0u;
  __syncthreads();
  for (unsigned i = threadIdx.x; i < pieceCount; i += 256) {
    if (__ldcg(partial + i) > 0) atomicMin(&first, pieces[i].x);
  }
  __syncthreads();
  float wrong = is_bad(result[0]) > 0 ? -1.0f : first == ~0u ? 0.0f : float(first + 1);
  if (threadIdx.x == 0) {
    verdict[0] = wrong;
    for (unsigned v = 0; v < 3; v++) verdict[1 + v] = result[v];
    verdict[4] = penalty ? penalty[0] : 0.0f;
  }
  if (wrong == 0.0f) return;
  for (unsigned i = 0; i < putCount; i++) {
    TensorEntry t = put[i];
    for (unsigned k = threadIdx.x; k < t.size; k += 256) t.value[k] = t.gradient[k];
  }
}
