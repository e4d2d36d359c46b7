// element.cuh -- elements of activations: float, or bfloat16 that is read and written as float
//
//   load(p), store(p, v)                     one element; storing rounds to the nearest bfloat16, ties to even, NaN to NaN
//   load_vector(p, v), store_vector(p, v)    1, 2, 4 or 8 neighbours, at an address that is a multiple of theirs (or of 16 bytes)
//   load_live, store_live                    those of the neighbours that there are, at once where they may be
//   unpack_vector(raw, at, v, type)          the same, 4 or 8, out of 16-byte words that were read before
//   TileSum<T>                               what a few of them are added in
//   Packed<T, W>                             W neighbours as a type holds them: round some in place, then store all
//   for_each_vector<W>(n, whole, f)          f(i, width): W elements at a time where whole holds, the rest one by one
//
// A file whose entries exist on both types is written once, over ELEMENT and ENTRY, and includes itself by each_element.cuh:
//
//   #ifndef ELEMENT
//   #define ELEMENT_FILE "maxout.cu"       (before it: headers, and what does not depend on the element)
//   #include "each_element.cuh"
//   #else
//   ONEBIT_KERNEL(256) ENTRY(maxout)(ELEMENT* y, const ELEMENT* x, ...) { ... }      makes maxout on float and maxout_bf16 on __nv_bfloat16
//   #endif
//
// Exactness  a bfloat16 is a float with 8 bits of mantissa: loading is exact, storing is off by at most 2^-8 of the value
#pragma once
#include <cuda_bf16.h>
#include <string.h>
#include "common.cuh"

__device__ __forceinline__ float load(const float* p) { return *p; }
__device__ __forceinline__ float load(const __nv_bfloat16* p) { return __bfloat162float(*p); }
__device__ __forceinline__ void store(float* p, float v) { *p = v; }
__device__ __forceinline__ void store(__nv_bfloat16* p, float v) { *p = __float2bfloat16_rn(v); }

/** The two bfloat16 of a word, the first in its low half. */
__device__ __forceinline__ void unpack_pair(unsigned word, float& first, float& second) {
  first = __uint_as_float(word << 16);
  second = __uint_as_float(word & 0xffff0000u);
}

__device__ __forceinline__ unsigned pack_pair(float first, float second) {
  __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
  unsigned word;
  memcpy(&word, &pair, 4);
  return word;
}

template <unsigned N> __device__ __forceinline__ void load_vector(const float* p, float (&v)[N]) {
  static_assert(N == 1 || N == 2 || N == 4 || N == 8, "1, 2, 4 or 8 elements");
  if constexpr (N == 1) {
    v[0] = *p;
  } else if constexpr (N == 2) {
    float2 w = *reinterpret_cast<const float2*>(p);
    v[0] = w.x, v[1] = w.y;
  } else {
#pragma unroll
    for (unsigned k = 0; k < N; k += 4) {
      float4 w = *reinterpret_cast<const float4*>(p + k);
      v[k] = w.x, v[k + 1] = w.y, v[k + 2] = w.z, v[k + 3] = w.w;
    }
  }
}

template <unsigned N> __device__ __forceinline__ void load_vector(const __nv_bfloat16* p, float (&v)[N]) {
  static_assert(N == 1 || N == 2 || N == 4 || N == 8, "1, 2, 4 or 8 elements");
  if constexpr (N == 1) {
    v[0] = load(p);
  } else if constexpr (N == 2) {
    unpack_pair(*reinterpret_cast<const unsigned*>(p), v[0], v[1]);
  } else if constexpr (N == 4) {
    uint2 w = *reinterpret_cast<const uint2*>(p);
    unpack_pair(w.x, v[0], v[1]), unpack_pair(w.y, v[2], v[3]);
  } else {
    uint4 w = *reinterpret_cast<const uint4*>(p);
    unpack_pair(w.x, v[0], v[1]), unpack_pair(w.y, v[2], v[3]), unpack_pair(w.z, v[4], v[5]), unpack_pair(w.w, v[6], v[7]);
  }
}

/** 4 elements at a time, from `at` on, out of 16-byte words as they lie in memory; the last argument only names their type. */
template <unsigned N> __device__ __forceinline__ void unpack_vector(const uint4* raw, unsigned at, float (&v)[N], const __nv_bfloat16*) {
#pragma unroll
  for (unsigned k = 0; k < N; k += 4) {
    const uint4& word = raw[(at + k) / 8];
    bool high = (at + k) % 8 != 0;
    unpack_pair(high ? word.z : word.x, v[k], v[k + 1]), unpack_pair(high ? word.w : word.y, v[k + 2], v[k + 3]);
  }
}

template <unsigned N> __device__ __forceinline__ void unpack_vector(const uint4* raw, unsigned at, float (&v)[N], const float*) {
#pragma unroll
  for (unsigned k = 0; k < N; k += 4) {
    const uint4& word = raw[(at + k) / 4];
    v[k] = __uint_as_float(word.x), v[k + 1] = __uint_as_float(word.y), v[k + 2] = __uint_as_float(word.z), v[k + 3] = __uint_as_float(word.w);
  }
}

template <unsigned N> __device__ __forceinline__ void store_vector(float* p, const float (&v)[N]) {
  static_assert(N == 1 || N == 2 || N == 4 || N == 8, "1, 2, 4 or 8 elements");
  if constexpr (N == 1) {
    *p = v[0];
  } else if constexpr (N == 2) {
    *reinterpret_cast<float2*>(p) = make_float2(v[0], v[1]);
  } else {
#pragma unroll
    for (unsigned k = 0; k < N; k += 4) *reinterpret_cast<float4*>(p + k) = make_float4(v[k], v[k + 1], v[k + 2], v[k + 3]);
  }
}

template <unsigned N> __device__ __forceinline__ void store_vector(__nv_bfloat16* p, const float (&v)[N]) {
  static_assert(N == 1 || N == 2 || N == 4 || N == 8, "1, 2, 4 or 8 elements");
  if constexpr (N == 1) {
    store(p, v[0]);
  } else if constexpr (N == 2) {
    *reinterpret_cast<unsigned*>(p) = pack_pair(v[0], v[1]);
  } else if constexpr (N == 4) {
    *reinterpret_cast<uint2*>(p) = make_uint2(pack_pair(v[0], v[1]), pack_pair(v[2], v[3]));
  } else {
    *reinterpret_cast<uint4*>(p) = make_uint4(pack_pair(v[0], v[1]), pack_pair(v[2], v[3]), pack_pair(v[4], v[5]), pack_pair(v[6], v[7]));
  }
}

/** How many of W neighbours there are, and whether they may be read and written at once. */
struct Live {
  unsigned count;
  bool together;

  /** The same for those behind the first n. */
  __device__ __forceinline__ Live behind(unsigned n) const { return {count > n ? count - n : 0u, together}; }
};
constexpr Live kAll{~0u, true};

/** The neighbours that there are; 0 for the others. */
template <unsigned W, class T> __device__ __forceinline__ void load_live(const T* p, float (&v)[W], Live live) {
  if (live.together) {
    load_vector(p, v);
  } else {
#pragma unroll
    for (unsigned k = 0; k < W; k++) v[k] = k < live.count ? load(p + k) : 0.0f;
  }
}

template <unsigned W, class T> __device__ __forceinline__ void store_live(T* p, const float (&v)[W], Live live) {
  if (live.together) {
    store_vector(p, v);
  } else {
#pragma unroll
    for (unsigned k = 0; k < W; k++) if (k < live.count) store(p + k, v[k]);
  }
}

/** W neighbours as elements of type T hold them, on their way to memory. */
template <class T, unsigned W> struct Packed {
  float values[W];

  /** Keeps N of them, from `at` on, and makes each what the element holds. */
  template <unsigned N> __device__ __forceinline__ void round(float (&v)[N], unsigned at) {
#pragma unroll
    for (unsigned k = 0; k < N; k++) values[at + k] = v[k];
  }

  __device__ __forceinline__ void store(T* p, Live live) const { store_live(p, values, live); }
};

/** Two in a word: both are rounded, and come back as float, in three instructions. */
template <unsigned W> struct Packed<__nv_bfloat16, W> {
  static_assert(W == 1 || W == 4 || W == 8, "1, 4 or 8 elements");
  unsigned words[(W + 1) / 2];

  template <unsigned N> __device__ __forceinline__ void round(float (&v)[N], unsigned at) {
#pragma unroll
    for (unsigned k = 0; k < N; k += 2) {
      float none = 0, &second = k + 1 < N ? v[k + 1 < N ? k + 1 : 0] : none;
      unsigned word = pack_pair(v[k], second);
      words[(at + k) / 2] = word;
      unpack_pair(word, v[k], second);
    }
  }

  __device__ __forceinline__ void store(__nv_bfloat16* p, Live live) const {
    if constexpr (W > 1) {
      if (live.together) {
        if constexpr (W == 8) *reinterpret_cast<uint4*>(p) = make_uint4(words[0], words[1], words[2], words[3]);
        else *reinterpret_cast<uint2*>(p) = make_uint2(words[0], words[1]);
        return;
      }
    }
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      if (k >= live.count) continue;
      reinterpret_cast<unsigned short*>(p)[k] = static_cast<unsigned short>(words[k / 2] >> k % 2 * 16);
    }
  }
};

/** What a few elements, and the rows of a few tiles, are added in: double beside float elements, float beside bfloat16. */
template <class E> struct TileSum {
  using type = double;
};
template <> struct TileSum<__nv_bfloat16> {
  using type = float;
};

/** Elements of a type in 16 bytes, the widest load of a thread: 4 floats, 8 bfloat16. */
template <class T> constexpr unsigned kWide = 16 / sizeof(T);

/** Whether all addresses are multiples of 16 bytes. */
template <class... T> __device__ __forceinline__ bool aligned(const T*... p) { return ((reinterpret_cast<uintptr_t>(p) | ...) & 15) == 0; }

/** f(i, width) over all elements below n, whatever the grid: W from i where whole holds, those left over one by one. */
template <unsigned W, class F> __device__ __forceinline__ void for_each_vector(unsigned n, bool whole, F f) {
  unsigned vectors = whole ? n / W : 0;
  FOR_EACH(i, vectors) f(i * W, Width<W>{});
  FOR_EACH(i, n - vectors * W) f(vectors * W + i, Width<1>{});
}
