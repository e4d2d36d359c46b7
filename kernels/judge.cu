// judge.cu -- what of a step the host and the update have to know, in one launch
//
//   judge  verdict = {0, -1 if the loss result[0] is NaN or infinite, else 1 + the first tensor of a table that holds such a value; result; penalty;
//          norm, the length of all tensors together; largest / norm where the first is 0, largest > 0 and norm > largest, else 1};
//          where the first is not 0, value = gradient for every entry of the table put
//
// Shapes     verdict 7, result 3, penalty 1 value or null; partial one double per piece; counter 1, 0 before and after
// Launch     block 256, grid of `pieces`, at least 1
// Limits     a tensor has fewer than 2^31 values
// Exactness  whole numbers equal to the twin; squares exact in double, sums in a fixed tree, norm and share rounded to float: within a rounding of the twin
// Twin       src/main/java/onebit/ops/cpu/CpuOptimOps.java, judge
// Tests      native-tests/optimizers_test.cpp, src/test/java/onebit/ops/OptimOpsTest.java
// Source     IEEE 754: an exponent of all ones; Pascanu et al. 2013, arXiv 1211.5063, section 3.2
// Rungs      1 the last block gives the verdict and puts back, 2 a sum of squares that is not finite stands for a value that is not
#include "last_block.cuh"
#include "multi_tensor.cuh"

__device__ __forceinline__ bool is_finite(double v) { return v - v == 0; }

ONEBIT_KERNEL(256) judge(float* verdict, const float* result, const float* penalty, double* partial, unsigned* counter, const TensorEntry* table, const uint2* pieces,
                         unsigned pieceCount, float largest, const TensorEntry* put, unsigned putCount) {
  __shared__ double shared[33];
  __shared__ unsigned first;
  if (blockIdx.x < pieceCount) {
    TensorEntry t = table[pieces[blockIdx.x].x];
    double squares = 0;   // of floats they do not overflow
    FOR_EACH_OF_PIECE(k, pieces[blockIdx.x].y, t.size) squares += double(t.value[k]) * t.value[k];
    squares = block_sum(squares, shared);
    if (threadIdx.x == 0) partial[blockIdx.x] = squares;
  }
  if (!last_block(counter, gridDim.x)) return;
  if (threadIdx.x == 0) first = ~0u;
  __syncthreads();
  double all = 0;
  for (unsigned i = threadIdx.x; i < pieceCount; i += 256) {
    double squares = __ldcg(partial + i);
    if (!is_finite(squares)) atomicMin(&first, pieces[i].x);
    all += squares;
  }
  float norm = float(sqrt(block_sum(all, shared)));   // its barriers stand behind the last atomicMin
  float wrong = !is_finite(result[0]) ? -1.0f : first == ~0u ? 0.0f : float(first + 1);
  if (threadIdx.x == 0) {
    verdict[0] = wrong;
    for (unsigned v = 0; v < 3; v++) verdict[1 + v] = result[v];
    verdict[4] = penalty ? penalty[0] : 0.0f;
    verdict[5] = norm;
    verdict[kShare] = wrong == 0.0f && largest > 0 && norm > largest ? largest / norm : 1.0f;
  }
  if (wrong == 0.0f) return;
  for (unsigned i = 0; i < putCount; i++) {
    TensorEntry t = put[i];
    for (unsigned k = threadIdx.x; k < t.size; k += 256) t.value[k] = t.gradient[k];
  }
}
