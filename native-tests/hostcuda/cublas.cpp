// cublas.cpp -- the cuBLAS calls of Onebit as plain loops: handles, Sgemm, GemmEx (float32, bfloat16) and their strided batches
//
// Everything else that JCublas2 imports is exported too and answers CUBLAS_STATUS_NOT_SUPPORTED (stubs made by build.sh).
#include "library.h"

using namespace hostcuda;

namespace {

enum Status { kSuccess = 0, kNotInitialized = 1, kInvalidValue = 7, kExecutionFailed = 13, kNotSupported = 15 };

struct Handle {
  void* stream = nullptr;
  int mathMode = 0, pointerMode = 0, atomics = 0;
};

struct Matrix { const void* at; Element element; int64_t leading, stride; };

struct Gemm {
  bool transposeA, transposeB;
  int64_t m, n, k;
  const void *alpha, *beta;
  float alphaValue, betaValue;
  bool scalarsOnDevice;
  Matrix a, b;
  void* c;
  Element elementC;
  int64_t leadingC, strideC, batch;

  void operator()() const {
    float alphaNow = scalarsOnDevice ? *static_cast<const float*>(alpha) : alphaValue;
    float betaNow = scalarsOnDevice ? *static_cast<const float*>(beta) : betaValue;
    for (int64_t i = 0; i < batch; i++) one(alphaNow, betaNow, i);
  }
  /** C = alpha op(A) op(B) + beta C, column by column; sums run over k in order, in float32. */
  void one(float alphaNow, float betaNow, int64_t index) const {
    std::vector<float> columns(size_t(m * k));   // op(A), column l contiguous
    for (int64_t l = 0; l < k; l++)
      for (int64_t i = 0; i < m; i++)
        columns[size_t(l * m + i)] = load(a.at, size_t(index * a.stride + (transposeA ? i * a.leading + l : l * a.leading + i)), a.element);
    halves(size_t(n), size_t(m * n * k), [&](size_t first, size_t last) {
      std::vector<float> sum(static_cast<size_t>(m));
      for (size_t j = first; j < last; j++) {
        std::fill(sum.begin(), sum.end(), 0.0f);
        for (int64_t l = 0; l < k; l++) {
          float v = load(b.at, size_t(index * b.stride + (transposeB ? l * b.leading + int64_t(j) : int64_t(j) * b.leading + l)), b.element);
          const float* column = &columns[size_t(l * m)];
          for (int64_t i = 0; i < m; i++) sum[size_t(i)] += v * column[i];
        }
        for (int64_t i = 0; i < m; i++) {
          size_t at = size_t(index * strideC + int64_t(j) * leadingC + i);
          float old = betaNow == 0 ? 0 : betaNow * load(c, at, elementC);
          store(c, at, elementC, alphaNow * sum[size_t(i)] + old);
        }
      }
    });
  }
};

bool element(int type, Element& e) {
  if (type == 0) { e = Element::kFloat; return true; }        // CUDA_R_32F
  if (type == 14) { e = Element::kBfloat16; return true; }    // CUDA_R_16BF
  return false;
}

Status gemm(const char* call, Handle* h, int ta, int tb, int64_t m, int64_t n, int64_t k, const void* alpha, const void* a, int typeA, int64_t lda,
            int64_t strideA, const void* b, int typeB, int64_t ldb, int64_t strideB, const void* beta, void* c, int typeC, int64_t ldc, int64_t strideC,
            int64_t batch) {
  if (!h) return kNotInitialized;
  Element ea, eb, ec;
  if (!element(typeA, ea) || !element(typeB, eb) || !element(typeC, ec)) return kNotSupported;
  if (m < 0 || n < 0 || k < 0 || batch < 0 || lda < std::max<int64_t>(1, ta ? k : m) || ldb < std::max<int64_t>(1, tb ? n : k) || ldc < std::max<int64_t>(1, m)) return kInvalidValue;
  if (m == 0 || n == 0 || batch == 0) return kSuccess;
  auto span = [](int64_t rows, int64_t columns, int64_t leading, int64_t stride, int64_t count) { return uint64_t((count - 1) * stride + (columns - 1) * leading + rows); };
  if (k > 0) {
    if (hostcuda_check_range(a, span(ta ? k : m, ta ? m : k, lda, strideA, batch) * bytesOf(ea), (std::string(call) + " A").c_str())) return kExecutionFailed;
    if (hostcuda_check_range(b, span(tb ? n : k, tb ? k : n, ldb, strideB, batch) * bytesOf(eb), (std::string(call) + " B").c_str())) return kExecutionFailed;
  }
  if (hostcuda_check_range(c, span(m, n, ldc, strideC, batch) * bytesOf(ec), (std::string(call) + " C").c_str())) return kExecutionFailed;
  bool device = h->pointerMode == 1;
  Gemm g{ta != 0, tb != 0, m, n, k, alpha, beta, device ? 0 : *static_cast<const float*>(alpha), device ? 0 : *static_cast<const float*>(beta), device,
         {a, ea, lda, strideA}, {b, eb, ldb, strideB}, c, ec, ldc, strideC, batch};
  return submit(h->stream, call, g) ? kExecutionFailed : kSuccess;
}

bool floatSums(int compute) { return (compute >= 68 && compute <= 69) || (compute >= 74 && compute <= 77); }   // the CUBLAS_COMPUTE_32F family

}  // namespace

extern "C" {
Status cublasCreate_v2(Handle** h) { *h = new Handle; return kSuccess; }
Status cublasDestroy_v2(Handle* h) { delete h; return kSuccess; }
Status cublasGetVersion_v2(Handle*, int* version) { *version = 120600; return kSuccess; }
Status cublasSetStream_v2(Handle* h, void* stream) { h->stream = stream; return kSuccess; }
Status cublasGetStream_v2(Handle* h, void** stream) { *stream = h->stream; return kSuccess; }
Status cublasSetWorkspace_v2(Handle*, void* workspace, size_t bytes) {
  return bytes && hostcuda_check_range(workspace, bytes, "cublasSetWorkspace") ? kInvalidValue : kSuccess;
}
Status cublasSetMathMode(Handle* h, int mode) { h->mathMode = mode; return kSuccess; }
Status cublasGetMathMode(Handle* h, int* mode) { *mode = h->mathMode; return kSuccess; }
Status cublasSetPointerMode_v2(Handle* h, int mode) { h->pointerMode = mode; return kSuccess; }
Status cublasGetPointerMode_v2(Handle* h, int* mode) { *mode = h->pointerMode; return kSuccess; }
Status cublasSetAtomicsMode(Handle* h, int mode) { h->atomics = mode; return kSuccess; }
Status cublasGetAtomicsMode(Handle* h, int* mode) { *mode = h->atomics; return kSuccess; }
const char* cublasGetStatusString(Status s) {
  return s == kSuccess ? "success" : s == kNotInitialized ? "not initialized" : s == kInvalidValue ? "an unsupported value or parameter was passed"
       : s == kNotSupported ? "the requested functionality is not supported" : "the function failed to execute";
}
Status cublasSgemm_v2(Handle* h, int ta, int tb, int m, int n, int k, const float* alpha, const float* a, int lda, const float* b, int ldb, const float* beta, float* c, int ldc) {
  return gemm("cublasSgemm", h, ta, tb, m, n, k, alpha, a, 0, lda, 0, b, 0, ldb, 0, beta, c, 0, ldc, 0, 1);
}
Status cublasSgemmStridedBatched(Handle* h, int ta, int tb, int m, int n, int k, const float* alpha, const float* a, int lda, long long sa, const float* b, int ldb,
                                 long long sb, const float* beta, float* c, int ldc, long long sc, int batch) {
  return gemm("cublasSgemmStridedBatched", h, ta, tb, m, n, k, alpha, a, 0, lda, sa, b, 0, ldb, sb, beta, c, 0, ldc, sc, batch);
}
Status cublasGemmEx(Handle* h, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int typeA, int lda, const void* b, int typeB, int ldb,
                    const void* beta, void* c, int typeC, int ldc, int compute, int) {
  if (!floatSums(compute)) return kNotSupported;
  return gemm("cublasGemmEx", h, ta, tb, m, n, k, alpha, a, typeA, lda, 0, b, typeB, ldb, 0, beta, c, typeC, ldc, 0, 1);
}
Status cublasGemmStridedBatchedEx(Handle* h, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int typeA, int lda, long long sa, const void* b,
                                  int typeB, int ldb, long long sb, const void* beta, void* c, int typeC, int ldc, long long sc, int batch, int compute, int) {
  if (!floatSums(compute)) return kNotSupported;
  return gemm("cublasGemmStridedBatchedEx", h, ta, tb, m, n, k, alpha, a, typeA, lda, sa, b, typeB, ldb, sb, beta, c, typeC, ldc, sc, batch);
}
}
