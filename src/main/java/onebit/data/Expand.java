package onebit.data;

/**
 * With probability 1/2 the image at a random place of a larger one, which is filled with one colour; boxes shrink with it.
 *
 * <pre>
 * Units    the larger one's height and width over the image's: one ratio, drawn from [1, most); the colour in levels of red, green and blue
 * Source   Liu et al. 2016 (SSD, arXiv 1512.02325), section 3.6; ssd.pytorch, utils/augmentations.py (Expand), with 4 and the mean of ImageNet
 * </pre>
 */
public record Expand(double most, int red, int green, int blue) implements Augmentation {
  public Expand {
    if (!(most >= 1 && most <= 8)) throw new IllegalArgumentException("Expand: most " + most + " must be in [1, 8]");
    if ((red | green | blue) < 0 || Math.max(red, Math.max(green, blue)) > 255) {
      throw new IllegalArgumentException("Expand: levels " + red + ", " + green + ", " + blue + " must be in [0, 255]");
    }
  }

  @Override public void apply(Augmenter.Bench bench, CounterRandom random) {
    if (random.nextBoolean()) return;
    Picture x = bench.image();
    Augmentation.requireColour("Expand", x);
    double ratio = random.nextDouble(1, most);
    int height = (int) (x.height() * ratio), width = (int) (x.width() * ratio);
    int top = random.nextInt(height - x.height() + 1), left = random.nextInt(width - x.width() + 1);
    Picture y = bench.spare(height, width, 3);
    byte[] to = y.pixels();
    int line = width * 3, inner = x.width() * 3;
    for (int at = 0; at < line; at += 3) {
      to[at] = (byte) red;
      to[at + 1] = (byte) green;
      to[at + 2] = (byte) blue;
    }
    for (int h = 1; h < height; h++) System.arraycopy(to, 0, to, h * line, line);
    for (int h = 0; h < x.height(); h++) System.arraycopy(x.pixels(), h * inner, to, (top + h) * line + left * 3, inner);
    Boxes boxes = bench.boxes();
    double w = (double) x.width() / width, h = (double) x.height() / height, l = (double) left / width, t = (double) top / height;
    for (int i = 0; boxes != null && i < boxes.count(); i++) {
      boxes.corner(i, (float) (l + w * boxes.left(i)), (float) (t + h * boxes.top(i)), (float) (l + w * boxes.right(i)), (float) (t + h * boxes.bottom(i)));
    }
    bench.swap();
  }
}
