package onebit.data;

/**
 * The whole image resized to side x side, whatever its own aspect.
 *
 * <pre>
 * Differs  the antialiased bilinear filter of {@link Resize}; ssd.pytorch's (OpenCV's) looks at four pixels only when it shrinks
 * </pre>
 */
public record ResizeTo(int side) implements Augmentation {
  public ResizeTo {
    if (side < 1) throw new IllegalArgumentException("ResizeTo: side " + side + " must be >= 1");
  }

  @Override public boolean takesAnySize() {
    return true;
  }

  @Override public void apply(Augmenter.Bench bench, CounterRandom random) {
    Picture x = bench.image();
    bench.resize().apply(x, side, side, bench.spare(side, side, x.channels()));
    bench.swap();
  }
}
