#include "counters.h"
#include <map>
#include <mutex>
#include <string>

namespace hostcuda {
namespace {
struct PerKernel { int64_t launches = 0, bytes = 0; };
std::mutex& lock() { static std::mutex* m = new std::mutex; return *m; }
std::map<std::string, PerKernel>& kernels() { static auto* m = new std::map<std::string, PerKernel>; return *m; }
}  // namespace

Counters& counters() { static Counters* c = new Counters; return *c; }

void countLaunch(const char* kernel) {
  counters().launches++;
  std::lock_guard<std::mutex> hold(lock());
  kernels()[kernel].launches++;
}
void countAllocation(int64_t bytes) {
  Counters& c = counters();
  c.allocations++;
  int64_t live = c.liveBytes += bytes, peak = c.peakBytes;
  while (live > peak && !c.peakBytes.compare_exchange_weak(peak, live)) {}
}
void countFree(int64_t bytes) { counters().frees++; counters().liveBytes -= bytes; }
}  // namespace hostcuda

using namespace hostcuda;

extern "C" {
int64_t hostcuda_counter(const char* name) {
  Counters& c = counters();
  const std::pair<const char*, std::atomic<int64_t>*> all[] = {
      {"launches", &c.launches}, {"allocations", &c.allocations}, {"frees", &c.frees}, {"live_bytes", &c.liveBytes},
      {"peak_bytes", &c.peakBytes}, {"bytes_to_device", &c.bytesToDevice}, {"bytes_to_host", &c.bytesToHost},
      {"bytes_on_device", &c.bytesOnDevice}, {"copies_to_device", &c.copiesToDevice}, {"copies_to_host", &c.copiesToHost},
      {"calls", &c.calls}, {"synchronisations", &c.synchronisations}, {"event_waits", &c.eventWaits},
      {"graph_launches", &c.graphLaunches}, {"library_calls", &c.libraryCalls}};
  std::string n = name;
  for (auto& e : all) if (n == e.first) return *e.second;
  size_t colon = n.find(':');
  if (colon == std::string::npos) return -1;
  std::lock_guard<std::mutex> hold(lock());
  auto k = kernels().find(n.substr(colon + 1));
  PerKernel v = k == kernels().end() ? PerKernel{} : k->second;
  if (n.compare(0, colon, "launches") == 0) return v.launches;
  if (n.compare(0, colon, "declared_bytes") == 0) return v.bytes;
  return -1;
}
void hostcuda_reset_counters(void) {
  Counters& c = counters();
  for (auto* v : {&c.launches, &c.allocations, &c.frees, &c.bytesToDevice, &c.bytesToHost, &c.bytesOnDevice, &c.copiesToDevice,
                  &c.copiesToHost, &c.calls, &c.synchronisations, &c.eventWaits, &c.graphLaunches, &c.libraryCalls})
    *v = 0;
  c.peakBytes = c.liveBytes.load();
  std::lock_guard<std::mutex> hold(lock());
  kernels().clear();
}
void hostcuda_declare_bytes(const char* kernel, int64_t bytes) {
  std::lock_guard<std::mutex> hold(lock());
  kernels()[kernel].bytes += bytes;
}
const char* hostcuda_kernel_table(void) {
  static thread_local std::string text;
  std::lock_guard<std::mutex> hold(lock());
  text.clear();
  for (auto& k : kernels()) text += k.first + " " + std::to_string(k.second.launches) + " " + std::to_string(k.second.bytes) + "\n";
  return text.c_str();
}
void hostcuda_count_library_call(const char*) { counters().libraryCalls++; }
}
