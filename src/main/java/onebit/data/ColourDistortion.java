package onebit.data;

/**
 * RGB levels made brighter, given another contrast, saturation and hue, and their channels in another order, the same for all pixels.
 *
 * <pre>
 * y = ((x + shift) * early, in HSV: S * saturation and H + hue, back in RGB, * late), channel c from ORDERS[order][c]
 * Units   levels 0..255, in floats that may leave that range until they are rounded and clamped once, at the end; hue in degrees
 * Source  Liu et al. 2016 (SSD, arXiv 1512.02325), section 2.2, as ssd.pytorch computes it; OpenCV, color conversions of floats between RGB and HSV
 * Differs no conversion where neither saturation nor hue changes; ssd.pytorch makes it, and OpenCV's there and back moves pixels below 0 in all channels
 * </pre>
 */
final class ColourDistortion {
  /** Every order of three channels. */
  static final int[][] ORDERS = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

  private static final float SMALL = 0x1p-23f;

  private ColourDistortion() {}

  /** Changes a picture of three channels. */
  static void apply(Picture x, float shift, float early, float saturation, float hue, float late, int order) {
    int[] to = {0, 1, 2};
    for (int c = 0; c < 3; c++) to[ORDERS[order][c]] = c;
    if (saturation == 1 && hue == 0) levels(x, shift, early * late, to);
    else colours(x.pixels(), x.bytes(), shift, early, saturation, hue, late, to);
  }

  private static void levels(Picture x, float shift, float factor, int[] to) {
    byte[] p = x.pixels();
    int toR = to[0], toG = to[1], toB = to[2];
    for (int at = 0; at < x.bytes(); at += 3) {
      byte r = level(((p[at] & 255) + shift) * factor), g = level(((p[at + 1] & 255) + shift) * factor), b = level(((p[at + 2] & 255) + shift) * factor);
      p[at + toR] = r;
      p[at + toG] = g;
      p[at + toB] = b;
    }
  }

  private static void colours(byte[] p, int bytes, float shift, float early, float saturation, float hue, float late, int[] to) {
    int toR = to[0], toG = to[1], toB = to[2];
    float turn = hue / 60;
    for (int at = 0; at < bytes; at += 3) {
      float r = ((p[at] & 255) + shift) * early, g = ((p[at + 1] & 255) + shift) * early, b = ((p[at + 2] & 255) + shift) * early;
      float v = Math.max(r, Math.max(g, b)), range = v - Math.min(r, Math.min(g, b));
      float s = range / (Math.abs(v) + SMALL) * saturation, step = 1 / (range + SMALL);
      float h = v == r ? (g - b) * step : v == g ? (b - r) * step + 2 : (r - g) * step + 4;
      h += turn;
      if (h < 0) h += 6;
      if (h >= 6) h -= 6;
      int sixth = (int) h;
      float rest = h - sixth, scaled = v * late;
      float low = scaled * (1 - s), falling = scaled * (1 - s * rest), rising = scaled * (1 - s * (1 - rest));
      p[at + toR] = level(sixth == 0 || sixth == 5 ? scaled : sixth == 1 ? falling : sixth == 4 ? rising : low);
      p[at + toG] = level(sixth == 1 || sixth == 2 ? scaled : sixth == 3 ? falling : sixth == 0 ? rising : low);
      p[at + toB] = level(sixth == 3 || sixth == 4 ? scaled : sixth == 5 ? falling : sixth == 2 ? rising : low);
    }
  }

  private static byte level(float value) {
    return (byte) (int) (Math.clamp(value, 0f, 255f) + 0.5f);
  }
}
