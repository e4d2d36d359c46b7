// xnor_conv2d.cu -- convolution of packed activations with packed filters, each with its set of two values
//
//   y = dx dw <bx,bw> + dx cw sum(bx) + cx dw sum(bw) + cx cw V + offset, over the V valid taps of each position
//   <bx,bw> = V - 2 popc(x) - 2 popc(w) + 4 popc(x & w), popc over the valid taps
//
//   xnor_conv2d_filters   filters with every tap on a word of its own, and the ones of all taps above and left of each corner of the window
//   xnor_conv2d_filters_all   the same for the filters of many layers, a warp for each of the count (layer, filter) pairs of blocks
//   xnor_conv2d           mma.sync AND, 64 filters per block          xnor_conv2d_wide   the same, 128 filters per block
//   xnor_conv2d_held      mma.sync AND, windows and channels of xnor_held.cuh
//   xnor_conv2d_planes    likewise of xnor_planes.cuh
//   xnor_conv2d_xor       mma.sync XOR for sm_75                      xnor_conv2d_popc   __popc
//
// Shapes     x N*H*W rows of C bits; w O rows of R*S*C bits, taps O rows of R*S*ceil(C/32) words, ones [R+1][S+1][O]; y N,P,Q,O
//            xCentre, xDistance 1 value; wCentre, wDistance 1 value (each 0) or O values (each 1); sumsX N,P,Q int16, or null
// Encoding   bit 1 = centre + distance, bit 0 = centre - distance; channel k is bit k % 32 of word k / 32; bits past C are 0
//            element of y: 0 float32, 1 bfloat16, both of the formula; 2 int16: <bx,bw> alone, whatever the sets and the offset.
//            sumsX, with any element: sum(bx) over the valid taps of each position; with <bx,bw> it gives y back by the formula above, where
//            sum(bw) = 2 popc(w) - V, V = C (r1 - r0) (s1 - s0), popc(w) = ones[r1][s1] - ones[r0][s1] - ones[r1][s0] + ones[r0][s0]
//            for valid taps of rows r0 to r1 and columns s0 to s1 (ends not included)
// Padding    zeroRule 1: outside taps leave every sum; 0: they are bit 0 of x
// Launch     block 128, grid (any, ceil(O / 64 or 128)), dynamic shared memory of CudaBitOps.room, heldRoom or planesRoom; xnor_conv2d_filters block 256,
//            any grid, one warp per filter; xnor_conv2d_filters_all block 256, grid ceil(count / 8)
// Limits     R*S*C < 2^21, in int16 < 2^15; R, S < 2^15; AND needs sm_80 to sm_90, XOR sm_75: elsewhere these entries do nothing
// Exactness  counts are whole numbers; with centres 0 and distances 1 equal to the twin, else a few float32 operations in its order
// Twin       src/main/java/onebit/ops/cpu/CpuBitOps.java, xnorConv2d
// Tests      native-tests/xnor_conv2d_test.cpp, src/test/java/onebit/ops/BitOpsTest.java
// Source     Rastegari et al. 2016, XNOR-Net, arXiv 1603.05279; Tu et al. 2022, AdaBin, arXiv 2208.08084
// Rungs      native-tests/ladder/xnor_conv2d.cu: 1 naive, 2 shared tile, 3 mma.sync AND, 4 x copied once, filters in registers, or in shared memory beside x in planes
#include "xnor_planes.cuh"

/** The ones of bits [from, to) of a row. */
__device__ __forceinline__ int ones_between(const unsigned* row, unsigned from, unsigned to) {
  int count = 0;
#pragma unroll 4
  for (unsigned word = from / 32; word * 32 < to; word++) {
    unsigned bits = row[word];
    if (word * 32 < from) bits &= ~0u << from % 32;
    if (word * 32 + 32 > to) bits &= (1u << to % 32) - 1;
    count += __popc(bits);
  }
  return count;
}

/** One filter laid out by the lanes of a warp. */
__device__ __forceinline__ void lay_out(unsigned* taps, int* ones, const unsigned* w, unsigned filter, unsigned filters, unsigned r, unsigned s, unsigned channels,
                                        unsigned lane) {
  unsigned tapCount = r * s, tapWords = (channels + 31) / 32;
  const unsigned* row = w + size_t(filter) * ((tapCount * channels + 31) / 32);
  unsigned* own = taps + size_t(filter) * tapCount * tapWords;
  for (unsigned i = lane; i < tapCount * tapWords; i += 32) {
    unsigned k = i % tapWords, bit = i / tapWords * channels + 32 * k, count = min(32u, channels - 32 * k), shift = bit % 32;
    unsigned word = row[bit / 32] >> shift;
    if (shift + count > 32) word |= row[bit / 32 + 1] << (32 - shift);
    if (count < 32) word &= (1u << count) - 1;
    own[i] = word;
  }
  unsigned corners = (r + 1) * (s + 1);
  if (tapCount <= 32) {   // each lane counts a tap
    int counted = lane < tapCount ? ones_between(row, lane * channels, (lane + 1) * channels) : 0;
    for (unsigned corner = lane; corner - lane < corners; corner += 32) {
      unsigned rows = corner / (s + 1), columns = corner % (s + 1);
      int sum = 0;
      for (unsigned tap = 0; tap < tapCount; tap++) {
        int count = __shfl_sync(kFullWarp, counted, int(tap));
        if (tap / s < rows && tap % s < columns) sum += count;
      }
      if (corner < corners) ones[size_t(corner) * filters + filter] = sum;
    }
  } else {
    for (unsigned corner = lane; corner < corners; corner += 32) {
      unsigned rows = corner / (s + 1), columns = corner % (s + 1);
      int sum = 0;
      for (unsigned i = 0; i < rows; i++) sum += ones_between(row, i * s * channels, (i * s + columns) * channels);
      ones[size_t(corner) * filters + filter] = sum;
    }
  }
}

ONEBIT_KERNEL(256) xnor_conv2d_filters(unsigned* taps, int* ones, const unsigned* w, unsigned filters, unsigned r, unsigned s, unsigned channels) {
  for (unsigned filter = (blockIdx.x * 256 + threadIdx.x) / 32; filter < filters; filter += gridDim.x * 8) {
    lay_out(taps, ones, w, filter, filters, r, s, channels, threadIdx.x % 32);
  }
}

/** The filters of one layer. Layout as written by src/main/java/onebit/ops/cuda/FilterLayouts.java. */
struct FilterLayout {
  unsigned* taps;
  int* ones;
  const unsigned* w;
  unsigned filters, r, s, channels;
};

ONEBIT_KERNEL(256) xnor_conv2d_filters_all(const FilterLayout* table, const uint2* blocks, unsigned count) {
  unsigned at = blockIdx.x * 8 + threadIdx.x / 32;
  if (at >= count) return;
  const FilterLayout& t = table[blocks[at].x];
  lay_out(t.taps, t.ones, t.w, blocks[at].y, t.filters, t.r, t.s, t.channels, threadIdx.x % 32);
}

extern __shared__ __align__(16) unsigned xnor_conv2d_room[];

#define XNOR_CONV2D(NAME, PRODUCT, COLUMNS, BLOCKS, TILES)                                                                                             \
  extern "C" __global__ void __launch_bounds__(128, BLOCKS)                                                                                          \
      NAME(void* y, short* sumsX, const unsigned* x, const unsigned* taps, const int* ones, const float* xCentre, const float* xDistance,            \
           const float* wCentre, const float* wDistance, int each, int n, int h, int w, int c, int o, int r, int s, int stride, int pad,             \
           int dilation, int p, int q, int zeroRule, int element, float offset) {                                                                    \
    if constexpr (xnor_has<PRODUCT>()) {                                                                                                             \
      const Conv g{n, h, w, c, o, r, s, stride, pad, dilation, p, q, zeroRule, element};                                                             \
      const Operands operands{x, taps, ones, xCentre, xDistance, wCentre, wDistance, each, offset};                                                  \
      TILES<PRODUCT, COLUMNS> tiles(xnor_conv2d_room, operands, g);                                                                                            \
      bool together = o % 8 == 0 && aligned(y);                                                                                                      \
      tiles.template each<true>(blockIdx.x, gridDim.x, together,                                                                                     \
                                [&](unsigned k, unsigned first, unsigned part, const float(&out)[8], int sumX, bool there, auto whole) {             \
        if (!there) return;                                                                                                                          \
        unsigned pixel = first + 16 * k, column = blockIdx.y * COLUMNS + xnor_column<PRODUCT, COLUMNS>(part);                                        \
        store_eight<decltype(whole)::value>(y, element, size_t(pixel) * unsigned(o) + column, unsigned(o) - column, out);                            \
        if (sumsX && column == 0) sumsX[pixel] = short(sumX);                                                                                        \
      }, [](unsigned) {});                                                                                                                           \
    }                                                                                                                                                \
  }
XNOR_CONV2D(xnor_conv2d, XnorAnd, 64, 3, ConvTiles)
XNOR_CONV2D(xnor_conv2d_held, XnorAnd, 64, 4, HeldTiles)
XNOR_CONV2D(xnor_conv2d_planes, XnorAnd, 64, 4, PlaneTiles)
XNOR_CONV2D(xnor_conv2d_wide, XnorAnd, 128, 2, ConvTiles)
XNOR_CONV2D(xnor_conv2d_xor, XnorXor, 64, 2, ConvTiles)
XNOR_CONV2D(xnor_conv2d_popc, XnorPopc, 64, 2, ConvTiles)
