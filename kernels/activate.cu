// activate.cu -- parameter-free nonlinearities and their derivatives
//
//   activate           y = max(x, 0), min(max(x, -1), 1) or tanh x
//   activate_backward  gradX = gradY f'(x), 0 at a kink
//
// Shapes     y, x, gradX, gradY n values; kind 0 ReLU, 1 hardtanh, 2 tanh
// Launch     block 256, any grid
// Limits     n < 2^31
// Exactness  equal to the twin but for tanh, whose last bits differ between mathematics libraries; NaN stays NaN
// Twin       src/main/java/onebit/ops/cpu/CpuPointOps.java, activate, activateBackward
// Tests      native-tests/activate_test.cpp, src/test/java/onebit/ops/PointOpsTest.java
// Source     PyTorch's rule at kinks
// Rungs      1 a thread per value
#include "common.cuh"

ONEBIT_KERNEL(256) activate(float* y, const float* x, int kind, unsigned n) {
  FOR_EACH(i, n) {
    float v = x[i];
    if (kind == 0) y[i] = v > 0 || v != v ? v : 0.0f;
    else if (kind == 1) y[i] = v < -1 ? -1.0f : v > 1 ? 1.0f : v;
    else y[i] = tanhf(v);
  }
}

ONEBIT_KERNEL(256) activate_backward(float* gradX, const float* gradY, const float* x, int kind, unsigned n) {
  FOR_EACH(i, n) {
    float v = x[i], g = gradY[i];
    if (kind == 0) {
      gradX[i] = v > 0 ? g : 0.0f;
    } else if (kind == 1) {
      gradX[i] = fabsf(v) < 1 ? g : 0.0f;
    } else {
      float t = tanhf(v);
      gradX[i] = g * (1 - t * t);
    }
  }
}
