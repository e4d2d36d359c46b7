// unit_pool.cuh -- what the passes of unit_pool.cu are made of: windows, four channels of a thread in words, norm and nonlinearity, arguments
//
//   Words<E>                  elements as they lie in memory, compared a word at a time
//   PoolUnit<KIND>            norm and nonlinearity of a thread's channels, the kind known when a pass is compiled
//   PoolSums, finish_pool     what a thread adds up, and the gradients that are made of what blocks keep of it
//   GradientOfY, TwoWindows   gradY of a thread's channels where windows are of 3, and what windows give to it
//
// Encoding   every field takes 8 bytes: the host writes an argument structure field by field (CudaFusedOps.java); a place in a window is
//            16 row + column
// Exactness  the operations of batch_norm.cu, maxout.cu, activate.cu and pool.cu, but for GradientOfY; the sign of a zero aside
// Twin       src/main/java/onebit/ops/cpu/CpuFusedOps.java, poolForward, poolBackward
// Source     PTX ISA, max and set on bf16x2, prmt
#pragma once
#include "unit_passes.cuh"

struct Windows {
  FIELD(int, h);
  FIELD(int, w);
  FIELD(int, p);
  FIELD(int, q);
  FIELD(int, size);
  FIELD(int, stride);
  FIELD(int, pad);

  /** i / stride, i not negative, without a division for the usual strides. */
  __device__ __forceinline__ int over(int i) const { return stride == 1 ? i : stride == 2 ? i >> 1 : i / stride; }

  /** Windows of 3 by steps of 2 with 1 pixel around an image of even sides. */
  __device__ __forceinline__ bool of_three() const { return size == 3 && stride == 2 && pad == 1 && h == 2 * p && w == 2 * q; }

  /** Windows of 2 by steps of 2 over an image of even sides. */
  __device__ __forceinline__ bool of_two() const { return size == 2 && stride == 2 && pad == 0 && h == 2 * p && w == 2 * q; }

  __device__ __forceinline__ bool of_one() const { return size == 1 && stride == 1 && pad == 0; }

  /** The first window over row or column i. */
  __device__ __forceinline__ int first(int i) const {
    int before = i + pad - size;
    return before < 0 ? 0 : over(before + stride);
  }
};

/** Channels of a thread, rows of windows of 3 that it goes down, and rows of an image that it asks for at once where windows have one pixel. */
constexpr unsigned kLane = 4, kWalk = 8, kRowsAtOnce = 4;

/** What chosen holds of row and column of a window. */
__device__ constexpr unsigned place_code(unsigned row, unsigned column) { return 16 * row + column; }

/** mask ? a : b, bit by bit. */
__device__ __forceinline__ unsigned select(unsigned mask, unsigned a, unsigned b) { return (mask & a) | (~mask & b); }

/** Elements as they lie in words of 4 bytes, several of them compared at once; a place code lies in the low bits of every element. */
template <class E> struct Words {
  static constexpr unsigned kEach = 1, kCount = kLane, kOnes = 1, kLowest = 0xff800000u;

  static __device__ __forceinline__ unsigned pack(const float* v) { return __float_as_uint(*v); }
  static __device__ __forceinline__ void unpack(unsigned word, float* v) { *v = __uint_as_float(word); }

  /** The larger, NaN if one is. */
  static __device__ __forceinline__ unsigned larger(unsigned a, unsigned b) {
    float u = __uint_as_float(a), v = __uint_as_float(b);
    return v > u || v != v ? b : a;
  }

  /** Ones where they are equal. */
  static __device__ __forceinline__ unsigned equal(unsigned a, unsigned b) { return __uint_as_float(a) == __uint_as_float(b) ? ~0u : 0u; }

  static __device__ __forceinline__ unsigned bytes(const unsigned (&code)[kCount]) { return code[0] | code[1] << 8 | code[2] << 16 | code[3] << 24; }
};

template <> struct Words<__nv_bfloat16> {
  static constexpr unsigned kEach = 2, kCount = kLane / 2, kOnes = 0x00010001u, kLowest = 0xff80ff80u;

  static __device__ __forceinline__ unsigned pack(const float* v) { return pack_pair(v[0], v[1]); }
  static __device__ __forceinline__ void unpack(unsigned word, float* v) { unpack_pair(word, v[0], v[1]); }

  static __device__ __forceinline__ unsigned larger(unsigned a, unsigned b) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    unsigned word;
    asm("max.NaN.bf16x2 %0, %1, %2;" : "=r"(word) : "r"(a), "r"(b));
    return word;
#else
    using One = Words<float>;
    return (One::larger(a << 16, b << 16) >> 16) | (One::larger(a & 0xffff0000u, b & 0xffff0000u));
#endif
  }

  static __device__ __forceinline__ unsigned equal(unsigned a, unsigned b) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    unsigned mask;
    asm("set.eq.u32.bf16x2 %0, %1, %2;" : "=r"(mask) : "r"(a), "r"(b));
    return mask;
#else
    using One = Words<float>;
    return (One::equal(a << 16, b << 16) >> 16) | (One::equal(a & 0xffff0000u, b & 0xffff0000u) << 16);
#endif
  }

  static __device__ __forceinline__ unsigned bytes(const unsigned (&code)[kCount]) { return __byte_perm(code[0], code[1], 0x6420); }
};

/** The words of a thread's channels, at an address that is a multiple of their bytes. */
template <class E> __device__ __forceinline__ void load_words(const E* p, unsigned (&w)[Words<E>::kCount]) {
  if constexpr (Words<E>::kCount == 4) {
    uint4 v = *reinterpret_cast<const uint4*>(p);
    w[0] = v.x, w[1] = v.y, w[2] = v.z, w[3] = v.w;
  } else {
    uint2 v = *reinterpret_cast<const uint2*>(p);
    w[0] = v.x, w[1] = v.y;
  }
}

template <class E> __device__ __forceinline__ void store_words(E* p, const unsigned (&w)[Words<E>::kCount]) {
  if constexpr (Words<E>::kCount == 4) *reinterpret_cast<uint4*>(p) = make_uint4(w[0], w[1], w[2], w[3]);
  else *reinterpret_cast<uint2*>(p) = make_uint2(w[0], w[1]);
}

template <class E> __device__ __forceinline__ void unpack_words(const unsigned (&w)[Words<E>::kCount], float (&v)[kLane]) {
#pragma unroll
  for (unsigned i = 0; i < Words<E>::kCount; i++) Words<E>::unpack(w[i], v + i * Words<E>::kEach);
}

template <class E> __device__ __forceinline__ void pack_words(const float (&v)[kLane], unsigned (&w)[Words<E>::kCount]) {
#pragma unroll
  for (unsigned i = 0; i < Words<E>::kCount; i++) w[i] = Words<E>::pack(v + i * Words<E>::kEach);
}

/** The high bits of the bytes 2 J and 2 J + 1 of a word as masks of two bfloat16. */
template <unsigned J> __device__ __forceinline__ unsigned pair_masks(unsigned word) {
#if defined(__HOSTCUDA__)
  return (word >> (16 * J + 7) & 1 ? 0xffffu : 0u) | (word >> (16 * J + 15) & 1 ? 0xffff0000u : 0u);
#else
  unsigned masks;
  asm("prmt.b32 %0, %1, %1, %2;" : "=r"(masks) : "r"(word), "n"((8 | 2 * J) * 0x0011 + (8 | (2 * J + 1)) * 0x1100));
  return masks;
#endif
}

/** A nonlinearity of a thread's channels, its kind known; what it has is in registers. */
template <unsigned KIND> struct Bend {
  NonlinearityOf<kLane, kAnything> any;
  float above[KIND == kMaxout ? kLane : 1], below[KIND == kMaxout ? kLane : 1];

  __device__ __forceinline__ Bend(const Nonlinearity& f, unsigned c, Live live) : any(f, c) {
    if constexpr (KIND == kMaxout) load_live(f.positive + c, above, live), load_live(f.negative + c, below, live);
  }

  /** NaN stays NaN. */
  __device__ __forceinline__ float value(float t, unsigned k) const {
    if constexpr (KIND == kNone) return t;
    else if constexpr (KIND == kMaxout) return fmaf(t, t > 0 ? above[k] : below[k], 0.0f);
    else if constexpr (KIND == kRelu) return t <= 0 ? 0.0f : t;
    else if constexpr (KIND == kHardtanh) return t < -1 ? -1.0f : t > 1 ? 1.0f : t;
    else return any.template value<kOther>(t, k);
  }

  /** g f'(t), rounded, whatever is done with it. */
  __device__ __forceinline__ float back(float g, float t, unsigned k) const {
    if constexpr (KIND == kMaxout) {
      float slope = t < 0 ? below[k] : 0.0f;
      slope = t > 0 ? above[k] : slope;
      return __fmul_rn(g, slope);
    } else if constexpr (KIND == kNone) return g;
    else if constexpr (KIND == kRelu) return t > 0 ? g : 0.0f;
    else if constexpr (KIND == kHardtanh) return fabsf(t) < 1 ? g : 0.0f;
    else return any.template back<kOther>(g, t, k);
  }
};

/** Norm and nonlinearity of a thread's channels. */
template <unsigned KIND> struct PoolUnit {
  NormOf<kLane> norm;
  Bend<KIND> f;

  __device__ __forceinline__ PoolUnit(const Norm& norm, const Nonlinearity& f, unsigned c, Live live = kAll) : norm(norm, c, live), f(f, c, live) {}

  /** The words of z of one pixel, from those of its y. */
  template <class E> __device__ __forceinline__ void value(unsigned (&w)[Words<E>::kCount]) const {
    float v[kLane];
    unpack_words<E>(w, v);
#pragma unroll
    for (unsigned k = 0; k < kLane; k++) v[k] = f.value(norm.apply(v[k], k), k);
    pack_words<E>(v, w);
  }

  /** The words of gradY in place of those of y, from the gradient of z. */
  template <class E> __device__ __forceinline__ void apply(unsigned (&w)[Words<E>::kCount], const float (&g)[kLane], const float (&ofG)[kLane], const float (&ofGx)[kLane]) const {
    float y[kLane];
    unpack_words<E>(w, y);
#pragma unroll
    for (unsigned k = 0; k < kLane; k++) y[k] = norm.back(f.back(g[k], norm.apply(y[k], k), k), ofG[k], ofGx[k], y[k], k);
    pack_words<E>(y, w);
  }
};

template <class E> struct UnitPoolForward {
  E* z;
  unsigned char* chosen;
  const E* y;
  Norm norm;
  Nonlinearity f;
  Windows windows;
  FIELD(unsigned, n);
  FIELD(unsigned, channels);
};

template <class E> struct UnitPoolBackward {
  E* gradY;
  double* partial;
  unsigned* counters;
  UnitSums to;
  const E* gradZ;
  const unsigned char* chosen;
  const E* y;
  Norm norm;
  Nonlinearity f;
  Windows windows;
  FIELD(unsigned, rows);
  FIELD(unsigned, channels);

  /** Whether windows of 3 by steps of 2 of bfloat16 elements have their own way. */
  __device__ __forceinline__ bool threes() const { return sizeof(E) == 2 && windows.of_three() && channels % kLane == 0; }

  /** The same of windows of 2. */
  __device__ __forceinline__ bool twos() const { return sizeof(E) == 2 && windows.of_two() && channels % kLane == 0; }

  __device__ __forceinline__ bool ones() const { return windows.of_one() && channels % kLane == 0; }

  /** g = the sum of gradZ over the windows that chose a value, for a thread's channels of a row. */
  __device__ __forceinline__ void gather(float (&g)[kLane], unsigned row, unsigned c, Live live, const Divisor& overW, const Divisor& overH) const {
    const Windows& k = windows;
    unsigned down, along;
    int n = int(overH.divide(overW.divide(row, along), down)), h = int(down), w = int(along);
    int p0 = k.first(h), p1 = min(k.over(h + k.pad) + 1, k.p), q0 = k.first(w), q1 = min(k.over(w + k.pad) + 1, k.q);
#pragma unroll
    for (unsigned j = 0; j < kLane; j++) g[j] = 0;
    for (int p = p0; p < p1; p++) {
#pragma unroll 1
      for (int q = q0; q < q1; q++) {
        float z[kLane];
        unsigned i = unsigned((n * k.p + p) * k.q + q) * channels + c;
        unsigned char which = static_cast<unsigned char>(place_code(unsigned(h - p * k.stride + k.pad), unsigned(w - q * k.stride + k.pad)));
        load_live(gradZ + i, z, live);
#pragma unroll
        for (unsigned j = 0; j < kLane; j++) {
          if (j < live.count && (!chosen || chosen[i + j] == which)) g[j] += z[j];
        }
      }
    }
  }
};

/**
 * What is summed over the pixels of a channel: with float elements gradT, gradT xhat and the two slopes; with bfloat16 what these are made of, g being the
 * gradient of z and d = y - mean: of Maxout g where t > 0, g where t < 0, g d where t > 0, g d where t < 0; else gradT and gradT d.
 */
template <class E> constexpr bool kInParts = sizeof(E) == 2;

/** Doubles of shared memory in which a block of tiles keeps the sums of its threads, 4 of each of 4 channels; 16 threads have 64 channels. */
constexpr unsigned kPoolSums = 4 * kLane * 128;

/** What a thread adds up: the terms of kKeptTiles tiles in registers, then as double to what the block keeps. */
template <unsigned KIND, class E> struct PoolSums {
  static constexpr unsigned kSums = KIND == kMaxout ? 4 : 2;
  const PoolUnit<KIND>& unit;
  double* kept;
  typename TileSum<E>::type of[kSums][kLane] = {};
  unsigned tiles = 0;

  __device__ __forceinline__ PoolSums(const PoolUnit<KIND>& unit, double* room) : unit(unit), kept(room + threadIdx.x) {}

  /** Adds what the gradient g of z gives at y. */
  __device__ __forceinline__ void add(float g, float y, unsigned k) {
    float t = unit.norm.apply(y, k), d = unit.norm.deviation(y, k);
    if constexpr (kInParts<E> && KIND == kMaxout) {
      if (t > 0) of[0][k] += g, of[2][k] += g * d;
      if (t < 0) of[1][k] += g, of[3][k] += g * d;
    } else {
      float back = unit.f.back(g, t, k);
      of[0][k] += back;
      of[1][k] += back * (kInParts<E> ? d : unit.norm.hat(y, k));
      if constexpr (KIND == kMaxout) {
        of[2][k] += g * fmaxf(t, 0.0f);
        of[3][k] += g * fminf(t, 0.0f);
      }
    }
  }

  /** The same for all of this thread's channels, from words of y and of the gradient. */
  __device__ __forceinline__ void add_words(const unsigned (&ofY)[Words<E>::kCount], const unsigned (&ofG)[Words<E>::kCount]) {
    float y[kLane], g[kLane];
    unpack_words<E>(ofY, y);
    unpack_words<E>(ofG, g);
#pragma unroll
    for (unsigned k = 0; k < kLane; k++) add(g[k], y[k], k);
  }

  /** A tile is done. */
  __device__ __forceinline__ void tile() {
    if (++tiles % kKeptTiles<E> == 0) keep();
  }

  /** The sums of kLane channels are read at once and no more, for want of registers. */
  __device__ __forceinline__ void keep() {
    volatile double* mine = kept;
#pragma unroll
    for (unsigned v = 0; v < kSums; v++) {
      double sum[kLane];
#pragma unroll
      for (unsigned k = 0; k < kLane; k++) sum[k] = mine[(v * kLane + k) * 128];
#pragma unroll
      for (unsigned k = 0; k < kLane; k++) {
        mine[(v * kLane + k) * 128] = sum[k] + double(of[v][k]);
        of[v][k] = 0;
      }
    }
  }
};

/** The gradients of channel c, from all its sums. */
template <unsigned SUMS, class E> __device__ __forceinline__ void finish_channel(const UnitPoolBackward<E>& a, unsigned c, const double (&total)[SUMS]) {
  double sum[4] = {total[0], total[1]};
  if constexpr (SUMS == 4) sum[2] = total[2], sum[3] = total[3];
  if constexpr (kInParts<E>) {
    double inverse = a.norm.inverse[c];
    if constexpr (SUMS == 4) {
      double above = a.f.positive[c], below = a.f.negative[c], factor = a.norm.gamma[c] * a.norm.inverse[c], beta = a.norm.beta[c];
      sum[0] = above * total[0] + below * total[1];
      sum[1] = above * total[2] + below * total[3];
      sum[2] = total[2] * factor + total[0] * beta;
      sum[3] = total[3] * factor + total[1] * beta;
    }
    sum[1] *= inverse;
  }
  a.to.finish(c, sum, a.rows, a.norm);
}

/** The gradients from what all blocks keep, by the last that comes here; all of a block come. */
template <unsigned SUMS, class E> __device__ __forceinline__ void finish_pool(const UnitPoolBackward<E>& a, const double* kept) {
  unsigned first = blockIdx.y * 64;
  __syncthreads();
  for (unsigned i = threadIdx.x; i < SUMS * 64; i += 128) {
    unsigned v = i / 64, at = i % 64;
    double sum = 0;
#pragma unroll
    for (unsigned k = 0; k < 8; k++) sum += kept[(v * kLane + at % kLane) * 128 + k * 16 + at / kLane];
    if (first + at < a.channels) a.partial[(blockIdx.x * SUMS + v) * a.channels + first + at] = sum;
  }
  if (!splits_summed<SUMS>(a.partial, a.counters + blockIdx.y * split_counters(gridDim.x), blockIdx.x, gridDim.x, a.channels, first, 64)) return;
  unsigned c = first + threadIdx.x;
  if (threadIdx.x >= 64 || c >= a.channels) return;
  double total[SUMS];
#pragma unroll
  for (unsigned v = 0; v < SUMS; v++) total[v] = __ldcg(a.partial + v * a.channels + c);
  finish_channel(a, c, total);
}

/** The two means that gradY has taken away, of a thread's channels. */
struct Means {
  float ofG[kLane], ofGx[kLane];

  __device__ __forceinline__ Means(const UnitSums& to, unsigned c, Live live = kAll) {
    load_live(to.meanG + c, ofG, live);
    load_live(to.meanGx + c, ofGx, live);
  }
};

/**
 * gradY = slope g + (base + d along): norm and nonlinearity with the factor gamma inverse multiplied in, of a thread's channels; d = y - mean, and slope is
 * the factor by that of the nonlinearity.
 */
template <unsigned KIND> struct GradientOfY {
  float mean[kLane], factor[kLane], beta[kLane], base[kLane], along[kLane], above[kLane], below[kLane];

  template <class E> __device__ __forceinline__ GradientOfY(const UnitPoolBackward<E>& a, unsigned c) {
    PoolUnit<KIND> unit(a.norm, a.f, c);
    Means means(a.to, c);
#pragma unroll
    for (unsigned k = 0; k < kLane; k++) {
      mean[k] = unit.norm.mean[k], factor[k] = unit.norm.factor[k], beta[k] = unit.norm.shift[k];
      base[k] = -factor[k] * means.ofG[k], along[k] = -factor[k] * means.ofGx[k];
      if constexpr (KIND == kMaxout) above[k] = factor[k] * unit.f.above[k], below[k] = factor[k] * unit.f.below[k];
    }
  }

  /** What y gives without g, and the slope. */
  __device__ __forceinline__ float at(float y, unsigned k, float& slope) const {
    float d = y - mean[k], t = norm_value(y, mean[k], factor[k], beta[k]);
    if constexpr (KIND == kMaxout) {
      slope = t < 0 ? below[k] : 0.0f;
      slope = t > 0 ? above[k] : slope;
    } else {
      slope = KIND == kNone || (KIND == kHardtanh ? fabsf(t) < 1 : t > 0) ? factor[k] : 0.0f;
    }
    return fmaf(d, along[k], base[k]);
  }
};

/** Two neighbouring windows of a row: what is given to them and what they chose. */
template <class E> struct TwoWindows {
  static constexpr unsigned kNowhere = 255;
  unsigned given[2][Words<E>::kCount], code[2];

  /** at: index of the first; next: how far the second is behind it; noRow, noSecond: ones where there is none, which make its code kNowhere. */
  __device__ __forceinline__ void ask(const UnitPoolBackward<E>& a, unsigned at, unsigned next, unsigned noRow, unsigned noSecond) {
#pragma unroll
    for (unsigned i = 0; i < 2; i++) {
      load_words(a.gradZ + at + i * next, given[i]);
      code[i] = *reinterpret_cast<const unsigned*>(a.chosen + at + i * next) | noRow | (i ? noSecond : 0u);
    }
  }

  /** sum += slope g, g being what they give to a pixel that has these places in them; kNowhere is a place of no pixel. */
  __device__ __forceinline__ void give(float (&sum)[kLane], const float (&slope)[kLane], unsigned ofFirst, unsigned ofSecond) const {
#pragma unroll
    for (unsigned i = 0; i < 2; i++) {
      unsigned place = i ? ofSecond : ofFirst;
      if (place == kNowhere) continue;
      float v[kLane];
      unpack_words<E>(given[i], v);
#pragma unroll
      for (unsigned k = 0; k < kLane; k++) {
        float with = fmaf(slope[k], v[k], sum[k]);
        sum[k] = (code[i] & 255u << 8 * k) == place << 8 * k ? with : sum[k];
      }
    }
  }
};

/** Windows of 2 by steps of 2, numbered as they lie; each has 4 pixels of its own, in row order. */
struct Twos {
  Divisor overRow;   // of windows
  unsigned channels, line;

  __device__ __forceinline__ Twos(const Windows& windows, unsigned channels) : overRow(unsigned(windows.q)), channels(channels), line(2 * unsigned(windows.q) * channels) {}

  /** Index of the first pixel of a window, at its channel 0. */
  __device__ __forceinline__ unsigned pixel(unsigned window) const {
    unsigned along, row = overRow.divide(window, along);
    return 2 * row * line + 2 * along * channels;
  }

  /** The words of all 4, from the first one's index on. */
  template <class E> __device__ __forceinline__ void load(const E* image, unsigned at, unsigned (&w)[4][Words<E>::kCount]) const {
#pragma unroll
    for (unsigned k = 0; k < 4; k++) load_words(image + at + k / 2 * line + k % 2 * channels, w[k]);
  }
};

/** Which of its 4 pixels a window of 2 chose, as masks of word J. */
template <unsigned J> struct ChosenOfTwo {
  unsigned lower, right;
  __device__ __forceinline__ explicit ChosenOfTwo(unsigned code) : lower(pair_masks<J>(code << 3)), right(pair_masks<J>(code << 7)) {}
  __device__ __forceinline__ unsigned is(unsigned pixel) const { return (pixel / 2 ? lower : ~lower) & (pixel % 2 ? right : ~right); }
};
