package onebit.ops.cuda;

import onebit.tensor.BitTensor;
import onebit.tensor.Tensor;

/**
 * The product of two matrices of packed bits on the warpgroups of sm_90a: both are laid out as tiles first.
 *
 * <pre>
 * Units  bytes of scratch: 128 for each row of a tile and 1,024 bits, so about what both matrices have, up to a tile more of each
 * Twin   kernels/xnor_gemm_tiles.cu
 * </pre>
 */
record GemmTiles(CudaDevice device) {
  /** What a tuning file calls this way. */
  static final String WAY = "warpgroups, tiles of 256 rows and 192 columns laid out before";

  /** Rows of a and of b in a tile, bits of a row and bytes of them in a slot, slots, threads of a block, bytes of a slot's two barriers, and what the first slot's place is a multiple of. */
  private static final int ROWS = 256, COLUMNS = 192, SLOT_BITS = 1024, SLOT_BYTES = 128, SLOTS = 4, THREADS = 384, BARRIERS = 16, ATOM = 1024;

  private static int ceil(int n, int each) {
    return (n + each - 1) / each;
  }

  /** y, whose elements the kernels call by that number. */
  void multiply(Tensor y, int element, BitTensor a, BitTensor b) {
    int m = a.rows(), n = b.rows(), down = ceil(m, ROWS), across = ceil(n, COLUMNS);
    long row = (long) SLOT_BYTES * ceil(a.bits(), SLOT_BITS), rows = (long) ROWS * down, columns = (long) COLUMNS * across;
    long tilesA = device.scratch(CudaDevice.Scratch.TILES, (row + 4) * (rows + columns)).address(), tilesB = tilesA + row * rows;
    long less = tilesB + row * columns, base = less + 4 * rows;
    device.kernel("xnor_gemm_tiles").address(tilesA).address(tilesB).address(less).address(base).bits(a).bits(b).integer(m).integer(n).integer(a.bits())
        .blocks(device.blocks(Math.toIntExact(32 * (rows + columns))), 256);
    device.kernel("xnor_gemm_bulk").memory(device.memory(y)).address(tilesA).address(tilesB).address(less).address(base).integer(m).integer(n).integer(a.bits())
        .integer(element).launch(Math.min(Math.multiplyExact(down, across), device.multiprocessors()), 1, THREADS, 1, ATOM + SLOTS * (SLOT_BYTES * (ROWS + COLUMNS) + BARRIERS));
  }
}
