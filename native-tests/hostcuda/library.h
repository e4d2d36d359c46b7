// library.h -- what the cuBLAS and cuDNN stand-ins share: elements as float, work in stream order, loops over two cores
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>
#include "counters.h"
#include "device_types.h"

namespace hostcuda {

enum class Element { kFloat, kBfloat16 };

inline size_t bytesOf(Element e) { return e == Element::kFloat ? 4 : 2; }
inline float load(const void* p, size_t i, Element e) {
  return e == Element::kFloat ? static_cast<const float*>(p)[i] : bfloat16Value(static_cast<const uint16_t*>(p)[i]);
}
inline void store(void* p, size_t i, Element e, float v) {
  if (e == Element::kFloat) static_cast<float*>(p)[i] = v;
  else static_cast<uint16_t*>(p)[i] = bfloat16Bits(v);
}

/** Runs the work now or when the graph that the stream records is launched. */
template <class Work> int submit(void* stream, const char* call, Work work) {
  hostcuda_count_library_call(call);
  return hostcuda_enqueue(stream, [](void* p) { (*static_cast<Work*>(p))(); }, new Work(std::move(work)), [](void* p) { delete static_cast<Work*>(p); });
}

/** body(first, last) over [0, n) in two halves; which index falls in which half never changes a result. */
template <class Body> void halves(size_t n, size_t work, Body body) {
  if (n < 2 || work < (size_t(1) << 20)) { body(size_t(0), n); return; }
  std::thread other([&] { body(n / 2, n); });
  body(size_t(0), n / 2);
  other.join();
}

}  // namespace hostcuda
