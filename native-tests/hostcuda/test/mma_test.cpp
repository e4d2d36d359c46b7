// mma_test.cpp -- kernels/mma.cuh against plain loops
//
//   mma_test MODULE VARIANT
#include <cuda.h>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#if defined(HOSTCUDA)
extern "C" {
const char* hostcuda_last_error();
void hostcuda_clear_error();
}
#else
static const char* hostcuda_last_error() { return ""; }
#endif

static int failures = 0, checks = 0;
#define EXPECT(c)                                                                                                             \
  do {                                                                                                                        \
    checks++;                                                                                                                 \
    if (!(c)) { failures++; fprintf(stderr, "FAILED %s:%d %s (%s)\n", __FILE__, __LINE__, #c, hostcuda_last_error()); } \
  } while (0)

static CUmodule module;

template <class T> static CUdeviceptr upload(const std::vector<T>& v) {
  CUdeviceptr p = 0;
  cuMemAlloc(&p, v.size() * sizeof(T));
  cuMemcpyHtoD(p, v.data(), v.size() * sizeof(T));
  return p;
}

template <class D, class T> static std::vector<D> product(const char* name, const std::vector<T>& a, const std::vector<T>& b, size_t n) {
  CUdeviceptr da = upload(a), db = upload(b), dd = upload(std::vector<D>(n));
  CUfunction f;
  std::vector<D> d(n);
  EXPECT(!cuModuleGetFunction(&f, module, name));
  void* p[] = {&dd, &da, &db};
  EXPECT(!cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, nullptr, p, nullptr));
  EXPECT(!cuCtxSynchronize());
  cuMemcpyDtoH(d.data(), dd, n * sizeof(D));
  cuMemFree(da);
  cuMemFree(db);
  cuMemFree(dd);
  return d;
}

static std::mt19937 random_bits(7);
static std::vector<uint32_t> words(size_t n) {
  std::vector<uint32_t> v(n);
  for (auto& w : v) w = random_bits();
  return v;
}
static int bit(const std::vector<uint32_t>& v, int row, int rowWords, int k) { return int(v[size_t(row * rowWords + k / 32)] >> (k % 32) & 1); }

static void bits(const char* name, int rows, int rowWords, bool exclusive, int start) {
  auto a = words(size_t(rows * rowWords)), b = words(size_t(8 * rowWords));
  auto d = product<int>(name, a, b, size_t(rows * 8));
  bool ok = true;
  for (int m = 0; m < rows; m++)
    for (int n = 0; n < 8; n++) {
      int sum = start;
      for (int k = 0; k < rowWords * 32; k++) sum += exclusive ? bit(a, m, rowWords, k) != bit(b, n, rowWords, k) : bit(a, m, rowWords, k) & bit(b, n, rowWords, k);
      ok &= d[size_t(m * 8 + n)] == sum;
    }
  EXPECT(ok);
}

static float value(uint16_t h) { uint32_t u = uint32_t(h) << 16; float f; memcpy(&f, &u, 4); return f; }

static void floats(const char* name, bool transposed) {
  std::vector<uint16_t> a(256), b(128);
  for (auto* v : {&a, &b}) for (auto& h : *v) { float f = (float(random_bits() % 2001) - 1000) / 256; uint32_t u; memcpy(&u, &f, 4); h = uint16_t(u >> 16); }
  auto d = product<float>(name, a, b, 128);
  bool ok = true;
  for (int m = 0; m < 16; m++)
    for (int n = 0; n < 8; n++) {
      double sum = 0.5, size = 0;
      for (int k = 0; k < 16; k++) {
        double p = double(value(a[size_t(m * 16 + k)])) * value(b[size_t(transposed ? k * 8 + n : n * 16 + k)]);
        sum += p;
        size += std::fabs(p);
      }
      ok &= std::fabs(d[size_t(m * 8 + n)] - sum) <= 1e-6 * (size + 1);
    }
  EXPECT(ok);
}

int main(int argc, char** argv) {
  if (argc != 3) { fprintf(stderr, "mma_test MODULE VARIANT\n"); return 2; }
  setenv("HOSTCUDA_QUIET", "1", 1);
  CUcontext context;
  CUdevice device;
  EXPECT(!cuInit(0) && !cuDeviceGet(&device, 0) && !cuDevicePrimaryCtxRetain(&context, device) && !cuCtxSetCurrent(context));
  EXPECT(!cuModuleLoad(&module, argv[1]));
  bits("mma_and_k256", 16, 8, false, 100);
  bits("mma_and_k128", 16, 4, false, 0);
  bits("mma_xor_k128", 8, 4, true, 0);
  floats("mma_bf16", false);
  floats("mma_bf16_trans", true);
#if defined(HOSTCUDA)
  std::string variant = argv[2];
  CUdeviceptr in = upload(std::vector<float>(128, 1.0f)), out = upload(std::vector<float>(128));
  CUfunction f;
  cuModuleGetFunction(&f, module, "missing_wait");
  void* p[] = {&out, &in};
  cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, nullptr, p, nullptr);
  if (variant == "checked") {
    EXPECT(cuCtxSynchronize() == CUDA_ERROR_ILLEGAL_ADDRESS && std::string(hostcuda_last_error()).find("never written") != std::string::npos);
    hostcuda_clear_error();
  } else {
    std::vector<float> got(32);
    cuMemcpyDtoH(got.data(), out, 128);
    EXPECT(std::isnan(got[0]) && std::isnan(got[31]));
  }
  cuModuleGetFunction(&f, module, "missing_lane");
  void* q[] = {&out, &in, &in};
  cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, nullptr, q, nullptr);
  EXPECT(cuCtxSynchronize() == CUDA_ERROR_LAUNCH_FAILED);
  EXPECT(std::string(hostcuda_last_error()).find("unbalanced mma_m16n8k128_and_popc at mma_kernels.cu") != std::string::npos);
  EXPECT(std::string(hostcuda_last_error()).find("names lane 9, thread (9,0,0), which has exited") != std::string::npos);
#endif
  printf("mma_test (%s): %d checks, %d failed\n", argv[2], checks, failures);
  return failures != 0;
}
