// device_threads.h -- what a kernel compiled by g++ sees of its thread, block and warp
//
// Every CUDA thread has a Thread record; a thread that waits (barrier, warp call) is a fiber of the worker that runs its block, so all
// threads of a block share one operating-system thread and `__shared__` variables are thread_local. See engine.cpp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>
#include "device_types.h"

#if defined(__HOSTCUDA_CHECKED__)
#define HOSTCUDA_UNCHECKED __attribute__((noinline, no_sanitize("kernel-address")))
#else
#define HOSTCUDA_UNCHECKED inline
#endif

namespace hostcuda {

struct Block {
  uint3 index;
  dim3 grid, size;
  unsigned dynamicBytes;
};

struct Thread {
  uint3 index;
  const Block* block;
  unsigned lane;      // 0..31 in its warp
  unsigned linear;    // x + y * size.x + z * size.x * size.y
};

/** What the lanes of a warp bring to a collective call (in) and take from it (out); null for lanes outside the mask. */
struct Exchange {
  unsigned mask;
  const void* in[32];
  void* out[32];
};

struct KernelEntry {
  const char* name;
  void (*invoke)(void* const* arguments);
  const unsigned* sizes;
  const unsigned* alignments;
  unsigned count;
  unsigned maxThreads;   // from __launch_bounds__, or 1024
};

}  // namespace hostcuda

extern "C" {
extern __thread hostcuda::Thread* hostcuda_current;
/** Waits until all threads of the block are at this barrier; returns {threads, threads with a true predicate} as count << 32 | trues. */
uint64_t hostcuda_barrier(int predicate, const char* file, int line);
/** Waits until all lanes of the mask make the same call, then one of them runs compute over all their in and out. */
void hostcuda_collective(unsigned mask, const char* call, const void* in, void* out, void (*compute)(const hostcuda::Exchange&),
                         const char* file, int line);
/** Ends the launch with a CUDA error code; never returns. */
[[noreturn]] void hostcuda_fail(int code, const char* text, const char* file, int line);
/** Copies at the wait, not before, as cp.async may; poisons the destination until then. source null: zeros. */
void hostcuda_async_copy(void* to, const void* from, unsigned bytes, unsigned sourceBytes);
void hostcuda_async_commit();
void hostcuda_async_wait(unsigned pendingGroups);
// barriers in shared memory, bulk copies and the products that read them: bulk.cpp
void hostcuda_mbarrier_init(void* barrier, unsigned arrivals, const char* file, int line);
void hostcuda_mbarrier_fence_init();
void hostcuda_mbarrier_arrive(void* barrier, unsigned bytes, const char* file, int line);
void hostcuda_mbarrier_wait(void* barrier, unsigned parity, const char* file, int line);
void hostcuda_bulk_copy(void* to, const void* from, unsigned bytes, void* barrier, const char* file, int line);
/** The thread's next group of products reads these bytes of shared memory. */
void hostcuda_async_read(const void* from, unsigned bytes, const char* file, int line);
void hostcuda_wgmma_commit();
/** Of the calling warp all groups of products but the last so many are over. */
void hostcuda_wgmma_done(unsigned pendingGroups);
/** A product of warpgroups: run(a copy of the data) comes at its wait, the latest that a device may read shared memory for it. */
void hostcuda_product(void (*run)(const void*), const void* data, unsigned bytes, const char* file, int line);
void hostcuda_product_commit();
void hostcuda_product_wait(unsigned pendingGroups);
/** fence.proxy.async: products may read what this thread's copies brought, from the next barrier on. */
void hostcuda_fence_proxy();
}

#define threadIdx (hostcuda_current->index)
#define blockIdx (hostcuda_current->block->index)
#define blockDim (hostcuda_current->block->size)
#define gridDim (hostcuda_current->block->grid)
#define warpSize 32

#define HOSTCUDA_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(HOSTCUDA_SITE) { hostcuda_barrier(0, file, line); }
inline int __syncthreads_count(int p, HOSTCUDA_SITE) { return int(hostcuda_barrier(p, file, line) & 0xffffffffu); }
inline int __syncthreads_or(int p, HOSTCUDA_SITE) { return (hostcuda_barrier(p, file, line) & 0xffffffffu) != 0; }
inline int __syncthreads_and(int p, HOSTCUDA_SITE) {
  uint64_t r = hostcuda_barrier(p, file, line);
  return (r >> 32) == (r & 0xffffffffu);
}

namespace hostcuda {

/** One collective call of a warp: lane l gives `in`; compute fills the Out of every lane of the mask from the In of all. */
template <class In, class Out, class Compute>
inline Out collective(unsigned mask, const char* call, const In& in, Compute, const char* file, int line) {
  static_assert(std::is_empty_v<Compute>, "compute must have no state: it is a struct with operator() only");
  Out out{};
  hostcuda_collective(mask, call, &in, &out, [](const Exchange& e) {
    In ins[32]{};
    Out outs[32]{};
    for (int l = 0; l < 32; l++) if (e.mask >> l & 1) ins[l] = *static_cast<const In*>(e.in[l]);
    Compute{}(e.mask, ins, outs);
    for (int l = 0; l < 32; l++) if (e.mask >> l & 1) *static_cast<Out*>(e.out[l]) = outs[l];
  }, file, line);
  return out;
}

template <class T> struct Shuffle { T value; int lane; };

template <class T>
inline T shuffle(unsigned mask, const char* call, T value, int source, const char* file, int line) {
  static_assert(sizeof(T) <= 16, "a shuffle moves at most 16 bytes");
  struct Pick {
    void operator()(unsigned mask, const Shuffle<T>* in, T* out) const {
      for (int l = 0; l < 32; l++)
        if (mask >> l & 1) out[l] = in[(mask >> in[l].lane & 1) ? in[l].lane : l].value;
    }
  };
  return collective<Shuffle<T>, T>(mask, call, Shuffle<T>{value, source}, Pick{}, file, line);
}

inline int laneIn(int width) { return int(hostcuda_current->lane) & (width - 1); }
inline int segment(int width) { return int(hostcuda_current->lane) & ~(width - 1); }

}  // namespace hostcuda

template <class T> inline T __shfl_sync(unsigned mask, T v, int source, int width = 32, HOSTCUDA_SITE) {
  return hostcuda::shuffle(mask, "__shfl_sync", v, hostcuda::segment(width) | (source & (width - 1)), file, line);
}
template <class T> inline T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32, HOSTCUDA_SITE) {
  int l = hostcuda::laneIn(width), from = l - int(delta);
  return hostcuda::shuffle(mask, "__shfl_up_sync", v, hostcuda::segment(width) + (from < 0 ? l : from), file, line);
}
template <class T> inline T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32, HOSTCUDA_SITE) {
  int l = hostcuda::laneIn(width), from = l + int(delta);
  return hostcuda::shuffle(mask, "__shfl_down_sync", v, hostcuda::segment(width) + (from >= width ? l : from), file, line);
}
template <class T> inline T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32, HOSTCUDA_SITE) {
  int l = int(hostcuda_current->lane), from = l ^ bits;   // a source in a later segment gives the own value
  return hostcuda::shuffle(mask, "__shfl_xor_sync", v, from >= hostcuda::segment(width) + width ? l : from, file, line);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, HOSTCUDA_SITE) {
  struct Vote {
    void operator()(unsigned mask, const int* in, unsigned* out) const {
      unsigned bits = 0;
      for (int l = 0; l < 32; l++) if ((mask >> l & 1) && in[l]) bits |= 1u << l;
      for (int l = 0; l < 32; l++) out[l] = bits;
    }
  };
  return hostcuda::collective<int, unsigned>(mask, "__ballot_sync", predicate != 0, Vote{}, file, line);
}
inline int __any_sync(unsigned mask, int p, HOSTCUDA_SITE) { return __ballot_sync(mask, p, file, line) != 0; }
inline int __all_sync(unsigned mask, int p, HOSTCUDA_SITE) { return __ballot_sync(mask, p, file, line) == mask; }
inline void __syncwarp(unsigned mask = 0xffffffffu, HOSTCUDA_SITE) {
  struct Nothing { void operator()(unsigned, const char*, char*) const {} };
  hostcuda::collective<char, char>(mask, "__syncwarp", 0, Nothing{}, file, line);
}

namespace hostcuda {
template <class T, class Fold>
inline T reduce(unsigned mask, const char* call, T value, Fold, const char* file, int line) {
  struct All {
    void operator()(unsigned mask, const T* in, T* out) const {
      bool first = true;
      T r{};
      for (int l = 0; l < 32; l++)
        if (mask >> l & 1) { r = first ? in[l] : Fold{}(r, in[l]); first = false; }
      for (int l = 0; l < 32; l++) out[l] = r;
    }
  };
  return collective<T, T>(mask, call, value, All{}, file, line);
}
struct Add { template <class T> T operator()(T a, T b) const { return a + b; } };
struct Min { template <class T> T operator()(T a, T b) const { return b < a ? b : a; } };
struct Max { template <class T> T operator()(T a, T b) const { return a < b ? b : a; } };
struct And { template <class T> T operator()(T a, T b) const { return a & b; } };
struct Or { template <class T> T operator()(T a, T b) const { return a | b; } };
struct Xor { template <class T> T operator()(T a, T b) const { return a ^ b; } };
}  // namespace hostcuda

#define HOSTCUDA_REDUCE(NAME, FOLD)                                                                            \
  inline unsigned NAME(unsigned m, unsigned v, HOSTCUDA_SITE) { return hostcuda::reduce(m, #NAME, v, hostcuda::FOLD{}, file, line); } \
  inline int NAME(unsigned m, int v, HOSTCUDA_SITE) { return hostcuda::reduce(m, #NAME, v, hostcuda::FOLD{}, file, line); }
HOSTCUDA_REDUCE(__reduce_add_sync, Add)
HOSTCUDA_REDUCE(__reduce_min_sync, Min)
HOSTCUDA_REDUCE(__reduce_max_sync, Max)
HOSTCUDA_REDUCE(__reduce_and_sync, And)
HOSTCUDA_REDUCE(__reduce_or_sync, Or)
HOSTCUDA_REDUCE(__reduce_xor_sync, Xor)
#undef HOSTCUDA_REDUCE

inline unsigned __activemask() {
  const hostcuda::Block& b = *hostcuda_current->block;
  unsigned left = b.size.x * b.size.y * b.size.z - (hostcuda_current->linear & ~31u);
  return left >= 32 ? 0xffffffffu : (1u << left) - 1;
}

namespace hostcuda {

template <auto F> struct Call;
template <class... A, void (*F)(A...)> struct Call<F> {
  static constexpr unsigned sizes[sizeof...(A) + 1] = {unsigned(sizeof(A))..., 0};
  static constexpr unsigned alignments[sizeof...(A) + 1] = {unsigned(alignof(A))..., 0};
  template <size_t... I> static HOSTCUDA_UNCHECKED void spread(void* const* p, std::index_sequence<I...>) {
    F(*static_cast<std::remove_cv_t<A>*>(p[I])...);
  }
  static HOSTCUDA_UNCHECKED void invoke(void* const* p) { spread(p, std::index_sequence_for<A...>{}); }
  static constexpr KernelEntry entry(const char* name, unsigned maxThreads) {
    return {name, &invoke, sizes, alignments, unsigned(sizeof...(A)), maxThreads};
  }
};

constexpr unsigned firstBound() { return 1024; }
constexpr unsigned firstBound(unsigned threads) { return threads; }
constexpr unsigned firstBound(unsigned threads, unsigned) { return threads; }

}  // namespace hostcuda

// scan_kernels puts a KernelEntry and its pointer in section hostcuda_kernels behind the text of a .cu, once per extern "C" __global__
