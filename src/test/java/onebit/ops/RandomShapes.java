package onebit.ops;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import onebit.tensor.Shape;

/**
 * Shapes that nobody chose, beside those a contract test names: the same in every build.
 *
 * <pre>
 * Units   shapes a test: -Donebit.test.shapes (3); others: -Donebit.test.seed (1)
 * </pre>
 */
final class RandomShapes {
  private static final int COUNT = Integer.getInteger("onebit.test.shapes", 3), MOST_PIXELS = 200_000, MOST_RESULTS = 60_000;
  private static final long SEED = Long.getLong("onebit.test.seed", 1);

  private RandomShapes() {}

  private static Random random(String test) {
    return new Random(SEED * 1_000_003 + test.hashCode());
  }

  private static int of(Random random, int... choices) {
    return choices[random.nextInt(choices.length)];
  }

  /** Few, any, beside a word's end, or a network's. */
  private static int channels(Random random, int most) {
    int any = switch (random.nextInt(4)) {
      case 0 -> 1 + random.nextInt(64);
      case 1 -> 1 + random.nextInt(most);
      case 2 -> 32 * (1 + random.nextInt(most / 32)) + random.nextInt(3) - 1;
      default -> of(random, 16, 32, 64, 128, 256, 512);
    };
    return Math.clamp(any, 1, most);
  }

  /** The named convolutions and others of at most so many multiply-accumulates, channels and filters: all strides, pads and dilations, also windows that lie in the border alone. */
  static List<ConvGeometry> and(List<ConvGeometry> named, String test, double macs, int channels, int filters) {
    Random random = random(test);
    List<ConvGeometry> all = new ArrayList<>(named);
    while (all.size() < named.size() + COUNT) {
      int r = of(random, 3, 3, 3, 3, 3, 1, 1, 2, 4, 5), s = random.nextInt(6) == 0 ? 1 + random.nextInt(5) : r;
      int stride = of(random, 1, 1, 1, 2, 2, 3), pad = of(random, 0, 1, 1, 1, 2, 3), dilation = of(random, 1, 1, 1, 1, 2, 3, 6);
      int h = of(random, 1, 2, 3, 7, 14, 1 + random.nextInt(30), 1 + random.nextInt(60)), w = of(random, h, 1 + random.nextInt(30), 1 + random.nextInt(150));
      if (h + 2 * pad < dilation * (r - 1) + 1 || w + 2 * pad < dilation * (s - 1) + 1) continue;
      ConvGeometry g = new ConvGeometry(1 + random.nextInt(6), h, w, channels(random, channels), channels(random, filters), r, s, stride, pad, dilation, 1);
      if (g.macs() <= macs && g.y().size() <= MOST_RESULTS && g.x().size() <= MOST_PIXELS) all.add(g);
    }
    return all;
  }

  /** The named images and others, of several pixels each: of few rows the gradient behind a batch norm is nothing but rounding. */
  static Shape[] and(Shape[] named, String test) {
    Random random = random(test);
    return Stream.concat(Stream.of(named), Stream.generate(() -> Shape.image(1 + random.nextInt(6), 2 + random.nextInt(10), 2 + random.nextInt(10), channels(random, 300)))
        .filter(s -> s.size() <= MOST_RESULTS && s.size() / s.d3() >= 16).limit(COUNT)).toArray(Shape[]::new);
  }

  /** The named products and others: rows of a, rows of b, bits. */
  static int[][] and(int[][] named, String test) {
    Random random = random(test);
    return Stream.concat(Stream.of(named), Stream.generate(() -> new int[] {1 + random.nextInt(of(random, 20, 140, 400)), 1 + random.nextInt(of(random, 20, 140, 400)),
        1 + random.nextInt(of(random, 70, 700, 5000))}).limit(COUNT)).toArray(int[][]::new);
  }
}
