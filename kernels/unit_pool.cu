// unit_pool.cu -- what follows a real convolution: batch norm, nonlinearity and max pooling, with nothing kept but the convolution's result
//
//   t = batch norm(y), z = the largest f(t) of the window, chosen = which of the window it is, the first in row order; null where it has one pixel
//   unit_pool_forward         z and chosen
//   unit_pool_backward        gradGamma, gradBeta, gradPositive, gradNegative; the gradient of t is gathered from gradZ and never stored
//   unit_pool_backward_apply  gradY, which may take the place of y
//
// Shapes     y, gradY N,H,W,C; z, gradZ N,P,Q,C; chosen N,P,Q,C bytes: 16 row + column in the window; partial [splits][4][C] double,
//            of which two are used without Maxout
//            images are float, or bfloat16 in the entries named _bf16; the rest is float
// Launch     unit_pool_forward block 256, unit_pool_backward_apply block 128, any grid; unit_pool_backward block 128, grid (any number of splits,
//            ceil(C / 64))
// Limits     N * H * W * C < 2^31; window <= 15; counters hold 0 before and after
// Exactness  values in the operations of batch_norm.cu, maxout.cu, activate.cu and pool.cu, the sign of a zero aside; where the largest is NaN
//            chosen is some pixel of the window. Sums are double in the order of unit_passes.cuh. Beside bfloat16 elements gradients are rounded when
//            gradY is stored, not before; the 32 terms that a thread has of 4 tiles are first added in float, off by at most 2^-19 of the sum of
//            their sizes; gradients are made of the sums at the end (kInParts); for windows of 3 and 2 by steps of 2 gradY has its factors multiplied in
//            (GradientOfY)
// Twin       src/main/java/onebit/ops/cpu/CpuFusedOps.java, poolForward, poolBackward
// Tests      native-tests/unit_test.cpp, src/test/java/onebit/ops/FusedOpsTest.java
// Source     Ioffe and Szegedy 2015, arXiv 1502.03167; anchors/performance.md section 7, stem
// Rungs      1 seven simple launches, 2 one pass forward, two backward, 3 windows of 3 by steps of 2: all loads asked for at once, 4 a thread has 4
//            channels and goes down 8 rows of such windows: a pixel's value is computed once in forward and compared two channels a word; sums take
//            the chosen pixel of a window instead of what a pixel is given; windows of one pixel are rows, several asked for at once,
//            5 windows of 2 by steps of 2 have 4 pixels each, two windows asked for at once
#ifndef ELEMENT
#include "unit_pool.cuh"

/** The rows of windows of 3 that a thread goes down in one column of an image, numbered by groups of channels, columns, parts of a column, images. */
struct Walk {
  unsigned column, from, to, image;

  /** unit: its number without the channels; columns: so many lie in a row. */
  __device__ __forceinline__ Walk(unsigned unit, unsigned rows, const Divisor& overColumns, const Divisor& overParts) {
    unsigned part;
    image = overParts.divide(overColumns.divide(unit, column), part);
    from = part * kWalk, to = min(rows, from + kWalk);
  }

  /** Into how many parts a column of so many rows falls. */
  static __device__ __forceinline__ unsigned parts(unsigned rows) { return (rows + kWalk - 1) / kWalk; }
};

/** A row of pixels under two neighbouring windows of 3: the largest of each window, and its place in it. */
template <class E> struct ThreeAlong {
  static constexpr unsigned N = Words<E>::kCount;
  unsigned largest[2][N], code[2][N];

  /** pixel: 5 neighbours' values; left: ones where the first is inside the image; row: what a code has of the row. */
  __device__ __forceinline__ void find(const unsigned (&pixel)[5][N], unsigned left, unsigned row) {
    using V = Words<E>;
#pragma unroll
    for (unsigned i = 0; i < 2 * N; i++) {
      unsigned window = i / N, word = i % N, a = pixel[2 * window][word], b = pixel[2 * window + 1][word];
      unsigned most = V::larger(V::larger(a, b), pixel[2 * window + 2][word]), first = V::equal(a, most), behind = (V::equal(b, most) & 3 * V::kOnes) ^ 2 * V::kOnes;
      if (window == 0) first &= left;
      largest[window][word] = most, code[window][word] = (behind & ~first) | row * V::kOnes;
    }
  }
};

/** Windows of 3 by steps of 2: a thread goes down two columns of windows, so that the lowest row of one is found once for it and the next. */
template <unsigned KIND, class E> __device__ __forceinline__ void forward_threes(const UnitPoolForward<E>& a) {
  using V = Words<E>;
  constexpr unsigned N = V::kCount;
  unsigned p = unsigned(a.windows.p), q = unsigned(a.windows.q), groups = a.channels / kLane, pairs = (q + 1) / 2, line = 2 * q * a.channels;
  unsigned units = a.n / (p * q * a.channels) * Walk::parts(p) * pairs * groups;
  Divisor overGroups(groups), overPairs(pairs), overParts(Walk::parts(p));
  FOR_EACH(i, units) {
    unsigned group;
    Walk walk(overGroups.divide(i, group), p, overPairs, overParts);
    unsigned c = group * kLane, column = 2 * walk.column;
    bool two = column + 1 < q;
    unsigned left = column == 0 ? 0u : ~0u, before = left & a.channels, second = two ? 2 * a.channels : 0, third = two ? 3 * a.channels : 0;
    PoolUnit<KIND> unit(a.norm, a.f, c);
    unsigned at = (walk.image * 2 * p + 2 * walk.from) * line + 2 * column * a.channels + c, to = ((walk.image * p + walk.from) * q + column) * a.channels + c;
    auto ask = [&](unsigned (&pixel)[5][N], unsigned from) {   // what lies outside is read from within, and never found
      load_words(a.y + from - before, pixel[0]);
      load_words(a.y + from, pixel[1]);
      load_words(a.y + from + a.channels, pixel[2]);
      load_words(a.y + from + second, pixel[3]);
      load_words(a.y + from + third, pixel[4]);
    };
    auto values = [&](unsigned (&pixel)[5][N]) {
#pragma unroll
      for (unsigned k = 0; k < 5; k++) unit.template value<E>(pixel[k]);
    };
    ThreeAlong<E> upper, middle, lower;
    if (walk.from > 0) {
      unsigned pixel[5][N];
      ask(pixel, at - line);
      values(pixel);
      upper.find(pixel, left, 0);
    } else {
#pragma unroll
      for (unsigned k = 0; k < 2 * N; k++) upper.largest[k / N][k % N] = V::kLowest, upper.code[k / N][k % N] = place_code(1, 1) * V::kOnes;
    }
#pragma unroll 1
    for (unsigned row = walk.from; row < walk.to; row++) {
      unsigned pixel[5][N], below[5][N];
      ask(pixel, at);
      ask(below, at + line);
      values(pixel);
      middle.find(pixel, left, place_code(1, 0));
      values(below);
      lower.find(below, left, 0);
#pragma unroll
      for (unsigned window = 0; window < 2; window++) {
        unsigned most[N], code[N];
#pragma unroll
        for (unsigned k = 0; k < N; k++) {
          unsigned first = upper.largest[window][k], next = middle.largest[window][k];
          most[k] = V::larger(V::larger(first, next), lower.largest[window][k]);
          unsigned inMiddle = V::equal(next, most[k]);
          code[k] = select(V::equal(first, most[k]), upper.code[window][k],
                           select(inMiddle, middle.code[window][k], lower.code[window][k]) | (~inMiddle & place_code(2, 0) * V::kOnes));
        }
        if (window && !two) continue;
        store_words(a.z + to + window * a.channels, most);
        *reinterpret_cast<unsigned*>(a.chosen + to + window * a.channels) = V::bytes(code);
      }
      upper = lower;
      at += 2 * line, to += q * a.channels;
    }
  }
}

/** f(row) for rows from the first on that lie `step` apart, so many of them asked for at once: ask(slot, row) for all, then take(slot, row). */
template <unsigned AT_ONCE = kRowsAtOnce, class Ask, class Take>
__device__ __forceinline__ void rows_at_once(unsigned first, unsigned end, unsigned step, Ask ask, Take take) {
#pragma unroll 1
  for (unsigned row = first; row < end; row += AT_ONCE * step) {
#pragma unroll
    for (unsigned i = 0; i < AT_ONCE; i++) {
      if (row + i * step < end) ask(i, row + i * step);
    }
#pragma unroll
    for (unsigned i = 0; i < AT_ONCE; i++) {
      if (row + i * step < end) take(i, row + i * step);
    }
  }
}

/** f(c, first, step) for a thread's own channels and rows, whatever the grid: every step-th row from the first on. */
template <class F> __device__ __forceinline__ void own_rows(unsigned channels, F f) {
  unsigned groups = channels / kLane, step = max(1u, gridDim.x * blockDim.x / groups);
  Divisor overGroups(groups);
  FOR_EACH(i, step * groups) {
    unsigned group, first = overGroups.divide(i, group);
    f(group * kLane, first, step);
  }
}

/** Windows of one pixel. */
template <unsigned KIND, class E> __device__ __forceinline__ void forward_ones(const UnitPoolForward<E>& a) {
  own_rows(a.channels, [&](unsigned c, unsigned first, unsigned step) {
    PoolUnit<KIND> unit(a.norm, a.f, c);
    unsigned w[kRowsAtOnce][Words<E>::kCount];
    rows_at_once(first, a.n / a.channels, step, [&](unsigned i, unsigned row) { load_words(a.y + row * a.channels + c, w[i]); },
                 [&](unsigned i, unsigned row) {
                   unit.template value<E>(w[i]);
                   store_words(a.z + row * a.channels + c, w[i]);
                 });
  });
}

/** Windows of 2 by steps of 2. */
template <unsigned KIND, class E> __device__ __forceinline__ void forward_twos(const UnitPoolForward<E>& a) {
  using V = Words<E>;
  Twos twos(a.windows, a.channels);
  own_rows(a.channels, [&](unsigned c, unsigned first, unsigned step) {
    PoolUnit<KIND> unit(a.norm, a.f, c);
    unsigned pixel[2][4][V::kCount];
    rows_at_once<2>(first, a.n / a.channels, step, [&](unsigned i, unsigned window) { twos.load(a.y, twos.pixel(window) + c, pixel[i]); },
                    [&](unsigned i, unsigned window) {
      unsigned most[V::kCount], code[V::kCount];
#pragma unroll
      for (unsigned k = 0; k < 4; k++) unit.template value<E>(pixel[i][k]);
#pragma unroll
      for (unsigned k = 0; k < V::kCount; k++) {
        const unsigned z[4] = {pixel[i][0][k], pixel[i][1][k], pixel[i][2][k], pixel[i][3][k]};
        most[k] = V::larger(V::larger(z[0], z[1]), V::larger(z[2], z[3]));
        code[k] = select(V::equal(z[0], most[k]), 0, select(V::equal(z[1], most[k]), place_code(0, 1) * V::kOnes,
                                                           select(V::equal(z[2], most[k]), place_code(1, 0) * V::kOnes, place_code(1, 1) * V::kOnes)));
      }
      store_words(a.z + window * a.channels + c, most);
      *reinterpret_cast<unsigned*>(a.chosen + window * a.channels + c) = V::bytes(code);
    });
  });
}

/** Windows of any shape: W channels a thread. */
template <unsigned KIND, class E> __device__ __forceinline__ void forward_any(const UnitPoolForward<E>& a) {
  const Windows& k = a.windows;
  Divisor overQ(unsigned(k.q)), overP(unsigned(k.p)), overGroups((a.channels + kLane - 1) / kLane);
  FOR_EACH(i, a.n / a.channels * overGroups.by) {
    unsigned group, down, along, pixel = overGroups.divide(i, group), c = group * kLane, to = pixel * a.channels + c;
    int n = int(overP.divide(overQ.divide(pixel, along), down)), top = int(down) * k.stride - k.pad, left = int(along) * k.stride - k.pad;
    Live live{min(kLane, a.channels - c), a.channels % kLane == 0};
    PoolUnit<KIND> unit(a.norm, a.f, c, live);
    float best[kLane] = {};
    unsigned which[kLane] = {}, first = place_code(unsigned(max(0, -top)), unsigned(max(0, -left)));
    for (int h = max(0, top); h < min(k.h, top + k.size); h++) {
#pragma unroll 1
      for (int w = max(0, left); w < min(k.w, left + k.size); w++) {
        unsigned here = place_code(unsigned(h - top), unsigned(w - left));
        float v[kLane];
        load_live(a.y + ((n * k.h + h) * k.w + w) * a.channels + c, v, live);
#pragma unroll
        for (unsigned j = 0; j < kLane; j++) {
          if (j >= live.count) break;
          v[j] = rounded<E>(unit.f.value(unit.norm.apply(v[j], j), j));
          if (here == first || v[j] > best[j]) which[j] = here;
          if (here == first || v[j] > best[j] || v[j] != v[j]) best[j] = v[j];
        }
      }
    }
    store_live(a.z + to, best, live);
    if (!a.chosen) continue;
    if (live.together) {
      *reinterpret_cast<unsigned*>(a.chosen + to) = Words<float>::bytes(which);
    } else {
#pragma unroll
      for (unsigned j = 0; j < kLane; j++) if (j < live.count) a.chosen[to + j] = static_cast<unsigned char>(which[j]);
    }
  }
}

/** Threads of a block of tiles that have the same channels. */
constexpr unsigned kTileLanes = 8;

__device__ __forceinline__ unsigned pool_channel() { return blockIdx.y * 64 + threadIdx.x % 16 * kLane; }

/** Sums over the windows of 3 by steps of 2, each of which gives to the one pixel that it chose: a tile is 8 columns of windows, kWalk rows of them. */
template <unsigned KIND, class E> __device__ __forceinline__ void sum_threes(const UnitPoolBackward<E>& a, double* kept) {
  constexpr unsigned N = Words<E>::kCount;
  unsigned p = unsigned(a.windows.p), q = unsigned(a.windows.q), line = 2 * q * a.channels, c = pool_channel();
  unsigned units = a.rows / (4 * p * q) * Walk::parts(p) * q;
  if (c >= a.channels) return;
  Divisor overColumns(q), overParts(Walk::parts(p));
  PoolUnit<KIND> unit(a.norm, a.f, c);
  PoolSums<KIND, E> sums(unit, kept);
  for (unsigned tile = blockIdx.x * kTileLanes; tile < units; tile += gridDim.x * kTileLanes) {
    unsigned i = tile + threadIdx.x / 16;
    if (i < units) {
      Walk walk(i, p, overColumns, overParts);
      unsigned at = (walk.image * 2 * p + 2 * walk.from) * line + 2 * walk.column * a.channels + c, before = walk.column == 0 ? 0 : a.channels;
      unsigned from = ((walk.image * p + walk.from) * q + walk.column) * a.channels + c, above[3][N];
      auto ask = [&](unsigned (&pixel)[3][N], unsigned first) {   // what lies outside is read from within, and chosen by none
        load_words(a.y + first - before, pixel[0]);
        load_words(a.y + first, pixel[1]);
        load_words(a.y + first + a.channels, pixel[2]);
      };
      ask(above, walk.from == 0 ? at : at - line);
#pragma unroll 1
      for (unsigned row = walk.from; row < walk.to; row++) {
        unsigned middle[3][N], below[3][N], given[N], code = *reinterpret_cast<const unsigned*>(a.chosen + from), word[N];
        ask(middle, at);
        ask(below, at + line);
        load_words(a.gradZ + from, given);
        auto pick = [&](auto j) {
          constexpr unsigned J = decltype(j)::value;
          unsigned column1 = pair_masks<J>(code << 7), column2 = pair_masks<J>(code << 6), row1 = pair_masks<J>(code << 3), row2 = pair_masks<J>(code << 2);
          auto along = [&](const unsigned (&pixel)[3][N]) { return select(column2, pixel[2][J], select(column1, pixel[1][J], pixel[0][J])); };
          word[J] = select(row2, along(below), select(row1, along(middle), along(above)));
        };
        pick(Width<0>{}), pick(Width<1>{});
        sums.add_words(word, given);
#pragma unroll
        for (unsigned k = 0; k < 3 * N; k++) above[k / N][k % N] = below[k / N][k % N];
        at += 2 * line, from += q * a.channels;
      }
    }
    sums.tile();
  }
  sums.keep();
}

/** Sums over the windows of 2 by steps of 2, 64 of them a tile: each gives to the one pixel that it chose. */
template <unsigned KIND, class E> __device__ __forceinline__ void sum_twos(const UnitPoolBackward<E>& a, double* kept) {
  constexpr unsigned N = Words<E>::kCount;
  unsigned c = pool_channel(), windows = a.rows / 4;
  if (c >= a.channels) return;
  Twos twos(a.windows, a.channels);
  PoolUnit<KIND> unit(a.norm, a.f, c);
  PoolSums<KIND, E> sums(unit, kept);
  for (unsigned tile = blockIdx.x * 64; tile < windows; tile += gridDim.x * 64) {
    unsigned pixel[2][4][N], given[2][N], code[2];
    rows_at_once<2>(tile + threadIdx.x / 16, min(windows, tile + 64), kTileLanes, [&](unsigned i, unsigned window) {
      twos.load(a.y, twos.pixel(window) + c, pixel[i]);
      load_words(a.gradZ + window * a.channels + c, given[i]);
      code[i] = *reinterpret_cast<const unsigned*>(a.chosen + window * a.channels + c);
    }, [&](unsigned i, unsigned) {
      unsigned word[N];
      auto pick = [&](auto j) {
        constexpr unsigned J = decltype(j)::value;
        ChosenOfTwo<J> of(code[i]);
        word[J] = select(of.lower, select(of.right, pixel[i][3][J], pixel[i][2][J]), select(of.right, pixel[i][1][J], pixel[i][0][J]));
      };
      pick(Width<0>{}), pick(Width<1>{});
      sums.add_words(word, given[i]);
    });
    sums.tile();
  }
  sums.keep();
}

/** Sums over the rows of this block's tiles, each of kTileLanes * 8 rows; windows of one pixel. */
template <unsigned KIND, class E> __device__ __forceinline__ void sum_ones(const UnitPoolBackward<E>& a, double* kept) {
  constexpr unsigned N = Words<E>::kCount;
  unsigned c = pool_channel();
  if (c >= a.channels) return;
  PoolUnit<KIND> unit(a.norm, a.f, c);
  PoolSums<KIND, E> sums(unit, kept);
  for (unsigned tile = blockIdx.x * 64; tile < a.rows; tile += gridDim.x * 64) {
    unsigned ofY[kRowsAtOnce][N], ofG[kRowsAtOnce][N];
    rows_at_once(tile + threadIdx.x / 16, min(a.rows, tile + 64), kTileLanes,
                 [&](unsigned i, unsigned row) { load_words(a.y + row * a.channels + c, ofY[i]), load_words(a.gradZ + row * a.channels + c, ofG[i]); },
                 [&](unsigned i, unsigned) { sums.add_words(ofY[i], ofG[i]); });
    sums.tile();
  }
  sums.keep();
}

/** The same for windows of any shape. */
template <unsigned KIND, class E> __device__ __forceinline__ void sum_any(const UnitPoolBackward<E>& a, double* kept) {
  unsigned c = pool_channel();
  if (c >= a.channels) return;
  Live live{min(kLane, a.channels - c), a.channels % kLane == 0};
  Divisor overW(unsigned(a.windows.w)), overH(unsigned(a.windows.h));
  PoolUnit<KIND> unit(a.norm, a.f, c, live);
  PoolSums<KIND, E> sums(unit, kept);
  for (unsigned tile = blockIdx.x * 64; tile < a.rows; tile += gridDim.x * 64) {
#pragma unroll 1
    for (unsigned row = tile + threadIdx.x / 16; row < min(a.rows, tile + 64); row += kTileLanes) {
      float g[kLane], y[kLane];
      load_live(a.y + row * a.channels + c, y, live);
      a.gather(g, row, c, live, overW, overH);
#pragma unroll
      for (unsigned k = 0; k < kLane; k++) {
        if (k < live.count) sums.add(g[k], y[k], k);
      }
    }
    sums.tile();
  }
  sums.keep();
}

/**
 * Windows of 3 by steps of 2: a thread goes down a column of windows and has the four pixels in the middle of each, which are no other window's middle;
 * the window itself, the one behind, the one below and the one behind that give to them. The last images come first: their y was read last.
 */
template <unsigned KIND, class E> __device__ __forceinline__ void apply_threes(const UnitPoolBackward<E>& a) {
  constexpr unsigned N = Words<E>::kCount, kNowhere = TwoWindows<E>::kNowhere;
  unsigned p = unsigned(a.windows.p), q = unsigned(a.windows.q), groups = a.channels / kLane, line = 2 * q * a.channels;
  unsigned units = a.rows / (4 * p * q) * Walk::parts(p) * q * groups;
  Divisor overGroups(groups), overColumns(q), overParts(Walk::parts(p));
  FOR_EACH(i, units) {
    unsigned group;
    Walk walk(overGroups.divide(units - 1 - i, group), p, overColumns, overParts);
    unsigned c = group * kLane, at = (walk.image * 2 * p + 2 * walk.from) * line + 2 * walk.column * a.channels + c;
    unsigned from = ((walk.image * p + walk.from) * q + walk.column) * a.channels + c;
    bool last = walk.column + 1 == q;
    unsigned next = last ? 0 : a.channels, noSecond = last ? ~0u : 0u;
    GradientOfY<KIND> gradient(a, c);
    TwoWindows<E> here, below;
    here.ask(a, from, next, 0, noSecond);
#pragma unroll 2
    for (unsigned row = walk.from; row < walk.to; row++) {
      bool bottom = row + 1 == p;
      unsigned y[4][N];
#pragma unroll
      for (unsigned k = 0; k < 4; k++) load_words(a.y + at + k / 2 * line + k % 2 * a.channels, y[k]);
      below.ask(a, bottom ? from : from + q * a.channels, next, bottom ? ~0u : 0u, noSecond);
#pragma unroll
      for (unsigned i = 0; i < 4; i++) {
        unsigned down = i / 2, along = i % 2;
        float v[kLane], slope[kLane];
        unpack_words<E>(y[i], v);
#pragma unroll
        for (unsigned k = 0; k < kLane; k++) v[k] = gradient.at(v[k], k, slope[k]);
        here.give(v, slope, place_code(1 + down, 1 + along), along ? place_code(1 + down, 0) : kNowhere);
        if (down) below.give(v, slope, place_code(0, 1 + along), along ? place_code(0, 0) : kNowhere);
        pack_words<E>(v, y[i]);
        store_words(a.gradY + at + down * line + along * a.channels, y[i]);
      }
      here = below;
      at += 2 * line, from += q * a.channels;
    }
  }
}

/** Windows of 2 by steps of 2; the last come first: their y was read last. */
template <unsigned KIND, class E> __device__ __forceinline__ void apply_twos(const UnitPoolBackward<E>& a) {
  constexpr unsigned N = Words<E>::kCount;
  Twos twos(a.windows, a.channels);
  unsigned windows = a.rows / 4;
  own_rows(a.channels, [&](unsigned c, unsigned first, unsigned step) {
    GradientOfY<KIND> gradient(a, c);
    unsigned pixel[2][4][N], given[2][N], code[2], at[2];
    rows_at_once<2>(first, windows, step, [&](unsigned i, unsigned back) {
      unsigned window = windows - 1 - back;
      at[i] = twos.pixel(window) + c;
      twos.load(a.y, at[i], pixel[i]);
      load_words(a.gradZ + window * a.channels + c, given[i]);
      code[i] = *reinterpret_cast<const unsigned*>(a.chosen + window * a.channels + c);
    }, [&](unsigned i, unsigned) {
      ChosenOfTwo<0> ofFirst(code[i]);
      ChosenOfTwo<1> ofSecond(code[i]);
#pragma unroll
      for (unsigned k = 0; k < 4; k++) {
        unsigned to[N] = {given[i][0] & ofFirst.is(k), given[i][1] & ofSecond.is(k)};
        float v[kLane], g[kLane];
        unpack_words<E>(pixel[i][k], v);
        unpack_words<E>(to, g);
#pragma unroll
        for (unsigned j = 0; j < kLane; j++) {
          float slope, base = gradient.at(v[j], j, slope);
          v[j] = fmaf(slope, g[j], base);
        }
        pack_words<E>(v, pixel[i][k]);
        store_words(a.gradY + at[i] + k / 2 * twos.line + k % 2 * a.channels, pixel[i][k]);
      }
    });
  });
}

/** Windows of one pixel. */
template <unsigned KIND, class E> __device__ __forceinline__ void apply_ones(const UnitPoolBackward<E>& a) {
  constexpr unsigned N = Words<E>::kCount;
  own_rows(a.channels, [&](unsigned c, unsigned first, unsigned step) {
    PoolUnit<KIND> unit(a.norm, a.f, c);
    Means means(a.to, c);
    unsigned ofY[kRowsAtOnce][N], ofG[kRowsAtOnce][N];
    rows_at_once(first, a.rows, step,
                 [&](unsigned i, unsigned row) { load_words(a.y + row * a.channels + c, ofY[i]), load_words(a.gradZ + row * a.channels + c, ofG[i]); },
                 [&](unsigned i, unsigned row) {
                   float g[kLane];
                   unpack_words<E>(ofG[i], g);
                   unit.template apply<E>(ofY[i], g, means.ofG, means.ofGx);
                   store_words(a.gradY + row * a.channels + c, ofY[i]);
                 });
  });
}

/** Windows of any shape. */
template <unsigned KIND, class E> __device__ __forceinline__ void apply_any(const UnitPoolBackward<E>& a) {
  Divisor overW(unsigned(a.windows.w)), overH(unsigned(a.windows.h)), overGroups((a.channels + kLane - 1) / kLane);
  FOR_EACH(i, a.rows * overGroups.by) {
    unsigned group, row = overGroups.divide(i, group), c = group * kLane, at = row * a.channels + c;
    Live live{min(kLane, a.channels - c), a.channels % kLane == 0};
    float g[kLane], y[kLane];
    unsigned w[Words<E>::kCount];
    load_live(a.y + at, y, live);
    a.gather(g, row, c, live, overW, overH);
    pack_words<E>(y, w);
    Means means(a.to, c, live);
    PoolUnit<KIND>(a.norm, a.f, c, live).template apply<E>(w, g, means.ofG, means.ofGx);
    unpack_words<E>(w, y);
    store_live(a.gradY + at, y, live);
  }
}

/** Blocks that a multiprocessor shall hold at once: as many as leave each the registers it needs. Comparing two bfloat16 at once needs fewer. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
template <class E> constexpr unsigned kForwardBlocks = sizeof(E) == 2 ? 4 : 2;
#else
template <class E> constexpr unsigned kForwardBlocks = sizeof(E) == 2 ? 3 : 2;
#endif
template <class E> constexpr unsigned kSumBlocks = sizeof(E) == 2 ? 6 : 4;

#define ELEMENT_FILE "unit_pool.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256, kForwardBlocks<ELEMENT>) ENTRY(unit_pool_forward)(const UnitPoolForward<ELEMENT> a) {
  bool whole = a.channels % kLane == 0;
  with_kind(a.f.kind, [&](auto kind) {
    constexpr unsigned KIND = decltype(kind)::value;
    if (KIND != kOther && whole && a.windows.of_three() && a.chosen) forward_threes<KIND>(a);
    else if (KIND != kOther && whole && a.windows.of_two() && a.chosen) forward_twos<KIND>(a);
    else if (whole && a.windows.of_one() && !a.chosen) forward_ones<KIND>(a);
    else forward_any<KIND>(a);
  });
}

ONEBIT_KERNEL(128, kSumBlocks<ELEMENT>) ENTRY(unit_pool_backward)(const UnitPoolBackward<ELEMENT> a) {
  __shared__ double kept[kPoolSums];
#pragma unroll
  for (unsigned i = 0; i < kPoolSums / 128; i++) kept[i * 128 + threadIdx.x] = 0;
  with_kind(a.f.kind, [&](auto kind) {
    constexpr unsigned KIND = decltype(kind)::value;
    if constexpr (sizeof(ELEMENT) == 2 && KIND != kOther) {
      if (a.threes()) return sum_threes<KIND>(a, kept);
      if (a.twos()) return sum_twos<KIND>(a, kept);
    }
    if (a.ones()) sum_ones<KIND>(a, kept);
    else sum_any<KIND>(a, kept);
  });
  if (a.f.kind == kMaxout) finish_pool<4>(a, kept);
  else finish_pool<2>(a, kept);
}

ONEBIT_KERNEL(128, 5) ENTRY(unit_pool_backward_apply)(const UnitPoolBackward<ELEMENT> a) {
  with_kind(a.f.kind, [&](auto kind) {
    constexpr unsigned KIND = decltype(kind)::value;
    if constexpr (sizeof(ELEMENT) == 2 && KIND != kOther) {
      if (a.threes()) return apply_threes<KIND>(a);
      if (a.twos()) return apply_twos<KIND>(a);
    }
    if (a.ones()) apply_ones<KIND>(a);
    else apply_any<KIND>(a);
  });
}
#endif
