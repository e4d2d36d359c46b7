// mma_kernels.cu -- one warp per kernel: loads fragments as kernels/mma.cuh lays them out, multiplies, stores; conversions of kernels/float8.cuh
#include "../../../kernels/bit_values.cuh"

#define KERNEL extern "C" __global__

template <int REGISTERS, int PER_ROW> __device__ __forceinline__ void load_a(uint32_t (&a)[REGISTERS], const uint32_t* A, int g, int t) {
  for (int i = 0; i < REGISTERS; i++) a[i] = A[(g + 8 * (i % 2)) * PER_ROW + t + 4 * (i / 2)];
}
template <class T> __device__ __forceinline__ void store_16x8(T* D, const T (&d)[4], int g, int t) {
  D[g * 8 + 2 * t] = d[0];
  D[g * 8 + 2 * t + 1] = d[1];
  D[(g + 8) * 8 + 2 * t] = d[2];
  D[(g + 8) * 8 + 2 * t + 1] = d[3];
}

/** A [16][8] words, B [8][8] words, D [16][8]; adds 100 through c. */
KERNEL void mma_and_k256(int* D, const uint32_t* A, const uint32_t* B) {
  int g = threadIdx.x / 4, t = threadIdx.x % 4;
  uint32_t a[4], b[2] = {B[g * 8 + t], B[g * 8 + t + 4]};
  load_a<4, 8>(a, A, g, t);
  int c[4] = {100, 100, 100, 100}, d[4];
  mma_m16n8k256_and_popc(d, a, b, c);
  store_16x8(D, d, g, t);
}
KERNEL void mma_and_k128(int* D, const uint32_t* A, const uint32_t* B) {
  int g = threadIdx.x / 4, t = threadIdx.x % 4;
  uint32_t a[2], b[1] = {B[g * 4 + t]};
  load_a<2, 4>(a, A, g, t);
  int d[4] = {0, 0, 0, 0};
  mma_m16n8k128_and_popc(d, a, b, d);
  store_16x8(D, d, g, t);
}
KERNEL void mma_xor_k128(int* D, const uint32_t* A, const uint32_t* B) {
  int g = threadIdx.x / 4, t = threadIdx.x % 4;
  uint32_t a[1] = {A[g * 4 + t]}, b[1] = {B[g * 4 + t]};
  int c[2] = {0, 0}, d[2];
  mma_m8n8k128_xor_popc(d, a, b, c);
  D[g * 8 + 2 * t] = d[0];
  D[g * 8 + 2 * t + 1] = d[1];
}
/** A [16][16] and B [8][16] (that is b[k][n] at B[n][k]) bfloat16, brought to shared memory by cp.async and to registers by ldmatrix. */
KERNEL void mma_bf16(float* D, const uint16_t* A, const uint16_t* B) {
  __shared__ __align__(16) uint16_t sa[256], sb[128];
  int l = threadIdx.x, g = l / 4, t = l % 4;
  cp_async_16(sa + l * 8, A + l * 8);
  cp_async_commit();
  if (l < 16) cp_async_16(sb + l * 8, B + l * 8);
  cp_async_commit();
  cp_async_wait<0>();
  __syncwarp();
  uint32_t a[4], b[2];
  ldmatrix_x4(a, sa + (l % 16) * 16 + l / 16 * 8);
  ldmatrix_x2(b, sb + (l % 8) * 16 + l / 8 % 2 * 8);
  float c[4] = {0.5f, 0.5f, 0.5f, 0.5f}, d[4];
  mma_m16n8k16_bf16(d, a, b, c);
  store_16x8(D, d, g, t);
}
/** B given as [16][8] and transposed on the way. */
KERNEL void mma_bf16_trans(float* D, const uint16_t* A, const uint16_t* B) {
  __shared__ __align__(16) uint16_t sb[128];
  int l = threadIdx.x, g = l / 4, t = l % 4;
  for (int i = l; i < 128; i += 32) sb[i] = B[i];
  __syncwarp();
  uint32_t a[4], b[2];
  const uint32_t* pairs = reinterpret_cast<const uint32_t*>(A);
  load_a<4, 8>(a, pairs, g, t);
  ldmatrix_x2_trans(b, sb + (l % 16) * 8);
  float d[4] = {0.5f, 0.5f, 0.5f, 0.5f};
  mma_m16n8k16_bf16(d, a, b, d);
  store_16x8(D, d, g, t);
}
/** A missing cp_async_wait: what is read is not there yet. */
KERNEL void missing_wait(float* out, const float* in) {
  __shared__ __align__(16) float s[128];
  cp_async_16(s + threadIdx.x * 4, in + threadIdx.x * 4);
  cp_async_commit();
  out[threadIdx.x] = s[threadIdx.x * 4];
}
/** Who writes the rows that the warp then reads, and which __syncwarp is missing. */
enum Writers { kEachLane, kFirstLane, kLastLane };
enum Missing { kNone, kBeforeMatrix, kBeforeRewrite, kBeforeLoad };

/** Of each lane a row of 16 bytes, twice; out [2][32][5] has of each lane what ldmatrix gave it and a word of the next lane's row. */
KERNEL void rows_of_lanes(uint32_t* out, int writers, int missing) {
  __shared__ __align__(16) uint4 rows[32];
  unsigned l = threadIdx.x;
  rows[l] = make_uint4(0, 0, 0, 0);
  __syncwarp();
  for (unsigned round = 0; round < 2; round++) {
    for (unsigned i = 0; i < 32; i++)
      if (writers == kEachLane ? i == l : l == (writers == kFirstLane ? 0 : 31)) rows[i] = make_uint4(4 * i + round, 4 * i + 1, 4 * i + 2, 4 * i + 3);
    if (missing != kBeforeMatrix && missing != kBeforeLoad) __syncwarp();
    uint32_t r[4] = {}, *to = out + (round * 32 + l) * 5;
    if (missing != kBeforeLoad) ldmatrix_x4(r, rows + l);
    for (unsigned i = 0; i < 4; i++) to[i] = r[i];
    to[4] = rows[(l + 1) % 32].x;
    if (missing != kBeforeRewrite) __syncwarp();
  }
}
/** One lane does not multiply. */
KERNEL void missing_lane(int* D, const uint32_t* A, const uint32_t* B) {
  int d[4] = {0, 0, 0, 0};
  uint32_t a[2] = {A[0], A[1]}, b[1] = {B[0]};
  if (threadIdx.x != 9) mma_m16n8k128_and_popc(d, a, b, d);
  D[threadIdx.x] = d[0];
}
/** A [16][32] and B [8][32] (that is b[k][n] at B[n][k]) float8. */
KERNEL void mma_e4m3(float* D, const uint32_t* A, const uint32_t* B) {
  int g = threadIdx.x / 4, t = threadIdx.x % 4;
  uint32_t a[4], b[2] = {B[g * 8 + t], B[g * 8 + t + 4]};
  load_a<4, 8>(a, A, g, t);
  float d[4] = {0.5f, 0.5f, 0.5f, 0.5f};
  mma_m16n8k32_e4m3(d, a, b, d);
  store_16x8(D, d, g, t);
}
/** A warp's 64 rows by 32 columns from A [64][32] float8 and B [32] words of bits, of which k 3 counts as nothing. */
KERNEL void bit_quads(float* D, const uint32_t* A, const uint32_t* B) {
  unsigned g = threadIdx.x / 4, t = threadIdx.x % 4;
  uint32_t a[4][4];
  for (unsigned i = 0; i < 4; i++) load_a<4, 8>(a[i], A + i * 128, int(g), int(t));
  WarpSums sums = {};
  const uint32_t* w = B + 4 * t;
  uint32_t low = t == 0 ? 0x00b8b8b8u : 0xb8b8b8b8u, change = t == 0 ? 0x00808080u : 0x80808080u;
  sums.add<true>(a, 0, BitQuad(w[0], w[1], w[2], w[3], g, low, change), BitQuad(w[16], w[17], w[18], w[19], g, 0xb8b8b8b8u, 0x80808080u), 4, 4);
  for (unsigned i = 0; i < 4; i++)
    for (unsigned j = 0; j < 4; j++)
      for (unsigned v = 0; v < 4; v++) D[(i * 16 + v / 2 * 8 + g) * 32 + j * 8 + 2 * t + v % 2] = sums.at[i][j][v];
}
KERNEL void e4m3_codes(uint32_t* codes, const float* values, const uint32_t* n) {
  for (unsigned i = threadIdx.x; i < *n; i += 32) codes[i] = e4m3_bits(values[i]);
}
KERNEL void e4m3_values(float* values, const uint32_t* codes, const uint32_t* n) {
  for (unsigned i = threadIdx.x; i < *n; i += 32) values[i] = e4m3_value(codes[i]);
}
KERNEL void float8_exponents(int* exponents, const float* peaks, const uint32_t* n) {
  for (unsigned i = threadIdx.x; i < *n; i += 32) exponents[i] = float8_exponent(__float_as_uint(peaks[i]));
}
