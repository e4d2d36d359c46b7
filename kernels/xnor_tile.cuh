// xnor_tile.cuh -- one block's tile of a product of packed bits: common ones of 128 rows of a against 64 or 128 rows of b
//
//   common[m][n] = sum over words of popc(a[m] & b[n])          ones[m] = sum over words of popc(a[m])
//
// Products   XnorAnd   mma.sync AND m16n8k256, the rest of a row by m16n8k128 where 128 bits or less are left: sm_80 to sm_90
//            XnorXor   mma.sync XOR m8n8k128, common = (ones of a + ones of b - xor) / 2: sm_75
//            XnorPopc  __popc: every device
// Launch     block 128: two by two warps, each half of the rows and half of the columns; dynamic shared memory of CudaBitOps.room
// Pipeline   up to 3 stages of 512 bits per row, copied by cp.async two stages ahead; one barrier per stage
// Swizzle    a stage's row is four chunks of 16 bytes, laid out so that neither ldmatrix nor the copies meet a bank twice: RowStage, ColumnStage
// Ones       where asked for, one more column of products with all ones (of zeros for XOR): a thread has those of its own rows
// Results    in the registers that counted them: ldmatrix takes the rows of a and of b in such an order that a thread has 8 rows, 16 apart, and 8
//            neighbouring columns of each, so that it stores 16 bytes at once and nothing passes through shared memory
// Limits     fewer than 2^21 bits a row
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

/**
 * Whether this is the product that passes over a convolution are launched with here: the tensor cores' own, population counts where these have none. Code for
 * compute capability 9.0 is made for sm_90a; PTX of compute_90 without its features is read by later devices only. Of others a kernel is empty, as above.
 */
template <class PRODUCT> __device__ constexpr bool xnor_is_chosen() {
#if defined(__CUDA_ARCH__) && (__CUDA_ARCH__ < 900 || defined(__CUDA_ARCH_FEAT_SM90_ALL))
  return PRODUCT::kTensor && xnor_has<PRODUCT>();
#elif defined(__CUDA_ARCH__)
  return !PRODUCT::kTensor;
#else
  return true;
#endif
}

/** Where an operand's words of one stage lie: row r of kStageWords words, its chunks of 16 bytes swizzled. Those of a, whose rows are read 8 in a row. */
struct RowStage {
  static __device__ __forceinline__ unsigned at(unsigned row, unsigned chunk) { return row * kStageWords + (chunk ^ (row / 2 % 4)) * 4; }
};

/** Those of b, of which 8 rows are read that lie 2 and 2 together and 8 apart. */
struct ColumnStage {
  static __device__ __forceinline__ unsigned at(unsigned row, unsigned chunk) { return row / 2 * 2 * kStageWords + ((row % 2 * 4 + chunk) ^ (row / 8 % 8)) * 4; }
};

/**
 * Begins the copies of one stage of ROWS rows out of `from`: there(j, position, index) tells whether row j has words at a position, else they are zeros, and the
 * index of the first of PIECE; position(word, some, Width<PIECE>) is what all rows share, some: whether the word is one of theirs. A row is threadIdx.x / 4 + 32 j,
 * 4 threads a row, or where no more than one chunk is left of the rows threadIdx.x, a thread a row. A chunk that no product reads is left alone.
 */
template <class PLACE, unsigned ROWS, unsigned PIECE, bool LAST, class Position, class There>
__device__ __forceinline__ void stage_rows(unsigned* to, const unsigned* from, unsigned step, unsigned words, Position position, There there) {
  unsigned chunk = LAST ? 0 : threadIdx.x % 4, word = step * kStageWords + chunk * 4, row = LAST ? threadIdx.x : threadIdx.x / 4;
  if (LAST ? row >= ROWS : word >= words) return;
#pragma unroll
  for (unsigned i = 0; i < 4; i += PIECE) {
    unsigned piece = i ^ ((LAST ? threadIdx.x / 2 : threadIdx.x / 8) * PIECE % 4);   // so that the lanes of one copy fill whole chunks together
    bool some = word + piece < words;
    auto shared = position(some ? word + piece : 0, some, Width<PIECE>());
#pragma unroll
    for (unsigned j = 0; j < (LAST ? 1 : ROWS / 32); j++) {
      unsigned index = 0;
      bool here = there(row + 32 * j, j, shared, index);
      cp_async<4 * PIECE>(to + PLACE::at(row + 32 * j, chunk) + piece, from + (here ? index : 0), here ? 4 * PIECE : 0);
    }
  }
}
/** The same with the widest copies that `aligned` words allow. */
template <class PLACE, unsigned ROWS, bool LAST, class Position, class There>
__device__ __forceinline__ void stage_rows(unsigned* to, const unsigned* from, unsigned step, unsigned words, unsigned aligned, Position position, There there) {
  if (aligned % 4 == 0) stage_rows<PLACE, ROWS, 4, LAST>(to, from, step, words, position, there);
  else if (aligned % 2 == 0) stage_rows<PLACE, ROWS, 2, LAST>(to, from, step, words, position, there);
  else stage_rows<PLACE, ROWS, 1, LAST>(to, from, step, words, position, there);
}

/** A word of a row, or none. */
struct StagedWord {
  unsigned at;
  bool some;
};

/** The rows of a matrix of packed rows of `words` words, from row `first` on; those past `rows` are zeros. */
template <class PLACE, unsigned ROWS>
__device__ __forceinline__ void stage_matrix(unsigned* to, const unsigned* matrix, unsigned first, unsigned rows, unsigned step, unsigned words) {
  stage_rows<PLACE, ROWS, false>(to, matrix, step, words, words, [](unsigned word, bool some, auto) { return StagedWord{word, some}; },
                                 [&](unsigned row, unsigned, const StagedWord& word, unsigned& index) {
                                   index = (first + row) * words + word.at;
                                   return first + row < rows && word.some;
                                 });
}

/** The rows of a thread are xnor_row() + 16 k for k below 8, */
template <class PRODUCT> __device__ __forceinline__ unsigned xnor_row() {
  return PRODUCT::kTensor ? threadIdx.x / 64 * 8 + threadIdx.x % 32 / 4 : threadIdx.x / 8;
}

/** and its columns, in each of COLUMNS / 64 parts, xnor_column(part) + j for j below 8. */
template <class PRODUCT, unsigned COLUMNS> __device__ __forceinline__ unsigned xnor_column(unsigned part) {
  return PRODUCT::kTensor ? threadIdx.x / 32 % 2 * (COLUMNS / 2) + part * 32 + threadIdx.x % 4 * 8 : threadIdx.x % 8 * 8;
}

/** One tile: begin(stage), run(stage), then count(part, k, j), with ONES also row_ones(k). stage(a, b, step) begins the copies of a stage of both operands. */
template <class PRODUCT, unsigned COLUMNS, bool ONES> struct XnorTile {
  static constexpr bool kTensor = PRODUCT::kTensor;
  static constexpr unsigned kParts = COLUMNS / 64, kWords = (kTileRows + COLUMNS) * kStageWords;
  int of[kTensor ? 4 : 8][kTensor ? COLUMNS / 16 : 8][kTensor ? 4 : 1];
  int ones[!ONES ? 1 : kTensor ? 4 : 8][kTensor ? 4 : 1];

  /** popc(a & b), or popc(a ^ b), of row k of this thread and the columns of a part. */
  __device__ __forceinline__ int count(unsigned part, unsigned k, unsigned j) const {
    if constexpr (kTensor) return of[k / 2][part * 4 + j / 2][k % 2 * 2 + j % 2];
    else return of[k][j][0];
  }

  /** popc(a) of row k of this thread. */
  __device__ __forceinline__ int row_ones(unsigned k) const {
    static_assert(ONES, "nothing has counted them");
    if constexpr (kTensor) return ones[k / 2][k % 2 * 2];
    else return ones[k][0];
  }

  /** Begins the copies of the first stages. */
  template <class Stage> static __device__ __forceinline__ void begin(unsigned* room, unsigned words, Stage stage) {
    unsigned steps = (words + kStageWords - 1) / kStageWords;
#pragma unroll 1
    for (unsigned step = 0; step + 1 < kStages; step++) {
      if (step < steps) stage(room + step * kWords, room + step * kWords + kTileRows * kStageWords, step);
      cp_async_commit();
    }
  }

  /** All products; columns are those of b that exist. Behind it the stages may still be read by other threads. */
  template <class Stage> __device__ __forceinline__ void run(unsigned* room, unsigned words, unsigned columns, Stage stage) {
    // ldmatrix: lane 8 i + r gives the address of row r of matrix i; a's are top, bottom, top, bottom, b's left, left, right, right. Rows of a product are those
    // of xnor_row, 16 apart from top to bottom; columns 2 t and 2 t + 1 of the n-th product of 4 are 8 t + 2 n and the next. Both move from stage to stage
    unsigned lane = threadIdx.x % 32, right = threadIdx.x / 32 % 2;
    unsigned ofA = RowStage::at(threadIdx.x / 64 * 8 + lane % 8 + lane / 8 % 2 * 16, lane / 16);
    unsigned ofB = kTileRows * kStageWords + ColumnStage::at(right * (COLUMNS / 2) + lane % 8 / 2 * 8 + lane / 16 * 2 + lane % 2, lane / 8 % 2);
    bool some = columns > right * (COLUMNS / 2);
    unsigned steps = (words + kStageWords - 1) / kStageWords, slot = 0, step = 0;
#pragma unroll
    for (auto& rows : of) for (auto& some : rows) for (int& one : some) one = 0;
#pragma unroll
    for (auto& some : ones) for (int& one : some) one = 0;
    do {
      cp_async_wait<kStages - 2>();
      __syncthreads();
      if (step + kStages - 1 < steps) {
        unsigned* next = room + (slot == 0 ? kStages - 1 : slot - 1) * kWords;
        stage(next, next + kTileRows * kStageWords, step + kStages - 1);
      }
      cp_async_commit();
      unsigned chunks = min(4u, (words - step * kStageWords + 3) / 4);
      if constexpr (kTensor) multiply(room, ofA, ofB, chunks, some);
      else add_up(room + slot * kWords, chunks);
      slot = slot + 1 == kStages ? 0 : slot + 1;
      ofA += slot == 0 ? kWords - kStages * kWords : kWords, ofB += slot == 0 ? kWords - kStages * kWords : kWords;
    } while (++step < steps);
  }

 private:
  /** The products of one stage on the tensor cores; some: whether this half has a column at all. */
  __device__ __forceinline__ void multiply(const unsigned* room, unsigned ofA, unsigned ofB, unsigned chunks, bool some) {
#pragma unroll
    for (unsigned c = 0; c < 4; c += 2) {   // two chunks further: another bit of both places
      if (c + 1 < chunks) multiply<true>(room, ofA ^ (c * 4), ofB ^ (c * 4), some);
      else if (c < chunks) multiply<false>(room, ofA ^ (c * 4), ofB ^ (c * 4), some);
    }
  }

  /** Those of 256 bits, or of the 128 that are left. */
  template <bool WHOLE> __device__ __forceinline__ void multiply(const unsigned* room, unsigned ofA, unsigned ofB, bool some) {
    auto product = [](int(&d)[4], const uint32_t(&l)[4], const uint32_t(&r)[2]) {
      if constexpr (WHOLE) PRODUCT::k256(d, l, r);
      else PRODUCT::k128(d, l, r);
    };
    uint32_t left[4][4];
    if constexpr (!WHOLE) ofA ^= threadIdx.x % 32 / 16 * 4, ofB ^= threadIdx.x % 16 / 8 * 4;   // nothing was copied behind the one chunk: it is read twice
#pragma unroll
    for (unsigned i = 0; i < 4; i++) ldmatrix_x4(left[i], room + ofA + 32 * i * kStageWords);
#pragma unroll
    for (unsigned n = 0; n < COLUMNS / 16; n += 2) {
      if (!some) break;   // networks of at most 32 filters
      uint32_t pair[4];
      ldmatrix_x4(pair, room + (ofB ^ (n / 4 * 16)) + (n / 4 * 32 + n % 4 * 2) * kStageWords);
      const uint32_t first[2] = {pair[0], pair[1]}, second[2] = {pair[2], pair[3]};
#pragma unroll
      for (unsigned i = 0; i < 4; i++) {
        product(of[i][n], left[i], first);
        product(of[i][n + 1], left[i], second);
      }
    }
    if constexpr (ONES) {
      const uint32_t one[2] = {PRODUCT::kOne, PRODUCT::kOne};
#pragma unroll
      for (unsigned i = 0; i < 4; i++) product(ones[i], left[i], one);
    }
  }

  /** The products of one stage by population counts. */
  __device__ __forceinline__ void add_up(const unsigned* a, unsigned chunks) {
    const unsigned* b = a + kTileRows * kStageWords;
    unsigned row = xnor_row<PRODUCT>(), column = xnor_column<PRODUCT, COLUMNS>(0);
    for (unsigned c = 0; c < chunks; c++) {
      uint4 left[8];
#pragma unroll
      for (unsigned k = 0; k < 8; k++) {
        left[k] = *reinterpret_cast<const uint4*>(a + RowStage::at(row + 16 * k, c));
        if constexpr (ONES) ones[k][0] += __popc(left[k].x) + __popc(left[k].y) + __popc(left[k].z) + __popc(left[k].w);
      }
#pragma unroll
      for (unsigned j = 0; j < 8; j++) {
        uint4 right = *reinterpret_cast<const uint4*>(b + ColumnStage::at(column + j, c));
#pragma unroll
        for (unsigned k = 0; k < 8; k++) {
          of[k][j][0] += __popc(left[k].x & right.x) + __popc(left[k].y & right.y) + __popc(left[k].z & right.z) + __popc(left[k].w & right.w);
        }
      }
    }
  }
};

/**
 * <a,b> over so many of `most` bits, most below 2^21, as a float: bits - 2 popc(b) + 4 popc(a & b) - 2 popc(a), or bits - 2 popc(b) + 2 popc(b everywhere)
 * - 2 popc(a ^ b). A whole number below 2^23 is the mantissa of the float that is larger by 2^23, so no number is converted: what the column has of it, with
 * the exponent of 2^23, and most more, that nothing be negative;
 */
template <class PRODUCT> __device__ __forceinline__ int xnor_base(int most, int bits, int ones, int everywhere) {
  return 0x4b000000 + most + bits - 2 * ones + (PRODUCT::kXor ? 2 * everywhere : 0);
}

/** what the row takes away, likewise; */
template <class PRODUCT> __device__ __forceinline__ float xnor_less(int most, int onesOfA) {
  return __int_as_float(0x4b000000 + most + (PRODUCT::kXor ? 0 : 2 * onesOfA));
}

/** and all of it, exactly. */
template <class PRODUCT> __device__ __forceinline__ float xnor_dot(int base, int count, float less) {
  return __int_as_float(base + (PRODUCT::kXor ? -2 : 4) * count) - less;
}

/** What y holds. */
enum XnorElement { kFloat32 = 0, kBfloat16 = 1, kInt16 = 2 };

/** Stores 8 neighbours of y from `at` on, the first `live` of them; 16 bytes at a time where all live and `at` is a multiple of 8, as with WHOLE. */
template <bool WHOLE = false, class T> __device__ __forceinline__ void store_eight(T* y, size_t at, unsigned live, const float (&v)[8]) {
  if (WHOLE || (live >= 8 && at % 8 == 0)) {
    store_vector(y + at, v);
  } else {
#pragma unroll
    for (unsigned k = 0; k < 8; k++) if (k < live) store(y + at + k, v[k]);
  }
}

/** The same as whole numbers of 16 bits. */
template <bool WHOLE = false> __device__ __forceinline__ void store_eight(short* y, size_t at, unsigned live, const float (&v)[8]) {
  if (WHOLE || (live >= 8 && at % 8 == 0)) {
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
template <bool WHOLE = false> __device__ __forceinline__ void store_eight(void* y, int element, size_t at, unsigned live, const float (&v)[8]) {
  if (element == kFloat32) store_eight<WHOLE>(static_cast<float*>(y), at, live, v);
  else if (element == kBfloat16) store_eight<WHOLE>(static_cast<__nv_bfloat16*>(y), at, live, v);
  else store_eight<WHOLE>(static_cast<short*>(y), at, live, v);
}
