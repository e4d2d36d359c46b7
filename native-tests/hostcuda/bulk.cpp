// bulk.cpp -- barriers in shared memory that count arrivals and bytes, bulk copies, and who has seen what
//
// A warp has a clock for each warp and each barrier: arriving gives the barrier what the warp has seen, waiting takes what was given to the
// phase. A copy into bytes that a product read is in order only when the copying warp has seen the warp that read them arrive behind its
// wait for that product; a product may read bytes of a copy only when its warp has seen the copy's phase complete.
#include "bulk.h"
#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <deque>
#include <vector>
#include "checked.h"
#include "engine.h"
#include "memory.h"

namespace hostcuda {
namespace {

constexpr unsigned kWarps = 32, kBarriers = 32;
constexpr uint64_t kMark = 0x6d62617272696572;   // what a barrier holds: nothing that a kernel may read or write
constexpr int64_t kMostBytes = (1 << 20) - 1;    // that a phase counts
using Clock = std::array<uint32_t, kWarps + kBarriers>;

struct Place {
  const char* file;
  int line;
};

std::string said(const char* format, ...) {
  char buffer[500];
  va_list list;
  va_start(list, format);
  vsnprintf(buffer, sizeof buffer, format, list);
  va_end(list);
  return buffer;
}

std::string said(const Place& p) {
  const char* slash = strrchr(p.file, '/');
  return std::string(slash ? slash + 1 : p.file) + ":" + std::to_string(p.line);
}

struct Barrier {
  char* address;
  Place made;
  unsigned index, warp, arrivals, left;
  uint32_t clock, phase = 0;
  int64_t bytes = 0;
  bool fenced = false;
  Clock given{}, passed{};
  std::vector<unsigned> waiting{};
};

struct Copy {
  char* to;
  const char* from;
  unsigned bytes, barrier;
};

/** Bytes of shared memory that a copy filled or is filling. */
struct Slot {
  char* to;
  unsigned bytes, barrier;
  uint32_t phase;
  bool landed = false;
  Place issued;
  std::array<int64_t, kWarps> pending;   // the last group of products that reads it, -1 when none is under way
  std::array<uint32_t, kWarps> read{};   // the warp's clock when its last read was over, from 1
  std::array<Place, kWarps> reader{};
  bool overlaps(const char* p, size_t n) const { return p < to + bytes && to < p + n; }
};

struct Waiting {
  unsigned barrier, parity;
};

struct State {
  bool active = false, newestFirst = false;
  std::array<Clock, kWarps> seen;
  std::vector<Barrier> barriers;
  std::deque<Copy> copies;
  std::vector<Slot> slots;
  std::vector<int64_t> groups;    // of products, by thread
  std::vector<Waiting> waits;     // by thread
};
thread_local State state;

unsigned here() { return hostcuda_current->linear; }

void merge(Clock& into, const Clock& from) {
  for (size_t i = 0; i < into.size(); i++) into[i] = std::max(into[i], from[i]);
}

[[noreturn]] void fail(int code, const std::string& what, const Place& p) { failHere(code, what + " at " + said(p)); }

Barrier& barrier(void* address, const char* call, const Place& p) {
  for (Barrier& b : state.barriers) {
    if (b.address != address) continue;
    uint64_t held;
    memcpy(&held, b.address, 8);
    if (held != kMark + b.index) fail(719, said("%s: the barrier of %s was written over", call, said(b.made).c_str()), p);
    if (state.seen[here() / 32][b.warp] < b.clock)
      fail(719, said("%s: the barrier of %s is used with no __syncthreads() behind its making", call, said(b.made).c_str()), p);
    return b;
  }
  fail(719, said("%s: there is no barrier at this address; mbarrier_init makes one", call), p);
}

/** Ends the phase when nothing is missing. */
void settle(Barrier& b) {
  if (b.left || b.bytes) return;
  b.passed = b.given;
  b.given = {};
  b.phase++;
  b.passed[kWarps + b.index] = b.phase;
  b.left = b.arrivals;
  for (unsigned linear : b.waiting) wake(linear);
  b.waiting.clear();
}

}  // namespace

void bulkBegin(bool newestFirst) {
  state.newestFirst = newestFirst;
  if (!state.active) return;
  state = State{};
  state.newestFirst = newestFirst;
}

bool bulkLand() {
  if (state.copies.empty()) return false;
  Copy c = state.newestFirst ? state.copies.back() : state.copies.front();
  if (state.newestFirst) state.copies.pop_back();
  else state.copies.pop_front();
  memcpy(c.to, c.from, c.bytes);
  hostcuda_landed_shared(c.to, c.bytes);
  for (Slot& s : state.slots) if (s.to == c.to) s.landed = true;
  Barrier& b = state.barriers[c.barrier];
  b.bytes -= c.bytes;
  settle(b);
  return true;
}

void bulkMeet() {
  if (!state.active) return;
  Clock all{};
  for (const Clock& c : state.seen) merge(all, c);
  state.seen.fill(all);
}

std::string bulkWait(unsigned linear) {
  const Waiting& w = state.waits[linear];
  const Barrier& b = state.barriers[w.barrier];
  std::string what = said("parity %u of the barrier of %s, whose phase %u is under way: %u of %u arrivals are missing", w.parity, said(b.made).c_str(), b.phase,
                          b.left, b.arrivals);
  if (b.bytes > 0) what += said(", %lld bytes were announced that no copy brings", static_cast<long long>(b.bytes));
  if (b.bytes < 0) what += said(", copies brought %lld bytes more than were announced", static_cast<long long>(-b.bytes));
  return what;
}

std::string bulkEnd() {
  if (!state.active || state.copies.empty()) return "";
  for (const Slot& s : state.slots) if (s.to == state.copies.front().to) return "the block ended while the bulk copy of " + said(s.issued) + " was under way: nobody waited for it";
  return "the block ended while a bulk copy was under way";
}

}  // namespace hostcuda

using namespace hostcuda;

extern "C" {

void hostcuda_mbarrier_init(void* address, unsigned arrivals, const char* file, int line) {
  Place p{file, line};
  char* at = static_cast<char*>(address);
  const SharedVariable* v;
  size_t offset;
  if (reinterpret_cast<uintptr_t>(at) % 8) fail(716, "mbarrier_init: the address is no multiple of 8", p);
  if (!sharedVariable(at, v, offset) || offset + 8 > (v->dynamic ? hostcuda_current->block->dynamicBytes : v->bytes)) fail(700, "mbarrier_init: the barrier is not in shared memory", p);
  if (arrivals == 0 || arrivals > kMostBytes) fail(719, said("mbarrier_init: %u arrivals; 1 to %d can be counted", arrivals, int(kMostBytes)), p);
  for (const Barrier& b : state.barriers) if (b.address == at) fail(719, said("mbarrier_init: the barrier of %s is here already", said(b.made).c_str()), p);
  if (state.barriers.size() == kBarriers) fail(719, said("mbarrier_init: the emulated device knows %u barriers a block", kBarriers), p);
  if (!state.active) {
    bool newestFirst = state.newestFirst;
    state = State{};
    state.newestFirst = newestFirst;
    state.active = true;
    for (Clock& c : state.seen) c.fill(0);
    for (unsigned w = 0; w < kWarps; w++) state.seen[w][w] = 1;
    state.groups.assign(1024, 0);
    state.waits.assign(1024, {});
  }
  unsigned warp = here() / 32;
  Barrier b{at, p, unsigned(state.barriers.size()), warp, arrivals, arrivals, ++state.seen[warp][warp]};
  uint64_t mark = kMark + b.index;
  memcpy(at, &mark, 8);
  hostcuda_landed_shared(at, 8);
  state.barriers.push_back(b);
}

void hostcuda_mbarrier_fence_init() {
  for (Barrier& b : state.barriers) if (b.warp == here() / 32) b.fenced = true;
}

void hostcuda_mbarrier_arrive(void* address, unsigned bytes, const char* file, int line) {
  Place p{file, line};
  Barrier& b = barrier(address, bytes ? "mbarrier_expect" : "mbarrier_arrive", p);
  if (b.left == 0) fail(719, said("mbarrier_%s: the barrier of %s counts %u arrivals a phase, and this is one more", bytes ? "expect" : "arrive", said(b.made).c_str(), b.arrivals), p);
  if (b.bytes + bytes > kMostBytes) fail(719, said("mbarrier_expect: %lld bytes of one phase; a barrier counts %lld", static_cast<long long>(b.bytes + bytes), static_cast<long long>(kMostBytes)), p);
  Clock& own = state.seen[here() / 32];
  merge(b.given, own);
  own[here() / 32]++;
  b.bytes += bytes;
  b.left--;
  settle(b);
}

void hostcuda_mbarrier_wait(void* address, unsigned parity, const char* file, int line) {
  Place p{file, line};
  if (parity > 1) fail(719, said("mbarrier_wait: parity %u; it is 0 or 1", parity), p);
  for (;;) {
    Barrier& b = barrier(address, "mbarrier_wait", p);
    if (b.phase % 2 != parity) {
      merge(state.seen[here() / 32], b.passed);
      return;
    }
    b.waiting.push_back(here());
    state.waits[here()] = {b.index, parity};
    park(file, line);
  }
}

void hostcuda_bulk_copy(void* to, const void* from, unsigned bytes, void* address, const char* file, int line) {
  Place p{file, line};
  Barrier& b = barrier(address, "bulk_copy", p);
  char* at = static_cast<char*>(to);
  const SharedVariable* v;
  size_t offset;
  if (bytes == 0 || bytes % 16 || reinterpret_cast<uintptr_t>(to) % 16 || reinterpret_cast<uintptr_t>(from) % 16)
    fail(716, said("bulk_copy of %u bytes: bytes and both addresses must be multiples of 16", bytes), p);
  if (!sharedVariable(at, v, offset)) fail(700, "bulk_copy: the destination is not in shared memory", p);
  size_t room = v->dynamic ? hostcuda_current->block->dynamicBytes : v->bytes;
  if (offset + bytes > room) fail(700, said("bulk_copy of %u bytes to shared byte %zu of %zu", bytes, offset, room), p);
  if (!isDevice(from) || !accessible(from, bytes)) {
    const char* bad = static_cast<const char*>(from);
    while (isDevice(bad) && accessible(bad, 1)) bad++;
    fail(700, said("bulk_copy reads %u bytes: ", bytes) + describe(bad), p);
  }
  if (!b.fenced) fail(719, said("bulk_copy: the copy engine may not know the barrier of %s; mbarrier_fence_init() is missing behind its making", said(b.made).c_str()), p);
  const Clock& own = state.seen[here() / 32];
  std::vector<Slot> kept;
  for (const Slot& s : state.slots) {
    if (!s.overlaps(at, bytes)) {
      kept.push_back(s);
      continue;
    }
    if (!s.landed) fail(719, "bulk_copy into bytes that the copy of " + said(s.issued) + " is still filling", p);
    for (unsigned w = 0; w < kWarps; w++) {
      if (s.pending[w] >= 0) fail(719, said("bulk_copy into bytes that a product of warp %u at %s still reads: it was not waited for", w, said(s.reader[w]).c_str()), p);
      if (s.read[w] > own[w])
        fail(719, said("bulk_copy into bytes that warp %u reads at %s and has not released: no arrival behind it was waited for", w, said(s.reader[w]).c_str()), p);
    }
  }
  for (const Barrier& other : state.barriers) if (other.address < at + bytes && at < other.address + 8) fail(719, "bulk_copy over the barrier of " + said(other.made), p);
  state.slots = std::move(kept);
  Slot s{at, bytes, b.index, b.phase, false, p, {}, {}, {}};
  s.pending.fill(-1);
  state.slots.push_back(s);
  hostcuda_forget_shared(to, bytes);
  memset(to, 0xff, bytes);
  state.copies.push_back({at, static_cast<const char*>(from), bytes, b.index});
}

void hostcuda_async_read(const void* from, unsigned bytes, const char* file, int line) {
  if (!state.active) return;
  Place p{file, line};
  unsigned warp = here() / 32;
  for (Slot& s : state.slots) {
    if (!s.overlaps(static_cast<const char*>(from), bytes)) continue;
    if (!s.landed) fail(719, "a product reads bytes that the copy of " + said(s.issued) + " is still filling", p);
    if (state.seen[warp][kWarps + s.barrier] <= s.phase)
      fail(719, said("a product of warp %u reads bytes of the copy of %s, whose barrier the warp has not waited for", warp, said(s.issued).c_str()), p);
    s.pending[warp] = std::max(s.pending[warp], state.groups[here()]);
    s.reader[warp] = p;
  }
}

void hostcuda_wgmma_commit() {
  if (state.active) state.groups[here()]++;
}

void hostcuda_wgmma_done(unsigned pending) {
  if (!state.active) return;
  unsigned warp = here() / 32;
  for (Slot& s : state.slots) {
    if (s.pending[warp] < 0 || s.pending[warp] >= state.groups[here()] - int64_t(pending)) continue;
    s.pending[warp] = -1;
    s.read[warp] = state.seen[warp][warp];
  }
}

}
