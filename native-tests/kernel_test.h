// kernel_test.h -- the harness of the kernel tests: a device, arrays on it, launches, comparisons
//
// The driver is opened at run time, so the same program runs on a GPU and on the emulated device. Arrays have exactly the bytes asked for,
// so that the emulated device and compute-sanitizer see every access outside; outputs begin as NaN or -1.
#pragma once
#include <cuda.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace kernel_test {

/** The calls of the driver that the tests use, and what is known of the device. */
struct Driver {
  decltype(&cuInit) init;
  decltype(&cuDeviceGet) deviceGet;
  decltype(&cuDeviceGetName) deviceGetName;
  decltype(&cuDeviceGetAttribute) deviceGetAttribute;
  decltype(&cuDevicePrimaryCtxRetain) primaryCtxRetain;
  decltype(&cuCtxSetCurrent) ctxSetCurrent;
  decltype(&cuCtxSynchronize) ctxSynchronize;
  decltype(&cuModuleLoadData) moduleLoadData;
  decltype(&cuModuleGetFunction) moduleGetFunction;
  decltype(&cuFuncSetAttribute) funcSetAttribute;
  decltype(&cuMemAlloc) memAlloc;
  decltype(&cuMemFree) memFree;
  decltype(&cuMemsetD8) memsetD8;
  decltype(&cuMemcpyHtoD) memcpyHtoD;
  decltype(&cuMemcpyDtoH) memcpyDtoH;
  decltype(&cuLaunchKernel) launchKernel;
  decltype(&cuEventCreate) eventCreate;
  decltype(&cuEventRecord) eventRecord;
  decltype(&cuEventElapsedTime) eventElapsedTime;
  decltype(&cuGetErrorString) getErrorString;
  const char* (*lastError)();   // of the emulated device, in words; else null
  CUmodule module;
  int capability;
  unsigned multiprocessors;
  bool poison;
};
extern Driver driver;

/** Ends the program with a sentence: after an error of the device nothing more can be told. */
[[noreturn]] void stop(const std::string& what, int code);
/** Counts a check; the sentence is printed when it fails. */
void expect(bool holds, const std::string& sentence);
inline void require(int code, const std::string& what) { if (code) stop(what, code); }

struct Test {
  const char* name;
  void (*run)();
};
std::vector<Test>& tests();
struct Registration {
  Registration(const char* name, void (*run)()) { tests().push_back({name, run}); }
};
#define TEST(NAME)                                                        \
  static void NAME();                                                     \
  static const ::kernel_test::Registration registration_of_##NAME(#NAME, NAME); \
  static void NAME()

/** A measurement: run by --perf on a GPU, and on no other device. */
std::vector<Test>& measurements();
struct Measurement {
  Measurement(const char* name, void (*run)()) { measurements().push_back({name, run}); }
};
#define MEASURE(NAME)                                                      \
  static void NAME();                                                      \
  static const ::kernel_test::Measurement measurement_of_##NAME(#NAME, NAME); \
  static void NAME()

/** Milliseconds by events of each of so many runs after three others, sorted; work(i) only launches. */
std::vector<float> milliseconds(int runs, const std::function<void(int)>& work);

/** n values of T on the device, freed with the object. */
template <class T> class Array {
 public:
  explicit Array(size_t n) : n(n) {
    require(driver.memAlloc(&address, std::max<size_t>(1, n * sizeof(T))), "cuMemAlloc");
    if (driver.poison && n > 0) require(driver.memsetD8(address, 0xff, n * sizeof(T)), "cuMemsetD8");
  }
  Array(const std::vector<T>& values) : n(values.size()) {
    require(driver.memAlloc(&address, std::max<size_t>(1, n * sizeof(T))), "cuMemAlloc");
    if (n > 0) require(driver.memcpyHtoD(address, values.data(), n * sizeof(T)), "cuMemcpyHtoD");
  }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() { driver.memFree(address); }
  std::vector<T> read() const {
    std::vector<T> values(n);
    if (n > 0) require(driver.memcpyDtoH(values.data(), address, n * sizeof(T)), "cuMemcpyDtoH");
    return values;
  }
  size_t n;
  CUdeviceptr address = 0;
};

struct Launch {
  unsigned gridX, gridY, blockX, blockY, sharedBytes;
};
inline Launch blocks(unsigned count, unsigned threads = 256) { return {count, 1, threads, 1, 0}; }

template <class T> void* argument(const Array<T>& a) { return const_cast<CUdeviceptr*>(&a.address); }
inline void* argument(const int& v) { return const_cast<int*>(&v); }
inline void* argument(const unsigned& v) { return const_cast<unsigned*>(&v); }
inline void* argument(const float& v) { return const_cast<float*>(&v); }
inline void* argument(const long long& v) { return const_cast<long long*>(&v); }
/** A null pointer. */
inline void* argument(const std::nullptr_t&) {
  static CUdeviceptr none = 0;
  return &none;
}
inline void* argument(const double& v) { return const_cast<double*>(&v); }

/** An argument structure: 8 bytes a field, in the order of its declaration (kernels/unit.cuh). */
struct Fields {
  std::vector<uint64_t> words;
  template <class T> Fields& operator()(const T& value) {
    static_assert(sizeof(T) <= 8, "a field has 8 bytes");
    uint64_t word = 0;
    std::memcpy(&word, &value, sizeof value);
    words.push_back(word);
    return *this;
  }
  template <class T> Fields& operator()(const Array<T>& array) { return (*this)(array.address); }
  Fields& none(int count = 1) {
    while (count-- > 0) (*this)(uint64_t(0));
    return *this;
  }
};
inline void* argument(const Fields& fields) { return const_cast<uint64_t*>(fields.words.data()); }

void run(const std::string& kernel, const Launch& launch, void** arguments);
void begin(const std::string& kernel, const Launch& launch, void** arguments);

/** Begins a kernel and does not wait for it. */
template <class... A> void begin(const std::string& kernel, const Launch& launch, const A&... a) {
  void* list[] = {argument(a)...};
  begin(kernel, launch, list);
}

/** Runs a kernel and waits for it; the arguments' types are those of its parameters. */
template <class... A> void run(const std::string& kernel, const Launch& launch, const A&... a) {
  void* list[] = {argument(a)...};
  run(kernel, launch, list);
}

/** A launch of channel_sums in common.cuh. */
inline Launch sums(unsigned channels, unsigned width, unsigned splits) { return {(channels + width - 1) / width, splits, width, 256 / width, 0}; }

/** Random values, other ones for each test, the same on each run. */
struct Random {
  explicit Random(unsigned seed) : engine(seed) {}
  std::vector<float> normal(size_t n, float mean = 0, float deviation = 1) {
    std::normal_distribution<float> d(mean, deviation);
    std::vector<float> v(n);
    for (float& x : v) x = d(engine);
    return v;
  }
  std::vector<float> uniform(size_t n, float from, float to) {
    std::uniform_real_distribution<float> d(from, to);
    std::vector<float> v(n);
    for (float& x : v) x = d(engine);
    return v;
  }
  /** rows of `bits` bits each, tail bits 0. */
  std::vector<unsigned> bits(size_t rows, unsigned bits) {
    unsigned words = (bits + 31) / 32;
    std::vector<unsigned> v(rows * words);
    for (size_t i = 0; i < v.size(); i++) v[i] = unsigned(engine()) & (bits % 32 && i % words == words - 1 ? (1u << bits % 32) - 1 : ~0u);
    return v;
  }
  std::mt19937 engine;
};

/** A bfloat16 as memory holds it. */
struct Bf16 {
  uint16_t bits;
};
inline float value(float v) { return v; }
inline float value(Bf16 v) {
  uint32_t word = uint32_t(v.bits) << 16;
  float f;
  std::memcpy(&f, &word, 4);
  return f;
}

/** The element nearest to a float, ties to even. */
template <class E> E element(float v) {
  if constexpr (sizeof(E) == 4) {
    return v;
  } else {
    uint32_t word;
    std::memcpy(&word, &v, 4);
    if (v != v) return {0x7fff};
    return {uint16_t((word + 0x7fff + (word >> 16 & 1)) >> 16)};
  }
}
template <class E> std::vector<E> elements(const std::vector<float>& values) {
  std::vector<E> all(values.size());
  for (size_t i = 0; i < all.size(); i++) all[i] = element<E>(values[i]);
  return all;
}
template <class E> std::vector<float> values(const std::vector<E>& elements) {
  std::vector<float> all(elements.size());
  for (size_t i = 0; i < all.size(); i++) all[i] = value(elements[i]);
  return all;
}
/** The values as the elements hold them: what a kernel's reference starts from. */
template <class E> std::vector<float> rounded(const std::vector<float>& v) { return values(elements<E>(v)); }

/** The entry of that name for elements of type E. */
template <class E> std::string entry(const char* name) { return std::string(name) + (sizeof(E) == 2 ? "_bf16" : ""); }

/** Runs a test's body on floats and on bfloat16: body(E()). */
template <class Body> void each_element(Body body) {
  body(float());
  body(Bf16());
}

inline int sign_bit(const std::vector<unsigned>& words, size_t row, unsigned bits, unsigned k) {
  return words[row * ((bits + 31) / 32) + k / 32] >> k % 32 & 1 ? 1 : -1;
}

/** Every value equal, NaN to NaN. */
template <class T> void expect_equal(const std::string& what, const std::vector<T>& found, const std::vector<T>& wanted) {
  if (found.size() != wanted.size()) return expect(false, what + ": " + std::to_string(found.size()) + " values, wanted " + std::to_string(wanted.size()));
  for (size_t i = 0; i < found.size(); i++) {
    if (!(found[i] == wanted[i] || (found[i] != found[i] && wanted[i] != wanted[i]))) {
      return expect(false, what + "[" + std::to_string(i) + "] is " + std::to_string(found[i]) + ", wanted " + std::to_string(wanted[i]));
    }
  }
  expect(true, what);
}

/** |found - wanted| / |wanted| in L2 at most tolerance, and no value further off than 100 tolerances of the largest; NaN never passes. */
template <class T> void expect_near(const std::string& what, const std::vector<float>& found, const std::vector<T>& wanted, double tolerance) {
  if (found.size() != wanted.size()) return expect(false, what + ": " + std::to_string(found.size()) + " values, wanted " + std::to_string(wanted.size()));
  double off = 0, all = 0, most = 0, far = 0;
  for (size_t i = 0; i < found.size(); i++) {
    double d = double(found[i]) - double(wanted[i]);
    off += d * d;
    all += double(wanted[i]) * double(wanted[i]);
    far = d != d ? d : std::max(far, std::fabs(d));
    most = std::max(most, std::fabs(double(wanted[i])));
  }
  double error = std::sqrt(off / std::max(all, 1e-30));
  expect(error <= tolerance && far <= 100 * tolerance * std::max(most, 1e-15), what + ": relative error " + std::to_string(error) + ", largest difference " + std::to_string(far));
}

/** Floats as expect_near does; every bfloat16 within half a step of the wanted value, and that tolerance of the largest. */
template <class E, class T> void expect_elements(const std::string& what, const Array<E>& found, const std::vector<T>& wanted, double tolerance) {
  std::vector<float> got = values(found.read());
  if (sizeof(E) == 4) return expect_near(what, got, wanted, tolerance);
  double most = 0;
  for (T w : wanted) most = std::max(most, std::fabs(double(w)));
  for (size_t i = 0; i < wanted.size(); i++) {
    double w = double(wanted[i]);
    if (!(std::fabs(got[i] - w) <= std::fabs(w) / 256 + tolerance * most)) {
      return expect(false, what + "[" + std::to_string(i) + "] in bfloat16 is " + std::to_string(got[i]) + ", wanted " + std::to_string(w));
    }
  }
  expect(got.size() == wanted.size(), what);
}

/** One entry of a product of bits: the devices that have its instructions, as the emulated one has all, and the columns of a block. */
struct BitProduct {
  int least, most;
  unsigned columns;
  bool native() const { return driver.lastError || (driver.capability >= least && driver.capability <= most); }
  /** more: bytes beside the stages; least: bytes of the stages that are taken for something else too. */
  Launch launch(unsigned rows, unsigned across, unsigned words, unsigned more, unsigned least = 0) const {
    unsigned stages = std::min(3u, (words + 15) / 16), bytes = std::max(4 * stages * (128 + columns) * 16, least) + more;
    return {(rows + 127) / 128, (across + columns - 1) / columns, 128, 1, bytes};
  }
  /** Of a convolution: places and borders of its rows, and what a value takes beside its count. */
  Launch convolution(unsigned rows, unsigned across, unsigned words, unsigned least = 0) const {
    return launch(rows, across, words, 4 * 1024 + 96 + 128 * (columns + 4) + 8 * columns, least);
  }
  /**
   * Of one with an image of x: the same table, places and ends of two tiles, and the pixels that these read, beside filters where these are not held in
   * registers; so many blocks along the rows.
   */
  static Launch imaged(unsigned along, int o, int h, int w, int c, int stride, int pad, int dilation, int p, int q) {
    int across = w + pad, lines = 127 / q + 1, images = lines / p + 1, below = std::max(0, h + pad - p * stride) * across, planes = (c + 127) / 128;
    int pixels = 127 * stride + lines * stride * (across - q) + images * below + 2 * dilation * (across + 1) + 1, bytes = 96 + 128 * 68 + 8 * 64 + 16 * 128 + 16;
    if (c <= 64) bytes += 16 * pixels;
    else bytes += (9 * planes + 3) / 4 * 16 + (9 * planes + 1) / 2 * 2048 + 32 * planes * ((pixels + 5) / 8 * 8 + 2);
    return {along, unsigned(o + 63) / 64, 128, 1, unsigned(bytes)};
  }
};

/** y of an XnorElement as floats: what a run wrote into n elements of it. */
template <class Run> std::vector<float> bit_product_y(int element, size_t n, Run run) {
  if (element == 0) { Array<float> y(n); run(y); return y.read(); }
  if (element == 1) { Array<Bf16> y(n); run(y); return values(y.read()); }
  Array<int16_t> y(n);
  run(y);
  std::vector<int16_t> whole = y.read();
  return std::vector<float>(whole.begin(), whole.end());
}

/** What products on warpgroups read: the tiles laid out of two matrices of packed bits (kernels/xnor_gemm_tiles.cu). */
struct BitTiles {
  static constexpr unsigned kRows = 256, kColumns = 192, kSlots = 4;
  unsigned m, n, k, down = (m + kRows - 1) / kRows, across = (n + kColumns - 1) / kColumns, steps = (k + 1023) / 1024;
  Array<unsigned> a = Array<unsigned>(size_t(down) * steps * kRows * 32), b = Array<unsigned>(size_t(across) * steps * kColumns * 32);
  Array<float> less = Array<float>(down * kRows);
  Array<int> base = Array<int>(across * kColumns);
  BitTiles(unsigned m, unsigned n, unsigned k) : m(m), n(n), k(k) {}
  static bool native() { return driver.lastError || driver.capability == 90; }
  Launch laying() const { return blocks(std::min(65535u, (down * kRows + across * kColumns + 7) / 8)); }
  Launch product(unsigned most) const { return {std::min(most, down * across), 1, 384, 1, 1024 + kSlots * ((kRows + kColumns) * 128 + 16)}; }
};

/** The slopes of kernels/slope.cuh, written again in double. */
struct Slope {
  int kind;
  float a, b;
  double level(double u) const { return kind == 4 ? std::sin(double(a) * u) : u; }
  double slope(double u) const {
    double r = std::fabs(u), t;
    switch (kind) {
      case 0: return 1;
      case 1: return r <= a;
      case 2: return std::max(0.0, 2 - 2 * r);
      case 3: t = std::tanh(b * u); return double(a) * b * (1 - t * t);
      case 4: return a * std::cos(double(a) * u);
      case 5: return std::max(0.0, a * (std::sqrt(2.0) * b - double(b) * b * r));
      default: return r <= a ? 2 - 2 * r : 0;
    }
  }
};
inline const std::vector<Slope>& slopes() {
  static const std::vector<Slope> all = {{0, 0, 0}, {1, 1, 0}, {2, 0, 0}, {3, 1.3f, 0.8f}, {4, 20, 0}, {5, 1.2f, 0.9f}, {6, 1, 0}};
  return all;
}

}  // namespace kernel_test

using namespace kernel_test;
