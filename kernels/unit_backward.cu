// unit_backward.cu -- backward of what follows a binary convolution, from the gradients that meet at its result
//
//   g = slope(z) gradQ of the convolution after it + gradient of the shortcut that starts here
//   unit_backward        gradT = g f'(t) and the sums: gradGamma, gradBeta, gradPositive, gradNegative, gradAlpha, gradBeta of the set
//   unit_backward_apply  gradY = gamma inverse (gradT - mean(gradT) - xhat mean(gradT xhat))
//   unit_join            gradZ = g and the sums of the set: where no unit lies before
//
// Shapes     gradQ, z, gradT, gradY N,P,Q,C; over: gradient at a shortcut's result; partial [splits][4][C] double, ofSet [blocks][2] double
//            images are float, or bfloat16 in the entries named _bf16; the rest is float
// Launch     unit_backward, unit_join as channel_sums in common.cuh; unit_backward_apply block 256, any grid
// Limits     N * P * Q * C < 2^31; counters hold 0 before and after
// Exactness  values and sums per channel in the operations and the order of the simple kernels, in bfloat16 without their roundings between;
//            gradAlpha and gradBeta of the set are summed in an order of their own
// Twin       src/main/java/onebit/ops/cpu/CpuFusedOps.java, backward, join
// Tests      native-tests/unit_test.cpp, src/test/java/onebit/ops/FusedOpsTest.java
// Source     Ioffe and Szegedy 2015, arXiv 1502.03167; Tu et al. 2022, AdaBin, arXiv 2208.08084; anchors/performance.md section 7
// Rungs      1 eight simple launches, 2 one pass with all sums and their finish in the last block, then one pass
#ifndef ELEMENT
#include "unit.cuh"

/** The gradient at z: of the binarization of z where gradQ is given, and of a shortcut from z (kind as in Shortcut). */
template <class E> struct Incoming {
  const E *gradQ, *z;
  FIELD(int, slopeKind);
  FIELD(float, slopeA);
  FIELD(float, slopeB);
  Binarization set;
  Shortcut<E> over;   // h, w, d: extents of the shortcut's result

  template <unsigned W>
  __device__ __forceinline__ void at(float (&g)[W], unsigned row, unsigned c, unsigned channels, int height, int width, double (&ofSet)[2]) const {
    unsigned i = row * channels + c;
    if (gradQ) {
      Slope f{slopeKind, slopeA, slopeB};
      float x[W];
      load_vector(gradQ + i, g);
      load_vector(z + i, x);
      float a = 1, b = 0;
      if (set.kind == 2) a = set.alpha[0], b = set.beta[0];
      float inverse = 1 / a, weight = set.codeForm ? a : 1.0f, added = set.codeForm ? b : 0.0f;
#pragma unroll
      for (unsigned k = 0; k < W; k++) {
        if (set.kind == 2) {
          float u = (x[k] - b) * inverse, p = f.slope(u);
          ofSet[0] += g[k] * (copysignf(1.0f, u + 0.0f) + added - u * p);
          ofSet[1] += g[k] * (weight - p);
          g[k] *= p;
        } else {
          g[k] *= f.slope(x[k]);
        }
      }
    }
    if (over.kind == 1) {
      float v[W];
      load_vector(over.x + i, v);
#pragma unroll
      for (unsigned k = 0; k < W; k++) g[k] = gradQ ? g[k] + v[k] : v[k];
    } else if (over.kind == 2) {
      spread(g, row, c, channels, height, width);
    }
  }

  /** g += what the windows over this pixel give back to it. */
  template <unsigned W> __device__ __forceinline__ void spread(float (&g)[W], unsigned row, unsigned c, unsigned channels, int height, int width) const {
    int n = int(row) / width / height, h = int(row) / width % height, w = int(row) % width, window = over.window, stride = over.stride;
    int p0 = h - window + 1 <= 0 ? 0 : (h - window + stride) / stride, p1 = min(h / stride + 1, over.h);
    int q0 = w - window + 1 <= 0 ? 0 : (w - window + stride) / stride, q1 = min(w / stride + 1, over.w);
    float factor = 1.0f / (window * window);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      float sum = 0;
      for (int p = p0; p < p1; p++) {
        for (int q = q0; q < q1; q++) sum += factor * load(over.x + ((n * over.h + p) * over.w + q) * over.d + (over.d - int(channels)) / 2 + int(c + k));
      }
      g[k] = gradQ ? g[k] + sum : sum;
    }
  }
};

template <class E> struct UnitBackward {
  E* gradT;
  double *partial, *ofSet;
  unsigned* counters;
  float *gradAlpha, *gradBetaOfSet;
  UnitSums to;
  Incoming<E> g;
  Unit<E> unit;
  FIELD(unsigned, rows);
  FIELD(unsigned, channels);
  FIELD(int, p);
  FIELD(int, q);
};

template <class E> struct UnitBackwardApply {
  E* gradY;
  const E *gradT, *y;
  const float *meanG, *meanGx;
  Norm norm;
  FIELD(unsigned, n);
  FIELD(unsigned, channels);
};

/** The sum of all threads' values of a block of 256, in a tree. */
__device__ __forceinline__ double tile_sum(double* tile, double value) {
  unsigned lane = threadIdx.y * blockDim.x + threadIdx.x;
  tile[lane] = value;
  __syncthreads();
  for (unsigned half = 128; half > 0; half /= 2) {
    if (lane < half) tile[lane] += tile[lane + half];
    __syncthreads();
  }
  double sum = tile[0];
  __syncthreads();
  return sum;
}

/** The set's two gradients: the sums of all threads of all blocks. */
template <class E> __device__ __forceinline__ void finish_set(const UnitBackward<E>& a, double* tile, const double (&mine)[2]) {
  if (a.g.set.kind != 2) return;
  unsigned blocks = gridDim.x * gridDim.y, lane = threadIdx.y * blockDim.x + threadIdx.x;
  double alpha = tile_sum(tile, mine[0]), beta = tile_sum(tile, mine[1]);
  if (lane == 0) {
    a.ofSet[2 * (blockIdx.y * gridDim.x + blockIdx.x)] = alpha;
    a.ofSet[2 * (blockIdx.y * gridDim.x + blockIdx.x) + 1] = beta;
  }
  if (!last_block(a.counters + gridDim.x, blocks)) return;
  alpha = beta = 0;
  for (unsigned i = lane; i < blocks; i += 256) {
    alpha += __ldcg(a.ofSet + 2 * i);
    beta += __ldcg(a.ofSet + 2 * i + 1);
  }
  alpha = tile_sum(tile, alpha);
  beta = tile_sum(tile, beta);
  if (lane == 0) {
    a.gradAlpha[0] = float(alpha);
    a.gradBetaOfSet[0] = float(beta);
  }
}

#define ELEMENT_FILE "unit_backward.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(unit_backward)(const UnitBackward<ELEMENT> a) {
  __shared__ double tile[4 * kSumTile];
  double ofSet[2] = {};
  channel_sums<4>(a.partial, a.rows, a.channels, tile, [&](unsigned i, unsigned c, auto width, auto& each) {
    constexpr unsigned W = width.value;
    unsigned row = (i - c) / a.channels;
    float g[W], y[W], t[W];
    a.g.at(g, row, c, a.channels, a.p, a.q, ofSet);
    load_vector(a.unit.y + i, y);
    NormOf<W> norm(a.unit.norm, c);
#pragma unroll
    for (unsigned k = 0; k < W; k++) t[k] = norm.apply(y[k], k);
    a.unit.shortcut.add(t, row, c, a.channels, a.p, a.q);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      each[2][k] = g[k] * (t[k] > 0 ? t[k] : 0.0f);
      each[3][k] = g[k] * (t[k] < 0 ? t[k] : 0.0f);
      g[k] = rounded<ELEMENT>(a.unit.f.back(g[k], t[k], c + k));
      each[0][k] = g[k];
      each[1][k] = g[k] * ((y[k] - norm.mean[k]) * norm.inverse[k]);
    }
    store_vector(a.gradT + i, g);
  });
  finish_sums<4>(a.partial, a.counters, a.channels, [&](unsigned c, const double (&total)[4]) { a.to.finish(c, total, a.rows, a.unit.norm); });
  __syncthreads();
  finish_set(a, tile, ofSet);
}

ONEBIT_KERNEL(256) ENTRY(unit_join)(const UnitBackward<ELEMENT> a) {
  __shared__ double tile[256];
  double ofSet[2] = {};
  unsigned wide = a.channels % kSumChannels == 0 ? kSumChannels : 1, c = (blockIdx.x * blockDim.x + threadIdx.x) * wide;
  for (unsigned row = blockIdx.y * blockDim.y + threadIdx.y; c < a.channels && row < a.rows; row += gridDim.y * blockDim.y) {
    if (wide == 1) {
      float g[1];
      a.g.at(g, row, c, a.channels, a.p, a.q, ofSet);
      store_vector(a.gradT + row * a.channels + c, g);
    } else {
      float g[kSumChannels];
      a.g.at(g, row, c, a.channels, a.p, a.q, ofSet);
      store_vector(a.gradT + row * a.channels + c, g);
    }
  }
  finish_set(a, tile, ofSet);
}

ONEBIT_KERNEL(256) ENTRY(unit_backward_apply)(const UnitBackwardApply<ELEMENT> a) {
  for_each_vector<kWide<ELEMENT>>(a.n, a.channels % kWide<ELEMENT> == 0, [=](unsigned i, auto width) {
    constexpr unsigned W = width.value;
    unsigned c = i % a.channels;
    float y[W], g[W], ofG[W], ofGx[W];
    load_vector(a.y + i, y);
    load_vector(a.gradT + i, g);
    load_vector(a.meanG + c, ofG);
    load_vector(a.meanGx + c, ofGx);
    NormOf<W> norm(a.norm, c);
#pragma unroll
    for (unsigned k = 0; k < W; k++) g[k] = norm.scale[k] * norm.inverse[k] * (g[k] - ofG[k] - (y[k] - norm.mean[k]) * ofGx[k]);
    store_vector(a.gradY + i, g);
  });
}
#endif
