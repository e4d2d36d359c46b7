// pack.cu -- signs of values as packed bits
//
//   pack            bit = [x >= threshold]                              one threshold for all
//   pack_rows       bit = [x >= thresholds[row / rowsEach * step]]      a threshold per filter or per sample
//   pack_level      bit = [level(x) >= 0]
//   pack_learned    bit = [(x - beta) / alpha >= 0]; centre = alpha beta (code form) or beta, distance = alpha
//
// Shapes     x rows of `bits` values; words [rows][ceil(bits / 32)]; alpha, beta, centre, distance 1 value
// Encoding   bit 1 = +1, bit 0 = -1; value k of a row is bit k % 32 of word k / 32; bits past the row are 0
//            x is float, or bfloat16 in the entries named _bf16; the rest is float
// Launch     block 256, any grid
// Limits     rows * bits < 2^31
// Exactness  comparisons: equal to the twin; 0 and -0 give 1 at threshold 0, NaN gives 0
// Twin       src/main/java/onebit/ops/cpu/CpuBitOps.java, pack; CpuBinarizeOps.java, sign, learnedSet, sampleStandard, centreDistance
// Tests      native-tests/pack_test.cpp, src/test/java/onebit/ops/BitOpsTest.java, src/test/java/onebit/ops/BinarizeActivationsTest.java
// Source     Rastegari et al. 2016, XNOR-Net, arXiv 1603.05279
// Rungs      1 a warp per word, by ballot, 2 a byte per thread
#ifndef ELEMENT
#include "element.cuh"
#include "slope.cuh"

/**
 * Every word of every row: the bits of test(value, row). Where rows are whole bytes a thread makes one byte of eight neighbours; else a
 * warp makes a word of 32, by ballot.
 */
template <class T, class Test> __device__ __forceinline__ void pack_words(unsigned* words, const T* x, unsigned rows, unsigned bits, Test test) {
  unsigned perRow = (bits + 31) / 32;
  if (bits % 8 == 0 && aligned(x)) {
    unsigned char* bytes = reinterpret_cast<unsigned char*>(words);
    FOR_EACH(i, rows * perRow * 4) {
      unsigned row = i / (perRow * 4), k = i % (perRow * 4) * 8, packed = 0;
      if (k < bits) {
        float v[8];
        load_vector(x + row * bits + k, v);
#pragma unroll
        for (unsigned j = 0; j < 8; j++) packed |= unsigned(test(v[j], row)) << j;
      }
      bytes[i] = static_cast<unsigned char>(packed);
    }
    return;
  }
  unsigned lane = threadIdx.x % 32;
  for (unsigned word = (blockIdx.x * blockDim.x + threadIdx.x) / 32; word < rows * perRow; word += gridDim.x * blockDim.x / 32) {
    unsigned row = word / perRow, k = word % perRow * 32 + lane;
    unsigned packed = __ballot_sync(kFullWarp, k < bits && test(load(x + row * bits + k), row));
    if (lane == 0) words[word] = packed;
  }
}

#define ELEMENT_FILE "pack.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(pack)(unsigned* words, const ELEMENT* x, float threshold, unsigned rows, unsigned bits) {
  pack_words(words, x, rows, bits, [=](float v, unsigned) { return v >= threshold; });
}

ONEBIT_KERNEL(256) ENTRY(pack_rows)(unsigned* words, const ELEMENT* x, const float* thresholds, unsigned rowsEach, unsigned step,
                                    unsigned rows, unsigned bits) {
  pack_words(words, x, rows, bits, [=](float v, unsigned row) { return v >= thresholds[row / rowsEach * step]; });
}

ONEBIT_KERNEL(256) ENTRY(pack_level)(unsigned* words, const ELEMENT* x, int kind, float a, float b, unsigned rows, unsigned bits) {
  Slope f{kind, a, b};
  pack_words(words, x, rows, bits, [=](float v, unsigned) { return f.level(v) >= 0; });
}

ONEBIT_KERNEL(256) ENTRY(pack_learned)(unsigned* words, float* centre, float* distance, const ELEMENT* x, const float* alpha,
                                       const float* beta, int codeForm, unsigned rows, unsigned bits) {
  float a = alpha[0], b = beta[0];
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    centre[0] = codeForm ? a * b : b;
    distance[0] = a;
  }
  pack_words(words, x, rows, bits, [=](float v, unsigned) { return a > 0 ? v >= b : (v - b) / a >= 0; });
}
#endif
