// engine.h -- runs the threads of a launch
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>
#include "device_threads.h"

namespace hostcuda {

/** A variable declared __shared__ in a kernel module: where its thread_local copy lies in the module's TLS block. */
struct SharedVariable {
  std::string name;
  size_t offset, bytes;
  bool dynamic;
};

/** What a block of a launch has told the others and heard from them, by fences and atomics, for the checked build. Moments are counted over the launch. */
struct BlockOrder {
  std::atomic<unsigned> told{0};            // what it wrote before so many of its barriers had been fenced before its last atomic
  std::atomic<uint64_t> toldAt{0};          // that atomic's moment
  uint64_t heardAt = 0, fencedAt = 0;       // its last atomic's moment, and that which its last fence stood behind
  unsigned barriers = 0, fenced = 0;        // so far; what was written before so many of them is fenced
};

struct Launch {
  const KernelEntry* entry;
  void* const* arguments;
  dim3 grid, block;
  unsigned dynamicBytes;
  const std::vector<SharedVariable>* shared;   // what the kernel may use
  char* (*tls)();                              // the module's TLS block in the calling operating-system thread
  const char* dataFirst;                       // where the module is mapped
  const char* dataLast;
  int code = 0;                                // CUDA error, 0 for none
  std::string error{};
  size_t failedBlock = 0;
  unsigned serial = 0;                         // of the launches of the process
  std::atomic<uint64_t> moment{0};
  std::unique_ptr<BlockOrder[]> order{};         // of every block, in the checked build
};

/** Runs all blocks, several at a time, and returns when all ended or one failed; the first failing block in grid order decides code and error. */
void run(Launch& launch);

/** "block (x,y,z) thread (x,y,z)" of the thread running here, or an empty string outside kernels. */
std::string whereAmI();
/** The name of the kernel running on this operating-system thread, or null. */
const char* runningKernel();
/** Ends the running launch like hostcuda_fail, without a source line. */
[[noreturn]] void failHere(int code, const std::string& text);
/** Notes the error and lets the thread run on (for access checks that must not unwind). */
void noteError(int code, const std::string& text);

// What the access checks of the checked build ask of the running block.
struct SharedShadow;
/** The launch, and the block that runs here. */
Launch& runningLaunch();
unsigned runningBlock();
/** The bytes are the worker's own: fiber stacks, Thread records, the pointer to them. */
bool ownMemory(const char* address, size_t bytes);
/** The shared variable that the address is in or up to the fence behind, and where. */
bool sharedVariable(const char* address, const SharedVariable*& variable, size_t& offset);
/** The address is in the module's constants or __device__ variables. */
bool moduleData(const char* address);
SharedShadow& sharedShadow();
/** Whether the running thread computes what a call of its whole warp gives, and that call with its place. */
bool inWarpCall();
std::string warpCall();
}  // namespace hostcuda
