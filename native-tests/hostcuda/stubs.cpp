// stubs.cpp -- where the entry points that are not emulated end
#include <cstdio>
extern "C" int hostcuda_not_emulated(const char* call, int code) {
  fprintf(stderr, "hostcuda: %s is not emulated\n", call);
  return code;
}
