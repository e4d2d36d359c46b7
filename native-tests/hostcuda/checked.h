// checked.h -- what is known about every byte of shared memory in the checked build
#pragma once
#include <cstdint>
#include <vector>

namespace hostcuda {

/** Who touched a byte of shared memory last, in epochs that barriers advance; enough to tell a race and a read before any write. */
struct SharedByte {
  uint32_t writtenInBlock = 0;              // serial number of the block that wrote it
  uint32_t writeEpoch = 0, readEpoch = 0;   // block epoch, advanced by __syncthreads
  uint32_t writeWarpEpoch = 0, readWarpEpoch = 0;   // advanced by __syncwarp
  uint16_t writer = 0, reader = 0;          // linear thread index; reader may be kManyLanes | warp or kManyWarps
  bool atomic = false;
};
constexpr uint16_t kManyLanes = 0x8000, kManyWarps = 0xffff;

struct SharedShadow {
  char* low = nullptr;                      // first byte of the kernel's shared variables in this worker's copy
  std::vector<SharedByte> bytes;
  uint32_t block = 0, epoch = 0;
  std::vector<uint32_t> warpEpoch;
};

/** kFar: a read past the multiprocessor's own cache, in which others' writes are seen only from a fence on. */
enum class Access { kRead, kWrite, kAtomic, kFar };

}  // namespace hostcuda

extern "C" {
/** Set by the checked build's module entry: barriers and launches then keep the shadow. */
extern int hostcuda_checked;
/** Ends the launch unless the running thread may touch these bytes now. */
void hostcuda_check(const void* address, uint64_t bytes, int access, const void* caller);
void hostcuda_forget_shared(const void* address, uint64_t bytes);
/** The bytes hold what a copy brought. */
void hostcuda_landed_shared(const void* address, uint64_t bytes);
/** __threadfence of the running thread; behind an atomic of global memory. */
void hostcuda_fenced();
void hostcuda_heard(const void* address);
}
