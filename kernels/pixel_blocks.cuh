// pixel_blocks.cuh -- what a convolution over blocks of 2x2 pixels and the gradient of its filters share; pixel_blocks.cu says what blocks are
//
//   BlockRows            rows of blocks in shared memory, as lines of 128 bytes: 4 blocks of 16 channels, of which those past the blocks' own are 0
//   BlockRows::copy      begins the copies of rows
//   BlockRows::address   where 8 channels of a block are, as ldmatrix wants it
//   zero_room            zeros in shared memory
//   BlockFilters::place  where a value of the filters is among the blocked ones
//
// Shapes     rows of V blocks of 8 or 16 channels, bfloat16; a row takes ceil(Q / 4) + 1 lines, with Q = V - B + 1 positions of B taps, B <= 4
// Encoding   chunk c of 16 bytes of line l lies at c ^ (l % 8), so that the same chunk of 8 neighbouring lines lies in other banks
#pragma once
#include "bit_values.cuh"

constexpr unsigned kLineBlocks = 4, kLineBytes = 128;

struct BlockShape {
  int n, p, q, o, a, b, channels;
};

struct BlockRows {
  unsigned v, lines, halves;   // blocks of a row, its lines, chunks of 8 channels of a block

  __device__ __forceinline__ explicit BlockRows(const BlockShape& g)
      : v(unsigned(g.q + g.b - 1)), lines(unsigned(g.q + 3) / kLineBlocks + 1), halves(unsigned(g.channels) / 8) {}

  /** A half of the block that lies `along` blocks behind the first of a line. */
  static __device__ __forceinline__ unsigned address(unsigned line, unsigned along, unsigned half) {
    line += along / kLineBlocks;
    return line * kLineBytes + ((along % kLineBlocks * 2 + half) ^ line % 8) * 16;
  }

  /** The rows lie side by side in memory. */
  __device__ __forceinline__ void copy(unsigned char* to, const __nv_bfloat16* from, unsigned rows) const {
    Divisor overRow(v * halves);
    for (unsigned i = threadIdx.x; i < rows * v * halves; i += blockDim.x) {
      unsigned chunk, row = overRow.divide(i, chunk);
      cp_async_16(to + address(row * lines, chunk / halves, chunk % halves), from + size_t(i) * 8);
    }
  }
};

__device__ __forceinline__ void zero_room(unsigned char* room, unsigned bytes) {
  for (unsigned i = threadIdx.x; i < bytes / 16; i += blockDim.x) reinterpret_cast<uint4*>(room)[i] = make_uint4(0, 0, 0, 0);
}

/** A value of the blocked filters: of which filter, down and along which tap, which channel. */
struct BlockPlace {
  unsigned filter, down, along, k;
};

/** Filters of R by S taps over C channels; shift is even - pad. */
struct BlockFilters {
  unsigned c, shift;
  Divisor overChannels, overColumns, overRows;

  __device__ __forceinline__ BlockFilters(int r, int s, int c, int shift)
      : c(unsigned(c)), shift(unsigned(shift)), overChannels(unsigned(c)), overColumns(unsigned(s)), overRows(unsigned(r)) {}

  /** Of value i of the filters. */
  __device__ __forceinline__ BlockPlace place(unsigned i) const {
    unsigned channel, column, row, filter = overRows.divide(overColumns.divide(overChannels.divide(i, channel), column), row);
    row += shift, column += shift;
    return {filter, row / 2, column / 2, (row % 2 * 2 + column % 2) * c + channel};
  }
};
