// unit.cuh -- the parts of a fused unit: batch norm, shortcut, nonlinearity, the next binarization
//
//   t = (y - mean) gamma inverse + beta + shortcut(x)          z = f(t)          bit = [z >= 0] or [(z - beta) / alpha >= 0]
//
// Encoding   every field takes 8 bytes: the host writes an argument structure field by field (CudaFusedOps.java)
// Shapes     y, t, z N,P,Q,C, row = pixel of the batch; shortcut x N,H,W,D. W neighbouring channels at a time, W dividing C
// Exactness  the operations of the simple kernels in their order: on float32, value for value equal to them
// Twin       src/main/java/onebit/ops/cpu/CpuFusedOps.java
#pragma once
#include "last_block.cuh"
#include "norm.cuh"
#include "slope.cuh"

#define FIELD(type, name) alignas(8) type name

/** v as an element of type E holds it. */
template <class E> __device__ __forceinline__ float rounded(float v) {
  E kept;
  store(&kept, v);
  return load(&kept);
}

/**
 * W neighbours that are asked for before they are needed, so that several loads are under way at once: ask them all, then take them. Where a vector of
 * whole 16 bytes cannot be read, or EARLY does not hold, taking reads.
 */
template <class E, unsigned W, bool EARLY = true> struct Ahead {
  static constexpr bool kWhole = EARLY && W * sizeof(E) % 16 == 0;
  const E* from;
  uint4 raw[kWhole ? W * sizeof(E) / 16 : 1];

  __device__ __forceinline__ void ask(const E* p, bool together) {
    from = p;
    if constexpr (kWhole) {
      if (!together) return;
#pragma unroll
      for (unsigned i = 0; i < W * sizeof(E) / 16; i++) raw[i] = reinterpret_cast<const uint4*>(p)[i];
    }
  }

  /** N of them from `at` on; live is of these. */
  template <unsigned N> __device__ __forceinline__ void take(float (&v)[N], unsigned at, Live live) const {
    if constexpr (kWhole) {
      if (live.together) {
        unpack_vector(raw, at, v, static_cast<E*>(nullptr));
        return;
      }
    }
    load_live(from + at, v, live);
  }
};

/**
 * What is known of a unit when a pass is compiled. A loop over many rows that holds all cases does not fit the instruction caches, so the usual ones have
 * loops of their own: without tanh, sine and their slopes; with Maxout, a learned set and the polynomial slope, AdaBin's; on a straight way, where every
 * vector of channels is whole and shortcuts are read as they are; joined, where every shortcut that a pass may have is there besides; and where a bit is one
 * comparison.
 */
enum Known { kAnything = 0, kPlain = 1, kAdaBin = 2 | kPlain, kStraight = 4, kJoined = 8 | kStraight, kCompared = 16 };

__host__ __device__ constexpr bool knows(int known, int what) { return (known & what) == what; }

/** kind 0 none, 1 x itself, 2 means of window x window pixels in the middle channels, 0 around them. */
template <class E> struct Shortcut {
  const E* x;
  FIELD(int, kind);
  FIELD(int, h);
  FIELD(int, w);
  FIELD(int, d);
  FIELD(int, window);
  FIELD(int, stride);

  /** Asks for x at index i where it is wanted as it is. */
  template <int KNOWN = kAnything, unsigned W, bool EARLY> __device__ __forceinline__ void ask(Ahead<E, W, EARLY>& ahead, unsigned i, Live live) const {
    if (knows(KNOWN, kJoined) || kind == 1) ahead.ask(x + i, live.together);
  }

  /** t += the shortcut, at row and channels c on; ahead is what was asked, from `at` on for these. */
  template <int KNOWN, unsigned W, class A>
  __device__ __forceinline__ void add(float (&t)[W], const A& ahead, unsigned at, unsigned row, unsigned c, unsigned channels, int p, int q, Live live) const {
    if (knows(KNOWN, kJoined) || kind == 1) {
      float v[W];
      ahead.take(v, at, live);
#pragma unroll
      for (unsigned k = 0; k < W; k++) t[k] += v[k];
    } else if (!knows(KNOWN, kStraight) && kind == 2) {
      int n = int(row) / q / p, h0 = int(row) / q % p * stride, w0 = int(row) % q * stride, from = int(c) - (int(channels) - d) / 2;
      float factor = 1.0f / (window * window);
#pragma unroll
      for (unsigned k = 0; k < W; k++) {
        float sum = 0;
        if (from + int(k) >= 0 && from + int(k) < d) {
          for (int hh = h0; hh < min(h, h0 + window); hh++) {
#pragma unroll 1
            for (int ww = w0; ww < min(w, w0 + window); ww++) sum = multiply_add(factor, load(x + ((n * h + hh) * w + ww) * d + from + int(k)), sum);
          }
        }
        t[k] += sum;
      }
    }
  }
};

/** Nonlinearities. */
enum Kind { kNone = 0, kMaxout = 1, kRelu = 2, kHardtanh = 3, kOther = 4 };

/** f(kind) with the kind as a constant, its value. */
template <class F> __device__ __forceinline__ void with_kind(int kind, F f) {
  if (kind == kNone) f(Width<kNone>{});
  else if (kind == kMaxout) f(Width<kMaxout>{});
  else if (kind == kRelu) f(Width<kRelu>{});
  else if (kind == kHardtanh) f(Width<kHardtanh>{});
  else f(Width<kOther>{});
}

/** kind as in Kind, the last being tanh. */
struct Nonlinearity {
  const float *positive, *negative;
  FIELD(int, kind);

  __device__ __forceinline__ bool plain() const { return kind < kOther; }
};

/** A nonlinearity at W channels from c on. Where anything may come the slopes of Maxout are read where they are needed, else held in registers. */
template <unsigned W, int KNOWN> struct NonlinearityOf {
  static constexpr bool PLAIN = knows(KNOWN, kPlain);
  const float *above, *below;
  int kind;
  float positive[PLAIN ? W : 1] = {}, negative[PLAIN ? W : 1] = {};

  __device__ __forceinline__ NonlinearityOf(const Nonlinearity& f, unsigned c, Live live = kAll) : above(f.positive + c), below(f.negative + c), kind(knows(KNOWN, kAdaBin) ? kMaxout : f.kind) {
    if constexpr (PLAIN) {
      if (kind != kMaxout) return;
      load_live(above, positive, live);
      load_live(below, negative, live);
    }
  }

  NonlinearityOf() = default;

  /** That of N of them, from `at` on. */
  template <unsigned N> __device__ __forceinline__ NonlinearityOf<N, KNOWN> part(unsigned at) const {
    NonlinearityOf<N, KNOWN> some;
    some.above = above + at, some.below = below + at, some.kind = kind;
#pragma unroll
    for (unsigned k = 0; PLAIN && k < N; k++) some.positive[k] = positive[at + k], some.negative[k] = negative[at + k];
    return some;
  }

  __device__ __forceinline__ float upper(unsigned k) const { return PLAIN ? positive[PLAIN ? k : 0] : above[k]; }
  __device__ __forceinline__ float lower(unsigned k) const { return PLAIN ? negative[PLAIN ? k : 0] : below[k]; }

  /** NaN stays NaN; a zero is positive. */
  __device__ __forceinline__ float maxout(float t, unsigned k) const { return t * (t > 0 ? upper(k) : lower(k)) + 0.0f; }

  /** f(t), of the kind that it is. */
  template <unsigned KIND> __device__ __forceinline__ float value(float t, unsigned k) const {
    if constexpr (KIND == kNone) return t;
    else if constexpr (KIND == kMaxout) return maxout(t, k);
    else if constexpr (KIND == kRelu) return t <= 0 ? 0.0f : t;
    else if constexpr (KIND == kHardtanh) return t < -1 ? -1.0f : t > 1 ? 1.0f : t;
    else return tanhf(t);
  }

  /** That of Maxout: 0 at 0 and where there is no number. */
  __device__ __forceinline__ float slope(float t, unsigned k) const {
    float side = t > 0 ? upper(k) : lower(k);
    return fabsf(t) > 0 ? side : 0.0f;
  }

  /** g f'(t), rounded, whatever is done with it. */
  template <unsigned KIND> __device__ __forceinline__ float back(float g, float t, unsigned k) const {
    if constexpr (KIND == kNone) return g;
    else if constexpr (KIND == kMaxout) return __fmul_rn(g, slope(t, k));
    else if constexpr (KIND == kRelu) return t > 0 ? g : 0.0f;
    else if constexpr (KIND == kHardtanh) return fabsf(t) < 1 ? g : 0.0f;
    float v = tanhf(t);
    return __fmul_rn(g, multiply_add(-v, v, 1));
  }

  /** z = f(t) of the W of them that there are, 0 for the others. */
  __device__ __forceinline__ void values(float (&z)[W], const float (&t)[W], Live live) const {
    each([&](auto of, unsigned k) { z[k] = k < live.count ? value<of.value>(t[k], k) : 0.0f; });
  }

  /** g times f'(t) in place of the W of g that there are. */
  __device__ __forceinline__ void all_back(float (&g)[W], const float (&t)[W], Live live) const {
    each([&](auto of, unsigned k) { if (k < live.count) g[k] = back<of.value>(g[k], t[k], k); });
  }

 private:
  /** do_it(kind, k) for all W: what f is is asked once, but where anything may come, whose code would be too long. */
  template <class F> __device__ __forceinline__ void each(F do_it) const {
    if constexpr (knows(KNOWN, kAdaBin)) all(Width<kMaxout>{}, do_it);
    else if (kind == kMaxout) all(Width<kMaxout>{}, do_it);
    else if (kind == kNone) all(Width<kNone>{}, do_it);
    else if (PLAIN && kind == kRelu) all(Width<kRelu>{}, do_it);
    else if (PLAIN) all(Width<kHardtanh>{}, do_it);
    else all(Width<1>{}, [&](auto, unsigned k) { with_kind(kind, [&](auto of) { do_it(of, k); }); });
  }

  template <class K, class F> static __device__ __forceinline__ void all(K of, F do_it) {
#pragma unroll
    for (unsigned k = 0; k < W; k++) do_it(of, k);
  }
};

/** kind 0 none, 1 sign, 2 learned set. */
struct Binarization {
  const float *alpha, *beta;
  FIELD(int, kind);
  FIELD(int, codeForm);

  /** The set's two values, read once; without a set those of the sign. */
  struct Set {
    float alpha, beta;

    /** Whether a bit is one comparison. */
    __device__ __forceinline__ bool compared() const { return alpha > 0; }

    __device__ __forceinline__ bool bit(float z) const { return compared() ? z >= beta : (z - beta) / alpha >= 0; }
  };

  __device__ __forceinline__ Set set() const { return {kind == 2 ? alpha[0] : 1.0f, kind == 2 ? beta[0] : 0.0f}; }
};

template <class E> struct Unit {
  const E* y;
  Norm norm;
  Shortcut<E> shortcut;
  Nonlinearity f;
};

/** Where the sums of a backward pass go, as gradients and as the two means that its second pass subtracts. */
struct UnitSums {
  float *gradGamma, *gradBeta, *gradPositive, *gradNegative, *meanG, *meanGx;

  /** From the sums over channel c of gradT, gradT xhat, and of the two slopes. */
  __device__ __forceinline__ void finish(unsigned c, const double (&total)[4], unsigned rows, const Norm& norm) const {
    norm_sums(gradGamma, gradBeta, meanG, meanGx, c, total[0], total[1], rows, norm.inverse);
    if (!gradPositive) return;
    gradPositive[c] = float(total[2]);
    gradNegative[c] = float(total[3]);
  }
};
