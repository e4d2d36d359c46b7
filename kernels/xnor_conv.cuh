// xnor_conv.cuh -- tiles of a binary convolution: 128 positions by 64 or 128 filters, handed over 8 filters at a time
//
//   y = dx dw <bx,bw> + dx cw sum(bx) + cx dw sum(bw) + cx cw V + offset, as xnor_conv2d.cu says
//
// Shapes     as xnor_conv2d.cu; a Conv whose element is int16 hands over <bx,bw> alone
// Launch     block 128; blockIdx.y counts groups of COLUMNS filters; dynamic shared memory of CudaBitOps.room
// Borders    what a position adds to its counts depends on the filter and on which taps are counted; a table has it for every kind of border
// Exactness  a value is the same whoever takes it
#pragma once
#include "xnor_tile.cuh"

struct Conv {
  int n, h, w, c, o, r, s, stride, pad, dilation, p, q, zeroRule, element;
};

/** Bits of x, filters by taps with their ones, the two sets (each: whether every filter has one), and what is added. */
struct Operands {
  const unsigned *x, *taps;
  const int* ones;
  const float *xCentre, *xDistance, *wCentre, *wDistance;
  int each;
  float offset;
};

/** The taps of an axis that lie inside: from is the first, the result one past the last. */
__device__ __forceinline__ int inside_taps(int origin, int extent, int taps, int dilation, int& from) {
  auto over = [=](int i) { return dilation == 1 ? i : i / dilation; };
  from = origin >= 0 ? 0 : min(taps, over(dilation - 1 - origin));
  int to = extent <= origin ? 0 : min(taps, over(extent - 1 - origin) + 1);
  return max(from, to);
}

/** How many of the taps of an axis can lie outside, before and behind: the most of any position. */
struct Cut {
  int before, behind;

  __device__ __forceinline__ Cut(int extent, int taps, int positions, int stride, int pad, int dilation) {
    int from;
    inside_taps(-pad, extent, taps, dilation, before);
    behind = taps - inside_taps((positions - 1) * stride - pad, extent, taps, dilation, from);
  }

  __device__ __forceinline__ int kinds() const { return (before + 1) * (behind + 1); }
};

constexpr unsigned kBorders = 16;

/**
 * The tiles of a block. What a value takes beside its count depends on the column and on which taps of the position are counted, of which there are few
 * kinds, so a table in shared memory holds it for all; where there are more than kBorders kinds, for 16 rows at a time.
 */
template <class PRODUCT, unsigned COLUMNS> class ConvTiles {
  static constexpr unsigned kPitch = COLUMNS + 4;   // words of a kind of border in the table: neighbours meet no bank twice

  struct Place {
    unsigned first, inside;   // index of the words of the first tap, a bit of every tap that is inside
  };
  struct Row {
    int valid;         // counted values of a position
    unsigned border;   // where its kind lies in the table
  };

  const Operands& a;
  const Conv& g;
  int* ones;      // of the tile's rows
  Place* places;
  Row* rows;      // of this tile, and of the next
  Divisor* over;  // what positions and words are divided by: Q, P, words of a tap, S
  unsigned* taps; // index of the words of each of 32 taps, from those of the first
  int* bases;
  float *rests, *factors, *centres;   // the last two of a column, whatever the border
  unsigned* stages;
  XnorTile<PRODUCT, COLUMNS> tile;
  int pixels, tapCount, column0;
  unsigned tapWords, words;
  Cut down, along;
  bool many;

 public:
  __device__ __forceinline__ ConvTiles(unsigned* room, const Operands& a, const Conv& g)
      : a(a), g(g), ones(reinterpret_cast<int*>(room)), places(reinterpret_cast<Place*>(ones + kTileRows)), rows(reinterpret_cast<Row*>(places + kTileRows)),
        over(reinterpret_cast<Divisor*>(rows + 2 * kTileRows)), taps(reinterpret_cast<unsigned*>(over + 4)), bases(reinterpret_cast<int*>(taps + 32)),
        rests(reinterpret_cast<float*>(bases + kBorders * kPitch)), factors(rests + kBorders * kPitch), centres(factors + COLUMNS),
        stages(reinterpret_cast<unsigned*>(centres + COLUMNS)), pixels(g.n * g.p * g.q), tapCount(g.r * g.s), column0(int(blockIdx.y * COLUMNS)),
        tapWords(unsigned(g.c + 31) / 32), words(unsigned(g.r * g.s) * (unsigned(g.c + 31) / 32)), down(g.h, g.r, g.p, g.stride, g.pad, g.dilation),
        along(g.w, g.s, g.q, g.stride, g.pad, g.dilation), many(g.zeroRule && down.kinds() * along.kinds() > int(kBorders)) {
    if (threadIdx.x < 4) over[threadIdx.x] = Divisor(unsigned(threadIdx.x == 0 ? g.q : threadIdx.x == 1 ? g.p : threadIdx.x == 2 ? int(tapWords) : g.s));
    if (threadIdx.x < 32) taps[threadIdx.x] = unsigned(g.dilation) * (threadIdx.x / unsigned(g.s) * unsigned(g.w) + threadIdx.x % unsigned(g.s)) * tapWords;
    if (threadIdx.x < COLUMNS) {
      int column = column0 + int(threadIdx.x);
      bool real = g.element != kInt16 && column < g.o;
      factors[threadIdx.x] = real ? a.xDistance[0] * a.wDistance[column * a.each] : 1.0f;
      centres[threadIdx.x] = real ? a.xDistance[0] * a.wCentre[column * a.each] : 0.0f;
    }
    __syncthreads();
    if (!many) fill_all();
  }

  /** Room for values beside the tables, while no copies are under way. */
  __device__ __forceinline__ unsigned* spare() const { return stages; }

  /**
   * take(k, from, part, values, sumX) for position from + 16 k, k below 8, and the 8 columns from xnor_column(part) on, of which the first is real: their values
   * and the position's sum(bx), of every `step`-th tile from `first` on; done(tile) behind a tile. The rows of a thread are unrolled: take is small. With AHEAD the
   * copies of the next tile begin before take is called; without, take and done have spare(), and all threads are done with it before it is written again.
   */
  template <bool AHEAD, class Take, class Done> __device__ __forceinline__ void each(unsigned first, unsigned step, Take take, Done done) {
    unsigned now = first, parity = 0;
    bool counted = false;
    for (;;) {
      bool more = now * kTileRows < unsigned(pixels);
      if (!AHEAD && counted) {
        __syncthreads();
        give(now - step, rows + (parity ^ 1) * kTileRows, take);
        done(now - step);
      }
      if (more) place(now, rows + parity * kTileRows);
      __syncthreads();
      if (more) tile.begin(stages, words, stage(now));
      if (AHEAD && counted) {
        give(now - step, rows + (parity ^ 1) * kTileRows, take);
        done(now - step);
      }
      if (!more) return;
      tile.run(stages, words, unsigned(g.o - column0), stage(now));
      tile.share_ones(ones);
      counted = true, now += step, parity ^= 1;
    }
  }

 private:
  /** What the table needs to know of a column. */
  struct Filter {
    const int* ones;   // of the taps above and left of each corner of the window
    float cx, cw, dw;
    bool real;
  };

  __device__ __forceinline__ Filter filter(unsigned of) const {
    int column = column0 + int(of);
    bool real = column < g.o;
    return {a.ones + (real ? column : 0), a.xCentre[0], real ? a.wCentre[column * a.each] : 0.0f, real ? a.wDistance[column * a.each] : 0.0f, real};
  }

  /** Column `of` of the table's kind where taps of rows [r0, r1) and columns [s0, s1) are counted. */
  __device__ __forceinline__ void fill(unsigned kind, const Filter& w, int r0, int r1, int s0, int s1, unsigned of) {
    int line = g.s + 1, valid = (r1 - r0) * (s1 - s0) * g.c;
    auto up_to = [&](int r, int s) { return w.ones[size_t(r * line + s) * unsigned(g.o)]; };
    int onesW = up_to(r1, s1) - up_to(r0, s1) - up_to(r1, s0) + up_to(r0, s0), sumW = 2 * onesW - valid;
    float rest = w.cx * w.dw * float(sumW) + w.cx * w.cw * float(valid) + a.offset;
    bases[kind * kPitch + of] = w.real ? xnor_base<PRODUCT>(tapCount * g.c, valid, onesW, PRODUCT::kXor ? up_to(g.r, g.s) : 0) : 0;
    rests[kind * kPitch + of] = w.real && g.element != kInt16 ? rest : 0.0f;
  }

  /** The whole table. */
  __device__ __forceinline__ void fill_all() {
    int tops = g.zeroRule ? down.before + 1 : 1, bottoms = g.zeroRule ? down.behind + 1 : 1;
    int lefts = g.zeroRule ? along.before + 1 : 1, rights = g.zeroRule ? along.behind + 1 : 1;
    unsigned of = threadIdx.x % COLUMNS;
    Filter w = filter(of);
    int kinds = tops * bottoms * lefts * rights;
#pragma unroll 4
    for (int kind = int(threadIdx.x / COLUMNS); kind < kinds; kind += int(kTileRows / COLUMNS)) {
      int right = kind % rights, left = kind / rights % lefts, bottom = kind / rights / lefts % bottoms, top = kind / rights / lefts / bottoms;
      fill(unsigned(kind), w, top, g.r - bottom, left, g.s - right, of);
    }
  }

  /** Image, row and column of position i. */
  __device__ __forceinline__ int position(unsigned i, int& row, int& column) const {
    unsigned below, beside, line = over[0].divide(i, beside), image = over[1].divide(line, below);
    row = int(below), column = int(beside);
    return int(image);
  }

  /** Which taps of a position are inside: rows [r0, r1), columns [s0, s1). */
  __device__ __forceinline__ void ranges(int row, int column, int& r0, int& r1, int& s0, int& s1) const {
    r1 = inside_taps(row * g.stride - g.pad, g.h, g.r, g.dilation, r0);
    s1 = inside_taps(column * g.stride - g.pad, g.w, g.s, g.dilation, s0);
  }

  /** What is to be known of the positions of a tile, each found by one thread. */
  __device__ __forceinline__ void place(unsigned tile, Row* to) {
    int i = int(tile * kTileRows + threadIdx.x), row, column, image = position(unsigned(min(i, pixels - 1)), row, column), r0, r1, s0, s1;
    ranges(row, column, r0, r1, s0, s1);
    unsigned inside = 0, line = s1 > s0 ? 0xffffffffu >> (32 - (s1 - s0)) << s0 : 0u;
    if (tapCount <= 32 && i < pixels) for (int r = r0; r < r1; r++) inside |= line << r * g.s;
    places[threadIdx.x] = {unsigned((image * g.h + row * g.stride - g.pad) * g.w + column * g.stride - g.pad) * tapWords, inside};
    Row of{tapCount * g.c, 0};
    if (g.zeroRule) {
      of.valid = (r1 - r0) * (s1 - s0) * g.c;
      of.border = kPitch * (many ? threadIdx.x % 16 : unsigned(((r0 * (down.behind + 1) + g.r - r1) * (along.before + 1) + s0) * (along.behind + 1) + g.s - s1));
    }
    to[threadIdx.x % 16 * 8 + threadIdx.x / 16] = of;
  }

  /** Begins the copies of a stage of a tile. */
  __device__ __forceinline__ auto stage(unsigned of) {
    return [this, of](unsigned* toX, unsigned* toW, unsigned step) {
      struct Tap {
        unsigned offset, bit;
      };
      if (tapCount <= 32) {
        unsigned first[4], inside[4];
#pragma unroll
        for (unsigned j = 0; j < 4; j++) {
          Place p = places[threadIdx.x / 4 + 32 * j];
          first[j] = p.first, inside[j] = p.inside;
        }
        stage_rows<RowStage, kTileRows>(toX, a.x, step, words, tapWords,
                                        [&](unsigned word) {
                                          unsigned within, tap = over[2].divide(word, within);
                                          return Tap{taps[tap] + within, 1u << tap};
                                        },
                                        [&](unsigned j, const Tap& tap, unsigned& index) {
                                          index = first[j] + tap.offset;
                                          return (inside[j] & tap.bit) != 0;
                                        });
      } else {
        stage_rows<RowStage, kTileRows, 1>(toX, a.x, step, words, [](unsigned word) { return word; }, [&](unsigned j, unsigned word, unsigned& index) {
          unsigned within, left, top = over[3].divide(over[2].divide(word, within), left);
          int i = int(of * kTileRows + threadIdx.x / 4 + 32 * j), row, column;
          int image = position(unsigned(i), row, column), h = row * g.stride - g.pad + int(top) * g.dilation, v = column * g.stride - g.pad + int(left) * g.dilation;
          index = unsigned((image * g.h + h) * g.w + v) * tapWords + within;
          return i < pixels && h >= 0 && h < g.h && v >= 0 && v < g.w;
        });
      }
      stage_matrix<ColumnStage, COLUMNS>(toW, a.taps, unsigned(column0), unsigned(g.o), step, words);
    };
  }

  /** The values of a tile whose counts are there. */
  template <class Take> __device__ __forceinline__ void give(unsigned of, const Row* own, Take take) {
    if (many) give<true>(of, own, take);
    else give<false>(of, own, take);
  }

  template <bool MANY, class Take> __device__ __forceinline__ void give(unsigned of, const Row* own, Take take) {
    unsigned row = xnor_row<PRODUCT>(), from = of * kTileRows + row, have = from < unsigned(pixels) ? (unsigned(pixels) - from + 15) / 16 : 0u;
    own += row * 8;
#pragma unroll
    for (unsigned part = 0; part < COLUMNS / 64; part++) {
      unsigned column = xnor_column<PRODUCT, COLUMNS>(part);
      unsigned left = column0 + int(column) < g.o ? have : 0u;   // rows of this thread
      float factor[8], centre[8];
      load_vector(factors + column, factor);
      load_vector(centres + column, centre);
#pragma unroll
      for (unsigned k = 0; k < 8; k++) {
        if (MANY) border_of(of, k);
        if (k >= left) continue;
        Row at = own[k];
        int onesX = ones[row * 8 + k], sumX = 2 * onesX - at.valid;
        float out[8], less = xnor_less<PRODUCT>(tapCount * g.c, onesX);
#pragma unroll
        for (unsigned j = 0; j < 8; j += 4) {
          float rest[4];
          load_vector(rests + at.border + column + j, rest);
          int4 base = *reinterpret_cast<const int4*>(bases + at.border + column + j);
          const int b[4] = {base.x, base.y, base.z, base.w};
#pragma unroll
          for (unsigned i = 0; i < 4; i++) {
            float dot = xnor_dot<PRODUCT>(b[i], tile.count(part, k, j + i), less);
            out[j + i] = factor[j + i] * dot + (centre[j + i] * float(sumX) + rest[i]);
          }
        }
        take(k, from, part, out, sumX);
      }
    }
  }

  /** The table for rows r + 16 k of a tile, one after the other. */
  __device__ __forceinline__ void border_of(unsigned of, unsigned k) {
    __syncthreads();
#pragma unroll 1
    for (unsigned i = threadIdx.x; i < 16 * COLUMNS; i += kTileRows) {
      int row, column, r0, r1, s0, s1;
      position(unsigned(min(int(of * kTileRows + i / COLUMNS + 16 * k), pixels - 1)), row, column);
      ranges(row, column, r0, r1, s0, s1);
      fill(i / COLUMNS, filter(i % COLUMNS), r0, r1, s0, s1, i % COLUMNS);
    }
    __syncthreads();
  }
};
