// channel_sums.cu -- the last step of a sum per channel
//
//   out0[c] = sum over splits of partial[split][0][c]          out1[c] the same of value 1, where there are two
//
// Shapes     partial [splits][values][C] double, out0, out1 C values
// Launch     block 256, grid ceil(C / 256)
// Limits     values is 1 or 2; out1 is not read when it is 1
// Exactness  double sums by groups of splits in their order: equal on every run
// Twin       src/main/java/onebit/ops/cpu/ChannelTiles.java, sum
// Tests      native-tests/channel_sums_test.cpp, native-tests/maxout_test.cpp, src/test/java/onebit/ops/PointOpsTest.java, src/test/java/onebit/ops/NormOpsTest.java
// Source     Harris 2007, Optimizing Parallel Reduction in CUDA
// Rungs      1 a thread per value
#include "common.cuh"

ONEBIT_KERNEL(256) channel_sums_finish(float* out0, float* out1, const double* partial, unsigned splits, unsigned values, unsigned channels) {
  unsigned c = blockIdx.x * 256 + threadIdx.x;
  if (c >= channels) return;
  out0[c] = float(channel_total(partial, splits, values, 0, channels, c));
  if (values == 2) out1[c] = float(channel_total(partial, splits, values, 1, channels, c));
}
