// module_entry.cpp -- what a kernel module tells the driver: its kernels and where its __shared__ variables are
#include "device_threads.h"

namespace hostcuda {
constexpr unsigned kDynamicRoom = (227 << 10) + 64;   // the most a launch may ask for, and the fence behind it
}
extern "C" {
extern const hostcuda::KernelEntry* const __start_hostcuda_kernels[] __attribute__((visibility("hidden"), weak));
extern const hostcuda::KernelEntry* const __stop_hostcuda_kernels[] __attribute__((visibility("hidden"), weak));
__thread char hostcuda_tls_anchor __attribute__((visibility("hidden")));
void hostcuda_module_kernels(const hostcuda::KernelEntry* const** first, const hostcuda::KernelEntry* const** last) {
  *first = __start_hostcuda_kernels;
  *last = __stop_hostcuda_kernels;
}
char* hostcuda_module_tls() { return &hostcuda_tls_anchor; }
}
