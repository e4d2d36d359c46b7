// wgmma_bits.cuh -- one-bit products of a warpgroup on sm_90a: inline PTX on a device, plain loops on the emulated one
//
//   wgmma_and_popc(d, a, b)      d[m][n] += popc(a[m] & b[n]), 64 rows of a, 8, 64, 128 or 192 rows of b, 256 bits; runs behind the threads' back
//   wgmma_operand(tile, byte)    rows of 128 bytes (1024 bits) in shared memory, of which 32 bytes from `byte` on are multiplied
//
// Shapes     d of 4 N / 8 registers: for columns 8 j + 2 t and the next, d[4 j] and d[4 j + 1] of row g, d[4 j + 2] and d[4 j + 3] of row g + 8,
//            where g = 16 (warp % 4) + lane / 4, t = lane % 4
// Layout     K-major with the swizzle of 128 bytes: 8 rows are an atom of 1024 bytes, at a multiple of 1024; chunk c of 16 bytes of row r
//            lies at c ^ (r % 8); atoms follow each other every 1024 bytes (stride byte offset; the leading one is not used)
// Limits     sm_90a only: elsewhere these trap
// Exactness  whole numbers; the twin reads shared memory at once, so it proves the addresses and not the order
// Source     PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions": descriptor, fragments, .b1 with .and.popc
// Tests      native-tests/xnor_gemm_test.cpp, native-tests/ladder/ladder_test.cpp
#pragma once
#include "wgmma.cuh"

/** Where byte `byte` of row `row` lies in a swizzled tile. */
__device__ __forceinline__ unsigned wgmma_at(unsigned row, unsigned byte) { return row * 128 + ((byte / 16) ^ (row % 8)) * 16 + byte % 16; }

#if defined(__HOSTCUDA__)

struct WgmmaOperand {
  const unsigned char* tile;
  unsigned byte;
};
inline WgmmaOperand wgmma_operand(const void* tile, unsigned byte, HOSTCUDA_SITE) {
  if (reinterpret_cast<uintptr_t>(tile) % 1024 || byte % 32 || byte > 96) hostcuda_fail(716, "wgmma_operand: a tile is at no multiple of 1024, or a byte none of 32 of its rows of 128", file, line);
  return {static_cast<const unsigned char*>(tile), byte};
}
template <int REGISTERS> inline void wgmma_and_popc(int32_t (&d)[REGISTERS], WgmmaOperand a, WgmmaOperand b, bool accumulate = true, HOSTCUDA_SITE) {
  unsigned lane = threadIdx.x % 32, row = threadIdx.x / 32 % 4 * 16 + lane / 4, column = lane % 4 * 2;
  hostcuda_async_read(a.tile, 64 * 128, file, line);
  hostcuda_async_read(b.tile, REGISTERS * 2 * 128, file, line);
  auto words = [](const WgmmaOperand& o, unsigned r, uint32_t (&to)[8]) {
    for (unsigned k = 0; k < 8; k++) to[k] = *reinterpret_cast<const uint32_t*>(o.tile + wgmma_at(r, o.byte + 4 * k));
  };
  uint32_t left[2][8], right[8];
  for (unsigned half = 0; half < 2; half++) words(a, row + half * 8, left[half]);
  for (int i = 0; i < REGISTERS; i += 4) {
    for (int e = 0; e < 2; e++) {
      words(b, unsigned(i / 4 * 8 + e) + column, right);
      for (int half = 0; half < 2; half++) {
        int sum = 0;
        for (unsigned k = 0; k < 8; k++) sum += __popc(left[half][k] & right[k]);
        d[i + 2 * half + e] = (accumulate ? d[i + 2 * half + e] : 0) + sum;
      }
    }
  }
}

#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)

struct WgmmaOperand {
  uint64_t bits;
};
__device__ __forceinline__ WgmmaOperand wgmma_operand(const void* tile, unsigned byte) {
  uint64_t address = (shared_address(tile) + byte) & 0x3ffff;
  return {address >> 4 | uint64_t(1) << 16 | uint64_t(1024 >> 4) << 32 | uint64_t(1) << 62};
}
__device__ __forceinline__ void wgmma_and_popc(int32_t (&d)[4], WgmmaOperand a, WgmmaOperand b) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %6, 0; wgmma.mma_async.sync.aligned.m64n8k256.s32.b1.b1.and.popc {"
               "%0, %1, %2, %3}, %4, %5, p;}"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "l"(a.bits), "l"(b.bits), "r"(1));
}
__device__ __forceinline__ void wgmma_and_popc(int32_t (&d)[32], WgmmaOperand a, WgmmaOperand b) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned.m64n64k256.s32.b1.b1.and.popc {"
               "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
               "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, %32, %33, p;}"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]), "+r"(d[4]), "+r"(d[5]), "+r"(d[6]), "+r"(d[7]),
                 "+r"(d[8]), "+r"(d[9]), "+r"(d[10]), "+r"(d[11]), "+r"(d[12]), "+r"(d[13]), "+r"(d[14]), "+r"(d[15]),
                 "+r"(d[16]), "+r"(d[17]), "+r"(d[18]), "+r"(d[19]), "+r"(d[20]), "+r"(d[21]), "+r"(d[22]), "+r"(d[23]),
                 "+r"(d[24]), "+r"(d[25]), "+r"(d[26]), "+r"(d[27]), "+r"(d[28]), "+r"(d[29]), "+r"(d[30]), "+r"(d[31])
               : "l"(a.bits), "l"(b.bits), "r"(1));
}
__device__ __forceinline__ void wgmma_and_popc(int32_t (&d)[64], WgmmaOperand a, WgmmaOperand b) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned.m64n128k256.s32.b1.b1.and.popc {"
               "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
               "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
               "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
               "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, %64, %65, p;}"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]), "+r"(d[4]), "+r"(d[5]), "+r"(d[6]), "+r"(d[7]),
                 "+r"(d[8]), "+r"(d[9]), "+r"(d[10]), "+r"(d[11]), "+r"(d[12]), "+r"(d[13]), "+r"(d[14]), "+r"(d[15]),
                 "+r"(d[16]), "+r"(d[17]), "+r"(d[18]), "+r"(d[19]), "+r"(d[20]), "+r"(d[21]), "+r"(d[22]), "+r"(d[23]),
                 "+r"(d[24]), "+r"(d[25]), "+r"(d[26]), "+r"(d[27]), "+r"(d[28]), "+r"(d[29]), "+r"(d[30]), "+r"(d[31]),
                 "+r"(d[32]), "+r"(d[33]), "+r"(d[34]), "+r"(d[35]), "+r"(d[36]), "+r"(d[37]), "+r"(d[38]), "+r"(d[39]),
                 "+r"(d[40]), "+r"(d[41]), "+r"(d[42]), "+r"(d[43]), "+r"(d[44]), "+r"(d[45]), "+r"(d[46]), "+r"(d[47]),
                 "+r"(d[48]), "+r"(d[49]), "+r"(d[50]), "+r"(d[51]), "+r"(d[52]), "+r"(d[53]), "+r"(d[54]), "+r"(d[55]),
                 "+r"(d[56]), "+r"(d[57]), "+r"(d[58]), "+r"(d[59]), "+r"(d[60]), "+r"(d[61]), "+r"(d[62]), "+r"(d[63])
               : "l"(a.bits), "l"(b.bits), "r"(1));
}
/** accumulate false: d is written as if it had been zeros. */
__device__ __forceinline__ void wgmma_and_popc(int32_t (&d)[96], WgmmaOperand a, WgmmaOperand b, bool accumulate) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %98, 0; wgmma.mma_async.sync.aligned.m64n192k256.s32.b1.b1.and.popc {"
               "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
               "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
               "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
               "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
               "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
               "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95}, %96, %97, p;}"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]), "+r"(d[4]), "+r"(d[5]), "+r"(d[6]), "+r"(d[7]),
                 "+r"(d[8]), "+r"(d[9]), "+r"(d[10]), "+r"(d[11]), "+r"(d[12]), "+r"(d[13]), "+r"(d[14]), "+r"(d[15]),
                 "+r"(d[16]), "+r"(d[17]), "+r"(d[18]), "+r"(d[19]), "+r"(d[20]), "+r"(d[21]), "+r"(d[22]), "+r"(d[23]),
                 "+r"(d[24]), "+r"(d[25]), "+r"(d[26]), "+r"(d[27]), "+r"(d[28]), "+r"(d[29]), "+r"(d[30]), "+r"(d[31]),
                 "+r"(d[32]), "+r"(d[33]), "+r"(d[34]), "+r"(d[35]), "+r"(d[36]), "+r"(d[37]), "+r"(d[38]), "+r"(d[39]),
                 "+r"(d[40]), "+r"(d[41]), "+r"(d[42]), "+r"(d[43]), "+r"(d[44]), "+r"(d[45]), "+r"(d[46]), "+r"(d[47]),
                 "+r"(d[48]), "+r"(d[49]), "+r"(d[50]), "+r"(d[51]), "+r"(d[52]), "+r"(d[53]), "+r"(d[54]), "+r"(d[55]),
                 "+r"(d[56]), "+r"(d[57]), "+r"(d[58]), "+r"(d[59]), "+r"(d[60]), "+r"(d[61]), "+r"(d[62]), "+r"(d[63]),
                 "+r"(d[64]), "+r"(d[65]), "+r"(d[66]), "+r"(d[67]), "+r"(d[68]), "+r"(d[69]), "+r"(d[70]), "+r"(d[71]),
                 "+r"(d[72]), "+r"(d[73]), "+r"(d[74]), "+r"(d[75]), "+r"(d[76]), "+r"(d[77]), "+r"(d[78]), "+r"(d[79]),
                 "+r"(d[80]), "+r"(d[81]), "+r"(d[82]), "+r"(d[83]), "+r"(d[84]), "+r"(d[85]), "+r"(d[86]), "+r"(d[87]),
                 "+r"(d[88]), "+r"(d[89]), "+r"(d[90]), "+r"(d[91]), "+r"(d[92]), "+r"(d[93]), "+r"(d[94]), "+r"(d[95])
               : "l"(a.bits), "l"(b.bits), "r"(int(accumulate)));
}

#else

struct WgmmaOperand {};
__device__ __forceinline__ WgmmaOperand wgmma_operand(const void*, unsigned) { return {}; }
template <int REGISTERS> __device__ __forceinline__ void wgmma_and_popc(int32_t (&)[REGISTERS], WgmmaOperand, WgmmaOperand, bool = true) { __trap(); }

#endif
