// memory.cpp -- one reserved address range per device; every allocation between two fences, freed blocks in quarantine
#include "memory.h"
#include <sys/mman.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include "counters.h"
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n) __asan_poison_memory_region(p, n)
#define UNPOISON(p, n) __asan_unpoison_memory_region(p, n)
#define UNCHECKED __attribute__((no_sanitize_address))
#else
#define POISON(p, n) (void)0
#define UNPOISON(p, n) (void)0
#define UNCHECKED
#endif

namespace hostcuda {
namespace {

constexpr size_t kFence = 256, kGranule = 256;
constexpr size_t kQuarantineBytes = size_t(64) << 20;
constexpr unsigned char kFenceByte = 0xfa, kFreshByte = 0xff, kFreedByte = 0xdd;

std::string hex(const void* p) {
  char b[32];
  snprintf(b, sizeof b, "%p", p);
  return b;
}

struct Live { size_t bytes, room; };                 // room: bytes between the fences
struct Freed { char* base; size_t bytes, room; };

struct Memory {
  std::recursive_mutex lock;
  int devices;
  size_t capacity, reserve;                          // per device; the reserve adds room for fences and quarantine
  char* base;
  unsigned char* shadow;                             // one byte per 8: 8 = all may be touched, k < 8 = the first k
  std::map<char*, Live> live[kMaxDevices];
  std::map<size_t, size_t> holes[kMaxDevices];       // offset, bytes
  size_t used[kMaxDevices] = {};
  std::deque<Freed> quarantine[kMaxDevices];
  size_t quarantined[kMaxDevices] = {};
  std::map<char*, size_t> pinned, own;

  Memory() {
    const char* n = getenv("HOSTCUDA_DEVICES");
    devices = std::min(kMaxDevices, std::max(1, n ? atoi(n) : 2));
    const char* mebibytes = getenv("HOSTCUDA_MEBIBYTES");
    capacity = size_t(mebibytes ? atoll(mebibytes) : 4096) << 20;
    reserve = capacity * 2 + (size_t(1) << 30);
    base = map(reserve * size_t(devices));
    shadow = reinterpret_cast<unsigned char*>(map(reserve * size_t(devices) / 8));
    for (int d = 0; d < devices; d++) holes[d][0] = reserve;
  }
  static char* map(size_t bytes) {
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) { fprintf(stderr, "hostcuda: cannot reserve %zu bytes of addresses\n", bytes); abort(); }
    return static_cast<char*>(p);
  }
  bool inside(const void* p) const { return size_t(static_cast<const char*>(p) - base) < reserve * size_t(devices); }
  int device(const void* p) const { return int(size_t(static_cast<const char*>(p) - base) / reserve); }

  UNCHECKED static void fill(char* p, unsigned char value, size_t n) {
#if defined(__SANITIZE_ADDRESS__)
    for (size_t i = 0; i < n; i++) p[i] = char(value);
#else
    memset(p, value, n);
#endif
  }
  /** The first byte that differs from value, or n. */
  UNCHECKED static size_t intact(const char* p, unsigned char value, size_t n) {
    uint64_t wanted = value * 0x0101010101010101ull, word;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
      __builtin_memcpy(&word, p + i, 8);
      if (word != wanted) break;
    }
    for (; i < n; i++) if (static_cast<unsigned char>(p[i]) != value) return i;
    return n;
  }
  void shade(char* p, size_t bytes, size_t room, bool open) {
    unsigned char* s = shadow + (p - base) / 8;
    memset(s, 0, room / 8);
    if (!open) return;
    memset(s, 8, bytes / 8);
    if (bytes % 8) s[bytes / 8] = static_cast<unsigned char>(bytes % 8);
  }
  static size_t sample(size_t bytes) { return std::min<size_t>(bytes, 1 << 16); }   // what of a freed block is filled and looked at

  void giveBack(int d, const Freed& f) {
    UNPOISON(f.base - kFence, f.room + 2 * kFence);
    madvise(reinterpret_cast<void*>((uintptr_t(f.base) + 4095) & ~uintptr_t(4095)), f.room > 8192 ? (f.room - 4096) & ~size_t(4095) : 0, MADV_DONTNEED);
    size_t offset = size_t(f.base - kFence - (base + reserve * size_t(d))), bytes = f.room + 2 * kFence;
    auto& h = holes[d];
    auto after = h.lower_bound(offset);
    if (after != h.end() && after->first == offset + bytes) { bytes += after->second; after = h.erase(after); }
    if (after != h.begin()) {
      auto before = std::prev(after);
      if (before->first + before->second == offset) { before->second += bytes; return; }
    }
    h[offset] = bytes;
  }

  /** What is wrong with the fences of a live allocation, in words, and mends them; empty when nothing is. Looks at all of them or at the next 64 bytes. */
  std::string fencesOf(char* p, const Live& v, bool whole) {
    size_t depth = whole ? kFence : 64, tail = whole ? v.room - v.bytes + kFence : 64;
    size_t before = intact(p - depth, kFenceByte, depth), after = intact(p + v.bytes, kFenceByte, tail);
    if (before == depth && after == tail) return "";
    fill(p - depth, kFenceByte, depth);
    fill(p + v.bytes, kFenceByte, tail);
    return "out-of-bounds write: " + (after < tail ? std::to_string(after) + " bytes past the end" : std::to_string(depth - before) + " bytes before the start") +
           " of a " + std::to_string(v.bytes) + "-byte allocation (" + hex(p) + ")";
  }

  /** The same of a freed block: its first and its last so many bytes. */
  std::string writesAfterFree(const Freed& f, size_t bytes) {
    size_t at = intact(f.base, kFreedByte, bytes), end = intact(f.base + f.bytes - bytes, kFreedByte, bytes);
    if (at == bytes && end == bytes) return "";
    fill(f.base, kFreedByte, bytes);
    fill(f.base + f.bytes - bytes, kFreedByte, bytes);
    return "use after free: byte " + std::to_string(at < bytes ? at : f.bytes - bytes + end) + " of a freed " + std::to_string(f.bytes) + "-byte allocation (" + hex(f.base) + ") was written";
  }
};

Memory& memory() { static Memory* m = new Memory; return *m; }

}  // namespace

int deviceCount() { return memory().devices; }
size_t deviceBytes() { return memory().capacity; }
bool isDevice(const void* p) { return memory().inside(p); }
char* deviceMemory(size_t& bytes) {
  bytes = memory().reserve * size_t(memory().devices);
  return memory().base;
}
int deviceOf(const void* p) { return memory().device(p); }
size_t freeBytes(int d) { return memory().capacity - memory().used[d]; }

void* allocate(int d, size_t bytes) {
  Memory& m = memory();
  std::lock_guard<std::recursive_mutex> hold(m.lock);
  size_t room = (bytes + kGranule - 1) / kGranule * kGranule, whole = room + 2 * kFence;
  if (m.used[d] + room > m.capacity) return nullptr;
  for (auto h = m.holes[d].begin(); h != m.holes[d].end(); ++h) {
    if (h->second < whole) continue;
    size_t offset = h->first, left = h->second - whole;
    m.holes[d].erase(h);
    if (left) m.holes[d][offset + whole] = left;
    char* p = m.base + m.reserve * size_t(d) + offset + kFence;
    Memory::fill(p - kFence, kFenceByte, kFence);
    Memory::fill(p, kFreshByte, bytes);
    Memory::fill(p + bytes, kFenceByte, room - bytes + kFence);
    m.shade(p, bytes, room, true);
    POISON(p - kFence, kFence);
    POISON(p + bytes, room - bytes + kFence);
    m.live[d][p] = {bytes, room};
    m.used[d] += room;
    countAllocation(int64_t(bytes));
    return p;
  }
  return nullptr;
}

bool release(void* address, std::string& error) {
  Memory& m = memory();
  std::lock_guard<std::recursive_mutex> hold(m.lock);
  char* p = static_cast<char*>(address);
  if (!m.inside(p)) { error = "cuMemFree: " + hex(p) + " is not device memory"; return false; }
  int d = m.device(p);
  auto found = m.live[d].find(p);
  if (found == m.live[d].end()) { error = "cuMemFree: " + describe(p); return false; }
  Live v = found->second;
  std::string damage = m.fencesOf(p, v, true);
  m.live[d].erase(found);
  m.used[d] -= v.room;
  countFree(int64_t(v.bytes));
  size_t s = Memory::sample(v.bytes);
  Memory::fill(p, kFreedByte, s);
  Memory::fill(p + v.bytes - s, kFreedByte, s);
  m.shade(p, v.bytes, v.room, false);
  POISON(p, v.room);
  m.quarantine[d].push_back({p, v.bytes, v.room});
  m.quarantined[d] += v.room;
  while (m.quarantined[d] > kQuarantineBytes || m.quarantine[d].size() > 512) {
    Freed f = m.quarantine[d].front();
    if (damage.empty()) damage = m.writesAfterFree(f, Memory::sample(f.bytes));
    m.quarantine[d].pop_front();
    m.quarantined[d] -= f.room;
    m.giveBack(d, f);
  }
  error = damage;
  return true;
}

std::string describe(const void* address) {
  Memory& m = memory();
  std::lock_guard<std::recursive_mutex> hold(m.lock);
  char* p = static_cast<char*>(const_cast<void*>(address));
  if (!m.inside(p)) return hex(p) + " is not device memory";
  int d = m.device(p);
  for (const Freed& f : m.quarantine[d])
    if (p >= f.base - kFence && p < f.base + f.room + kFence)
      return hex(p) + " is byte " + std::to_string(p - f.base) + " of a freed " + std::to_string(f.bytes) + "-byte allocation (use after free)";
  auto next = m.live[d].upper_bound(p);
  std::string best = hex(p) + " belongs to no allocation";
  if (next != m.live[d].begin()) {
    auto before = std::prev(next);
    ptrdiff_t past = p - before->first - ptrdiff_t(before->second.bytes);
    if (past < 0) return hex(p) + " is byte " + std::to_string(p - before->first) + " of a live " + std::to_string(before->second.bytes) + "-byte allocation";
    if (size_t(past) < before->second.room - before->second.bytes + kFence || next == m.live[d].end() || past < next->first - p)
      return hex(p) + " is " + std::to_string(past) + " bytes past the end of a " + std::to_string(before->second.bytes) + "-byte allocation";
  }
  if (next != m.live[d].end())
    return hex(p) + " is " + std::to_string(next->first - p) + " bytes before a " + std::to_string(next->second.bytes) + "-byte allocation";
  return best;
}

bool range(const void* address, void*& base, size_t& bytes) {
  Memory& m = memory();
  std::lock_guard<std::recursive_mutex> hold(m.lock);
  char* p = static_cast<char*>(const_cast<void*>(address));
  if (!m.inside(p)) return false;
  auto& live = m.live[m.device(p)];
  auto next = live.upper_bound(p);
  if (next == live.begin()) return false;
  auto at = std::prev(next);
  if (p >= at->first + std::max<size_t>(at->second.bytes, 1)) return false;
  base = at->first;
  bytes = at->second.bytes;
  return true;
}

std::string checkRange(const void* address, size_t bytes) {
  void* base;
  size_t whole;
  if (bytes == 0) return "";
  if (range(address, base, whole)) {
    size_t offset = size_t(static_cast<const char*>(address) - static_cast<char*>(base));
    if (offset + bytes <= whole) return "";
    return std::to_string(bytes) + " bytes from byte " + std::to_string(offset) + " pass the end of a " + std::to_string(whole) + "-byte allocation";
  }
  if (isPinned(address, bytes)) return "";
  return describe(address);
}

bool isFreed(const void* address) {
  Memory& m = memory();
  if (!m.inside(address)) return false;
  std::lock_guard<std::recursive_mutex> hold(m.lock);
  const char* p = static_cast<const char*>(address);
  for (const Freed& f : m.quarantine[m.device(p)]) if (p >= f.base && p < f.base + std::max<size_t>(f.bytes, 1)) return true;
  return false;
}

std::string checkFences(bool all) {
  Memory& m = memory();
  std::lock_guard<std::recursive_mutex> hold(m.lock);
  for (int d = 0; d < m.devices; d++) {
    for (auto& [p, v] : m.live[d]) {
      std::string damage = m.fencesOf(p, v, all);
      if (!damage.empty()) return damage;
    }
    size_t looked = 0;
    for (auto f = m.quarantine[d].rbegin(); f != m.quarantine[d].rend() && (all || looked < 16); ++f, looked++) {
      std::string damage = m.writesAfterFree(*f, all ? Memory::sample(f->bytes) : std::min<size_t>(64, f->bytes));
      if (!damage.empty()) return damage;
    }
  }
  return "";
}

bool accessible(const void* address, size_t bytes) {
  Memory& m = memory();
  const char* p = static_cast<const char*>(address);
  if (!m.inside(p) || !m.inside(p + bytes - 1)) return false;
  size_t offset = size_t(p - m.base);
  for (size_t i = offset / 8; i <= (offset + bytes - 1) / 8; i++) {
    size_t needed = i == (offset + bytes - 1) / 8 ? (offset + bytes - 1) % 8 + 1 : 8;
    if (m.shadow[i] < needed) return false;
  }
  return true;
}

void* allocateHost(size_t bytes) {
  void* p = nullptr;
  if (posix_memalign(&p, 4096, std::max<size_t>(bytes, 1))) return nullptr;
  memset(p, 0, bytes);
  Memory& m = memory();
  std::lock_guard<std::recursive_mutex> hold(m.lock);
  m.pinned[static_cast<char*>(p)] = bytes;
  m.own[static_cast<char*>(p)] = bytes;
  return p;
}
bool releaseHost(void* p) {
  Memory& m = memory();
  std::lock_guard<std::recursive_mutex> hold(m.lock);
  if (!m.own.erase(static_cast<char*>(p))) return false;
  m.pinned.erase(static_cast<char*>(p));
  free(p);
  return true;
}
void registerHost(void* p, size_t bytes) {
  Memory& m = memory();
  std::lock_guard<std::recursive_mutex> hold(m.lock);
  m.pinned[static_cast<char*>(p)] = bytes;
}
bool unregisterHost(void* p) {
  Memory& m = memory();
  std::lock_guard<std::recursive_mutex> hold(m.lock);
  return m.pinned.erase(static_cast<char*>(p)) > 0;
}
bool isPinned(const void* address, size_t bytes) {
  Memory& m = memory();
  std::lock_guard<std::recursive_mutex> hold(m.lock);
  char* p = static_cast<char*>(const_cast<void*>(address));
  auto next = m.pinned.upper_bound(p);
  if (next == m.pinned.begin()) return false;
  auto at = std::prev(next);
  return p + bytes <= at->first + at->second;
}

}  // namespace hostcuda
