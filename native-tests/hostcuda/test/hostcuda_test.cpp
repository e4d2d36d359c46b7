// hostcuda_test.cpp -- the emulated device proved on its own: launches, barriers, warps, graphs, peers, counters, and each planted bug
//
//   hostcuda_test MODULE normal|checked|asan
#include <cuda.h>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

extern "C" {
int64_t hostcuda_counter(const char*);
void hostcuda_reset_counters();
void hostcuda_declare_bytes(const char*, int64_t);
const char* hostcuda_kernel_table();
const char* hostcuda_last_error();
void hostcuda_clear_error();
void hostcuda_lazy(int);
}

static int failures = 0, checks = 0;
#define EXPECT(c)                                                                                    \
  do {                                                                                               \
    checks++;                                                                                        \
    if (!(c)) { failures++; fprintf(stderr, "FAILED %s:%d %s (last error: %s)\n", __FILE__, __LINE__, #c, hostcuda_last_error()); } \
  } while (0)

static CUmodule module;
static std::string variant;

struct Buffer {
  CUdeviceptr p = 0;
  template <class T> explicit Buffer(const std::vector<T>& v) { cuMemAlloc(&p, v.size() * sizeof(T)); cuMemcpyHtoD(p, v.data(), v.size() * sizeof(T)); }
  explicit Buffer(size_t bytes) { cuMemAlloc(&p, bytes); }
  ~Buffer() { cuMemFree(p); }
  template <class T> std::vector<T> read(size_t n) const { std::vector<T> v(n); cuMemcpyDtoH(v.data(), p, n * sizeof(T)); return v; }
};

template <class... A> static CUresult launch(const char* name, unsigned grid, unsigned block, unsigned shared, CUstream s, A... args) {
  CUfunction f;
  if (CUresult r = cuModuleGetFunction(&f, module, name)) return r;
  void* p[] = {static_cast<void*>(&args)..., nullptr};
  return cuLaunchKernel(f, grid, 1, 1, block, 1, 1, shared, s, p, nullptr);
}
static bool said(std::initializer_list<const char*> words) {
  std::string e = hostcuda_last_error();
  for (const char* w : words) if (e.find(w) == std::string::npos) { fprintf(stderr, "  missing \"%s\" in: %s\n", w, e.c_str()); return false; }
  return true;
}

static void rightKernels() {
  const int n = 1000;
  std::vector<float> a(n), b(n);
  for (int i = 0; i < n; i++) { a[i] = float(i); b[i] = 0.5f * float(i); }
  Buffer da(a), db(b), dc(n * sizeof(float));
  EXPECT(!launch("vector_add", 4, 256, 0, nullptr, dc.p, da.p, db.p, n));
  EXPECT(!cuCtxSynchronize());
  auto c = dc.read<float>(n);
  bool ok = true;
  for (int i = 0; i < n; i++) ok &= c[i] == a[i] + b[i];
  EXPECT(ok);

  EXPECT(!launch("block_sum", 4, 256, 0, nullptr, dc.p, da.p, n));
  c = dc.read<float>(4);
  for (int k = 0; k < 4; k++) { double s = 0; for (int i = k * 256; i < std::min(n, (k + 1) * 256); i++) s += a[i]; EXPECT(c[k] == float(s)); }

  const int blocks = 40, threads = 512;
  std::vector<int> in(blocks * threads);
  for (size_t i = 0; i < in.size(); i++) in[i] = int(uint32_t(i) * 2654435761u >> 20);
  Buffer di(in), dout(blocks * 4), dodd(blocks * threads / 32 * 4), drev(in.size() * 4);
  EXPECT(!launch("warp_sums", blocks, threads, 0, nullptr, dout.p, dodd.p, di.p));
  auto sums = dout.read<int>(blocks);
  auto odd = dodd.read<unsigned>(blocks * threads / 32);
  ok = true;
  for (int k = 0; k < blocks; k++) { int s = 0; for (int i = 0; i < threads; i++) s += in[k * threads + i]; ok &= s == sums[k]; }
  for (size_t w = 0; w < odd.size(); w++) for (int l = 0; l < 32; l++) ok &= (odd[w] >> l & 1) == unsigned(in[w * 32 + l] & 1);
  EXPECT(ok);
  EXPECT(!launch("reverse_blocks", blocks, threads, threads * 4, nullptr, drev.p, di.p));
  auto rev = drev.read<int>(in.size());
  ok = true;
  for (int k = 0; k < blocks; k++) for (int i = 0; i < threads; i++) ok &= rev[k * threads + i] == in[k * threads + threads - 1 - i];
  EXPECT(ok);

  std::vector<unsigned> zeros(17, 0);
  Buffer h(zeros);
  EXPECT(!launch("count_atomics", blocks, threads, 0, nullptr, h.p, h.p + 64, di.p, blocks * threads));
  auto counted = h.read<unsigned>(17);
  std::vector<unsigned> want(16, 0);
  for (int v : in) want[unsigned(v) % 16]++;
  ok = true;
  for (int i = 0; i < 16; i++) ok &= counted[i] == want[i];
  EXPECT(ok);
  float total;
  memcpy(&total, &counted[16], 4);
  EXPECT(total == float(blocks * threads));

  Buffer ds(size_t(96 * 4));
  EXPECT(!launch("shuffles", 1, 32, 0, nullptr, ds.p, di.p));
  auto s = ds.read<int>(96);
  ok = true;
  for (int l = 0; l < 32; l++) {
    int base = l & ~7;
    ok &= s[l * 3] == in[base + ((l & 7) ^ 5)];
    ok &= s[l * 3 + 1] == in[(l & 7) >= 3 ? l - 3 : l];
    ok &= s[l * 3 + 2] == in[base + 2];
  }
  EXPECT(ok);

  struct { float x, y, z, w; } add = {0, 0, 0, 2};
  std::vector<float> rounds = {1.0f, 1.00390625f, 1.01171875f, 3.0e38f, -0.3f};   // 1 + 2^-8 is a tie: to even
  Buffer dr(rounds), drr(rounds.size() * 4);
  // the extra way to pass arguments
  CUfunction f;
  cuModuleGetFunction(&f, module, "bfloat16_round_trip");
  struct alignas(16) { CUdeviceptr out, in; float add[4]; int n; } packed = {drr.p, dr.p, {0, 0, 0, add.w}, 5};
  size_t bytes = sizeof packed;
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END};
  EXPECT(!cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, nullptr, nullptr, extra));
  auto r = drr.read<float>(5);
  EXPECT(r[0] == 3.0f && r[1] == 3.0f && r[2] == 3.015625f);
}

static void graphsStreamsPeers() {
  CUstream s;
  CUevent before, after;
  EXPECT(!cuStreamCreate(&s, 1) && !cuEventCreate(&before, 0) && !cuEventCreate(&after, 0));
  std::vector<float> one(64, 1.0f), two(64, 2.0f);
  Buffer a(one), b(two);
  CUgraph graph;
  CUgraphExec exec;
  EXPECT(!cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
  EXPECT(!launch("vector_add", 1, 64, 0, s, a.p, a.p, b.p, 64));
  EXPECT(!cuStreamEndCapture(s, &graph) && !cuGraphInstantiate(&exec, graph, 0));
  EXPECT(a.read<float>(1)[0] == 1.0f);
  for (int i = 0; i < 3; i++) EXPECT(!cuGraphLaunch(exec, s));
  EXPECT(!cuEventRecord(before, s) && !cuEventRecord(after, s) && !cuStreamSynchronize(s));
  float millis = -1;
  EXPECT(!cuEventElapsedTime(&millis, before, after) && millis == 0.0f);
  EXPECT(a.read<float>(64)[63] == 7.0f);
  cuGraphExecDestroy(exec);
  cuGraphDestroy(graph);

  int count;
  EXPECT(!cuDeviceGetCount(&count) && count == 2);
  CUcontext other, mine;
  cuCtxGetCurrent(&mine);
  EXPECT(!cuDevicePrimaryCtxRetain(&other, 1));
  cuCtxPushCurrent(other);
  CUdeviceptr far;
  EXPECT(!cuMemAlloc(&far, 256));
  int device = -1;
  EXPECT(!cuPointerGetAttribute(&device, 9, far) && device == 1);
  cuCtxPopCurrent(nullptr);
  EXPECT(!cuMemcpyPeer(far, other, a.p, mine, 256));
  std::vector<float> back(64);
  EXPECT(!cuMemcpyDtoH(back.data(), far, 256) && back[5] == 7.0f);
  cuMemFree(far);
  cuStreamDestroy(s);
  cuEventDestroy(before);
  cuEventDestroy(after);

  size_t free, total;
  EXPECT(!cuMemGetInfo(&free, &total) && free <= total);
  CUdeviceptr huge;
  EXPECT(cuMemAlloc(&huge, total + 1) == CUDA_ERROR_OUT_OF_MEMORY && said({"bytes asked", "free"}));
  EXPECT(cuMemcpyHtoD(a.p, back.data(), 257) == CUDA_ERROR_INVALID_VALUE && said({"pass the end of a 256-byte allocation"}));
  CUfunction f;
  EXPECT(cuModuleGetFunction(&f, module, "no_such_kernel") == CUDA_ERROR_NOT_FOUND);
  EXPECT(launch("block_sum", 1, 512, 0, nullptr, a.p, a.p, 64) == 701 && said({"__launch_bounds__ of 256"}));
  EXPECT(launch("reverse_blocks", 1, 32, 60000, nullptr, a.p, a.p) == CUDA_ERROR_INVALID_VALUE);
  int bytes = 0;
  cuModuleGetFunction(&f, module, "block_sum");
  EXPECT(!cuFuncGetAttribute(&bytes, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, f) && bytes == 1024);
  cuModuleGetFunction(&f, module, "shared_of_functions");
  EXPECT(!cuFuncGetAttribute(&bytes, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, f) && bytes == 4 * (48 + 16));
  std::vector<float> counted(32), turned(32);
  for (int i = 0; i < 32; i++) counted[size_t(i)] = float(i);
  EXPECT(!cuMemcpyHtoD(a.p, counted.data(), 128) && !launch("shared_of_functions", 1, 32, 0, nullptr, b.p, a.p) && !cuMemcpyDtoH(turned.data(), b.p, 128));
  for (int i = 0; i < 32; i++) EXPECT(turned[size_t(i)] == float(31 - i + i % 16));
  cuModuleGetFunction(&f, module, "reverse_blocks");
  EXPECT(!cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 100000));
  EXPECT(!launch("reverse_blocks", 1, 16, 60000, nullptr, a.p, b.p));
}

/** What a capture refuses: each breaks it, and the device works on. */
static void capturesRefuse() {
  CUstream s, other;
  CUevent fork, join;
  EXPECT(!cuStreamCreate(&s, 1) && !cuStreamCreate(&other, 1) && !cuEventCreate(&fork, 2) && !cuEventCreate(&join, 2));
  std::vector<float> one(64, 1.0f), host(64);
  Buffer a(one), b(one);
  CUgraph graph;
  CUgraphExec exec;
  CUdeviceptr none;
  const std::function<int()> forbidden[] = {
      [&] { return cuMemAlloc(&none, 16); }, [&] { return cuMemFree(b.p); }, [&] { return cuCtxSynchronize(); }, [&] { return cuStreamSynchronize(s); },
      [&] { return cuStreamSynchronize(other); }, [&] { return cuEventSynchronize(fork); }, [&] { return cuMemcpyHtoD(a.p, host.data(), 256); },
      [&] { return cuMemcpyDtoH(host.data(), a.p, 256); }, [&] { return cuMemcpyDtoD(b.p, a.p, 256); }, [&] { return cuMemsetD32(a.p, 0, 64); },
      [&] { return launch("vector_add", 1, 64, 0, nullptr, a.p, a.p, b.p, 64); }, [&] { return cuStreamQuery(other); }};
  for (auto& call : forbidden) {
    EXPECT(!cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    int code = call();
    EXPECT(code == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED || code == 906);
    CUstreamCaptureStatus status;
    EXPECT(!cuStreamIsCapturing(s, &status) && status == CU_STREAM_CAPTURE_STATUS_INVALIDATED);
    EXPECT(cuStreamEndCapture(s, &graph) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED && !graph);
  }
  EXPECT(a.read<float>(1)[0] == 1.0f);

  for (bool joins : {true, false}) {   // work of a second stream belongs to the graph, and must be waited for
    EXPECT(!cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    EXPECT(!cuEventRecord(fork, s) && !cuStreamWaitEvent(other, fork, 0));
    EXPECT(!launch("vector_add", 1, 64, 0, other, a.p, a.p, b.p, 64));
    EXPECT(!cuEventRecord(join, other));
    EXPECT(cuEventSynchronize(join) == 907);
    if (joins) EXPECT(!cuStreamWaitEvent(s, join, 0));
    EXPECT(cuStreamEndCapture(s, &graph) == (joins ? 0 : 904));
    if (!joins) continue;
    EXPECT(!cuGraphInstantiate(&exec, graph, 0) && !cuGraphLaunch(exec, s) && !cuStreamSynchronize(s));
    EXPECT(a.read<float>(1)[0] == 2.0f);
    cuGraphExecDestroy(exec);
    cuGraphDestroy(graph);
    EXPECT(!launch("vector_add", 1, 64, 0, other, a.p, a.p, b.p, 64) && !cuStreamSynchronize(other));   // it left the capture
    EXPECT(a.read<float>(1)[0] == 3.0f);
  }
  EXPECT(!cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) && !cuEventRecord(join, other));
  EXPECT(cuStreamWaitEvent(s, join, 0) == 905 && cuStreamEndCapture(s, &graph) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  EXPECT(!cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_RELAXED) && !cuMemAlloc(&none, 16) && !cuMemFree(none) && !cuStreamEndCapture(s, &graph));
  cuGraphDestroy(graph);
  for (CUevent e : {fork, join}) cuEventDestroy(e);
  for (CUstream t : {s, other}) cuStreamDestroy(t);
}

/** A lazy device does work when somebody waits, in the order of streams and events. */
static void lazyWork() {
  hostcuda_lazy(1);
  CUstream s, other;
  CUevent copied, done;
  EXPECT(!cuStreamCreate(&s, 1) && !cuStreamCreate(&other, 1) && !cuEventCreate(&copied, 2) && !cuEventCreate(&done, 2));
  void* pinned;
  EXPECT(!cuMemHostAlloc(&pinned, 512, 0));
  float* from = static_cast<float*>(pinned);
  float* to = from + 64;
  for (int i = 0; i < 64; i++) from[i] = 1;
  std::vector<float> zero(64), pageable(64, 5.0f);
  Buffer a(zero), b(zero);
  EXPECT(!cuMemcpyHtoDAsync(a.p, from, 256, other) && !cuEventRecord(copied, other));
  EXPECT(!cuStreamWaitEvent(s, copied, 0) && !launch("vector_add", 1, 64, 0, s, b.p, a.p, a.p, 64));
  EXPECT(!cuMemcpyDtoHAsync(to, b.p, 256, s) && !cuEventRecord(done, s));
  to[0] = -1;
  from[0] = 4;                              // too early: the copy is not done
  EXPECT(to[0] == -1 && cuEventQuery(done) == CUDA_ERROR_NOT_READY);
  EXPECT(!cuEventSynchronize(done) && to[0] == 8 && to[1] == 2 && !cuEventQuery(done));
  EXPECT(!cuMemcpyHtoDAsync(a.p, pageable.data(), 256, s));
  pageable[0] = 6;                          // allowed: the driver took the values
  EXPECT(!cuMemcpyDtoHAsync(pageable.data(), a.p, 256, s) && pageable[0] == 5);
  EXPECT(!launch("vector_add", 1, 64, 0, s, a.p, a.p, a.p, 64) && !cuCtxSynchronize());
  EXPECT(!cuMemFreeHost(pinned));
  hostcuda_lazy(0);
  EXPECT(a.read<float>(1)[0] == 10);
  for (CUevent e : {copied, done}) cuEventDestroy(e);
  for (CUstream t : {s, other}) cuStreamDestroy(t);
}

static void countersCount() {
  hostcuda_reset_counters();
  int64_t live = hostcuda_counter("live_bytes");
  {
    std::vector<float> v(100, 1.0f);
    Buffer a(v), b(size_t(400));
    cuMemcpyDtoD(b.p, a.p, 400);
    hostcuda_declare_bytes("vector_add", 1200);
    launch("vector_add", 1, 128, 0, nullptr, b.p, a.p, a.p, 100);
    EXPECT(hostcuda_counter("live_bytes") == live + 800);
    cuCtxSynchronize();
    b.read<float>(10);
  }
  EXPECT(hostcuda_counter("live_bytes") == live && hostcuda_counter("peak_bytes") == live + 800);
  EXPECT(hostcuda_counter("launches") == 1 && hostcuda_counter("launches:vector_add") == 1 && hostcuda_counter("declared_bytes:vector_add") == 1200);
  EXPECT(hostcuda_counter("bytes_to_device") == 400 && hostcuda_counter("bytes_on_device") == 400 && hostcuda_counter("bytes_to_host") == 40);
  EXPECT(hostcuda_counter("synchronisations") == 3 && hostcuda_counter("allocations") == 2 && hostcuda_counter("frees") == 2);
  EXPECT(!strcmp(hostcuda_kernel_table(), "vector_add 1 1200\n"));
  EXPECT(hostcuda_counter("no such counter") == -1);
}

/** Runs a faulty launch: the next synchronising call must fail with the code and say the words. */
static void planted(CUresult code, std::initializer_list<const char*> words, std::function<CUresult()> faulty) {
  CUresult at = faulty();
  CUresult later = cuCtxSynchronize();
  EXPECT(!at && later == code && said(words));
  CUdeviceptr p;
  EXPECT(cuMemAlloc(&p, 4) == code);   // it sticks
  hostcuda_clear_error();
  EXPECT(!cuCtxSynchronize());
}

static void plantedBugs() {
  bool watched = variant != "normal";
  std::vector<float> ones(64, 1.0f);
  Buffer out(size_t(256)), in(ones);
  if (watched) {
    planted(CUDA_ERROR_ILLEGAL_ADDRESS, {"kernel write_past_the_end, block (2,0,0), thread (0,0,0)", "0 bytes past the end of a 256-byte allocation"},
            [&] { return launch("write_past_the_end", 4, 32, 0, nullptr, out.p, 64); });
    planted(CUDA_ERROR_ILLEGAL_ADDRESS, {"kernel read_past_the_end, block (1,0,0), thread (31,0,0)", "read"},
            [&] { return launch("read_past_the_end", 2, 32, 0, nullptr, out.p, in.p, 64); });
  } else {
    planted(CUDA_ERROR_ILLEGAL_ADDRESS, {"kernel write_past_the_end", "0 bytes past the end of a 256-byte allocation"},
            [&] { return launch("write_past_the_end", 4, 32, 0, nullptr, out.p, 64); });
  }
  CUdeviceptr gone;
  cuMemAlloc(&gone, 1000);
  cuMemFree(gone);
  planted(CUDA_ERROR_ILLEGAL_ADDRESS, {"kernel store_through", "argument 0", "use after free"}, [&] { return launch("store_through", 1, 1, 0, nullptr, gone); });
  std::vector<CUdeviceptr> table = {gone};
  Buffer dtable(table);
  planted(CUDA_ERROR_ILLEGAL_ADDRESS, {"kernel store_through_table", "use after free"}, [&] { return launch("store_through_table", 1, 1, 0, nullptr, dtable.p); });
  EXPECT(cuMemFree(gone) == CUDA_ERROR_INVALID_VALUE && said({"use after free"}));
  EXPECT(cuMemcpyHtoD(gone, ones.data(), 4) == CUDA_ERROR_INVALID_VALUE && said({"use after free"}));

  planted(CUDA_ERROR_LAUNCH_FAILED, {"kernel divergent_barrier, block (0,0,0), thread (0,0,0)", "divergent barrier", "test_kernels.cu:", "thread (7,0,0) has exited"},
          [&] { return launch("divergent_barrier", 1, 32, 0, nullptr, out.p); });
  planted(CUDA_ERROR_LAUNCH_FAILED, {"kernel two_barriers, block (0,0,0)", "divergent barrier", "waits at test_kernels.cu:"},
          [&] { return launch("two_barriers", 1, 32, 0, nullptr, out.p); });
  planted(CUDA_ERROR_LAUNCH_FAILED, {"kernel unbalanced_shuffle, block (0,0,0), thread (0,0,0)", "unbalanced __shfl_xor_sync", "names lane 5, thread (5,0,0), which has exited"},
          [&] { return launch("unbalanced_shuffle", 1, 32, 0, nullptr, out.p); });
  planted(CUDA_ERROR_LAUNCH_FAILED, {"unbalanced __ballot_sync", "lane 16", "which the block does not have"},
          [&] { return launch("warp_sums", 1, 16, 0, nullptr, out.p, out.p, out.p); });
  if (variant != "asan")
    planted(CUDA_ERROR_ILLEGAL_ADDRESS, {"kernel shared_past_the_end, block (0,0,0)", "smem"}, [&] { return launch("shared_past_the_end", 1, 32, 128, nullptr, out.p); });
  if (variant == "checked") {
    planted(CUDA_ERROR_ILLEGAL_ADDRESS, {"kernel missing_barrier, block (0,0,0), thread (", "of 4 bytes: shared s+", "never written at test_kernels.cu:"},
            [&] { return launch("missing_barrier", 1, 64, 0, nullptr, out.p, in.p); });
    planted(CUDA_ERROR_LAUNCH_FAILED, {"kernel missing_second_barrier, block (0,0,0)", "race", "thread (", "s+"},
            [&] { return launch("missing_second_barrier", 1, 64, 0, nullptr, out.p, in.p); });
    for (int scalar : {0, 1})
      planted(CUDA_ERROR_LAUNCH_FAILED, {"kernel missing_second_barrier_of_one, block (0,0,0), thread (40,0,0)", "race: write of 4 bytes", scalar ? "alone+0" : "s+4"},
              [&] { return launch("missing_second_barrier_of_one", 1, 64, 0, nullptr, out.p, in.p, scalar); });
    planted(CUDA_ERROR_MISALIGNED_ADDRESS, {"kernel misaligned, block (0,0,0), thread (0,0,0)", "multiple of 16"},
            [&] { return launch("misaligned", 1, 1, 0, nullptr, out.p, in.p); });
    Buffer partial(size_t(1024)), counter(std::vector<unsigned>(1, 0u));
    auto handOver = [&](int how) {
      cuMemsetD8(counter.p, 0, 4);
      return launch("hand_over", 8, 32, 0, nullptr, out.p, partial.p, counter.p, how);
    };
    for (int how : {0, 1}) EXPECT(!handOver(how) && !cuCtxSynchronize() && out.read<float>(1)[0] == 28);
    planted(CUDA_ERROR_LAUNCH_FAILED, {"kernel hand_over", "race of blocks: read of 4 bytes", "has passed no fence and atomic since"}, [&] { return handOver(2); });
    planted(CUDA_ERROR_LAUNCH_FAILED, {"kernel hand_over", "race of blocks: read of 4 bytes", "no fence stands behind this block's atomic"}, [&] { return handOver(3); });
    planted(CUDA_ERROR_LAUNCH_FAILED, {"kernel hand_over", "race of blocks"}, [&] { return handOver(4); });
    planted(CUDA_ERROR_LAUNCH_FAILED, {"kernel shifted_in_place", "race of blocks"}, [&] { return launch("shifted_in_place", 4, 32, 0, nullptr, partial.p); });
    float host = 0;
    float* pointer = &host;
    planted(CUDA_ERROR_ILLEGAL_ADDRESS, {"kernel store_through, block (0,0,0), thread (0,0,0)", "is not device memory"},
            [&] { return launch("store_through", 1, 1, 0, nullptr, pointer); });
  } else {
    // shared memory starts as NaN: the missing barrier shows in the result
    EXPECT(!launch("missing_barrier", 1, 64, 0, nullptr, out.p, in.p));
    auto seen = out.read<float>(64);
    EXPECT(std::isnan(seen[0]) || std::isnan(seen[63]));
  }
}

/** bulk_kernels.cu: copies of the copy engine in a ring of two slots. */
static void bulkCopies() {
  const unsigned steps = 7, rows = 72, slots = 2 * rows * 128, room = slots + 4 * 8;
  std::vector<unsigned> x(steps * rows * 32);
  for (size_t i = 0; i < x.size(); i++) x[i] = unsigned((i + 1) * 2654435761u) ^ unsigned(i << 7);
  auto word = [&](unsigned step, unsigned row, unsigned k) { return x[step * rows * 32 + row * 32 + (k / 4 ^ row % 8) * 4 + k % 4]; };
  std::vector<int> wanted(64 * 8);
  for (unsigned i = 0; i < 64 * 8; i++)
    for (unsigned step = 0; step < steps; step++)
      for (unsigned k = 0; k < 32; k++) wanted[i] += __builtin_popcount(word(step, i / 8, k) & word(step, 64 + i % 8, k));
  Buffer in(x), out(wanted.size() * 4);
  enum { NONE, READER_PARITY, NO_WAIT, NO_RELEASE, EARLY_RELEASE, WRITER_PARITY, NO_WRITER_WAIT, MORE_BYTES, FEWER_BYTES, ODD_BYTES, NOT_MET, NO_FENCE, NOBODY_WAITS,
         ONE_ARRIVAL_MORE, WRITTEN_OVER, PAST_THE_END, ODD_OPERAND };
  auto ring = [&](int mistake) { return launch("bulk_ring", 1, 160, room, nullptr, out.p, in.p, steps, mistake); };
  EXPECT(!ring(NONE) && !cuCtxSynchronize());
  EXPECT(out.read<int>(wanted.size()) == wanted);
  auto wrong = [&](int mistake, std::initializer_list<const char*> words) { planted(CUDA_ERROR_LAUNCH_FAILED, words, [&] { return ring(mistake); }); };
  if (variant == "checked") {
    for (int mistake : {READER_PARITY, NO_WAIT}) planted(CUDA_ERROR_ILLEGAL_ADDRESS, {"kernel bulk_ring, block (0,0,0), thread (0,0,0)", "was never written"}, [&] { return ring(mistake); });
  } else {
    for (int mistake : {READER_PARITY, NO_WAIT}) wrong(mistake, {"kernel bulk_ring, block (0,0,0), thread (", " at bulk_kernels.cu:"});
  }
  wrong(NO_RELEASE, {"thread (128,0,0) waits at bulk_kernels.cu:", "for parity 0 of the barrier of bulk_kernels.cu:", "4 of 4 arrivals are missing"});
  wrong(EARLY_RELEASE, {"bulk_copy into bytes that ", "warp ", " at bulk_kernels.cu:"});
  wrong(WRITER_PARITY, {"thread (128,0,0) waits at", "for parity 0", "arrivals are missing"});
  wrong(NO_WRITER_WAIT, {"thread (128,0,0): mbarrier_", "counts 1 arrivals a phase, and this is one more at bulk_kernels.cu:"});
  wrong(MORE_BYTES, {"16 bytes were announced that no copy brings"});
  wrong(FEWER_BYTES, {"copies brought 16 bytes more than were announced"});
  wrong(NO_FENCE, {"mbarrier_fence_init() is missing"});
  wrong(NOBODY_WAITS, {"for parity 0 of the barrier", "4 of 4 arrivals are missing"});
  wrong(ONE_ARRIVAL_MORE, {"kernel bulk_ring"});
  wrong(WRITTEN_OVER, {"was written over"});
  wrong(NOT_MET, {"kernel bulk_ring, block (0,0,0)", "barrier"});
  planted(CUDA_ERROR_MISALIGNED_ADDRESS, {"bulk_copy of 9208 bytes: bytes and both addresses must be multiples of 16 at bulk_kernels.cu:"}, [&] { return ring(ODD_BYTES); });
  planted(CUDA_ERROR_MISALIGNED_ADDRESS, {"wgmma_operand: ", "a byte none of 32 of its rows of 128 at bulk_kernels.cu:"}, [&] { return ring(ODD_OPERAND); });
  planted(CUDA_ERROR_ILLEGAL_ADDRESS, {"bulk_copy of 9216 bytes to shared byte 18432 of 18464"}, [&] { return ring(PAST_THE_END); });
  planted(CUDA_ERROR_ILLEGAL_ADDRESS, {"bulk_copy reads 9216 bytes: ", "0 bytes past the end of a 64512-byte allocation"}, [&] { return launch("bulk_ring", 1, 160, room, nullptr, out.p, in.p, steps + 1, 0); });
  const unsigned one = 1;
  planted(CUDA_ERROR_LAUNCH_FAILED, {"the block ended while the bulk copy of bulk_kernels.cu:", "nobody waited for it"},
          [&] { return launch("bulk_ring", 1, 160, room, nullptr, out.p, in.p, one, int(NOBODY_WAITS)); });
  EXPECT(!ring(NONE) && !cuCtxSynchronize());
  EXPECT(out.read<int>(wanted.size()) == wanted);
}

/** Shared memory of a block is that of the capability which is asked for, and there are as many multiprocessors as are. */
static void sharedMemoryOfCapabilities() {
  CUfunction f;
  CUdevice device;
  EXPECT(!cuModuleGetFunction(&f, module, "bulk_ring") && !cuCtxGetDevice(&device));
  auto allowed = [&](int bytes) { return !cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes); };
  EXPECT(allowed(227 << 10));
  const int cases[][4] = {{75, 64, 64, 0}, {80, 163, 164, 1}, {86, 99, 100, 1}, {89, 99, 100, 1}, {90, 227, 228, 1}, {120, 99, 100, 1}};   // KB of a block, of a multiprocessor, reserved
  for (auto& c : cases) {
    setenv("HOSTCUDA_CAPABILITY", std::to_string(c[0]).c_str(), 1);
    int block = 0, all = 0, reserved = 0;
    EXPECT(!cuDeviceGetAttribute(&block, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, device) && block == c[1] << 10);
    EXPECT(!cuDeviceGetAttribute(&all, CUdevice_attribute(81), device) && all == c[2] << 10);
    EXPECT(!cuDeviceGetAttribute(&reserved, CUdevice_attribute(111), device) && reserved == c[3] << 10);
    EXPECT(allowed(c[1] << 10) && !allowed((c[1] << 10) + 16) && said({"cuFuncSetAttribute: bulk_ring: ", "dynamic", " pass the "}));
  }
  unsetenv("HOSTCUDA_CAPABILITY");
  int many = 0;
  setenv("HOSTCUDA_MULTIPROCESSORS", "132", 1);
  EXPECT(!cuDeviceGetAttribute(&many, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device) && many == 132);
  unsetenv("HOSTCUDA_MULTIPROCESSORS");
  EXPECT(!cuDeviceGetAttribute(&many, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device) && many == 16);
}

int main(int argc, char** argv) {
  if (argc != 3) { fprintf(stderr, "hostcuda_test MODULE VARIANT\n"); return 2; }
  variant = argv[2];
  setenv("HOSTCUDA_QUIET", "1", 1);
  CUcontext context;
  EXPECT(cuMemFree(0) == CUDA_ERROR_NOT_INITIALIZED);
  EXPECT(!cuInit(0) && !cuCtxCreate(&context, 0, 0));
  EXPECT(!cuModuleLoad(&module, argv[1]));
  rightKernels();
  graphsStreamsPeers();
  capturesRefuse();
  lazyWork();
  countersCount();
  plantedBugs();
  bulkCopies();
  sharedMemoryOfCapabilities();
  rightKernels();   // the device works on after every bug
  printf("hostcuda_test (%s): %d checks, %d failed\n", argv[2], checks, failures);
  return failures != 0;
}
