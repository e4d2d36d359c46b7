// slope.cuh -- level and slope of every binarizer: the sign of the level is the bit, the slope replaces the derivative
//
//   kind 0 Identity            level u                slope 1
//   kind 1 Clipped(a)          level u                slope [|u| <= a]
//   kind 2 Polynomial          level u                slope max(0, 2 - 2 |u|)
//   kind 3 TanhSlope(k, t)     level u                slope k t (1 - tanh^2(t u))
//   kind 4 SineSign(omega)     level sin(omega u)     slope omega cos(omega u)
//   kind 5 HatSlope(k, t)      level u                slope max(0, k (sqrt(2) t - t^2 |u|))
//   kind 6 ApproxSign(a)       level u                slope 2 - 2 |u| where |u| <= a, else 0
//   kind 7 Curve               level u                slope by the values of a table, whose address is in the bits of a (upper half) and b
//
// Exactness  tanh, sin and cos are double, like the twin's; the rest is the twin's operations
// Twin       src/main/java/onebit/ops/cuda/SlopeCode.java and the records it names
#pragma once
#include "common.cuh"

struct Slope {
  int kind;
  float a, b;

  __device__ __forceinline__ float level(float u) const { return kind == 4 ? float(sin(double(a) * u)) : u; }

  /** Whether the slope takes a few instructions. */
  __device__ __forceinline__ bool plain() const { return kind != 3 && kind != 4 && kind != 7; }

  /** The slope of kind 5, each operation rounded as written, wherever it is. */
  __device__ __forceinline__ float hat(float u) const { return fmaxf(0.0f, a * __fsub_rn(1.41421356237309505f * b, __fmul_rn(b * b, fabsf(u)))); }

  /** The slope of kind 7, each operation rounded as written; the table is from, pieces per unit, pieces, and the value at each of their ends. A call: it costs the others no registers. */
  static __device__ __noinline__ float curve(float a, float b, float u) {
    const float* table = reinterpret_cast<const float*>(uintptr_t(__float_as_uint(a)) << 32 | __float_as_uint(b));
    float x = fminf(fmaxf(__fmul_rn(__fsub_rn(u, table[0]), table[1]), 0.0f), table[2]);
    float i = fminf(truncf(x), table[2] - 1);
    const float* at = table + 3 + int(i);
    return __fadd_rn(at[0], __fmul_rn(x - i, __fsub_rn(at[1], at[0])));
  }

  /** f(what gives the slope at u) where that takes a few instructions: for loops over many values, the kind decided outside of them. */
  template <class F> __device__ __forceinline__ void with_plain(F f) const {
    if (kind == 5) {
      f([of = *this](float u) { return of.hat(u); });
    } else {   // Identity, Clipped, Polynomial, ApproxSign: a line up to an end
      bool level = kind < 2, ends = kind == 1 || kind == 6;
      float at0 = level ? 1.0f : 2.0f, falls = level ? 0.0f : -2.0f, end = ends ? a : INFINITY, least = ends ? -INFINITY : 0.0f;
      f([=](float u) {
        float r = fabsf(u);
        return r <= end ? fmaxf(falls * r + at0, least) : 0.0f;
      });
    }
  }

  /** The same for all: f(what gives the slope at u, Width<1> where that takes a few instructions, else Width<0>). */
  template <class F> __device__ __forceinline__ void with(F f) const {
    if (plain()) with_plain([&](auto slope) { f(slope, Width<1>{}); });
    else f([of = *this](float u) { return of.slope(u); }, Width<0>{});
  }

  __device__ __forceinline__ float slope(float u) const {
    float r = fabsf(u);
    switch (kind) {
      case 0: return 1.0f;
      case 1: return r <= a ? 1.0f : 0.0f;
      case 2: return fmaxf(0.0f, 2 - 2 * r);
      case 3: {
        double t = tanh(double(b * u));
        return float(a * b * (1 - t * t));
      }
      case 4: return float(a * cos(double(a) * u));
      case 5: return hat(u);
      case 7: return curve(a, b, u);
      default: return r <= a ? 2 - 2 * r : 0.0f;
    }
  }
};
