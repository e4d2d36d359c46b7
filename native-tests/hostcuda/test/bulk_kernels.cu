// bulk_kernels.cu -- a ring of two slots between the copy engine and a warpgroup's products, right and with one mistake each
#include "../../../kernels/bulk.cuh"
#include "../../../kernels/wgmma_bits.cuh"

enum Mistake {
  kNone, kReaderParity, kNoWait, kNoRelease, kEarlyRelease, kWriterParity, kNoWriterWait, kMoreBytes, kFewerBytes, kOddBytes, kNotMet, kNoFence, kNobodyWaits, kOneArrivalMore,
  kWrittenOver, kPastTheEnd, kOddOperand
};

constexpr unsigned kRowsA = 64, kRowsB = 8, kBytes = (kRowsA + kRowsB) * 128;

extern __shared__ __align__(1024) unsigned char bulk_room[];

/** y[row][column] += popc(x[step][row] & x[step][64 + column]) over the steps; x [steps][72][32] words as slots hold them; block 160, room 2 slots and 4 barriers. */
extern "C" __global__ void bulk_ring(int* y, const unsigned* x, unsigned steps, int mistake) {
  Mbarrier *full = reinterpret_cast<Mbarrier*>(bulk_room + 2 * kBytes), *empty = full + 2;
  if (threadIdx.x == 128) {
    for (unsigned slot = 0; slot < 2; slot++) {
      mbarrier_init(&full[slot], 1);
      mbarrier_init(&empty[slot], 4);
    }
    if (mistake != kNoFence) mbarrier_fence_init();
    if (mistake == kWrittenOver) empty[1].state = 0;
  }
  if (mistake != kNotMet) __syncthreads();
  if (threadIdx.x >= 128) {
    if (threadIdx.x > 128) return;
    for (unsigned step = 0; step < steps; step++) {
      unsigned slot = step % 2, turn = step / 2 % 2;
      if (mistake != kNoWriterWait) mbarrier_wait(&empty[slot], turn ^ (mistake == kWriterParity ? 0 : 1));
      mbarrier_expect(&full[slot], kBytes + (mistake == kMoreBytes ? 16 : 0) - (mistake == kFewerBytes ? 16 : 0));
      bulk_copy(bulk_room + slot * kBytes + (mistake == kPastTheEnd ? 2 * kBytes : 0), x + step * (kBytes / 4), kBytes - (mistake == kOddBytes ? 8 : 0), &full[slot]);
    }
    return;
  }
  if (mistake == kNobodyWaits) return;
  int counts[4] = {};
  for (unsigned step = 0; step < steps; step++) {
    unsigned slot = step % 2, turn = step / 2 % 2;
    const unsigned char* own = bulk_room + slot * kBytes;
    if (mistake != kNoWait) mbarrier_wait(&full[slot], turn ^ (mistake == kReaderParity));
    wgmma_fence();
    for (unsigned k = 0; k < 4; k++) wgmma_and_popc(counts, wgmma_operand(own, k * 32 + (mistake == kOddOperand ? 8 : 0)), wgmma_operand(own + kRowsA * 128, k * 32));
    wgmma_commit();
    if (mistake == kEarlyRelease && threadIdx.x % 32 == 0) mbarrier_arrive(&empty[slot]);
    wgmma_wait<0>();
    if (mistake != kNoRelease && mistake != kEarlyRelease && threadIdx.x % 32 == 0) {
      mbarrier_arrive(&empty[slot]);
      if (mistake == kOneArrivalMore) mbarrier_arrive(&empty[slot]);
    }
  }
  unsigned row = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4, column = threadIdx.x % 4 * 2;
  for (unsigned i = 0; i < 4; i++) y[(row + i / 2 * 8) * 8 + column + i % 2] = counts[i];
}
