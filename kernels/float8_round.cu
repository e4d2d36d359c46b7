// float8_round.cu -- the gradient at a binary convolution's result in float8, for the products with bits that follow
//
//   code[i][o] = e4m3(gradY[i][o] fold[o] 2^k)           fold[o] = the distance of filter o, 1 where that is 0
//   centred[i] = sum over o of value(code[i][o]) 2^-k centre[o] / fold[o]
//
//   float8_peak    peaks[block] = the largest |gradY fold| that the block saw, as bits; anything that is not finite is larger
//   float8_round   the codes and centred, k = float8_exponent(the largest of the peaks), and unscale[0] = 2^-k
//
// Shapes     gradY [rows][O] bfloat16; codes [rows][O] bytes; centred [rows] float; peaks [blocks] uint; centre, distance 1 value (each 0) or O (each 1)
// Launch     float8_peak block 256, any grid; float8_round block 256, any grid, `blocks` that of float8_peak
// Limits     rows O < 2^31; needs sm_89: before, the entries do nothing
// Exactness  codes: whole numbers, equal to the twin; centred: float32, in an order that depends on O only
// Twin       src/main/java/onebit/ops/cpu/Float8Gradients.java
// Tests      native-tests/float8_test.cpp, src/test/java/onebit/ops/Float8GradientsTest.java
// Source     Micikevicius et al. 2022 (arXiv 2209.05433), scaling per tensor; here by powers of two and by the tensor's own largest value
// Rungs      1 a pass for the largest value, one for the codes; both bound by memory
#include "element.cuh"
#include "float8.cuh"

/** The bits of |v|, which are in the order of the sizes: NaN is larger than infinity. */
__device__ __forceinline__ uint32_t size_bits(float v) { return __float_as_uint(v) & 0x7fffffff; }

__device__ __forceinline__ uint32_t block_peak(uint32_t peak, uint32_t* shared) {
  for (int d = 16; d > 0; d /= 2) peak = max(peak, __shfl_xor_sync(kFullWarp, peak, d));
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = peak;
  __syncthreads();
  for (unsigned i = 0; i < 8; i++) peak = max(peak, shared[i]);
  return peak;
}

ONEBIT_KERNEL(256) float8_peak_bf16(unsigned* peaks, const __nv_bfloat16* gradY, const float* distance, int each, unsigned n, unsigned filters) {
  __shared__ uint32_t shared[8];
  uint32_t peak = 0;
  if constexpr (float8_products()) {
    for_each_vector<8>(n, filters % 8 == 0 && aligned(gradY), [&](unsigned i, auto width) {
      constexpr unsigned W = decltype(width)::value;
      float v[W];
      load_vector<W>(gradY + i, v);
      unsigned o = i % filters;
#pragma unroll
      for (unsigned k = 0; k < W; k++) peak = max(peak, size_bits(v[k] * float8_fold(distance[(o + k) * unsigned(each)])));
    });
    peak = block_peak(peak, shared);
    if (threadIdx.x == 0) peaks[blockIdx.x] = peak;
  }
}

ONEBIT_KERNEL(256) float8_round_bf16(unsigned char* codes, float* centred, float* unscale, const __nv_bfloat16* gradY, const unsigned* peaks, unsigned blocks,
                                     const float* centre, const float* distance, int each, unsigned rows, unsigned filters) {
  __shared__ uint32_t shared[8];
  if constexpr (float8_products()) {
    uint32_t peak = 0;
    for (unsigned i = threadIdx.x; i < blocks; i += blockDim.x) peak = max(peak, peaks[i]);
    int k = float8_exponent(block_peak(peak, shared));
    float scale = power_of_two(k), back = power_of_two(-k);
    if (blockIdx.x == 0 && threadIdx.x == 0) *unscale = back;
    bool whole = filters % 8 == 0 && aligned(gradY) && aligned(codes);
    unsigned pieces = (filters + 7) / 8, lanes = 1;   // 8 filters a lane, so many lanes a row
    while (lanes < 32 && lanes < pieces) lanes *= 2;
    unsigned lane = threadIdx.x % lanes, perBlock = blockDim.x / lanes;
    for (unsigned first = blockIdx.x * perBlock; first < rows; first += gridDim.x * perBlock) {
      unsigned row = first + threadIdx.x / lanes;
      float sum = 0;
      for (unsigned piece = lane; piece < pieces && row < rows; piece += lanes) {
        unsigned o = piece * 8;
        const __nv_bfloat16* from = gradY + size_t(row) * filters + o;
        unsigned char* to = codes + size_t(row) * filters + o;
        float v[8];
        load_live(from, v, {filters - o, whole});
        uint32_t words[2] = {0, 0};
#pragma unroll
        for (unsigned j = 0; j < 8; j++) {
          unsigned set = o + j < filters ? (o + j) * unsigned(each) : 0;
          float fold = float8_fold(distance[set]);
          uint32_t code = e4m3_bits(v[j] * fold * scale);
          words[j / 4] |= code << (8 * (j % 4));
          sum += e4m3_value(code) * back * (centre[set] / fold);
        }
        if (whole) {
          *reinterpret_cast<uint2*>(to) = make_uint2(words[0], words[1]);
        } else {
#pragma unroll
          for (unsigned j = 0; j < 8; j++) {
            if (o + j < filters) to[j] = (unsigned char)(words[j / 4] >> (8 * (j % 4)));
          }
        }
      }
      for (unsigned d = lanes / 2; d > 0; d /= 2) sum += __shfl_xor_sync(kFullWarp, sum, d);
      if (lane == 0 && row < rows) centred[row] = sum;
    }
  }
}
