// pixel_blocks.cuh -- what a convolution over blocks of 2x2 pixels and the gradient of its filters share; pixel_blocks.cu says what blocks are
//
//   BlockRing            rows of blocks in shared memory, as lines of 128 bytes: 4 blocks of 16 channels, of which those past the blocks' own are 0
//   BlockRing::address   where 8 channels of a block are, as ldmatrix wants it
//   BlockWalk, BlockChunk   a split of the rows of y, chunk by chunk; what a chunk has in common with the one before stays in the ring
//   StoredBlocks, PixelBytes   where blocks come from: memory, or the bytes that their values are made of as normalize.cu makes them
//   walk_chunks          multiplies the chunks of a split, with the rows of the next on their way
//   BlockFilters::place  where a value of the filters is among the blocked ones
//
// Shapes     rows of V blocks of 8 or 16 channels, bfloat16; a row takes ceil(Q / 4) + 1 lines, with Q = V - B + 1 positions of B taps, B <= 4;
//            pixels N,H,W,C bytes; statistics C means, then C deviations
// Encoding   chunk c of 16 bytes of line l lies at c ^ (l % 8), so that the same chunk of 8 neighbouring lines lies in other banks
#pragma once
#include "bit_values.cuh"

constexpr unsigned kLineBlocks = 4, kLineBytes = 128;

struct BlockShape {
  int n, p, q, o, a, b, channels, rows;
};

/** Rows of y of one image, from `row` on; the rows of blocks that the chunk before has not; which slot of the ring its first row of blocks has. */
struct BlockChunk {
  unsigned image, row, live, fresh, freshRows, base;
};

struct BlockWalk {
  unsigned p, rows, more, slots;   // rows of y of an image and of a chunk; rows of blocks of a chunk beyond; slots of the ring

  __device__ __forceinline__ explicit BlockWalk(const BlockShape& g)
      : p(unsigned(g.p)), rows(unsigned(g.rows)), more(unsigned(g.a - 1)), slots(2 * unsigned(g.rows + g.a - 1)) {}

  __device__ __forceinline__ unsigned perImage() const { return (p + rows - 1) / rows; }

  __device__ __forceinline__ BlockChunk first(unsigned chunk) const {
    unsigned row = chunk % perImage() * rows, live = min(rows, p - row);
    return {chunk / perImage(), row, live, row, live + more, 0};
  }

  __device__ __forceinline__ BlockChunk next(const BlockChunk& at) const {
    bool turn = at.row + rows >= p;
    unsigned row = turn ? 0 : at.row + rows, live = min(rows, p - row), base = at.base + rows + (turn ? more : 0);
    return {at.image + (turn ? 1 : 0), row, live, turn ? 0 : row + more, live + (turn ? more : 0), base >= slots ? base - slots : base};
  }
};

struct BlockRing {
  unsigned char* room;
  unsigned v, lines, slots;   // blocks of a row, its lines; rows

  __device__ __forceinline__ BlockRing(unsigned char* room, const BlockShape& g)
      : room(room), v(unsigned(g.q + g.b - 1)), lines(unsigned(g.q + 3) / kLineBlocks + 1), slots(2 * unsigned(g.rows + g.a - 1)) {}

  __device__ __forceinline__ unsigned bytes() const { return slots * lines * kLineBytes; }

  /** The first line of the row that lies so many behind the first of a chunk. */
  __device__ __forceinline__ unsigned line(const BlockChunk& at, unsigned row) const {
    unsigned slot = at.base + row;
    return (slot >= slots ? slot - slots : slot) * lines;
  }

  /** A half of the block that lies `along` blocks behind the first of a line. */
  static __device__ __forceinline__ unsigned address(unsigned line, unsigned along, unsigned half) {
    line += along / kLineBlocks;
    return line * kLineBytes + ((along % kLineBlocks * 2 + half) ^ line % 8) * 16;
  }
};

__device__ __forceinline__ void zero_room(unsigned char* room, unsigned bytes) {
  for (unsigned i = threadIdx.x; i < bytes / 16; i += blockDim.x) reinterpret_cast<uint4*>(room)[i] = make_uint4(0, 0, 0, 0);
}

/** Blocks that pixel_blocks stored. */
struct StoredBlocks {
  static constexpr bool kMakes = false;
  const __nv_bfloat16* x;
  unsigned u, halves;   // rows of an image, chunks of 8 channels of a block

  __device__ __forceinline__ unsigned bytes() const { return 0; }

  __device__ __forceinline__ void prepare(unsigned char*, unsigned) {}

  __device__ __forceinline__ void begin(const BlockRing& ring, const BlockChunk& at, unsigned) const {
    Divisor overRow(ring.v * halves);
    const __nv_bfloat16* from = x + size_t(at.image * u + at.fresh) * ring.v * halves * 8;
    for (unsigned i = threadIdx.x; i < at.freshRows * ring.v * halves; i += blockDim.x) {
      unsigned chunk, row = overRow.divide(i, chunk);
      cp_async_16(ring.room + BlockRing::address(ring.line(at, at.fresh - at.row + row), chunk / halves, chunk % halves), from + size_t(i) * 8);
    }
  }

  __device__ __forceinline__ void make(const BlockRing&, const BlockChunk&, unsigned) const {}
};

/** Blocks of the values that bytes make: a table has those of all 256 bytes of each channel. */
struct PixelBytes {
  static constexpr bool kMakes = true;
  const unsigned char* pixels;
  const float* statistics;
  int n, h, w, c, even;
  unsigned char* raw;   // two stages of bytes, then the table
  unsigned stage;

  /** Bytes of a stage: rows of pixels under so many rows of blocks, and what lies before the first of them in its 16 bytes. */
  __device__ __forceinline__ unsigned stageBytes(unsigned rows) const { return (2 * rows * unsigned(w * c) + 15) / 16 * 16 + 16; }

  /** Of shared memory, once prepared. */
  __device__ __forceinline__ unsigned bytes() const { return 2 * stage + unsigned(c) * 512; }

  __device__ __forceinline__ uint16_t* table() const { return reinterpret_cast<uint16_t*>(raw + 2 * stage); }

  __device__ __forceinline__ void prepare(unsigned char* room, unsigned rows) {
    raw = room;
    stage = stageBytes(rows);
    for (unsigned i = threadIdx.x; i < unsigned(c) * 256; i += blockDim.x) {
      float value = (float(i % 256) / 255.0f - statistics[i / 256]) / statistics[unsigned(c) + i / 256];
      store(reinterpret_cast<__nv_bfloat16*>(table()) + i, value);
    }
  }

  /** The first row of pixels under the fresh rows of a chunk. */
  __device__ __forceinline__ int low(const BlockChunk& at) const { return max(0, 2 * int(at.fresh) - even); }

  __device__ __forceinline__ const unsigned char* source(const BlockChunk& at) const {
    return pixels + size_t(at.image * unsigned(h) + unsigned(low(at))) * unsigned(w * c);
  }

  /** How far the bytes lie behind a multiple of 16, in memory and in a stage. */
  __device__ __forceinline__ unsigned skew(const BlockChunk& at) const { return unsigned(reinterpret_cast<uintptr_t>(source(at)) % 16); }

  __device__ __forceinline__ void begin(const BlockRing&, const BlockChunk& at, unsigned slot) const {
    int high = min(h, 2 * int(at.fresh + at.freshRows) - even), from = low(at);
    if (high <= from) return;
    unsigned before = skew(at), bytes = unsigned((high - from) * w * c) + before;
    const unsigned char* first = source(at) - before;
    unsigned char* to = raw + slot * stage;
    if (aligned(pixels)) {
      size_t left = size_t(unsigned(n * h)) * unsigned(w * c) - size_t(first - pixels);   // of all images: what lies behind the rows is read with them
      for (unsigned i = threadIdx.x * 16; i < bytes; i += blockDim.x * 16) {
        if (i + 16 <= left) cp_async_16(to + i, first + i);
        else for (unsigned k = i; k < bytes; k++) to[k] = first[k];
      }
    } else {
      for (unsigned i = threadIdx.x + before; i < bytes; i += blockDim.x) to[i] = first[i];
    }
  }

  template <int C> __device__ __forceinline__ void make_of(const BlockRing& ring, const BlockChunk& at, unsigned slot) const {
    const unsigned char* from = raw + slot * stage + skew(at);
    const uint16_t* values = table();
    int first = low(at);
    Divisor overRow(ring.v);
    for (unsigned i = threadIdx.x; i < at.freshRows * ring.v; i += blockDim.x) {
      unsigned along, row = overRow.divide(i, along);
      int y = 2 * int(at.fresh + row) - even, z = 2 * int(along) - even, place = ((y - first) * w + z) * C;
      unsigned words[8] = {};
#pragma unroll
      for (int pixel = 0; pixel < 4; pixel++) {
        if (unsigned(y + pixel / 2) >= unsigned(h) || unsigned(z + pixel % 2) >= unsigned(w)) continue;
#pragma unroll
        for (int k = pixel * C; k < pixel * C + C; k++) {
          words[k / 2] |= unsigned(values[k % C * 256 + from[place + (pixel / 2 * w + pixel % 2) * C + k % C]]) << (k % 2 * 16);
        }
      }
      unsigned line = ring.line(at, at.fresh - at.row + row);
      *reinterpret_cast<uint4*>(ring.room + BlockRing::address(line, along, 0)) = make_uint4(words[0], words[1], words[2], words[3]);
      if (C > 2) *reinterpret_cast<uint4*>(ring.room + BlockRing::address(line, along, 1)) = make_uint4(words[4], words[5], words[6], words[7]);
    }
  }

  __device__ __forceinline__ void make(const BlockRing& ring, const BlockChunk& at, unsigned slot) const {
    if (c == 3) make_of<3>(ring, at, slot);
    else if (c == 1) make_of<1>(ring, at, slot);
    else if (c == 2) make_of<2>(ring, at, slot);
    else make_of<4>(ring, at, slot);
  }
};

/**
 * multiply(chunk, stage) of the chunks from `first` to `end`; begin(chunk, stage) copies what else it needs. Where blocks are made, the warps that are
 * early make those of the next chunk before they multiply, the others after it, so that the tensor cores need not wait for all.
 */
template <class Source, class Begin, class Multiply>
__device__ __forceinline__ void walk_chunks(const Source& source, const BlockRing& ring, const BlockWalk& walk, unsigned first, unsigned end, bool early, Begin begin,
                                            Multiply multiply) {
  if (first >= end) return;
  BlockChunk now = walk.first(first);
  source.begin(ring, now, 0);
  begin(now, 0);
  cp_async_commit();
  if constexpr (Source::kMakes) {
    cp_async_wait<0>();
    __syncthreads();
    if (first + 1 < end) source.begin(ring, walk.next(now), 1);
    cp_async_commit();
    source.make(ring, now, 0);
  }
  unsigned stage = 0;
  for (unsigned chunk = first; chunk < end; chunk++) {
    BlockChunk next = walk.next(now);
    bool more = chunk + 1 < end;
    cp_async_wait<0>();
    __syncthreads();
    if (more) begin(next, 1 - stage);
    if (Source::kMakes ? chunk + 2 < end : more) source.begin(ring, Source::kMakes ? walk.next(next) : next, stage);
    cp_async_commit();
    if (Source::kMakes && early && more) source.make(ring, next, 1 - stage);
    multiply(now, stage);
    if (Source::kMakes && !early && more) source.make(ring, next, 1 - stage);
    now = next;
    stage = 1 - stage;
  }
  cp_async_wait<0>();
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
