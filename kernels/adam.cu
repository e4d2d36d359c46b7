// adam.cu -- Adam and RAdam updates of all parameters in one launch
//
//   adam_rate  steps = steps + 1; used = {the learning rate with the bias corrections of this step, whether to divide}
//   adam       m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w = w - rate m / (sqrt(v) + epsilon), g multiplied by share, then with its decay
//   share is the last value of the verdict; all as they are when its first is not 0
//
// Shapes     table: one Entry per tensor; pieces: one (tensor, first element) pair per block;
//            learningRate, steps 1 value; verdict 7 (judge.cu); used 2 values
// Launch     adam_rate one block of 32; adam block 256, grid of `pieces`; a block does 4096 elements of one tensor
// Limits     a tensor has fewer than 2^31 values; steps below 2^24; rectified leaves the division out while the average is short
// Exactness  the twin's operations in the twin's order; pow in double may differ by its last bit before the rate is rounded to float
// Twin       src/main/java/onebit/ops/cpu/CpuOptimOps.java, adam
// Tests      native-tests/optimizers_test.cpp, src/test/java/onebit/ops/OptimOpsTest.java
// Source     Kingma and Ba 2015; Liu et al. 2020 (RAdam, arXiv 1908.03265); MXNet 1.5 optimizer.py for the form
// Rungs      1 all tensors in one launch
#include "multi_tensor.cuh"

/** Below this length of the simple moving average RAdam takes a plain momentum step. */
constexpr double kShortestAverage = 5;

ONEBIT_KERNEL(32) adam_rate(float* used, float* steps, const float* learningRate, const float* verdict, float beta1, float beta2, int rectified) {
  if (verdict[0] != 0 || threadIdx.x > 0) return;
  double step = steps[0] + 1, kept1 = pow(double(beta1), step), kept2 = pow(double(beta2), step), rate = learningRate[0] / (1 - kept1);
  double longest = 2 / (1 - double(beta2)) - 1, length = longest - 2 * step * kept2 / (1 - kept2);
  bool divide = !rectified || length > kShortestAverage;
  if (!rectified) rate *= sqrt(1 - kept2);
  else if (divide) rate *= sqrt((1 - kept2) * (length - 4) / (longest - 4) * (length - 2) / length * longest / (longest - 2));
  steps[0] = float(step);
  used[0] = float(rate);
  used[1] = divide ? 1 : 0;
}

ONEBIT_KERNEL(256) adam(const TensorEntry* table, const uint2* pieces, const float* used, const float* verdict, float beta1, float beta2, float epsilon) {
  if (verdict[0] != 0) return;
  TensorEntry t = table[pieces[blockIdx.x].x];
  float rate = used[0], divide = used[1], share = verdict[kShare];
  FOR_EACH_OF_PIECE(k, pieces[blockIdx.x].y, t.size) {
    float g = __fmul_rn(share, t.gradient[k]) + t.decay * t.value[k];
    float m = beta1 * t.first[k] + (1 - beta1) * g, v = beta2 * t.second[k] + (1 - beta2) * g * g;
    t.first[k] = m;
    t.second[k] = v;
    t.value[k] -= divide != 0 ? rate * m / (sqrtf(v) + epsilon) : rate * m;
  }
}
