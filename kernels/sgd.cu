// sgd.cu -- momentum updates of all parameters in one launch
//
//   v = momentum v + (share g + decay w)          w = w - rate v          steps = steps + 1
//   share is the last value of the verdict; all as they are when its first is not 0
//
// Shapes     table: one Entry per tensor; pieces: one (tensor, first element) pair per block;
//            learningRate, steps 1 value; verdict 7 (judge.cu)
// Launch     block 256, grid of `pieces`; a block does 4096 elements of one tensor
// Limits     a tensor has fewer than 2^31 values
// Exactness  the twin's operations in the twin's order
// Twin       src/main/java/onebit/ops/cpu/CpuOptimOps.java, sgd
// Tests      native-tests/optimizers_test.cpp, src/test/java/onebit/ops/OptimOpsTest.java
// Source     PyTorch's SGD, no dampening, no Nesterov
// Rungs      1 all tensors in one launch
#include "multi_tensor.cuh"

ONEBIT_KERNEL(256) sgd(const TensorEntry* table, const uint2* pieces, float momentum, const float* learningRate, float* steps, const float* verdict) {
  if (verdict[0] != 0) return;
  if (blockIdx.x == 0 && threadIdx.x == 0) steps[0] += 1;
  float rate = learningRate[0], share = verdict[kShare];
  TensorEntry t = table[pieces[blockIdx.x].x];
  FOR_EACH_OF_PIECE(k, pieces[blockIdx.x].y, t.size) {
    float v = momentum * t.first[k] + (__fmul_rn(share, t.gradient[k]) + t.decay * t.value[k]);
    t.first[k] = v;
    t.value[k] -= rate * v;
  }
}
