package onebit.data;

import java.util.Arrays;

/**
 * An image turned, sheared and stretched about its centre; places between pixels take the mean of their four neighbours, outside is white.
 *
 * <pre>
 *   (X, Y) = S R (x, y), from the centre; R turns by the angle, S = ((h, t w), (0, w)), h = 2 / (1 + q), w = q h
 * </pre>
 *
 * <pre>
 * Units    degrees; t: tangent of the shear; q: width over height
 * Source   MXNet src/io/image_aug_default.cc
 * Differs  places between pixels are exact, where OpenCV's warpAffine rounds them to 1/32 pixel
 * </pre>
 */
final class AffineWarp {
  private static final byte WHITE = (byte) 255;

  private AffineWarp() {}

  static void apply(Picture from, Picture to, int degrees, double t, double q) {
    double angle = StrictMath.toRadians(degrees), cos = StrictMath.cos(angle), sin = StrictMath.sin(angle), h = 2 / (1 + q), w = q * h;
    // the source of (X, Y) is R^T S^-1 (X, Y), with S^-1 = ((1 / h, -t / h), (0, 1 / w))
    double xx = cos / h, xy = -t * cos / h - sin / w, yx = sin / h, yy = -t * sin / h + cos / w;
    double centreX = from.width() / 2.0, centreY = from.height() / 2.0;
    for (int row = 0, at = 0; row < to.height(); row++) {
      double dy = row - centreY;
      for (int column = 0; column < to.width(); column++, at += to.channels()) {
        double dx = column - centreX;
        between(to.pixels(), at, from, xx * dx + xy * dy + centreX, yx * dx + yy * dy + centreY);
      }
    }
  }

  /** The pixel at a place between pixels, rounded to a level. */
  private static void between(byte[] to, int at, Picture from, double x, double y) {
    int left = (int) Math.floor(x), top = (int) Math.floor(y), channels = from.channels();
    if (left < -1 || top < -1 || left >= from.width() || top >= from.height()) {
      Arrays.fill(to, at, at + channels, WHITE);
      return;
    }
    double right = x - left, low = y - top;
    for (int c = 0; c < channels; c++) {
      double up = (1 - right) * level(from, top, left, c) + right * level(from, top, left + 1, c);
      double down = (1 - right) * level(from, top + 1, left, c) + right * level(from, top + 1, left + 1, c);
      to[at + c] = (byte) Math.rint((1 - low) * up + low * down);
    }
  }

  private static int level(Picture from, int row, int column, int c) {
    boolean inside = row >= 0 && row < from.height() && column >= 0 && column < from.width();
    return (inside ? from.pixels()[(row * from.width() + column) * from.channels() + c] : WHITE) & 255;
  }
}
