// unit_passes.cuh -- the passes of a unit, as unit_forward.cu and unit_backward.cu run them over a stored y and unit_product.cu over one that it computes
//
//   a block of tiles     128 threads, 128 rows by 64 channels at a time: thread t has channels 8 (t % 8) on of rows t / 8 + 16 i, as xnor_tile.cuh
//                        hands them over; blockIdx.x counts splits, each every gridDim.x-th tile of rows, blockIdx.y groups of 64 channels
//
// Encoding   every field takes 8 bytes: the host writes an argument structure field by field (CudaFusedOps.java)
//   own rows             a thread of a flat grid has 8 channels, always the same, of every so many rows
//
// Exactness  sums are double, in an order that depends on the number of splits only: wherever y comes from, they have the same bits. In backward,
//            beside bfloat16 elements, the 32 rows that each of four threads has of 4 tiles, and what their 256 values of a tile add to the set's
//            gradients, are first added in float: off by at most 34 and 66 times 2^-24 of the sum of the terms' magnitudes. The gradient of Maxout's lower slope is there the
//            difference of two such sums, over all t and over those above 0
// Twin       src/main/java/onebit/ops/cpu/CpuFusedOps.java
#pragma once
#include "unit.cuh"
#include "xnor_tile.cuh"

/** The first of the 8 channels of this thread in a block of tiles. */
__device__ __forceinline__ unsigned tile_channel() { return blockIdx.y * 64 + threadIdx.x % 8 * 8; }

__device__ __forceinline__ Live tile_live(unsigned c, unsigned channels) { return {c < channels ? min(8u, channels - c) : 0u, channels % 8 == 0}; }

/** The rows of a thread of a flat grid, `step` apart; whole 8 channels from c on. Without any row where the block has threads left over. */
struct OwnRows {
  unsigned c, first, step;

  /** channels / 8 threads or more in a block. */
  __device__ __forceinline__ OwnRows(unsigned channels, unsigned rows) {
    unsigned across = channels / 8, high = blockDim.x / across, down = threadIdx.x / across;
    c = (threadIdx.x - down * across) * 8, step = gridDim.x * high;
    first = down < high ? blockIdx.x * high + down : rows;
  }

  static __device__ __forceinline__ bool fit(unsigned channels) { return channels % 8 == 0 && channels / 8 <= blockDim.x; }

  /** work(what, row) for all of them, what having been asked for by ask(what, row) while the row before was worked on. */
  template <class Asked, class Ask, class Work> __device__ __forceinline__ void each(unsigned rows, Ask ask, Work work) const {
    Asked one, two;
    if (first < rows) ask(one, first);
#pragma unroll 1
    for (unsigned row = first; row < rows; row += 2 * step) {
      unsigned second = row + step;
      if (second < rows) ask(two, second);
      work(one, row);
      if (second + step < rows) ask(one, second + step);
      if (second < rows) work(two, second);
    }
  }
};

/** Doubles of shared memory with a block's sums: [4 rows of 4 threads' each][VALUES][8 channels of a thread][8 threads]. */
template <unsigned VALUES> constexpr unsigned kTileSums = 4 * VALUES * 64;

/**
 * finish(c, totals) for every channel of a block of tiles, by the last block that added to it, which is told that it is: room holds the block's kTileSums<VALUES>;
 * partial [splits][VALUES][C].
 */
template <unsigned VALUES, class Finish>
__device__ __forceinline__ bool finish_tiles(const double* room, double* partial, unsigned* counters, unsigned channels, Finish finish) {
  unsigned first = blockIdx.y * 64, c = first + threadIdx.x;
  __syncthreads();
  for (unsigned i = threadIdx.x; i < VALUES * 64; i += 128) {
    unsigned at = i / 64 * 64 + i % 8 * 8 + i % 64 / 8;
    double s = room[at] + room[VALUES * 64 + at] + room[2 * VALUES * 64 + at] + room[3 * VALUES * 64 + at];
    if (first + i % 64 < channels) partial[(blockIdx.x * VALUES + i / 64) * channels + first + i % 64] = s;
  }
  if (!splits_summed<VALUES>(partial, counters + blockIdx.y * split_counters(gridDim.x), blockIdx.x, gridDim.x, channels, first, 64)) return false;
  if (threadIdx.x < 64 && c < channels) {
    double total[VALUES];
#pragma unroll
    for (unsigned v = 0; v < VALUES; v++) total[v] = __ldcg(partial + v * channels + c);
    finish(c, total);
  }
  return true;
}

/** The same from what each thread has: sum(v, k) for channel k of its 8. */
template <unsigned VALUES, class Sum, class Finish>
__device__ __forceinline__ bool finish_tiles(const Sum& sum, double* partial, unsigned* counters, unsigned channels, double* room, Finish finish) {
#pragma unroll
  for (unsigned v = 0; v < VALUES; v++) {
#pragma unroll
    for (unsigned k = 0; k < 8; k++) {
      double s = sum(v, k);
      s += __shfl_xor_sync(kFullWarp, s, 8);
      s += __shfl_xor_sync(kFullWarp, s, 16);
      if (threadIdx.x % 32 < 8) room[(threadIdx.x / 32 * VALUES + v) * 64 + k * 8 + threadIdx.x % 8] = s;
    }
  }
  return finish_tiles<VALUES>(room, partial, counters, channels, finish);
}

template <class E> struct UnitStatistics {
  double* partial;   // null where y alone is wanted
  unsigned* counters;
  E* y;              // its rows lie pitch values apart
  const E* added;    // what is added to a product before its statistics are taken
  float *mean, *inverse, *runningMean, *runningVar;   // without runningMean, runningVar takes what it would move to
  FIELD(float, momentum);
  FIELD(float, epsilon);
  FIELD(int, unbiased);
  FIELD(unsigned, rows);
  FIELD(unsigned, channels);
  FIELD(unsigned, pitch);

  /** From the sums of y - from and of its square over channel c. */
  __device__ __forceinline__ void finish(unsigned c, const double (&total)[2], float from) const {
    Moments of(total[0], total[1], from, rows, epsilon, unbiased);
    mean[c] = of.mean;
    inverse[c] = of.inverse;
    if (runningMean) move_running(runningMean, runningVar, c, of.mean, of.var, momentum);
    else runningVar[c] = of.var;
  }
};

template <class E> struct UnitForward {
  unsigned* bits;
  E* z;
  float *centre, *distance;
  Unit<E> unit;
  Binarization next;
  FIELD(unsigned, rows);
  FIELD(unsigned, channels);
  FIELD(int, p);
  FIELD(int, q);

  /** The two values of the next set. */
  __device__ __forceinline__ void give_set() const {
    if (next.kind != 2) return;
    float alpha = next.alpha[0], beta = next.beta[0];
    centre[0] = next.codeForm ? alpha * beta : beta;
    distance[0] = alpha;
  }

  /** Asks for what z of W channels of a row takes beside y. */
  template <unsigned W> __device__ __forceinline__ Ahead<E, W> ask(unsigned row, unsigned c, Live live) const {
    Ahead<E, W> x;
    unit.shortcut.ask(x, row * channels + c, live);
    return x;
  }

  /** z of W channels of a row, from their y in t and what was asked; the result has their bits, the first lowest. */
  template <int KNOWN, unsigned W>
  __device__ __forceinline__ unsigned of(const NormOf<W>& norm, const NonlinearityOf<W, KNOWN>& f, const Binarization::Set& set, float (&t)[W],
                                         const Ahead<E, W>& x, unsigned row, unsigned c, Live live) const {
    float v[W];
    Packed<E, W> kept;
#pragma unroll
    for (unsigned k = 0; k < W; k++) t[k] = norm.apply(t[k], k);
    unit.shortcut.template add<KNOWN>(t, x, 0, row, c, channels, p, q, live);
    f.values(v, t, live);
    kept.round(v, 0);
    kept.store(z + row * channels + c, live);
    if (!next.kind) return 0;
    unsigned packed = 0;
    if (knows(KNOWN, kCompared) || set.compared()) {
#pragma unroll
      for (unsigned k = 0; k < W; k++) packed |= k < live.count && v[k] >= set.beta ? 1u << k : 0u;
    } else {
#pragma unroll
      for (unsigned k = 0; k < W; k++) packed |= k < live.count && set.bit(v[k]) ? 1u << k : 0u;
    }
    return packed;
  }

  /** The same with what it takes of the channels read here. */
  template <int KNOWN, unsigned W> __device__ __forceinline__ unsigned at(float (&t)[W], const Ahead<E, W>& x, unsigned row, unsigned c, Live live) const {
    return of(NormOf<W>(unit.norm, c, live), NonlinearityOf<W, KNOWN>(unit.f, c, live), next.set(), t, x, row, c, live);
  }

  /** The same from a stored y. */
  template <int KNOWN, unsigned W> __device__ __forceinline__ unsigned run(unsigned row, unsigned c) const {
    float t[W];
    Ahead<E, W> y, x = ask<W>(row, c, kAll);
    y.ask(unit.y + row * channels + c, true);
    y.take(t, 0, kAll);
    return at<KNOWN>(t, x, row, c, kAll);
  }
};

/**
 * What a thread of a block of THREADS adds up for the gradients of the set, with gradQ = g, the slope s and u = (z - beta) / alpha: g, g s, g with the sign
 * of u, g s u.
 */
template <class E, unsigned THREADS> struct SetSums {
  typename TileSum<E>::type of[4] = {};
  double* kept;

  /** room: 4 THREADS doubles of shared memory. */
  __device__ __forceinline__ SetSums(double* room, unsigned lane) : kept(room + lane) {
#pragma unroll
    for (unsigned i = 0; i < 4; i++) kept[i * THREADS] = 0;
  }

  /** 64 values are done. */
  __device__ __forceinline__ void keep() {
    if constexpr (sizeof(E) == 2) {
#pragma unroll
      for (unsigned i = 0; i < 4; i++) kept[i * THREADS] += double(of[i]), of[i] = 0;
    }
  }

  __device__ __forceinline__ double operator()(unsigned i) const { return kept[i * THREADS] + double(of[i]); }
};

/** Tiles whose rows are added in registers before they are kept. */
template <class E> constexpr unsigned kKeptTiles = sizeof(E) == 2 ? 4 : 1;

/**
 * What a thread of a block of tiles adds up in backward: gradT, gradT xhat, the two slopes; what the set's gradients take. The rows of kKeptTiles tiles are
 * added in registers, then those of four threads of the same channels, 4 i to 4 i + 3 of the block's 16 rows of threads, each of which gets 8 of the 32 sums
 * to keep as double. DISTANCE lanes lie between two such rows.
 */
template <class E, unsigned DISTANCE = 8> struct BackwardSums {
  using S = typename TileSum<E>::type;
  struct OfSet {
    S of[4] = {};
  };
  S of[4][8] = {};
  OfSet ofSet;
  unsigned lane, which;   // thread of unit_backward.cu that has the same rows and channels; the value that this thread keeps
  double* kept;
  double ofWhich = 0;     // of the set
  unsigned tiles = 0;

  /** room: kTileSums<4> doubles of shared memory. */
  __device__ __forceinline__ explicit BackwardSums(double* room, unsigned lane = threadIdx.x)
      : lane(lane), which(lane / 8 % 2 * 2 + lane / 16 % 2), kept(room + (lane / 32 * 4 + which) * 64 + lane % 8) {
#pragma unroll
    for (unsigned k = 0; k < 8; k++) kept[k * 8] = 0;
  }

  /** A tile is done; the whole block calls. */
  __device__ __forceinline__ void keep() {
    share<2>([&](unsigned i) -> S& { return ofSet.of[i]; }, which / 2, DISTANCE);
    share<1>([&](unsigned i) -> S& { return ofSet.of[i]; }, which % 2, 2 * DISTANCE);
    ofWhich += double(ofSet.of[0]);
#pragma unroll
    for (unsigned i = 0; i < 4; i++) ofSet.of[i] = 0;
    if (++tiles % kKeptTiles<E> == 0) keep_rows();
  }

  __device__ __forceinline__ void keep_rows() {
    share<16>([&](unsigned i) -> S& { return of[i / 8][i % 8]; }, which / 2, DISTANCE);
    share<8>([&](unsigned i) -> S& { return of[i / 8][i % 8]; }, which % 2, 2 * DISTANCE);
#pragma unroll
    for (unsigned k = 0; k < 8; k++) kept[k * 8] += double(of[0][k]);
#pragma unroll
    for (unsigned i = 0; i < 32; i++) of[i / 8][i % 8] = 0;
  }

  /** What this thread has of value i of the set. */
  __device__ __forceinline__ double operator()(unsigned i) const { return i == which ? ofWhich : 0.0; }

 private:
  /** Of 2 N sums each of two threads gets N, of both. */
  template <unsigned N, class At> static __device__ __forceinline__ void share(At at, bool upper, unsigned distance) {
#pragma unroll
    for (unsigned i = 0; i < N; i++) {
      S low = at(i), high = at(N + i), mine = upper ? high : low, other = upper ? low : high;
      at(i) = mine + __shfl_xor_sync(kFullWarp, other, int(distance));
    }
  }
};

/** sum + a and sum + a b, each rounded as written, so that every pass that adds up the same has the same bits: a float takes the product unrounded. */
__device__ __forceinline__ float plus(float sum, float a) { return __fadd_rn(sum, a); }
__device__ __forceinline__ double plus(double sum, float a) { return sum + double(a); }
__device__ __forceinline__ float plus(float sum, float a, float b) { return fmaf(a, b, sum); }
__device__ __forceinline__ double plus(double sum, float a, float b) { return sum + double(__fmul_rn(a, b)); }

/** g with its sign turned where u is negative. */
__device__ __forceinline__ float turned(float g, float u) { return __uint_as_float(__float_as_uint(g) ^ (__float_as_uint(u) & 0x80000000u)); }

/** The gradient at z: of the binarization of z where gradQ is given, and of a shortcut from z (kind as in Shortcut). */
template <class E> struct Incoming {
  const E *gradQ, *z;
  FIELD(int, slopeKind);
  FIELD(float, slopeA);
  FIELD(float, slopeB);
  Binarization set;
  Shortcut<E> over;   // h, w, d: extents of the shortcut's result

  /** Whether AdaBin's slope and set are what comes in. */
  __device__ __forceinline__ bool adabin() const { return gradQ && set.kind == 2 && slopeKind == 2; }
  __device__ __forceinline__ bool plain() const { return !gradQ || Slope{slopeKind, slopeA, slopeB}.plain(); }

  /** f(what gives the slope at u over shares<KNOWN>()): the half of AdaBin's is one instruction, and what is made of it has the same bits. */
  template <int KNOWN, class F> __device__ __forceinline__ void with_slope(F f) const {
    if (knows(KNOWN, kAdaBin) || (knows(KNOWN, kPlain) && slopeKind == 2)) {
      f([](float u) { return 2 / shares<KNOWN>() * __saturatef(1 - fabsf(u)); });
    } else if (knows(KNOWN, kPlain)) {
      Slope{slopeKind, slopeA, slopeB}.with_plain(f);
    } else {
      f([of = Slope{slopeKind, slopeA, slopeB}](float u) { return of.slope(u); });
    }
  }

  /** 2 where slopes are given in halves. */
  template <int KNOWN> static constexpr __device__ float shares() { return knows(KNOWN, kAdaBin) ? 2.0f : 1.0f; }

  /** The set's two values and what follows from them, read once. */
  struct Set {
    float alpha = 1, beta = 0, inverse, weight, added;
  };

  template <int KNOWN> __device__ __forceinline__ Set the_set() const {
    Set of;
    if (knows(KNOWN, kAdaBin) || set.kind == 2) of.alpha = set.alpha[0], of.beta = set.beta[0];
    of.inverse = 1 / of.alpha, of.weight = set.codeForm ? of.alpha : 1.0f, of.added = set.codeForm ? of.beta : 0.0f;
    return of;
  }

  /** Both gradients at W channels, as far as they are read as they are. */
  template <int KNOWN, unsigned W> struct Asked {
    Ahead<E, W, knows(KNOWN, kPlain)> gradQ, over;
  };

  template <int KNOWN, unsigned W> __device__ __forceinline__ Asked<KNOWN, W> ask(unsigned i, Live live) const {
    Asked<KNOWN, W> asked;
    if (knows(KNOWN, kAdaBin) || gradQ) asked.gradQ.ask(gradQ + i, live.together);
    if (knows(KNOWN, kJoined) || over.kind == 1) asked.over.ask(over.x + i, live.together);
    return asked;
  }

  /** g, at W channels of a row whose z are x; asked: what was asked, from `from` on for these. */
  template <int KNOWN, unsigned W, class A, class Sums>
  __device__ __forceinline__ void at(float (&g)[W], const float (&x)[W], const A& asked, const Set& of, unsigned from, unsigned row, unsigned c, unsigned channels,
                                     int height, int width, Sums& ofSet, Live live) const {
    bool binary = knows(KNOWN, kAdaBin) || gradQ;
    if (binary) {
      asked.gradQ.take(g, from, live);
      with_slope<KNOWN>([&](auto slope) {
#pragma unroll
        for (unsigned k = 0; k < W; k++) {
          if (knows(KNOWN, kAdaBin) || set.kind == 2) {
            float u = (x[k] - of.beta) * of.inverse + 0.0f;
            ofSet.of[0] = plus(ofSet.of[0], g[k]);
            ofSet.of[2] = plus(ofSet.of[2], turned(g[k], u));
            g[k] = __fmul_rn(g[k], slope(u));
            ofSet.of[1] = plus(ofSet.of[1], g[k]);
            ofSet.of[3] = plus(ofSet.of[3], g[k], u);
            g[k] *= shares<KNOWN>();
          } else {
            g[k] = __fmul_rn(g[k], slope(x[k]));
          }
        }
      });
    }
    if (knows(KNOWN, kJoined) || over.kind == 1) {
      float v[W];
      asked.over.take(v, from, live);
#pragma unroll
      for (unsigned k = 0; k < W; k++) g[k] = binary ? g[k] + v[k] : v[k];
    } else if (!knows(KNOWN, kStraight) && over.kind == 2) {
      spread(g, row, c, channels, height, width, live);
    }
  }

  /** The same from the stored z. */
  template <int KNOWN, unsigned W, class Sums>
  __device__ __forceinline__ void of_stored(float (&g)[W], const Set& of, unsigned row, unsigned c, unsigned channels, int p, int q, Sums& ofSet) const {
    unsigned i = row * channels + c;
    float x[W] = {};
    Asked<KNOWN, W> asked = ask<KNOWN, W>(i, kAll);
    if (gradQ) load_vector(z + i, x);
    at<KNOWN>(g, x, asked, of, 0, row, c, channels, p, q, ofSet, kAll);
  }

  /** g += what the windows over this pixel give back to it. */
  template <unsigned W>
  __device__ __forceinline__ void spread(float (&g)[W], unsigned row, unsigned c, unsigned channels, int height, int width, Live live) const {
    int n = int(row) / width / height, h = int(row) / width % height, w = int(row) % width, window = over.window, stride = over.stride;
    int p0 = h - window + 1 <= 0 ? 0 : (h - window + stride) / stride, p1 = min(h / stride + 1, over.h);
    int q0 = w - window + 1 <= 0 ? 0 : (w - window + stride) / stride, q1 = min(w / stride + 1, over.w);
    float factor = 1.0f / (window * window);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      float sum = 0;
      for (int p = p0; p < p1 && k < live.count; p++) {
#pragma unroll 1
        for (int q = q0; q < q1; q++) sum = multiply_add(factor, load(over.x + ((n * over.h + p) * over.w + q) * over.d + (over.d - int(channels)) / 2 + int(c + k)), sum);
      }
      g[k] = gradQ ? g[k] + sum : sum;
    }
  }

  /** A thread's part of the gradients of the set's two values. */
  template <int KNOWN, class Sums> __device__ __forceinline__ void give(double (&to)[2], const Sums& sums) const {
    Set of = the_set<kAnything>();
    to[0] = sums(2) + of.added * sums(0) - shares<KNOWN>() * sums(3);
    to[1] = of.weight * sums(0) - shares<KNOWN>() * sums(1);
  }
};

/** A block's part of the gradients of the set's two values, from what its threads have of them, in a tree; tile: 2 THREADS doubles of shared memory. */
template <unsigned THREADS> __device__ __forceinline__ void sum_set(double* tile, unsigned lane, const double (&mine)[2], double* to) {
  unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
  tile[lane] = mine[0], tile[THREADS + lane] = mine[1];
  __syncthreads();
  for (unsigned half = THREADS / 2; half > 0; half /= 2) {
    if (thread < half) tile[thread] += tile[thread + half], tile[THREADS + thread] += tile[THREADS + thread + half];
    __syncthreads();
  }
  if (thread == 0) to[0] = tile[0], to[1] = tile[THREADS];
}

/** The set's two gradients from the sums of `blocks` blocks, by one of them. */
template <unsigned THREADS> __device__ __forceinline__ void finish_set(const double* ofSet, unsigned blocks, double* tile, float* gradAlpha, float* gradBeta) {
  unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
  double sum[2] = {}, total[2];
  for (unsigned i = thread; i < blocks; i += THREADS) {
    sum[0] += __ldcg(ofSet + 2 * i);
    sum[1] += __ldcg(ofSet + 2 * i + 1);
  }
  sum_set<THREADS>(tile, thread, sum, total);
  if (thread == 0) gradAlpha[0] = float(total[0]), gradBeta[0] = float(total[1]);
}

/** Norm and nonlinearity of 8 channels: read where they are needed, 4 at a time, or held in registers over the rows. */
template <int KNOWN> struct PartOfUnit {
  NormOf<4> norm;
  NonlinearityOf<4, KNOWN> f;
};

template <int KNOWN, class E> struct UnitRead {
  const Unit<E>& unit;

  __device__ __forceinline__ PartOfUnit<KNOWN> part(unsigned from, unsigned c, Live live) const {
    return {NormOf<4>(unit.norm, c + from, live), NonlinearityOf<4, KNOWN>(unit.f, c + from, live)};
  }
};

template <int KNOWN> struct UnitHeld {
  NormOf<8> norm;
  NonlinearityOf<8, KNOWN> f;

  template <class E> __device__ __forceinline__ UnitHeld(const Unit<E>& unit, unsigned c, Live live) : norm(unit.norm, c, live), f(unit.f, c, live) {}

  __device__ __forceinline__ PartOfUnit<KNOWN> part(unsigned from, unsigned, Live) const { return {norm.template part<4>(from), f.template part<4>(from)}; }
};

template <class E> struct UnitBackward {
  E* gradT;
  double *partial, *ofSet;
  unsigned* counters;
  float *gradAlpha, *gradBetaOfSet;
  UnitSums to;
  Incoming<E> g;
  Unit<E> unit;
  FIELD(unsigned, rows);
  FIELD(unsigned, channels);
  FIELD(int, p);
  FIELD(int, q);

  /**
   * Beside bfloat16 elements the sums are shorter: y - mean stands for xhat, and is multiplied by the inverse deviation at the end; t stands for its negative
   * part, and the positive one is taken from it at the end.
   */
  static constexpr bool kShort = sizeof(E) == 2;

  /** What 8 channels of a row take beside y. */
  template <int KNOWN> struct Asked {
    Ahead<E, 8, knows(KNOWN, kPlain)> x;
    typename Incoming<E>::template Asked<KNOWN, 8> g;
  };

  /** f(what, where, its number of kArrays) for all that the straight way reads beside y, each as part of `asked`. */
  template <int KNOWN, class F> __device__ __forceinline__ void each_beside(Asked<KNOWN>& asked, F f) const {
    if (knows(KNOWN, kAdaBin) || g.gradQ) f(asked.g.gradQ, g.gradQ, 1u);
    if (knows(KNOWN, kJoined) || unit.shortcut.kind == 1) f(asked.x, unit.shortcut.x, 2u);
    if (knows(KNOWN, kJoined) || g.over.kind == 1) f(asked.g.over, g.over.x, 3u);
  }

  static constexpr unsigned kArrays = 4;

  __device__ __forceinline__ bool plain() const { return unit.f.plain() && g.plain(); }
  __device__ __forceinline__ bool joined() const { return unit.shortcut.kind == 1 && g.over.kind == 1; }
  __device__ __forceinline__ bool straight() const { return channels % 8 == 0 && unit.shortcut.kind != 2 && g.over.kind != 2; }

  template <int KNOWN> __device__ __forceinline__ Asked<KNOWN> ask(unsigned row, unsigned c, Live live) const {
    Asked<KNOWN> asked;
    unit.shortcut.template ask<KNOWN>(asked.x, row * channels + c, live);
    asked.g = g.template ask<KNOWN, 8>(row * channels + c, live);
    return asked;
  }

  /** From y of 8 channels of a row, which gives z once more, and what was asked: gradT, and what the row adds to the sums. */
  template <int KNOWN, class P, class Sums>
  __device__ __forceinline__ void at(const float (&y)[8], const Asked<KNOWN>& asked, const P& of, const typename Incoming<E>::Set& set, unsigned row, unsigned c, Live live,
                                     Sums& sums) const {
    constexpr bool PLAIN = knows(KNOWN, kPlain);
    Packed<E, 8> kept;
#pragma unroll
    for (unsigned from = 0; from < 8; from += 4) {   // 4 at a time, for want of registers
      Live some = live.behind(from);
      float g4[4], t[4], z[4];
      Packed<E, 4> ofZ, four;
      PartOfUnit<KNOWN> part = of.part(from, c, some);
      const NormOf<4>& norm = part.norm;
      const NonlinearityOf<4, KNOWN>& f = part.f;
#pragma unroll
      for (unsigned k = 0; k < 4; k++) t[k] = norm.apply(y[from + k], k);
      unit.shortcut.template add<KNOWN>(t, asked.x, from, row, c + from, channels, p, q, some);
      f.values(z, t, some);
      ofZ.round(z, 0);
      g.template at<KNOWN>(g4, z, asked.g, set, from, row, c + from, channels, p, q, sums.ofSet, some);
      if (knows(KNOWN, kAdaBin) || f.kind == 1) {
#pragma unroll
        for (unsigned k = 0; k < 4; k++) {
          sums.of[2][from + k] = plus(sums.of[2][from + k], g4[k], fmaxf(t[k], 0.0f));
          sums.of[3][from + k] = plus(sums.of[3][from + k], g4[k], kShort ? t[k] : fminf(t[k], 0.0f));
        }
      }
      f.all_back(g4, t, some);
#pragma unroll
      for (unsigned k = 0; k < 4; k++) {
        sums.of[0][from + k] = plus(sums.of[0][from + k], g4[k]);
        sums.of[1][from + k] = plus(sums.of[1][from + k], g4[k], kShort ? norm.deviation(y[from + k], k) : norm.hat(y[from + k], k));
      }
      if (PLAIN) kept.round(g4, from);
      else four.round(g4, 0), four.store(gradT + row * channels + c + from, some);
    }
    if (PLAIN) kept.store(gradT + row * channels + c, live);
  }

  /** The gradients from all blocks' sums, which lie in room; tile: 256 doubles of shared memory that no thread needs any more. */
  template <int KNOWN = kAnything, class Sums> __device__ __forceinline__ void finish(Sums& sums, double* room, double* tile) const {
    bool set = knows(KNOWN, kAdaBin) || g.set.kind == 2;
    sums.keep_rows();
    __syncthreads();
    if (set) {
      double mine[2];
      g.template give<KNOWN>(mine, sums);
      sum_set<128>(tile, sums.lane, mine, ofSet + 2 * (blockIdx.y * gridDim.x + blockIdx.x));
    }
    bool last = finish_tiles<4>(room, partial, counters, channels, [&](unsigned c, double (&total)[4]) {
      if (kShort) total[1] *= unit.norm.inverse[c], total[3] -= total[2];
      to.finish(c, total, rows, unit.norm);
    });
    // the last blocks of each 64 channels: behind them lie all others
    if (!set || !last || !last_block(counters + gridDim.y * split_counters(gridDim.x), gridDim.y)) return;
    finish_set<128>(ofSet, gridDim.x * gridDim.y, tile, gradAlpha, gradBetaOfSet);
  }
};

template <class E> struct UnitBackwardApply {
  E* gradY;
  const E *gradT, *y;
  const float *meanG, *meanGx;
  Norm norm;
  FIELD(unsigned, n);
  FIELD(unsigned, channels);

  /** The two means of W channels. */
  template <unsigned W> struct Means {
    float ofG[W], ofGx[W];

    __device__ __forceinline__ Means(const UnitBackwardApply& a, unsigned c, Live live) {
      load_live(a.meanG + c, ofG, live);
      load_live(a.meanGx + c, ofGx, live);
    }
  };

  /** gradY of W channels of index i, from their y and gradT, which is in g. */
  template <unsigned W>
  __device__ __forceinline__ void of(const NormOf<W>& norm, const Means<W>& means, float (&g)[W], const float (&y)[W], unsigned i, Live live) const {
#pragma unroll
    for (unsigned k = 0; k < W; k++) g[k] = norm.back(g[k], means.ofG[k], means.ofGx[k], y[k], k);
    store_live(gradY + i, g, live);
  }

  /** The same with what it takes beside y read here. */
  template <unsigned W> __device__ __forceinline__ void at(const float (&y)[W], unsigned i, unsigned c, Live live) const {
    float g[W];
    load_live(gradT + i, g, live);
    of(NormOf<W>(norm, c, live), Means<W>(*this, c, live), g, y, i, live);
  }
};
