// driver.h -- what the driver's handles point at, shared by driver.cpp, module.cpp and graph.cpp
#pragma once
#include <cuda.h>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
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
struct CUstream_st {
  CUcontext context;
  unsigned flags = 0;
  int priority = 0;
  std::shared_ptr<CUgraph_st> capture;
  bool origin = false, invalid = false;
};
struct CUevent_st {
  CUcontext context;
  bool recorded = false;
  unsigned long long order = 0;
  std::shared_ptr<CUgraph_st> capture;
};

namespace hostcuda {

constexpr size_t kSharedBytes = 48 << 10, kSharedOptInBytes = 227 << 10;

/** Remembers text for hostcuda_last_error, prints it, returns code. */
CUresult complain(CUresult code, const std::string& text);
/** As complain, and every later call on the device answers with the code. */
void stick(CUresult code, const std::string& text);
CUresult stuck();
CUcontext currentContext();
/** Runs now, or records when the stream captures. */
CUresult enqueue(CUstream stream, std::function<void()> work);
bool capturing();
void launch(CUfunction f, dim3 grid, dim3 block, unsigned sharedBytes, const std::vector<unsigned char>& values);

}  // namespace hostcuda

#define REQUIRE_LIVE()                                                   \
  do {                                                                   \
    if (CUresult s = hostcuda::stuck()) return s;                        \
    if (!hostcuda::currentContext()) return CUDA_ERROR_INVALID_CONTEXT;  \
  } while (0)
