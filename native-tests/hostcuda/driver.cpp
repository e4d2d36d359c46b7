// driver.cpp -- devices, contexts and memory of the emulated device
//
// Errors of a kernel stick and come back from every later call, as on a device; hostcuda_last_error tells them in words.
#include "driver.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unistd.h>

namespace hostcuda {
namespace {

std::mutex& lock() { static std::mutex* m = new std::mutex; return *m; }
struct State {
  bool initialised = false;
  CUresult sticky = CUDA_SUCCESS;
  std::string error;
  CUctx_st primary[kMaxDevices];
  int retained[kMaxDevices] = {};
};
State& state() { static State* s = new State; return *s; }
thread_local std::vector<CUcontext> contexts;

CUresult copied(const char* call, CUdeviceptr to, CUdeviceptr from, size_t bytes, bool checkTo, bool checkFrom, bool fences) {
  std::string e = checkTo ? checkRange(reinterpret_cast<void*>(to), bytes) : "";
  if (e.empty() && checkFrom) e = checkRange(reinterpret_cast<void*>(from), bytes);
  if (e.empty() && fences) e = checkFences(false);
  return e.empty() ? CUDA_SUCCESS : complain(CUDA_ERROR_INVALID_VALUE, std::string(call) + ": " + e);
}

enum Way { kToDevice, kToHost, kOnDevice };

CUresult copy(const char* call, CUdeviceptr to, CUdeviceptr from, size_t bytes, Way way, CUstream stream, bool wait) {
  REQUIRE_LIVE();
  if (wait) if (CUresult r = refuseWhileCapturing(call)) return r;
  if (CUresult r = copied(call, to, from, bytes, way != kToHost, way != kToDevice, false)) return r;
  if (wait) counters().synchronisations++;
  // pageable memory: the driver takes the values at the call, and gives them at the call
  std::shared_ptr<std::vector<char>> taken;
  if (lazy() && way == kToDevice && !isPinned(reinterpret_cast<void*>(from), bytes)) {
    const char* p = reinterpret_cast<const char*>(from);
    taken = std::make_shared<std::vector<char>>(p, p + bytes);
  }
  bool atOnce = way == kToHost && !isPinned(reinterpret_cast<void*>(to), bytes);
  CUresult done = enqueue(stream, [=] {
    if (CUresult r = copied(call, to, from, bytes, way != kToHost, way != kToDevice, true)) { stick(r, hostcuda_last_error()); return; }
    memmove(reinterpret_cast<void*>(to), taken ? taken->data() : reinterpret_cast<void*>(from), bytes);
    Counters& c = counters();
    if (way == kToDevice) { c.bytesToDevice += int64_t(bytes); c.copiesToDevice++; }
    if (way == kToHost) { c.bytesToHost += int64_t(bytes); c.copiesToHost++; }
    if (way == kOnDevice) c.bytesOnDevice += int64_t(bytes);
  });
  if (!done && atOnce) finish(stream);
  return done;
}

template <class T> CUresult fill(const char* call, CUdeviceptr to, T value, size_t count, CUstream stream) {
  REQUIRE_LIVE();
  if (to % sizeof(T)) return complain(CUDA_ERROR_INVALID_VALUE, std::string(call) + ": the address is no multiple of " + std::to_string(sizeof(T)));
  std::string e = checkRange(reinterpret_cast<void*>(to), count * sizeof(T));
  if (!e.empty()) return complain(CUDA_ERROR_INVALID_VALUE, std::string(call) + ": " + e);
  return enqueue(stream, [=] {
    std::string late = checkRange(reinterpret_cast<void*>(to), count * sizeof(T));
    if (!late.empty()) { stick(CUDA_ERROR_ILLEGAL_ADDRESS, std::string(call) + ": " + late); return; }
    T* p = reinterpret_cast<T*>(to);
    for (size_t i = 0; i < count; i++) p[i] = value;
  });
}

struct ErrorName { CUresult code; const char* name; const char* text; };
const ErrorName kErrors[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"}, {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"}, {CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"}, {CUDA_ERROR_INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {CUDA_ERROR_PEER_ACCESS_UNSUPPORTED, "CUDA_ERROR_PEER_ACCESS_UNSUPPORTED", "peer access is not supported between these two devices"},
    {CUDA_ERROR_FILE_NOT_FOUND, "CUDA_ERROR_FILE_NOT_FOUND", "file not found"},
    {CUDA_ERROR_SHARED_OBJECT_INIT_FAILED, "CUDA_ERROR_SHARED_OBJECT_INIT_FAILED", "shared object initialization failed"},
    {CUresult(214), "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"},
    {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"}, {CUDA_ERROR_ILLEGAL_STATE, "CUDA_ERROR_ILLEGAL_STATE", "the operation cannot be performed in the present state"},
    {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"}, {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {CUresult(701), "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, "CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED", "peer access is already enabled"},
    {CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, "CUDA_ERROR_PEER_ACCESS_NOT_ENABLED", "peer access has not been enabled"},
    {CUDA_ERROR_MISALIGNED_ADDRESS, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {CUDA_ERROR_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"}, {CUDA_ERROR_NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {CUresult(902), "CUDA_ERROR_STREAM_CAPTURE_MERGE", "operation would have merged two capture sequences"},
    {CUresult(904), "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {CUresult(905), "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
    {CUresult(906), "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "operation would make the legacy stream depend on a capturing blocking stream"},
    {CUresult(907), "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
    {CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"}};

}  // namespace

CUresult complain(CUresult code, const std::string& text) {
  std::lock_guard<std::mutex> hold(lock());
  state().error = text;
  if (!getenv("HOSTCUDA_QUIET")) fprintf(stderr, "hostcuda: %s\n", text.c_str());
  return code;
}
void stick(CUresult code, const std::string& text) {
  if (state().sticky) return;
  complain(code, text);
  state().sticky = code;
}
CUcontext currentContext() { return contexts.empty() ? nullptr : contexts.back(); }
CUresult stuck() {
  static const char* const damaged = getenv("HOSTCUDA_DAMAGED");
  if (damaged && currentContext()) {
    std::string file = damaged + std::to_string(currentContext()->device);
    if (unlink(file.c_str()) == 0) stick(CUresult(214), file + " was there");
  }
  return !state().initialised ? CUDA_ERROR_NOT_INITIALIZED : state().sticky;
}
CUresult synchronise(const char* call, std::atomic<int64_t>& counter) {
  counter++;
  std::string damage = checkFences(true);
  if (!damage.empty()) stick(CUDA_ERROR_ILLEGAL_ADDRESS, std::string(call) + ": " + damage);
  return stuck();
}

int capability() {
  const char* named = getenv("HOSTCUDA_CAPABILITY");   // as "80"
  return named ? atoi(named) : 80;
}

size_t sharedOptInBytes() {
  if (!getenv("HOSTCUDA_CAPABILITY")) return 227 << 10;
  switch (capability()) {
    case 75: return 64 << 10;
    case 80: case 87: return 163 << 10;
    case 90: case 100: case 103: case 110: return 227 << 10;
    default: return 99 << 10;
  }
}
size_t sharedReservedBytes() { return capability() < 80 ? 0 : 1024; }

}  // namespace hostcuda

using namespace hostcuda;

extern "C" {

const char* hostcuda_last_error(void) {
  static thread_local std::string copy;
  std::lock_guard<std::mutex> hold(lock());
  copy = state().error;
  return copy.c_str();
}
void hostcuda_clear_error(void) {
  std::lock_guard<std::mutex> hold(lock());
  state().sticky = CUDA_SUCCESS;
  state().error.clear();
}
int hostcuda_check_range(const void* address, uint64_t bytes, const char* who) {
  if (CUresult s = stuck()) return s;
  std::string e = checkRange(address, bytes);
  if (e.empty()) return 0;
  complain(CUDA_ERROR_INVALID_VALUE, std::string(who) + ": " + e);
  return CUDA_ERROR_INVALID_VALUE;
}
int hostcuda_enqueue(void* stream, void (*work)(void*), void* data, void (*drop)(void*)) {
  std::shared_ptr<void> owned(data, drop);
  return enqueue(static_cast<CUstream>(stream), [work, owned] {
    if (!idle()) work(owned.get());
  });
}

CUresult cuInit(unsigned) { state().initialised = true; return CUDA_SUCCESS; }
CUresult cuDriverGetVersion(int* version) { *version = CUDA_VERSION; return CUDA_SUCCESS; }
CUresult cuGetErrorName(CUresult code, const char** text) {
  for (auto& e : kErrors) if (e.code == code) { *text = e.name; return CUDA_SUCCESS; }
  *text = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}
CUresult cuGetErrorString(CUresult code, const char** text) {
  for (auto& e : kErrors) if (e.code == code) { *text = e.text; return CUDA_SUCCESS; }
  *text = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}

#define REQUIRE_DEVICE(d)                                              \
  if (!state().initialised) return CUDA_ERROR_NOT_INITIALIZED;         \
  if (int(d) < 0 || int(d) >= deviceCount()) return CUDA_ERROR_INVALID_DEVICE

CUresult cuDeviceGet(CUdevice* device, int ordinal) { REQUIRE_DEVICE(ordinal); *device = ordinal; return CUDA_SUCCESS; }
CUresult cuDeviceGetCount(int* count) { REQUIRE_DEVICE(0); *count = deviceCount(); return CUDA_SUCCESS; }
CUresult cuDeviceGetName(char* name, int length, CUdevice d) { REQUIRE_DEVICE(d); snprintf(name, size_t(length), "Onebit emulated device"); return CUDA_SUCCESS; }
CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice d) { REQUIRE_DEVICE(d); memset(uuid, 0, 16); uuid->bytes[15] = char(d); return CUDA_SUCCESS; }
CUresult cuDeviceGetPCIBusId(char* id, int length, CUdevice d) { REQUIRE_DEVICE(d); snprintf(id, size_t(length), "0000:%02x:00.0", d); return CUDA_SUCCESS; }
CUresult cuDeviceTotalMem(size_t* bytes, CUdevice d) { REQUIRE_DEVICE(d); *bytes = deviceBytes(); return CUDA_SUCCESS; }
CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice d) {
  REQUIRE_DEVICE(d);
  cuDeviceGetAttribute(major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, d);
  return cuDeviceGetAttribute(minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, d);
}
CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice d) {
  REQUIRE_DEVICE(d);
  const int cc = capability();
  static const std::map<int, int> fixed = {
      {1, 1024}, {2, 1024}, {3, 1024}, {4, 64}, {5, 2147483647}, {6, 65535}, {7, 65535}, {8, int(kSharedBytes)}, {9, 65536}, {10, 32},
      {11, 2147483647}, {12, 65536}, {13, 1000000}, {14, 512}, {15, 1}, {17, 0}, {18, 0}, {19, 1}, {20, 0}, {31, 1}, {32, 0},
      {34, 0}, {35, 0}, {36, 1000000}, {37, 64}, {38, 1 << 20}, {39, 2048}, {40, 1}, {41, 1}, {50, 0}, {78, 1}, {79, 1}, {80, 1},
      {82, 65536}, {83, 0}, {84, 0}, {85, 0}, {86, 0}, {88, 0}, {89, 0}, {90, 1}, {95, 0}, {106, 32}};
  if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) { *value = cc / 10; return CUDA_SUCCESS; }
  if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR) { *value = cc % 10; return CUDA_SUCCESS; }
  if (attribute == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT) {
    const char* named = getenv("HOSTCUDA_MULTIPROCESSORS");
    *value = named ? atoi(named) : 16;
    return CUDA_SUCCESS;
  }
  if (int(attribute) == 33) { *value = d; return CUDA_SUCCESS; }   // PCI bus id
  if (int(attribute) == 81) { *value = int(sharedOptInBytes() + sharedReservedBytes()); return CUDA_SUCCESS; }   // shared memory of a multiprocessor, of a block
  if (int(attribute) == 97) { *value = int(sharedOptInBytes()); return CUDA_SUCCESS; }
  if (int(attribute) == 111) { *value = int(sharedReservedBytes()); return CUDA_SUCCESS; }
  auto f = fixed.find(attribute);
  *value = f == fixed.end() ? 0 : f->second;
  return CUDA_SUCCESS;
}
CUresult cuDeviceCanAccessPeer(int* can, CUdevice d, CUdevice peer) { REQUIRE_DEVICE(d); REQUIRE_DEVICE(peer); *can = d != peer; return CUDA_SUCCESS; }

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice d) {
  REQUIRE_DEVICE(d);
  state().primary[d].device = d;
  state().retained[d]++;
  *context = &state().primary[d];
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease(CUdevice d) {
  REQUIRE_DEVICE(d);
  if (!state().retained[d]) return CUDA_ERROR_INVALID_CONTEXT;
  state().retained[d]--;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxReset(CUdevice d) { REQUIRE_DEVICE(d); return CUDA_SUCCESS; }
CUresult cuDevicePrimaryCtxSetFlags(CUdevice d, unsigned) { REQUIRE_DEVICE(d); return CUDA_SUCCESS; }
CUresult cuDevicePrimaryCtxGetState(CUdevice d, unsigned* flags, int* active) {
  REQUIRE_DEVICE(d);
  *flags = 0;
  *active = state().retained[d] > 0;
  return CUDA_SUCCESS;
}
CUresult cuCtxCreate(CUcontext* context, unsigned, CUdevice d) {
  REQUIRE_DEVICE(d);
  *context = new CUctx_st{d, {}};
  contexts.push_back(*context);
  return CUDA_SUCCESS;
}
CUresult cuCtxDestroy(CUcontext context) {
  for (size_t i = contexts.size(); i-- > 0;) if (contexts[i] == context) contexts.erase(contexts.begin() + long(i));
  for (auto& p : state().primary) if (&p == context) return CUDA_SUCCESS;
  delete context;
  return CUDA_SUCCESS;
}
CUresult cuCtxPushCurrent(CUcontext context) { contexts.push_back(context); return CUDA_SUCCESS; }
CUresult cuCtxPopCurrent(CUcontext* context) {
  if (contexts.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  if (context) *context = contexts.back();
  contexts.pop_back();
  return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext context) {
  if (!contexts.empty()) contexts.pop_back();
  if (context) contexts.push_back(context);
  return CUDA_SUCCESS;
}
CUresult cuCtxGetCurrent(CUcontext* context) { *context = currentContext(); return CUDA_SUCCESS; }
CUresult cuCtxGetDevice(CUdevice* device) {
  if (!currentContext()) return CUDA_ERROR_INVALID_CONTEXT;
  *device = currentContext()->device;
  return CUDA_SUCCESS;
}
CUresult cuCtxGetFlags(unsigned* flags) { *flags = 0; return CUDA_SUCCESS; }
CUresult cuCtxGetApiVersion(CUcontext, unsigned* version) { *version = 3020; return CUDA_SUCCESS; }
CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) { *least = 0; *greatest = -1; return CUDA_SUCCESS; }
CUresult cuCtxSynchronize(void) {
  REQUIRE_LIVE();
  if (CUresult r = refuseWhileCapturing("cuCtxSynchronize")) return r;
  finishAll();
  return synchronise("cuCtxSynchronize", counters().synchronisations);
}
CUresult cuCtxEnablePeerAccess(CUcontext peer, unsigned) {
  REQUIRE_LIVE();
  if (peer->device == currentContext()->device) return CUDA_ERROR_INVALID_DEVICE;
  return currentContext()->peers.insert(peer->device).second ? CUDA_SUCCESS : CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
}
CUresult cuCtxDisablePeerAccess(CUcontext peer) {
  REQUIRE_LIVE();
  return currentContext()->peers.erase(peer->device) ? CUDA_SUCCESS : CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
}

CUresult cuMemGetInfo(size_t* free, size_t* total) {
  REQUIRE_LIVE();
  *free = freeBytes(currentContext()->device);
  *total = deviceBytes();
  return CUDA_SUCCESS;
}
CUresult cuMemAlloc(CUdeviceptr* address, size_t bytes) {
  REQUIRE_LIVE();
  if (!bytes) return complain(CUDA_ERROR_INVALID_VALUE, "cuMemAlloc: 0 bytes");
  if (CUresult r = refuseWhileCapturing("cuMemAlloc")) return r;
  void* p = allocate(currentContext()->device, bytes);
  if (!p) return complain(CUDA_ERROR_OUT_OF_MEMORY, "cuMemAlloc: " + std::to_string(bytes) + " bytes asked, " + std::to_string(freeBytes(currentContext()->device)) + " free");
  *address = reinterpret_cast<CUdeviceptr>(p);
  return CUDA_SUCCESS;
}
CUresult cuMemAllocPitch(CUdeviceptr* address, size_t* pitch, size_t width, size_t height, unsigned) {
  *pitch = (width + 511) / 512 * 512;
  return cuMemAlloc(address, *pitch * height);
}
CUresult cuMemFree(CUdeviceptr address) {
  REQUIRE_LIVE();
  if (!address) return CUDA_SUCCESS;
  if (CUresult r = refuseWhileCapturing("cuMemFree")) return r;
  finishAll();
  std::string error;
  bool known = release(reinterpret_cast<void*>(address), error);
  if (!known) return complain(CUDA_ERROR_INVALID_VALUE, error);
  if (!error.empty()) stick(CUDA_ERROR_ILLEGAL_ADDRESS, "cuMemFree: " + error);
  return stuck();
}
CUresult cuMemAllocAsync(CUdeviceptr* address, size_t bytes, CUstream) { return cuMemAlloc(address, bytes); }
CUresult cuMemFreeAsync(CUdeviceptr address, CUstream) { return cuMemFree(address); }
CUresult cuMemGetAddressRange(CUdeviceptr* base, size_t* bytes, CUdeviceptr address) {
  REQUIRE_LIVE();
  void* b;
  size_t n;
  if (!range(reinterpret_cast<void*>(address), b, n)) return CUDA_ERROR_NOT_FOUND;
  if (base) *base = reinterpret_cast<CUdeviceptr>(b);
  if (bytes) *bytes = n;
  return CUDA_SUCCESS;
}
CUresult cuMemHostAlloc(void** address, size_t bytes, unsigned) {
  REQUIRE_LIVE();
  if (CUresult r = refuseWhileCapturing("cuMemHostAlloc")) return r;
  return (*address = allocateHost(bytes)) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
CUresult cuMemAllocHost(void** address, size_t bytes) { return cuMemHostAlloc(address, bytes, 0); }
CUresult cuMemFreeHost(void* address) {
  REQUIRE_LIVE();
  if (CUresult r = refuseWhileCapturing("cuMemFreeHost")) return r;
  finishAll();
  return releaseHost(address) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuMemHostGetDevicePointer(CUdeviceptr* device, void* host, unsigned) {
  REQUIRE_LIVE();
  if (!isPinned(host, 1)) return CUDA_ERROR_INVALID_VALUE;
  *device = reinterpret_cast<CUdeviceptr>(host);
  return CUDA_SUCCESS;
}
CUresult cuMemHostGetFlags(unsigned* flags, void* host) { *flags = 2; return isPinned(host, 1) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE; }
CUresult cuMemHostRegister(void* address, size_t bytes, unsigned) { REQUIRE_LIVE(); registerHost(address, bytes); return CUDA_SUCCESS; }
CUresult cuMemHostUnregister(void* address) { REQUIRE_LIVE(); return unregisterHost(address) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE; }
CUresult cuPointerGetAttribute(void* value, int attribute, CUdeviceptr address) {
  REQUIRE_LIVE();
  void* p = reinterpret_cast<void*>(address);
  void* base;
  size_t bytes;
  bool device = range(p, base, bytes);
  if (!device && !isPinned(p, 1)) return CUDA_ERROR_INVALID_VALUE;
  if (attribute == 2) *static_cast<unsigned*>(value) = device ? 2 : 1;                       // memory type
  else if (attribute == 3) *static_cast<CUdeviceptr*>(value) = address;                     // device pointer
  else if (attribute == 9) *static_cast<int*>(value) = device ? deviceOf(p) : 0;            // device ordinal
  else return CUDA_ERROR_NOT_SUPPORTED;
  return CUDA_SUCCESS;
}

#define P(x) reinterpret_cast<CUdeviceptr>(x)
CUresult cuMemcpyHtoD(CUdeviceptr to, const void* from, size_t n) { return copy("cuMemcpyHtoD", to, P(from), n, kToDevice, nullptr, true); }
CUresult cuMemcpyDtoH(void* to, CUdeviceptr from, size_t n) { return copy("cuMemcpyDtoH", P(to), from, n, kToHost, nullptr, true); }
CUresult cuMemcpyDtoD(CUdeviceptr to, CUdeviceptr from, size_t n) { return copy("cuMemcpyDtoD", to, from, n, kOnDevice, nullptr, false); }
CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t n, CUstream s) { return copy("cuMemcpyHtoDAsync", to, P(from), n, kToDevice, s, false); }
CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t n, CUstream s) { return copy("cuMemcpyDtoHAsync", P(to), from, n, kToHost, s, false); }
CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream s) { return copy("cuMemcpyDtoDAsync", to, from, n, kOnDevice, s, false); }
CUresult cuMemcpyPeer(CUdeviceptr to, CUcontext, CUdeviceptr from, CUcontext, size_t n) { return copy("cuMemcpyPeer", to, from, n, kOnDevice, nullptr, false); }
CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext, CUdeviceptr from, CUcontext, size_t n, CUstream s) { return copy("cuMemcpyPeerAsync", to, from, n, kOnDevice, s, false); }
CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream s) {
  bool toDevice = isDevice(reinterpret_cast<void*>(to)), fromDevice = isDevice(reinterpret_cast<void*>(from));
  return copy("cuMemcpy", to, from, n, toDevice ? (fromDevice ? kOnDevice : kToDevice) : kToHost, s, false);
}
CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t n) { return cuMemcpyAsync(to, from, n, nullptr); }
CUresult cuMemsetD8(CUdeviceptr to, unsigned char v, size_t n) { return fill("cuMemsetD8", to, v, n, nullptr); }
CUresult cuMemsetD16(CUdeviceptr to, unsigned short v, size_t n) { return fill("cuMemsetD16", to, v, n, nullptr); }
CUresult cuMemsetD32(CUdeviceptr to, unsigned v, size_t n) { return fill("cuMemsetD32", to, v, n, nullptr); }
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char v, size_t n, CUstream s) { return fill("cuMemsetD8Async", to, v, n, s); }
CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short v, size_t n, CUstream s) { return fill("cuMemsetD16Async", to, v, n, s); }
CUresult cuMemsetD32Async(CUdeviceptr to, unsigned v, size_t n, CUstream s) { return fill("cuMemsetD32Async", to, v, n, s); }

}
