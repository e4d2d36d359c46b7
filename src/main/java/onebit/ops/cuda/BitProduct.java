package onebit.ops.cuda;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * How a device multiplies packed bits; each gives the same whole numbers.
 *
 * <pre>
 * Source  PTX ISA, mma.sync on b1: AND is one instruction of the tensor cores from sm_80 to sm_90, XOR only up to sm_89
 * Twin    kernels/xnor_tile.cuh
 * </pre>
 */
public enum BitProduct {
  AND("tensor cores, mma.sync AND m16n8k256, m16n8k128 where a row has 128 bits or less left", ""),
  XOR("tensor cores, mma.sync XOR m8n8k128", "_xor"),
  POPCOUNT("population counts", "_popc");

  private final String words;
  private final String suffix;

  BitProduct(String words, String suffix) {
    this.words = words;
    this.suffix = suffix;
  }

  /** The fastest product that is native at a compute capability (times ten): 75 has XOR, 80 to 90 AND, all others count. */
  static BitProduct of(int capability) {
    return capability == 75 ? XOR : capability >= 80 && capability <= 90 ? AND : POPCOUNT;
  }

  /** One way to multiply: a product with so many columns a block. */
  record Way(BitProduct product, int columns) {
    @Override
    public String toString() {
      return product.name().toLowerCase(Locale.ROOT) + " with " + columns + " columns a block";
    }
  }

  /** All ways that kernels were compiled for at a compute capability, for so many columns in all. */
  static List<Way> ways(int capability, int columns) {
    List<Way> all = new ArrayList<>();
    if (capability >= 80 && capability <= 90) all.add(new Way(AND, 64));
    if (capability >= 80 && capability <= 90 && columns > 64) all.add(new Way(AND, 128));
    if (capability == 75) all.add(new Way(XOR, 64));   // from 8.0 on its entries are empty
    all.add(new Way(POPCOUNT, 64));
    return all;
  }

  /** The entry of this product for so many columns: 128 of them per block with AND, where that leaves less than 64 idle, else 64. */
  String entry(String kernel, int columns) {
    return kernel + suffix + (columnsPerBlock(columns) == 128 ? "_wide" : "");
  }

  /** The entry of this product among passes that come with 64 columns only. */
  String pass(String kernel) {
    return kernel + suffix;
  }

  int columnsPerBlock(int columns) {
    return this == AND && (columns - 1) % 128 >= 64 ? 128 : 64;
  }

  @Override
  public String toString() {
    return words;
  }
}
