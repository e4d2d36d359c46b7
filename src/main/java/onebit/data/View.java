package onebit.data;

/**
 * How steps that move an image will show it, known from its size and boxes alone: a frame, where in it the image begins, and what of the image is seen.
 *
 * <pre>
 * Units  pixels of the image; the frame may reach out of it, and there it has one colour
 * </pre>
 */
final class View {
  private final Boxes boxes;
  private final int imageHeight;
  private final int imageWidth;
  private int height;
  private int width;
  private int top;
  private int left;
  private int firstRow;
  private int firstColumn;
  private int endRow;
  private int endColumn;
  private int ground = Picture.NO_GROUND;

  /** The whole of an image; its boxes move with it, null where it has none. */
  View(int height, int width, Boxes boxes) {
    this.boxes = boxes;
    imageHeight = this.height = endRow = height;
    imageWidth = this.width = endColumn = width;
  }

  /** Puts what is seen into a larger frame of that colour, its first pixel at (top, left). */
  void onto(int height, int width, int top, int left, int ground) {
    this.height = height;
    this.width = width;
    this.top += top;
    this.left += left;
    this.ground = ground;
  }

  /** Shows a part of the frame only. */
  void cut(Box part) {
    height = part.height();
    width = part.width();
    top -= part.top();
    left -= part.left();
    firstRow = Math.max(firstRow, -top);
    firstColumn = Math.max(firstColumn, -left);
    endRow = Math.min(endRow, height - top);
    endColumn = Math.min(endColumn, width - left);
  }

  /** The part of the image that is seen, or a pixel of it where none is. */
  Box seen() {
    int row = Math.min(firstRow, imageHeight - 1), column = Math.min(firstColumn, imageWidth - 1);
    return new Box(row, column, Math.max(1, endRow - row), Math.max(1, endColumn - column));
  }

  boolean empty() {
    return firstRow >= endRow || firstColumn >= endColumn;
  }

  /** Height of the frame. */
  int height() {
    return height;
  }

  /** Width of the frame. */
  int width() {
    return width;
  }

  /** Row of the frame where the image's first one is, also where it is not seen. */
  int top() {
    return top;
  }

  /** Column of the frame where the image's first one is, also where it is not seen. */
  int left() {
    return left;
  }

  /** The colour around the image, 0xRRGGBB, or {@link Picture#NO_GROUND} where nothing is. */
  int ground() {
    return ground;
  }

  /** The boxes, in parts of the frame; null where there are none. */
  Boxes boxes() {
    return boxes;
  }
}
