// mma.cuh -- tensor-core products of one warp and the copies that feed them: inline PTX on a device, plain loops on the emulated one
//
//   mma_m16n8k256_and_popc   d[m][n] = c[m][n] + popc(a[m] & b[n])          256-bit rows, native on sm_80 to sm_90
//   mma_m16n8k128_and_popc   the same with 128-bit rows
//   mma_m8n8k128_xor_popc    d[m][n] = c[m][n] + popc(a[m] ^ b[n])          128-bit rows, sm_75 to sm_89
//   mma_m16n8k16_bf16        d[m][n] = c[m][n] + sum a[m][k] b[k][n]        bfloat16 inputs, float32 sums
//   mma_m16n8k32_e4m3        the same with 32 k of float8 inputs, as two products of float16
//   mma_m16n8k16_f16         d[m][n] = c[m][n] + sum a[m][k] b[k][n]        float16 inputs, float32 sums; for what was float8
//   e4m3_to_f16              four float8 as four float16
//   ldmatrix_x4, _x2, _x4_trans, _x2_trans   8x8 matrices of 16-bit elements from shared memory
//   cp_async<BYTES>, cp_async_16, cp_async_4, cp_async_commit, cp_async_wait<N>   global to shared memory behind the thread's back; 4, 8 or 16 bytes
//
// Shapes     group g = lane / 4, member t = lane % 4
//            k256  a {row g word t, row g+8 word t, row g word t+4, row g+8 word t+4}   b {column g word t, column g word t+4}
//            k128  a {row g word t, row g+8 word t}                                     b {column g word t}
//            8x8   a {row g word t}   b {column g word t}   c, d {row g column 2t, 2t+1}
//            bf16  a {row g k 2t..2t+1, row g+8 k 2t.., row g k 2t+8.., row g+8 k 2t+8..}   b {k 2t..2t+1 column g, k 2t+8.. column g}
//            f16   as bf16
//            e4m3  a {row g k 4t..4t+3, row g+8 k 4t.., row g k 4t+16.., row g+8 k 4t+16..}   b {k 4t..4t+3 column g, k 4t+16.. column g}
//            c, d  {row g column 2t, row g column 2t+1, row g+8 column 2t, row g+8 column 2t+1}
// Encoding   words hold 32 channels, bit k % 32 of word k / 32; two bfloat16 or four float8 per 32-bit register, the lower k in the lower bits
// Limits     all 32 lanes must call; AND needs sm_80, XOR is emulated by several instructions from sm_90 on
// Exactness  bit products are whole numbers; the bf16 twin sums in k order in float32, a device in an order of its own
// Source     PTX ISA, "Matrix multiply-accumulate operation using mma instruction"; anchors/performance.md section 1
// Tests      native-tests/hostcuda/test/mma_test.cpp
#pragma once
#include <stdint.h>
#include "float8.cuh"

#if defined(__HOSTCUDA__)

namespace mma_twin {

/** Rows x 8 products of bit rows; W words of a per row, lane registers laid out as described above. */
template <int ROWS, int WORDS, bool XOR> struct Bits {
  struct In { uint32_t a[ROWS / 8 * WORDS / 4], b[WORDS / 4]; int32_t c[ROWS / 4]; };
  struct Out { int32_t d[ROWS / 4]; };
  void operator()(unsigned, const In* in, Out* out) const {
    for (int m = 0; m < ROWS; m++)
      for (int n = 0; n < 8; n++) {
        int sum = 0;
        for (int w = 0; w < WORDS; w++) {
          uint32_t a = in[m % 8 * 4 + w % 4].a[w / 4 * (ROWS / 8) + m / 8], b = in[n * 4 + w % 4].b[w / 4];
          sum += __popc(XOR ? a ^ b : a & b);
        }
        int lane = m % 8 * 4 + n / 2, reg = m / 8 * 2 + n % 2;
        out[lane].d[reg] = in[lane].c[reg] + sum;
      }
  }
};

/** Products of 16 rows and 8 columns, 8 VALUE::kPer k: VALUE::kPer elements a register, of which VALUE::of gives the k-th. */
template <class VALUE> struct Real {
  static constexpr int kPer = VALUE::kPer, kDepth = 8 * kPer;
  struct In { uint32_t a[4], b[2]; float c[4]; };
  struct Out { float d[4]; };
  void operator()(unsigned, const In* in, Out* out) const {
    float a[16][kDepth], b[8][kDepth];
    for (int k = 0; k < kDepth; k++) {
      int member = k % (4 * kPer) / kPer, half = k / (4 * kPer);
      for (int m = 0; m < 16; m++) a[m][k] = VALUE::of(in[m % 8 * 4 + member].a[half * 2 + m / 8], k % kPer);
      for (int n = 0; n < 8; n++) b[n][k] = VALUE::of(in[n * 4 + member].b[half], k % kPer);
    }
    for (int m = 0; m < 16; m++)
      for (int n = 0; n < 8; n++) {
        int lane = m % 8 * 4 + n / 2, reg = m / 8 * 2 + n % 2;
        float sum = in[lane].c[reg];
        for (int k = 0; k < kDepth; k++) sum += a[m][k] * b[n][k];
        out[lane].d[reg] = sum;
      }
  }
};

struct Bf16 {
  static constexpr int kPer = 2;
  static float of(uint32_t pair, int k) { return __uint_as_float(k ? pair & 0xffff0000u : pair << 16); }
};

struct F16 {
  static constexpr int kPer = 2;
  static float of(uint32_t pair, int k) {   // no subnormals and no infinity: a float8 is none as a float16
    uint32_t bits = pair >> (k ? 16 : 0) & 0xffff;
    if ((bits & 0x7c00) == 0x7c00) return __uint_as_float(0x7fffffff);
    return __uint_as_float((bits & 0x8000) << 16 | (bits & 0x7fff) << 13) * 0x1p112f;
  }
  /** The float16 of a code. */
  static uint32_t made(uint32_t code) {
    float v = std::fabs(e4m3_value(code));
    uint32_t bits = __float_as_uint(v * 0x1p-112f) >> 13;
    return (code & 0x80) << 8 | (v != v ? 0x7fff : bits);
  }
};

/** Lane 8 i + r names row r of matrix i; lane l gets the elements 2 (l % 4) and the next of row l / 4, or of column l / 4 if transposed. */
template <int COUNT, bool TRANSPOSED> struct Load {
  struct In { const uint16_t* row; };
  struct Out { uint32_t r[COUNT]; };
  void operator()(unsigned, const In* in, Out* out) const {
    for (int i = 0; i < COUNT; i++)
      for (int l = 0; l < 32; l++) {
        int a = l / 4, b = l % 4 * 2;
        uint32_t low = TRANSPOSED ? in[8 * i + b].row[a] : in[8 * i + a].row[b];
        uint32_t high = TRANSPOSED ? in[8 * i + b + 1].row[a] : in[8 * i + a].row[b + 1];
        out[l].r[i] = low | high << 16;
      }
  }
};

template <int COUNT, bool TRANSPOSED> inline void load(uint32_t* r, const void* row, const char* call, const char* file, int line) {
  using L = Load<COUNT, TRANSPOSED>;
  if (reinterpret_cast<uintptr_t>(row) % 16) hostcuda_fail(716, "ldmatrix: a row address is no multiple of 16", file, line);
  typename L::In in{static_cast<const uint16_t*>(row)};
  auto out = hostcuda::collective<typename L::In, typename L::Out>(0xffffffffu, call, in, L{}, file, line);
  for (int i = 0; i < COUNT; i++) r[i] = out.r[i];
}

template <int ROWS, int WORDS, bool XOR>
inline void bits(int32_t* d, const uint32_t* a, const uint32_t* b, const int32_t* c, const char* call, const char* file, int line) {
  using B = Bits<ROWS, WORDS, XOR>;
  typename B::In in;
  for (int i = 0; i < ROWS / 8 * WORDS / 4; i++) in.a[i] = a[i];
  for (int i = 0; i < WORDS / 4; i++) in.b[i] = b[i];
  for (int i = 0; i < ROWS / 4; i++) in.c[i] = c[i];
  auto out = hostcuda::collective<typename B::In, typename B::Out>(0xffffffffu, call, in, B{}, file, line);
  for (int i = 0; i < ROWS / 4; i++) d[i] = out.d[i];
}

template <class VALUE>
inline void reals(float* d, const uint32_t* a, const uint32_t* b, const float* c, const char* call, const char* file, int line) {
  using R = Real<VALUE>;
  typename R::In in;
  for (int i = 0; i < 4; i++) in.a[i] = a[i], in.c[i] = c[i];
  for (int i = 0; i < 2; i++) in.b[i] = b[i];
  auto out = hostcuda::collective<typename R::In, typename R::Out>(0xffffffffu, call, in, R{}, file, line);
  for (int i = 0; i < 4; i++) d[i] = out.d[i];
}

}  // namespace mma_twin

inline void mma_m16n8k256_and_popc(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const int32_t (&c)[4], HOSTCUDA_SITE) {
  mma_twin::bits<16, 8, false>(d, a, b, c, "mma_m16n8k256_and_popc", file, line);
}
inline void mma_m16n8k128_and_popc(int32_t (&d)[4], const uint32_t (&a)[2], const uint32_t (&b)[1], const int32_t (&c)[4], HOSTCUDA_SITE) {
  mma_twin::bits<16, 4, false>(d, a, b, c, "mma_m16n8k128_and_popc", file, line);
}
inline void mma_m8n8k128_xor_popc(int32_t (&d)[2], const uint32_t (&a)[1], const uint32_t (&b)[1], const int32_t (&c)[2], HOSTCUDA_SITE) {
  mma_twin::bits<8, 4, true>(d, a, b, c, "mma_m8n8k128_xor_popc", file, line);
}
inline void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4], HOSTCUDA_SITE) {
  mma_twin::reals<mma_twin::Bf16>(d, a, b, c, "mma_m16n8k16_bf16", file, line);
}
inline void mma_m16n8k16_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4], HOSTCUDA_SITE) {
  mma_twin::reals<mma_twin::F16>(d, a, b, c, "mma_m16n8k16_f16", file, line);
}
inline void e4m3_to_f16(uint32_t four, uint32_t& lower, uint32_t& upper) {
  lower = mma_twin::F16::made(four & 0xff) | mma_twin::F16::made(four >> 8 & 0xff) << 16;
  upper = mma_twin::F16::made(four >> 16 & 0xff) | mma_twin::F16::made(four >> 24) << 16;
}

inline void ldmatrix_x4(uint32_t (&r)[4], const void* row, HOSTCUDA_SITE) { mma_twin::load<4, false>(r, row, "ldmatrix_x4", file, line); }
inline void ldmatrix_x2(uint32_t (&r)[2], const void* row, HOSTCUDA_SITE) {
  mma_twin::load<2, false>(r, row, "ldmatrix_x2", file, line);
}
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row, HOSTCUDA_SITE) { mma_twin::load<4, true>(r, row, "ldmatrix_x4_trans", file, line); }
inline void ldmatrix_x2_trans(uint32_t (&r)[2], const void* row, HOSTCUDA_SITE) { mma_twin::load<2, true>(r, row, "ldmatrix_x2_trans", file, line); }

/** Copies 16 bytes, or makes them zeros where sourceBytes is 0; done only after cp_async_wait. */
inline void cp_async_16(void* shared, const void* global, unsigned sourceBytes = 16) { hostcuda_async_copy(shared, global, 16, sourceBytes); }
inline void cp_async_4(void* shared, const void* global, unsigned sourceBytes = 4) { hostcuda_async_copy(shared, global, 4, sourceBytes); }
template <unsigned BYTES> inline void cp_async(void* shared, const void* global, unsigned sourceBytes) { hostcuda_async_copy(shared, global, BYTES, sourceBytes); }
inline void cp_async_commit() { hostcuda_async_commit(); }
template <int PENDING> inline void cp_async_wait() { hostcuda_async_wait(PENDING); }

#else  // a device

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define ONEBIT_SM80 1
#endif
// one-bit products that are one instruction of the tensor cores: AND from sm_80 to sm_90, XOR from sm_75 to sm_89
#if !defined(__CUDA_ARCH__) || (__CUDA_ARCH__ >= 800 && __CUDA_ARCH__ < 1000)
#define ONEBIT_B1_AND 1
#endif
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ < 900
#define ONEBIT_B1_XOR 1
#endif
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 890
#define ONEBIT_SM89 1
#endif

// where an instruction is missing the wrapper traps: a kernel for that architecture must not call it
__device__ __forceinline__ void mma_m16n8k256_and_popc(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const int32_t (&c)[4]) {
#ifdef ONEBIT_B1_AND
  asm volatile("mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"
               : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]));
#else
  __trap();
#endif
}
__device__ __forceinline__ void mma_m16n8k128_and_popc(int32_t (&d)[4], const uint32_t (&a)[2], const uint32_t (&b)[1], const int32_t (&c)[4]) {
#ifdef ONEBIT_B1_AND
  asm volatile("mma.sync.aligned.m16n8k128.row.col.s32.b1.b1.s32.and.popc {%0,%1,%2,%3}, {%4,%5}, {%6}, {%7,%8,%9,%10};"
               : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(b[0]), "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]));
#else
  __trap();
#endif
}
__device__ __forceinline__ void mma_m8n8k128_xor_popc(int32_t (&d)[2], const uint32_t (&a)[1], const uint32_t (&b)[1], const int32_t (&c)[2]) {
#ifdef ONEBIT_B1_XOR
  asm volatile("mma.sync.aligned.m8n8k128.row.col.s32.b1.b1.s32.xor.popc {%0,%1}, {%2}, {%3}, {%4,%5};"
               : "=r"(d[0]), "=r"(d[1]) : "r"(a[0]), "r"(b[0]), "r"(c[0]), "r"(c[1]));
#else
  __trap();
#endif
}
__device__ __forceinline__ void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4]) {
#ifdef ONEBIT_SM80
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"
               : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
#else
  __trap();
#endif
}
__device__ __forceinline__ void mma_m16n8k16_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4]) {
#ifdef ONEBIT_SM80
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"
               : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
#else
  __trap();
#endif
}
__device__ __forceinline__ void e4m3_to_f16(uint32_t four, uint32_t& lower, uint32_t& upper) {
#ifdef ONEBIT_SM89
  asm("{ .reg .b16 low, high; mov.b32 {low, high}, %2; cvt.rn.f16x2.e4m3x2 %0, low; cvt.rn.f16x2.e4m3x2 %1, high; }" : "=r"(lower), "=r"(upper) : "r"(four));
#else
  __trap();
#endif
}

__device__ __forceinline__ uint32_t shared_address(const void* p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void ldmatrix_x2(uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void ldmatrix_x2_trans(uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(shared_address(row)) : "memory");
}

// before sm_80 the copy goes through registers, at once. sourceBytes is 0 or all: for a part of them the instruction's address is moved behind it, off its multiple
// of 16 and possibly past the end of what is read, which nothing but the unit that copies understands
__device__ __forceinline__ void cp_async_16(void* shared, const void* global, unsigned sourceBytes = 16) {
#ifdef ONEBIT_SM80
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(sourceBytes) : "memory");
#else
  uint32_t* to = static_cast<uint32_t*>(shared);
  const uint32_t* from = static_cast<const uint32_t*>(global);
  for (unsigned i = 0; i < 4; i++) to[i] = sourceBytes ? from[i] : 0u;
#endif
}
__device__ __forceinline__ void cp_async_4(void* shared, const void* global, unsigned sourceBytes = 4) {
#ifdef ONEBIT_SM80
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(sourceBytes) : "memory");
#else
  *static_cast<uint32_t*>(shared) = sourceBytes ? *static_cast<const uint32_t*>(global) : 0u;
#endif
}
/** BYTES is 4, 8 or 16; sourceBytes is 0 or all. */
template <unsigned BYTES> __device__ __forceinline__ void cp_async(void* shared, const void* global, unsigned sourceBytes) {
  static_assert(BYTES == 4 || BYTES == 8 || BYTES == 16, "cp.async moves 4, 8 or 16 bytes");
  if constexpr (BYTES == 16) {
    cp_async_16(shared, global, sourceBytes);
  } else if constexpr (BYTES == 4) {
    cp_async_4(shared, global, sourceBytes);
  } else {
#ifdef ONEBIT_SM80
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(sourceBytes) : "memory");
#else
    *static_cast<uint2*>(shared) = sourceBytes ? *static_cast<const uint2*>(global) : make_uint2(0u, 0u);
#endif
  }
}
__device__ __forceinline__ void cp_async_commit() {
#ifdef ONEBIT_SM80
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int PENDING> __device__ __forceinline__ void cp_async_wait() {
#ifdef ONEBIT_SM80
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
#endif
}

#endif

/**
 * As float16, which holds every float8: the tensor cores of sm_89 add products of float8 up in 13 bits of mantissa (Zhang et al. 2024, SageAttention2,
 * arXiv 2411.10958), and from sm_90 on a warp has no such product.
 */
__device__ __forceinline__ void mma_m16n8k32_e4m3(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4]) {
#pragma unroll
  for (unsigned i = 0; i < 4; i++) d[i] = c[i];
#pragma unroll
  for (unsigned half = 0; half < 2; half++) {
    uint32_t wide[4], right[2];
    e4m3_to_f16(a[2 * half], wide[0], wide[2]);
    e4m3_to_f16(a[2 * half + 1], wide[1], wide[3]);
    e4m3_to_f16(b[half], right[0], right[1]);
    mma_m16n8k16_f16(d, wide, right, d);
  }
}
