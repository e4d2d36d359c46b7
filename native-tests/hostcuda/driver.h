// driver.h -- what the driver's handles point at, shared by driver.cpp, streams.cpp and module.cpp
#pragma once
#include <cuda.h>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>
#include "counters.h"
#include "engine.h"
#include "memory.h"

struct CUctx_st {
  int device;
  std::set<int> peers;
};
struct CUfunc_st {
  const hostcuda::KernelEntry* entry;
  CUmodule module;
  std::vector<hostcuda::SharedVariable> shared;
  size_t staticBytes = 0;
  int maxDynamicBytes = 0;     // 0: the 48 KiB that need no opt-in
};
struct CUmod_st {
  void* handle;
  char* (*tls)();
  const char *dataFirst, *dataLast;
  std::map<std::string, std::unique_ptr<CUfunc_st>> functions;
};
struct CUgraph_st { std::vector<std::function<void()>> nodes; };
struct CUgraphExec_st { std::vector<std::function<void()>> nodes; };

namespace hostcuda {
/** What streams record together, from the beginning in one stream to the end in the same one. */
struct Capture {
  CUgraph_st graph;
  CUstream origin;
  std::set<CUstream> streams;
  CUstreamCaptureMode mode;
  std::thread::id thread;
  bool invalid = false;
};
}  // namespace hostcuda

struct CUstream_st {
  CUcontext context;
  unsigned flags = 0;
  int priority = 0;
  std::shared_ptr<hostcuda::Capture> capture = nullptr;
  uint64_t recorded = 0, joined = 0;             // how much it put into the capture, and how much of that another stream waited for
  std::deque<std::function<void()>> waiting = {};   // only on a lazy device
};
struct CUevent_st {
  CUcontext context;
  bool recorded = false;
  unsigned long long order = 0;
  std::shared_ptr<hostcuda::Capture> capture = nullptr;
  CUstream from = nullptr;
  uint64_t at = 0;
  std::shared_ptr<bool> reached = nullptr;
};

namespace hostcuda {

constexpr size_t kSharedBytes = 48 << 10;

/** The compute capability (times ten) that HOSTCUDA_CAPABILITY names, or 80. */
int capability();
/** The most shared memory of a block, and what a multiprocessor keeps of its own for each: of the capability that HOSTCUDA_CAPABILITY names, else the most of any. */
size_t sharedOptInBytes();
size_t sharedReservedBytes();

/** Remembers text for hostcuda_last_error, prints it, returns code. */
CUresult complain(CUresult code, const std::string& text);
/** As complain, and every later call on the device answers with the code. */
void stick(CUresult code, const std::string& text);
CUresult stuck();
CUcontext currentContext();
/** Runs now, records when the stream captures, or puts off until somebody waits when the device is lazy. */
CUresult enqueue(CUstream stream, std::function<void()> work);
/** An error, and the end of every capture it breaks, where the mode of a capture forbids the call; else 0. */
CUresult refuseWhileCapturing(const char* call);
/** Whether work is put off until somebody waits for it: the latest a device may do it. */
bool lazy();
/** Whether launches and library calls are counted only (hostcuda_idle). */
bool idle();
/** Does what is put off in one stream, or in all. */
void finish(CUstream stream);
void finishAll();
CUresult synchronise(const char* call, std::atomic<int64_t>& counter);
void launch(CUfunction f, dim3 grid, dim3 block, unsigned sharedBytes, const std::vector<unsigned char>& values);

}  // namespace hostcuda

#define REQUIRE_LIVE()                                                   \
  do {                                                                   \
    hostcuda::counters().calls++;                                        \
    if (CUresult s = hostcuda::stuck()) return s;                        \
    if (!hostcuda::currentContext()) return CUDA_ERROR_INVALID_CONTEXT;  \
  } while (0)
