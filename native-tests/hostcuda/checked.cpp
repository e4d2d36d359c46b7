// checked.cpp -- in the checked build g++ calls __asan_loadN / __asan_storeN before every access of a kernel; here they are answered
//
// No AddressSanitizer runtime is involved, so this build runs inside a Java process. It finds: addresses outside live allocations, freed
// memory, host pointers, misaligned accesses, shared memory past its end, shared memory read before it is written, and two threads
// touching the same byte of shared memory without a barrier between them; two blocks of a launch touching the same global memory, of which
// one writes it, unless it was handed over: a fence, an atomic, and by the other an atomic and a fence or a read past its cache.
#include "checked.h"
#include <dlfcn.h>
#include <sys/mman.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include "engine.h"
#include "memory.h"

namespace hostcuda {
namespace {

std::string where(const void* caller) {
  if (inWarpCall()) return " in " + warpCall();
  Dl_info info;
  if (!dladdr(caller, &info) || !info.dli_fname) return "";
  char command[600];
  snprintf(command, sizeof command, "addr2line -e '%s' 0x%zx 2>/dev/null", info.dli_fname, size_t(static_cast<const char*>(caller) - static_cast<char*>(info.dli_fbase)) - 1);
  FILE* p = popen(command, "r");
  if (!p) return "";
  char line[400] = "";
  if (!fgets(line, sizeof line, p)) line[0] = 0;
  pclose(p);
  std::string s = line;
  while (!s.empty() && (s.back() == '\n' || s.back() == ' ')) s.pop_back();
  if (size_t note = s.find(" (discriminator"); note != std::string::npos) s.erase(note);
  if (size_t slash = s.rfind('/'); slash != std::string::npos) s.erase(0, slash + 1);
  return s.empty() || s[0] == '?' ? "" : " at " + s;
}

std::string spoken(int access, uint64_t bytes) {
  return std::string(access == int(Access::kWrite) ? "write" : access == int(Access::kAtomic) ? "atomic" : "read") + " of " + std::to_string(bytes) + " bytes";
}

std::string threadName(unsigned linear) {
  const dim3 b = hostcuda_current->block->size;
  return "thread (" + std::to_string(linear % b.x) + "," + std::to_string(linear / b.x % b.y) + "," + std::to_string(linear / b.x / b.y) + ")";
}

/** What is missing between a thread of the warp and that other one. */
const char* between(unsigned other, unsigned warp) { return other / 32 == warp ? " of its warp with no __syncwarp() between" : " with no barrier between"; }

void checkShared(const char* p, uint64_t bytes, int access, const void* caller, const SharedVariable& v, size_t offset) {
  SharedShadow& s = sharedShadow();
  std::string name = v.name.substr(v.name.rfind('E') == std::string::npos || v.dynamic ? 0 : v.name.rfind('E') + 1);
  while (!v.dynamic && !name.empty() && isdigit(static_cast<unsigned char>(name[0]))) name.erase(0, 1);
  size_t room = v.dynamic ? hostcuda_current->block->dynamicBytes : v.bytes;
  if (offset + bytes > room)
    failHere(700, spoken(access, bytes) + " at shared " + name + "+" + std::to_string(offset) + ": it has " + std::to_string(room) + " bytes" + where(caller));
  const unsigned me = hostcuda_current->linear, warp = me / 32;
  const bool together = access == int(Access::kRead) && inWarpCall();   // ldmatrix: one lane reads here for all
  const uint16_t reader = together ? uint16_t(kManyLanes | warp) : uint16_t(me);
  for (uint64_t i = 0; i < bytes; i++) {
    SharedByte& b = s.bytes[size_t(p - s.low) + i];
    auto at = [&] { return " shared " + name + "+" + std::to_string(offset + i); };
    if (access != int(Access::kWrite) && b.writtenInBlock != s.block) failHere(700, spoken(access, bytes) + ":" + at() + " was never written" + where(caller));
    if (b.writtenInBlock == s.block && b.writeEpoch == s.epoch && (b.writer != me || together) && !(access == int(Access::kAtomic) && b.atomic) &&
        (b.writer / 32u != warp || b.writeWarpEpoch == s.warpEpoch[warp]))
      failHere(719, "race: " + spoken(access, bytes) + " of" + at() + ", written by " + threadName(b.writer) + between(b.writer, warp) + where(caller));
    if (access == int(Access::kRead)) {
      if (b.readEpoch == s.epoch && b.reader != reader) {
        unsigned other = b.reader == kManyWarps ? ~0u : b.reader & kManyLanes ? b.reader & 0x7fffu : b.reader / 32u;
        // what the warp read before its last __syncwarp is in order with all that its lanes do now
        b.reader = other != warp ? kManyWarps : b.readWarpEpoch == s.warpEpoch[warp] ? uint16_t(kManyLanes | warp) : reader;
      } else {
        b.reader = reader;
      }
      b.readEpoch = s.epoch;
      b.readWarpEpoch = s.warpEpoch[warp];
    } else {
      if (b.readEpoch == s.epoch && b.reader != me) {
        bool many = b.reader == kManyWarps, lanes = !many && (b.reader & kManyLanes);
        unsigned other = lanes ? b.reader & 0x7fffu : b.reader / 32u;
        if (many || other != warp || b.readWarpEpoch == s.warpEpoch[warp])
          failHere(719, "race: " + spoken(access, bytes) + " of" + at() + ", read by " + (many ? "threads of several warps" : lanes ? "lanes" : threadName(b.reader)) +
                            (many ? " with no barrier between" : between(lanes ? other * 32 : b.reader, warp)) + where(caller));
      }
      b.writtenInBlock = s.block;
      b.writeEpoch = s.epoch;
      b.writeWarpEpoch = s.warpEpoch[warp];
      b.writer = uint16_t(me);
      b.atomic = access == int(Access::kAtomic);
    }
  }
}

/** Which block of a launch wrote and which read a word of 4 bytes of global memory last, as tags. */
struct GlobalWord {
  std::atomic<uint64_t> written, read;
};

constexpr unsigned kManyBlocks = (1u << 26) - 1, kMostBarriers = (1u << 14) - 1;

/** A launch, how many barriers the block had passed, the block, and which bytes of the word. */
struct Tag {
  uint64_t bits;
  Tag(unsigned launch, unsigned barriers, unsigned block, unsigned bytes)
      : bits(uint64_t(launch & 0xfffff) << 44 | uint64_t(std::min(barriers, kMostBarriers)) << 30 | uint64_t(block) << 4 | bytes) {}
  explicit Tag(uint64_t bits) : bits(bits) {}
  bool of(unsigned launch) const { return bits >> 44 == (launch & 0xfffff); }
  unsigned barriers() const { return unsigned(bits >> 30) & kMostBarriers; }
  unsigned block() const { return unsigned(bits >> 4) & kManyBlocks; }
  unsigned bytes() const { return unsigned(bits) & 15; }
};

GlobalWord* globalWords(const char*& from) {
  static char* base;
  static GlobalWord* words = [] {
    size_t bytes;
    base = deviceMemory(bytes);
    void* p = mmap(nullptr, bytes / 4 * sizeof(GlobalWord), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) { fprintf(stderr, "hostcuda: no addresses for what is known of device memory\n"); abort(); }
    return static_cast<GlobalWord*>(p);
  }();
  from = base;
  return words;
}

/** Why what another block did there is not known to have come before; null where it is. cached: for a read through the multiprocessor's own cache. */
const char* unordered(const Launch& l, const BlockOrder& me, Tag other, bool cached) {
  if (other.block() == kManyBlocks) return me.heardAt ? nullptr : "this block has heard of none by an atomic";
  const BlockOrder& o = l.order[other.block()];
  if (o.told <= other.barriers()) return "that block has passed no fence and atomic since";
  if (me.heardAt <= o.toldAt) return "this block has passed no atomic since that one's";
  return cached && me.fencedAt <= o.toldAt ? "no fence stands behind this block's atomic, so that its cache may hold what was there before" : nullptr;
}

void checkGlobal(const char* p, uint64_t bytes, int access, const void* caller) {
  Launch& l = runningLaunch();
  if (!l.order) return;
  const unsigned block = runningBlock();
  BlockOrder& me = l.order[block];
  if (access == int(Access::kAtomic)) {
    me.toldAt = ++l.moment;
    me.told = me.fenced;
    return;
  }
  const char* from;
  GlobalWord* words = globalWords(from);
  const bool writes = access == int(Access::kWrite);
  for (const char* at = p; at < p + bytes;) {
    size_t offset = size_t(at - from), here = std::min<size_t>(4 - offset % 4, size_t(p + bytes - at));
    unsigned mask = ((1u << here) - 1) << offset % 4;
    GlobalWord& w = words[offset / 4];
    auto look = [&](uint64_t bits, const char* done) {
      Tag tag(bits);
      if (!tag.of(l.serial) || tag.block() == block || !(tag.bytes() & mask)) return;
      const char* why = unordered(l, me, tag, access == int(Access::kRead));
      if (!why) return;
      unsigned o = tag.block(), x = l.grid.x, y = l.grid.y;
      failHere(719, "race of blocks: " + spoken(access, bytes) + " of global memory at byte " + std::to_string(at - p) + " of them, " + done +
                        (o == kManyBlocks ? " by several blocks" : " by block (" + std::to_string(o % x) + "," + std::to_string(o / x % y) + "," + std::to_string(o / x / y) + ")") +
                        " of this launch: " + why + where(caller));
    };
    look(w.written, "written");
    if (writes) {
      look(w.read, "read");
      w.written = Tag(l.serial, me.barriers, block, mask | (Tag(w.written).of(l.serial) && Tag(w.written).block() == block ? Tag(w.written).bytes() : 0)).bits;
    } else {
      Tag before(w.read);
      bool again = before.of(l.serial), many = again && before.block() != block;
      w.read = Tag(l.serial, me.barriers, many ? kManyBlocks : block, mask | (again ? before.bytes() : 0)).bits;
    }
    at += here;
  }
}

}  // namespace
}  // namespace hostcuda

using namespace hostcuda;

extern "C" {

void hostcuda_check(const void* address, uint64_t bytes, int access, const void* caller) {
  if (!hostcuda_current || !bytes) return;
  const char* p = static_cast<const char*>(address);
  if (ownMemory(p, bytes)) return;
  bool vector = bytes == 2 || bytes == 4 || bytes == 8 || bytes == 16;
  size_t offset = 0;
  const SharedVariable* v = nullptr;
  if (isDevice(p)) {
    if (!accessible(p, bytes)) {
      const char* bad = p;
      while (accessible(bad, 1)) bad++;
      failHere(700, spoken(access, bytes) + ": " + describe(bad) + where(caller));
    }
    checkGlobal(p, bytes, access, caller);
  } else if (sharedVariable(p, v, offset)) {
    if (vector && reinterpret_cast<uintptr_t>(p) % bytes == 0) vector = false;
    if (vector) failHere(716, spoken(access, bytes) + ": the shared address is no multiple of " + std::to_string(bytes) + where(caller));
    checkShared(p, bytes, access == int(Access::kFar) ? int(Access::kRead) : access, caller, *v, offset);
    return;
  } else if (!moduleData(p) && !isPinned(p, bytes)) {
    failHere(700, spoken(access, bytes) + ": " + describe(p) + where(caller));
  }
  if (vector && reinterpret_cast<uintptr_t>(p) % bytes)
    failHere(716, spoken(access, bytes) + ": address " + std::to_string(reinterpret_cast<uintptr_t>(p) % bytes) + " past a multiple of " + std::to_string(bytes) + where(caller));
}

void hostcuda_fenced() {
  Launch& l = runningLaunch();
  if (!l.order) return;
  BlockOrder& me = l.order[runningBlock()];
  me.fenced = me.barriers + 1;
  me.fencedAt = me.heardAt;
}

void hostcuda_heard(const void* address) {
  Launch& l = runningLaunch();
  if (l.order && isDevice(address)) l.order[runningBlock()].heardAt = ++l.moment;
}

void hostcuda_forget_shared(const void* address, uint64_t bytes) {
  const SharedVariable* v;
  size_t offset;
  const char* p = static_cast<const char*>(address);
  if (!sharedVariable(p, v, offset)) return;
  SharedShadow& s = sharedShadow();
  for (uint64_t i = 0; i < bytes; i++) s.bytes[size_t(p - s.low) + i].writtenInBlock = 0;
}

void hostcuda_landed_shared(const void* address, uint64_t bytes) {   // written by no thread: whoever may read it is told by its barrier
  const SharedVariable* v;
  size_t offset;
  const char* p = static_cast<const char*>(address);
  if (!sharedVariable(p, v, offset)) return;
  SharedShadow& s = sharedShadow();
  for (uint64_t i = 0; i < bytes; i++) {
    SharedByte& b = s.bytes[size_t(p - s.low) + i];
    b = {};
    b.writtenInBlock = s.block;
  }
}

#define HOOKS(N)                                                                                          \
  void __asan_load##N##_noabort(const void* p) { hostcuda_check(p, N, 0, __builtin_return_address(0)); }  \
  void __asan_store##N##_noabort(const void* p) { hostcuda_check(p, N, 1, __builtin_return_address(0)); }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
void __asan_loadN_noabort(const void* p, uint64_t n) { hostcuda_check(p, n, 0, __builtin_return_address(0)); }
void __asan_storeN_noabort(const void* p, uint64_t n) { hostcuda_check(p, n, 1, __builtin_return_address(0)); }
void __asan_handle_no_return() {}
void __asan_before_dynamic_init(const char*) {}
void __asan_after_dynamic_init() {}
}
