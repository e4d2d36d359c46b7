package onebit.tensor;

/**
 * Extents of a tensor, rank 0 to 4, outermost first; images are N,H,W,C and filters O,R,S,C (channels last).
 * A negative extent, or more elements than an int can count, is an IllegalArgumentException.
 */
public record Shape(int rank, int d0, int d1, int d2, int d3) {
  public Shape {
    if (rank < 0 || rank > 4) throw new IllegalArgumentException("Shape: rank must be 0 to 4, got " + rank);
    if (d0 < 0 || d1 < 0 || d2 < 0 || d3 < 0) {
      throw new IllegalArgumentException("Shape: extents must be >= 0, got " + d0 + "," + d1 + "," + d2 + "," + d3);
    }
    long size = Math.multiplyExact(Math.multiplyExact((long) d0, d1), Math.multiplyExact((long) d2, d3));
    if (size > Integer.MAX_VALUE - 8) throw new IllegalArgumentException("Shape: " + size + " elements are too many for one tensor");
  }

  public static Shape scalar() {
    return new Shape(0, 1, 1, 1, 1);
  }

  public static Shape vector(int length) {
    return new Shape(1, length, 1, 1, 1);
  }

  public static Shape matrix(int rows, int columns) {
    return new Shape(2, rows, columns, 1, 1);
  }

  public static Shape image(int n, int h, int w, int c) {
    return new Shape(4, n, h, w, c);
  }

  public static Shape filters(int o, int r, int s, int c) {
    return new Shape(4, o, r, s, c);
  }

  public int size() {
    return d0 * d1 * d2 * d3;
  }

  /** Elements of one row of the outermost extent: H*W*C of an image, R*S*C of a filter. */
  public int rowSize() {
    return d1 * d2 * d3;
  }

  /** The innermost extent: channels. */
  public int channels() {
    return switch (rank) {
      case 0 -> 1;
      case 1 -> d0;
      case 2 -> d1;
      case 3 -> d2;
      default -> d3;
    };
  }

  /** The same shape with another outermost extent. */
  public Shape withFirst(int n) {
    return new Shape(rank, n, d1, d2, d3);
  }

  public int[] dims() {
    int[] all = {d0, d1, d2, d3};
    return java.util.Arrays.copyOf(all, rank);
  }

  @Override
  public String toString() {
    return java.util.Arrays.toString(dims());
  }
}
