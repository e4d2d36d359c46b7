// xnor_held.cuh -- tiles of a binary convolution as xnor_conv.cuh gives them, for windows of 3 x 3: x copied once; of 33 to 64 channels filters in registers
//
// Shapes     as xnor_conv2d.cu with R = S = 3 and ceil(C / 32) = 2 (more words: xnor_planes.cuh); pad <= dilation, so that each side has at most two kinds of border
// Launch     block 128: two by two warps, each 64 positions by 32 filters; blockIdx.y counts groups of 64; dynamic shared memory of CudaBitOps.heldRoom
// Image      pixels in a row as they lie in x, each line of W with pad zeros before it and each image of H with pad such lines before it: what lies outside on the
//            right is what the next line begins with. So a tap is a fixed number of pixels away, whatever the position, and what the 128 positions of a
//            tile read is one run of pixels, copied by cp.async a tile ahead into one of two rooms
// Products   lane t of four has the words of tap t, then of tap 4 + t; of the last tap lanes 0 and 1 have a word each. Filters lie alike
// Pipeline   one barrier a tile: behind it the tile's places and pixels and the next one's ends are there, and nobody reads any more what is written over
// Limits     N (H + pad) (W + pad) < 2^29
// Results    as xnor_tile.cuh, 16 positions of a warp at a time, so that few counts are in registers
// Exactness  as xnor_conv.cuh: the same bits
#pragma once
#include "xnor_conv.cuh"

/** The most pixels that the positions of a tile read, as in CudaBitOps.heldPixels. */
__device__ __forceinline__ unsigned held_pixels(const Conv& g) {
  unsigned across = unsigned(g.w + g.pad), lines = (kTileRows - 1) / unsigned(g.q) + 1, images = lines / unsigned(g.p) + 1;
  unsigned between = unsigned(g.stride) * (across - unsigned(g.q)), below = unsigned(max(0, g.h + g.pad - g.p * g.stride)) * across;
  return (kTileRows - 1) * unsigned(g.stride) + lines * between + images * below + 2 * unsigned(g.dilation) * (across + 1) + 1;
}

/** What all tiles with an image of x have alike, by AND on the tensor cores; a pixel of the image is BYTES behind the one before. */
template <class PRODUCT, unsigned COLUMNS, unsigned BYTES> class ImageTiles : protected ConvTable<PRODUCT, COLUMNS> {
  static_assert(PRODUCT::kTensor && !PRODUCT::kXor && COLUMNS == 64, "AND of 64 filters a block");
  using Table = ConvTable<PRODUCT, COLUMNS>;

 protected:
  using Table::a, Table::g, Table::over, Table::pixels, Table::column0;
  using Line = typename Table::Line;

  struct Place {
    unsigned border, at;   // as ConvTable.border; the first byte of its first tap in the tile's room
  };

  /** What a thread has of a tile: its rows are from + 16 k for k below have. */
  struct Own {
    unsigned row, from, have, column;
  };

  Place* places;     // of this tile, and of the next
  unsigned* ends;    // the first tap's pixel of the first position and of the last, of the next tile and of the one after it
  unsigned* beside;  // the room that is left
  unsigned across;   // pixels of a line

  __device__ __forceinline__ ImageTiles(unsigned* room, const Operands& a, const Conv& g)
      : Table(room, a, g), places(reinterpret_cast<Place*>(this->behind)), ends(this->behind + 4 * kTileRows), beside(ends + 4), across(unsigned(g.w + g.pad)) {}

  /** The tiles of a block: copy(first, end, slot) begins the copies of a run of pixels, give(tile, slot, whole) hands a tile over whose pixels are there. */
  template <class Copy, class Give, class Done>
  __device__ __forceinline__ void run(unsigned first, unsigned step, bool takesWhole, Copy copy, Give give, Done done) {
    unsigned now = first, slot = 0;
    find_ends(now, 0);
    find_ends(now + step, 1);
    __syncthreads();
    ask(now, slot, copy);
    for (;;) {
      cp_async_wait<0>();
      __syncthreads();
      unsigned next = now + step;
      bool more = next * kTileRows < unsigned(pixels);
      if (more) ask(next, slot ^ 1, copy), find_ends(next + step, slot);
      if (takesWhole && g.o % 8 == 0 && (now + 1) * kTileRows <= unsigned(pixels)) give(now, slot, Whole<true>());
      else give(now, slot, Whole<false>());
      done(now);
      if (!more) return;
      now = next, slot ^= 1;
    }
  }

  /** Whether a pixel of the image's row lies in x, and where. */
  __device__ __forceinline__ bool source(unsigned pixel, unsigned& index) const {
    unsigned left, top, line = over[4].divide(pixel, left), of = over[5].divide(line, top);
    index = (of * unsigned(g.h) + top - unsigned(g.pad)) * unsigned(g.w) + left - unsigned(g.pad);
    return left >= unsigned(g.pad) && top >= unsigned(g.pad);
  }

  __device__ __forceinline__ Own own(unsigned tile) const {
    const unsigned row = xnor_row<PRODUCT>(), column = xnor_column<PRODUCT, COLUMNS>(0), from = tile * kTileRows + row;
    return {row, from, column0 + int(column) < g.o && from < unsigned(pixels) ? (unsigned(pixels) - from + 15) / 16 : 0u, column};
  }

  /** The values of row k of a thread, the upper or the lower of a product's. */
  template <bool WHOLE, class Take>
  __device__ __forceinline__ void hand_over(const Own& own, Line& line, unsigned k, unsigned half, unsigned border, const int32_t (&counts)[4][4], const int32_t (&ones)[4],
                                            Take take) const {
    if (border != line.held) {
      line.held = border;
      this->read(line, border % kBorders, own.column);
    }
    float out[8];
    int sumX = this->values(line, border, ones[2 * half], [&](unsigned j) { return counts[j / 2][2 * half + j % 2]; }, out);
    take(k, own.from, 0u, out, sumX, WHOLE ? own.have != 0 : k < own.have, Whole<WHOLE>());
  }

 private:
  /** The first tap of position i, or of the last: its pixel, its row and column in x. */
  __device__ __forceinline__ unsigned first_tap(unsigned i, int& top, int& left) const {
    int row, column, of = this->position(min(i, unsigned(pixels - 1)), row, column);
    top = row * g.stride - g.pad, left = column * g.stride - g.pad;
    return unsigned(of * (g.h + g.pad) + row * g.stride) * across + unsigned(column * g.stride);
  }

  /** Finds where the pixels of a tile begin and end; a warp does it for all. */
  __device__ __forceinline__ void find_ends(unsigned tile, unsigned slot) {
    if (threadIdx.x >= 2) return;
    int top, left;
    ends[2 * slot + threadIdx.x] = first_tap(tile * kTileRows + threadIdx.x * (kTileRows - 1), top, left);
  }

  /** Finds the places of a tile's positions, one by each thread, and begins the copies of what they read; its ends are known. */
  template <class Copy> __device__ __forceinline__ void ask(unsigned tile, unsigned slot, Copy copy) {
    const int reach = 2 * g.dilation;
    const unsigned first = ends[2 * slot], end = ends[2 * slot + 1] + unsigned(reach) * (across + 1) + 1;
    int top, left;
    const unsigned own = first_tap(tile * kTileRows + threadIdx.x, top, left);
    // the taps in the middle are always inside
    places[slot * kTileRows + threadIdx.x] = {this->border(top < 0, 3 - (top + reach >= g.h), left < 0, 3 - (left + reach >= g.w)), BYTES * (own - first)};
    copy(first, end, slot);
    cp_async_commit();
  }
};

/** The tiles of a block over pixels of two words. */
template <class PRODUCT, unsigned COLUMNS> class HeldTiles : ImageTiles<PRODUCT, COLUMNS, 8> {
  using Image = ImageTiles<PRODUCT, COLUMNS, 8>;
  using Image::a, Image::g, Image::pixels, Image::column0, Image::places, Image::across;
  using Line = typename Image::Line;
  using Place = typename Image::Place;

  unsigned* image;   // of this tile, and of the next
  unsigned most;     // words of the pixels of one
  uint32_t filters[4][5];   // of column n the words of three products

 public:
  __device__ __forceinline__ HeldTiles(unsigned* room, const Operands& a, const Conv& g) : Image(room, a, g), image(this->beside), most(2 * held_pixels(g)) {
    // columns 2 t and 2 t + 1 of the n-th product are 8 t + 2 n and the next, as in XnorTile
    unsigned lane = threadIdx.x % 32, of = threadIdx.x / 32 % 2 * 32 + lane / 8 * 8 + lane / 4 % 2;
#pragma unroll
    for (unsigned n = 0; n < 4; n++) {
      int column = column0 + int(of + 2 * n);
      const uint2* from = reinterpret_cast<const uint2*>(a.taps) + (column < g.o ? unsigned(column) * 9 : 0u) + lane % 4;
      const uint2 none = make_uint2(0u, 0u), first = column < g.o ? from[0] : none, second = column < g.o ? from[4] : none;
      filters[n][0] = first.x, filters[n][1] = first.y, filters[n][2] = second.x, filters[n][3] = second.y;
      filters[n][4] = column < g.o && lane % 4 < 2 ? a.taps[unsigned(column) * 18 + 16 + lane % 4] : 0u;
    }
  }

  /** As ConvTiles.each with AHEAD. */
  template <bool AHEAD, class Take, class Done> __device__ __forceinline__ void each(unsigned first, unsigned step, bool takesWhole, Take take, Done done) {
    static_assert(AHEAD, "the next tile is always copied before values are taken");
    if (first * kTileRows >= unsigned(pixels)) return;
    Line line;
    this->begin(line, xnor_column<PRODUCT, COLUMNS>(0));
    this->run(first, step, takesWhole, [&](unsigned from, unsigned end, unsigned slot) {
      unsigned* to = image + slot * most;
      for (unsigned i = threadIdx.x; from + i < end; i += kTileRows) {
        unsigned index;
        bool real = this->source(from + i, index);
        cp_async<8>(to + 2 * i, a.x + (real ? 2 * index : 0), real ? 8 : 0);
      }
    }, [&](unsigned tile, unsigned slot, auto whole) { give<decltype(whole)::value>(tile, slot, line, take); }, done);
  }

 private:
  /** The values of a tile whose pixels are there. */
  template <bool WHOLE, class Take> __device__ __forceinline__ void give(unsigned tile, unsigned slot, Line& line, Take take) {
    const auto own = this->own(tile);
    const unsigned lane = threadIdx.x % 4;
    const char* from = reinterpret_cast<const char*>(image + slot * most);
    auto tap = [&](unsigned i) { return from + 8 * unsigned(g.dilation) * (i / 3 * across + i % 3); };
    const char *first = tap(lane), *second = tap(4 + lane), *last = tap(8) + 4 * (lane % 2);
    auto word = [](const char* at) { return *reinterpret_cast<const unsigned*>(at); };
    const uint32_t all[2] = {PRODUCT::kOne, PRODUCT::kOne}, two[1] = {lane < 2 ? PRODUCT::kOne : 0u};
    const int32_t none[4] = {0, 0, 0, 0};
#pragma unroll 2   // all four leave no registers for four blocks
    for (unsigned i = 0; i < 4; i++) {
      const Place top = places[slot * kTileRows + own.row + 32 * i], bottom = places[slot * kTileRows + own.row + 32 * i + 16];
      const uint32_t left[2][4] = {{word(first + top.at), word(first + bottom.at), word(first + top.at + 4), word(first + bottom.at + 4)},
                                   {word(second + top.at), word(second + bottom.at), word(second + top.at + 4), word(second + bottom.at + 4)}};
      const uint32_t end[2] = {word(last + top.at), word(last + bottom.at)};
      int32_t counts[4][4], ones[4];
      mma_m16n8k256_and_popc(ones, left[0], all, none);
#pragma unroll
      for (unsigned n = 0; n < 4; n++) {
        const uint32_t right[2] = {filters[n][0], filters[n][1]};
        mma_m16n8k256_and_popc(counts[n], left[0], right, none);
      }
      mma_m16n8k256_and_popc(ones, left[1], all, ones);
#pragma unroll
      for (unsigned n = 0; n < 4; n++) {
        const uint32_t right[2] = {filters[n][2], filters[n][3]};
        mma_m16n8k256_and_popc(counts[n], left[1], right, counts[n]);
      }
      mma_m16n8k128_and_popc(ones, end, two, ones);
#pragma unroll
      for (unsigned n = 0; n < 4; n++) {
        const uint32_t right[1] = {filters[n][4]};
        mma_m16n8k128_and_popc(counts[n], end, right, counts[n]);
      }
#pragma unroll
      for (unsigned half = 0; half < 2; half++) this->template hand_over<WHOLE>(own, line, 2 * i + half, half, half == 0 ? top.border : bottom.border, counts, ones, take);
    }
  }
};
