// device_types.h -- CUDA's vector types and bfloat16 for g++, with CUDA's names, sizes and alignments
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#define HOSTCUDA_VECTOR(T, NAME, A1, A2, A4)                                          \
  struct NAME##1 { T x; };                                                            \
  struct alignas(A2) NAME##2 { T x, y; };                                             \
  struct NAME##3 { T x, y, z; };                                                      \
  struct alignas(A4) NAME##4 { T x, y, z, w; };                                       \
  inline NAME##1 make_##NAME##1(T x) { return {x}; }                                  \
  inline NAME##2 make_##NAME##2(T x, T y) { return {x, y}; }                          \
  inline NAME##3 make_##NAME##3(T x, T y, T z) { return {x, y, z}; }                  \
  inline NAME##4 make_##NAME##4(T x, T y, T z, T w) { return {x, y, z, w}; }
HOSTCUDA_VECTOR(signed char, char, 1, 2, 4)
HOSTCUDA_VECTOR(unsigned char, uchar, 1, 2, 4)
HOSTCUDA_VECTOR(short, short, 2, 4, 8)
HOSTCUDA_VECTOR(unsigned short, ushort, 2, 4, 8)
HOSTCUDA_VECTOR(int, int, 4, 8, 16)
HOSTCUDA_VECTOR(unsigned, uint, 4, 8, 16)
HOSTCUDA_VECTOR(long long, longlong, 8, 16, 16)
HOSTCUDA_VECTOR(unsigned long long, ulonglong, 8, 16, 16)
HOSTCUDA_VECTOR(float, float, 4, 8, 16)
HOSTCUDA_VECTOR(double, double, 8, 16, 16)
#undef HOSTCUDA_VECTOR

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

inline float __uint_as_float(unsigned u) { float f; std::memcpy(&f, &u, 4); return f; }
inline unsigned __float_as_uint(float f) { unsigned u; std::memcpy(&u, &f, 4); return u; }
inline float __int_as_float(int i) { return __uint_as_float(unsigned(i)); }
inline int __float_as_int(float f) { return int(__float_as_uint(f)); }
inline double __longlong_as_double(long long v) { double d; std::memcpy(&d, &v, 8); return d; }
inline long long __double_as_longlong(double d) { long long v; std::memcpy(&v, &d, 8); return v; }

namespace hostcuda {
/** The nearest bfloat16, ties to even; NaN stays NaN (0x7fff, as CUDA's conversion gives). */
inline uint16_t bfloat16Bits(float f) {
  uint32_t u = __float_as_uint(f);
  if ((u & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return uint16_t((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}
inline float bfloat16Value(uint16_t bits) { return __uint_as_float(uint32_t(bits) << 16); }
}  // namespace hostcuda

struct __nv_bfloat16_raw { unsigned short x; };
struct __nv_bfloat16 {
  unsigned short bits;
  __nv_bfloat16() = default;
  __nv_bfloat16(float f) : bits(hostcuda::bfloat16Bits(f)) {}
  __nv_bfloat16(double f) : bits(hostcuda::bfloat16Bits(float(f))) {}
  __nv_bfloat16(int i) : bits(hostcuda::bfloat16Bits(float(i))) {}
  __nv_bfloat16(unsigned i) : bits(hostcuda::bfloat16Bits(float(i))) {}
  __nv_bfloat16(__nv_bfloat16_raw r) : bits(r.x) {}
  operator float() const { return hostcuda::bfloat16Value(bits); }
  operator __nv_bfloat16_raw() const { return {bits}; }
};
struct alignas(4) __nv_bfloat162 {
  __nv_bfloat16 x, y;
  __nv_bfloat162() = default;
  __nv_bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) : x(x), y(y) {}
};
typedef __nv_bfloat16 nv_bfloat16;
typedef __nv_bfloat162 nv_bfloat162;

// float holds every sum and product of two bfloat16 precisely enough that rounding twice equals rounding once
#define HOSTCUDA_BF16(OP, NAME)                                                                                                  \
  inline __nv_bfloat16 operator OP(__nv_bfloat16 a, __nv_bfloat16 b) { return __nv_bfloat16(float(a) OP float(b)); }             \
  inline __nv_bfloat16 NAME(__nv_bfloat16 a, __nv_bfloat16 b) { return a OP b; }                                                 \
  inline __nv_bfloat162 NAME##2(__nv_bfloat162 a, __nv_bfloat162 b) { return {a.x OP b.x, a.y OP b.y}; }
HOSTCUDA_BF16(+, __hadd)
HOSTCUDA_BF16(-, __hsub)
HOSTCUDA_BF16(*, __hmul)
HOSTCUDA_BF16(/, __hdiv)
#undef HOSTCUDA_BF16
#define HOSTCUDA_COMPARE(OP, NAME)                                                                  \
  inline bool operator OP(__nv_bfloat16 a, __nv_bfloat16 b) { return float(a) OP float(b); }        \
  inline bool NAME(__nv_bfloat16 a, __nv_bfloat16 b) { return float(a) OP float(b); }
HOSTCUDA_COMPARE(<, __hlt)
HOSTCUDA_COMPARE(<=, __hle)
HOSTCUDA_COMPARE(>, __hgt)
HOSTCUDA_COMPARE(>=, __hge)
HOSTCUDA_COMPARE(==, __heq)
HOSTCUDA_COMPARE(!=, __hne)
#undef HOSTCUDA_COMPARE
inline __nv_bfloat16 operator-(__nv_bfloat16 a) { a.bits ^= 0x8000; return a; }
inline __nv_bfloat16 __hneg(__nv_bfloat16 a) { return -a; }
inline __nv_bfloat16 __habs(__nv_bfloat16 a) { a.bits &= 0x7fff; return a; }
inline bool __hisnan(__nv_bfloat16 a) { return (a.bits & 0x7fff) > 0x7f80; }

inline __nv_bfloat16 __float2bfloat16(float f) { return __nv_bfloat16(f); }
inline __nv_bfloat16 __float2bfloat16_rn(float f) { return __nv_bfloat16(f); }
inline float __bfloat162float(__nv_bfloat16 b) { return float(b); }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 b) { return b.bits; }
inline short __bfloat16_as_short(__nv_bfloat16 b) { return short(b.bits); }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short u) { return __nv_bfloat16_raw{u}; }
inline __nv_bfloat162 __float22bfloat162_rn(float2 f) { return {__nv_bfloat16(f.x), __nv_bfloat16(f.y)}; }
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) { return {__nv_bfloat16(x), __nv_bfloat16(y)}; }
inline __nv_bfloat162 __float2bfloat162_rn(float x) { return {__nv_bfloat16(x), __nv_bfloat16(x)}; }
inline __nv_bfloat162 __bfloat162bfloat162(__nv_bfloat16 x) { return {x, x}; }
inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) { return {x, y}; }
inline float2 __bfloat1622float2(__nv_bfloat162 b) { return {float(b.x), float(b.y)}; }
inline float __low2float(__nv_bfloat162 b) { return float(b.x); }
inline float __high2float(__nv_bfloat162 b) { return float(b.y); }
inline __nv_bfloat16 __low2bfloat16(__nv_bfloat162 b) { return b.x; }
inline __nv_bfloat16 __high2bfloat16(__nv_bfloat162 b) { return b.y; }
