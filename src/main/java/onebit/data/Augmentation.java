package onebit.data;

import java.util.List;

/**
 * One random or fixed change of an image's levels; a list of them, in order, is what training or evaluation does to an image.
 *
 * <p>Every random number is a function of (seed, epoch, sample, place in the list): see {@link Augmenter}.
 */
public sealed interface Augmentation permits Augmentation.Flip, Augmentation.PadCrop, Augmentation.RandomResizedCrop, Augmentation.ResizeCentreCrop,
    Augmentation.ResizeShort, Augmentation.RandomCrop, Augmentation.AffineJitter, Augmentation.HslJitter, Augmentation.Lighting, Photometric, Expand, OverlapCrop, ResizeTo {
  /** Changes {@code bench.image()}, or swaps in a new one; moves {@code bench.boxes()} with it if the image has some and {@link #keepsBoxes}. */
  void apply(Augmenter.Bench bench, CounterRandom random);

  /** Whether the step takes an image of any size and makes one of a fixed size. */
  default boolean takesAnySize() {
    return false;
  }

  /** The part of an image that {@link #apply} will look at, drawn from the same random numbers. */
  default Box needs(int height, int width, CounterRandom random) {
    return Box.whole(height, width);
  }

  /**
   * Does to a view of an image, and to its boxes, what {@link #apply} will do to the image, from the same random numbers: so the part that is needed is
   * known before pixels are.
   *
   * @return false if the steps after this one may look at all that it shows
   */
  default boolean place(View view, CounterRandom random) {
    view.cut(needs(view.height(), view.width(), random));
    return false;
  }

  /** Whether the step works on a picture that is not the whole image but has a {@link Picture#ground}. */
  default boolean knowsGround() {
    return switch (this) {
      case Flip _, ResizeShort _, OverlapCrop _, ResizeTo _ -> true;
      case PadCrop _, RandomResizedCrop _, ResizeCentreCrop _, RandomCrop _, AffineJitter _, HslJitter _, Lighting _, Photometric _, Expand _ -> false;
    };
  }

  /** Whether the boxes of an image are right afterwards: the step moves them with the pixels, or moves no pixels. */
  default boolean keepsBoxes() {
    return switch (this) {
      case Flip _, HslJitter _, Lighting _, Photometric _, Expand _, OverlapCrop _, ResizeTo _ -> true;
      case PadCrop _, RandomResizedCrop _, ResizeCentreCrop _, ResizeShort _, RandomCrop _, AffineJitter _ -> false;
    };
  }

  /** Side of the square image the step makes, or 0 where it keeps the size. */
  default int side() {
    return 0;
  }

  /** Padding with black and flip: what the CIFAR recipes of all four systems do. */
  static List<Augmentation> cifar() {
    return List.of(new PadCrop(4), new Flip(0.5));
  }

  /** Random resized crop and flip. */
  static List<Augmentation> imagenet(int side, double minArea, double maxArea) {
    return List.of(new RandomResizedCrop(side, minArea, maxArea, 3.0 / 4, 4.0 / 3), new Flip(0.5));
  }

  /** The centre after a resize by the shorter side: evaluation of image folders. */
  static List<Augmentation> evaluation(int shortSide, int side) {
    return List.of(new ResizeCentreCrop(shortSide, side));
  }

  /** x mirrored left to right with a probability. */
  record Flip(double probability) implements Augmentation {
    public Flip {
      if (!(probability >= 0 && probability <= 1)) {
        throw new IllegalArgumentException("Flip: probability " + probability + " must be in [0, 1]");
      }
    }

    @Override public void apply(Augmenter.Bench bench, CounterRandom random) {
      if (random.nextDouble() >= probability) return;
      Picture x = bench.image();
      Boxes boxes = bench.boxes();
      for (int i = 0; boxes != null && i < boxes.count(); i++) boxes.corner(i, 1 - boxes.right(i), boxes.top(i), 1 - boxes.left(i), boxes.bottom(i));
      int c = x.channels();
      if (c == 3 && LevelVectors.REFUSAL == null) {
        VectorFlip.apply(x, bench.spareLike(x));
        bench.swap();
        bench.image().mirror();
        return;
      }
      x.mirror();
      byte[] p = x.pixels();
      for (int h = 0; h < x.height(); h++) {
        int left = h * x.width() * c;
        int right = left + (x.width() - 1) * c;
        for (; left < right; left += c, right -= c) {
          for (int i = 0; i < c; i++) {
            byte swap = p[left + i];
            p[left + i] = p[right + i];
            p[right + i] = swap;
          }
        }
      }
    }
  }

  /** A window of the image's own size from the image with {@code padding} black pixels on each side. */
  record PadCrop(int padding) implements Augmentation {
    public PadCrop {
      if (padding < 1 || padding > 1024) throw new IllegalArgumentException("PadCrop: padding " + padding + " must be in [1, 1024]");
    }

    @Override public void apply(Augmenter.Bench bench, CounterRandom random) {
      Picture x = bench.image();
      int down = random.nextInt(2 * padding + 1) - padding;
      int right = random.nextInt(2 * padding + 1) - padding;
      Picture y = bench.spare(x.height(), x.width(), x.channels());
      int c = x.channels();
      int line = x.width() * c;
      java.util.Arrays.fill(y.pixels(), 0, y.bytes(), (byte) 0);
      int from = Math.max(0, right);
      int pixels = x.width() - Math.abs(right);
      for (int h = Math.max(0, -down); pixels > 0 && h < Math.min(x.height(), x.height() - down); h++) {
        System.arraycopy(x.pixels(), (h + down) * line + from * c, y.pixels(), h * line + (from - right) * c, pixels * c);
      }
      bench.swap();
    }
  }

  /**
   * A box of random area and aspect, resized to side x side; after ten boxes that do not fit, the largest centred one.
   *
   * <pre>
   * Units   areas in parts of the image's; aspect is width / height, drawn uniform in its logarithm
   * Source  torchvision.transforms.RandomResizedCrop
   * Differs MXNet's loader, of BMXNet's runs of 2020, draws the aspect itself uniformly, swaps every other box's sides, takes the middle
   *         side x side pixels where none fits, and resizes without antialiasing, in evaluation too
   * </pre>
   */
  record RandomResizedCrop(int side, double minArea, double maxArea, double minAspect, double maxAspect) implements Augmentation {
    public RandomResizedCrop {
      if (side < 1) throw new IllegalArgumentException("RandomResizedCrop: side " + side + " must be >= 1");
      if (!(minArea > 0 && minArea <= maxArea && maxArea <= 16)) {
        throw new IllegalArgumentException("RandomResizedCrop: areas " + minArea + " to " + maxArea + " must be ordered and in (0, 16]");
      }
      if (!(minAspect > 0 && minAspect <= maxAspect && maxAspect <= 64)) {
        throw new IllegalArgumentException("RandomResizedCrop: aspects " + minAspect + " to " + maxAspect + " must be ordered and in (0, 64]");
      }
    }

    @Override public boolean takesAnySize() {
      return true;
    }

    @Override public void apply(Augmenter.Bench bench, CounterRandom random) {
      Picture x = bench.image();
      bench.resize().apply(x, needs(x.imageHeight(), x.imageWidth(), random), side, side, bench.spare(side, side, x.channels()));
      bench.swap();
    }

    @Override public Box needs(int height, int width, CounterRandom random) {
      double area = (double) height * width;
      double low = StrictMath.log(minAspect);
      double high = StrictMath.log(maxAspect);
      for (int attempt = 0; attempt < 10; attempt++) {
        double target = area * random.nextDouble(minArea, maxArea);
        double aspect = StrictMath.exp(random.nextDouble(low, high));
        int w = (int) Math.rint(Math.sqrt(target * aspect));
        int h = (int) Math.rint(Math.sqrt(target / aspect));
        if (w > 0 && w <= width && h > 0 && h <= height) return new Box(random.nextInt(height - h + 1), random.nextInt(width - w + 1), h, w);
      }
      double aspect = (double) width / height;
      int w = width;
      int h = height;
      if (aspect < minAspect) h = Math.clamp((int) Math.rint(w / minAspect), 1, h);
      else if (aspect > maxAspect) w = Math.clamp((int) Math.rint(h * maxAspect), 1, w);
      return new Box((height - h) / 2, (width - w) / 2, h, w);
    }
  }

  /** The shorter side resized to {@code shortSide}, then the centre of side x side. */
  record ResizeCentreCrop(int shortSide, int side) implements Augmentation {
    public ResizeCentreCrop {
      if (side < 1 || shortSide < side) {
        throw new IllegalArgumentException("ResizeCentreCrop: side " + side + " must be in [1, shortSide = " + shortSide + "]");
      }
    }

    @Override public boolean takesAnySize() {
      return true;
    }

    @Override public void apply(Augmenter.Bench bench, CounterRandom random) {
      Picture x = bench.image();
      centre(x, shortSide, side, bench.resize(), bench.spare(side, side, x.channels()));
      bench.swap();
    }

    @Override public Box needs(int height, int width, CounterRandom random) {
      return centreSource(height, width, shortSide, side);
    }
  }

  /** The whole image with its shorter side resized to {@code shortSide}. */
  record ResizeShort(int shortSide) implements Augmentation {
    public ResizeShort {
      if (shortSide < 1) throw new IllegalArgumentException("ResizeShort: shortSide " + shortSide + " must be >= 1");
    }

    @Override public boolean takesAnySize() {
      return true;
    }

    @Override public void apply(Augmenter.Bench bench, CounterRandom random) {
      Picture x = bench.image();
      int h = x.imageHeight(), w = x.imageWidth();
      int newH = h <= w ? shortSide : Resize.longSide(h, w, shortSide), newW = h <= w ? Resize.longSide(w, h, shortSide) : shortSide;
      bench.resize().apply(x, newH, newW, bench.spare(newH, newW, x.channels()));
      bench.swap();
    }
  }

  /** A window of side x side at a random place of an image that holds it. */
  record RandomCrop(int side) implements Augmentation {
    public RandomCrop {
      if (side < 1) throw new IllegalArgumentException("RandomCrop: side " + side + " must be >= 1");
    }

    @Override public void apply(Augmenter.Bench bench, CounterRandom random) {
      Picture x = bench.image();
      if (x.height() < side || x.width() < side) {
        throw new IllegalArgumentException("RandomCrop: the image is " + x.height() + "x" + x.width() + ", smaller than the crop of " + side);
      }
      int top = random.nextInt(x.height() - side + 1), left = random.nextInt(x.width() - side + 1), c = x.channels();
      Picture y = bench.spare(side, side, c);
      for (int h = 0; h < side; h++) System.arraycopy(x.pixels(), ((top + h) * x.width() + left) * c, y.pixels(), h * side * c, side * c);
      bench.swap();
    }
  }

  /**
   * The image turned by a random angle, sheared and stretched about its centre, in its own size; what comes from outside is white.
   *
   * <pre>
   * Units   rotate: whole degrees drawn from [-rotate, rotate]; shear: a tangent from [-shear, shear); aspect: width over height from
   *         [1 - aspect, 1 + aspect)
   * Source  MXNet src/io/image_aug_default.cc (max_rotate_angle, max_shear_ratio, max_aspect_ratio), used by BMXNet-v2 on CIFAR-10 in 2018 with 10, 0.1, 0.25
   * </pre>
   */
  record AffineJitter(int rotate, double shear, double aspect) implements Augmentation {
    public AffineJitter {
      if (rotate < 0 || rotate > 180 || !(shear >= 0 && shear <= 1) || !(aspect >= 0 && aspect < 1)) {
        throw new IllegalArgumentException("AffineJitter: rotate " + rotate + ", shear " + shear + " and aspect " + aspect
            + " must be in [0, 180], [0, 1] and [0, 1)");
      }
    }

    @Override public void apply(Augmenter.Bench bench, CounterRandom random) {
      Picture x = bench.image();
      double tangent = random.nextDouble(-shear, shear);
      int degrees = random.nextInt(2 * rotate + 1) - rotate;
      AffineWarp.apply(x, bench.spare(x.height(), x.width(), x.channels()), degrees, tangent, random.nextDouble(1 - aspect, 1 + aspect));
      bench.swap();
    }
  }

  /**
   * Hue, lightness and saturation each moved by a whole number in (-range, range), the same for all pixels.
   *
   * <pre>
   * Units   hue in 2 degrees of 0..180, clamped and not turned round; lightness and saturation of 0..255
   * Source  MXNet src/io/image_aug_default.cc (random_h, random_s, random_l), used by BMXNet-v2 on CIFAR-10 in 2018 with 36, 50, 50
   * </pre>
   */
  record HslJitter(int hue, int saturation, int lightness) implements Augmentation {
    public HslJitter {
      if (hue < 0 || hue > 180 || saturation < 0 || saturation > 255 || lightness < 0 || lightness > 255) {
        throw new IllegalArgumentException("HslJitter: ranges " + hue + ", " + saturation + ", " + lightness
            + " must be in [0, 180], [0, 255], [0, 255]");
      }
    }

    @Override public void apply(Augmenter.Bench bench, CounterRandom random) {
      Picture x = bench.image();
      requireColour("HslJitter", x);
      int h = (int) random.nextDouble(-hue, hue);
      int s = (int) random.nextDouble(-saturation, saturation);
      int l = (int) random.nextDouble(-lightness, lightness);
      byte[] p = x.pixels();
      for (int at = 0; at < x.bytes(); at += 3) HslColour.shift(p, at, h, s, l);
    }
  }

  /**
   * rgb += sum over i of vector_i * value_i * a_i, with a_i normal of the given deviation: the principal colours of ImageNet.
   *
   * <pre>
   * Source   Krizhevsky et al. 2012 (AlexNet), section 4.1; constants of BiPer's torch loader, for which its published commands take DALI's
   * Differs  rounded to a level and clamped to 0..255, where torch adds it to floats
   * </pre>
   */
  record Lighting(double deviation) implements Augmentation {
    private static final double[] VALUES = {0.2175, 0.0188, 0.0045};
    private static final double[][] VECTORS = {
      {-0.5675, 0.7192, 0.4009}, {-0.5808, -0.0045, -0.8140}, {-0.5836, -0.6948, 0.4203}};

    public Lighting {
      if (!(deviation >= 0 && deviation <= 10)) throw new IllegalArgumentException("Lighting: deviation " + deviation + " must be in [0, 10]");
    }

    @Override public void apply(Augmenter.Bench bench, CounterRandom random) {
      Picture x = bench.image();
      requireColour("Lighting", x);
      double a = deviation * random.nextGaussian() * VALUES[0];
      double b = deviation * random.nextGaussian() * VALUES[1];
      double c = deviation * random.nextGaussian() * VALUES[2];
      byte[] p = x.pixels();
      for (int channel = 0; channel < 3; channel++) {
        double[] v = VECTORS[channel];
        int shift = (int) Math.rint(255 * (a * v[0] + b * v[1] + c * v[2]));
        for (int at = channel; at < x.bytes(); at += 3) p[at] = (byte) Math.clamp((p[at] & 255) + shift, 0, 255);
      }
    }
  }

  /** The centre of side x side after the shorter side of {@code from} became {@code shortSide}. */
  static void centre(Picture from, int shortSide, int side, Resize resize, Picture into) {
    int h = newHeight(from.imageHeight(), from.imageWidth(), shortSide), w = newHeight(from.imageWidth(), from.imageHeight(), shortSide);
    resize.window(from, h, w, (int) Math.rint((h - side) / 2.0), (int) Math.rint((w - side) / 2.0), side, side, into);
  }

  /** The part of an image that {@link #centre} looks at. */
  static Box centreSource(int height, int width, int shortSide, int side) {
    int h = newHeight(height, width, shortSide), w = newHeight(width, height, shortSide);
    return Resize.windowSource(height, width, h, w, (int) Math.rint((h - side) / 2.0), (int) Math.rint((w - side) / 2.0), side, side);
  }

  /** The height after the shorter side became {@code shortSide}; with both swapped, the width. */
  private static int newHeight(int height, int width, int shortSide) {
    return height <= width ? shortSide : Resize.longSide(height, width, shortSide);
  }

  /** Refuses an image that has not three channels. */
  static void requireColour(String step, Picture x) {
    if (x.channels() != 3) throw new IllegalArgumentException(step + ": the image has " + x.channels() + " channels; it must have 3");
  }
}
