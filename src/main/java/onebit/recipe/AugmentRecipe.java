package onebit.recipe;

import java.util.List;
import java.util.Optional;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.Range;

/**
 * How a training image is changed; an absent key changes nothing.
 *
 * <pre>
 * Units     flip is a probability, cropPad pixels of black on each side before a random crop, shortSideCrop the shorter side in pixels from
 *           which a random crop of the input's size is taken, lighting the deviation of the PCA colour shift, expand the largest height of the larger
 *           image over the image's
 * </pre>
 */
public record AugmentRecipe(
    @Default("0") @Range(min = 0, max = 1) double flip,
    @Default("0") @Range(min = 0, max = 64) int cropPad,
    @Default("0") @Range(min = 0, max = 4096) int shortSideCrop,
    Optional<ResizedCrop> randomResizedCrop,
    Optional<AffineJitter> affineJitter,
    Optional<HslJitter> hslJitter,
    @Range(min = 0, exclusiveMin = true, max = 10) Optional<Double> lighting,
    Optional<Photometric> photometric,
    @Range(min = 1, exclusiveMin = true, max = 8) Optional<Double> expand,
    @Default("false") boolean overlapCrop) {

  /** @throws IllegalArgumentException if more than one kind of crop is asked for */
  public AugmentRecipe {
    if (cropPad > 0 && randomResizedCrop.isPresent()) {
      throw new IllegalArgumentException("cropPad is " + cropPad + " beside a randomResizedCrop; one crop only");
    }
    if (shortSideCrop > 0 && (cropPad > 0 || randomResizedCrop.isPresent())) {
      throw new IllegalArgumentException("shortSideCrop is " + shortSideCrop + " beside another crop; one crop only");
    }
  }

  /**
   * The largest changes of brightness in levels, of contrast and saturation in parts, of hue in degrees, each made with probability 1/2, and with 1/2
   * the channels in another order.
   */
  public record Photometric(
      @Default("32") @Range(min = 0, max = 255) double brightness,
      @Default("0.5") @Range(min = 0, max = 1) double contrast,
      @Default("0.5") @Range(min = 0, max = 1) double saturation,
      @Default("18") @Range(min = 0, max = 180) double hue) {}

  /** The key of a change that moves pixels and not the boxes on them, or null where there is none. */
  String movesPixelsAlone() {
    return cropPad > 0 ? "cropPad" : shortSideCrop > 0 ? "shortSideCrop" : randomResizedCrop.isPresent() ? "randomResizedCrop" : affineJitter.isPresent() ? "affineJitter" : null;
  }

  /** The key of a change of colours, or null where there is none. */
  String changesColours() {
    return hslJitter.isPresent() ? "hslJitter" : lighting.isPresent() ? "lighting" : photometric.isPresent() ? "photometric" : null;
  }

  /** The largest angle in degrees, the largest shear as a tangent, and how far width over height may leave 1. */
  public record AffineJitter(
      @Default("0") @Range(min = 0, max = 180) int rotate,
      @Default("0") @Range(min = 0, max = 1) double shear,
      @Default("0") @Range(min = 0, max = 0.9) double aspect) {}

  /** A box of random share of the image's area and random width over height, resized to the input. */
  public record ResizedCrop(
      @Range(min = 0, exclusiveMin = true, max = 2) List<Double> area,
      @Default("[0.75, 1.3333333333333333]") @Range(min = 0, exclusiveMin = true, max = 10) List<Double> aspect) {

    /** @throws IllegalArgumentException if a pair is not two rising numbers */
    public ResizedCrop {
      requirePair("area", area);
      requirePair("aspect", aspect);
    }

    private static void requirePair(String key, List<Double> pair) {
      if (pair.size() != 2 || pair.get(0) > pair.get(1)) {
        throw new IllegalArgumentException(key + " is " + pair + "; it must be two numbers, the smaller first");
      }
    }
  }

  /** The largest shifts of hue, saturation and lightness on OpenCV's scales of 180, 255 and 255. */
  public record HslJitter(
      @Range(min = 0, max = 180) double hue,
      @Range(min = 0, max = 255) double saturation,
      @Range(min = 0, max = 255) double lightness) {}
}
