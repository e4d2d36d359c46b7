// module.cpp -- kernel modules (shared objects made by build.sh) and launches
//
// An image for cuModuleLoadData is the bytes of such a shared object, or the text "hostcuda module\n" followed by its path and a newline.
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include "driver.h"

using namespace hostcuda;

namespace {

constexpr char kMagic[] = "hostcuda module\n";

struct TlsSymbol { std::string name; size_t offset, bytes; };

/**
 * The shared variables of a module, and which of them each function may come to use: by the relocations that the linker leaves in it (--emit-relocs),
 * which tell the variables and the functions that a function names. build.sh gives each function a section of its own, so that no call goes without one.
 */
class SharedUses {
 public:
  std::vector<TlsSymbol> variables;

  explicit SharedUses(const std::string& file) {
    if (file.size() < sizeof(Elf64_Ehdr)) return;
    const char* p = file.data();
    const auto* header = reinterpret_cast<const Elf64_Ehdr*>(p);
    const auto* sections = reinterpret_cast<const Elf64_Shdr*>(p + header->e_shoff);
    for (unsigned i = 0; i < header->e_shnum; i++) {
      if (sections[i].sh_type != SHT_SYMTAB) continue;
      const auto* symbols = reinterpret_cast<const Elf64_Sym*>(p + sections[i].sh_offset);
      const char* names = p + sections[sections[i].sh_link].sh_offset;
      std::map<size_t, size_t> variableOf;   // by the number of the symbol
      for (size_t k = 0; k < sections[i].sh_size / sizeof(Elf64_Sym); k++) {
        if (symbols[k].st_shndx == SHN_UNDEF) continue;
        if (ELF64_ST_TYPE(symbols[k].st_info) == STT_TLS) {
          variableOf[k] = variables.size();
          variables.push_back({names + symbols[k].st_name, symbols[k].st_value, symbols[k].st_size});
        } else if (ELF64_ST_TYPE(symbols[k].st_info) == STT_FUNC && symbols[k].st_size) {
          functions[symbols[k].st_value].end = symbols[k].st_value + symbols[k].st_size;
          if (ELF64_ST_BIND(symbols[k].st_info) != STB_LOCAL) byName[names + symbols[k].st_name] = symbols[k].st_value;
        }
      }
      for (unsigned r = 0; r < header->e_shnum; r++) {
        if (sections[r].sh_type != SHT_RELA || sections[r].sh_link != i || !(sections[sections[r].sh_info].sh_flags & SHF_EXECINSTR)) continue;
        const auto* relocations = reinterpret_cast<const Elf64_Rela*>(p + sections[r].sh_offset);
        for (size_t k = 0; k < sections[r].sh_size / sizeof(Elf64_Rela); k++) {
          Function* from = at(relocations[k].r_offset);
          if (!from) continue;
          size_t number = ELF64_R_SYM(relocations[k].r_info);
          const Elf64_Sym& to = symbols[number];
          relocated = true;
          if (variableOf.count(number)) from->variables.insert(variableOf[number]);
          else if (ELF64_ST_TYPE(to.st_info) == STT_FUNC) from->named.insert(to.st_value);
          else if (ELF64_ST_TYPE(to.st_info) == STT_SECTION) from->named.insert(to.st_value + size_t(relocations[k].r_addend) + 4);   // from the end of the field
        }
      }
    }
  }

  /** Whether the linker left relocations. */
  bool known() const { return relocated; }

  /** The numbers of the variables that the function, those it names, those they name, and so on, name. */
  std::set<size_t> of(const std::string& function) {
    std::set<size_t> result;
    std::set<const Function*> seen;
    std::vector<size_t> next = {byName[function]};
    while (!next.empty()) {
      Function* f = at(next.back());
      next.pop_back();
      if (!f || !seen.insert(f).second) continue;
      result.insert(f->variables.begin(), f->variables.end());
      next.insert(next.end(), f->named.begin(), f->named.end());
    }
    return result;
  }

 private:
  struct Function { size_t end; std::set<size_t> variables, named; };

  /** The function whose code holds that address. */
  Function* at(size_t address) {
    auto f = functions.upper_bound(address);
    return f == functions.begin() || address >= (--f)->second.end ? nullptr : &f->second;
  }

  std::map<size_t, Function> functions;   // by where they begin
  std::map<std::string, size_t> byName;
  bool relocated = false;
};

CUresult open(CUmodule* module, const std::string& path, const std::string& shownAs) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) return complain(CUDA_ERROR_SHARED_OBJECT_INIT_FAILED, "cuModuleLoad: " + std::string(dlerror()));
  auto kernels = reinterpret_cast<void (*)(const KernelEntry* const**, const KernelEntry* const**)>(dlsym(handle, "hostcuda_module_kernels"));
  auto tls = reinterpret_cast<char* (*)()>(dlsym(handle, "hostcuda_module_tls"));
  auto dynamicNames = reinterpret_cast<const char* (*)()>(dlsym(handle, "hostcuda_module_dynamic"));
  if (!kernels || !tls || !dynamicNames) {
    dlclose(handle);
    return complain(CUDA_ERROR_INVALID_IMAGE, "cuModuleLoad: " + shownAs + " was not made by hostcuda/build.sh");
  }
  std::ifstream in(path, std::ios::binary);
  std::string file((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  SharedUses uses(file);
  if (!uses.known()) {
    dlclose(handle);
    return complain(CUDA_ERROR_INVALID_IMAGE, "cuModuleLoad: " + shownAs + " has no relocations left in it; hostcuda/build.sh links it with --emit-relocs");
  }
  size_t anchor = 0;
  for (auto& s : uses.variables) if (s.name == "hostcuda_tls_anchor") anchor = s.offset;
  std::string dynamic = dynamicNames();

  // where the module's segments are, for the checked build
  struct Extent { const void* inside; const char *first, *last; } extent = {reinterpret_cast<const void*>(tls), nullptr, nullptr};
  dl_iterate_phdr([](dl_phdr_info* info, size_t, void* data) {
    auto* e = static_cast<Extent*>(data);
    const char *first = nullptr, *last = nullptr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
      if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
      const char* at = reinterpret_cast<const char*>(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
      if (!first || at < first) first = at;
      if (at + info->dlpi_phdr[i].p_memsz > last) last = at + info->dlpi_phdr[i].p_memsz;
    }
    if (e->inside < first || e->inside >= last) return 0;
    e->first = first;
    e->last = last;
    return 1;
  }, &extent);

  CUmod_st* m = new CUmod_st{handle, tls, extent.first, extent.last, {}};
  const KernelEntry* const* first;
  const KernelEntry* const* last;
  kernels(&first, &last);
  for (auto k = first; k != last; ++k) {
    auto f = std::make_unique<CUfunc_st>();
    f->entry = *k;
    f->module = m;
    for (size_t number : uses.of((*k)->name)) {
      const TlsSymbol& s = uses.variables[number];
      bool isDynamic = dynamic.find(" " + s.name + " ") != std::string::npos;
      f->shared.push_back({s.name, s.offset - anchor, s.bytes, isDynamic});
      if (!isDynamic) f->staticBytes += s.bytes;
    }
    f->staticBytes = (f->staticBytes + 15) / 16 * 16;   // as ptxas does
    m->functions[(*k)->name] = std::move(f);
  }
  *module = m;
  return CUDA_SUCCESS;
}

CUresult openBytes(CUmodule* module, const void* image, size_t bytes) {
  int fd = memfd_create("hostcuda-module", 0);
  if (fd < 0 || write(fd, image, bytes) != ssize_t(bytes)) return complain(CUDA_ERROR_INVALID_IMAGE, "cuModuleLoadData: cannot copy the image");
  CUresult r = open(module, "/proc/self/fd/" + std::to_string(fd), "the image");
  // the descriptor stays open: a second image must not be taken for this one by its path
  return r;
}

}  // namespace

namespace hostcuda {

void launch(CUfunction f, dim3 grid, dim3 block, unsigned sharedBytes, const std::vector<unsigned char>& values) {
  const KernelEntry& e = *f->entry;
  std::vector<void*> arguments(e.count + 1);
  size_t offset = 0;
  for (unsigned i = 0; i < e.count; i++) {
    offset = (offset + e.alignments[i] - 1) / e.alignments[i] * e.alignments[i];
    arguments[i] = const_cast<unsigned char*>(values.data()) + offset;
    for (unsigned k = 0; k + 8 <= e.sizes[i]; k += 8) {
      void* p;
      memcpy(&p, values.data() + offset + k, 8);
      if (isFreed(p)) {
        stick(CUDA_ERROR_ILLEGAL_ADDRESS, std::string("kernel ") + e.name + ": argument " + std::to_string(i) + ": " + describe(p));
        return;
      }
    }
    offset += e.sizes[i];
  }
  countLaunch(e.name);
  if (idle()) return;
  Launch l{&e, arguments.data(), grid, block, sharedBytes, &f->shared, f->module->tls, f->module->dataFirst, f->module->dataLast};
  run(l);
  if (l.code) stick(CUresult(l.code), l.error);
  std::string damage = checkFences(false);
  if (!damage.empty()) stick(CUDA_ERROR_ILLEGAL_ADDRESS, std::string("kernel ") + e.name + ": " + damage);
}

}  // namespace hostcuda

extern "C" {

CUresult cuModuleLoad(CUmodule* module, const char* path) {
  REQUIRE_LIVE();
  std::ifstream in(path, std::ios::binary);
  if (!in) return complain(CUDA_ERROR_FILE_NOT_FOUND, std::string("cuModuleLoad: cannot read ") + path);
  std::string s((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (s.compare(0, 4, "\x7f" "ELF") == 0) {
    std::string absolute = path;
    if (absolute.find('/') == std::string::npos) absolute = "./" + absolute;
    return open(module, absolute, path);
  }
  return cuModuleLoadData(module, s.c_str());
}

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  REQUIRE_LIVE();
  if (CUresult r = refuseWhileCapturing("cuModuleLoadData")) return r;
  const char* text = static_cast<const char*>(image);
  if (memcmp(text, "\x7f" "ELF", 4) == 0) {
    const auto* h = static_cast<const Elf64_Ehdr*>(image);
    if (h->e_machine != EM_X86_64) return complain(CUDA_ERROR_INVALID_IMAGE, "cuModuleLoadData: a cubin for a real device cannot run on the emulated one");
    return openBytes(module, image, h->e_shoff + size_t(h->e_shnum) * h->e_shentsize);
  }
  if (strncmp(text, kMagic, sizeof kMagic - 1) == 0) {
    const char* path = text + sizeof kMagic - 1;
    std::string p(path, strcspn(path, "\n"));
    return open(module, p, p);
  }
  return complain(CUDA_ERROR_INVALID_IMAGE, "cuModuleLoadData: the image is neither a module made by hostcuda/build.sh nor its path behind \"hostcuda module\"");
}
CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned, int*, void**) { return cuModuleLoadData(module, image); }
CUresult cuModuleLoadFatBinary(CUmodule* module, const void* image) { return cuModuleLoadData(module, image); }
CUresult cuModuleUnload(CUmodule module) {
  if (!module) return CUDA_ERROR_INVALID_HANDLE;
  finishAll();
  dlclose(module->handle);
  delete module;
  return CUDA_SUCCESS;
}
CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  REQUIRE_LIVE();
  auto f = module->functions.find(name);
  if (f == module->functions.end()) return complain(CUDA_ERROR_NOT_FOUND, std::string("cuModuleGetFunction: the module has no extern \"C\" __global__ ") + name);
  *function = f->second.get();
  return CUDA_SUCCESS;
}
CUresult cuModuleGetGlobal(CUdeviceptr* address, size_t* bytes, CUmodule module, const char* name) {
  REQUIRE_LIVE();
  void* p = dlsym(module->handle, name);
  if (!p) return complain(CUDA_ERROR_NOT_FOUND, std::string("cuModuleGetGlobal: the module has no extern \"C\" variable ") + name);
  Dl_info info;
  ElfW(Sym)* symbol = nullptr;
  dladdr1(p, &info, reinterpret_cast<void**>(&symbol), RTLD_DL_SYMENT);
  if (address) *address = reinterpret_cast<CUdeviceptr>(p);
  if (bytes) *bytes = symbol ? symbol->st_size : 0;
  if (symbol) registerHost(p, symbol->st_size);
  return CUDA_SUCCESS;
}

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction f) {
  REQUIRE_LIVE();
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = int(f->entry->maxThreads); break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: *value = int(f->staticBytes); break;
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES: case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES: case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA: *value = 0; break;
    case CU_FUNC_ATTRIBUTE_NUM_REGS: *value = 32; break;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION: case CU_FUNC_ATTRIBUTE_BINARY_VERSION: *value = 80; break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: *value = f->maxDynamicBytes ? f->maxDynamicBytes : int(kSharedBytes - f->staticBytes); break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: *value = -1; break;
    default: return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}
CUresult cuFuncSetAttribute(CUfunction f, CUfunction_attribute attribute, int value) {
  REQUIRE_LIVE();
  if (attribute == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) return CUDA_SUCCESS;
  if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0) return CUDA_ERROR_INVALID_VALUE;
  if (size_t(value) + f->staticBytes > sharedOptInBytes())
    return complain(CUDA_ERROR_INVALID_VALUE, std::string("cuFuncSetAttribute: ") + f->entry->name + ": " + std::to_string(value) + " dynamic and " +
                    std::to_string(f->staticBytes) + " static bytes pass the " + std::to_string(sharedOptInBytes()) + " bytes of shared memory");
  f->maxDynamicBytes = value;
  return CUDA_SUCCESS;
}
CUresult cuFuncSetCacheConfig(CUfunction, int) { return CUDA_SUCCESS; }
CUresult cuFuncSetSharedMemConfig(CUfunction, int) { return CUDA_SUCCESS; }
CUresult cuFuncGetModule(CUmodule* module, CUfunction f) { *module = f->module; return CUDA_SUCCESS; }

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction f, int blockSize, size_t dynamicBytes) {
  REQUIRE_LIVE();
  if (blockSize < 1 || unsigned(blockSize) > f->entry->maxThreads) { *blocks = 0; return CUDA_SUCCESS; }
  size_t shared = std::max<size_t>(1, f->staticBytes + dynamicBytes + sharedReservedBytes());
  *blocks = int(std::min<size_t>({32, 2048 / size_t((blockSize + 31) / 32 * 32), (sharedOptInBytes() + sharedReservedBytes()) / shared}));
  return CUDA_SUCCESS;
}
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, CUfunction f, int blockSize, size_t dynamicBytes, unsigned) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, f, blockSize, dynamicBytes);
}
CUresult cuOccupancyMaxPotentialBlockSize(int* grid, int* block, CUfunction f, CUoccupancyB2DSize sizes, size_t dynamicBytes, int limit) {
  REQUIRE_LIVE();
  int most = int(f->entry->maxThreads), best = 0, threads = 0;
  if (limit > 0) most = std::min(most, limit);
  for (int b = most / 32 * 32; b >= 32; b -= 32) {
    int n = 0;
    cuOccupancyMaxActiveBlocksPerMultiprocessor(&n, f, b, sizes ? sizes(b) : dynamicBytes);
    if (n * b > threads) { threads = n * b; best = b; }
  }
  *block = best;
  *grid = best ? threads / best * 16 : 0;
  return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned sharedBytes,
                        CUstream stream, void** parameters, void** extra) {
  REQUIRE_LIVE();
  if (!f) return CUDA_ERROR_INVALID_HANDLE;
  const KernelEntry& e = *f->entry;
  std::string who = std::string("cuLaunchKernel ") + e.name + ": ";
  if (!gx || !gy || !gz || gx > 2147483647u || gy > 65535 || gz > 65535)
    return complain(CUDA_ERROR_INVALID_VALUE, who + "grid (" + std::to_string(gx) + "," + std::to_string(gy) + "," + std::to_string(gz) + ") is outside 1..2147483647, 1..65535, 1..65535");
  unsigned long long threads = (unsigned long long)bx * by * bz;
  if (!threads || bx > 1024 || by > 1024 || bz > 64 || threads > 1024)
    return complain(CUDA_ERROR_INVALID_VALUE, who + "block (" + std::to_string(bx) + "," + std::to_string(by) + "," + std::to_string(bz) + ") must hold 1 to 1024 threads");
  if (threads > e.maxThreads)
    return complain(CUresult(701), who + std::to_string(threads) + " threads pass its __launch_bounds__ of " + std::to_string(e.maxThreads));
  size_t allowed = f->maxDynamicBytes ? size_t(f->maxDynamicBytes) : kSharedBytes - std::min(kSharedBytes, f->staticBytes);
  if (sharedBytes > allowed)
    return complain(CUDA_ERROR_INVALID_VALUE, who + std::to_string(sharedBytes) + " bytes of dynamic shared memory, allowed are " + std::to_string(allowed) +
                    " (cuFuncSetAttribute raises that)");
  std::vector<unsigned char> values;
  if (parameters) {
    for (unsigned i = 0; i < e.count; i++) {
      size_t offset = (values.size() + e.alignments[i] - 1) / e.alignments[i] * e.alignments[i];
      values.resize(offset + e.sizes[i]);
      if (!parameters[i]) return complain(CUDA_ERROR_INVALID_VALUE, who + "argument " + std::to_string(i) + " is null, the kernel has " + std::to_string(e.count));
      memcpy(values.data() + offset, parameters[i], e.sizes[i]);
    }
  } else if (extra) {
    const void* buffer = nullptr;
    size_t bytes = 0, needed = 0;
    for (int i = 0; extra[i] != CU_LAUNCH_PARAM_END; i += 2) {
      if (extra[i] == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = extra[i + 1];
      if (extra[i] == CU_LAUNCH_PARAM_BUFFER_SIZE) bytes = *static_cast<size_t*>(extra[i + 1]);
    }
    for (unsigned i = 0; i < e.count; i++) needed = (needed + e.alignments[i] - 1) / e.alignments[i] * e.alignments[i] + e.sizes[i];
    if (!buffer || bytes < needed) return complain(CUDA_ERROR_INVALID_VALUE, who + "the parameter buffer holds " + std::to_string(bytes) + " bytes, needed are " + std::to_string(needed));
    values.assign(static_cast<const unsigned char*>(buffer), static_cast<const unsigned char*>(buffer) + bytes);
  } else if (e.count) {
    return complain(CUDA_ERROR_INVALID_VALUE, who + "no arguments given, the kernel has " + std::to_string(e.count));
  }
  return enqueue(stream, [=, values = std::move(values)] { launch(f, dim3(gx, gy, gz), dim3(bx, by, bz), sharedBytes, values); });
}
CUresult cuLaunchCooperativeKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                                   unsigned sharedBytes, CUstream stream, void** parameters) {
  (void)f; (void)gx; (void)gy; (void)gz; (void)bx; (void)by; (void)bz; (void)sharedBytes; (void)stream; (void)parameters;
  return complain(CUDA_ERROR_NOT_SUPPORTED, "cuLaunchCooperativeKernel: blocks run one after the other here, a grid barrier cannot work");
}
CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* data) {
  REQUIRE_LIVE();
  return enqueue(stream, [=] { function(data); });
}

}
