// cuda_runtime_emulation.h -- CUDA C++ for g++: put before a .cu by `-include`, so the same file compiles for the emulated device
//
// Qualifiers, thread indices, barriers, warp calls, atomics and the device intrinsics have host meanings; inline PTX has none and belongs
// into wrappers with a host twin (kernels/mma.cuh). `__HOSTCUDA__` is defined, `__CUDACC__` and `__CUDA_ARCH__` are not.
#pragma once
#define __HOSTCUDA__ 1
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>
#include "device_types.h"
#include "device_threads.h"

// scan_kernels finds kernels by these spellings in the preprocessed text
#define __global__ __attribute__((hostcuda_global))
#define __launch_bounds__(...) __attribute__((hostcuda_bounds(__VA_ARGS__)))
#define __maxnreg__(...)
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __managed__
#define __shared__ thread_local
#define __restrict__ __restrict
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define CUDART_INF_F __builtin_inff()
#define CUDART_NAN_F __builtin_nanf("")

/** A __shared__ variable at a place that g++ cannot know; scan_kernels puts this around its uses in the checked variant. */
template <class T> inline __attribute__((always_inline)) T& hostcuda_seen(T& variable) {
  T* place = &variable;
  asm("" : "+r"(place));
  return *place;
}

// bits
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
inline int __clz(int v) { return v ? __builtin_clz(unsigned(v)) : 32; }
inline int __clzll(long long v) { return v ? __builtin_clzll((unsigned long long)v) : 64; }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __ffsll(long long v) { return __builtin_ffsll(v); }
inline unsigned __brev(unsigned v) {
  unsigned r = 0;
  for (int i = 0; i < 32; i++) r |= (v >> i & 1u) << (31 - i);
  return r;
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned s) {
  uint64_t ab = uint64_t(b) << 32 | a;
  unsigned r = 0;
  for (int i = 0; i < 4; i++) {
    unsigned sel = s >> 4 * i & 15, byte = unsigned(ab >> 8 * (sel & 7)) & 255;
    if (sel & 8) byte = byte & 128 ? 255 : 0;
    r |= byte << 8 * i;
  }
  return r;
}
inline unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned s) { return unsigned(((uint64_t(hi) << 32 | lo) << (s & 31)) >> 32); }
inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned s) { return unsigned((uint64_t(hi) << 32 | lo) >> (s & 31)); }
inline int __mulhi(int a, int b) { return int((int64_t(a) * b) >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) { return (unsigned long long)(((unsigned __int128)a * b) >> 64); }
inline int __dp4a(int a, int b, int c) {
  for (int i = 0; i < 4; i++) c += int(int8_t(a >> 8 * i)) * int(int8_t(b >> 8 * i));
  return c;
}

// memory with cache hints, fences
#if defined(__HOSTCUDA_CHECKED__)
extern "C" void hostcuda_check(const void* address, uint64_t bytes, int access, const void* caller);
extern "C" void hostcuda_fenced();
extern "C" void hostcuda_heard(const void* address);
template <class T> HOSTCUDA_UNCHECKED T __ldcg(const T* p) {
  hostcuda_check(p, sizeof(T), 3, __builtin_return_address(0));
  return *p;
}
inline void __threadfence() { hostcuda_fenced(); }
#else
template <class T> inline T __ldcg(const T* p) { return *p; }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
#endif
template <class T> inline T __ldg(const T* p) { return *p; }
template <class T> inline T __ldca(const T* p) { return *p; }
template <class T> inline T __ldcs(const T* p) { return *p; }
template <class T> inline void __stcg(T* p, T v) { *p = v; }
template <class T> inline void __stcs(T* p, T v) { *p = v; }
template <class T> inline void __stwb(T* p, T v) { *p = v; }
inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_system() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __trap(HOSTCUDA_SITE) { hostcuda_fail(719, "__trap()", file, line); }
inline long long clock64() { return 0; }

// atomics; one compare-and-swap loop for all, so that floats work too
namespace hostcuda {
template <class T> using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>;
template <class T, class Change> HOSTCUDA_UNCHECKED T atomicChange(T* p, Change change) {
#if defined(__HOSTCUDA_CHECKED__)
  hostcuda_check(p, sizeof(T), 2, __builtin_return_address(0));
#endif
  Bits<T>* word = reinterpret_cast<Bits<T>*>(p);
  Bits<T> old = __atomic_load_n(word, __ATOMIC_RELAXED), next;
  T before;
  do {
    std::memcpy(&before, &old, sizeof(T));
    T after = change(before);
    std::memcpy(&next, &after, sizeof(T));
  } while (!__atomic_compare_exchange_n(word, &old, next, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
#if defined(__HOSTCUDA_CHECKED__)
  hostcuda_heard(p);
#endif
  return before;
}
template <class T> struct Same { typedef T type; };
}  // namespace hostcuda
#define HOSTCUDA_ATOMIC(NAME, EXPRESSION)                                                                            \
  template <class T> inline T NAME(T* p, typename hostcuda::Same<T>::type v) {                                       \
    return hostcuda::atomicChange(p, [v](T old) -> T { (void)v; return EXPRESSION; });                               \
  }                                                                                                                  \
  template <class T> inline T NAME##_block(T* p, typename hostcuda::Same<T>::type v) { return NAME(p, v); }
HOSTCUDA_ATOMIC(atomicAdd, T(old + v))
HOSTCUDA_ATOMIC(atomicSub, T(old - v))
HOSTCUDA_ATOMIC(atomicExch, v)
HOSTCUDA_ATOMIC(atomicMin, v < old ? v : old)
HOSTCUDA_ATOMIC(atomicMax, old < v ? v : old)
HOSTCUDA_ATOMIC(atomicAnd, T(old & v))
HOSTCUDA_ATOMIC(atomicOr, T(old | v))
HOSTCUDA_ATOMIC(atomicXor, T(old ^ v))
HOSTCUDA_ATOMIC(atomicInc, old >= v ? T(0) : T(old + 1))
HOSTCUDA_ATOMIC(atomicDec, old == 0 || old > v ? v : T(old - 1))
#undef HOSTCUDA_ATOMIC
template <class T> inline T atomicCAS(T* p, typename hostcuda::Same<T>::type expected, typename hostcuda::Same<T>::type v) {
  return hostcuda::atomicChange(p, [=](T old) -> T { return old == expected ? v : old; });
}

// arithmetic
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float hostcuda_rounded(float a) {   // where the compiler may make one fma of a product and a sum, not of this one
#ifdef __HOSTCUDA_CONTRACTED__
  asm("" : "+x"(a));
#endif
  return a;
}
inline float __fadd_rn(float a, float b) { return hostcuda_rounded(a) + hostcuda_rounded(b); }
inline float __fsub_rn(float a, float b) { return hostcuda_rounded(a) - hostcuda_rounded(b); }
inline float __fmul_rn(float a, float b) { return hostcuda_rounded(a * b); }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __frsqrt_rn(float a) { return float(1.0 / std::sqrt(double(a))); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __saturatef(float a) { return a > 0 ? (a < 1 ? a : 1.0f) : 0.0f; }
inline float rsqrtf(float a) { return float(1.0 / std::sqrt(double(a))); }
inline double rsqrt(double a) { return 1.0 / std::sqrt(a); }
inline float __expf(float a) { return std::exp(a); }
inline float __exp10f(float a) { return std::pow(10.0f, a); }
inline float __logf(float a) { return std::log(a); }
inline float __log2f(float a) { return std::log2(a); }
inline float __sinf(float a) { return std::sin(a); }
inline float __cosf(float a) { return std::cos(a); }
inline float __tanf(float a) { return std::tan(a); }
inline float __powf(float a, float b) { return std::pow(a, b); }
inline void __sincosf(float a, float* s, float* c) { *s = std::sin(a); *c = std::cos(a); }
inline float sinpif(float a) { return float(std::sin(3.14159265358979323846 * double(a))); }
inline float cospif(float a) { return float(std::cos(3.14159265358979323846 * double(a))); }
inline float __int2float_rn(int a) { return float(a); }
inline float __uint2float_rn(unsigned a) { return float(a); }
namespace hostcuda {
/** CUDA's float to integer conversion: NaN gives 0, values past the range its ends. */
template <class I> inline I toInteger(double v) {
  if (std::isnan(v)) return 0;
  if (v <= double(std::numeric_limits<I>::min())) return std::numeric_limits<I>::min();
  if (v >= double(std::numeric_limits<I>::max())) return std::numeric_limits<I>::max();
  return I(v);
}
}  // namespace hostcuda
inline int __float2int_rn(float a) { return hostcuda::toInteger<int>(std::nearbyint(a)); }
inline int __float2int_rz(float a) { return hostcuda::toInteger<int>(std::trunc(a)); }
inline int __float2int_rd(float a) { return hostcuda::toInteger<int>(std::floor(a)); }
inline int __float2int_ru(float a) { return hostcuda::toInteger<int>(std::ceil(a)); }
inline unsigned __float2uint_rn(float a) { return hostcuda::toInteger<unsigned>(std::nearbyint(a)); }
inline unsigned __float2uint_rz(float a) { return hostcuda::toInteger<unsigned>(std::trunc(a)); }

#define HOSTCUDA_MINMAX(T)                                  \
  inline T min(T a, T b) { return b < a ? b : a; }          \
  inline T max(T a, T b) { return a < b ? b : a; }
HOSTCUDA_MINMAX(int)
HOSTCUDA_MINMAX(unsigned)
HOSTCUDA_MINMAX(long)
HOSTCUDA_MINMAX(unsigned long)
HOSTCUDA_MINMAX(long long)
HOSTCUDA_MINMAX(unsigned long long)
#undef HOSTCUDA_MINMAX
inline unsigned min(int a, unsigned b) { return min(unsigned(a), b); }
inline unsigned min(unsigned a, int b) { return min(a, unsigned(b)); }
inline unsigned max(int a, unsigned b) { return max(unsigned(a), b); }
inline unsigned max(unsigned a, int b) { return max(a, unsigned(b)); }
inline float min(float a, float b) { return std::fmin(a, b); }
inline float max(float a, float b) { return std::fmax(a, b); }
inline double min(double a, double b) { return std::fmin(a, b); }
inline double max(double a, double b) { return std::fmax(a, b); }
inline float __hmax(float a, float b) { return std::fmax(a, b); }
inline __nv_bfloat16 __hmax(__nv_bfloat16 a, __nv_bfloat16 b) { return __nv_bfloat16(std::fmax(float(a), float(b))); }
inline __nv_bfloat16 __hmin(__nv_bfloat16 a, __nv_bfloat16 b) { return __nv_bfloat16(std::fmin(float(a), float(b))); }
inline __nv_bfloat16 __hfma(__nv_bfloat16 a, __nv_bfloat16 b, __nv_bfloat16 c) {
  return __nv_bfloat16(double(float(a)) * double(float(b)) + double(float(c)));
}
