// unit.cuh -- the parts of a fused unit: batch norm, shortcut, nonlinearity, the next binarization
//
//   t = (y - mean) gamma inverse + beta + shortcut(x)          z = f(t)          bit = [z >= 0] or [(z - beta) / alpha >= 0]
//
// Encoding   every field takes 8 bytes: the host writes an argument structure field by field (CudaFusedOps.java)
// Shapes     y, t, z N,P,Q,C, row = pixel of the batch; shortcut x N,H,W,D. W neighbouring channels at a time, W dividing C
// Exactness  the operations of the simple kernels in their order: on float32, value for value equal to them
// Twin       src/main/java/onebit/ops/cpu/CpuFusedOps.java
#pragma once
#include "element.cuh"
#include "slope.cuh"

#define FIELD(type, name) alignas(8) type name

/** v as an element of type E holds it. */
template <class E> __device__ __forceinline__ float rounded(float v) {
  E kept;
  store(&kept, v);
  return load(&kept);
}

/** How many of W neighbours there are, and whether they may be read and written at once. */
struct Live {
  unsigned count;
  bool together;
};
constexpr Live kAll{~0u, true};

/** The neighbours that there are; 0 for the others. */
template <unsigned W, class T> __device__ __forceinline__ void load_live(const T* p, float (&v)[W], Live live) {
  if (live.together) {
    load_vector(p, v);
  } else {
#pragma unroll
    for (unsigned k = 0; k < W; k++) v[k] = k < live.count ? load(p + k) : 0.0f;
  }
}

template <unsigned W, class T> __device__ __forceinline__ void store_live(T* p, const float (&v)[W], Live live) {
  if (live.together) {
    store_vector(p, v);
  } else {
#pragma unroll
    for (unsigned k = 0; k < W; k++) if (k < live.count) store(p + k, v[k]);
  }
}

struct Norm {
  const float *gamma, *beta, *mean, *inverse;
};

/** The batch norm of W channels from c on, in registers. */
template <unsigned W> struct NormOf {
  float mean[W], inverse[W], scale[W], shift[W];

  __device__ __forceinline__ NormOf(const Norm& norm, unsigned c, Live live = kAll) {
    load_live(norm.mean + c, mean, live);
    load_live(norm.inverse + c, inverse, live);
    load_live(norm.gamma + c, scale, live);
    load_live(norm.beta + c, shift, live);
  }

  __device__ __forceinline__ float apply(float y, unsigned k) const { return (y - mean[k]) * (scale[k] * inverse[k]) + shift[k]; }
};

/** kind 0 none, 1 x itself, 2 means of window x window pixels in the middle channels, 0 around them. */
template <class E> struct Shortcut {
  const E* x;
  FIELD(int, kind);
  FIELD(int, h);
  FIELD(int, w);
  FIELD(int, d);
  FIELD(int, window);
  FIELD(int, stride);

  /** t += the shortcut, at row and channels c on. */
  template <unsigned W>
  __device__ __forceinline__ void add(float (&t)[W], unsigned row, unsigned c, unsigned channels, int p, int q, Live live = kAll) const {
    if (kind == 1) {
      float v[W];
      load_live(x + row * channels + c, v, live);
#pragma unroll
      for (unsigned k = 0; k < W; k++) t[k] += v[k];
    } else if (kind == 2) {
      int n = int(row) / q / p, h0 = int(row) / q % p * stride, w0 = int(row) % q * stride, from = int(c) - (int(channels) - d) / 2;
      float factor = 1.0f / (window * window);
#pragma unroll
      for (unsigned k = 0; k < W; k++) {
        float sum = 0;
        if (from + int(k) >= 0 && from + int(k) < d) {
          for (int hh = h0; hh < min(h, h0 + window); hh++) {
            for (int ww = w0; ww < min(w, w0 + window); ww++) sum += factor * load(x + ((n * h + hh) * w + ww) * d + from + int(k));
          }
        }
        t[k] += sum;
      }
    }
  }
};

/** kind 0 none, 1 Maxout, 2 ReLU, 3 hardtanh, 4 tanh. */
struct Nonlinearity {
  const float *positive, *negative;
  FIELD(int, kind);

  __device__ __forceinline__ float value(float t, unsigned c) const {
    switch (kind) {
      case 0: return t;
      case 1: return positive[c] * (t > 0 || t != t ? t : 0.0f) + negative[c] * (t < 0 || t != t ? t : 0.0f);
      case 2: return t > 0 || t != t ? t : 0.0f;
      case 3: return t < -1 ? -1.0f : t > 1 ? 1.0f : t;
      default: return tanhf(t);
    }
  }

  /** g f'(t). */
  __device__ __forceinline__ float back(float g, float t, unsigned c) const {
    switch (kind) {
      case 0: return g;
      case 1: return g * (t > 0 ? positive[c] : t < 0 ? negative[c] : 0.0f);
      case 2: return t > 0 ? g : 0.0f;
      case 3: return fabsf(t) < 1 ? g : 0.0f;
      default: {
        float v = tanhf(t);
        return g * (1 - v * v);
      }
    }
  }
};

/** kind 0 none, 1 sign, 2 learned set. */
struct Binarization {
  const float *alpha, *beta;
  FIELD(int, kind);
  FIELD(int, codeForm);

  __device__ __forceinline__ bool bit(float z) const {
    if (kind != 2) return z >= 0;
    float a = alpha[0], b = beta[0];
    return a > 0 ? z >= b : (z - b) / a >= 0;
  }
};

template <class E> struct Unit {
  const E* y;
  Norm norm;
  Shortcut<E> shortcut;
  Nonlinearity f;
};

/** Where the sums of a backward pass go, as gradients and as the two means that its second pass subtracts. */
struct UnitSums {
  float *gradGamma, *gradBeta, *gradPositive, *gradNegative, *meanG, *meanGx;

  /** From the sums over channel c of gradT, gradT xhat, and of the two slopes. */
  __device__ __forceinline__ void finish(unsigned c, const double (&total)[4], unsigned rows, const Norm& norm) const {
    gradBeta[c] = float(total[0]);
    gradGamma[c] = float(total[1]);
    meanG[c] = float(total[0] / rows);
    meanGx[c] = float(total[1] / rows) * norm.inverse[c];
    if (!gradPositive) return;
    gradPositive[c] = float(total[2]);
    gradNegative[c] = float(total[3]);
  }
};

/** Whether this is the last of `count` blocks to come here; what the others wrote before is then to be seen, through __ldcg. */
__device__ __forceinline__ bool last_block(unsigned* counter, unsigned count) {
  __shared__ unsigned before;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0 && threadIdx.y == 0) {
    before = atomicAdd(counter, 1u);
    if (before == count - 1) *counter = 0;
  }
  __syncthreads();
  bool last = before == count - 1;
  __syncthreads();
  if (last) __threadfence();
  return last;
}

/** finish(c, totals) for every channel of a block of channel_sums, by the last block that added to it: totals over the splits in their order. */
template <unsigned VALUES, class Finish>
__device__ __forceinline__ void finish_sums(const double* partial, unsigned* counters, unsigned channels, Finish finish) {
  if (!last_block(counters + blockIdx.x, gridDim.y)) return;
  unsigned across = blockDim.x * (channels % kSumChannels == 0 ? kSumChannels : 1), lane = threadIdx.y * blockDim.x + threadIdx.x;
  unsigned c = blockIdx.x * across + lane;
  if (lane >= across || c >= channels) return;
  double total[VALUES] = {};
  for (unsigned s = 0; s < gridDim.y; s++) {
#pragma unroll
    for (unsigned v = 0; v < VALUES; v++) total[v] += __ldcg(partial + (s * VALUES + v) * channels + c);
  }
  finish(c, total);
}
