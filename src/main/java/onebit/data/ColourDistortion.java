package onebit.data;

/**
 * RGB levels made brighter, given another contrast, saturation and hue, and their channels in another order, the same for all pixels.
 *
 * <pre>
 * y = ((x + shift) * early, in HSV: S * saturation and H + hue, back in RGB, * late), channel c from ORDERS[order][c]
 * Units   levels 0..255, in floats that may leave that range until they are rounded and clamped once, at the end; hue in degrees
 * Twin    {@link VectorColours} does the same arithmetic on vectors
 * Source  Liu et al. 2016 (SSD, arXiv 1512.02325), section 2.2, as ssd.pytorch computes it; OpenCV, color conversions of floats between RGB and HSV
 * Differs no conversion where neither saturation nor hue changes; ssd.pytorch makes it, and OpenCV's there and back moves pixels below 0 in all channels
 * </pre>
 */
record ColourDistortion(float shift, float early, float saturation, float hue, float late, int order) {
  static final float SMALL = 0x1p-23f;
  private static final int[][] ORDERS = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  /** How many orders of three channels there are. */
  static final int ORDER_COUNT = ORDERS.length;

  /** Changes the pixels of a bench's picture, of three channels. */
  void apply(Augmenter.Bench bench) {
    Picture x = bench.image();
    if (saturation == 1 && hue == 0) {
      levels(x);
    } else if (LevelVectors.REFUSAL != null) {
      colours(x);
    } else {
      VectorColours.apply(this, x, bench.spareLike(x));
      bench.swap();
    }
  }

  /** The channel that red, green or blue becomes. */
  int to(int channel) {
    int[] from = ORDERS[order];
    return from[0] == channel ? 0 : from[1] == channel ? 1 : 2;
  }

  /** Each level becomes another one, whatever stands beside it. */
  private void levels(Picture x) {
    float factor = early * late;
    byte[] p = x.pixels(), y = new byte[256];
    for (int i = 0; i < y.length; i++) y[i] = level((i + shift) * factor);
    int toR = to(0), toG = to(1), toB = to(2);
    for (int at = 0; at < x.bytes(); at += 3) {
      byte r = y[p[at] & 255], g = y[p[at + 1] & 255], b = y[p[at + 2] & 255];
      p[at + toR] = r;
      p[at + toG] = g;
      p[at + toB] = b;
    }
  }

  /** Saturation and hue too, in plain Java. */
  void colours(Picture x) {
    byte[] p = x.pixels();
    int toR = to(0), toG = to(1), toB = to(2);
    float turn = hue / 60;
    for (int at = 0; at < x.bytes(); at += 3) {
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
