// mma_test.cpp -- kernels/mma.cuh, bit_values.cuh and float8.cuh against plain loops and the format's definition
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

template <class D, class T, class U> static std::vector<D> product(const char* name, const std::vector<T>& a, const std::vector<U>& b, size_t n) {
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

/** What a code of float8 holds, from the format's definition. */
static double held(uint32_t code) {
  int e = int(code >> 3 & 15), m = int(code & 7);
  if ((code & 0x7f) == 0x7f) return NAN;
  return (code & 0x80 ? -1 : 1) * (e == 0 ? std::ldexp(m, -9) : std::ldexp(8 + m, e - 10));
}

static void float8Products() {
  std::vector<uint32_t> a = words(128), b = words(64);
  for (auto* v : {&a, &b}) for (auto& w : *v) w = (w & 0x8f8f8f8fu) | 0x30303030u;   // sizes from 0.5 to 1.875: sums are exact
  auto d = product<float>("mma_e4m3", a, b, 128);
  bool ok = true;
  for (int m = 0; m < 16; m++)
    for (int n = 0; n < 8; n++) {
      double sum = 0.5;
      for (int k = 0; k < 32; k++) sum += held(a[size_t(m * 8 + k / 4)] >> k % 4 * 8 & 0xff) * held(b[size_t(n * 8 + k / 4)] >> k % 4 * 8 & 0xff);
      ok &= d[size_t(m * 8 + n)] == float(sum);
    }
  EXPECT(ok);
}

static void quads() {
  std::vector<uint32_t> a = words(512), b = words(32);
  for (auto& w : a) w = (w & 0x8f8f8f8fu) | 0x30303030u;
  auto d = product<float>("bit_quads", a, b, 64 * 32);
  bool ok = true;
  for (int m = 0; m < 64; m++)
    for (int n = 0; n < 32; n++) {
      double sum = 0;
      for (int k = 0; k < 32; k++) sum += k == 3 ? 0 : held(a[size_t(m * 8 + k / 4)] >> k % 4 * 8 & 0xff) * (b[size_t(k)] >> n & 1 ? 1 : -1);
      ok &= d[size_t(m * 32 + n)] == float(sum);
    }
  EXPECT(ok);
}

static void float8Conversions() {
  std::vector<uint32_t> all(256), n = {256};
  for (uint32_t i = 0; i < 256; i++) all[i] = i;
  auto values = product<float>("e4m3_values", all, n, 256);
  std::vector<float> in;
  std::vector<uint32_t> want;
  auto expects = [&](float v, uint32_t code) { in.push_back(v), want.push_back(code), in.push_back(-v), want.push_back(code == 0x7f ? code : code | 0x80); };
  bool ok = true;
  for (uint32_t c = 0; c < 256; c++) {
    double h = held(c);
    ok &= std::isnan(h) ? std::isnan(values[c]) : values[c] == h && std::signbit(values[c]) == (c >= 128);
    if (c >= 0x7f) continue;
    expects(float(h), c);
    float middle = float(c == 0x7e ? 464 : (h + held(c + 1)) / 2);   // past the largest everything is the largest
    uint32_t up = c == 0x7e ? c : c + 1;
    expects(middle, c % 2 == 0 ? c : up);
    expects(std::nextafter(middle, 0.0f), c);
    expects(std::nextafter(middle, 1e9f), up);
  }
  EXPECT(ok);
  for (float v : {1e-45f, 1e-39f, 9.7e-4f}) expects(v, 0);
  for (float v : {479.9f, 480.0f, 1e10f, 3.4e38f}) expects(v, 0x7e);
  for (float v : {INFINITY, NAN}) expects(v, 0x7f);
  n[0] = uint32_t(in.size());
  EXPECT((product<uint32_t>("e4m3_codes", in, n, in.size()) == want));
  std::vector<float> peaks = {0, 1e-45f, 1.1754944e-38f, 2e-38f, 1, 1.75f, 1.7500001f, 448, 449, 3.4e38f, INFINITY, NAN};
  std::vector<int> exponents = {0, 126, 126, 126, 8, 8, 7, 0, -1, -120, 0, 0};
  n[0] = uint32_t(peaks.size());
  EXPECT((product<int>("float8_exponents", peaks, n, peaks.size()) == exponents));
}

#if defined(HOSTCUDA)
/** Lanes that read what other lanes of their warp wrote, with __syncwarp and with one left out, whoever of them writes. */
static void rowsOfLanes(bool checked) {
  const unsigned words = 2 * 32 * 5;
  CUfunction f;
  EXPECT(!cuModuleGetFunction(&f, module, "rows_of_lanes"));
  for (int writers = 0; writers < 3; writers++)
    for (int missing = 0; missing < (checked ? 4 : 1); missing++) {
      CUdeviceptr out = upload(std::vector<uint32_t>(words));
      void* p[] = {&out, &writers, &missing};
      EXPECT(!cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, nullptr, p, nullptr));
      int code = cuCtxSynchronize();
      std::string said = hostcuda_last_error();
      hostcuda_clear_error();
      if (missing == 0) {
        std::vector<uint32_t> got(words);
        cuMemcpyDtoH(got.data(), out, words * 4);
        bool ok = code == 0;
        for (unsigned i = 0; i < words; i++) {
          unsigned round = i / 160, l = i / 5 % 32, matrix = i % 5, row = matrix == 4 ? (l + 1) % 32 : 8 * matrix + l / 4, word = matrix == 4 ? 0 : l % 4;
          ok &= got[i] == 4 * row + (word ? word : round);
        }
        EXPECT(ok);
      } else {
        auto has = [&](const char* words) { return said.find(words) != std::string::npos; };
        bool ok = code == CUDA_ERROR_LAUNCH_FAILED && has("kernel rows_of_lanes, block (0,0,0), thread (") && has(" bytes of shared rows+") && has(" of its warp with no __syncwarp() between ") &&
                  has(missing == 1 ? "in ldmatrix_x4 at mma_kernels.cu:" : "between at mma_kernels.cu:") && has(missing == 1 ? ": race: read of " : ": race: ") &&
                  has(missing == 1 ? ", written by thread (" : missing == 2 ? ", read by " : "by thread (");
        if (!ok) fprintf(stderr, "writers %d, missing %d: %d %s\n", writers, missing, code, said.c_str());
        EXPECT(ok);
      }
      cuMemFree(out);
    }
}
#endif

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
  float8Products();
  quads();
  float8Conversions();
#if defined(HOSTCUDA)
  std::string variant = argv[2];
  rowsOfLanes(variant == "checked");
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
