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
  /** Rows of the source with ground beside them, and a row of the result. */
  private byte[] tile = new byte[0], single = new byte[0];

  public Resize() {
    this(LevelVectors.REFUSAL == null);
  }

  /** In plain Java if not on vectors. */
  Resize(boolean onVectors) {
    vector = onVectors ? new VectorResize() : null;
  }

  /** Resizes a whole image; only outputs that look at pixels of the picture are computed, the others have the colour of its ground. */
  public void apply(Picture from, int outHeight, int outWidth, Picture into) {
    int height = from.imageHeight(), width = from.imageWidth();
    if (from.ground() == Picture.NO_GROUND) {
      apply(from, Box.whole(height, width), outHeight, outWidth, into);
      return;
    }
    int p = outputsBefore(height, outHeight, from.top() + 1, 1), q = outputsBefore(width, outWidth, from.left() + 1, 1);
    rows.compute(height, outHeight, p, outputsBefore(height, outHeight, from.top() + from.height(), -1) - p);
    columns.compute(width, outWidth, q, outputsBefore(width, outWidth, from.left() + from.width(), -1) - q);
    into.resize(outHeight, outWidth, 3);
    Picture.paint(into.pixels(), 0, into.bytes(), from.ground());
    filter(from, 0, 0, into, (p * outWidth + q) * 3);
  }

  /** How many outputs end (side 1) or begin (side -1) to look at the input before that position. */
  private static int outputsBefore(int in, int out, int position, int side) {
    int outputs = 0;
    while (outputs < out && reach(in, out, outputs, side) < position) outputs++;
    return outputs;
  }

  /** Cuts a box out of an image and resizes it; pixels outside the box have no part in the result. */
  public void apply(Picture from, Box box, int outHeight, int outWidth, Picture into) {
    box.requireInside(from.imageHeight(), from.imageWidth());
    rows.compute(box.height(), outHeight, 0, outHeight);
    columns.compute(box.width(), outWidth, 0, outWidth);
    into.resize(outHeight, outWidth, from.channels());
    filter(from, box.top(), box.left(), into, 0);
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
    into.resize(height, width, from.channels());
    filter(from, 0, 0, into, 0);
  }

  /** Filters the box that begins at (top, left) of the image, the first output at {@code into[at]}; a picture without ground must hold every pixel that has a weight. */
  private void filter(Picture from, int top, int left, Picture into, int at) {
    if (from == into) throw new IllegalArgumentException("Resize: source and destination must be different pictures");
    top -= from.top();
    left -= from.left();
    int firstRow = rows.first[0], lastRow = rows.end(), firstColumn = columns.first[0], lastColumn = columns.end();
    boolean beside = left + firstColumn < 0 || left + lastColumn > from.width();
    if (from.ground() == Picture.NO_GROUND && (beside || top + firstRow < 0 || top + lastRow > from.height())) {
      throw new IllegalArgumentException("Resize: rows " + (top + firstRow) + " to " + (top + lastRow) + " and columns " + (left + firstColumn) + " to "
          + (left + lastColumn) + " are wanted of a picture that holds " + from.height() + "x" + from.width());
    }
    int c = from.channels(), line = columns.size * c, pitch = Math.addExact(line, Picture.SLACK - 1) & -Picture.SLACK;
    int betweenBytes = Math.multiplyExact(lastRow - firstRow, pitch);
    if (between.length < betweenBytes + Picture.SLACK) between = new byte[betweenBytes + Picture.SLACK];
    boolean wide = vector != null && vector.takes(columns, c);
    int begin = Math.max(firstRow, -top), end = Math.min(lastRow, from.height() - top);
    for (int h = firstRow; h < lastRow; h++) if (h < begin || h >= end) Picture.paint(between, (h - firstRow) * pitch, line, from.ground());
    byte[] x = from.pixels();
    int stride = from.width() * c;
    if (beside) {
      stride = (lastColumn - firstColumn) * c;
      if (tile.length < VectorResize.TILE * stride + Picture.SLACK) tile = new byte[VectorResize.TILE * stride + Picture.SLACK];
      x = tile;
    }
    for (int h = begin; h < end; h += VectorResize.TILE) {
      int count = Math.min(VectorResize.TILE, end - h), row = beside ? -firstColumn * c : (top + h) * stride + left * c, to = (h - firstRow) * pitch;
      for (int i = 0; beside && i < count; i++) from.row(h + i + top + from.top(), left + from.left() + firstColumn, lastColumn - firstColumn, tile, i * stride);
      if (wide) {
        vector.columns(x, row, stride, count, between, to, pitch);
      } else {
        for (int i = 0; i < count; i++) for (int q = 0; q < columns.size; q++) weigh(x, row + i * stride + columns.first[q] * c, c, columns, q, between, to + i * pitch + q * c, c);
      }
    }
    byte[] y = into.pixels();
    int outLine = into.width() * c;
    boolean all = line == outLine && rows.size == into.height();
    if (single.length < line + Picture.SLACK) single = new byte[line + Picture.SLACK];
    for (int p = 0; p < rows.size; p++, at += outLine) {
      int source = (rows.first[p] - firstRow) * pitch;
      if (vector == null) {
        for (int q = 0; q < columns.size; q++) weigh(between, source + q * c, pitch, rows, p, y, at + q * c, c);
      } else if (all) {
        vector.rows(between, source, pitch, line, rows, p, y, at);
      } else {
        vector.rows(between, source, pitch, line, rows, p, single, 0);
        System.arraycopy(single, 0, y, at, line);
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
