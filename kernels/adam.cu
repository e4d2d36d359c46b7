// adam.cu -- Adam and RAdam updates of all parameters in one launch
//
//   m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w = w - rate m / (sqrt(v) + epsilon), g with its decay
//
// Shapes     table: one Entry per tensor; pieces: one (tensor, first element) pair per block
// Launch     block 256, grid of `pieces`; a block does 4096 elements of one tensor
// Limits     a tensor has fewer than 2^31 values; divide 0 leaves the division out (RAdam's warm-up)
// Exactness  the twin's operations in the twin's order
// Twin       src/main/java/onebit/ops/cpu/CpuOptimOps.java, adam
// Tests      native-tests/optimizers_test.cpp, src/test/java/onebit/ops/OptimOpsTest.java
// Source     Kingma and Ba 2015; Liu et al. 2020 (RAdam, arXiv 1908.03265); MXNet 1.5 optimizer.py for the form
// Rungs      1 all tensors in one launch
#include "multi_tensor.cuh"

ONEBIT_KERNEL(256) adam(const TensorEntry* table, const uint2* pieces, float rate, float beta1, float beta2, float epsilon, int divide) {
  TensorEntry t = table[pieces[blockIdx.x].x];
  FOR_EACH_OF_PIECE(k, pieces[blockIdx.x].y, t.size) {
    float g = t.gradient[k] + t.decay * t.value[k];
    float m = beta1 * t.first[k] + (1 - beta1) * g, v = beta2 * t.second[k] + (1 - beta2) * g * g;
    t.first[k] = m;
    t.second[k] = v;
    t.value[k] -= divide ? rate * m / (sqrtf(v) + epsilon) : rate * m;
  }
}
