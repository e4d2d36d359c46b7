// xnor_conv.cuh -- tiles of a binary convolution: 128 positions by 64 or 128 filters, handed over 8 filters at a time
//
//   y = dx dw <bx,bw> + dx cw sum(bx) + cx dw sum(bw) + cx cw V + offset, as xnor_conv2d.cu says
//
// Shapes     as xnor_conv2d.cu; a Conv whose element is int16 hands over <bx,bw> alone
// Launch     block 128; blockIdx.y counts groups of COLUMNS filters; dynamic shared memory of CudaBitOps.room
// Borders    what a position adds to its counts depends on the filter and on which taps are counted; a table has it for every kind of border, and a thread
//            keeps a row of it in registers until its next position has another border
// Filters    of at most kStages stages stay in shared memory from tile to tile, where nothing else is kept in the place of the stages
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
  if (dilation == 1) {
    from = min(taps, max(0, -origin));
    return max(from, min(taps, extent - origin));
  }
  from = origin >= 0 ? 0 : min(taps, (dilation - 1 - origin) / dilation);
  int to = extent <= origin ? 0 : min(taps, (extent - 1 - origin) / dilation + 1);
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

constexpr unsigned kBorders = 16, kPieces = 256;

/** Whether a tile is whole: all its rows exist, columns in groups of 8, and its borders are all in the table. */
template <bool YES> struct Whole {
  static constexpr bool value = YES;
};

/**
 * What values take beside their counts. It depends on the column and on which taps of the position are counted, of which there are few kinds, so a table in
 * shared memory holds it for all.
 */
template <class PRODUCT, unsigned COLUMNS> class ConvTable {
 protected:
  static constexpr unsigned kPitch = COLUMNS + 4;   // words of a kind of border in the table: neighbours meet no bank twice

  struct alignas(32) Window {
    unsigned starts;              // a bit of the first tap of each of its rows; 0 where there is no bit for each tap, or no room in the table for all pieces
    int bottoms, lefts, rights;   // kinds of border on three sides
    int many;                     // whether there are more in all than the table has room for
  };

  /** What 8 columns of a thread take: of each the last two whatever the border; of one line of the table base and rest. */
  struct Line {
    unsigned held;   // what the line was read for
    int base[8];
    float rest[8], factor[8], centre[8];
  };

  const Operands& a;
  const Conv& g;
  Divisor* over;   // what positions, words and pixels with their border are divided by: Q, P, words of a tap, S, W + pad, H + pad
  Window* window;
  int* bases;
  float *rests, *factors, *centres;   // the last two of a column, whatever the border
  unsigned* behind;                   // the room that is left
  int pixels, tapCount, column0;
  unsigned tapWords, words;

  __device__ __forceinline__ ConvTable(unsigned* room, const Operands& a, const Conv& g)
      : a(a), g(g), over(reinterpret_cast<Divisor*>(room)), window(reinterpret_cast<Window*>(over + 8)), bases(reinterpret_cast<int*>(window + 1)),
        rests(reinterpret_cast<float*>(bases + kBorders * kPitch)), factors(rests + kBorders * kPitch), centres(factors + COLUMNS),
        behind(reinterpret_cast<unsigned*>(centres + COLUMNS)), pixels(g.n * g.p * g.q), tapCount(g.r * g.s), column0(int(blockIdx.y * COLUMNS)),
        tapWords(unsigned(g.c + 31) / 32), words(unsigned(g.r * g.s) * (unsigned(g.c + 31) / 32)) {
    const Cut down(g.h, g.r, g.p, g.stride, g.pad, g.dilation), along(g.w, g.s, g.q, g.stride, g.pad, g.dilation);
    const bool many = g.zeroRule && down.kinds() * along.kinds() > int(kBorders);
    if (threadIdx.x < 6) {
      unsigned which = threadIdx.x;
      over[which] = Divisor(which == 2 ? tapWords : unsigned(which == 0 ? g.q : which == 1 ? g.p : which == 3 ? g.s : which == 4 ? g.w + g.pad : g.h + g.pad));
    }
    if (threadIdx.x < COLUMNS) {
      int column = column0 + int(threadIdx.x);
      bool real = g.element != kInt16 && column < g.o;
      factors[threadIdx.x] = real ? a.xDistance[0] * a.wDistance[column * a.each] : 1.0f;
      centres[threadIdx.x] = real ? a.xDistance[0] * a.wCentre[column * a.each] : 0.0f;
    }
    if (threadIdx.x == 0) {
      *window = {0, down.behind + 1, along.before + 1, along.behind + 1, many};
      if (few()) for (int r = 0; r < g.r; r++) window->starts |= 1u << r * g.s;
    }
    if (!many) fill_all(down, along);
    __syncthreads();
  }

  /** Words that are copied at once. */
  __device__ __forceinline__ unsigned per_piece() const { return tapWords % 4 == 0 ? 4 : tapWords % 2 == 0 ? 2 : 1; }

  /** Whether a bit for each tap fits into a word, and all pieces into a table. */
  __device__ __forceinline__ bool few() const { return tapCount <= 32 && words / per_piece() <= kPieces; }

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
    float rest = __fadd_rn(__fadd_rn(__fmul_rn(w.cx * w.dw, float(sumW)), __fmul_rn(w.cx * w.cw, float(valid))), a.offset);   // the same wherever it is made
    bases[kind * kPitch + of] = w.real ? xnor_base<PRODUCT>(tapCount * g.c, valid, onesW, PRODUCT::kXor ? up_to(g.r, g.s) : 0) : 0;
    rests[kind * kPitch + of] = w.real && g.element != kInt16 ? rest : 0.0f;
  }

  /** How many taps lie outside on each side, counted up as kinds of border are. */
  struct Kind {
    int top, bottom, left, right;

    __device__ __forceinline__ void next(int rights, int lefts, int bottoms) {
      bool carry = ++right == rights;
      right = carry ? 0 : right, left += carry, carry = left == lefts;
      left = carry ? 0 : left, bottom += carry, carry = bottom == bottoms;
      bottom = carry ? 0 : bottom, top += carry;
    }
  };

  /** The whole table. */
  __device__ __forceinline__ void fill_all(const Cut& down, const Cut& along) {
    int tops = g.zeroRule ? down.before + 1 : 1, bottoms = g.zeroRule ? down.behind + 1 : 1;
    int lefts = g.zeroRule ? along.before + 1 : 1, rights = g.zeroRule ? along.behind + 1 : 1;
    unsigned of = threadIdx.x % COLUMNS;
    Filter w = filter(of);
    const int kinds = tops * bottoms * lefts * rights;
    Kind at{0, 0, 0, 0};
    for (int skip = int(threadIdx.x / COLUMNS); skip > 0; skip--) at.next(rights, lefts, bottoms);
#pragma unroll 4
    for (int kind = int(threadIdx.x / COLUMNS); kind < kinds; kind += int(kTileRows / COLUMNS)) {
      fill(unsigned(kind), w, at.top, g.r - at.bottom, at.left, g.s - at.right, of);
#pragma unroll
      for (unsigned i = 0; i < kTileRows / COLUMNS; i++) at.next(rights, lefts, bottoms);
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

  /** What is counted at a position, and its border, from the taps inside: counted values by kBorders, and the kind of the border. */
  __device__ __forceinline__ unsigned border(int r0, int r1, int s0, int s1) const {
    if (!g.zeroRule) return unsigned(tapCount * g.c) * kBorders;
    const Window& all = *window;
    unsigned kind = unsigned(((r0 * all.bottoms + g.r - r1) * all.lefts + s0) * all.rights + g.s - s1);   // of no use where there are too many
    return unsigned((r1 - r0) * (s1 - s0) * g.c) * kBorders + kind % kBorders;
  }

  /** Reads what 8 columns take whatever the border. */
  __device__ __forceinline__ void begin(Line& line, unsigned column) const {
    line.held = ~0u;
    load_vector(factors + column, line.factor);
    load_vector(centres + column, line.centre);
  }

  /** Reads their line of one kind. */
  __device__ __forceinline__ void read(Line& line, unsigned kind, unsigned column) const {
    const unsigned from = kind * kPitch + column;
    load_vector(rests + from, line.rest);
#pragma unroll
    for (unsigned j = 0; j < 8; j += 4) {
      int4 four = *reinterpret_cast<const int4*>(bases + from + j);
      line.base[j] = four.x, line.base[j + 1] = four.y, line.base[j + 2] = four.z, line.base[j + 3] = four.w;
    }
  }

  /** 8 values of a position with such a border, whose line is read, from count(j) and the ones of its x; the result is its sum(bx). */
  template <class Count> __device__ __forceinline__ int values(const Line& line, unsigned border, int onesX, Count count, float (&out)[8]) const {
    int sumX = 2 * onesX - int(border / kBorders);
    float sum = float(sumX), less = xnor_less<PRODUCT>(tapCount * g.c, onesX);
#pragma unroll
    for (unsigned j = 0; j < 8; j++) out[j] = multiply_add(line.factor[j], xnor_dot<PRODUCT>(line.base[j], count(j), less), multiply_add(line.centre[j], sum, line.rest[j]));
    return sumX;
  }
};

/** The tiles of a block, x and filters copied in stages; where the table has no room for all kinds of border it is filled for 16 rows at a time. */
template <class PRODUCT, unsigned COLUMNS> class ConvTiles : ConvTable<PRODUCT, COLUMNS> {
  using Table = ConvTable<PRODUCT, COLUMNS>;
  using Table::a, Table::g, Table::over, Table::window, Table::pixels, Table::tapCount, Table::column0, Table::tapWords, Table::words;

  struct Place {
    unsigned first, inside;   // index of the words of the first tap, a bit of every tap that is inside
  };
  struct Tap {
    unsigned offset, bit;   // of its words from those of the first tap; as in Place
  };

  Place* places;
  unsigned* rows;   // of this tile, and of the next: what ConvTable.border gives
  Tap* pieces;      // of each 4, 2 or 1 words, as many as divide those of a tap
  unsigned* stages;
  XnorTile<PRODUCT, COLUMNS, true> tile;

 public:
  __device__ __forceinline__ ConvTiles(unsigned* room, const Operands& a, const Conv& g)
      : Table(room, a, g), places(reinterpret_cast<Place*>(this->behind)), rows(reinterpret_cast<unsigned*>(places + kTileRows)),
        pieces(reinterpret_cast<Tap*>(rows + 2 * kTileRows)), stages(reinterpret_cast<unsigned*>(pieces + kPieces)) {
    if (!this->few()) return;
    unsigned each = this->per_piece();
    for (unsigned i = threadIdx.x; i < words / each; i += kTileRows) {
      unsigned within, left, tap = over[2].divide(i * each, within), top = over[3].divide(tap, left);
      pieces[i] = {unsigned(g.dilation) * (top * unsigned(g.w) + left) * tapWords + within, 1u << tap};
    }
  }

  /** Room for values beside the tables, while no copies are under way. */
  __device__ __forceinline__ unsigned* spare() const { return stages; }

  /**
   * take(k, from, part, values, sumX, there, whole) by all threads, for position from + 16 k, k below 8, and the 8 columns from xnor_column(part) on: their
   * values and the position's sum(bx), and whether it and the first of the columns exist, of every `step`-th tile from `first` on; done(tile) behind a tile.
   * The rows of a thread are unrolled: take is small. Tiles are given as whole, which is faster, where the caller says that it takes such. With AHEAD the copies of the next tile begin before take is called; without,
   * no tile is given as whole, take and done have spare(), and all threads are done with it before it is written again.
   */
  template <bool AHEAD, class Take, class Done> __device__ __forceinline__ void each(unsigned first, unsigned step, bool takesWhole, Take take, Done done) {
    if constexpr (!AHEAD) {
      for (unsigned now = first; now * kTileRows < unsigned(pixels); now += step) {
        place(now, rows);
        __syncthreads();
        tile.begin(stages, words, stage(now, true));
        tile.run(stages, words, unsigned(g.o - column0), stage(now, true));
        __syncthreads();
        give<false>(now, rows, take);
        done(now);
        __syncthreads();
      }
    } else if (first * kTileRows < unsigned(pixels)) {
      unsigned now = first, parity = 0;
      const bool copies = words > kStages * kStageWords;   // filters for every tile, because they do not all fit
      place(now, rows);
      __syncthreads();
      tile.begin(stages, words, stage(now, true));
      for (;;) {
        tile.run(stages, words, unsigned(g.o - column0), stage(now, copies || now == first));
        unsigned next = now + step;
        const unsigned* own = rows + parity * kTileRows;
        bool more = next * kTileRows < unsigned(pixels);
        parity ^= 1;
        if (more) {
          place(next, rows + parity * kTileRows);
          __syncthreads();
          tile.begin(stages, words, stage(next, copies));
        }
        if (takesWhole && !window->many && g.o % 8 == 0 && (now + 1) * kTileRows <= unsigned(pixels)) give<true>(now, own, take);
        else give<false>(now, own, take);
        done(now);
        if (!more) return;
        now = next;
      }
    }
  }

 private:
  /** What is to be known of the positions of a tile, each found by one thread. */
  __device__ __forceinline__ void place(unsigned tile, unsigned* to) {
    int i = int(tile * kTileRows + threadIdx.x), row, column, image = this->position(unsigned(min(i, pixels - 1)), row, column), r0, r1, s0, s1;
    this->ranges(row, column, r0, r1, s0, s1);
    int lines = r1 - r0, across = s1 - s0;
    unsigned inside = 0;
    // the first taps of as many rows as are inside, moved to the first of them; each as wide as the columns that are
    if (i < pixels && lines > 0 && across > 0) inside = (window->starts >> (g.r - lines) * g.s << r0 * g.s) * (0xffffffffu >> (32 - across) << s0);
    places[threadIdx.x] = {unsigned((image * g.h + row * g.stride - g.pad) * g.w + column * g.stride - g.pad) * tapWords, inside};
    to[threadIdx.x] = this->border(r0, r1, s0, s1);
  }

  /** Begins the copies of a stage of x where all pieces are in the table; LAST as in stage_rows. */
  template <bool LAST> __device__ __forceinline__ void stage_few(unsigned* to, unsigned step) {
    Place p[LAST ? 1 : 4];
#pragma unroll
    for (unsigned j = 0; j < (LAST ? 1 : 4); j++) p[j] = places[LAST ? threadIdx.x : threadIdx.x / 4 + 32 * j];
    stage_rows<RowStage, kTileRows, LAST>(to, a.x, step, words, tapWords,
                                          [&](unsigned word, bool some, auto piece) {
                                            Tap tap = pieces[word / piece.value];
                                            if (!some) tap.bit = 0;
                                            return tap;
                                          },
                                          [&](unsigned, unsigned j, const Tap& tap, unsigned& index) {
                                            index = p[j].first + tap.offset;
                                            return (p[j].inside & tap.bit) != 0;
                                          });
  }

  /** Begins the copies of a stage of a tile; with its filters, or where they are there already. */
  __device__ __forceinline__ auto stage(unsigned of, bool filters) {
    return [this, of, filters](unsigned* toX, unsigned* toW, unsigned step) {
      const bool few = window->starts != 0;
      if (few && words - step * kStageWords <= 4) {
        stage_few<true>(toX, step);
      } else if (few) {
        stage_few<false>(toX, step);
      } else {
        stage_rows<RowStage, kTileRows, 1, false>(toX, a.x, step, words, [](unsigned word, bool some, auto) { return StagedWord{word, some}; },
                                                  [&](unsigned below, unsigned, const StagedWord& word, unsigned& index) {
          unsigned within, left, top = over[3].divide(over[2].divide(word.at, within), left);
          int i = int(of * kTileRows + below), row, column;
          int image = this->position(unsigned(i), row, column), h = row * g.stride - g.pad + int(top) * g.dilation, v = column * g.stride - g.pad + int(left) * g.dilation;
          index = unsigned((image * g.h + h) * g.w + v) * tapWords + within;
          return word.some && i < pixels && h >= 0 && h < g.h && v >= 0 && v < g.w;
        });
      }
      if (filters) stage_matrix<ColumnStage, COLUMNS>(toW, a.taps, unsigned(column0), unsigned(g.o), step, words);
    };
  }

  /** The values of a tile whose counts are there. */
  template <bool WHOLE, class Take> __device__ __forceinline__ void give(unsigned of, const unsigned* own, Take take) {
    const bool many = !WHOLE && window->many;
    unsigned row = xnor_row<PRODUCT>(), from = of * kTileRows + row, have = from < unsigned(pixels) ? (unsigned(pixels) - from + 15) / 16 : 0u;
#pragma unroll
    for (unsigned part = 0; part < COLUMNS / 64; part++) {
      unsigned column = xnor_column<PRODUCT, COLUMNS>(part);
      unsigned left = column0 + int(column) < g.o ? have : 0u;   // rows of this thread
      typename Table::Line line;
      this->begin(line, column);
#pragma unroll
      for (unsigned k = 0; k < 8; k++) {
        if (many) border_of(of, k);
        unsigned at = own[row + 16 * k];
        if (k == 0 || at != line.held || many) {
          line.held = at;
          this->read(line, (many ? row : at) % kBorders, column);
        }
        float out[8];
        int sumX = this->values(line, at, tile.row_ones(k), [&](unsigned j) { return tile.count(part, k, j); }, out);
        take(k, from, part, out, sumX, WHOLE ? left != 0 : k < left, Whole<WHOLE>());
      }
    }
  }

  /** The table for rows r + 16 k of a tile, one after the other. */
  __device__ __forceinline__ void border_of(unsigned of, unsigned k) {
    __syncthreads();
#pragma unroll 1
    for (unsigned i = threadIdx.x; i < 16 * COLUMNS; i += kTileRows) {
      int row, column, r0, r1, s0, s1;
      this->position(unsigned(min(int(of * kTileRows + i / COLUMNS + 16 * k), pixels - 1)), row, column);
      this->ranges(row, column, r0, r1, s0, s1);
      this->fill(i / COLUMNS, this->filter(i % COLUMNS), r0, r1, s0, s1, i % COLUMNS);
    }
    __syncthreads();
  }
};
