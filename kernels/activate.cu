// activate.cu -- parameter-free nonlinearities and their derivatives
//
//   activate           y = max(x, 0), min(max(x, -1), 1) or tanh x
//   activate_backward  gradX = gradY f'(x), 0 at a kink
//
// Shapes     y, x, gradX, gradY n values; kind 0 ReLU, 1 hardtanh, 2 tanh
//            all are float, or bfloat16 in the entries named _bf16
// Launch     block 256, any grid
// Limits     n < 2^31
// Exactness  equal to the twin but for tanh, whose last bits differ between mathematics libraries; NaN stays NaN; in bfloat16 the nearest to that
// Twin       src/main/java/onebit/ops/cpu/CpuPointOps.java, activate, activateBackward
// Tests      native-tests/activate_test.cpp, src/test/java/onebit/ops/PointOpsTest.java
// Source     PyTorch's rule at kinks
// Rungs      1 a thread per value, 2 neighbours in 16 bytes
#ifndef ELEMENT
#include "element.cuh"
#define ELEMENT_FILE "activate.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(activate)(ELEMENT* y, const ELEMENT* x, int kind, unsigned n) {
  for_each_vector<kWide<ELEMENT>>(n, aligned(y, x), [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    float v[W];
    load_vector(x + i, v);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      if (kind == 0) v[k] = v[k] > 0 || v[k] != v[k] ? v[k] : 0.0f;
      else if (kind == 1) v[k] = v[k] < -1 ? -1.0f : v[k] > 1 ? 1.0f : v[k];
      else v[k] = tanhf(v[k]);
    }
    store_vector(y + i, v);
  });
}

ONEBIT_KERNEL(256) ENTRY(activate_backward)(ELEMENT* gradX, const ELEMENT* gradY, const ELEMENT* x, int kind, unsigned n) {
  for_each_vector<kWide<ELEMENT>>(n, aligned(gradX, gradY, x), [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    float v[W], g[W];
    load_vector(x + i, v);
    load_vector(gradY + i, g);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      if (kind == 0) {
        g[k] = v[k] > 0 ? g[k] : 0.0f;
      } else if (kind == 1) {
        g[k] = fabsf(v[k]) < 1 ? g[k] : 0.0f;
      } else {
        float t = tanhf(v[k]);
        g[k] *= multiply_add(-t, t, 1);
      }
    }
    store_vector(gradX + i, g);
  });
}
#endif
