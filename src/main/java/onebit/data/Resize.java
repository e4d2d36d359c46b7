package onebit.data;

/**
 * y = the triangle filter over x, widened by the scale when shrinking: PIL's antialiased bilinear resize, level for level.
 *
 * <p>Rows first, then columns, each rounded to a level, with weights in 22-bit fixed point. An instance keeps its tables and
 * its buffer between calls and belongs to one thread.
 *
 * <pre>
 * Shapes   source H,W,C; destination P,Q,C
 * Twin     {@link VectorResize} does the same sums on vectors
 * Source   Pillow, src/libImaging/Resample.c (ImagingResample, BILINEAR, 8 bits per channel)
 * </pre>
 */
public final class Resize {
  private final ResizeTaps columns = new ResizeTaps();
  private final ResizeTaps rows = new ResizeTaps();
  private final VectorResize vector;
  private byte[] between = new byte[0];

  public Resize() {
    this(LevelVectors.REFUSAL == null);
  }

  /** In plain Java if not on vectors. */
  Resize(boolean onVectors) {
    vector = onVectors ? new VectorResize() : null;
  }

  /** Resizes a whole picture. */
  public void apply(Picture from, int outHeight, int outWidth, Picture into) {
    apply(from, Box.whole(from.imageHeight(), from.imageWidth()), outHeight, outWidth, into);
  }

  /** Cuts a box out of an image and resizes it; pixels outside the box have no part in the result. */
  public void apply(Picture from, Box box, int outHeight, int outWidth, Picture into) {
    box.requireInside(from.imageHeight(), from.imageWidth());
    rows.compute(box.height(), outHeight, 0, outHeight);
    columns.compute(box.width(), outWidth, 0, outWidth);
    filter(from, box.top(), box.left(), into);
  }

  /** The part of an image of {@code height} x {@code width} that {@link #window} looks at. */
  static Box windowSource(int height, int width, int outHeight, int outWidth, int top, int left, int windowHeight, int windowWidth) {
    int firstRow = reach(height, outHeight, top, -1), firstColumn = reach(width, outWidth, left, -1);
    return new Box(firstRow, firstColumn, reach(height, outHeight, top + windowHeight - 1, 1) - firstRow,
        reach(width, outWidth, left + windowWidth - 1, 1) - firstColumn);
  }

  /** The first input position that an output looks at (side -1), or one past the last (side 1). */
  private static int reach(int in, int out, int output, int side) {
    double scale = (double) in / out, edge = (output + 0.5) * scale + side * Math.max(scale, 1) + 0.5;
    return Math.clamp((int) edge, 0, in);
  }

  /** The window of {@code height x width} at (top, left) of the whole picture resized; only what the window needs is computed. */
  public void window(Picture from, int outHeight, int outWidth, int top, int left, int height, int width, Picture into) {
    if (top < 0 || left < 0 || height < 1 || width < 1 || top + height > outHeight || left + width > outWidth) {
      throw new IllegalArgumentException("Resize: window " + height + "x" + width + " at (" + top + ", " + left
          + ") must lie inside the resized picture of " + outHeight + "x" + outWidth);
    }
    rows.compute(from.imageHeight(), outHeight, top, height);
    columns.compute(from.imageWidth(), outWidth, left, width);
    filter(from, 0, 0, into);
  }

  /** Filters the box that begins at (top, left) of the image; the picture must hold every pixel that has a weight. */
  private void filter(Picture from, int top, int left, Picture into) {
    if (from == into) throw new IllegalArgumentException("Resize: source and destination must be different pictures");
    top -= from.top();
    left -= from.left();
    if (top + rows.first[0] < 0 || left + columns.first[0] < 0 || top + rows.end() > from.height() || left + columns.end() > from.width()) {
      throw new IllegalArgumentException("Resize: rows " + (top + rows.first[0]) + " to " + (top + rows.end()) + " and columns " + (left + columns.first[0]) + " to "
          + (left + columns.end()) + " are wanted of a picture that holds " + from.height() + "x" + from.width());
    }
    int c = from.channels();
    int outHeight = rows.size;
    int outWidth = columns.size;
    into.resize(outHeight, outWidth, c);
    int firstRow = rows.first[0];
    int lastRow = rows.end();
    int line = outWidth * c;
    int pitch = Math.addExact(line, Picture.SLACK - 1) & -Picture.SLACK;
    int betweenBytes = Math.multiplyExact(lastRow - firstRow, pitch);
    if (between.length < betweenBytes + Picture.SLACK) between = new byte[betweenBytes + Picture.SLACK];
    byte[] x = from.pixels();
    boolean wide = vector != null && vector.takes(columns, c);
    int stride = from.width() * c;
    for (int h = firstRow; h < lastRow; h += wide ? VectorResize.TILE : 1) {
      int row = (top + h) * stride + left * c, to = (h - firstRow) * pitch;
      if (wide) {
        vector.columns(x, row, stride, Math.min(VectorResize.TILE, lastRow - h), between, to, pitch);
      } else {
        for (int q = 0; q < outWidth; q++) weigh(x, row + columns.first[q] * c, c, columns, q, between, to + q * c, c);
      }
    }
    byte[] y = into.pixels();
    for (int p = 0; p < outHeight; p++) {
      int at = (rows.first[p] - firstRow) * pitch;
      if (vector != null) {
        vector.rows(between, at, pitch, line, rows, p, y, p * line);
      } else {
        for (int q = 0; q < outWidth; q++) weigh(between, at + q * c, pitch, rows, p, y, p * line + q * c, c);
      }
    }
  }

  private static void weigh(byte[] x, int at, int step, ResizeTaps taps, int output, byte[] y, int to, int channels) {
    int[] weights = taps.weights;
    int begin = output * taps.stride;
    int end = begin + taps.count[output];
    for (int c = 0; c < channels; c++) {
      int sum = 1 << (ResizeTaps.PRECISION_BITS - 1);
      int from = at + c;
      for (int w = begin; w < end; w++, from += step) sum += (x[from] & 255) * weights[w];
      y[to + c] = (byte) Math.min(255, sum >> ResizeTaps.PRECISION_BITS);
    }
  }

  /** The longer side after the shorter one becomes {@code shortSide}, rounded down as torchvision does. */
  public static int longSide(int longer, int shorter, int shortSide) {
    return (int) ((long) shortSide * longer / shorter);
  }
}
