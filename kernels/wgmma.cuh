// wgmma.cuh -- products of a warpgroup on sm_90a, which run behind the threads' back: inline PTX on a device, plain loops on the emulated one
//
//   wgmma_bf16(d, a, b)     d[m][n] += sum over 16 k of a[m][k] b[k][n]: 64 rows of a in registers, 64 or 128 columns of b in shared memory, bfloat16
//   wgmma_rows(tile, k)     b: row k of the tile and the 15 behind it; wgmma_rows_at says where a tile keeps what
//   wgmma_take(a, from)     fragments into the registers of the next products, outside of what runs
//   wgmma_fence, wgmma_commit, wgmma_wait<N>   order of registers and groups; wgmma_hold(d) keeps the compiler from reading d before a wait
//   fence_proxy_async       makes ordinary writes to shared memory visible to products
//
// Shapes     g = lane / 4, t = lane % 4, of warp w % 4 the rows 16 (w % 4) + ...
//            a    {row g k 2t..2t+1, row g+8 k 2t.., row g k 2t+8.., row g+8 k 2t+8..}, the lower k in the lower half
//            d    of N / 2 registers: for columns 8 j + 2 t and the next, d[4 j] and d[4 j + 1] of row g, d[4 j + 2] and d[4 j + 3] of row g + 8
// Layout     b lies row after row (what PTX calls MN-major, transposed): slabs of 64 columns, 128 bytes a row, with the swizzle of 128 bytes: chunk c of
//            16 bytes of row r lies at c ^ (r % 8); 8 rows are an atom of 1024 bytes at a multiple of 1024 (stride byte offset); slabs are
//            kWgmmaSlabRows rows apart (leading byte offset)
// Limits     sm_90a only: elsewhere these trap; k of wgmma_rows is a multiple of 8
// Exactness  products of bfloat16 summed in float32, on a device in an order of its own; the twin reads shared memory at the wait, and wants
//            fence_proxy_async between the wait for copies and the barrier in front of a product
// Source     PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions": matrix descriptor, strides, register fragments
// Tests      native-tests/xnor_conv2d_grad_w_test.cpp
#pragma once
#include "mma.cuh"

/** Rows of a tile of b. */
constexpr unsigned kWgmmaSlabRows = 64;

/** Where chunk `chunk` of 8 columns of row `row` lies in a tile. */
__device__ __forceinline__ unsigned wgmma_rows_at(unsigned row, unsigned chunk) {
  return (chunk / 8 * kWgmmaSlabRows + row) * 128 + ((chunk % 8) ^ (row % 8)) * 16;
}

#if defined(__HOSTCUDA__)

struct WgmmaRows {
  const unsigned char* tile;
  unsigned row;
};
inline WgmmaRows wgmma_rows(const void* tile, unsigned row, HOSTCUDA_SITE) {
  if (reinterpret_cast<uintptr_t>(tile) % 1024 || row % 8) hostcuda_fail(716, "wgmma_rows: a tile is at no multiple of 1024, or a row none of 8", file, line);
  return {static_cast<const unsigned char*>(tile), row};
}

namespace mma_twin {

/** The 16 k of rows g and g + 8 of a, for every lane of group g. */
struct RowsOfA {
  struct In { uint32_t a[4]; };
  struct Out { float row[2][16]; };
  void operator()(unsigned, const In* in, Out* out) const {
    for (int lane = 0; lane < 32; lane++)
      for (int k = 0; k < 16; k++)
        for (int half = 0; half < 2; half++) out[lane].row[half][k] = Bf16::of(in[lane / 4 * 4 + k % 8 / 2].a[k / 8 * 2 + half], k % 2);
  }
};

}  // namespace mma_twin

template <int REGISTERS> inline void wgmma_bf16(float (&d)[REGISTERS], const uint32_t (&a)[4], WgmmaRows b, HOSTCUDA_SITE) {
  auto rows = hostcuda::collective<mma_twin::RowsOfA::In, mma_twin::RowsOfA::Out>(0xffffffffu, "wgmma_bf16", {{a[0], a[1], a[2], a[3]}}, mma_twin::RowsOfA{}, file, line);
  struct Late {
    float* d;
    mma_twin::RowsOfA::Out rows;
    WgmmaRows b;
  } late{d, rows, b};
  hostcuda_product([](const void* data) {
    const Late& of = *static_cast<const Late*>(data);
    for (int i = 0; i < REGISTERS; i++) {
      unsigned column = unsigned(i) / 4 * 8 + threadIdx.x % 4 * 2 + unsigned(i) % 2;
      for (unsigned k = 0; k < 16; k++) {
        uint32_t value = *reinterpret_cast<const uint16_t*>(of.b.tile + wgmma_rows_at(of.b.row + k, column / 8) + column % 8 * 2);
        of.d[i] += of.rows.row[i / 2 % 2][k] * mma_twin::Bf16::of(value, 0);
      }
    }
  }, &late, sizeof late, file, line);
}
inline void wgmma_fence() {}
inline void wgmma_commit() {
  hostcuda_product_commit();
  hostcuda_wgmma_commit();
}
template <int REGISTERS> inline void wgmma_hold(float (&)[REGISTERS]) {}
template <int REGISTERS> inline void wgmma_hold(int32_t (&)[REGISTERS]) {}
template <unsigned TILES> inline void wgmma_take(uint32_t (&a)[TILES][4], const uint32_t (&from)[TILES][4]) {
  for (unsigned tile = 0; tile < TILES; tile++) for (int i = 0; i < 4; i++) a[tile][i] = from[tile][i];
}
template <int PENDING> inline void wgmma_wait(HOSTCUDA_SITE) {
  struct Done { void operator()(unsigned, const char*, char*) const { hostcuda_wgmma_done(PENDING); } };
  hostcuda_product_wait(PENDING);
  hostcuda::collective<char, char>(0xffffffffu, "wgmma_wait", 0, Done{}, file, line);
}
inline void fence_proxy_async() { hostcuda_fence_proxy(); }

#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)

struct WgmmaRows {
  uint64_t bits;
};
__device__ __forceinline__ WgmmaRows wgmma_rows(const void* tile, unsigned row) {
  uint64_t address = (shared_address(tile) + row * 128) & 0x3ffff;
  return {address >> 4 | uint64_t(kWgmmaSlabRows * 128 >> 4) << 16 | uint64_t(1024 >> 4) << 32 | uint64_t(1) << 62};
}
__device__ __forceinline__ void wgmma_bf16(float (&d)[32], const uint32_t (&a)[4], WgmmaRows b) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %37, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
               "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
               "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, {%32, %33, %34, %35}, %36, p, 1, 1, 1;}"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
                 "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
                 "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
                 "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b.bits), "r"(1));
}
__device__ __forceinline__ void wgmma_bf16(float (&d)[64], const uint32_t (&a)[4], WgmmaRows b) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %69, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
               "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
               "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
               "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
               "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, {%64, %65, %66, %67}, %68, p, 1, 1, 1;}"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
                 "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
                 "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
                 "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]),
                 "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]),
                 "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]),
                 "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]),
                 "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b.bits), "r"(1));
}
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int REGISTERS> __device__ __forceinline__ void wgmma_hold(float (&d)[REGISTERS]) {
#pragma unroll
  for (int i = 0; i < REGISTERS; i++) asm volatile("" : "+f"(d[i])::"memory");
}
template <int REGISTERS> __device__ __forceinline__ void wgmma_hold(int32_t (&d)[REGISTERS]) {
#pragma unroll
  for (int i = 0; i < REGISTERS; i++) asm volatile("" : "+r"(d[i])::"memory");
}
template <unsigned TILES> __device__ __forceinline__ void wgmma_take(uint32_t (&a)[TILES][4], const uint32_t (&from)[TILES][4]) {
#pragma unroll
  for (unsigned i = 0; i < TILES * 4; i++) asm volatile("mov.b32 %0, %1;" : "=r"(a[i / 4][i % 4]) : "r"(from[i / 4][i % 4]));
}
template <int PENDING> __device__ __forceinline__ void wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory"); }
__device__ __forceinline__ void fence_proxy_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

#else

struct WgmmaRows {};
__device__ __forceinline__ WgmmaRows wgmma_rows(const void*, unsigned) { return {}; }
template <int REGISTERS> __device__ __forceinline__ void wgmma_bf16(float (&)[REGISTERS], const uint32_t (&)[4], WgmmaRows) { __trap(); }
__device__ __forceinline__ void wgmma_fence() {}
__device__ __forceinline__ void wgmma_commit() {}
template <int REGISTERS> __device__ __forceinline__ void wgmma_hold(float (&)[REGISTERS]) {}
template <int REGISTERS> __device__ __forceinline__ void wgmma_hold(int32_t (&)[REGISTERS]) {}
template <unsigned TILES> __device__ __forceinline__ void wgmma_take(uint32_t (&)[TILES][4], const uint32_t (&)[TILES][4]) {}
template <int PENDING> __device__ __forceinline__ void wgmma_wait() {}
__device__ __forceinline__ void fence_proxy_async() {}

#endif
