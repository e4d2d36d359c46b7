// unit_passes.cuh -- the passes of a unit, as unit_forward.cu and unit_backward.cu run them over a stored y and unit_product.cu over one that it computes
//
//   a block of tiles     128 threads, 128 rows by 64 channels at a time: thread t has channels 8 (t % 8) on of rows t / 8 + 16 i, as xnor_tile.cuh
//                        hands them over; blockIdx.x counts splits, each every gridDim.x-th tile of rows, blockIdx.y groups of 64 channels
//
// Encoding   every field takes 8 bytes: the host writes an argument structure field by field (CudaFusedOps.java)
// Exactness  sums are double, in an order that depends on the number of splits only: wherever y comes from, they have the same bits
// Twin       src/main/java/onebit/ops/cpu/CpuFusedOps.java
#pragma once
#include "unit.cuh"
#include "xnor_tile.cuh"

/** The first of the 8 channels of this thread in a block of tiles. */
__device__ __forceinline__ unsigned tile_channel() { return blockIdx.y * 64 + threadIdx.x % 8 * 8; }

__device__ __forceinline__ Live tile_live(unsigned c, unsigned channels) { return {c < channels ? min(8u, channels - c) : 0u, channels % 8 == 0}; }

/** Doubles of shared memory that finish_tiles takes: the sums of four warps. */
template <unsigned VALUES> constexpr unsigned kTileSums = 4 * 64 * VALUES;

/** finish_sums for a block of tiles, from the sums of its threads: partial [splits][VALUES][C], room kTileSums<VALUES> doubles. */
template <unsigned VALUES, class Finish>
__device__ __forceinline__ void finish_tiles(const double (&sum)[VALUES][8], double* partial, unsigned* counters, unsigned channels, double* room,
                                             Finish finish) {
  unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, first = blockIdx.y * 64;
#pragma unroll
  for (unsigned v = 0; v < VALUES; v++) {
#pragma unroll
    for (unsigned k = 0; k < 8; k++) {
      double s = sum[v][k];
      s += __shfl_xor_sync(kFullWarp, s, 8);
      s += __shfl_xor_sync(kFullWarp, s, 16);
      if (lane < 8) room[(warp * VALUES + v) * 64 + lane * 8 + k] = s;
    }
  }
  __syncthreads();
  for (unsigned i = threadIdx.x; i < VALUES * 64; i += 128) {
    unsigned c = first + i % 64;
    double s = room[i] + room[VALUES * 64 + i] + room[2 * VALUES * 64 + i] + room[3 * VALUES * 64 + i];
    if (c < channels) partial[(blockIdx.x * VALUES + i / 64) * channels + c] = s;
  }
  if (!last_block(counters + blockIdx.y, gridDim.x)) return;
  unsigned c = first + threadIdx.x;
  if (threadIdx.x >= 64 || c >= channels) return;
  double total[VALUES] = {};
  for (unsigned s = 0; s < gridDim.x; s++) {
#pragma unroll
    for (unsigned v = 0; v < VALUES; v++) total[v] += __ldcg(partial + (s * VALUES + v) * channels + c);
  }
  finish(c, total);
}

template <class E> struct UnitStatistics {
  double* partial;
  unsigned* counters;
  E* y;
  float *mean, *inverse, *runningMean, *runningVar;
  FIELD(float, momentum);
  FIELD(float, epsilon);
  FIELD(int, unbiased);
  FIELD(unsigned, rows);
  FIELD(unsigned, channels);

  /** From the sums of y - from and of its square over channel c. */
  __device__ __forceinline__ void finish(unsigned c, const double (&total)[2], float from) const {
    double shift = total[0] / rows, var = total[1] / rows - shift * shift;
    if (var < 0) var = 0;
    float m = float(from + shift);
    mean[c] = m;
    inverse[c] = float(1 / sqrt(var + epsilon));
    double kept = unbiased && rows > 1 ? var * rows / (rows - 1) : var;
    runningMean[c] += momentum * (m - runningMean[c]);
    runningVar[c] += momentum * (float(kept) - runningVar[c]);
  }
};

template <class E> struct UnitForward {
  unsigned* bits;
  E* z;
  float *centre, *distance;
  Unit<E> unit;
  Binarization next;
  FIELD(unsigned, rows);
  FIELD(unsigned, channels);
  FIELD(int, p);
  FIELD(int, q);

  /** The two values of the next set. */
  __device__ __forceinline__ void give_set() const {
    if (next.kind != 2) return;
    float alpha = next.alpha[0], beta = next.beta[0];
    centre[0] = next.codeForm ? alpha * beta : beta;
    distance[0] = alpha;
  }

  /** z of W channels of a row, from their y in t; the result has their bits, the first lowest. */
  template <unsigned W> __device__ __forceinline__ unsigned at(float (&t)[W], unsigned row, unsigned c, Live live) const {
    NormOf<W> norm(unit.norm, c, live);
#pragma unroll
    for (unsigned k = 0; k < W; k++) t[k] = norm.apply(t[k], k);
    unit.shortcut.add(t, row, c, channels, p, q, live);
    unsigned packed = 0;
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      if (k >= live.count) break;
      t[k] = rounded<E>(unit.f.value(t[k], c + k));
      if (next.kind && next.bit(t[k])) packed |= 1u << k;
    }
    store_live(z + row * channels + c, t, live);
    return packed;
  }

  /** The same from a stored y. */
  template <unsigned W> __device__ __forceinline__ unsigned run(unsigned row, unsigned c) const {
    float t[W];
    load_vector(unit.y + row * channels + c, t);
    return at(t, row, c, kAll);
  }
};

/** What a thread of a block of tiles adds up in backward: gradT, gradT xhat, the two slopes; the two values of the set. */
struct BackwardSums {
  double of[4][8] = {}, ofSet[2] = {};
};

/** The gradient at z: of the binarization of z where gradQ is given, and of a shortcut from z (kind as in Shortcut). */
template <class E> struct Incoming {
  const E *gradQ, *z;
  FIELD(int, slopeKind);
  FIELD(float, slopeA);
  FIELD(float, slopeB);
  Binarization set;
  Shortcut<E> over;   // h, w, d: extents of the shortcut's result

  /** g, at W channels of a row whose z are x. */
  template <unsigned W>
  __device__ __forceinline__ void at(float (&g)[W], const float (&x)[W], unsigned row, unsigned c, unsigned channels, int height, int width,
                                     double (&ofSet)[2], Live live = kAll) const {
    unsigned i = row * channels + c;
    if (gradQ) {
      Slope f{slopeKind, slopeA, slopeB};
      load_live(gradQ + i, g, live);
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
      load_live(over.x + i, v, live);
#pragma unroll
      for (unsigned k = 0; k < W; k++) g[k] = gradQ ? g[k] + v[k] : v[k];
    } else if (over.kind == 2) {
      spread(g, row, c, channels, height, width, live);
    }
  }

  /** The same from the stored z. */
  template <unsigned W> __device__ __forceinline__ void of_stored(float (&g)[W], unsigned row, unsigned c, unsigned channels, int p, int q, double (&ofSet)[2]) const {
    float x[W] = {};
    if (gradQ) load_vector(z + row * channels + c, x);
    at(g, x, row, c, channels, p, q, ofSet);
  }

  /** g += what the windows over this pixel give back to it. */
  template <unsigned W>
  __device__ __forceinline__ void spread(float (&g)[W], unsigned row, unsigned c, unsigned channels, int height, int width, Live live) const {
    int n = int(row) / width / height, h = int(row) / width % height, w = int(row) % width, window = over.window, stride = over.stride;
    int p0 = h - window + 1 <= 0 ? 0 : (h - window + stride) / stride, p1 = min(h / stride + 1, over.h);
    int q0 = w - window + 1 <= 0 ? 0 : (w - window + stride) / stride, q1 = min(w / stride + 1, over.w);
    float factor = 1.0f / (window * window);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      float sum = 0;
      for (int p = p0; p < p1 && k < live.count; p++) {
        for (int q = q0; q < q1; q++) sum += factor * load(over.x + ((n * over.h + p) * over.w + q) * over.d + (over.d - int(channels)) / 2 + int(c + k));
      }
      g[k] = gradQ ? g[k] + sum : sum;
    }
  }
};

/** The sum of all threads' values of a block of THREADS, in a tree. */
template <unsigned THREADS> __device__ __forceinline__ double tile_sum(double* tile, double value) {
  unsigned lane = threadIdx.y * blockDim.x + threadIdx.x;
  tile[lane] = value;
  __syncthreads();
  for (unsigned half = THREADS / 2; half > 0; half /= 2) {
    if (lane < half) tile[lane] += tile[lane + half];
    __syncthreads();
  }
  double sum = tile[0];
  __syncthreads();
  return sum;
}

/** The set's two gradients: the sums of all threads of all blocks. */
template <unsigned THREADS, class A> __device__ __forceinline__ void finish_set(const A& a, unsigned* counter, double* tile, const double (&mine)[2]) {
  if (a.g.set.kind != 2) return;
  unsigned blocks = gridDim.x * gridDim.y, lane = threadIdx.y * blockDim.x + threadIdx.x;
  double alpha = tile_sum<THREADS>(tile, mine[0]), beta = tile_sum<THREADS>(tile, mine[1]);
  if (lane == 0) {
    a.ofSet[2 * (blockIdx.y * gridDim.x + blockIdx.x)] = alpha;
    a.ofSet[2 * (blockIdx.y * gridDim.x + blockIdx.x) + 1] = beta;
  }
  if (!last_block(counter, blocks)) return;
  alpha = beta = 0;
  for (unsigned i = lane; i < blocks; i += THREADS) {
    alpha += __ldcg(a.ofSet + 2 * i);
    beta += __ldcg(a.ofSet + 2 * i + 1);
  }
  alpha = tile_sum<THREADS>(tile, alpha);
  beta = tile_sum<THREADS>(tile, beta);
  if (lane == 0) {
    a.gradAlpha[0] = float(alpha);
    a.gradBetaOfSet[0] = float(beta);
  }
}

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

  /** From y of 8 channels of a row, which gives z once more: gradT, and what the row adds to the sums. */
  __device__ __forceinline__ void at(const float (&y)[8], unsigned row, unsigned c, Live live, BackwardSums& sums) const {
    float back[8], t[8], z[8];
    NormOf<8> norm(unit.norm, c, live);
#pragma unroll
    for (unsigned k = 0; k < 8; k++) t[k] = norm.apply(y[k], k);
    unit.shortcut.add(t, row, c, channels, p, q, live);
#pragma unroll
    for (unsigned k = 0; k < 8; k++) z[k] = k < live.count ? rounded<E>(unit.f.value(t[k], c + k)) : 0.0f;
    g.at(back, z, row, c, channels, p, q, sums.ofSet, live);
#pragma unroll
    for (unsigned k = 0; k < 8; k++) {
      if (k >= live.count) break;
      sums.of[2][k] += double(back[k] * (t[k] > 0 ? t[k] : 0.0f));
      sums.of[3][k] += double(back[k] * (t[k] < 0 ? t[k] : 0.0f));
      back[k] = rounded<E>(unit.f.back(back[k], t[k], c + k));
      sums.of[0][k] += double(back[k]);
      sums.of[1][k] += double(back[k] * ((y[k] - norm.mean[k]) * norm.inverse[k]));
    }
    store_live(gradT + row * channels + c, back, live);
  }

  /** The gradients from all blocks' sums; room holds kTileSums<4> doubles. */
  __device__ __forceinline__ void finish(const BackwardSums& sums, double* room) const {
    finish_tiles<4>(sums.of, partial, counters, channels, room, [&](unsigned c, const double(&total)[4]) { to.finish(c, total, rows, unit.norm); });
    __syncthreads();
    finish_set<128>(*this, counters + gridDim.y, room, sums.ofSet);
  }
};

template <class E> struct UnitBackwardApply {
  E* gradY;
  const E *gradT, *y;
  const float *meanG, *meanGx;
  Norm norm;
  FIELD(unsigned, n);
  FIELD(unsigned, channels);

  /** gradY of W channels of index i, from their y. */
  template <unsigned W> __device__ __forceinline__ void at(const float (&y)[W], unsigned i, unsigned c, Live live) const {
    float g[W], ofG[W], ofGx[W];
    load_live(gradT + i, g, live);
    load_live(meanG + c, ofG, live);
    load_live(meanGx + c, ofGx, live);
    NormOf<W> of(norm, c, live);
#pragma unroll
    for (unsigned k = 0; k < W; k++) g[k] = of.scale[k] * of.inverse[k] * (g[k] - ofG[k] - (y[k] - of.mean[k]) * ofGx[k]);
    store_live(gradY + i, g, live);
  }
};
