package onebit.ops.cpu;

/**
 * The inner loops on packed bits, twice: {@link VectorXnor} and {@link PlainXnor}.
 *
 * <pre>
 * Encoding  a panel holds the words of block() filters at a time: word k of filter n is panel[n0 * words + k * width + n - n0],
 *           where n0 = n / block() * block() and width = min(block(), padded - n0); padded is padded(filters)
 * </pre>
 */
interface XnorKernel {
  /** Fewest rows that {@link #products} takes. */
  int ROWS = 4;

  int block();

  /** The number of filters rounded up to what a panel holds. */
  int padded(int filters);

  /**
   * y[m][n] = dotScale[n] * (dotBase[n] - 2 popc(row m ^ panel n)) + (onesScale[n] * sumX[m] + rest[n]) for the rows of a tile.
   *
   * <pre>
   * Shapes  y: rows of stride values from the given place, of which padded are written; rows >= ROWS
   *         word k of row m: tile.words[tile.row[m] + table.offsets[k]]; dotBase and rest of row m from tile.kind[m]
   * </pre>
   */
  void products(float[] y, int to, int stride, BitTile tile, int rows, long[] panels, FilterTables table);

  /** bit = [x >= threshold] for rows [from, to). */
  void pack(long[] bits, float[] x, int from, int to, int rowBits, float threshold);

  /** x = high where the bit is 1, else low, for one row. */
  void unpack(float[] x, int xFrom, long[] bits, int bitsFrom, int rowBits, float low, float high);

  /** The panels of filters given as rows of words; filters past the last are 0. */
  default void transpose(long[] panels, long[] filters, int count, int words, int padded) {
    for (int n0 = 0; n0 < padded; n0 += block()) {
      int width = Math.min(block(), padded - n0), base = n0 * words;
      for (int j = 0; j < width; j++) {
        int n = n0 + j;
        for (int k = 0; k < words; k++) panels[base + k * width + j] = n < count ? filters[n * words + k] : 0;
      }
    }
  }
}
