// counters.h -- what happened, in numbers that tests assert on
#pragma once
#include <atomic>
#include <cstdint>

namespace hostcuda {

struct Counters {
  std::atomic<int64_t> launches{0}, allocations{0}, frees{0}, liveBytes{0}, peakBytes{0}, bytesToDevice{0}, bytesToHost{0}, bytesOnDevice{0},
      copiesToDevice{0}, copiesToHost{0}, calls{0}, synchronisations{0}, eventWaits{0}, graphLaunches{0}, libraryCalls{0};
};
Counters& counters();
void countLaunch(const char* kernel);
void countAllocation(int64_t bytes);
void countFree(int64_t bytes);

}  // namespace hostcuda

extern "C" {
/** launches, allocations, frees, live_bytes, peak_bytes, bytes_to_device, bytes_to_host, bytes_on_device, copies_to_device, copies_to_host,
    calls (of the driver), synchronisations, event_waits, graph_launches, library_calls, launches:KERNEL, declared_bytes:KERNEL; -1 for another name. */
int64_t hostcuda_counter(const char* name);
/** Sets every counter to 0 but live_bytes, and peak_bytes to live_bytes. */
void hostcuda_reset_counters(void);
/** Adds to declared_bytes:KERNEL what one launch says it reads and writes. */
void hostcuda_declare_bytes(const char* kernel, int64_t bytes);
/** "KERNEL launches declaredBytes" per line, in name order; valid until the next call. */
const char* hostcuda_kernel_table(void);
/** The text of the last error on any device, or an empty string. */
const char* hostcuda_last_error(void);
/** Forgets a sticky error, as a new process would. */
void hostcuda_clear_error(void);
/** For the cuBLAS and cuDNN stand-ins: a sentence when the range is no live device memory. */
int hostcuda_check_range(const void* address, uint64_t bytes, const char* who);
void hostcuda_count_library_call(const char* name);
/** Whether work is put off until somebody waits for it; what is put off is done first. */
void hostcuda_lazy(int whether);
/** Whether kernels and calls of the libraries are counted but not done, so that their results are what was in memory; copies and fills are done. */
void hostcuda_idle(int whether);
/** Runs `work(data)` now, or puts it in the graph that the stream records. */
int hostcuda_enqueue(void* stream, void (*work)(void*), void* data, void (*drop)(void*));
/** Whether the stream records a graph. */
int hostcuda_is_capturing(void* stream);
}
