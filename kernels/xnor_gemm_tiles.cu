// xnor_gemm_tiles.cu -- product of two sign matrices held as packed bits, on the warpgroups of sm_90a: tiles laid out beforehand, brought by the copy engine
//
//   y[m][n] = sum over k of a[m][k] * b[n][k]          a, b in {-1, +1}
//
//   xnor_gemm_tiles   tilesA, tilesB = a, b as the products read them; less, base = what a row takes away from a value and what a column begins with
//   xnor_gemm_bulk    y from these, by wgmma AND
//
// Shapes     a [M][W] words, b [N][W] words, W = ceil(K / 32); y [M][N]; M', N' = M, N up to a multiple of 256, 192, S = ceil(K / 1024);
//            tilesA [M' / 256][S][256][32] words, tilesB [N' / 192][S][192][32] words, at multiples of 128 bytes; less M' float32, base N' int32
// Encoding   bit 1 = +1, bit 0 = -1; channel k is bit k % 32 of word k / 32; bits past K are 0; element of y: 0 float32, 1 bfloat16, 2 int16
// Layout     a row of 1024 bits is 128 bytes, with the swizzle of wgmma_at; row bulk_place(c) of a tile of b is its column c, so that a thread has four
//            neighbours of y; rows, columns and bits past the end are 0, which AND does not count
// Launch     xnor_gemm_tiles: block 256, any grid; xnor_gemm_bulk: block 384, grid as many as there are multiprocessors or tiles, dynamic shared memory kBulkRoom
// Pipeline   four slots of 1024 bits of 256 rows and 192 columns; one thread of the third warpgroup fills them, those of the next tile too, and the other
//            two, 128 rows each, free a slot when their products of it are done; while one stores its values the other multiplies
// Limits     K < 2^21 in float32, K < 2^15 in int16, bfloat16 rounds; sm_90a: elsewhere xnor_gemm_bulk does nothing
// Exactness  whole numbers: equal to the twin on every device and every run
// Twin       src/main/java/onebit/ops/cpu/CpuBitOps.java, xnorGemm
// Tests      native-tests/xnor_gemm_test.cpp, src/test/java/onebit/ops/cuda/TuningTest.java
// Source     Rastegari et al. 2016, XNOR-Net, arXiv 1603.05279; PTX ISA, as in bulk.cuh and wgmma_bits.cuh
// Rungs      native-tests/ladder/README.md: rung 5
#include "xnor_tile.cuh"
#include "bulk.cuh"
#include "wgmma_bits.cuh"

constexpr unsigned kBulkRows = 256, kBulkColumns = 192, kBulkWords = 32, kBulkSlots = 4, kBulkTogether = 8, kBulkAtom = 1024;
constexpr unsigned kBulkBytesA = kBulkRows * 128, kBulkBytesB = kBulkColumns * 128, kBulkSlotBytes = kBulkBytesA + kBulkBytesB;
constexpr unsigned kBulkRoom = kBulkAtom + kBulkSlots * kBulkSlotBytes + 2 * kBulkSlots * sizeof(Mbarrier);   // an atom to begin at a multiple of one
static_assert(kBulkRoom <= 227 << 10, "a block has 227 KB of shared memory");

/** The row of a tile of b that holds its column: fragments give a thread columns 2 t, 2 t + 1 of 8, of which two make 4 t to 4 t + 3 of 16. */
__device__ __forceinline__ unsigned bulk_place(unsigned column) { return column / 16 * 16 + column % 4 / 2 * 8 + column % 16 / 4 * 2 + column % 2; }

ONEBIT_KERNEL(256) xnor_gemm_tiles(unsigned* tilesA, unsigned* tilesB, float* less, int* base, const unsigned* a, const unsigned* b, unsigned m, unsigned n, unsigned bits) {
  unsigned lane = threadIdx.x % 32, words = (bits + 31) / 32, steps = (words + kBulkWords - 1) / kBulkWords;
  unsigned rows = (m + kBulkRows - 1) / kBulkRows * kBulkRows, columns = (n + kBulkColumns - 1) / kBulkColumns * kBulkColumns;
  for (unsigned i = (blockIdx.x * 256 + threadIdx.x) / 32; i < rows + columns; i += gridDim.x * 8) {
    bool ofA = i < rows;
    unsigned row = ofA ? i : i - rows, height = ofA ? kBulkRows : kBulkColumns, place = ofA ? row % kBulkRows : bulk_place(row % kBulkColumns);
    unsigned live = row < (ofA ? m : n) ? words : 0;
    const unsigned* from = (ofA ? a : b) + size_t(row) * words;
    unsigned* to = (ofA ? tilesA : tilesB) + (size_t(row / height) * steps * height + place) * kBulkWords + wgmma_at(place, lane * 4) % 128 / 4;
    int ones = 0;
#pragma unroll 8
    for (unsigned step = 0; step < steps; step++) {
      unsigned word = step * kBulkWords + lane, value = word < live ? from[word] : 0u;
      to[size_t(step) * height * kBulkWords] = value;
      ones += __popc(value);
    }
    for (int d = 16; d > 0; d /= 2) ones += __shfl_down_sync(kFullWarp, ones, d);
    if (lane != 0) continue;
    if (ofA) less[row] = xnor_less<XnorAnd>(int(bits), ones);
    else base[row] = xnor_base<XnorAnd>(int(bits), int(bits), ones, ones);
  }
}

/** The tiles of a launch: groups of kBulkTogether rows of tiles, column after column, so that blocks of one time share rows and columns in L2. */
struct BulkTiles {
  unsigned down, across;
  __device__ __forceinline__ BulkTiles(unsigned m, unsigned n) : down((m + kBulkRows - 1) / kBulkRows), across((n + kBulkColumns - 1) / kBulkColumns) {}
  __device__ __forceinline__ void at(unsigned tile, unsigned& row, unsigned& column) const {
    unsigned group = tile / (kBulkTogether * across), rest = tile % (kBulkTogether * across), first = group * kBulkTogether, height = min(kBulkTogether, down - first);
    row = first + rest % height;
    column = rest / height;
  }
};

/** Slot after slot, and the parity of the phase that is waited for. */
struct BulkSlot {
  unsigned slot = 0, parity;
  __device__ __forceinline__ explicit BulkSlot(unsigned parity) : parity(parity) {}
  __device__ __forceinline__ void next() {
    if (++slot < kBulkSlots) return;
    slot = 0;
    parity ^= 1;
  }
};

__device__ __forceinline__ void bulk_fill(unsigned char* room, Mbarrier* full, Mbarrier* empty, const unsigned* tilesA, const unsigned* tilesB, const BulkTiles& tiles,
                                          unsigned steps) {
  BulkSlot to(1);   // new slots are empty
  for (unsigned tile = blockIdx.x; tile < tiles.down * tiles.across; tile += gridDim.x) {
    unsigned row, column;
    tiles.at(tile, row, column);
    const unsigned *a = tilesA + size_t(row) * steps * kBulkRows * kBulkWords, *b = tilesB + size_t(column) * steps * kBulkColumns * kBulkWords;
    for (unsigned step = 0; step < steps; step++) {
      unsigned char* own = room + to.slot * kBulkSlotBytes;
      mbarrier_wait(&empty[to.slot], to.parity);
      mbarrier_expect(&full[to.slot], kBulkSlotBytes);
      bulk_copy(own, a, kBulkBytesA, &full[to.slot]);
      bulk_copy(own + kBulkBytesA, b, kBulkBytesB, &full[to.slot]);
      a += kBulkRows * kBulkWords;
      b += kBulkColumns * kBulkWords;
      to.next();
    }
  }
}

/** Four values as whole numbers of 16 bits, at a multiple of four. */
__device__ __forceinline__ void store_vector(short* to, const float (&v)[4]) {
  *reinterpret_cast<short4*>(to) = make_short4(short(v[0]), short(v[1]), short(v[2]), short(v[3]));
}

/** The values of a thread, WIDTH at a time: of rows row + {0, 8, 64, 72} the columns column + 16 j and the three behind it. */
template <unsigned WIDTH, class T>
__device__ __forceinline__ void bulk_store(T* y, const int (&counts)[2][96], const int* base, const float (&subtract)[4], unsigned row, unsigned column, unsigned m,
                                           unsigned n) {
  T* to[4];
  unsigned end[4];   // of the columns that the row has
#pragma unroll
  for (unsigned k = 0; k < 4; k++) {
    unsigned at = row + k / 2 * 64 + k % 2 * 8;
    to[k] = y + size_t(at) * n + column;
    end[k] = at < m ? n : 0;
  }
#pragma unroll
  for (unsigned j = 0; j < kBulkColumns / 16; j++) {
    int4 begin = __ldg(reinterpret_cast<const int4*>(base + column + j * 16));
#pragma unroll
    for (unsigned k = 0; k < 4; k++) {
      const int* common = counts[k / 2] + 8 * j + k % 2 * 2;
      float v[4] = {xnor_dot<XnorAnd>(begin.x, common[0], subtract[k]), xnor_dot<XnorAnd>(begin.y, common[1], subtract[k]),
                    xnor_dot<XnorAnd>(begin.z, common[4], subtract[k]), xnor_dot<XnorAnd>(begin.w, common[5], subtract[k])};
      if constexpr (WIDTH == 4) {
        if (column + j * 16 < end[k]) store_vector(to[k] + j * 16, v);
      } else {
#pragma unroll
        for (unsigned i = 0; i < 4; i++) if (column + j * 16 + i < end[k]) to[k][j * 16 + i] = T(v[i]);
      }
    }
  }
}

__device__ __forceinline__ void bulk_multiply(void* y, int element, unsigned char* room, Mbarrier* full, Mbarrier* empty, const float* less, const int* base, const BulkTiles& tiles,
                                              unsigned m, unsigned n, unsigned steps) {
  unsigned lane = threadIdx.x % 32, first = threadIdx.x / 128 * 128;
  int counts[2][96] = {};   // of rows `first` to first + 63 and of the 64 behind them
  BulkSlot from(0);
  if (first > 0 && steps > 1 && blockIdx.x < tiles.down * tiles.across) mbarrier_wait(&full[1], 0);   // a slot behind the other, so that they store their values one after the other
  for (unsigned tile = blockIdx.x; tile < tiles.down * tiles.across; tile += gridDim.x) {
    unsigned tileRow, tileColumn, before = 0;
    tiles.at(tile, tileRow, tileColumn);
    unsigned row = tileRow * kBulkRows + first + threadIdx.x / 32 % 4 * 16 + lane / 4, column0 = tileColumn * kBulkColumns;
    float subtract[4];   // of rows row + {0, 8, 64, 72}
#pragma unroll
    for (unsigned k = 0; k < 4; k++) subtract[k] = less[row + k / 2 * 64 + k % 2 * 8];
    prefetch_l1(base + column0 + lane * 6);
    for (unsigned step = 0; step < steps; step++) {
      const unsigned char* own = room + from.slot * kBulkSlotBytes;
      mbarrier_wait(&full[from.slot], from.parity);
      wgmma_fence();
#pragma unroll
      for (unsigned k = 0; k < 4; k++) {
        WgmmaOperand b = wgmma_operand(own + kBulkBytesA, k * 32);
#pragma unroll
        for (unsigned strip = 0; strip < 2; strip++) wgmma_and_popc(counts[strip], wgmma_operand(own + (first + strip * 64) * 128, k * 32), b, step + k > 0);
      }
      wgmma_commit();
      wgmma_wait<1>();   // of the step before
      if (step > 0 && lane == 0) mbarrier_arrive(&empty[before]);
      before = from.slot;
      from.next();
    }
    wgmma_wait<0>();
    wgmma_hold(counts[0]);
    wgmma_hold(counts[1]);
    if (lane == 0) mbarrier_arrive(&empty[before]);
    unsigned column = column0 + lane % 4 * 4;
    auto store = [&](auto* values) {
      if (n % 4 == 0) bulk_store<4>(values, counts, base, subtract, row, column, m, n);
      else bulk_store<1>(values, counts, base, subtract, row, column, m, n);
    };
    if (element == kFloat32) store(static_cast<float*>(y));
    else if (element == kBfloat16) store(static_cast<__nv_bfloat16*>(y));
    else store(static_cast<short*>(y));
  }
}

extern __shared__ __align__(16) unsigned char xnor_gemm_bulk_room[];   // aligned by hand: more than 16 here would cost every kernel of the image

ONEBIT_KERNEL(384, 1) xnor_gemm_bulk(void* y, const unsigned* tilesA, const unsigned* tilesB, const float* less, const int* base, unsigned m, unsigned n, unsigned bits,
                                    int element) {
#if defined(__HOSTCUDA__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  unsigned char* room = xnor_gemm_bulk_room + (kBulkAtom - reinterpret_cast<uintptr_t>(xnor_gemm_bulk_room) % kBulkAtom) % kBulkAtom;
  Mbarrier *full = reinterpret_cast<Mbarrier*>(room + kBulkSlots * kBulkSlotBytes), *empty = full + kBulkSlots;
  if (threadIdx.x == 0) {
    for (unsigned slot = 0; slot < kBulkSlots; slot++) {
      mbarrier_init(&full[slot], 1);
      mbarrier_init(&empty[slot], 8);   // a lane of each warp that multiplies
    }
    mbarrier_fence_init();
  }
  __syncthreads();
  BulkTiles tiles(m, n);
  unsigned steps = (bits + 32 * kBulkWords - 1) / (32 * kBulkWords);
  if (threadIdx.x >= 256) {
    registers_give<24>();
    if (threadIdx.x == 256) bulk_fill(room, full, empty, tilesA, tilesB, tiles, steps);
  } else {
    registers_take<240>();
    bulk_multiply(y, element, room, full, empty, less, base, tiles, m, n, steps);
  }
#endif
}
