// normalize.cu -- pixels as the network wants them
//
//   y = (pixel / 255 - mean) / deviation, per channel
//
// Shapes     pixels n bytes, channels last; y n values; statistics C means, then C deviations
//            y is float, or bfloat16 in normalize_bf16; statistics is float
// Launch     block 256, any grid
// Limits     n < 2^31
// Exactness  three rounded operations in the twin's order; bfloat16 rounds once more
// Twin       src/main/java/onebit/ops/cpu/CpuPointOps.java, normalize
// Tests      native-tests/normalize_test.cpp, src/test/java/onebit/ops/PointOpsTest.java
// Source     torchvision's ToTensor and Normalize
// Rungs      1 a thread per value
#ifndef ELEMENT
#include "element.cuh"
#define ELEMENT_FILE "normalize.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(normalize)(ELEMENT* y, const unsigned char* pixels, const float* statistics, unsigned n, unsigned channels) {
  FOR_EACH(i, n) {
    unsigned c = i % channels;
    store(y + i, (float(pixels[i]) / 255.0f - statistics[c]) / statistics[channels + c]);
  }
}
#endif
