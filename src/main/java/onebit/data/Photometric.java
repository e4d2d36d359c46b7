package onebit.data;

/**
 * Brightness, contrast, saturation, hue and the order of the channels, each changed with probability 1/2; contrast before saturation and hue, or after.
 *
 * <pre>
 * Units    brightness: levels drawn from [-brightness, brightness); contrast, saturation: factors from [1 - it, 1 + it); hue: degrees from [-hue, hue)
 * Source   Liu et al. 2016 (SSD, arXiv 1512.02325), section 2.2; ssd.pytorch, utils/augmentations.py (PhotometricDistort), with 32, 0.5, 0.5, 18
 * Differs  levels are rounded and clamped to 0..255 once, at the end; ssd.pytorch goes on with floats that may lie outside
 * </pre>
 */
public record Photometric(double brightness, double contrast, double saturation, double hue) implements Augmentation {
  public Photometric {
    if (!(brightness >= 0 && brightness <= 255 && contrast >= 0 && contrast <= 1 && saturation >= 0 && saturation <= 1 && hue >= 0 && hue <= 180)) {
      throw new IllegalArgumentException("Photometric: brightness " + brightness + ", contrast " + contrast + ", saturation " + saturation + " and hue " + hue
          + " must be in [0, 255], [0, 1], [0, 1] and [0, 180]");
    }
  }

  @Override public boolean place(View view, CounterRandom random) {
    return true;
  }

  @Override public void apply(Augmenter.Bench bench, CounterRandom random) {
    Augmentation.requireColour("Photometric", bench.image());
    double shift = random.nextBoolean() ? random.nextDouble(-brightness, brightness) : 0;
    boolean early = random.nextBoolean();
    double factor = random.nextBoolean() ? random.nextDouble(1 - contrast, 1 + contrast) : 1;
    double colour = random.nextBoolean() ? random.nextDouble(1 - saturation, 1 + saturation) : 1;
    double turn = random.nextBoolean() ? random.nextDouble(-hue, hue) : 0;
    int order = random.nextBoolean() ? random.nextInt(ColourDistortion.ORDER_COUNT) : 0;
    new ColourDistortion((float) shift, early ? (float) factor : 1, (float) colour, (float) turn, early ? 1 : (float) factor, order).apply(bench);
  }
}
