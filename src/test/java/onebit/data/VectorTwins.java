package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.Arrays;
import java.util.Random;

/** The vector loops on levels against plain ones; a program of its own, for a JVM told of a smaller processor. */
final class VectorTwins {
  private VectorTwins() {}

  public static void main(String[] arguments) {
    compare();
    System.out.println(LevelVectors.finding() + ": equal");
  }

  static void compare() {
    Random random = new Random(3);
    Picture plain = new Picture(), fast = new Picture();
    Resize one = new Resize(false), two = new Resize(true);
    for (int i = 0; i < 300; i++) {
      int h = 1 + random.nextInt(90), w = 1 + random.nextInt(i % 10 == 0 ? 900 : 90), channels = i % 3 == 0 ? 1 : 3;
      Picture x = ResizeTest.pattern(h, w, channels);
      int top = random.nextInt(h), left = random.nextInt(w), outH = 1 + random.nextInt(70), outW = 1 + random.nextInt(70);
      boolean corner = i % 2 == 0;   // the last pixel of a buffer that is no larger than the picture
      Box box = new Box(top, left, corner ? h - top : 1 + random.nextInt(h - top), corner ? w - left : 1 + random.nextInt(w - left));
      one.apply(x, box, outH, outW, plain);
      two.apply(x, box, outH, outW, fast);
      assertArrayEquals(levels(plain), levels(fast), h + "x" + w + "x" + channels + " " + box + " to " + outH + "x" + outW);
    }
    for (int w = 1; w < 70; w++) mirror(ResizeTest.pattern(3, w, 3), fast);
  }

  private static void mirror(Picture x, Picture y) {
    y.resize(x.height(), x.width(), 3);
    VectorFlip.apply(x, y);
    byte[] mirrored = new byte[x.bytes()];
    for (int i = 0; i < mirrored.length; i++) {
      int line = x.width() * 3, row = i / line, column = i % line / 3;
      mirrored[i] = x.pixels()[row * line + (x.width() - 1 - column) * 3 + i % 3];
    }
    assertArrayEquals(mirrored, levels(y), "a row of " + x.width() + " mirrored");
  }

  private static byte[] levels(Picture x) {
    return Arrays.copyOf(x.pixels(), x.bytes());
  }
}
