// streams.cpp -- streams, events and graphs of the emulated device
//
// Work is done at the call, in the order of the calls, which is one of the orders a device may choose. A lazy device (HOSTCUDA_LAZY=1, or
// hostcuda_lazy) puts work off until somebody waits for it, which is another: what reads a result too early, or writes over a copy's source
// before the copy is done, shows there. A capture refuses what a device's does, by the mode it was begun with.
#include <cstdlib>
#include <mutex>
#include "driver.h"

namespace hostcuda {
namespace {

std::mutex& lock() { static std::mutex* m = new std::mutex; return *m; }
struct Streams {
  std::set<CUstream> all;
  std::set<std::shared_ptr<Capture>> captures;
  unsigned long long events = 0;
  bool lazy = getenv("HOSTCUDA_LAZY") && atoi(getenv("HOSTCUDA_LAZY"));
  bool idle = false;
};
Streams& streams() { static Streams* s = new Streams; return *s; }

bool real(CUstream s) { return s && s != CU_STREAM_LEGACY && s != CU_STREAM_PER_THREAD; }
bool active(const std::shared_ptr<Capture>& c) { return c && streams().captures.count(c); }
bool capturing(CUstream s) { return real(s) && s->capture; }

/** Does the oldest work put off in the stream. */
void finishOne(CUstream s) {
  std::function<void()> work = std::move(s->waiting.front());
  s->waiting.pop_front();
  work();
}

/** Breaks the captures that this thread must not disturb; false when there are none. */
bool breakCaptures() {
  bool any = false;
  for (auto& c : streams().captures) {
    if (c->mode == CU_STREAM_CAPTURE_MODE_RELAXED) continue;
    if (c->mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL && c->thread != std::this_thread::get_id()) continue;
    c->invalid = any = true;
  }
  return any;
}

}  // namespace

bool lazy() { return streams().lazy; }
bool idle() { return streams().idle; }
void finish(CUstream s) {
  if (real(s)) while (!s->waiting.empty()) finishOne(s);
}
void finishAll() {
  for (CUstream s : std::set<CUstream>(streams().all)) finish(s);
}

CUresult refuseWhileCapturing(const char* call) {
  std::lock_guard<std::mutex> hold(lock());
  return breakCaptures() ? complain(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, std::string(call) + ": a stream is capturing") : CUDA_SUCCESS;
}

CUresult enqueue(CUstream stream, std::function<void()> work) {
  if (capturing(stream)) {
    std::lock_guard<std::mutex> hold(lock());
    if (stream->capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    stream->capture->graph.nodes.push_back(std::move(work));
    stream->recorded++;
    return CUDA_SUCCESS;
  }
  if (!real(stream)) {
    std::lock_guard<std::mutex> hold(lock());
    if (breakCaptures()) return complain(CUresult(906), "work for the legacy stream: a stream is capturing");
  } else if (lazy()) {
    stream->waiting.push_back(std::move(work));
    return CUDA_SUCCESS;
  }
  work();
  return CUDA_SUCCESS;
}

}  // namespace hostcuda

using namespace hostcuda;

extern "C" {

void hostcuda_lazy(int whether) {
  finishAll();
  streams().lazy = whether != 0;
}
int hostcuda_is_capturing(void* stream) { return capturing(static_cast<CUstream>(stream)); }
void hostcuda_idle(int whether) {
  finishAll();
  streams().idle = whether != 0;
}

CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int priority) {
  REQUIRE_LIVE();
  *stream = new CUstream_st{currentContext(), flags, priority};
  streams().all.insert(*stream);
  return CUDA_SUCCESS;
}
CUresult cuStreamCreate(CUstream* stream, unsigned flags) { return cuStreamCreateWithPriority(stream, flags, 0); }
CUresult cuStreamDestroy(CUstream stream) {
  if (!real(stream)) return CUDA_ERROR_INVALID_HANDLE;
  finish(stream);
  if (stream->capture) {
    if (stream->capture->origin == stream) streams().captures.erase(stream->capture);
    else stream->capture->streams.erase(stream);
  }
  streams().all.erase(stream);
  delete stream;
  return stuck();
}
CUresult cuStreamSynchronize(CUstream stream) {
  REQUIRE_LIVE();
  if (capturing(stream)) {
    stream->capture->invalid = true;
    return complain(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "cuStreamSynchronize: the stream is capturing");
  }
  if (CUresult r = refuseWhileCapturing("cuStreamSynchronize")) return r;
  finish(stream);
  return synchronise("cuStreamSynchronize", counters().synchronisations);
}
CUresult cuStreamQuery(CUstream stream) {
  REQUIRE_LIVE();
  if (CUresult r = refuseWhileCapturing("cuStreamQuery")) return r;
  if (!real(stream) || stream->waiting.empty()) return CUDA_SUCCESS;
  finishOne(stream);
  return CUDA_ERROR_NOT_READY;
}
CUresult cuStreamGetFlags(CUstream stream, unsigned* flags) { *flags = real(stream) ? stream->flags : 0; return CUDA_SUCCESS; }
CUresult cuStreamGetPriority(CUstream stream, int* priority) { *priority = real(stream) ? stream->priority : 0; return CUDA_SUCCESS; }
CUresult cuStreamGetCtx(CUstream stream, CUcontext* context) { *context = real(stream) ? stream->context : currentContext(); return CUDA_SUCCESS; }

CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode) {
  REQUIRE_LIVE();
  if (!real(stream)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
  stream->capture = std::make_shared<Capture>();
  stream->capture->origin = stream;
  stream->capture->streams.insert(stream);
  stream->capture->mode = mode;
  stream->capture->thread = std::this_thread::get_id();
  streams().captures.insert(stream->capture);
  return CUDA_SUCCESS;
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  REQUIRE_LIVE();
  if (!capturing(stream) || stream->capture->origin != stream) return CUDA_ERROR_ILLEGAL_STATE;
  std::shared_ptr<Capture> c = stream->capture;
  CUstream ahead = nullptr;
  for (CUstream s : c->streams) {
    if (s != stream && s->recorded > s->joined) ahead = s;
    s->capture = nullptr;
  }
  streams().captures.erase(c);
  *graph = nullptr;
  if (c->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (ahead) return complain(CUresult(904), "cuStreamEndCapture: work of another stream in the capture was not waited for");
  *graph = new CUgraph_st(std::move(c->graph));
  return CUDA_SUCCESS;
}
CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
  *status = !capturing(stream) ? CU_STREAM_CAPTURE_STATUS_NONE
      : stream->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED : CU_STREAM_CAPTURE_STATUS_ACTIVE;
  return CUDA_SUCCESS;
}
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
  REQUIRE_LIVE();
  if (!event->recorded) return CUDA_SUCCESS;
  if (active(event->capture)) {
    if (!real(stream)) return complain(CUresult(906), "cuStreamWaitEvent: the legacy stream would wait for a capture");
    if (!stream->capture) {
      stream->capture = event->capture;
      stream->capture->streams.insert(stream);
      stream->recorded = stream->joined = 0;
    } else if (stream->capture != event->capture) {
      return complain(CUresult(902), "cuStreamWaitEvent: the stream and the event belong to two captures");
    } else if (event->from != stream) {
      event->from->joined = std::max(event->from->joined, event->at);
    }
    return CUDA_SUCCESS;
  }
  if (capturing(stream)) {
    if (event->capture) return CUDA_SUCCESS;   // of a capture that ended
    stream->capture->invalid = true;
    return complain(CUresult(905), "cuStreamWaitEvent: a captured stream would wait for work outside its capture");
  }
  if (lazy() && real(stream) && !*event->reached) {
    stream->waiting.push_back([from = event->from, reached = event->reached] {
      while (!*reached && !from->waiting.empty()) finishOne(from);
    });
  }
  return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent* event, unsigned) { REQUIRE_LIVE(); *event = new CUevent_st{currentContext()}; return CUDA_SUCCESS; }
CUresult cuEventDestroy(CUevent event) { delete event; return CUDA_SUCCESS; }
CUresult cuEventRecord(CUevent event, CUstream stream) {
  REQUIRE_LIVE();
  event->recorded = true;
  event->order = ++streams().events;
  event->capture = capturing(stream) ? stream->capture : nullptr;
  event->from = stream;
  event->at = capturing(stream) ? stream->recorded : 0;
  event->reached = std::make_shared<bool>(event->capture || !lazy() || !real(stream));
  if (!*event->reached) stream->waiting.push_back([reached = event->reached] { *reached = true; });
  return CUDA_SUCCESS;
}
CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned) { return cuEventRecord(event, stream); }
CUresult cuEventSynchronize(CUevent event) {
  REQUIRE_LIVE();
  if (active(event->capture)) return complain(CUresult(907), "cuEventSynchronize: the event was recorded in a capture");
  if (CUresult r = refuseWhileCapturing("cuEventSynchronize")) return r;
  while (event->recorded && !*event->reached && !event->from->waiting.empty()) finishOne(event->from);
  return synchronise("cuEventSynchronize", counters().eventWaits);
}
CUresult cuEventQuery(CUevent event) {
  REQUIRE_LIVE();
  if (active(event->capture)) return complain(CUresult(907), "cuEventQuery: the event was recorded in a capture");
  if (CUresult r = refuseWhileCapturing("cuEventQuery")) return r;
  if (!event->recorded || *event->reached) return CUDA_SUCCESS;
  if (!event->from->waiting.empty()) finishOne(event->from);
  return CUDA_ERROR_NOT_READY;
}
CUresult cuEventElapsedTime(float* millis, CUevent start, CUevent end) {
  REQUIRE_LIVE();
  if (!start->recorded || !end->recorded) return complain(CUDA_ERROR_INVALID_HANDLE, "cuEventElapsedTime: an event was not recorded");
  *millis = end->order >= start->order ? 0.0f : -0.0f;   // the emulated device is never timed
  return CUDA_SUCCESS;
}

CUresult cuGraphInstantiate(CUgraphExec* executable, CUgraph graph, unsigned long long) {
  REQUIRE_LIVE();
  *executable = new CUgraphExec_st{graph->nodes};
  return CUDA_SUCCESS;
}
CUresult cuGraphUpload(CUgraphExec, CUstream) { REQUIRE_LIVE(); return CUDA_SUCCESS; }
CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
  REQUIRE_LIVE();
  return enqueue(stream, [nodes = executable->nodes] {
    counters().graphLaunches++;
    for (auto& work : nodes) work();
  });
}
CUresult cuGraphGetNodes(CUgraph graph, void** nodes, size_t* count) {
  if (nodes) for (size_t i = 0; i < *count && i < graph->nodes.size(); i++) nodes[i] = &graph->nodes[i];
  *count = graph->nodes.size();
  return CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph) { delete graph; return CUDA_SUCCESS; }
CUresult cuGraphExecDestroy(CUgraphExec executable) { delete executable; return CUDA_SUCCESS; }

}
