// augment.cu -- images cropped from a border of black, flipped, and scaled as the network wants them
//
//   y[n][h][w][c] = (pixel / 255 - mean[c]) / deviation[c], pixel = pixels[n][top[n] + h][left[n] + (flip[n] ? W - 1 - w : w)][c], 0 outside
//
// Shapes     pixels N,Hin,Win,C bytes; y N,H,W,C; choices [N][3] whole numbers: top, left (negative: into the border), flip; statistics C means,
//            then C deviations
//            y is float, or bfloat16 in augment_bf16; statistics is float
// Launch     block 256, any grid
// Limits     N H W C < 2^31
// Exactness  three rounded operations in the order of normalize.cu; bfloat16 rounds once more
// Twin       src/main/java/onebit/ops/cpu/CpuPointOps.java, augment
// Tests      native-tests/augment_test.cpp, src/test/java/onebit/ops/PointOpsTest.java
// Source     He et al. 2016, arXiv 1512.03385, section 4.2: pad, crop, mirror
// Rungs      1 a thread per value
#ifndef ELEMENT
#include "element.cuh"
#define ELEMENT_FILE "augment.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(augment)(ELEMENT* y, const unsigned char* pixels, const int* choices, const float* statistics, unsigned n, int height, int width,
                                  int channels, int fromHeight, int fromWidth) {
  FOR_EACH(i, n) {
    int c = int(i % unsigned(channels)), w = int(i / unsigned(channels) % unsigned(width));
    int h = int(i / unsigned(channels) / unsigned(width) % unsigned(height)), image = int(i / unsigned(channels) / unsigned(width) / unsigned(height));
    const int* choice = choices + 3 * image;
    int down = choice[0] + h, along = choice[1] + (choice[2] ? width - 1 - w : w);
    bool inside = down >= 0 && down < fromHeight && along >= 0 && along < fromWidth;
    float pixel = inside ? float(pixels[(size_t(image * fromHeight + down) * unsigned(fromWidth) + unsigned(along)) * unsigned(channels) + unsigned(c)]) : 0.0f;
    store(y + i, (pixel / 255.0f - statistics[c]) / statistics[channels + c]);
  }
}
#endif
