// copy_all.cu -- copies and sums of many tensors in one launch
//
//   copy_all    value = gradient for every entry of a table
//   add_all     value += gradient for every entry
//   round_all   value = the nearest bfloat16 of gradient, ties to even, for every entry; value is bfloat16
//
// Shapes     table: one Entry per tensor; pieces: one (tensor, first element) pair per block
// Launch     block 256, grid of `pieces`; a block does 4096 elements of one tensor
// Limits     a tensor has fewer than 2^31 values
// Exactness  bits are copied; sums are the twin's; a rounded value is off by at most 2^-8 of it
// Twin       src/main/java/onebit/ops/cpu/CpuOptimOps.java, copyAll, addAll
// Tests      native-tests/optimizers_test.cpp, src/test/java/onebit/ops/OptimOpsTest.java
// Source     none: data movement
// Rungs      1 all tensors in one launch
#include "element.cuh"
#include "multi_tensor.cuh"

ONEBIT_KERNEL(256) copy_all(const TensorEntry* table, const uint2* pieces) {
  TensorEntry t = table[pieces[blockIdx.x].x];
  FOR_EACH_OF_PIECE(k, pieces[blockIdx.x].y, t.size) t.value[k] = t.gradient[k];
}

ONEBIT_KERNEL(256) round_all(const TensorEntry* table, const uint2* pieces) {
  TensorEntry t = table[pieces[blockIdx.x].x];
  __nv_bfloat16* rounded = reinterpret_cast<__nv_bfloat16*>(t.value);
  FOR_EACH_OF_PIECE(k, pieces[blockIdx.x].y, t.size) store(rounded + k, t.gradient[k]);
}

ONEBIT_KERNEL(256) add_all(const TensorEntry* table, const uint2* pieces) {
  TensorEntry t = table[pieces[blockIdx.x].x];
  FOR_EACH_OF_PIECE(k, pieces[blockIdx.x].y, t.size) t.value[k] += t.gradient[k];
}
