package onebit.data;

/** A rectangle of an image: rows [top, top + height), columns [left, left + width). */
public record Box(int top, int left, int height, int width) {
  public Box {
    if (top < 0 || left < 0 || height < 1 || width < 1) {
      throw new IllegalArgumentException("Box: " + height + "x" + width + " at (" + top + ", " + left + ") must be positive and not begin before 0");
    }
  }

  /** The whole of an image. */
  public static Box whole(int height, int width) {
    return new Box(0, 0, height, width);
  }

  /** Which part of an image is wanted, asked when its size is known and before its pixels are decoded. */
  @FunctionalInterface
  public interface Choice {
    Choice WHOLE = Box::whole;

    Box of(int height, int width);
  }

  /** Refuses a box that reaches outside an image. */
  void requireInside(int imageHeight, int imageWidth) {
    if (top + height > imageHeight || left + width > imageWidth) {
      throw new IllegalArgumentException("Box: " + height + "x" + width + " at (" + top + ", " + left + ") must lie inside the picture of "
          + imageHeight + "x" + imageWidth);
    }
  }
}
