// test_kernels.cu -- kernels for the emulated device's own tests: right ones, and ones with a planted bug
#include <cuda_bf16.h>

#define KERNEL extern "C" __global__

KERNEL void vector_add(float* c, const float* a, const float* b, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) c[i] = a[i] + b[i];
}

/** Sum per block through shared memory and a barrier tree. */
KERNEL void __launch_bounds__(256) block_sum(float* out, const float* in, int n) {
  __shared__ float s[256];
  int i = blockIdx.x * 256 + threadIdx.x;
  s[threadIdx.x] = i < n ? in[i] : 0.0f;
  __syncthreads();
  for (int half = 128; half > 0; half /= 2) {
    if (threadIdx.x < half) s[threadIdx.x] += s[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) out[blockIdx.x] = s[0];
}

__device__ __forceinline__ int warp_sum(int v) {
  for (int d = 16; d > 0; d /= 2) v += __shfl_down_sync(0xffffffffu, v, d);
  return v;
}

/** Sum per block through warp shuffles and a small shared array, and the ballot of odd values of each warp. */
KERNEL void warp_sums(int* out, unsigned* odd, const int* in) {
  __shared__ int partial[32];
  int v = in[blockIdx.x * blockDim.x + threadIdx.x];
  unsigned ballot = __ballot_sync(0xffffffffu, v & 1);
  int s = warp_sum(v);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (lane == 0) {
    partial[warp] = s;
    odd[blockIdx.x * (blockDim.x / 32) + warp] = ballot;
  }
  __syncthreads();
  if (warp == 0) {
    s = warp_sum(lane < blockDim.x / 32 ? partial[lane] : 0);
    if (lane == 0) out[blockIdx.x] = s;
  }
}

/** Reverses each block through dynamic shared memory. */
KERNEL void reverse_blocks(int* out, const int* in) {
  extern __shared__ int tile[];
  tile[threadIdx.x] = in[blockIdx.x * blockDim.x + threadIdx.x];
  __syncthreads();
  out[blockIdx.x * blockDim.x + threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

KERNEL void count_atomics(unsigned* histogram, float* total, const unsigned* in, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  atomicAdd(&histogram[in[i] % 16], 1u);
  atomicAdd(total, 1.0f);
}

/** xor, up and indexed shuffles with width 8; the three results side by side. */
KERNEL void shuffles(int* out, const int* in) {
  int v = in[threadIdx.x];
  out[threadIdx.x * 3] = __shfl_xor_sync(0xffffffffu, v, 5, 8);
  out[threadIdx.x * 3 + 1] = __shfl_up_sync(0xffffffffu, v, 3, 8);
  out[threadIdx.x * 3 + 2] = __shfl_sync(0xffffffffu, v, 2, 8);
}

KERNEL void bfloat16_round_trip(float* out, const float* in, float4 add, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = __bfloat162float(__float2bfloat16(in[i])) + add.w;
}

enum HandOver { kReadFar, kReadBehindFence, kNoFenceBefore, kNoFenceBehind, kNotTheLast };

/** The last block adds up what all wrote, in one of two right ways or with a bug. */
KERNEL void hand_over(float* sums, float* partial, unsigned* counter, int how) {
  __shared__ unsigned before;
  partial[blockIdx.x * 32 + threadIdx.x] = float(blockIdx.x + threadIdx.x);
  if (how != kNoFenceBefore) __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) before = atomicAdd(counter, 1u);
  __syncthreads();
  if (before != (how == kNotTheLast ? 1 : gridDim.x - 1)) return;
  if (how == kReadBehindFence) __threadfence();
  float sum = 0;
  for (unsigned i = 0; i < gridDim.x; i++) {
    const float* p = partial + i * 32 + threadIdx.x;
    sum += how == kReadFar || how == kNoFenceBefore ? __ldcg(p) : *p;
  }
  sums[threadIdx.x] = sum;
}

// ---- planted bugs ----

/** Each block reads what the next one writes. */
KERNEL void shifted_in_place(float* x) { x[blockIdx.x * 32 + threadIdx.x] = x[blockIdx.x * 32 + 32 + threadIdx.x]; }

KERNEL void write_past_the_end(float* out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i <= n) out[i] = 1.0f;
}
KERNEL void read_past_the_end(float* out, const float* in, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = in[i + 1];
}
KERNEL void store_through(float* p) { p[0] = 1.0f; }
KERNEL void store_through_table(float** table) { table[0][0] = 1.0f; }
KERNEL void divergent_barrier(float* out) {
  if (threadIdx.x == 7) return;
  __syncthreads();
  out[threadIdx.x] = 1.0f;
}
KERNEL void two_barriers(float* out) {
  if (threadIdx.x < 16) {
    __syncthreads();
    out[threadIdx.x] = 1.0f;
  } else {
    __syncthreads();
    out[threadIdx.x] = 2.0f;
  }
}
KERNEL void unbalanced_shuffle(int* out) {
  int v = threadIdx.x;
  if (threadIdx.x != 5) v = __shfl_xor_sync(0xffffffffu, v, 1);
  out[threadIdx.x] = v;
}
KERNEL void missing_barrier(float* out, const float* in) {
  __shared__ float s[64];
  s[threadIdx.x] = in[threadIdx.x];
  out[threadIdx.x] = s[63 - threadIdx.x];
}
template <class T> __device__ __noinline__ T turned(T value) {
  __shared__ T s[48];
  s[threadIdx.x] = value;
  __syncthreads();
  return s[blockDim.x - 1 - threadIdx.x];
}
static __device__ __noinline__ float turned_back(float value) { return turned(value); }
/** The arrays of functions are the kernel's as its own are. */
KERNEL void shared_of_functions(float* out, const float* in) {
  __shared__ float own[16];
  if (threadIdx.x < 16) own[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = turned_back(in[threadIdx.x]) + own[threadIdx.x % 16];
}
/** The second round overwrites what slower threads still read. */
KERNEL void missing_second_barrier(float* out, const float* in) {
  __shared__ float s[64];
  for (int round = 0; round < 2; round++) {
    s[threadIdx.x] = in[threadIdx.x] + float(round);
    __syncthreads();
    out[threadIdx.x] = s[63 - threadIdx.x];
  }
}
/** The same at a place that the compiler knows: an element of an array, or a scalar. */
KERNEL void missing_second_barrier_of_one(float* out, const float* in, int scalar) {
  __shared__ float s[2], alone;
  for (int round = 0; round < 2; round++) {
    if (threadIdx.x == 40) {
      if (scalar) alone = in[round];
      else s[1] = in[round];
    }
    __syncthreads();
    out[threadIdx.x] += scalar ? alone : s[1];
  }
}
KERNEL void shared_past_the_end(float* out) {
  extern __shared__ float smem[];
  smem[threadIdx.x] = 1.0f;
  if (threadIdx.x == 0) smem[blockDim.x] = 2.0f;
  __syncthreads();
  out[threadIdx.x] = smem[threadIdx.x];
}
KERNEL void misaligned(float4* out, const char* in) { out[0] = *reinterpret_cast<const float4*>(in + 4); }
