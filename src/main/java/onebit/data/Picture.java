package onebit.data;

/**
 * One image, or one box of a larger image, in a buffer that grows and is used again.
 *
 * <pre>
 * Shapes    pixels H,W,C of the box in the first height x width x channels bytes
 * Encoding  uint8
 * </pre>
 */
public final class Picture {
  /** Bytes behind the pixels that vectors may read, and write with anything. */
  static final int SLACK = 64;

  private byte[] pixels = new byte[0];
  private int height;
  private int width;
  private int channels;
  private int top;
  private int left;
  private int imageHeight;
  private int imageWidth;

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

  public int bytes() {
    return height * width * channels;
  }
}
