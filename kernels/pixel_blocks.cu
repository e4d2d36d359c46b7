// pixel_blocks.cu -- a convolution of stride 2 over few channels as one of stride 1 over blocks of 2x2 pixels, whose channels fill a tensor core's
//
//   taps i = 2 a + d - (even - pad), even = pad rounded up to an even number; so channel (2 di + dj) c + k of block u, v is pixel 2 u + di - even, 2 v + dj - even
//   pixel_blocks           images as blocks, 0 outside and in channels past 4 c
//   pixel_blocks_of_bytes  the same of images whose values are made of bytes, as normalize.cu makes them, and stored nowhere else
//   pixel_blocks_filters   filters likewise
//   pixel_blocks_grad_w    gradients of such filters back as those of the filters
//
// Shapes     x N,H,W,C; to N,U,V,K; w, gradW O,R,S,C; blocked filters O,A,B,K; K a multiple of 8, at least 4 C; A = ceil((R + even - pad) / 2)
//            images and blocked filters are bfloat16; w and gradW are float, or bfloat16 in the entries named _bf16
//            pixels N,H,W,C bytes; statistics C means, then C deviations, float
// Launch     block 256, any grid
// Limits     values of each < 2^31; of bytes at most 4 channels
// Exactness  copies; filters are rounded to bfloat16, as convert.cu does; values of bytes have the bits of normalize_bf16
// Twin       none on the CPU: part of CudaConvOps.conv2d, conv2dOfPixels and their gradients of filters, whose twin is CpuConvOps
// Tests      native-tests/pixel_blocks_test.cpp, src/test/java/onebit/ops/ConvOpsTest.java
// Source     none: data movement; the stem of ResNet-18 has 3 channels, of which a tensor core takes 8 or 16 at a time
// Rungs      1 eight channels of a block a thread, 2 from bytes by a table in shared memory
#include "element.cuh"

constexpr int kMostChannels = 4;

/** 8 channels of a block for each thread; value(at, k) is what lies at place `at` of the images, which is of channel k. */
template <class Value>
__device__ __forceinline__ void gather_blocks(__nv_bfloat16* to, unsigned count, int h, int w, int c, int u, int v, int channels, int even, Value value) {
  Divisor overGroups(unsigned(channels) / 8), overV(static_cast<unsigned>(v)), overU(static_cast<unsigned>(u));
  FOR_EACH(i, count / 8) {
    unsigned group, along, down, block = overGroups.divide(i, group), image = overU.divide(overV.divide(block, along), down);
    int row = 2 * int(down) - even, column = 2 * int(along) - even;
    float values[8];
#pragma unroll
    for (unsigned j = 0; j < 8; j++) {
      int k = int(group * 8 + j), pixel = (k >= c) + (k >= 2 * c) + (k >= 3 * c), y = row + pixel / 2, z = column + pixel % 2;
      bool inside = k < 4 * c && y >= 0 && y < h && z >= 0 && z < w;
      values[j] = inside ? value(image * unsigned(h * w * c) + unsigned((y * w + z) * c + k - pixel * c), k - pixel * c) : 0.0f;
    }
    store_vector(to + i * 8, values);
  }
}

ONEBIT_KERNEL(256) pixel_blocks(__nv_bfloat16* to, const __nv_bfloat16* x, unsigned count, int h, int w, int c, int u, int v, int channels, int even) {
  gather_blocks(to, count, h, w, c, u, v, channels, even, [&](unsigned at, int) { return load(x + at); });
}

/** A byte has 256 values: each block makes them all once, so that a pixel costs a look-up instead of two divisions. */
ONEBIT_KERNEL(256) pixel_blocks_of_bytes(__nv_bfloat16* to, const unsigned char* pixels, const float* statistics, unsigned count, int h, int w, int c, int u,
                                         int v, int channels, int even) {
  __shared__ float values[kMostChannels * 256];
  for (unsigned i = threadIdx.x; i < unsigned(c) * 256; i += blockDim.x) {
    values[i] = (float(i % 256) / 255.0f - statistics[i / 256]) / statistics[unsigned(c) + i / 256];
  }
  __syncthreads();
  gather_blocks(to, count, h, w, c, u, v, channels, even, [&](unsigned at, int k) { return values[k * 256 + pixels[at]]; });
}

/** The tap and channel of the filters that lie at index i of the blocked ones; -1 where none does. */
__device__ __forceinline__ int unblocked(unsigned i, int r, int s, int c, int a, int b, int channels, int shift) {
  int k = int(i % unsigned(channels)), at = int(i / unsigned(channels)), pixel = k / c;
  int row = 2 * (at / b % a) + pixel / 2 - shift, column = 2 * (at % b) + pixel % 2 - shift;
  if (pixel > 3 || row < 0 || row >= r || column < 0 || column >= s) return -1;
  return ((at / b / a * r + row) * s + column) * c + k % c;
}

template <class T> __device__ __forceinline__ void block(__nv_bfloat16* to, const T* w, unsigned count, int r, int s, int c, int a, int b, int channels, int shift) {
  FOR_EACH(i, count) {
    int from = unblocked(i, r, s, c, a, b, channels, shift);
    store(to + i, from < 0 ? 0.0f : load(w + from));
  }
}

ONEBIT_KERNEL(256) pixel_blocks_filters(__nv_bfloat16* to, const float* w, unsigned count, int r, int s, int c, int a, int b, int channels, int shift) {
  block(to, w, count, r, s, c, a, b, channels, shift);
}

ONEBIT_KERNEL(256) pixel_blocks_filters_bf16(__nv_bfloat16* to, const __nv_bfloat16* w, unsigned count, int r, int s, int c, int a, int b, int channels,
                                             int shift) {
  block(to, w, count, r, s, c, a, b, channels, shift);
}

/** Exactly one blocked value belongs to each gradient. */
template <class T> __device__ __forceinline__ void unblock(T* gradW, const __nv_bfloat16* from, unsigned count, int r, int s, int c, int a, int b, int channels,
                                                           int shift) {
  FOR_EACH(i, count) {
    int to = unblocked(i, r, s, c, a, b, channels, shift);
    if (to >= 0) store(gradW + to, load(from + i));
  }
}

ONEBIT_KERNEL(256) pixel_blocks_grad_w(float* gradW, const __nv_bfloat16* from, unsigned count, int r, int s, int c, int a, int b, int channels, int shift) {
  unblock(gradW, from, count, r, s, c, a, b, channels, shift);
}

ONEBIT_KERNEL(256) pixel_blocks_grad_w_bf16(__nv_bfloat16* gradW, const __nv_bfloat16* from, unsigned count, int r, int s, int c, int a, int b, int channels,
                                            int shift) {
  unblock(gradW, from, count, r, s, c, a, b, channels, shift);
}
