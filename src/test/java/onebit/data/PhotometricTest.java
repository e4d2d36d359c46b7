package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class PhotometricTest {
  private static final int SIDE = 24;

  private static Picture colours(int seed) {
    Picture x = new Picture();
    x.resize(SIDE, SIDE, 3);
    CounterRandom random = new CounterRandom().reset(seed, 0, 0, 1);
    for (int i = 0; i < x.bytes(); i++) x.pixels()[i] = (byte) random.nextInt(256);
    for (int i = 0; i < 30; i++) x.pixels()[i] = (byte) (i < 9 ? 0 : i < 18 ? 255 : 100);
    return x;
  }

  private static byte[] changed(Photometric step, int seed, int sample) {
    Augmenter.Bench bench = new Augmenter.Bench();
    Picture x = colours(seed);
    bench.image().resize(SIDE, SIDE, 3);
    System.arraycopy(x.pixels(), 0, bench.image().pixels(), 0, x.bytes());
    step.apply(bench, new CounterRandom().reset(11, 2, sample, 5));
    return Arrays.copyOf(bench.image().pixels(), x.bytes());
  }

  /**
   * ssd.pytorch's steps one after the other, in double precision, on the numbers that are drawn in their order. NaN where the largest channel is so near
   * 0 that a rounding decides its sign: there OpenCV's saturation, which divides by it, jumps.
   */
  private static double[] inSteps(Photometric step, int seed, int sample) {
    CounterRandom random = new CounterRandom().reset(11, 2, sample, 5);
    double shift = random.nextBoolean() ? random.nextDouble(-step.brightness(), step.brightness()) : 0;
    boolean early = random.nextBoolean();
    double contrast = random.nextBoolean() ? random.nextDouble(1 - step.contrast(), 1 + step.contrast()) : 1;
    double saturation = random.nextBoolean() ? random.nextDouble(1 - step.saturation(), 1 + step.saturation()) : 1;
    double hue = random.nextBoolean() ? random.nextDouble(-step.hue(), step.hue()) : 0;
    int[][] orders = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    int[] order = orders[random.nextBoolean() ? random.nextInt(6) : 0];
    Picture x = colours(seed);
    double[] y = new double[x.bytes()];
    for (int at = 0; at < y.length; at += 3) {
      double[] rgb = new double[3];
      for (int c = 0; c < 3; c++) rgb[c] = ((x.pixels()[at + c] & 255) + shift) * (early ? contrast : 1);
      double[] hsv = toHsv(rgb), plain = rgb;
      hsv[1] *= saturation;
      hsv[0] += hue;
      if (hsv[0] > 360) hsv[0] -= 360;
      if (hsv[0] < 0) hsv[0] += 360;
      rgb = saturation == 1 && hue == 0 ? plain : toRgb(hsv);
      for (int c = 0; c < 3; c++) y[at + c] = Math.abs(hsv[2]) < 1e-3 ? Double.NaN : Math.clamp(rgb[order[c]] * (early ? 1 : contrast), 0, 255);
    }
    return y;
  }

  /** OpenCV's RGB2HSV for floats: H in degrees, S and V unbounded. */
  private static double[] toHsv(double[] rgb) {
    double v = Math.max(rgb[0], Math.max(rgb[1], rgb[2])), diff = v - Math.min(rgb[0], Math.min(rgb[1], rgb[2]));
    double s = diff / (Math.abs(v) + Math.ulp(1f)), scale = 60 / (diff + Math.ulp(1f)), h;
    if (v == rgb[0]) h = (rgb[1] - rgb[2]) * scale;
    else if (v == rgb[1]) h = (rgb[2] - rgb[0]) * scale + 120;
    else h = (rgb[0] - rgb[1]) * scale + 240;
    return new double[] {h < 0 ? h + 360 : h, s, v};
  }

  /** OpenCV's HSV2RGB for floats, by sectors of 60 degrees. */
  private static double[] toRgb(double[] hsv) {
    double h = hsv[0] / 60, s = hsv[1], v = hsv[2];
    while (h < 0) h += 6;
    while (h >= 6) h -= 6;
    int sector = (int) Math.floor(h);
    double f = h - sector;
    double[] tab = {v, v * (1 - s), v * (1 - s * f), v * (1 - s * (1 - f))};
    int[][] bgr = {{1, 3, 0}, {1, 0, 2}, {3, 0, 1}, {0, 2, 1}, {0, 1, 3}, {2, 1, 0}};
    return new double[] {tab[bgr[sector][2]], tab[bgr[sector][1]], tab[bgr[sector][0]]};
  }

  @Test void levelsAreThoseOfTheStepsOneAfterTheOther() {
    Photometric step = new Photometric(32, 0.5, 0.5, 18);
    int wrong = 0, left = 0, all = 0;
    for (int sample = 0; sample < 400; sample++) {
      byte[] y = changed(step, sample, sample);
      double[] expected = inSteps(step, sample, sample);
      for (int i = 0; i < y.length; i++, all++) {
        double off = Math.abs((y[i] & 255) - expected[i]);
        if (Double.isNaN(off)) {
          left++;
          continue;
        }
        assertTrue(off <= 0.502, "sample " + sample + ", value " + i + ": " + (y[i] & 255) + " for " + expected[i]);
        if (off > 0.5) wrong++;
      }
    }
    assertTrue(left < all / 200, left + " of " + all + " were left out");
    assertTrue(wrong < all / 5000, wrong + " of " + all + " were rounded to the other side");
  }

  @Test void changesOfAnySizeAreThose() {
    Photometric step = new Photometric(255, 1, 1, 180);
    for (int sample = 0; sample < 200; sample++) {
      byte[] y = changed(step, 1, sample);
      double[] expected = inSteps(step, 1, sample);
      for (int i = 0; i < y.length; i++) if (!Double.isNaN(expected[i])) assertEquals(expected[i], y[i] & 255, 0.51, "sample " + sample + ", value " + i);
    }
  }

  @Test void eachOfTheChangesIsMadeInHalfOfTheImages() {
    int order = 0, hue = 0, none = 0, rounds = 2000;
    byte[] plain = Arrays.copyOf(colours(1).pixels(), SIDE * SIDE * 3);
    for (int sample = 0; sample < rounds; sample++) {
      byte[] y = changed(new Photometric(0, 0, 0, 0), 1, sample);
      if (!Arrays.equals(plain, y)) order++;
      for (int at = 0; at < y.length; at += 3) assertEquals((plain[at] & 255) + (plain[at + 1] & 255) + (plain[at + 2] & 255), (y[at] & 255) + (y[at + 1] & 255) + (y[at + 2] & 255));
      if (Arrays.equals(plain, changed(new Photometric(32, 0.5, 0.5, 18), 1, sample))) none++;
      byte[] z = changed(new Photometric(0, 0, 0, 18), 1, sample);
      if (!Arrays.equals(y, z)) hue++;
    }
    assertEquals(rounds * 5 / 12.0, order, 110, "half of the images, but a sixth of their orders is the one they had");
    assertEquals(rounds / 2.0, hue, 110);
    assertEquals(rounds / 16.0 * 7 / 12, none, 40);
  }

  @Test void theSameNumbersGiveTheSameBytesAndOthersOthers() {
    Photometric step = new Photometric(32, 0.5, 0.5, 18);
    assertArrayEquals(changed(step, 1, 3), changed(step, 1, 3));
    int different = 0;
    for (int sample = 0; sample < 50; sample++) if (!Arrays.equals(changed(step, 1, sample), changed(step, 1, sample + 1))) different++;
    assertTrue(different > 40, different + " of 50 differ");
  }

  @Test void rangesAreChecked() {
    assertTrue(assertThrows(IllegalArgumentException.class, () -> new Photometric(-1, 0, 0, 0)).getMessage().startsWith("Photometric: brightness -1.0"));
    assertThrows(IllegalArgumentException.class, () -> new Photometric(0, 1.1, 0, 0));
    assertThrows(IllegalArgumentException.class, () -> new Photometric(0, 0, Double.NaN, 0));
    assertThrows(IllegalArgumentException.class, () -> new Photometric(0, 0, 0, 181));
    assertThrows(IllegalArgumentException.class, () -> new Expand(0.9, 0, 0, 0));
    assertThrows(IllegalArgumentException.class, () -> new Expand(4, 0, 256, 0));
    assertThrows(IllegalArgumentException.class, () -> new ResizeTo(0));
    Augmenter.Bench grey = new Augmenter.Bench();
    grey.image().resize(4, 4, 1);
    for (Augmentation step : List.of(new Photometric(0, 0, 0, 0), new Expand(4, 0, 0, 0), new Augmentation.HslJitter(1, 1, 1), new Augmentation.Lighting(1))) {
      String message = assertThrows(IllegalArgumentException.class, () -> step.apply(grey, new CounterRandom())).getMessage();
      assertEquals(step.getClass().getSimpleName() + ": the image has 1 channels; it must have 3", message);
    }
  }
}
