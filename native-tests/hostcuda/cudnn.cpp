// cudnn.cpp -- the cuDNN calls of Onebit as plain loops: descriptors, 2-d convolution forward, by data and by filter
//
// float32 or bfloat16 for all three tensors, NCHW and NHWC, groups, stride, padding, dilation, sums in float32. Algorithm 1 of each direction wants a workspace
// and is deterministic, algorithm 0 wants none and says it is not (by data, by filter), as on a device. cudnnHostcudaRefuse makes it refuse what a device
// may refuse. Everything else that JCudnn imports answers CUDNN_STATUS_NOT_SUPPORTED (stubs made by build.sh).
#include <algorithm>
#include <cstring>
#include "library.h"

using namespace hostcuda;

namespace {

enum Status { kSuccess = 0, kNotInitialized = 1, kBadParam = 3, kExecutionFailed = 8, kNotSupported = 9 };

struct Handle { void* stream = nullptr; };
struct Tensor { int type = 0, n = 0, c = 0, h = 0, w = 0, sn = 0, sc = 0, sh = 0, sw = 0; };
struct Filter { int type = 0, format = 0, k = 0, c = 0, r = 0, s = 0; };
struct Convolution { int padH = 0, padW = 0, strideH = 1, strideW = 1, dilationH = 1, dilationW = 1, mode = 1, computeType = 0, groups = 1, mathType = 0; };
struct Performance { int algorithm, status; float time; size_t memory; int determinism, mathType, reserved[3]; };

/** What is refused where filters of bfloat16 are no multiple of 8: a sum of these. */
enum Refusal { kNoAlgorithm = 1, kNoWorkspace = 2, kNoRunOfAlgorithm1 = 4, kNoRun = 8, kNothingDeterministic = 16 };
int refused = 0;
bool refuses(int what, const Filter& w) { return (refused & what) && w.type == 9 && w.k % 8 != 0; }

bool element(int type, Element& e) {
  if (type == 0) { e = Element::kFloat; return true; }
  if (type == 9) { e = Element::kBfloat16; return true; }
  return false;
}
int outSize(int in, int pad, int taps, int stride, int dilation) { return (in + 2 * pad - (dilation * (taps - 1) + 1)) / stride + 1; }

size_t extent(const Tensor& t) { return size_t(t.n - 1) * t.sn + size_t(t.c - 1) * t.sc + size_t(t.h - 1) * t.sh + size_t(t.w - 1) * t.sw + 1; }
size_t count(const Filter& f) { return size_t(f.k) * f.c * f.r * f.s; }

/** One convolution: x [n][h][w][c], y [n][p][q][k] as float, channels last, whatever the descriptors say. */
struct Work {
  Tensor x, y;
  Filter w;
  Convolution conv;

  std::vector<float> gather(const void* p, const Tensor& t) const {
    Element e{};
    element(t.type, e);
    std::vector<float> v(size_t(t.n) * t.h * t.w * t.c);
    size_t i = 0;
    for (int n = 0; n < t.n; n++) for (int h = 0; h < t.h; h++) for (int q = 0; q < t.w; q++) for (int c = 0; c < t.c; c++)
      v[i++] = load(p, size_t(n) * t.sn + size_t(c) * t.sc + size_t(h) * t.sh + size_t(q) * t.sw, e);
    return v;
  }
  void scatter(const std::vector<float>& v, float alpha, float beta, void* p, const Tensor& t) const {
    Element e{};
    element(t.type, e);
    size_t i = 0;
    for (int n = 0; n < t.n; n++) for (int h = 0; h < t.h; h++) for (int q = 0; q < t.w; q++) for (int c = 0; c < t.c; c++) {
      size_t at = size_t(n) * t.sn + size_t(c) * t.sc + size_t(h) * t.sh + size_t(q) * t.sw;
      store(p, at, e, alpha * v[i++] + (beta == 0 ? 0 : beta * load(p, at, e)));
    }
  }
  size_t filterAt(int k, int c, int r, int s) const {
    return w.format == 0 ? ((size_t(k) * w.c + c) * w.r + r) * w.s + s : ((size_t(k) * w.r + r) * w.s + s) * w.c + c;
  }
  /** [r][s][k][c], or [r][s][c][k] within each group. */
  std::vector<float> gatherFilter(const void* p, bool filtersLast) const {
    Element e{};
    element(w.type, e);
    std::vector<float> v(count(w));
    const int kg = w.k / conv.groups;
    for (int r = 0; r < w.r; r++) for (int s = 0; s < w.s; s++) for (int k = 0; k < w.k; k++) for (int c = 0; c < w.c; c++) {
      size_t tap = size_t(r * w.s + s) * w.k * w.c, g = size_t(k / kg);
      v[tap + (filtersLast ? (g * w.c + c) * kg + k % kg : size_t(k) * w.c + c)] = load(p, filterAt(k, c, r, s), e);
    }
    return v;
  }
  /** Calls body(r, s, ih, iw) for every tap of output pixel (p, q) inside the image. */
  template <class Body> void taps(int p, int q, Body body) const {
    for (int r = 0; r < w.r; r++) {
      int ih = p * conv.strideH - conv.padH + r * conv.dilationH;
      if (ih < 0 || ih >= x.h) continue;
      for (int s = 0; s < w.s; s++) {
        int iw = q * conv.strideW - conv.padW + s * conv.dilationW;
        if (iw >= 0 && iw < x.w) body(r, s, ih, iw);
      }
    }
  }
  size_t cost() const { return size_t(y.n) * y.h * y.w * y.c * w.c * w.r * w.s; }

  void forward(float alpha, const void* px, const void* pw, float beta, void* py) const {
    std::vector<float> vx = gather(px, x), vw = gatherFilter(pw, true), vy(size_t(y.n) * y.h * y.w * y.c, 0.0f);
    const int kg = w.k / conv.groups;
    halves(size_t(x.n), cost(), [&](size_t first, size_t last) {
      for (size_t n = first; n < last; n++)
        for (int p = 0; p < y.h; p++)
          for (int q = 0; q < y.w; q++) {
            float* out = &vy[((n * y.h + p) * y.w + q) * y.c];
            taps(p, q, [&](int r, int s, int ih, int iw) {
              const float* in = &vx[((n * x.h + ih) * x.w + iw) * x.c];
              const float* row = &vw[size_t(r * w.s + s) * w.k * w.c];
              for (int c = 0; c < x.c; c++, row += kg) {
                float v = in[c];
                float* o = out + c / w.c * kg;
                for (int k = 0; k < kg; k++) o[k] += v * row[k];
              }
            });
          }
    });
    scatter(vy, alpha, beta, py, y);
  }
  void backwardData(float alpha, const void* pw, const void* pdy, float beta, void* pdx) const {
    std::vector<float> vdy = gather(pdy, y), vw = gatherFilter(pw, false), vdx(size_t(x.n) * x.h * x.w * x.c, 0.0f);
    const int kg = w.k / conv.groups;
    halves(size_t(x.n), cost(), [&](size_t first, size_t last) {
      for (size_t n = first; n < last; n++)
        for (int p = 0; p < y.h; p++)
          for (int q = 0; q < y.w; q++) {
            const float* dy = &vdy[((n * y.h + p) * y.w + q) * y.c];
            taps(p, q, [&](int r, int s, int ih, int iw) {
              float* dx = &vdx[((n * x.h + ih) * x.w + iw) * x.c];
              const float* row = &vw[size_t(r * w.s + s) * w.k * w.c];
              for (int k = 0; k < w.k; k++, row += w.c) {
                float v = dy[k];
                float* d = dx + k / kg * w.c;
                for (int c = 0; c < w.c; c++) d[c] += v * row[c];
              }
            });
          }
    });
    scatter(vdx, alpha, beta, pdx, x);
  }
  void backwardFilter(float alpha, const void* px, const void* pdy, float beta, void* pdw) const {
    std::vector<float> vx = gather(px, x), vdy = gather(pdy, y), vdw(count(w), 0.0f);   // [r][s][k][c]
    const int kg = w.k / conv.groups;
    halves(size_t(w.r * w.s), cost(), [&](size_t first, size_t last) {
      // a sum per image, then over the images: thousands of terms in one float32 sum would lose three digits
      const size_t tapSize = size_t(w.k) * w.c;
      std::vector<float> part((last - first) * tapSize);
      for (int n = 0; n < x.n; n++) {
        std::fill(part.begin(), part.end(), 0.0f);
        for (int p = 0; p < y.h; p++)
          for (int q = 0; q < y.w; q++) {
            const float* dy = &vdy[((size_t(n) * y.h + p) * y.w + q) * y.c];
            taps(p, q, [&](int r, int s, int ih, int iw) {
              size_t tap = size_t(r * w.s + s);
              if (tap < first || tap >= last) return;
              const float* in = &vx[((size_t(n) * x.h + ih) * x.w + iw) * x.c];
              float* row = &part[(tap - first) * tapSize];
              for (int k = 0; k < w.k; k++, row += w.c) {
                float v = dy[k];
                const float* i = in + k / kg * w.c;
                for (int c = 0; c < w.c; c++) row[c] += v * i[c];
              }
            });
          }
        for (size_t i = 0; i < part.size(); i++) vdw[first * tapSize + i] += part[i];
      }
    });
    Element e{};
    element(w.type, e);
    for (int r = 0; r < w.r; r++) for (int s = 0; s < w.s; s++) for (int k = 0; k < w.k; k++) for (int c = 0; c < w.c; c++) {
      size_t at = filterAt(k, c, r, s);
      store(pdw, at, e, alpha * vdw[(size_t(r * w.s + s) * w.k + k) * w.c + c] + (beta == 0 ? 0 : beta * load(pdw, at, e)));
    }
  }
};

Status fits(const Tensor& x, const Filter& w, const Convolution& conv, const Tensor& y) {
  Element e;
  if (!element(x.type, e) || w.type != x.type || y.type != x.type || conv.mode != 1 || conv.computeType != 0) return kNotSupported;
  if (x.c != w.c * conv.groups || w.k % conv.groups || y.c != w.k || x.n != y.n) return kBadParam;
  if (y.h != outSize(x.h, conv.padH, w.r, conv.strideH, conv.dilationH) || y.w != outSize(x.w, conv.padW, w.s, conv.strideW, conv.dilationW)) return kBadParam;
  return kSuccess;
}

size_t workspace(const Tensor& x, const Filter& w, int algorithm) { return algorithm == 1 ? (size_t(x.c) * w.r * w.s * sizeof(float) + 255) / 256 * 256 : 0; }

/** Checks shapes, workspace and addresses, then puts the work in the stream. */
template <class Body> Status convolve(const char* call, Handle* h, const Work& work, int algorithm, void* space, size_t spaceBytes, const void* x, const void* w,
                                      const void* y, Body body) {
  if (!h) return kNotInitialized;
  if (Status s = fits(work.x, work.w, work.conv, work.y)) return s;
  if (algorithm != 0 && algorithm != 1) return kNotSupported;
  if (refuses(kNoRun, work.w) || (algorithm == 1 && refuses(kNoRunOfAlgorithm1, work.w))) return kNotSupported;
  size_t needed = workspace(work.x, work.w, algorithm);
  if (spaceBytes < needed) return kBadParam;
  Element e{};
  std::string who = call;
  if (needed && hostcuda_check_range(space, needed, (who + " workspace").c_str())) return kExecutionFailed;
  element(work.x.type, e);
  if (hostcuda_check_range(x, extent(work.x) * bytesOf(e), (who + " x").c_str())) return kExecutionFailed;
  element(work.w.type, e);
  if (hostcuda_check_range(w, count(work.w) * bytesOf(e), (who + " w").c_str())) return kExecutionFailed;
  element(work.y.type, e);
  if (hostcuda_check_range(y, extent(work.y) * bytesOf(e), (who + " y").c_str())) return kExecutionFailed;
  return submit(h->stream, call, [=] {
    if (needed) memset(space, 0xff, needed);   // a workspace is the library's to spoil
    body();
  }) ? kExecutionFailed : kSuccess;
}

Status suggest(const Tensor& x, const Filter& w, const Convolution& conv, const Tensor& y, bool forward, int wanted, int* returned, Performance* results) {
  if (Status s = fits(x, w, conv, y)) return s;
  int n = 0;
  for (int algorithm : {forward ? 1 : 0, forward ? 0 : 1}) {   // the fastest first
    if (n >= wanted || refuses(kNoAlgorithm, w)) break;
    int same = (forward || algorithm == 1) && !refuses(kNothingDeterministic, w);
    results[n++] = {algorithm, 0, float(n), workspace(x, w, algorithm), same, conv.mathType, {0, 0, 0}};
  }
  *returned = n;
  return kSuccess;
}

float value(const void* p) { return *static_cast<const float*>(p); }

}  // namespace

extern "C" {
/** From now on refuses that sum of Refusal, until the next call. */
void cudnnHostcudaRefuse(int what) { refused = what; }
size_t cudnnGetVersion() { return 8907; }
size_t cudnnGetCudartVersion() { return 12060; }
const char* cudnnGetErrorString(Status s) {
  return s == kSuccess ? "CUDNN_STATUS_SUCCESS" : s == kBadParam ? "CUDNN_STATUS_BAD_PARAM" : s == kNotSupported ? "CUDNN_STATUS_NOT_SUPPORTED" : s == kNotInitialized ? "CUDNN_STATUS_NOT_INITIALIZED" : "CUDNN_STATUS_EXECUTION_FAILED";
}
Status cudnnCreate(Handle** h) { *h = new Handle; return kSuccess; }
Status cudnnDestroy(Handle* h) { delete h; return kSuccess; }
Status cudnnSetStream(Handle* h, void* stream) { h->stream = stream; return kSuccess; }
Status cudnnGetStream(Handle* h, void** stream) { *stream = h->stream; return kSuccess; }

Status cudnnCreateTensorDescriptor(Tensor** t) { *t = new Tensor; return kSuccess; }
Status cudnnDestroyTensorDescriptor(Tensor* t) { delete t; return kSuccess; }
Status cudnnSetTensor4dDescriptorEx(Tensor* t, int type, int n, int c, int h, int w, int sn, int sc, int sh, int sw) {
  if (n < 1 || c < 1 || h < 1 || w < 1) return kBadParam;
  *t = {type, n, c, h, w, sn, sc, sh, sw};
  return kSuccess;
}
Status cudnnSetTensor4dDescriptor(Tensor* t, int format, int type, int n, int c, int h, int w) {
  if (format == 0) return cudnnSetTensor4dDescriptorEx(t, type, n, c, h, w, c * h * w, h * w, w, 1);
  if (format == 1) return cudnnSetTensor4dDescriptorEx(t, type, n, c, h, w, h * w * c, 1, w * c, c);
  return kNotSupported;
}
Status cudnnGetTensor4dDescriptor(const Tensor* t, int* type, int* n, int* c, int* h, int* w, int* sn, int* sc, int* sh, int* sw) {
  *type = t->type; *n = t->n; *c = t->c; *h = t->h; *w = t->w; *sn = t->sn; *sc = t->sc; *sh = t->sh; *sw = t->sw;
  return kSuccess;
}
Status cudnnCreateFilterDescriptor(Filter** f) { *f = new Filter; return kSuccess; }
Status cudnnDestroyFilterDescriptor(Filter* f) { delete f; return kSuccess; }
Status cudnnSetFilter4dDescriptor(Filter* f, int type, int format, int k, int c, int r, int s) {
  if (k < 1 || c < 1 || r < 1 || s < 1) return kBadParam;
  if (format != 0 && format != 1) return kNotSupported;
  *f = {type, format, k, c, r, s};
  return kSuccess;
}
Status cudnnGetFilter4dDescriptor(const Filter* f, int* type, int* format, int* k, int* c, int* r, int* s) {
  *type = f->type; *format = f->format; *k = f->k; *c = f->c; *r = f->r; *s = f->s;
  return kSuccess;
}
Status cudnnCreateConvolutionDescriptor(Convolution** c) { *c = new Convolution; return kSuccess; }
Status cudnnDestroyConvolutionDescriptor(Convolution* c) { delete c; return kSuccess; }
Status cudnnSetConvolution2dDescriptor(Convolution* c, int padH, int padW, int strideH, int strideW, int dilationH, int dilationW, int mode, int type) {
  if (padH < 0 || padW < 0 || strideH < 1 || strideW < 1 || dilationH < 1 || dilationW < 1) return kBadParam;
  *c = {padH, padW, strideH, strideW, dilationH, dilationW, mode, type, c->groups, c->mathType};
  return kSuccess;
}
Status cudnnGetConvolution2dDescriptor(const Convolution* c, int* padH, int* padW, int* strideH, int* strideW, int* dilationH, int* dilationW, int* mode, int* type) {
  *padH = c->padH; *padW = c->padW; *strideH = c->strideH; *strideW = c->strideW; *dilationH = c->dilationH; *dilationW = c->dilationW; *mode = c->mode; *type = c->computeType;
  return kSuccess;
}
Status cudnnSetConvolutionGroupCount(Convolution* c, int groups) { if (groups < 1) return kBadParam; c->groups = groups; return kSuccess; }
Status cudnnGetConvolutionGroupCount(const Convolution* c, int* groups) { *groups = c->groups; return kSuccess; }
Status cudnnSetConvolutionMathType(Convolution* c, int type) { c->mathType = type; return kSuccess; }
Status cudnnGetConvolutionMathType(const Convolution* c, int* type) { *type = c->mathType; return kSuccess; }
Status cudnnGetConvolution2dForwardOutputDim(const Convolution* c, const Tensor* x, const Filter* w, int* n, int* k, int* p, int* q) {
  if (x->c != w->c * c->groups) return kBadParam;
  *n = x->n;
  *k = w->k;
  *p = outSize(x->h, c->padH, w->r, c->strideH, c->dilationH);
  *q = outSize(x->w, c->padW, w->s, c->strideW, c->dilationW);
  return kSuccess;
}

Status cudnnGetConvolutionForwardAlgorithmMaxCount(Handle*, int* n) { *n = 2; return kSuccess; }
Status cudnnGetConvolutionBackwardDataAlgorithmMaxCount(Handle*, int* n) { *n = 2; return kSuccess; }
Status cudnnGetConvolutionBackwardFilterAlgorithmMaxCount(Handle*, int* n) { *n = 2; return kSuccess; }
Status cudnnGetConvolutionForwardAlgorithm_v7(Handle*, const Tensor* x, const Filter* w, const Convolution* c, const Tensor* y, int wanted, int* n, Performance* p) { return suggest(*x, *w, *c, *y, true, wanted, n, p); }
Status cudnnFindConvolutionForwardAlgorithm(Handle*, const Tensor* x, const Filter* w, const Convolution* c, const Tensor* y, int wanted, int* n, Performance* p) { return suggest(*x, *w, *c, *y, true, wanted, n, p); }
Status cudnnGetConvolutionBackwardDataAlgorithm_v7(Handle*, const Filter* w, const Tensor* y, const Convolution* c, const Tensor* x, int wanted, int* n, Performance* p) { return suggest(*x, *w, *c, *y, false, wanted, n, p); }
Status cudnnFindConvolutionBackwardDataAlgorithm(Handle*, const Filter* w, const Tensor* y, const Convolution* c, const Tensor* x, int wanted, int* n, Performance* p) { return suggest(*x, *w, *c, *y, false, wanted, n, p); }
Status cudnnGetConvolutionBackwardFilterAlgorithm_v7(Handle*, const Tensor* x, const Tensor* y, const Convolution* c, const Filter* w, int wanted, int* n, Performance* p) { return suggest(*x, *w, *c, *y, false, wanted, n, p); }
Status cudnnFindConvolutionBackwardFilterAlgorithm(Handle*, const Tensor* x, const Tensor* y, const Convolution* c, const Filter* w, int wanted, int* n, Performance* p) { return suggest(*x, *w, *c, *y, false, wanted, n, p); }
Status cudnnGetConvolutionForwardWorkspaceSize(Handle*, const Tensor* x, const Filter* w, const Convolution* c, const Tensor* y, int algorithm, size_t* bytes) {
  *bytes = workspace(*x, *w, algorithm);
  return refuses(kNoWorkspace, *w) ? kNotSupported : fits(*x, *w, *c, *y);
}
Status cudnnGetConvolutionBackwardDataWorkspaceSize(Handle*, const Filter* w, const Tensor* y, const Convolution* c, const Tensor* x, int algorithm, size_t* bytes) {
  *bytes = workspace(*x, *w, algorithm);
  return refuses(kNoWorkspace, *w) ? kNotSupported : fits(*x, *w, *c, *y);
}
Status cudnnGetConvolutionBackwardFilterWorkspaceSize(Handle*, const Tensor* x, const Tensor* y, const Convolution* c, const Filter* w, int algorithm, size_t* bytes) {
  *bytes = workspace(*x, *w, algorithm);
  return refuses(kNoWorkspace, *w) ? kNotSupported : fits(*x, *w, *c, *y);
}

Status cudnnConvolutionForward(Handle* h, const void* alpha, const Tensor* dx, const void* x, const Filter* dw, const void* w, const Convolution* c, int algorithm,
                               void* space, size_t bytes, const void* beta, const Tensor* dy, void* y) {
  Work work{*dx, *dy, *dw, *c};
  float a = value(alpha), b = value(beta);
  return convolve("cudnnConvolutionForward", h, work, algorithm, space, bytes, x, w, y, [=] { work.forward(a, x, w, b, y); });
}
Status cudnnConvolutionBackwardData(Handle* h, const void* alpha, const Filter* dw, const void* w, const Tensor* ddy, const void* dy, const Convolution* c, int algorithm,
                                    void* space, size_t bytes, const void* beta, const Tensor* ddx, void* dx) {
  Work work{*ddx, *ddy, *dw, *c};
  float a = value(alpha), b = value(beta);
  return convolve("cudnnConvolutionBackwardData", h, work, algorithm, space, bytes, dx, w, dy, [=] { work.backwardData(a, w, dy, b, dx); });
}
Status cudnnConvolutionBackwardFilter(Handle* h, const void* alpha, const Tensor* dxd, const void* x, const Tensor* ddy, const void* dy, const Convolution* c, int algorithm,
                                      void* space, size_t bytes, const void* beta, const Filter* ddw, void* dw) {
  Work work{*dxd, *ddy, *ddw, *c};
  float a = value(alpha), b = value(beta);
  return convolve("cudnnConvolutionBackwardFilter", h, work, algorithm, space, bytes, x, dw, dy, [=] { work.backwardFilter(a, x, dy, b, dw); });
}
}
