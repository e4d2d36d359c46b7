// xnor_planes.cuh -- tiles of a binary convolution as xnor_conv.cuh gives them, for windows of 3 x 3 over more than 64 channels: x copied once, filters kept
//
// Shapes     as xnor_conv2d.cu with R = S = 3 and ceil(C / 32) > 2; pad <= dilation
// Launch     as xnor_held.cuh; dynamic shared memory of CudaBitOps.planesRoom
// Image      the run of pixels of xnor_held.cuh, in planes: 16 bytes of each pixel, then the next 16 of each, so that ldmatrix takes any pixel and neighbours meet
//            no bank twice at stride 1. Words that fill up the last plane are zeros
// Filters    stay in shared memory from tile to tile, 256 bits of 64 filters after the other, in the order in which the lanes of ldmatrix name them
// Products   32 positions of a warp by its 32 filters at a time; what is left of an odd number of planes by m16n8k128
// Pipeline   as xnor_held.cuh
// Limits     as xnor_held.cuh; ceil(C / 32) <= 128
// Results    as xnor_tile.cuh
// Exactness  as xnor_conv.cuh: the same bits
#pragma once
#include "xnor_held.cuh"

/** The tiles of a block over pixels of more than two words. */
template <class PRODUCT, unsigned COLUMNS> class PlaneTiles : ImageTiles<PRODUCT, COLUMNS, 16> {
  using Image = ImageTiles<PRODUCT, COLUMNS, 16>;
  using Image::a, Image::g, Image::over, Image::pixels, Image::column0, Image::places, Image::across, Image::tapWords;
  static constexpr unsigned kStep = 4 * COLUMNS * 2;   // words of 256 bits of all filters

  unsigned planes, plane;   // how many; pixels from one to the next: 2 more than a multiple of 8, so that four planes are written without a bank met twice
  unsigned *offsets, *filters, *image;   // bytes from the first tap to each 16 bytes of the taps; the image of this tile, and of the next

 public:
  __device__ __forceinline__ PlaneTiles(unsigned* room, const Operands& a, const Conv& g)
      : Image(room, a, g), planes((tapWords + 3) / 4), plane((held_pixels(g) + 5) / 8 * 8 + 2), offsets(this->beside), filters(offsets + (9 * planes + 3) / 4 * 4),
        image(filters + (9 * planes + 1) / 2 * kStep) {
    for (unsigned i = threadIdx.x; i < 9 * planes; i += kTileRows) {
      unsigned tap = i / planes;
      offsets[i] = 16 * (i % planes * plane + unsigned(g.dilation) * (tap / 3 * across + tap % 3));
    }
    if (tapWords % 4 != 0) for (unsigned i = threadIdx.x; i < 8 * planes * plane; i += kTileRows) image[i] = 0;
  }

  /** As ConvTiles.each with AHEAD. */
  template <bool AHEAD, class Take, class Done> __device__ __forceinline__ void each(unsigned first, unsigned step, bool takesWhole, Take take, Done done) {
    static_assert(AHEAD, "the next tile is always copied before values are taken");
    if (first * kTileRows >= unsigned(pixels)) return;
    by_pieces([&](auto piece) { keep_filters<decltype(piece)::value>(); });
    this->run(first, step, takesWhole, [&](unsigned from, unsigned end, unsigned slot) {
      by_pieces([&](auto piece) { copy<decltype(piece)::value>(from, end, slot); });
    }, [&](unsigned tile, unsigned slot, auto whole) { give<decltype(whole)::value>(tile, slot, take); }, done);
  }

 private:
  template <class F> __device__ __forceinline__ void by_pieces(F f) const {
    if (tapWords % 4 == 0) f(Width<4>());
    else if (tapWords % 2 == 0) f(Width<2>());
    else f(Width<1>());
  }

  /** Begins the copies of the filters by so many words; those that fill up the last plane, and of filters that there are not, are zeros. */
  template <unsigned WORDS> __device__ __forceinline__ void keep_filters() {
    // lane 8 i + r of ldmatrix names column r of product n + i / 2, 16 bytes i % 2, for the pair of products n; columns as in XnorTile
    unsigned r = threadIdx.x % 8, n = threadIdx.x / 32 % 2 * 2 + threadIdx.x / 16 % 2, column = unsigned(column0) + threadIdx.x / 64 * 32 + r / 2 * 8 + n * 2 + r % 2;
    bool real = column < unsigned(g.o);
    const unsigned* from = a.taps + (real ? column * this->words : 0);
    unsigned* to = filters + 4 * threadIdx.x;
    for (unsigned i = threadIdx.x / 8 % 2, tap = 0, within = i;; i += 2, within += 2, to += kStep) {
      for (; within >= planes; within -= planes) tap++;
      if (i >= 9 * planes) return;
#pragma unroll
      for (unsigned k = 0; k < 4; k += WORDS) {
        bool some = real && 4 * within + k < tapWords;
        cp_async<4 * WORDS>(to + k, from + (some ? tap * tapWords + 4 * within + k : 0), some ? 4 * WORDS : 0);
      }
    }
  }

  /** Begins the copies of a run of pixels, neighbouring lanes taking the pieces of a pixel. */
  template <unsigned WORDS> __device__ __forceinline__ void copy(unsigned from, unsigned end, unsigned slot) {
    unsigned word, rest, start = over[2].divide(threadIdx.x * WORDS, word), together = over[2].divide(kTileRows * WORDS, rest);
    unsigned* to = image + 4 * ((slot * planes + word / 4) * plane) + word % 4;
    if (start >= together) return;
    for (unsigned i = start; from + i < end; i += together) {
      unsigned index;
      bool real = this->source(from + i, index);
      cp_async<4 * WORDS>(to + 4 * i, a.x + (real ? index * tapWords + word : 0), real ? 4 * WORDS : 0);
    }
  }

  struct Counts {
    int32_t of[2][4][4], ones[2][4];   // of 16 positions each
  };

  /** Products of 256 bits, or of the 128 that are left: left are the first taps of the lane's positions. */
  template <bool FIRST> __device__ __forceinline__ void multiply(Counts& c, const char* const (&left)[2], unsigned offset, const unsigned* right) const {
    auto product = [](int32_t(&d)[4], const uint32_t(&l)[4], const uint32_t(&r)[2]) {
      const int32_t none[4] = {0, 0, 0, 0};
      if constexpr (FIRST) mma_m16n8k256_and_popc(d, l, r, none);
      else mma_m16n8k256_and_popc(d, l, r, d);
    };
    const uint32_t one[2] = {PRODUCT::kOne, PRODUCT::kOne};
    uint32_t of[2][4], by[2][4];
#pragma unroll
    for (unsigned m = 0; m < 2; m++) ldmatrix_x4(of[m], left[m] + offset), ldmatrix_x4(by[m], right + m * 128);
#pragma unroll
    for (unsigned m = 0; m < 2; m++) {
#pragma unroll
      for (unsigned n = 0; n < 4; n++) {
        const uint32_t column[2] = {by[n / 2][n % 2 * 2], by[n / 2][n % 2 * 2 + 1]};
        product(c.of[m][n], of[m], column);
      }
      product(c.ones[m], of[m], one);
    }
  }
  __device__ __forceinline__ void multiply_rest(Counts& c, const char* const (&left)[2], const unsigned* offset, const unsigned* right) const {
    const uint32_t one[1] = {PRODUCT::kOne};
    uint32_t of[2][2], by[4];
#pragma unroll
    for (unsigned m = 0; m < 2; m++) ldmatrix_x2(of[m], left[m] + *offset);
    ldmatrix_x4(by, right);
#pragma unroll
    for (unsigned m = 0; m < 2; m++) {
#pragma unroll
      for (unsigned n = 0; n < 4; n++) {
        const uint32_t column[1] = {by[n]};
        mma_m16n8k128_and_popc(c.of[m][n], of[m], column, c.of[m][n]);
      }
      mma_m16n8k128_and_popc(c.ones[m], of[m], one, c.ones[m]);
    }
  }

  /** The values of a tile whose pixels are there. */
  template <bool WHOLE, class Take> __device__ __forceinline__ void give(unsigned tile, unsigned slot, Take take) {
    const auto own = this->own(tile);
    const unsigned lane = threadIdx.x % 32, steps = 9 * planes / 2, half = threadIdx.x / 32 % 2 * (kStep / 2);
    const char* from = reinterpret_cast<const char*>(image + 4 * slot * planes * plane);
#pragma unroll 1
    for (unsigned i = 0; i < 2; i++) {
      const auto* rows = places + slot * kTileRows + 64 * i;
      // matrices of ldmatrix: top, bottom, top, bottom, the last two 16 bytes further
      const auto* lanes = rows + threadIdx.x / 64 * 8 + lane % 8 + lane / 8 % 2 * 16;
      const char* const left[2] = {from + lanes[0].at, from + lanes[32].at};
      const unsigned *offset = offsets + lane / 16, *right = filters + half + 4 * lane;
      Counts counts;
      multiply<true>(counts, left, offset[0], right);
      unsigned next = offset[2];
#pragma unroll 1
      for (unsigned step = 1; step < steps; step++) {
        const unsigned now = next;
        next = offset[2 * min(step + 1, steps - 1)];
        multiply<false>(counts, left, now, right + step * kStep);
      }
      if (planes % 2 != 0) multiply_rest(counts, left, offsets + 2 * steps, filters + half + steps * kStep + lane / 16 * 128 + lane / 8 % 2 * 64 + lane % 8 * 4);
      typename Image::Line line;   // read again, so that products have its registers
      this->begin(line, own.column);
#pragma unroll
      for (unsigned k = 0; k < 4; k++) {
        this->template hand_over<WHOLE>(own, line, 4 * i + k, k % 2, rows[own.row + 16 * k].border, counts.of[k / 2], counts.ones[k / 2], take);
      }
    }
  }
};
