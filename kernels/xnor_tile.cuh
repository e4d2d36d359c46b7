// xnor_tile.cuh -- one block's tile of a product of packed bits: common ones of 128 rows of a against 64 or 128 rows of b
//
//   common[m][n] = sum over words of popc(a[m] & b[n])          ones[m] = sum over words of popc(a[m])
//
// Products   XnorAnd   mma.sync AND m16n8k256, the rest of a row by m16n8k128 where 128 bits or less are left: sm_80 to sm_90
//            XnorXor   mma.sync XOR m8n8k128, common = (ones of a + ones of b - xor) / 2: sm_75
//            XnorPopc  __popc: every device
// Launch     block 128: two by two warps, each half of the rows and half of the columns; dynamic shared memory xnor_room(...) bytes
// Pipeline   up to 3 stages of 512 bits per row, copied by cp.async two stages ahead; one barrier per stage
// Swizzle    a stage's row is four chunks of 16 bytes; chunk c of row r lies at c ^ (r / 2 % 4), so that neither ldmatrix nor the copies
//            meet a bank twice
// Ones       one more column of products with all ones (of zeros for XOR); each half of the columns counts half of the rows
// Results    through shared memory, 64 columns of all rows or 128 of half of them at a time, so that a thread owns 8 neighbouring columns and stores 16 bytes at once
// Exactness  whole numbers
// Source     PTX ISA, mma.sync b1, ldmatrix, cp.async; anchors/performance.md section 1
#pragma once
#include "element.cuh"
#include "mma.cuh"

constexpr unsigned kTileRows = 128, kStageWords = 16, kStages = 3;

/** AND on the tensor cores. */
struct XnorAnd {
  static constexpr bool kTensor = true, kXor = false;
  static constexpr uint32_t kOne = 0xffffffffu;   // a column of these counts the ones of a
  static __device__ __forceinline__ void k256(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { mma_m16n8k256_and_popc(d, a, b, d); }
  static __device__ __forceinline__ void k128(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    const uint32_t half[2] = {a[0], a[1]}, right[1] = {b[0]};
    mma_m16n8k128_and_popc(d, half, right, d);
  }
};

/** XOR on the tensor cores of sm_75. */
struct XnorXor {
  static constexpr bool kTensor = true, kXor = true;
  static constexpr uint32_t kOne = 0;
  static __device__ __forceinline__ void k128(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { eight(d, a[0], a[1], b[0]); }
  static __device__ __forceinline__ void k256(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    eight(d, a[0], a[1], b[0]);
    eight(d, a[2], a[3], b[1]);
  }

 private:
  static __device__ __forceinline__ void eight(int32_t (&d)[4], uint32_t top, uint32_t bottom, uint32_t right) {
    const uint32_t a0[1] = {top}, a1[1] = {bottom}, b[1] = {right};
    int32_t upper[2] = {d[0], d[1]}, lower[2] = {d[2], d[3]};
    mma_m8n8k128_xor_popc(upper, a0, b, upper);
    mma_m8n8k128_xor_popc(lower, a1, b, lower);
    d[0] = upper[0], d[1] = upper[1], d[2] = lower[0], d[3] = lower[1];
  }
};

/** Population counts of the ordinary cores. */
struct XnorPopc {
  static constexpr bool kTensor = false, kXor = false;
};

/** Whether this architecture has the product's instructions; a kernel of another is empty and must not be launched. */
template <class PRODUCT> __device__ constexpr bool xnor_has() {
#if !defined(__CUDA_ARCH__)
  return true;
#elif __CUDA_ARCH__ < 800
  return !PRODUCT::kTensor || PRODUCT::kXor;
#elif __CUDA_ARCH__ < 1000
  return !PRODUCT::kTensor || !PRODUCT::kXor;
#else
  return !PRODUCT::kTensor;
#endif
}

/** Where an operand's words of one stage lie: row r of kStageWords words, its chunks swizzled. */
__device__ __forceinline__ unsigned stage_at(unsigned row, unsigned chunk) { return row * kStageWords + (chunk ^ (row / 2 % 4)) * 4; }

/**
 * Begins the copies of one stage of ROWS rows: at(j, row, position) is the address of PIECE words of row j * 32 + threadIdx.x / 4, null for zeros;
 * position(word) is what all rows share. A chunk that no product reads is left alone.
 */
template <unsigned ROWS, unsigned PIECE, class Position, class At>
__device__ __forceinline__ void stage_rows(unsigned* to, const unsigned* base, unsigned step, unsigned words, Position position, At at) {
  unsigned chunk = threadIdx.x % 4, word = step * kStageWords + chunk * 4;
  if (word >= (words + 7) / 8 * 8) return;
#pragma unroll
  for (unsigned piece = 0; piece < 4; piece += PIECE) {
    bool some = word + piece < words;
    auto shared = position(some ? word + piece : 0);
#pragma unroll
    for (unsigned j = 0; j < ROWS / 32; j++) {
      unsigned row = j * 32 + threadIdx.x / 4;
      const unsigned* from = some ? at(j, row, shared) : nullptr;
      cp_async<4 * PIECE>(to + stage_at(row, chunk) + piece, from ? from : base, from ? 4 * PIECE : 0);
    }
  }
}

/** The same with the widest copies that `aligned` words allow. */
template <unsigned ROWS, class Position, class At>
__device__ __forceinline__ void stage_rows(unsigned* to, const unsigned* base, unsigned step, unsigned words, unsigned aligned, Position position, At at) {
  if (aligned % 4 == 0) stage_rows<ROWS, 4>(to, base, step, words, position, at);
  else if (aligned % 2 == 0) stage_rows<ROWS, 2>(to, base, step, words, position, at);
  else stage_rows<ROWS, 1>(to, base, step, words, position, at);
}

/** The rows of a matrix of packed rows of `words` words, from row `first` on; those past `rows` are zeros. */
template <unsigned ROWS>
__device__ __forceinline__ void stage_matrix(unsigned* to, const unsigned* matrix, unsigned first, unsigned rows, unsigned step, unsigned words) {
  stage_rows<ROWS>(to, matrix, step, words, words, [](unsigned word) { return word; },
                   [&](unsigned, unsigned row, unsigned word) { return first + row < rows ? matrix + size_t(first + row) * words + word : nullptr; });
}

/** The first of the 8 neighbouring columns that this thread stores. */
template <unsigned COLUMNS> __device__ __forceinline__ unsigned xnor_column() { return threadIdx.x % (COLUMNS / 8) * 8; }

/** The products of 256 bits, or of the 128 that are left, on the tensor cores; `live` columns of the warp's half are wanted. */
template <class PRODUCT, unsigned COLUMNS, bool WHOLE>
__device__ __forceinline__ void pair_products(const unsigned* a, const unsigned* b, unsigned c, unsigned live, int (&counts)[4][COLUMNS / 16][4],
                                              int (&ones)[2][4]) {
  unsigned lane = threadIdx.x % 32, right = threadIdx.x / 32 % 2, below = threadIdx.x / 64;
  // ldmatrix: lane 8 i + r gives the address of row r of matrix i; a's are top, bottom, top, bottom, b's left, left, right, right
  unsigned rowA = below * 64 + lane % 16, chunkA = lane / 16, rowB = right * (COLUMNS / 2) + lane / 16 * 8 + lane % 8, chunkB = lane / 8 % 2;
  auto product = [](int(&d)[4], const uint32_t(&l)[4], const uint32_t(&r)[2]) {
    if constexpr (WHOLE) PRODUCT::k256(d, l, r);
    else PRODUCT::k128(d, l, r);
  };
  uint32_t left[4][4];
#pragma unroll
  for (unsigned i = 0; i < 4; i++) ldmatrix_x4(left[i], a + stage_at(rowA + 16 * i, c + chunkA));
#pragma unroll
  for (unsigned n = 0; n < COLUMNS / 16; n += 2) {
    if (COLUMNS == 64 && n * 8 >= live) break;   // networks of 16 and 32 filters
    uint32_t pair[4];
    ldmatrix_x4(pair, b + stage_at(rowB + 8 * n, c + chunkB));
    const uint32_t first[2] = {pair[0], pair[1]}, second[2] = {pair[2], pair[3]};
#pragma unroll
    for (unsigned i = 0; i < 4; i++) {
      product(counts[i][n], left[i], first);
      product(counts[i][n + 1], left[i], second);
    }
  }
  const uint32_t one[2] = {PRODUCT::kOne, PRODUCT::kOne};
#pragma unroll
  for (unsigned i = 0; i < 4; i++) if (i / 2 == right) product(ones[i % 2], left[i], one);
}

/** The products of one stage on the tensor cores. */
template <class PRODUCT, unsigned COLUMNS>
__device__ __forceinline__ void stage_products(const unsigned* a, const unsigned* b, unsigned chunks, unsigned live, int (&counts)[4][COLUMNS / 16][4],
                                               int (&ones)[2][4]) {
#pragma unroll
  for (unsigned c = 0; c < 4; c += 2) {
    if (c + 1 < chunks) pair_products<PRODUCT, COLUMNS, true>(a, b, c, live, counts, ones);
    else if (c < chunks) pair_products<PRODUCT, COLUMNS, false>(a, b, c, live, counts, ones);
  }
}

/** The products of one stage by population counts: thread (t / 8, t % 8) has rows t / 8 + 16 i and columns t % 8 + 8 n. */
template <unsigned COLUMNS>
__device__ __forceinline__ void stage_counts(const unsigned* a, const unsigned* b, unsigned chunks, unsigned live, int (&counts)[8][COLUMNS / 8], int (&ones)[8]) {
  unsigned row = threadIdx.x / 8, column = threadIdx.x % 8;
  for (unsigned c = 0; c < chunks; c++) {
    uint4 left[8];
#pragma unroll
    for (unsigned i = 0; i < 8; i++) {
      left[i] = *reinterpret_cast<const uint4*>(a + stage_at(row + 16 * i, c));
      ones[i] += __popc(left[i].x) + __popc(left[i].y) + __popc(left[i].z) + __popc(left[i].w);
    }
#pragma unroll
    for (unsigned n = 0; n < COLUMNS / 8; n++) {
      if (n * 8 >= live) break;
      uint4 right = *reinterpret_cast<const uint4*>(b + stage_at(column + 8 * n, c));
#pragma unroll
      for (unsigned i = 0; i < 8; i++) {
        counts[i][n] += __popc(left[i].x & right.x) + __popc(left[i].y & right.y) + __popc(left[i].z & right.z) + __popc(left[i].w & right.w);
      }
    }
  }
}

/**
 * The whole tile: stage(a, b, step) begins the copies of a stage of both operands; own() is what a thread wants to know of its 8 columns, asked
 * when the products are done, with the ones of b in own().ones; store(own, row, common, ones) takes these columns of a row, from xnor_column on.
 * columns are those of b that exist; a thread without one is not asked.
 */
template <class PRODUCT, unsigned COLUMNS, class Stage, class Own, class Store>
__device__ __forceinline__ void xnor_tile(unsigned* room, unsigned words, unsigned columns, Stage stage, Own own, Store store) {
  constexpr unsigned stageWords = (kTileRows + COLUMNS) * kStageWords, parts = COLUMNS / 64, partRows = kTileRows / parts;
  constexpr unsigned stride = COLUMNS + 8;   // 8 more words: the pairs of a fragment spread over all banks
  unsigned steps = (words + kStageWords - 1) / kStageWords, thread = threadIdx.x, right = thread / 32 % 2, below = thread / 64;
  unsigned half = PRODUCT::kTensor ? right * (COLUMNS / 2) : 0u, live = columns > half ? columns - half : 0u;
  int* onesOfRow = reinterpret_cast<int*>(room + max(min(kStages, steps) * stageWords, partRows * stride));
  int counts[PRODUCT::kTensor ? 4 : 8][PRODUCT::kTensor ? COLUMNS / 16 : COLUMNS / 8][PRODUCT::kTensor ? 4 : 1] = {};
  int ones[PRODUCT::kTensor ? 2 : 8][PRODUCT::kTensor ? 4 : 1] = {};
  for (unsigned step = 0; step + 1 < kStages; step++) {
    if (step < steps) stage(room + step * stageWords, room + step * stageWords + kTileRows * kStageWords, step);
    cp_async_commit();
  }
  unsigned slot = 0;
  for (unsigned step = 0; step < steps; step++) {
    cp_async_wait<kStages - 2>();
    __syncthreads();
    if (step + kStages - 1 < steps) {
      unsigned* next = room + (slot == 0 ? kStages - 1 : slot - 1) * stageWords;
      stage(next, next + kTileRows * kStageWords, step + kStages - 1);
    }
    cp_async_commit();
    const unsigned* a = room + slot * stageWords;
    unsigned chunks = min(4u, (words - step * kStageWords + 3) / 4);
    if constexpr (PRODUCT::kTensor) {
      stage_products<PRODUCT, COLUMNS>(a, a + kTileRows * kStageWords, chunks, live, counts, ones);
    } else {
      stage_counts<COLUMNS>(a, a + kTileRows * kStageWords, chunks, live, reinterpret_cast<int(&)[8][COLUMNS / 8]>(counts), reinterpret_cast<int(&)[8]>(ones));
    }
    slot = slot + 1 == kStages ? 0 : slot + 1;
  }
  unsigned group = thread % 32 / 4, member = thread % 4;
  if constexpr (PRODUCT::kTensor) {
#pragma unroll
    for (unsigned i = 0; i < 2; i++) {
      if (member != 0) continue;
      onesOfRow[below * 64 + (2 * right + i) * 16 + group] = ones[i][0];
      onesOfRow[below * 64 + (2 * right + i) * 16 + group + 8] = ones[i][2];
    }
  } else {
#pragma unroll
    for (unsigned i = 0; i < 8; i++) if (thread % 8 == 0) onesOfRow[thread / 8 + 16 * i] = ones[i][0];
  }
  int* table = reinterpret_cast<int*>(room);
  unsigned column = xnor_column<COLUMNS>();
  for (unsigned part = 0; part < parts; part++) {
    __syncthreads();   // nobody reads the stages, or the part before, any more
    if constexpr (PRODUCT::kTensor) {
      if (parts == 1 || below == part) {
#pragma unroll
        for (unsigned i = 0; i < 4; i++) {
#pragma unroll
          for (unsigned n = 0; n < COLUMNS / 16; n++) {
            int* at = table + (below * 64 % partRows + 16 * i + group) * stride + half + n * 8 + member * 2;
            *reinterpret_cast<int2*>(at) = make_int2(counts[i][n][0], counts[i][n][1]);
            *reinterpret_cast<int2*>(at + 8 * stride) = make_int2(counts[i][n][2], counts[i][n][3]);
          }
        }
      }
    } else {
#pragma unroll
      for (unsigned i = 0; i < 8; i++) {
        if (parts > 1 && i / 4 != part) continue;
#pragma unroll
        for (unsigned n = 0; n < COLUMNS / 8; n++) table[(thread / 8 + 16 * i) % partRows * stride + thread % 8 + 8 * n] = counts[i][n][0];
      }
    }
    __syncthreads();
    if (column < columns) {
      auto mine = own();
      for (unsigned row = thread / (COLUMNS / 8); row < partRows; row += 128 / (COLUMNS / 8)) {
        const int4* from = reinterpret_cast<const int4*>(table + row * stride + column);
        int4 low = from[0], high = from[1];
        int common[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}, count = onesOfRow[part * partRows + row];
        if (PRODUCT::kXor) {
#pragma unroll
          for (unsigned k = 0; k < 8; k++) common[k] = (count + mine.ones[k] - common[k]) / 2;
        }
        store(mine, part * partRows + row, common, count);
      }
    }
  }
}

/** What y holds. */
enum XnorElement { kFloat32 = 0, kBfloat16 = 1, kInt16 = 2 };

/** Stores 8 neighbours of y from `at` on, the first `live` of them; 16 bytes at a time where all live and `at` is a multiple of 8. */
template <class T> __device__ __forceinline__ void store_eight(T* y, size_t at, unsigned live, const float (&v)[8]) {
  if (live >= 8 && at % 8 == 0) {
    store_vector(y + at, v);
  } else {
#pragma unroll
    for (unsigned k = 0; k < 8; k++) if (k < live) store(y + at + k, v[k]);
  }
}

/** The same as whole numbers of 16 bits. */
__device__ __forceinline__ void store_eight(short* y, size_t at, unsigned live, const float (&v)[8]) {
  if (live >= 8 && at % 8 == 0) {
    unsigned pair[4];
#pragma unroll
    for (unsigned k = 0; k < 4; k++) pair[k] = (unsigned(int(v[2 * k])) & 0xffffu) | unsigned(int(v[2 * k + 1])) << 16;
    *reinterpret_cast<uint4*>(y + at) = make_uint4(pair[0], pair[1], pair[2], pair[3]);
  } else {
#pragma unroll
    for (unsigned k = 0; k < 8; k++) if (k < live) y[at + k] = short(v[k]);
  }
}

/** The same into a y of that element type. */
__device__ __forceinline__ void store_eight(void* y, int element, size_t at, unsigned live, const float (&v)[8]) {
  if (element == kFloat32) store_eight(static_cast<float*>(y), at, live, v);
  else if (element == kBfloat16) store_eight(static_cast<__nv_bfloat16*>(y), at, live, v);
  else store_eight(static_cast<short*>(y), at, live, v);
}
