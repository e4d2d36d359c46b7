// nccl.cpp -- the NCCL calls of Onebit as plain loops: ranks are processes (or threads) that meet in POSIX shared memory
//
// A communicator is a piece of shared memory with one slot per rank. A collective goes in rounds of one slot: everyone writes, waits for the
// others, reads all slots in the order of the ranks, waits again. So sums run in rank order in float32, the same bits on every rank and run.
// Ranks that call different collectives are told so instead of exchanging nonsense, and so are ranks of which one calls what another replays: a
// capture must be one of all ranks. A communicator that graphs still hold is not destroyed, where NCCL would wait for them without end. Not a fast
// NCCL and no model of one.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include "library.h"

using namespace hostcuda;

namespace {

enum Result { kSuccess = 0, kUnhandledCudaError = 1, kSystemError = 2, kInternalError = 3, kInvalidArgument = 4, kInvalidUsage = 5, kRemoteError = 6 };
enum Type { kInt8 = 0, kFloat32 = 7, kBfloat16 = 9 };
enum Operation { kSum = 0, kAverage = 4, kGather = 100, kBroadcast = 101 };

constexpr size_t kSlotBytes = 1 << 18;
constexpr int kMostRanks = 64;

thread_local std::string lastError;
thread_local int grouped = 0;
thread_local std::vector<std::function<Result()>> group;

struct alignas(64) Meeting {
  std::atomic<unsigned> arrived, generation, attached, stopped;
  unsigned size;
};
struct alignas(64) Slot {
  uint64_t sequence, count, captured;
  int operation, type;
  alignas(64) char bytes[kSlotBytes];
};

std::string told(const Slot& s) {
  return (s.captured ? "replays, as captured number " + std::to_string(s.captured) + ", collective " : "calls collective ") + std::to_string(s.sequence)
      + " with operation " + std::to_string(s.operation) + ", type " + std::to_string(s.type) + ", count " + std::to_string(s.count);
}

Result refuse(Result code, const std::string& text) {
  lastError = text;
  if (!getenv("HOSTCUDA_QUIET")) fprintf(stderr, "hostcuda nccl: %s\n", text.c_str());
  return code;
}

struct Id { char internal[128]; };

struct Communicator {
  int rank, size;
  Meeting* meeting;
  Slot* slots;
  size_t mapped;
  uint64_t sequence = 0;
  uint64_t captures = 0;   // collectives that graphs were given so far
  std::shared_ptr<int> graphs = std::make_shared<int>();   // each collective in a graph holds it
  std::atomic<int> failed{kSuccess};

  /** Waits until all ranks are here; false when the communicator was aborted. */
  bool meet() {
    unsigned now = meeting->generation.load();
    if (meeting->arrived.fetch_add(1) + 1 == unsigned(size)) {
      meeting->arrived = 0;
      meeting->generation.fetch_add(1);
    }
    for (int spins = 0; meeting->generation.load() == now; spins++) {
      if (meeting->stopped.load()) return false;
      if (spins < 200) sched_yield(); else usleep(50);
    }
    return !meeting->stopped.load();
  }

  size_t bytesOfType(int type) const { return type == kFloat32 ? 4 : type == kBfloat16 ? 2 : 1; }

  /** captured: which of the collectives given to graphs this is, from 1; 0 if it is called. */
  void collective(void* to, const void* from, size_t count, int type, int operation, int root, uint64_t captured) {
    size_t each = bytesOfType(type), most = kSlotBytes / each;
    sequence++;
    for (size_t done = 0; done < count || done == 0; done += most) {
      size_t n = std::min(most, count - done);
      Slot& own = slots[rank];
      own.sequence = sequence;
      own.count = count;
      own.captured = captured;
      own.operation = operation;
      own.type = type;
      if (operation != kBroadcast || rank == root) memcpy(own.bytes, static_cast<const char*>(from) + done * each, n * each);
      if (!meet()) { failed = kRemoteError; return; }
      for (int r = 0; r < size; r++) {
        const Slot& other = slots[r];
        if (other.sequence == sequence && other.count == count && other.captured == captured && other.operation == operation && other.type == type) continue;
        failed = refuse(kInvalidUsage, "rank " + std::to_string(rank) + " " + told(own) + ", rank " + std::to_string(r) + " " + told(other));
        meeting->stopped = 1;
        return;
      }
      char* out = static_cast<char*>(to) + done * each;
      if (operation == kBroadcast) {
        memcpy(out, slots[root].bytes, n * each);
      } else if (operation == kGather) {
        for (int r = 0; r < size; r++) memcpy(static_cast<char*>(to) + (size_t(r) * count + done) * each, slots[r].bytes, n * each);
      } else {
        Element e = type == kFloat32 ? Element::kFloat : Element::kBfloat16;
        for (size_t i = 0; i < n; i++) {
          float sum = 0;
          for (int r = 0; r < size; r++) sum += load(slots[r].bytes, i, e);
          store(out, i, e, operation == kAverage ? sum / float(size) : sum);
        }
      }
      if (!meet()) { failed = kRemoteError; return; }
      if (count == 0) break;
    }
  }
};

Result submitOrGroup(std::function<Result()> call) {
  if (grouped == 0) return call();
  group.push_back(std::move(call));
  return kSuccess;
}

Result collective(const char* call, const void* from, void* to, size_t count, int type, int operation, int root, Communicator* c, void* stream) {
  if (!c) return refuse(kInvalidArgument, std::string(call) + ": there is no communicator");
  if (type != kFloat32 && type != kBfloat16 && type != kInt8) return refuse(kInvalidArgument, std::string(call) + ": type " + std::to_string(type) + " is not emulated");
  if (type == kInt8 && operation < kGather) return refuse(kInvalidArgument, std::string(call) + ": sums of int8 are not emulated");
  if (operation != kSum && operation != kAverage && operation < kGather) return refuse(kInvalidArgument, std::string(call) + ": operation " + std::to_string(operation) + " is not emulated");
  if (root < 0 || root >= c->size) return refuse(kInvalidArgument, std::string(call) + ": root " + std::to_string(root) + " is no rank");
  size_t bytes = count * c->bytesOfType(type);
  bool sends = operation != kBroadcast || c->rank == root;
  if (sends && hostcuda_check_range(from, bytes, (std::string(call) + " sendbuff").c_str())) return kUnhandledCudaError;
  if (hostcuda_check_range(to, operation == kGather ? bytes * size_t(c->size) : bytes, (std::string(call) + " recvbuff").c_str())) return kUnhandledCudaError;
  return submitOrGroup([=]() -> Result {
    if (c->failed.load()) return Result(c->failed.load());
    uint64_t captured = hostcuda_is_capturing(stream) ? ++c->captures : 0;
    std::function<void()> work = [=, held = captured ? c->graphs : nullptr] {
      if (!c->failed.load()) c->collective(to, from, count, type, operation, root, captured);
    };
    return submit(stream, call, std::move(work)) ? kUnhandledCudaError : Result(c->failed.load());
  });
}

}  // namespace

extern "C" {

Result ncclGetVersion(int* version) { *version = 21903; return kSuccess; }
const char* ncclGetErrorString(Result code) {
  switch (code) {
    case kSuccess: return "no error";
    case kUnhandledCudaError: return "unhandled cuda error";
    case kSystemError: return "unhandled system error";
    case kInvalidArgument: return "invalid argument";
    case kInvalidUsage: return "invalid usage";
    case kRemoteError: return "remote process exited or there was a network error";
    default: return "internal error";
  }
}
const char* ncclGetLastError(Communicator*) { return lastError.c_str(); }

Result ncclGetUniqueId(Id* id) {
  memset(id, 0, sizeof *id);
  std::random_device random;
  snprintf(id->internal, sizeof id->internal, "/onebit-nccl-%d-%08x%08x", int(getpid()), random(), random());
  return kSuccess;
}

Result ncclCommInitRank(Communicator** comm, int size, Id id, int rank) {
  if (size < 1 || size > kMostRanks || rank < 0 || rank >= size) {
    return refuse(kInvalidArgument, "ncclCommInitRank: rank " + std::to_string(rank) + " of " + std::to_string(size));
  }
  size_t bytes = sizeof(Meeting) + size_t(size) * sizeof(Slot);
  int file = shm_open(id.internal, O_CREAT | O_RDWR, 0600);
  if (file < 0 || ftruncate(file, off_t(bytes)) != 0) return refuse(kSystemError, std::string("shared memory ") + id.internal + ": " + strerror(errno));
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (at == MAP_FAILED) return refuse(kSystemError, std::string("shared memory ") + id.internal + ": " + strerror(errno));
  auto* meeting = static_cast<Meeting*>(at);
  auto* made = new Communicator{rank, size, meeting, reinterpret_cast<Slot*>(meeting + 1), bytes};
  if (!made->meet()) return kRemoteError;
  if (rank == 0) shm_unlink(id.internal);
  *comm = made;
  return kSuccess;
}
Result ncclCommCount(Communicator* c, int* count) { *count = c->size; return kSuccess; }
Result ncclCommUserRank(Communicator* c, int* rank) { *rank = c->rank; return kSuccess; }
Result ncclCommGetAsyncError(Communicator* c, Result* error) { *error = Result(c->failed.load()); return kSuccess; }
Result ncclCommAbort(Communicator* c) {
  c->meeting->stopped = 1;
  return kSuccess;   // what still waits ends by itself; the memory goes with the process
}
Result ncclCommDestroy(Communicator* c) {
  if (c->graphs.use_count() > 1) {
    return refuse(kInvalidUsage, "ncclCommDestroy: graphs that are not destroyed hold " + std::to_string(c->graphs.use_count() - 1) + " collectives of the communicator");
  }
  munmap(c->meeting, c->mapped);
  delete c;
  return kSuccess;
}

Result ncclGroupStart() { grouped++; return kSuccess; }
Result ncclGroupEnd() {
  if (grouped == 0) return refuse(kInvalidUsage, "ncclGroupEnd without ncclGroupStart");
  if (--grouped > 0) return kSuccess;
  std::vector<std::function<Result()>> calls;
  calls.swap(group);
  for (auto& call : calls) if (Result r = call()) return r;
  return kSuccess;
}

Result ncclAllReduce(const void* from, void* to, size_t count, int type, int operation, Communicator* c, void* stream) {
  return collective("ncclAllReduce", from, to, count, type, operation == kSum || operation == kAverage ? operation : -1, 0, c, stream);
}
Result ncclAllGather(const void* from, void* to, size_t count, int type, Communicator* c, void* stream) {
  return collective("ncclAllGather", from, to, count, type, kGather, 0, c, stream);
}
Result ncclBroadcast(const void* from, void* to, size_t count, int type, int root, Communicator* c, void* stream) {
  return collective("ncclBroadcast", from, to, count, type, kBroadcast, root, c, stream);
}

}
