package onebit.data;

/**
 * One image in a buffer that grows and is used again.
 *
 * <pre>
 * Shapes    pixels H,W,C in the first height x width x channels bytes
 * Encoding  uint8
 * </pre>
 */
public final class Picture {
  private byte[] pixels = new byte[0];
  private int height;
  private int width;
  private int channels;

  /** Gives the image a new shape; its values are undefined until written. */
  public void resize(int height, int width, int channels) {
    if (height < 1 || width < 1 || channels < 1) {
      throw new IllegalArgumentException("Picture: shape " + height + "x" + width + "x" + channels + " must be positive");
    }
    int bytes = Math.multiplyExact(Math.multiplyExact(height, width), channels);
    if (pixels.length < bytes) pixels = new byte[bytes];
    this.height = height;
    this.width = width;
    this.channels = channels;
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

  public int bytes() {
    return height * width * channels;
  }
}
