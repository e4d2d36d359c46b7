package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.Arrays;
import java.util.Random;

/** What works on vectors of levels where there are some, against plain loops; a program of its own, for a JVM told of a smaller processor. */
final class VectorTwins {
  private static final Resize PLAIN = new Resize(false), FAST = new Resize();

  private VectorTwins() {}

  public static void main(String[] arguments) {
    compare();
    System.out.println(LevelVectors.finding() + ": equal");
  }

  static void compare() {
    Random random = new Random(3);
    for (int i = 0; i < 300; i++) {
      int h = 1 + random.nextInt(90), w = 1 + random.nextInt(i % 10 == 0 ? 900 : 90), channels = i % 3 == 0 ? 1 : 3;
      Picture x = ResizeTest.pattern(h, w, channels);
      int top = random.nextInt(h), left = random.nextInt(w), outH = 1 + random.nextInt(70), outW = 1 + random.nextInt(70);
      boolean corner = i % 2 == 0;   // the last pixel of a buffer that is no larger than the picture
      Box box = new Box(top, left, corner ? h - top : 1 + random.nextInt(h - top), corner ? w - left : 1 + random.nextInt(w - left));
      resize(x, box, outH, outW);
    }
    // widths at which a tap of a vector of outputs no longer lies in one vector of the row
    for (int w = 1; w < 200; w++) for (int channels = 1; channels < 4; channels += 2) resize(ResizeTest.pattern(2, w, channels), Box.whole(2, w), 2, 23);
    for (int w = 1; w < 70; w++) mirror(ResizeTest.pattern(3, w, 3));
    colours();
  }

  private static void resize(Picture x, Box box, int height, int width) {
    Picture plain = new Picture(), fast = new Picture();
    PLAIN.apply(x, box, height, width, plain);
    FAST.apply(x, box, height, width, fast);
    assertArrayEquals(levels(plain), levels(fast), x.height() + "x" + x.width() + "x" + x.channels() + " " + box + " to " + height + "x" + width);
  }

  private static void colours() {
    CounterRandom random = new CounterRandom().reset(5, 0, 0, 1);
    for (int round = 0; round < 600; round++) {
      float late = round % 3 == 0 ? 1 : (float) random.nextDouble(0, 2), early = round % 3 == 1 ? 1 : (float) random.nextDouble(0, 2);
      float hue = round % 5 == 0 ? 0 : round % 5 == 1 ? 120 : (float) random.nextDouble(-180, 180), saturation = round % 7 == 0 ? 0 : (float) random.nextDouble(0, 2);
      ColourDistortion step = new ColourDistortion((float) random.nextDouble(-255, 255), early, saturation, hue, late, round % 6);
      Picture x = new Picture();
      x.resize(1 + round % 3, 1 + round, 3);
      for (int i = 0; i < x.bytes(); i++) x.pixels()[i] = (byte) (round % 4 == 0 ? 100 + random.nextInt(3) : random.nextInt(256));
      Augmenter.Bench bench = bench(x);
      step.apply(bench);
      step.colours(x);
      assertArrayEquals(levels(x), levels(bench.image()), step + " of " + x.height() + "x" + x.width());
    }
  }

  /** A bench with a copy of that picture. */
  private static Augmenter.Bench bench(Picture x) {
    Augmenter.Bench bench = new Augmenter.Bench();
    bench.image().resize(x.height(), x.width(), 3);
    System.arraycopy(x.pixels(), 0, bench.image().pixels(), 0, x.bytes());
    return bench;
  }

  private static void mirror(Picture x) {
    Augmenter.Bench bench = bench(x);
    new Augmentation.Flip(1).apply(bench, new CounterRandom().reset(5, 0, 0, 1));
    byte[] mirrored = new byte[x.bytes()];
    for (int i = 0; i < mirrored.length; i++) {
      int line = x.width() * 3, row = i / line, column = i % line / 3;
      mirrored[i] = x.pixels()[row * line + (x.width() - 1 - column) * 3 + i % 3];
    }
    assertArrayEquals(mirrored, levels(bench.image()), "a row of " + x.width() + " mirrored");
  }

  private static byte[] levels(Picture x) {
    return Arrays.copyOf(x.pixels(), x.bytes());
  }
}
