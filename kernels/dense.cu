// dense.cu -- a dense block whose values lie side by side in one buffer: norm and bits of its first channels, and the way back
//
//   dense_append          x[row][from + c] = y[row][c], and partial sums of y for dense_moments
//   dense_moments         mean, inverse = 1 / sqrt(var + epsilon) and the variance that running ones move to, of the channels just appended
//   dense_running         running statistics of the first C channels moved by momentum to the mean and variance of dense_moments
//   dense_put, dense_take x[row][from + c] = y[row][c], and y[row][c] = x[row][from + c]
//   dense_sign            bit = [t >= 0], t = (x - mean) gamma inverse + beta of the first C channels; running statistics moved by momentum
//   dense_sign_sums       per channel gradGamma and gradBeta, the sums of h xhat and h, h = gradQ slope(t), xhat = (x - mean) inverse, and the means of h and of
//                         h xhat inverse
//   dense_sign_backward   gradX += gamma inverse (h - mean(h) - xhat mean(h xhat)) in its first C channels
//
// Shapes     x, gradX rows of `pitch` values; y, gradQ rows of C values; words [rows][ceil(C / 32)]; partial [splits][2][C]; the rest C values;
//            counters split_counters(splits) for each 64 channels, 0 before and after
//            x, gradX, y, gradQ are float, or bfloat16 in the entries named _bf16; the rest is float
// Encoding   bit 1 = t >= 0; bit k of a row is bit k % 32 of its word k / 32; tail bits are 0
// Launch     block 256, any grid; _append as channel_sums in common.cuh; _sums block 128, grid (any number of splits, ceil(C / 64)); _moments and _running
//            grid ceil(C / 256)
// Limits     rows * pitch < 2^31
// Exactness  the arithmetic of batch_norm.cu; t and h are not rounded to the elements' type; sums are double. Beside bfloat16 8 rows
//            of a thread are first added in float: off by at most 2^-21 of the sum of the terms' magnitudes
// Twin       src/main/java/onebit/ops/cpu/CpuDenseOps.java, append, moveRunning, take, normSign, normSignBackward
// Tests      native-tests/dense_test.cpp, src/test/java/onebit/ops/DenseOpsTest.java
// Source     Huang et al. 2017, DenseNet, arXiv 1608.06993; Bethge et al. 2019, arXiv 1906.08637
// Rungs      1 values once in one buffer, norm and bits in one pass over them, 2 a thread keeps its 8 channels over its rows and asks for the next one ahead; the
//            last block of _sums gives the gradients
#ifndef ELEMENT
#include "unit_passes.cuh"

/** Threads of dense_sign_sums, and doubles of shared memory for their sums. */
constexpr unsigned kSignThreads = 128, kSignSums = 16 * kSignThreads;
template <class E> constexpr unsigned kSignBlocks = sizeof(E) == 2 ? 4 : 3;   // that a multiprocessor shall hold at once

/** What a thread adds up of its 8 channels: h, and h xhat; beside bfloat16 h (x - mean), which is multiplied by the inverse deviation at the end. */
template <class E> struct SignSums {
  using S = typename TileSum<E>::type;
  S of[16] = {};
  double* kept;   // beside bfloat16, those of the rows before
  unsigned rows = 0;

  __device__ __forceinline__ explicit SignSums(double* room) : kept(room + threadIdx.x) {
#pragma unroll
    for (unsigned i = 0; i < 16; i++) kept[i * kSignThreads] = 0;
  }

  static constexpr bool kShort = sizeof(E) == 2;

  __device__ __forceinline__ void add(float h, float v, const NormOf<8>& norm, unsigned k) {
    of[k] = plus(of[k], h);
    of[8 + k] = plus(of[8 + k], h, kShort ? norm.deviation(v, k) : norm.hat(v, k));
  }

  __device__ __forceinline__ void row_done() {
    if constexpr (sizeof(E) == 2) {
      if (++rows % 8 != 0) return;
#pragma unroll
      for (unsigned i = 0; i < 16; i++) kept[i * kSignThreads] += double(of[i]), of[i] = 0;
    }
  }

  __device__ __forceinline__ double operator()(unsigned v, unsigned k) const { return kept[(8 * v + k) * kSignThreads] + double(of[8 * v + k]); }
};

ONEBIT_KERNEL(256) dense_running(float* runningMean, float* runningVar, const float* mean, const float* var, float momentum, unsigned channels) {
  unsigned c = blockIdx.x * 256 + threadIdx.x;
  if (c < channels) move_running(runningMean, runningVar, c, mean[c], var[c], momentum);
}

#define ELEMENT_FILE "dense.cu"
#include "each_element.cuh"
#else

ONEBIT_KERNEL(256) ENTRY(dense_append)(double* partial, ELEMENT* x, const ELEMENT* y, unsigned rows, unsigned channels, unsigned pitch, unsigned from) {
  __shared__ double tile[2 * kSumTile];
  Live live{kAll.count, (pitch | from) % kSumChannels == 0};
  channel_sums<2>(partial, rows, channels, tile, [=](unsigned i, unsigned c, auto width, auto& each) {
    constexpr unsigned W = width.value;
    float v[W], first[W];
    load_vector(y + i, v);
    load_vector(y + c, first);
    store_live(x + i / channels * pitch + from + c, v, live);
#pragma unroll
    for (unsigned k = 0; k < W; k++) {
      double d = double(v[k]) - double(first[k]);
      each[0][k] = d;
      each[1][k] = d * d;
    }
  });
}

ONEBIT_KERNEL(256) ENTRY(dense_moments)(float* mean, float* inverse, float* var, const ELEMENT* y, const double* partial, unsigned splits, unsigned rows,
                                        unsigned channels, unsigned from, float epsilon, int unbiased) {
  unsigned c = blockIdx.x * 256 + threadIdx.x;
  if (c >= channels) return;
  Moments of(channel_total(partial, splits, 2, 0, channels, c), channel_total(partial, splits, 2, 1, channels, c), load(y + c), rows, epsilon, unbiased);
  mean[from + c] = of.mean;
  inverse[from + c] = of.inverse;
  var[from + c] = of.var;
}

ONEBIT_KERNEL(256) ENTRY(dense_put)(ELEMENT* x, const ELEMENT* y, unsigned n, unsigned channels, unsigned pitch, unsigned from) {
  bool whole = (channels | pitch | from) % kWide<ELEMENT> == 0 && aligned(x, y);
  for_each_vector<kWide<ELEMENT>>(n, whole, [=](unsigned i, auto width) {
    float v[width.value];
    load_vector(y + i, v);
    store_vector(x + i / channels * pitch + from + i % channels, v);
  });
}

ONEBIT_KERNEL(256) ENTRY(dense_take)(ELEMENT* y, const ELEMENT* x, unsigned n, unsigned channels, unsigned pitch, unsigned from) {
  bool whole = (channels | pitch | from) % kWide<ELEMENT> == 0 && aligned(x, y);
  for_each_vector<kWide<ELEMENT>>(n, whole, [=](unsigned i, auto width) {
    float v[width.value];
    load_vector(x + i / channels * pitch + from + i % channels, v);
    store_vector(y + i, v);
  });
}

ONEBIT_KERNEL(256) ENTRY(dense_sign)(unsigned* words, const ELEMENT* x, const float* gamma, const float* beta, const float* mean, const float* inverse,
                                     const float* var, float* runningMean, float* runningVar, float momentum, unsigned rows, unsigned channels,
                                     unsigned pitch) {
  if (blockIdx.x == 0 && runningMean != nullptr) {
    for (unsigned c = threadIdx.x; c < channels; c += 256) move_running(runningMean, runningVar, c, mean[c], var[c], momentum);
  }
  unsigned perRow = (channels + 31) / 32, lanes = perRow * 4;
  if ((channels | pitch) % 8 == 0 && lanes <= 256 && aligned(x)) {
    OwnRows mine(lanes * 8, rows);   // of bytes, those behind the last channel too
    unsigned char* bytes = reinterpret_cast<unsigned char*>(words) + mine.c / 8;
    if (mine.c >= channels) {
      for (unsigned row = mine.first; row < rows; row += mine.step) bytes[row * lanes] = 0;
      return;
    }
    NormOf<8> norm({gamma, beta, mean, inverse}, mine.c, {8, false});
    struct Asked {
      Ahead<ELEMENT, 8> x;
    };
    mine.each<Asked>(rows, [&](Asked& asked, unsigned row) { asked.x.ask(x + row * pitch + mine.c, true); }, [&](const Asked& asked, unsigned row) {
      float v[8];
      asked.x.take(v, 0, kAll);
      unsigned packed = 0;
#pragma unroll
      for (unsigned k = 0; k < 8; k++) packed |= unsigned(norm.apply(v[k], k) >= 0) << k;
      bytes[row * lanes] = static_cast<unsigned char>(packed);
    });
    return;
  }
  unsigned lane = threadIdx.x % 32;
  for (unsigned word = (blockIdx.x * blockDim.x + threadIdx.x) / 32; word < rows * perRow; word += gridDim.x * blockDim.x / 32) {
    unsigned row = word / perRow, c = word % perRow * 32 + lane;
    bool inside = c < channels;
    unsigned packed = __ballot_sync(kFullWarp, inside && norm_value(load(x + row * pitch + c), mean[c], gamma[c] * inverse[c], beta[c]) >= 0);
    if (lane == 0) words[word] = packed;
  }
}

ONEBIT_KERNEL(128, kSignBlocks<ELEMENT>) ENTRY(dense_sign_sums)(double* partial, unsigned* counters, float* gradGamma, float* gradBeta, float* meanH,
                                                                float* meanHx, const ELEMENT* gradQ, const ELEMENT* x, const float* gamma,
                                                                const float* beta, const float* mean, const float* inverse, int kind, float a, float b,
                                                                unsigned rows, unsigned channels, unsigned pitch) {
  __shared__ double room[kTileSums<2>], kept[kSignSums];
  struct Asked {
    Ahead<ELEMENT, 8> x, g;
  };
  OwnRows mine(64, rows);   // of the 64 channels of this block
  unsigned c = blockIdx.y * 64 + mine.c;
  Live live = tile_live(c, channels), ofX{live.count, live.together && pitch % 8 == 0 && aligned(x)};
  SignSums<ELEMENT> sums(kept);
  if (live.count > 0) {
    NormOf<8> norm({gamma, beta, mean, inverse}, c, live);
    Slope{kind, a, b}.with([&](auto slope, auto plain) {
      auto add = [&](float v, float g, unsigned k) { sums.add(__fmul_rn(g, slope(norm.apply(v, k))), v, norm, k); };
      if constexpr (decltype(plain)::value == 1) {
        mine.each<Asked>(rows, [&](Asked& asked, unsigned row) {
          asked.x.ask(x + row * pitch + c, ofX.together);
          asked.g.ask(gradQ + row * channels + c, live.together);
        }, [&](const Asked& asked, unsigned) {
          float v[8], g[8];
          asked.x.take(v, 0, ofX);
          asked.g.take(g, 0, live);
#pragma unroll
          for (unsigned k = 0; k < 8; k++) add(v[k], g[k], k);
          sums.row_done();
        });
      } else {   // long slopes leave no registers for what comes next
        for (unsigned row = mine.first; row < rows; row += mine.step) {
#pragma unroll
          for (unsigned k = 0; k < 8; k++) if (k < live.count) add(load(x + row * pitch + c + k), load(gradQ + row * channels + c + k), k);
          sums.row_done();
        }
      }
    });
  }
  finish_tiles<2>(sums, partial, counters, channels, room, [&](unsigned channel, const double (&total)[2]) {
    norm_sums(gradGamma, gradBeta, meanH, meanHx, channel, total[0], total[1] * (sums.kShort ? inverse[channel] : 1.0f), rows, inverse);
  });
}

ONEBIT_KERNEL(256, 2) ENTRY(dense_sign_backward)(ELEMENT* gradX, const ELEMENT* gradQ, const ELEMENT* x, const float* gamma, const float* beta,
                                                 const float* mean, const float* inverse, const float* meanH, const float* meanHx, int kind, float a, float b,
                                                 unsigned n, unsigned channels, unsigned pitch, unsigned gradPitch) {
  Norm of{gamma, beta, mean, inverse};
  Slope{kind, a, b}.with([&](auto slope, auto) {
    if (OwnRows::fit(channels) && (pitch | gradPitch) % 8 == 0 && aligned(gradX, gradQ, x)) {
      struct Asked {
        Ahead<ELEMENT, 8> x, g, sum;
      };
      unsigned rows = n / channels;
      OwnRows mine(channels, rows);
      unsigned c = mine.c;
      NormOf<8> norm(of, c, {8, false});
      float ofH[8], ofHx[8];
      load_live(meanH + c, ofH, {8, false});
      load_live(meanHx + c, ofHx, {8, false});
      mine.template each<Asked>(rows, [&](Asked& asked, unsigned row) {
        asked.x.ask(x + row * pitch + c, true);
        asked.g.ask(gradQ + row * channels + c, true);
        asked.sum.ask(gradX + row * gradPitch + c, true);
      }, [&](const Asked& asked, unsigned row) {
        float v[8], g[8], sum[8];
        asked.x.take(v, 0, kAll);
        asked.g.take(g, 0, kAll);
        asked.sum.take(sum, 0, kAll);
#pragma unroll
        for (unsigned k = 0; k < 8; k++) sum[k] = __fadd_rn(sum[k], norm.back(g[k] * slope(norm.apply(v[k], k)), ofH[k], ofHx[k], v[k], k));
        store_vector(gradX + row * gradPitch + c, sum);
      });
      return;
    }
    FOR_EACH(i, n) {
      unsigned row = i / channels, c = i % channels;
      float v = load(x + row * pitch + c);
      NormOf<1> norm(of, c);
      ELEMENT* to = gradX + row * gradPitch + c;
      store(to, __fadd_rn(load(to), norm.back(load(gradQ + i) * slope(norm.apply(v, 0)), meanH[c], meanHx[c], v, 0)));
    }
  });
}
#endif
