// bulk.cuh -- the copy engine of sm_90 and the barriers in shared memory that count its bytes: inline PTX on a device, deferred copies on the emulated one
//
//   mbarrier_init(b, arrivals)       one thread; then mbarrier_fence_init() by it and __syncthreads() by all before anything else
//   mbarrier_arrive(b)               one arrival; what this thread did before is seen by whoever waits for the phase
//   mbarrier_expect(b, bytes)        one arrival, and so many more bytes of copies before the phase is complete
//   mbarrier_wait(b, parity)         until the phase of that parity is complete: the first is 0; of a new barrier the one before it, 1, counts as complete
//   bulk_copy(to, from, bytes, b)    global to shared memory behind the thread's back; its bytes count for the phase of b that is under way
//   registers_give<N>(), registers_take<N>()   all threads of a warpgroup: N registers a thread from now on, fewer or more than before
//   prefetch_l1(from)                the 32 bytes around that address into L1, for a read that comes later
//
// Limits     sm_90 (registers_*: sm_90a): elsewhere these trap; addresses and bytes of a copy are multiples of 16
// Exactness  the emulated device moves bytes only when no thread can run without them, the oldest copy first, the newest with HOSTCUDA_ORDER=reverse; it tells
//            a slot that is written while somebody may still read it, a product that reads what was not waited for, a phase that never ends
// Source     PTX ISA, "Parallel Synchronization and Communication Instructions: mbarrier", "cp.async.bulk", "setmaxnreg"
// Tests      native-tests/hostcuda/test/hostcuda_test.cpp, native-tests/xnor_gemm_test.cpp
#pragma once
#include "mma.cuh"

struct alignas(8) Mbarrier {
  uint64_t state;
};

#if defined(__HOSTCUDA__)

inline void mbarrier_init(Mbarrier* b, unsigned arrivals, HOSTCUDA_SITE) { hostcuda_mbarrier_init(b, arrivals, file, line); }
inline void mbarrier_fence_init() { hostcuda_mbarrier_fence_init(); }
inline void mbarrier_arrive(Mbarrier* b, HOSTCUDA_SITE) { hostcuda_mbarrier_arrive(b, 0, file, line); }
inline void mbarrier_expect(Mbarrier* b, unsigned bytes, HOSTCUDA_SITE) { hostcuda_mbarrier_arrive(b, bytes, file, line); }
inline void mbarrier_wait(Mbarrier* b, unsigned parity, HOSTCUDA_SITE) { hostcuda_mbarrier_wait(b, parity, file, line); }
inline void bulk_copy(void* to, const void* from, unsigned bytes, Mbarrier* b, HOSTCUDA_SITE) { hostcuda_bulk_copy(to, from, bytes, b, file, line); }
template <unsigned N> inline void registers_give() { static_assert(N >= 24 && N <= 256 && N % 8 == 0, "24 to 256 registers, a multiple of 8"); }
template <unsigned N> inline void registers_take() { registers_give<N>(); }

inline void prefetch_l1(const void*) {}

#elif !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900

__device__ __forceinline__ void mbarrier_init(Mbarrier* b, unsigned arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(arrivals) : "memory");
}
__device__ __forceinline__ void mbarrier_fence_init() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
__device__ __forceinline__ void mbarrier_arrive(Mbarrier* b) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
}
__device__ __forceinline__ void mbarrier_expect(Mbarrier* b, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)), "r"(bytes) : "memory");
}
__device__ __forceinline__ void mbarrier_wait(Mbarrier* b, unsigned parity) {
  unsigned complete;
  do {
    asm volatile("{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}"
                 : "=r"(complete) : "r"(shared_address(b)), "r"(parity) : "memory");
  } while (complete == 0);
}
__device__ __forceinline__ void bulk_copy(void* to, const void* from, unsigned bytes, Mbarrier* b) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
               ::"r"(shared_address(to)), "l"(__cvta_generic_to_global(from)), "r"(bytes), "r"(shared_address(b)) : "memory");
}
__device__ __forceinline__ void prefetch_l1(const void* from) { asm volatile("prefetch.global.L1 [%0];" ::"l"(__cvta_generic_to_global(from))); }
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
template <unsigned N> __device__ __forceinline__ void registers_give() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N)); }
template <unsigned N> __device__ __forceinline__ void registers_take() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N)); }
#else
template <unsigned N> __device__ __forceinline__ void registers_give() {}
template <unsigned N> __device__ __forceinline__ void registers_take() {}
#endif

#else

__device__ __forceinline__ void mbarrier_init(Mbarrier*, unsigned) { __trap(); }
__device__ __forceinline__ void mbarrier_fence_init() { __trap(); }
__device__ __forceinline__ void mbarrier_arrive(Mbarrier*) { __trap(); }
__device__ __forceinline__ void mbarrier_expect(Mbarrier*, unsigned) { __trap(); }
__device__ __forceinline__ void mbarrier_wait(Mbarrier*, unsigned) { __trap(); }
__device__ __forceinline__ void bulk_copy(void*, const void*, unsigned, Mbarrier*) { __trap(); }
__device__ __forceinline__ void prefetch_l1(const void*) {}
template <unsigned N> __device__ __forceinline__ void registers_give() {}
template <unsigned N> __device__ __forceinline__ void registers_take() {}

#endif
