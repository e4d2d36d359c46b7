// multibox.cu -- the loss of detection: boxes' offsets and classes of positives, classes of the hardest negatives, and its gradient
//
//   location   = sum over positives of smooth L1 (output - offsets), 4 of each prior, / M           M = divisor[0]; all 0 where it is 0
//   confidence = sum over positives and chosen negatives of log sum e^z - z[label], / M
//   multibox_rank      logSums[prior] = log sum e^z;  keys[prior] = 1 + the bits of float(log sum e^z - z[0]) where the label is 0, else 0
//   multibox_choose    chosen[image] = {T, C}: the min(floor(ratio positives), negatives) largest keys are those > T, and those = T before prior C
//   multibox_gradient  gradOutput = (clamp(output - offsets, -1, 1), softmax - target) / M, 0 where a prior does not count; partial[block] = {sums of both losses}
//   multibox_finish    result = {location + confidence, location, confidence}
//
// Shapes     output, gradOutput [N][P (4 + K)]: 4 P offsets, then K logits of each prior; labels [N][P] int32, 0 the background; offsets [N][4 P];
//            logSums, keys [N][P]; chosen [N][2]; divisor 1 value; partial [blocks][2] double; result 3 values
// Launch     _rank and _gradient block 256, any grid; _choose block 256, grid N; _finish block 256, grid 1
// Limits     N P (4 + K) < 2^31; a label outside 0..K-1 makes the loss NaN: the host cannot be told within the step
// Exactness  double, gradOutput and result rounded once; negatives are ranked by their cross-entropy in float32, NaN above all, so that near the last one
//            chosen another device's exp may choose otherwise; equal on every run
// Twin       src/main/java/onebit/ops/cpu/CpuMultibox.java, run
// Tests      native-tests/multibox_test.cpp, src/test/java/onebit/ops/MultiboxTest.java
// Source     Liu et al. 2016, SSD, arXiv 1512.02325, equations 1 to 3 and section 2.2; code ssd.pytorch layers/modules/multibox_loss.py
// Rungs      1 eight lanes a prior rank, a block an image chooses by four digits of the keys, a thread a value gives the gradient
#include "common.cuh"

constexpr unsigned kNaNBits = 0x7fc00000u;

/** The sum of the values of all threads of a block of 256 up to this one. `shared` holds 8. */
__device__ __forceinline__ unsigned block_scan(unsigned value, unsigned* shared) {
  unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (unsigned d = 1; d < 32; d *= 2) {
    unsigned before = __shfl_up_sync(kFullWarp, value, d);
    if (lane >= d) value += before;
  }
  if (lane == 31) shared[warp] = value;
  __syncthreads();
  for (unsigned w = 0; w < warp; w++) value += shared[w];
  __syncthreads();
  return value;
}

ONEBIT_KERNEL(256) multibox_rank(double* logSums, unsigned* keys, const float* output, const int* labels, unsigned total, unsigned priors, unsigned classes) {
  constexpr unsigned kLanes = 8;
  unsigned lane = threadIdx.x % kLanes, width = 4 + classes;
  for (unsigned first = blockIdx.x * (256 / kLanes); first < total; first += gridDim.x * (256 / kLanes)) {
    unsigned mine = first + threadIdx.x / kLanes, at = min(mine, total - 1), prior = at % priors;   // the lanes of a warp stay together
    const float* z = output + (at - prior) * width + 4 * priors + prior * classes;
    float most = -INFINITY;
    for (unsigned k = lane; k < classes; k += kLanes) most = fmaxf(most, z[k]);
    for (unsigned d = kLanes / 2; d > 0; d /= 2) most = fmaxf(most, __shfl_xor_sync(kFullWarp, most, int(d)));
    double sum = 0;
    for (unsigned k = lane; k < classes; k += kLanes) sum += exp(double(z[k]) - double(most));   // NaN of a NaN, and of infinities
    for (unsigned d = kLanes / 2; d > 0; d /= 2) sum += __shfl_xor_sync(kFullWarp, sum, int(d));
    if (lane != 0 || mine >= total) continue;
    double logSum = double(most) + log(sum);
    float loss = float(logSum - double(z[0]));   // >= 0, for the sum is of e^0 and more
    logSums[at] = logSum;
    keys[at] = labels[at] != 0 ? 0 : 1 + (loss != loss ? kNaNBits : __float_as_uint(loss));
  }
}

ONEBIT_KERNEL(256) multibox_choose(unsigned* chosen, const unsigned* keys, const int* labels, unsigned priors, unsigned classes, float ratio) {
  __shared__ double sums[33];
  __shared__ unsigned bins[256], scan[8], found[2];
  unsigned thread = threadIdx.x;
  keys += blockIdx.x * priors;
  labels += blockIdx.x * priors;
  double positives = 0, negatives = 0;
  for (unsigned p = thread; p < priors; p += 256) {
    unsigned label = unsigned(labels[p]);
    positives += label != 0 && label < classes ? 1 : 0;
    negatives += label == 0 ? 1 : 0;
  }
  positives = block_sum(positives, sums);
  negatives = block_sum(negatives, sums);
  unsigned wanted = unsigned(fmin(floor(double(ratio) * positives), negatives)), limit = ~0u, cut = 0;
  if (wanted > 0) {
    unsigned rest = wanted;   // of the keys that begin as limit does, this many
    limit = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
      bins[thread] = 0;
      __syncthreads();
      for (unsigned p = thread; p < priors; p += 256) {
        unsigned key = keys[p];
        if (((key ^ limit) >> shift & ~255u) == 0) atomicAdd(&bins[key >> shift & 255], 1u);
      }
      __syncthreads();
      unsigned digit = 255 - thread, own = bins[digit], upto = block_scan(own, scan);
      if (upto >= rest && upto - own < rest) found[0] = digit, found[1] = rest - (upto - own);
      __syncthreads();
      limit |= found[0] << shift;
      rest = found[1];
      __syncthreads();
    }
    cut = priors;
    if (bins[limit & 255] > rest) {   // more are equal to the last one than are wanted: the first of them, in their order
      for (unsigned first = 0, before = 0; before < rest && first < priors; first += 256) {
        unsigned p = first + thread;
        bool equal = p < priors && keys[p] == limit;
        unsigned upto = before + block_scan(equal ? 1 : 0, scan);
        if (equal && upto == rest) found[0] = p + 1;
        if (thread == 255) found[1] = upto;
        __syncthreads();
        before = found[1];
        __syncthreads();
      }
      cut = found[0];
    }
  }
  if (thread == 0) {
    chosen[2 * blockIdx.x] = limit;
    chosen[2 * blockIdx.x + 1] = cut;
  }
}

/** 1 / M, or 0. */
__device__ __forceinline__ double multibox_share(const float* divisor) { return divisor[0] == 0 ? 0 : 1 / double(divisor[0]); }

ONEBIT_KERNEL(256) multibox_gradient(float* gradOutput, double* partial, const float* output, const int* labels, const float* offsets, const double* logSums,
                                     const unsigned* keys, const unsigned* chosen, const float* divisor, unsigned images, unsigned priors,
                                     unsigned classes) {
  __shared__ double shared[33];
  double share = multibox_share(divisor), location = 0, confidence = 0;
  unsigned row = priors * (4 + classes);
  Divisor byRow(row), byClasses(classes);
  FOR_EACH(i, images * row) {
    unsigned at, k, image = byRow.divide(i, at);
    double gradient = 0;
    if (at < 4 * priors) {
      unsigned label = unsigned(labels[image * priors + at / 4]);
      if (label != 0 && label < classes) {
        double d = double(output[i]) - double(offsets[image * 4 * priors + at]), size = fabs(d);
        location += size < 1 ? 0.5 * d * d : size - 0.5;
        gradient = d < -1 ? -1 : d > 1 ? 1 : d;
      }
    } else {
      unsigned prior = byClasses.divide(at - 4 * priors, k), mine = image * priors + prior, label = unsigned(labels[mine]);
      bool counts = label < classes;
      if (!counts && k == 0) confidence = NAN;
      if (label == 0) {
        unsigned key = keys[mine], limit = chosen[2 * image];
        counts = key > limit || (key == limit && prior < chosen[2 * image + 1]);
      }
      if (counts) {
        double logSum = logSums[mine], z = output[i];
        gradient = exp(z - logSum) - (k == label ? 1 : 0);
        if (k == label) confidence += logSum - z;
      }
    }
    gradOutput[i] = float(gradient * share);
  }
  location = block_sum(location, shared);
  confidence = block_sum(confidence, shared);
  if (threadIdx.x == 0) {
    partial[2 * blockIdx.x] = location;
    partial[2 * blockIdx.x + 1] = confidence;
  }
}

ONEBIT_KERNEL(256) multibox_finish(float* result, const double* partial, const float* divisor, unsigned blocks) {
  __shared__ double shared[33];
  double share = multibox_share(divisor), location = 0, confidence = 0;
  for (unsigned b = threadIdx.x; b < blocks; b += 256) {
    location += partial[2 * b];
    confidence += partial[2 * b + 1];
  }
  location = block_sum(location, shared);
  confidence = block_sum(confidence, shared);
  if (threadIdx.x != 0) return;
  result[0] = float((location + confidence) * share);
  result[1] = float(location * share);
  result[2] = float(confidence * share);
}
