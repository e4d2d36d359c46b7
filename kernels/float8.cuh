// float8.cuh -- float8 of the form e4m3: sign, 4 bits of exponent, 3 of mantissa, and the power of two that brings a tensor into its range
//
//   e4m3_bits(v)            the nearest code, ties to even; values past +-448 give +-448, what is not finite gives NaN, 0x7f
//   e4m3_value(code)        what a code holds
//   float8_exponent(peak)   the largest k such that no value up to peak exceeds 448 when it is multiplied by 2^k; 0 for a peak of 0 and for none that is finite
//   power_of_two(k)         2^k for k from -126 to 127
//
// Encoding   code S EEEE MMM: (-1)^S 2^(E - 7) 1.M, for E = 0 (-1)^S 2^-6 0.M; 0x7f and 0xff are NaN; there is no infinity
// Limits     the conversion is one instruction from sm_89 on; before, entries that need it are empty
// Exactness  the code is a function of the value alone; scaling by 2^k is exact where nothing leaves the range of float32
// Twin       src/main/java/onebit/tensor/Float8.java
// Source     Micikevicius et al. 2022 (arXiv 2209.05433), table 1; PTX ISA, cvt.rn.satfinite.e4m3x2.f32
#pragma once
#include "common.cuh"

/** Whether this architecture multiplies float8; a kernel of another that asks is empty and must not be launched. */
__device__ constexpr bool float8_products() {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 890
  return true;
#else
  return false;
#endif
}

constexpr uint32_t kFloat8One = 0x38, kFloat8MinusOne = 0xb8, kFloat8NaN = 0x7f;

#if defined(__HOSTCUDA__) || (defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 890)
/** The code of a finite value, by whole numbers. */
__device__ __forceinline__ uint32_t e4m3_finite(float v) {
  uint32_t bits = __float_as_uint(v), sign = bits >> 24 & 0x80, size = bits & 0x7fffffff;
  if (size < 0x3c800000) return sign | uint32_t(__float2int_rn(__uint_as_float(size) * 512.0f));   // below 2^-6: multiples of 2^-9
  uint32_t code = ((size + 0x7ffff + (size >> 20 & 1)) >> 20) - (120 << 3);
  return sign | (code < 0x7e ? code : 0x7e);
}
#else
__device__ __forceinline__ uint32_t e4m3_finite(float v) {
  uint16_t pair;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(v));
  return pair & 0xff;
}
#endif

__device__ __forceinline__ uint32_t e4m3_bits(float v) { return (__float_as_uint(v) & 0x7f800000) == 0x7f800000 ? kFloat8NaN : e4m3_finite(v); }

__device__ __forceinline__ float e4m3_value(uint32_t code) {
  if ((code & 0x7f) == 0x7f) return __uint_as_float(0x7fffffff);
  return __uint_as_float((code & 0x80) << 24 | (code & 0x7f) << 20) * 0x1p120f;
}

__device__ __forceinline__ float power_of_two(int k) { return __uint_as_float(uint32_t(127 + k) << 23); }

/** peak: the bits of a float that is not negative. */
__device__ __forceinline__ int float8_exponent(uint32_t peak) {
  if (peak == 0 || peak >= 0x7f800000) return 0;
  int k = 8 - (max(1, int(peak >> 23)) - 127) - ((peak & 0x7fffff) > 0x600000 ? 1 : 0);
  return min(k, 126);
}

/** What the gradient at a filter is multiplied by before it is rounded: the filter's distance, so that its values are +-1; 1 where that is 0. */
__device__ __forceinline__ float float8_fold(float distance) { return distance == 0.0f ? 1.0f : distance; }
