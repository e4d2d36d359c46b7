package onebit.data;

/**
 * One image, or one box of a larger image, in a buffer that grows and is used again. The rest of the larger image is unknown, or has one colour.
 *
 * <pre>
 * Shapes    pixels H,W,C of the box in the first height x width x channels bytes
 * Encoding  uint8
 * </pre>
 */
public final class Picture {
  /** Bytes behind the pixels that vectors may read, and write with anything. */
  static final int SLACK = 64;
  /** Of {@link #ground}. */
  static final int NO_GROUND = -1;

  private byte[] pixels = new byte[0];
  private int height;
  private int width;
  private int channels;
  private int top;
  private int left;
  private int imageHeight;
  private int imageWidth;
  private int ground = NO_GROUND;

  /** Gives the image a new shape; its values are undefined until written. */
  public void resize(int height, int width, int channels) {
    if (height < 1 || width < 1 || channels < 1) {
      throw new IllegalArgumentException("Picture: shape " + height + "x" + width + "x" + channels + " must be positive");
    }
    int bytes = Math.multiplyExact(Math.multiplyExact(height, width), channels);
    if (pixels.length < bytes + SLACK) pixels = new byte[Math.addExact(bytes, SLACK)];
    this.height = height;
    this.width = width;
    this.channels = channels;
    this.top = 0;
    this.left = 0;
    this.imageHeight = height;
    this.imageWidth = width;
    ground = NO_GROUND;
  }

  /** Becomes a box of an image of {@code imageHeight} x {@code imageWidth}; the values are undefined until written. */
  public void resize(Box box, int imageHeight, int imageWidth, int channels) {
    box.requireInside(imageHeight, imageWidth);
    resize(box.height(), box.width(), channels);
    this.top = box.top();
    this.left = box.left();
    this.imageHeight = imageHeight;
    this.imageWidth = imageWidth;
  }

  /** Becomes what a view of its image shows; pixels that are not seen any more are given up, those that come into the frame are ground. */
  void show(View view) {
    Box seen = view.seen();
    int row = Math.max(seen.top(), top), column = Math.max(seen.left(), left);
    int rows = Math.min(seen.top() + seen.height(), top + height) - row, columns = Math.min(seen.left() + seen.width(), left + width) - column;
    if (view.ground() != NO_GROUND) ground = view.ground();
    imageHeight = view.height();
    imageWidth = view.width();
    if (view.empty() || rows < 1 || columns < 1) {
      top = left = 0;
      height = width = 1;
      paint(pixels, 0, 3, ground);
      return;
    }
    boolean moved = row != top || column != left || columns != width;
    for (int h = 0; moved && h < rows; h++) {
      System.arraycopy(pixels, ((row - top + h) * width + column - left) * channels, pixels, h * columns * channels, columns * channels);
    }
    top = row + view.top();
    left = column + view.left();
    height = rows;
    width = columns;
    if (height == imageHeight && width == imageWidth) ground = NO_GROUND;
  }

  /** Becomes the same part of the same image as another picture of this shape. */
  void stand(Picture as) {
    top = as.top;
    left = as.left;
    imageHeight = as.imageHeight;
    imageWidth = as.imageWidth;
    ground = as.ground;
  }

  /** Becomes the same part of the image in a mirror. */
  void mirror() {
    left = imageWidth - left - width;
  }

  /** Writes so many pixels of a row of the image, ground where they are not here. */
  void row(int row, int column, int count, byte[] into, int at) {
    int from = Math.clamp(left - column, 0, count), to = row < top || row >= top + height ? from : Math.clamp(left + width - column, from, count);
    paint(into, at, 3 * from, ground);
    if (to > from) System.arraycopy(pixels, ((row - top) * width + column + from - left) * 3, into, at + 3 * from, 3 * (to - from));
    paint(into, at + 3 * to, 3 * (count - to), ground);
  }

  /** Fills bytes with a colour, 0xRRGGBB. */
  static void paint(byte[] into, int at, int bytes, int colour) {
    for (int c = 0; c < Math.min(3, bytes); c++) into[at + c] = (byte) (colour >> 16 - 8 * c);
    for (int have = 3; have < bytes; have *= 2) System.arraycopy(into, at, into, at + have, Math.min(have, bytes - have));
  }

  public byte[] pixels() {
    return pixels;
  }

  public int height() {
    return height;
  }

  public int width() {
    return width;
  }

  public int channels() {
    return channels;
  }

  /** First row of the image that is here. */
  public int top() {
    return top;
  }

  /** First column of the image that is here. */
  public int left() {
    return left;
  }

  /** Height of the image that this is all or a part of. */
  public int imageHeight() {
    return imageHeight;
  }

  /** Width of the image that this is all or a part of. */
  public int imageWidth() {
    return imageWidth;
  }

  /** The colour, 0xRRGGBB, of all of the image that is not here, or {@link #NO_GROUND} where that is unknown or nothing. */
  int ground() {
    return ground;
  }

  public int bytes() {
    return height * width * channels;
  }
}
