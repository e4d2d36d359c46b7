package onebit.data;

/**
 * With probability 1/2 the image at a random place of a larger one, which is filled with one colour; boxes shrink with it.
 *
 * <pre>
 * Units    the larger one's height and width over the image's: one ratio, drawn from [1, most); the colour in levels of red, green and blue
 * Cost     no pixel is moved or written: the colour is the picture's ground, {@link Picture#ground}
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

  @Override public boolean place(View view, CounterRandom random) {
    if (random.nextBoolean()) return true;
    double ratio = random.nextDouble(1, most);
    int height = (int) (view.height() * ratio), width = (int) (view.width() * ratio);
    int top = random.nextInt(height - view.height() + 1), left = random.nextInt(width - view.width() + 1);
    Boxes boxes = view.boxes();
    double w = (double) view.width() / width, h = (double) view.height() / height, l = (double) left / width, t = (double) top / height;
    for (int i = 0; boxes != null && i < boxes.count(); i++) {
      boxes.corner(i, (float) (l + w * boxes.left(i)), (float) (t + h * boxes.top(i)), (float) (l + w * boxes.right(i)), (float) (t + h * boxes.bottom(i)));
    }
    view.onto(height, width, top, left, red << 16 | green << 8 | blue);
    return true;
  }

  @Override public void apply(Augmenter.Bench bench, CounterRandom random) {
    Augmentation.requireColour("Expand", bench.image());
    bench.place(this, random);
  }
}
