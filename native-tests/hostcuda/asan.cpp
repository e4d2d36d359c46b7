// asan.cpp -- in the AddressSanitizer build, turns a report raised inside a kernel into that launch's error
//
// Run with ASAN_OPTIONS=halt_on_error=0: the kernel goes on and the next synchronising call fails.
#include <sanitizer/asan_interface.h>
#include "engine.h"
#include "memory.h"

namespace {
void report(const char*) {
  if (!hostcuda::runningKernel() || !hostcuda_current) return;
  void* address = __asan_get_report_address();
  hostcuda::noteError(700, std::string(__asan_get_report_access_type() ? "write" : "read") + " of " +
                               std::to_string(__asan_get_report_access_size()) + " bytes: " + hostcuda::describe(address));
}
struct Install {
  Install() { __asan_set_error_report_callback(report); }
} install;
}  // namespace
