// engine.cpp -- threads of a block as fibers of one operating-system thread, blocks spread over the cores
//
// A fiber runs thread after thread in a plain loop; only when a thread has to wait does another fiber carry on. A kernel without barriers
// and warp calls therefore costs one call per thread and one context switch per block.
#include "engine.h"
#include "bulk.h"
#include "checked.h"
#include <sys/mman.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#if defined(__SANITIZE_ADDRESS__)
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

extern "C" void hostcuda_switch(void** saveStack, void* loadStack);
asm(R"(
  .text
  .globl hostcuda_switch
  .hidden hostcuda_switch
  .type hostcuda_switch,@function
hostcuda_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size hostcuda_switch,.-hostcuda_switch
)");

__thread hostcuda::Thread* hostcuda_current = nullptr;
#if defined(__HOSTCUDA_CHECKED__)
int hostcuda_checked = 1;
#else
int hostcuda_checked = 0;
extern "C" {
void hostcuda_check(const void*, uint64_t, int, const void*) {}
void hostcuda_forget_shared(const void*, uint64_t) {}
void hostcuda_landed_shared(const void*, uint64_t) {}
}
#endif

namespace hostcuda {
namespace {

constexpr size_t kStackBytes = 256 << 10;
constexpr unsigned kMostFibers = 1025;
constexpr unsigned kFence = 64;
constexpr unsigned char kSharedPoison = 0xff;   // NaN as float, -1 as integer
constexpr unsigned char kSharedFence = 0xa5;

struct Fiber {
  void* stackPointer;
  char* stack;
  void* fakeStack;
  unsigned number;
};

enum State : unsigned char { kNotStarted, kRunning, kAtBarrier, kInWarpCall, kParked, kExited };

struct AsyncCopy { char* to; const char* from; unsigned bytes, sourceBytes, group; };
struct Product { void (*run)(const void*); std::vector<char> data; unsigned group; };

struct ThreadState : Thread {
  Fiber* fiber;
  State state;
  int predicate;
  const char* file;
  int line;
  unsigned mask;
  const char* call;
  void (*compute)(const Exchange&);
  const void* in;
  void* out;
  unsigned groups, productGroups;
  bool unfenced;                        // copies have arrived since the last fence.proxy.async
  std::vector<AsyncCopy> copies;
  std::vector<Product> products;
};

std::string text(const char* format, ...) {
  char buffer[700];
  va_list list;
  va_start(list, format);
  vsnprintf(buffer, sizeof buffer, format, list);
  va_end(list);
  return buffer;
}

const char* shortName(const char* file) {
  const char* slash = strrchr(file, '/');
  return slash ? slash + 1 : file;
}

}  // namespace

struct Runner {
  Launch* launch = nullptr;
  Block block;
  size_t blockNumber = 0;
  std::vector<ThreadState> threads;
  std::vector<unsigned> waiting;        // per warp: lanes in a collective call
  std::vector<ThreadState*> ready;      // ring
  size_t head = 0, tail = 0;
  unsigned count = 0, next = 0, exited = 0, atBarrier = 0, trues = 0;
  uint64_t barrierResult = 0;
  bool failed = false, reverse = false, unfenced = false;   // unfenced: of some thread at the last barrier
  std::vector<Fiber*> all, idle;
  Fiber scheduler{};
  Fiber* running = nullptr;
  char* stacks = nullptr;               // kMostFibers stacks, each behind a page that faults
  char* tls = nullptr;
  SharedShadow shadow;

  ~Runner() {
    for (Fiber* f : all) delete f;
    if (stacks) munmap(stacks, kMostFibers * (kStackBytes + 4096));
  }
  Fiber* idleFiber();
  void reset(Fiber* f);
  void switchTo(Fiber* to);
  void leave();
  void fiberLoop(Fiber* self);
  void runBlock(size_t number);
  void diagnose();
  void fail(int code, const std::string& what);
  std::string name(const ThreadState& t) const {
    return text("thread (%u,%u,%u)", t.index.x, t.index.y, t.index.z);
  }
};

namespace {
thread_local std::unique_ptr<Runner> ownRunner;
__thread Runner* runner = nullptr;

void fiberEntry() {
  Runner* r = runner;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
  r->fiberLoop(r->running);
}
}  // namespace

void Runner::reset(Fiber* f) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(f->stack, kStackBytes);
#endif
  // tops of stacks a power of two apart would all fall into the same cache sets
  void** top = reinterpret_cast<void**>(f->stack + kStackBytes - f->number % 64 * 576);
  *--top = nullptr;                                        // fiberEntry never returns; this keeps its frame 16-byte aligned
  *--top = reinterpret_cast<void*>(&fiberEntry);
  for (int i = 0; i < 6; i++) *--top = nullptr;
  f->stackPointer = top;
  f->fakeStack = nullptr;
}

Fiber* Runner::idleFiber() {
  if (idle.empty()) {
    if (!stacks) {
      void* p = mmap(nullptr, kMostFibers * (kStackBytes + 4096), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (p == MAP_FAILED) { fprintf(stderr, "hostcuda: no memory for fiber stacks\n"); abort(); }
      stacks = static_cast<char*>(p);
    }
    char* memory = stacks + all.size() * (kStackBytes + 4096);
    mprotect(memory, 4096, PROT_NONE);
    Fiber* f = new Fiber{nullptr, memory + 4096, nullptr, unsigned(all.size())};
    reset(f);
    all.push_back(f);
    idle.push_back(f);
  }
  Fiber* f = idle.back();
  idle.pop_back();
  return f;
}

void Runner::switchTo(Fiber* to) {
  Fiber* from = running;
  running = to;
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom = to->stack;
  size_t bytes = kStackBytes;
  if (to == &scheduler) {
    pthread_attr_t attributes;
    void* base;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &base, &bytes);
    pthread_attr_destroy(&attributes);
    bottom = base;
  }
  __sanitizer_start_switch_fiber(&from->fakeStack, bottom, bytes);
#endif
  hostcuda_switch(&from->stackPointer, to->stackPointer);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from->fakeStack, nullptr, nullptr);
#endif
}

/** Carries on somewhere else: a thread that became ready, a thread not started yet, or the scheduler when there is neither. */
void Runner::leave() {
  Fiber* to = &scheduler;
  if (!failed) {
    while (head == tail && next == count && exited < count && bulkLand()) {}   // bytes come when nobody can do without them
    if (head != tail) {
      ThreadState* t = ready[head++ & (ready.size() - 1)];
      t->state = kRunning;
      hostcuda_current = t;
      to = t->fiber;
    } else if (next < count) {
      to = idleFiber();
    }
  }
  switchTo(to);
}

void Runner::fiberLoop(Fiber* self) {
  for (;;) {
    while (!failed && next < count && head == tail) {
      ThreadState& t = threads[reverse ? count - 1 - next : next];
      next++;
      t.fiber = self;
      t.state = kRunning;
      hostcuda_current = &t;
      launch->entry->invoke(launch->arguments);
      hostcuda_current = nullptr;
      t.state = kExited;
      exited++;
    }
    idle.push_back(self);
    leave();
  }
}

void Runner::runBlock(size_t number) {
  const dim3 g = launch->grid, b = launch->block;
  blockNumber = number;
  block = {{unsigned(number % g.x), unsigned(number / g.x % g.y), unsigned(number / g.x / g.y)}, g, b, launch->dynamicBytes};
  count = b.x * b.y * b.z;
  if (threads.size() < count) threads.resize(count);
  waiting.assign((count + 31) / 32, 0);
  size_t ring = 64;
  while (ring < count + 1) ring *= 2;
  if (ready.size() < ring) ready.resize(ring);
  head = tail = 0;
  next = exited = atBarrier = trues = 0;
  failed = unfenced = false;
  bulkBegin(reverse);
  unsigned i = 0;
  for (unsigned z = 0; z < b.z; z++)
    for (unsigned y = 0; y < b.y; y++)
      for (unsigned x = 0; x < b.x; x++, i++) {
        ThreadState& t = threads[i];
        t.index = {x, y, z};
        t.block = &block;
        t.lane = i & 31;
        t.linear = i;
        t.state = kNotStarted;
        t.groups = t.productGroups = 0;
        t.unfenced = false;
        t.copies.clear();
        t.products.clear();
      }
  tls = launch->shared->empty() ? nullptr : launch->tls();
  if (hostcuda_checked && tls) {
    char *low = nullptr, *high = nullptr;   // as addresses: an offset may lie on either side of 0
    for (const SharedVariable& v : *launch->shared) {
      char* at = tls + v.offset;
      low = low ? std::min(low, at) : at;
      high = std::max(high, at + v.bytes);
    }
    shadow.low = low;
    if (shadow.bytes.size() < size_t(high - low)) shadow.bytes.resize(size_t(high - low));
    shadow.block++;
    shadow.epoch++;
    shadow.warpEpoch.resize(32);
  }
  for (const SharedVariable& v : *launch->shared) {
    size_t bytes = v.dynamic ? launch->dynamicBytes : v.bytes;
    memset(tls + v.offset, kSharedPoison, bytes);
    if (v.dynamic) memset(tls + v.offset + bytes, kSharedFence, kFence);
  }
  running = &scheduler;
  switchTo(idleFiber());
  if (!failed && exited != count) diagnose();
  if (!failed) {
    std::string left = bulkEnd();
    if (!left.empty()) fail(719, left);
  }
  hostcuda_current = nullptr;
  if (failed) {
    idle.clear();
    for (Fiber* f : all) { reset(f); idle.push_back(f); }
    return;
  }
  for (const SharedVariable& v : *launch->shared)
    if (v.dynamic)
      for (unsigned k = 0; k < kFence; k++)
        if (static_cast<unsigned char>(tls[v.offset + launch->dynamicBytes + k]) != kSharedFence) {
          fail(700, text("shared memory %s: byte %u past its %u bytes was written", v.name.c_str(), k, launch->dynamicBytes));
          return;
        }
}

void Runner::fail(int code, const std::string& what) {
  static std::mutex lock;
  std::lock_guard<std::mutex> hold(lock);
  failed = true;
  if (launch->code && launch->failedBlock <= blockNumber) return;
  launch->code = code;
  launch->failedBlock = blockNumber;
  launch->error = text("kernel %s, block (%u,%u,%u)", launch->entry->name, block.index.x, block.index.y, block.index.z);
  if (hostcuda_current) launch->error += ", " + name(*static_cast<ThreadState*>(hostcuda_current));
  launch->error += ": " + what;
}

/** Nobody can run and not all have exited: says who waits for whom. */
void Runner::diagnose() {
  ThreadState *barrier = nullptr, *warp = nullptr, *parked = nullptr, *exit = nullptr;
  for (unsigned i = 0; i < count; i++) {
    ThreadState& t = threads[i];
    if (t.state == kAtBarrier && !barrier) barrier = &t;
    if (t.state == kInWarpCall && !warp) warp = &t;
    if (t.state == kParked && !parked) parked = &t;
    if (t.state == kExited && !exit) exit = &t;
  }
  if (parked) {
    hostcuda_current = parked;
    std::string what, last;
    for (unsigned i = 0; i < count; i++) {
      ThreadState& t = threads[i];
      if (t.state != kParked) continue;
      std::string own = text(" waits at %s:%d for ", shortName(t.file), t.line) + bulkWait(i);
      if (own != last) what += (what.empty() ? "" : "; ") + name(t) + own;
      last = own;
    }
    fail(719, what);
  } else if (warp) {
    unsigned w = warp->linear / 32, missing = warp->mask & ~waiting[w];
    hostcuda_current = warp;
    std::string what = text("unbalanced %s at %s:%d: mask 0x%08x", warp->call, shortName(warp->file), warp->line, warp->mask);
    if (missing) {
      unsigned lane = unsigned(__builtin_ctz(missing)), other = w * 32 + lane;
      what += text(" names lane %u, ", lane);
      if (other >= count) what += "which the block does not have";
      else if (threads[other].state == kExited) what += name(threads[other]) + ", which has exited";
      else what += name(threads[other]) + text(", which waits at the barrier %s:%d", shortName(threads[other].file), threads[other].line);
    } else {
      for (unsigned l = 0; l < 32; l++) {
        if (!(warp->mask >> l & 1)) continue;
        ThreadState& t = threads[w * 32 + l];
        if (t.compute != warp->compute || t.mask != warp->mask) {
          what += ", but " + name(t) + text(" is in %s at %s:%d with mask 0x%08x", t.call, shortName(t.file), t.line, t.mask);
          break;
        }
      }
    }
    fail(719, what);
  } else if (barrier) {
    hostcuda_current = barrier;
    fail(719, text("divergent barrier: waits at %s:%d, but ", shortName(barrier->file), barrier->line) +
                  (exit ? name(*exit) + " has exited" : std::string("no other thread can run")));
  } else {
    fail(719, "no thread can run");
  }
}

std::string whereAmI() {
  if (!hostcuda_current) return "";
  uint3 b = hostcuda_current->block->index, t = hostcuda_current->index;
  return text("block (%u,%u,%u), thread (%u,%u,%u)", b.x, b.y, b.z, t.x, t.y, t.z);
}
const char* runningKernel() { return runner && runner->launch ? runner->launch->entry->name : nullptr; }

void noteError(int code, const std::string& what) {
  Runner& r = *runner;
  r.fail(code, what);
}

void failHere(int code, const std::string& what) {
  Runner& r = *runner;
  r.fail(code, what);
  for (;;) r.switchTo(&r.scheduler);
}

void park(const char* file, int line) {
  ThreadState& t = *static_cast<ThreadState*>(hostcuda_current);
  t.file = file;
  t.line = line;
  t.state = kParked;
  runner->leave();
}

void wake(unsigned linear) { runner->ready[runner->tail++ & (runner->ready.size() - 1)] = &runner->threads[linear]; }

bool ownMemory(const char* p, size_t bytes) {
  const Runner* r = runner;
  if (r->stacks && size_t(p - r->stacks) < kMostFibers * (kStackBytes + 4096)) return true;
  const char* threads = reinterpret_cast<const char*>(r->threads.data());
  if (p >= threads && p + bytes <= threads + r->threads.size() * sizeof(ThreadState)) return true;
  const char* block = reinterpret_cast<const char*>(&r->block);
  if (p >= block && p + bytes <= block + sizeof r->block) return true;
  return p == reinterpret_cast<const char*>(&hostcuda_current);
}

bool sharedVariable(const char* p, const SharedVariable*& variable, size_t& offset) {
  const Runner* r = runner;
  if (!r->tls) return false;
  const SharedVariable* best = nullptr;
  for (const SharedVariable& v : *r->launch->shared) {
    const char* at = r->tls + v.offset;
    if (p < at || p >= at + v.bytes + kFence) continue;
    if (!best || v.offset > best->offset) best = &v;   // behind the end of one may be the start of the next
  }
  if (!best) return false;
  variable = best;
  offset = size_t(p - (r->tls + best->offset));
  return true;
}

bool inWarpCall() { return static_cast<ThreadState*>(hostcuda_current)->state == kInWarpCall; }
std::string warpCall() {
  const ThreadState& t = *static_cast<ThreadState*>(hostcuda_current);
  return text("%s at %s:%d", t.call, shortName(t.file), t.line);
}

Launch& runningLaunch() { return *runner->launch; }
unsigned runningBlock() { return unsigned(runner->blockNumber); }
bool moduleData(const char* p) { return p >= runner->launch->dataFirst && p < runner->launch->dataLast; }
SharedShadow& sharedShadow() { return runner->shadow; }

namespace {

struct Pool {
  std::mutex busy, lock;
  std::condition_variable wake, done;
  Launch* launch = nullptr;
  std::atomic<size_t> nextBlock{0};
  std::atomic<bool> stop{false};
  size_t blocks = 0;
  unsigned helpers = 0, working = 0, generation = 0;
  bool reverse = false;

  Pool() {
    const char* wanted = getenv("HOSTCUDA_THREADS");
    unsigned n = wanted ? unsigned(atoi(wanted)) : std::thread::hardware_concurrency();
    helpers = n > 1 ? n - 1 : 0;
    const char* order = getenv("HOSTCUDA_ORDER");
    reverse = order && !strcmp(order, "reverse");
    for (unsigned i = 0; i < helpers; i++) std::thread([this] { help(); }).detach();
  }
  void work(Launch& l, std::atomic<size_t>& counter, std::atomic<bool>& halt, size_t total) {
    if (!ownRunner) ownRunner = std::make_unique<Runner>();
    runner = ownRunner.get();
    runner->launch = &l;
    runner->reverse = reverse;
    for (;;) {
      size_t i = counter.fetch_add(1);
      if (i >= total || halt.load()) break;
      runner->runBlock(reverse ? total - 1 - i : i);
      if (runner->failed) halt.store(true);
    }
    runner->launch = nullptr;
  }
  void help() {
    unsigned seen = 0;
    for (;;) {
      std::unique_lock<std::mutex> hold(lock);
      wake.wait(hold, [&] { return generation != seen && launch; });
      seen = generation;
      Launch* l = launch;
      working++;
      hold.unlock();
      work(*l, nextBlock, stop, blocks);
      hold.lock();
      if (--working == 0) done.notify_all();
    }
  }
};

Pool& pool() {
  static Pool* p = new Pool();   // never destroyed: its threads run until the process ends
  return *p;
}

}  // namespace

void run(Launch& launch) {
  static std::atomic<unsigned> serial{0};
  Pool& p = pool();
  size_t blocks = size_t(launch.grid.x) * launch.grid.y * launch.grid.z;
  if (hostcuda_checked && blocks > 1) {
    launch.serial = ++serial;
    launch.order = std::make_unique<BlockOrder[]>(blocks);
  }
  size_t threads = blocks * launch.block.x * launch.block.y * launch.block.z;
  if (blocks > 1 && threads >= 2048 && p.helpers && p.busy.try_lock()) {
    {
      std::lock_guard<std::mutex> hold(p.lock);
      p.launch = &launch;
      p.nextBlock = 0;
      p.stop = false;
      p.blocks = blocks;
      p.generation++;
    }
    p.wake.notify_all();
    p.work(launch, p.nextBlock, p.stop, blocks);
    std::unique_lock<std::mutex> hold(p.lock);
    p.launch = nullptr;
    p.done.wait(hold, [&] { return p.working == 0; });
    hold.unlock();
    p.busy.unlock();
  } else {
    std::atomic<size_t> counter{0};
    std::atomic<bool> halt{false};
    p.work(launch, counter, halt, blocks);
  }
}

}  // namespace hostcuda

using namespace hostcuda;

extern "C" {

void hostcuda_fail(int code, const char* what, const char* file, int line) {
  failHere(code, std::string(what) + " at " + shortName(file) + ":" + std::to_string(line));
}

uint64_t hostcuda_barrier(int predicate, const char* file, int line) {
  Runner& r = *runner;
  ThreadState& t = *static_cast<ThreadState*>(hostcuda_current);
  t.file = file;
  t.line = line;
  t.predicate = predicate != 0;
  t.state = kAtBarrier;
  r.trues += unsigned(t.predicate);
  if (++r.atBarrier < r.count) {
    r.leave();
    return runner->barrierResult;
  }
  r.unfenced = false;
  for (unsigned i = 0; i < r.count; i++) {
    const ThreadState& o = r.threads[i];
    r.unfenced |= o.unfenced;
    if (o.line != line || (o.file != file && strcmp(o.file, file)))
      failHere(719, "divergent barrier: waits at " + std::string(shortName(file)) + ":" + std::to_string(line) + ", but " + r.name(o) +
                        " waits at " + shortName(o.file) + ":" + std::to_string(o.line));
  }
  r.barrierResult = uint64_t(r.count) << 32 | r.trues;
  r.atBarrier = r.trues = 0;
  r.shadow.epoch++;
  bulkMeet();
  if (r.launch->order) r.launch->order[r.blockNumber].barriers++;
  t.state = kRunning;
  for (unsigned k = 0; k < r.count; k++) {
    ThreadState& o = r.threads[r.reverse ? r.count - 1 - k : k];
    if (&o != &t) r.ready[r.tail++ & (r.ready.size() - 1)] = &o;
  }
  return r.barrierResult;
}

void hostcuda_collective(unsigned mask, const char* call, const void* in, void* out, void (*compute)(const Exchange&), const char* file, int line) {
  Runner& r = *runner;
  ThreadState& t = *static_cast<ThreadState*>(hostcuda_current);
  unsigned& waiting = r.waiting[t.linear / 32];
  if (!(mask >> t.lane & 1))
    failHere(719, std::string(call) + " at " + shortName(file) + ":" + std::to_string(line) + text(": mask 0x%08x leaves out the calling lane %u", mask, t.lane));
  t.mask = mask;
  t.call = call;
  t.in = in;
  t.out = out;
  t.compute = compute;
  t.file = file;
  t.line = line;
  t.state = kInWarpCall;
  waiting |= 1u << t.lane;
  bool complete = (waiting & mask) == mask;
  ThreadState* lanes = &r.threads[t.linear & ~31u];
  if (complete)
    for (unsigned l = 0; l < 32 && complete; l++)
      if (mask >> l & 1) complete = lanes[l].compute == compute && lanes[l].mask == mask;
  if (!complete) {
    r.leave();
    return;
  }
  Exchange e{};
  e.mask = mask;
  for (unsigned l = 0; l < 32; l++)
    if (mask >> l & 1) { e.in[l] = lanes[l].in; e.out[l] = lanes[l].out; }
  compute(e);
  if (hostcuda_checked && !strcmp(call, "__syncwarp")) r.shadow.warpEpoch[t.linear / 32]++;
  waiting &= ~mask;
  t.state = kRunning;
  for (unsigned k = 0; k < 32; k++) {
    unsigned l = r.reverse ? 31 - k : k;
    if ((mask >> l & 1) && &lanes[l] != &t) r.ready[r.tail++ & (r.ready.size() - 1)] = &lanes[l];
  }
}

void hostcuda_async_copy(void* to, const void* from, unsigned bytes, unsigned sourceBytes) {
  ThreadState& t = *static_cast<ThreadState*>(hostcuda_current);
  if (reinterpret_cast<uintptr_t>(to) % bytes || (sourceBytes && reinterpret_cast<uintptr_t>(from) % bytes))
    failHere(716, text("cp.async of %u bytes: both addresses must be a multiple of that", bytes));
  if (sourceBytes && sourceBytes != bytes)
    failHere(716, text("cp.async of %u bytes, %u of them from memory: it is none or all, or else a GPU's sanitizer takes it for a misaligned read past the end", bytes, sourceBytes));
  if (sourceBytes) hostcuda_check(from, sourceBytes, 0, __builtin_return_address(0));
  hostcuda_check(to, bytes, 1, __builtin_return_address(0));
  hostcuda_forget_shared(to, bytes);
  memset(to, kSharedPoison, bytes);
  t.copies.push_back({static_cast<char*>(to), static_cast<const char*>(from), bytes, sourceBytes, t.groups});
}
void hostcuda_async_commit() { static_cast<ThreadState*>(hostcuda_current)->groups++; }
void hostcuda_async_wait(unsigned pending) {
  ThreadState& t = *static_cast<ThreadState*>(hostcuda_current);
  unsigned complete = t.groups > pending ? t.groups - pending : 0;
  size_t kept = 0;
  for (const AsyncCopy& c : t.copies) {
    if (c.group < complete) {
      hostcuda_check(c.to, c.bytes, 1, __builtin_return_address(0));
      memcpy(c.to, c.from, c.sourceBytes);
      memset(c.to + c.sourceBytes, 0, c.bytes - c.sourceBytes);
      t.unfenced = true;
    } else {
      t.copies[kept++] = c;
    }
  }
  t.copies.resize(kept);
}

void hostcuda_product(void (*run)(const void*), const void* data, unsigned bytes, const char* file, int line) {
  ThreadState& t = *static_cast<ThreadState*>(hostcuda_current);
  if (runner->unfenced)
    hostcuda_fail(719, "a product of warpgroups reads what copies brought before the last barrier, and no fence.proxy.async stood between", file, line);
  const char* from = static_cast<const char*>(data);
  if (bytes > 256) hostcuda_fail(719, "a product has more than 256 bytes of operands", file, line);
  t.products.push_back({run, std::vector<char>(from, from + bytes), t.productGroups});
}
void hostcuda_product_commit() { static_cast<ThreadState*>(hostcuda_current)->productGroups++; }
void hostcuda_product_wait(unsigned pending) {
  ThreadState& t = *static_cast<ThreadState*>(hostcuda_current);
  unsigned complete = t.productGroups > pending ? t.productGroups - pending : 0;
  size_t done = 0;
  while (done < t.products.size() && t.products[done].group < complete) {
    const Product& p = t.products[done++];
    alignas(16) char own[256];   // on the thread's stack, which it may read
    memcpy(own, p.data.data(), p.data.size());
    p.run(own);
  }
  t.products.erase(t.products.begin(), t.products.begin() + long(done));
}
void hostcuda_fence_proxy() { static_cast<ThreadState*>(hostcuda_current)->unfenced = false; }

}
