// kernel_test.cpp -- runs the kernel tests on the device that libcuda.so.1 opens
//
//   kernel_tests IMAGE [--driver LIBRARY] [--device N] [--only TEXT] [--without TEXT] [--no-poison] [--list] [--perf]
//
// --perf runs the measurements instead of the tests, on a GPU only.
// IMAGE is the fatbin, or the module of the emulated device. Exit code 0: all passed; 1: a check failed; 2: wrong words; 3: no device.
#include "kernel_test.h"
#include <dlfcn.h>
#include <chrono>
#include <fstream>
#include <iterator>
#include <map>

namespace kernel_test {

Driver driver;
static std::string current;
static int failures = 0, checks = 0;

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

std::vector<Test>& measurements() {
  static std::vector<Test> all;
  return all;
}

std::vector<float> milliseconds(int runs, const std::function<void(int)>& work) {
  static CUevent first, last;
  if (!first) {
    require(driver.eventCreate(&first, 0), "cuEventCreate");
    require(driver.eventCreate(&last, 0), "cuEventCreate");
  }
  std::vector<float> times;
  for (int i = -3; i < runs; i++) {
    require(driver.eventRecord(first, nullptr), "cuEventRecord");
    work(i + 3);
    require(driver.eventRecord(last, nullptr), "cuEventRecord");
    require(driver.ctxSynchronize(), "cuCtxSynchronize");
    float time;
    require(driver.eventElapsedTime(&time, first, last), "cuEventElapsedTime");
    if (i >= 0) times.push_back(time);
  }
  std::sort(times.begin(), times.end());
  return times;
}

void stop(const std::string& what, int code) {
  const char* text = nullptr;
  if (driver.getErrorString) driver.getErrorString(CUresult(code), &text);
  fprintf(stderr, "FAILED %s: %s answered %d (%s) %s\n", current.c_str(), what.c_str(), code, text ? text : "", driver.lastError ? driver.lastError() : "");
  exit(current.empty() ? 3 : 1);
}

void expect(bool holds, const std::string& sentence) {
  checks++;
  if (holds) return;
  failures++;
  fprintf(stderr, "FAILED %s: %s\n", current.c_str(), sentence.c_str());
}

void begin(const std::string& kernel, const Launch& l, void** arguments) {
  static std::map<std::string, CUfunction> known;
  CUfunction& function = known[kernel];
  if (!function) require(driver.moduleGetFunction(&function, driver.module, kernel.c_str()), "cuModuleGetFunction " + kernel);
  if (l.sharedBytes > 0) {   // what a launch may take without asking is 48 KB less the kernel's own arrays
    require(driver.funcSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, int(l.sharedBytes)), "cuFuncSetAttribute " + kernel);
  }
  require(driver.launchKernel(function, l.gridX, l.gridY, 1, l.blockX, l.blockY, 1, l.sharedBytes, nullptr, arguments, nullptr), kernel);
}

void run(const std::string& kernel, const Launch& l, void** arguments) {
  begin(kernel, l, arguments);
  require(driver.ctxSynchronize(), "cuCtxSynchronize after " + kernel);
}

template <class F> static void find(void* library, F& function, const char* name) {
  function = reinterpret_cast<F>(dlsym(library, name));
  if (!function) {
    fprintf(stderr, "kernel_tests: the driver has no %s\n", name);
    exit(3);
  }
}

#define NAME_OF_TEXT(call) #call
#define NAME_OF(call) NAME_OF_TEXT(call)   // the header gives some calls a version: cuMemAlloc is cuMemAlloc_v2

static void open(const char* path, int index, const std::vector<char>& image) {
  void* library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (!library) {
    fprintf(stderr, "kernel_tests: no CUDA driver: %s\n", dlerror());
    exit(3);
  }
  find(library, driver.init, NAME_OF(cuInit));
  find(library, driver.deviceGet, NAME_OF(cuDeviceGet));
  find(library, driver.deviceGetName, NAME_OF(cuDeviceGetName));
  find(library, driver.deviceGetAttribute, NAME_OF(cuDeviceGetAttribute));
  find(library, driver.primaryCtxRetain, NAME_OF(cuDevicePrimaryCtxRetain));
  find(library, driver.ctxSetCurrent, NAME_OF(cuCtxSetCurrent));
  find(library, driver.ctxSynchronize, NAME_OF(cuCtxSynchronize));
  find(library, driver.moduleLoadData, NAME_OF(cuModuleLoadData));
  find(library, driver.moduleGetFunction, NAME_OF(cuModuleGetFunction));
  find(library, driver.funcSetAttribute, NAME_OF(cuFuncSetAttribute));
  find(library, driver.memAlloc, NAME_OF(cuMemAlloc));
  find(library, driver.memFree, NAME_OF(cuMemFree));
  find(library, driver.memsetD8, NAME_OF(cuMemsetD8));
  find(library, driver.memcpyHtoD, NAME_OF(cuMemcpyHtoD));
  find(library, driver.memcpyDtoH, NAME_OF(cuMemcpyDtoH));
  find(library, driver.launchKernel, NAME_OF(cuLaunchKernel));
  find(library, driver.eventCreate, NAME_OF(cuEventCreate));
  find(library, driver.eventRecord, NAME_OF(cuEventRecord));
  find(library, driver.eventElapsedTime, NAME_OF(cuEventElapsedTime));
  find(library, driver.getErrorString, NAME_OF(cuGetErrorString));
  driver.lastError = reinterpret_cast<const char* (*)()>(dlsym(library, "hostcuda_last_error"));
  CUdevice device;
  CUcontext context;
  char name[256] = "";
  int major = 0, minor = 0, multiprocessors = 0;
  require(driver.init(0), "cuInit");
  require(driver.deviceGet(&device, index), "cuDeviceGet");
  require(driver.deviceGetName(name, sizeof name, device), "cuDeviceGetName");
  require(driver.deviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device), "cuDeviceGetAttribute");
  require(driver.deviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device), "cuDeviceGetAttribute");
  require(driver.deviceGetAttribute(&multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device), "cuDeviceGetAttribute");
  driver.capability = 10 * major + minor;
  driver.multiprocessors = unsigned(multiprocessors);
  require(driver.primaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
  require(driver.ctxSetCurrent(context), "cuCtxSetCurrent");
  require(driver.moduleLoadData(&driver.module, image.data()), "cuModuleLoadData");
  printf("%s, compute capability %d.%d\n", name, major, minor);
}

static int main(int count, char** words) {
  const char *file = nullptr, *only = "", *without = nullptr, *path = "libcuda.so.1";
  int device = 0;
  bool list = false, perf = false;
  driver.poison = true;
  setvbuf(stdout, nullptr, _IOLBF, 0);   // a log that is cut off says how far the tests came
  for (int i = 1; i < count; i++) {
    std::string word = words[i];
    bool more = i + 1 < count;
    if (word == "--driver" && more) path = words[++i];
    else if (word == "--device" && more) device = atoi(words[++i]);
    else if (word == "--only" && more) only = words[++i];
    else if (word == "--without" && more) without = words[++i];
    else if (word == "--no-poison") driver.poison = false;
    else if (word == "--list") list = true;
    else if (word == "--perf") perf = true;
    else if (word[0] != '-' && !file) file = words[i];
    else return fprintf(stderr, "kernel_tests: %s is not known\n", words[i]), 2;
  }
  std::sort(tests().begin(), tests().end(), [](const Test& a, const Test& b) { return strcmp(a.name, b.name) < 0; });
  if (list) {
    for (const Test& t : tests()) printf("%s\n", t.name);
    return 0;
  }
  if (!file) return fprintf(stderr, "kernel_tests: name the image: kernels.fatbin, or the module of the emulated device\n"), 2;
  std::ifstream in(file, std::ios::binary);
  std::vector<char> image((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (image.empty()) return fprintf(stderr, "kernel_tests: %s cannot be read\n", file), 2;
  image.push_back(0);
  open(path, device, image);
  if (perf) {
    if (driver.lastError) return fprintf(stderr, "kernel_tests: the emulated device is never timed; --perf wants a GPU\n"), 2;
    for (const Test& m : measurements()) if (strstr(m.name, only)) m.run();
    return 0;
  }
  int ran = 0, bad = 0;
  for (const Test& t : tests()) {
    if (!strstr(t.name, only) || (without && strstr(t.name, without))) continue;
    current = t.name;
    int before = failures;
    auto begin = std::chrono::steady_clock::now();
    t.run();
    long millis = long(std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin).count());
    printf("%-6s %s (%ld ms)\n", failures == before ? "ok" : "FAILED", t.name, millis);
    ran++;
    bad += failures != before;
  }
  printf("%d tests, %d failed, %d checks\n", ran, bad, checks);
  return ran == 0 ? (fprintf(stderr, "kernel_tests: no test is named like %s\n", only), 2) : bad ? 1 : 0;
}

}  // namespace kernel_test

int main(int count, char** words) { return kernel_test::main(count, words); }
