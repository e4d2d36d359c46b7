package onebit.recipe;

import java.util.List;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.Range;

/**
 * Which images, in which shape and in which batches.
 *
 * <pre>
 * Units     mean and std per channel of pixel values in 0..1; evalResize is the shorter side in pixels (0 = no resize), evalCrop the
 *           centre square (0 = the whole image); workers are threads (0 = one per core, at most 32)
 * </pre>
 */
public record DataRecipe(
    Source name,
    @Range(min = 1, max = 65_536) int batch,
    @Range(min = 1, max = 65_536) int evalBatch,
    @Range(min = 1, max = 4096) int height,
    @Range(min = 1, max = 4096) int width,
    @Range(min = 1, max = 16) int channels,
    @Range(min = 2, max = 100_000) int classes,
    @Range(min = -10, max = 10) List<Double> mean,
    @Range(min = 0, exclusiveMin = true, max = 10) List<Double> std,
    @Default("{}") AugmentRecipe augment,
    @Default("0") @Range(min = 0, max = 4096) int evalResize,
    @Default("0") @Range(min = 0, max = 4096) int evalCrop,
    @Default("false") boolean dropLast,
    @Default("0") @Range(min = 0, max = 256) int workers) {

  /** Where images come from. */
  public enum Source { GLYPHS, MNIST, FASHION_MNIST, CIFAR10, FOLDER, IMAGENET, GENERATED }

  /** @throws IllegalArgumentException if mean or std do not have one value per channel, or evaluation would crop more than it resized to */
  public DataRecipe {
    if (mean.size() != channels || std.size() != channels) {
      throw new IllegalArgumentException(
          "mean has " + mean.size() + " values and std " + std.size() + "; both must have one for each of the " + channels + " channels");
    }
    if (evalResize > 0 && evalCrop > evalResize) {
      throw new IllegalArgumentException("evalCrop is " + evalCrop + "; it must be <= evalResize, " + evalResize);
    }
    if (evalCrop > 0 && (evalCrop != height || evalCrop != width)) {
      throw new IllegalArgumentException("evalCrop is " + evalCrop + "; it must equal height and width, " + height + "x" + width);
    }
  }
}
