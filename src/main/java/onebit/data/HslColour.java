package onebit.data;

/**
 * RGB moved through hue, lightness and saturation in eight bits.
 *
 * <pre>
 * Units   hue in 2 degrees, 0..180; lightness and saturation 0..255; each rounded between the two conversions
 * Source  OpenCV, color conversions RGB to HLS and back
 * </pre>
 */
final class HslColour {
  private HslColour() {}

  /** Adds to the hue, saturation and lightness of the pixel at {@code p[at]}, clamping each to its range. */
  static void shift(byte[] p, int at, int hue, int saturation, int lightness) {
    float r = (p[at] & 255) / 255f;
    float g = (p[at + 1] & 255) / 255f;
    float b = (p[at + 2] & 255) / 255f;
    float max = Math.max(r, Math.max(g, b));
    float min = Math.min(r, Math.min(g, b));
    float range = max - min;
    float l = (max + min) / 2;
    float s = 0;
    float h = 0;
    if (range > 1e-7f) {
      s = l < 0.5f ? range / (max + min) : range / (2 - max - min);
      if (max == r) h = (g - b) * 60 / range;
      else if (max == g) h = (b - r) * 60 / range + 120;
      else h = (r - g) * 60 / range + 240;
      if (h < 0) h += 360;
    }
    float newH = Math.clamp(Math.round(h / 2) + hue, 0, 180) * 2f;
    float newL = Math.clamp(Math.round(l * 255) + lightness, 0, 255) / 255f;
    float newS = Math.clamp(Math.round(s * 255) + saturation, 0, 255) / 255f;
    float high = newL <= 0.5f ? newL * (1 + newS) : newL + newS - newL * newS;
    float low = 2 * newL - high;
    p[at] = level(low, high, newH + 120);
    p[at + 1] = level(low, high, newH);
    p[at + 2] = level(low, high, newH - 120);
  }

  /** One channel of the hue circle between its lowest and highest value. */
  private static byte level(float low, float high, float degrees) {
    float d = (degrees + 360) % 360;
    float v;
    if (d < 60) v = low + (high - low) * d / 60;
    else if (d < 180) v = high;
    else if (d < 240) v = low + (high - low) * (240 - d) / 60;
    else v = low;
    return (byte) Math.clamp(Math.round(v * 255), 0, 255);
  }
}
