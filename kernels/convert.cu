// convert.cu -- copies between the two types of elements
//
//   to_bfloat16  y = the nearest bfloat16 of x, ties to even          to_float32  y = x
//
// Shapes     y, x n values
// Launch     block 256, any grid
// Limits     n < 2^31
// Exactness  to_float32 is exact; to_bfloat16 is off by at most 2^-8 of the value; NaN stays NaN
// Twin       src/main/java/onebit/ops/cpu/CpuPointOps.java, copy (the CPU has float32 only)
// Tests      native-tests/convert_test.cpp, src/test/java/onebit/ops/cuda/CudaBackendTest.java
// Source     Kalamkar et al. 2019, A Study of BFLOAT16 for Deep Learning Training, arXiv 1905.12322
// Rungs      1 neighbours in 16 bytes
#include "element.cuh"

template <class T, class F> __device__ __forceinline__ void convert(T* y, const F* x, unsigned n) {
  for_each_vector<8>(n, aligned(y, x), [=](unsigned i, auto width) {
    float v[width.value];
    load_vector(x + i, v);
    store_vector(y + i, v);
  });
}

ONEBIT_KERNEL(256) to_bfloat16(__nv_bfloat16* y, const float* x, unsigned n) { convert(y, x, n); }

ONEBIT_KERNEL(256) to_float32(float* y, const __nv_bfloat16* x, unsigned n) { convert(y, x, n); }
