package onebit.recipe;

import java.util.List;
import java.util.Optional;
import onebit.data.OwnDataset;
import onebit.recipe.keys.Default;
import onebit.recipe.keys.Range;

/**
 * Which images, in which shape and in which batches.
 *
 * <pre>
 * Units     mean and std per channel of pixel values in 0..1; evalResize is the shorter side in pixels (0 = no resize), evalCrop the
 *           centre square (0 = the whole image); workers are threads (0 = one per core of the process, at most 32); trainLists and testLists are lists of VOC images,
 *           FOLDER/NAME (absent = VOC2007/trainval and VOC2012/trainval; VOC2007/test); valShare is the part of the images in DIR/CLASS that are kept to judge by,
 *           chosen by the hash of their names (0 = DIR/train and DIR/val are apart); quasiRandom is absent where any image may follow any other; own is the data set of an {@link Extension},
 *           where name is own
 * </pre>
 */
public record DataRecipe(
    Source name,
    Optional<List<String>> trainLists,
    Optional<List<String>> testLists,
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
    @Default("0") @Range(min = 0, max = 256) int workers,
    @Default("0") @Range(min = 0, max = 0.9) double valShare,
    Optional<QuasiRandom> quasiRandom,
    Optional<OwnDataset> own) {

  /** Where images come from. */
  public enum Source {
    GLYPHS, MNIST, FASHION_MNIST, CIFAR10, FOLDER, IMAGENET, VOC, GENERATED, FIGURES, OWN;

    /** Whether the program draws the images itself, and needs no files. */
    public boolean isDrawn() {
      return this == GLYPHS || this == GENERATED || this == FIGURES;
    }
  }

  /** The order of {@link onebit.data.Sampler} in chunks: chunk and window in images. */
  public record QuasiRandom(
      @Default("16") @Range(min = 2, max = 4096) int chunk,
      @Default("16384") @Range(min = 2, max = 1 << 24) int window) {

    /** @throws IllegalArgumentException if a window is smaller than a chunk */
    public QuasiRandom {
      if (window < chunk) throw new IllegalArgumentException("window is " + window + "; it must be >= chunk, " + chunk);
    }
  }

  private static final int BOX_CLASSES = 20;

  /**
   * @throws IllegalArgumentException if mean or std do not have one value per channel, a crop is larger than what it is taken of, or keys do not suit images
   *     with boxes or without, or with so many channels
   */
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
    int crop = augment.shortSideCrop();
    if (crop > 0 && crop < Math.max(height, width)) throw new IllegalArgumentException("augment.shortSideCrop is " + crop + "; it must be >= height and width, " + height + "x" + width);
    String colours = augment.changesColours();
    if (colours != null && channels != 3) throw new IllegalArgumentException("augment." + colours + " changes colours, and channels is " + channels + "; it must be 3");
    if (valShare > 0 && name != Source.FOLDER) throw new IllegalArgumentException("valShare is " + valShare + " where name is " + Recipes.word(name) + "; it is a key of folder only");
    if (quasiRandom.isPresent() && name != Source.IMAGENET && name != Source.FOLDER && name != Source.OWN) {
      throw new IllegalArgumentException("quasiRandom is given where name is " + Recipes.word(name) + "; it is a key of imagenet, folder and own, whose images may lie in shards");
    }
    requireLists("trainLists", trainLists, name);
    requireLists("testLists", testLists, name);
    if (own.isPresent() != (name == Source.OWN)) {
      throw new IllegalArgumentException("own is " + (own.isPresent() ? "a data set" : "missing") + " where name is " + Recipes.word(name) + "; name: own and a section own go together (without it: own: null)");
    }
    if (hasBoxes(name, own)) requireBoxes(name, height, width, channels, classes, augment, Math.max(evalResize, evalCrop));
    else if (augment.expand().isPresent() || augment.overlapCrop()) {
      throw new IllegalArgumentException("augment." + (augment.overlapCrop() ? "overlapCrop" : "expand") + " is for images with boxes; those of " + Recipes.word(name) + " have none");
    }
  }

  /** Whether images have boxes, with a class each, instead of one class. */
  public boolean hasBoxes() {
    return hasBoxes(name, own);
  }

  private static boolean hasBoxes(Source name, Optional<OwnDataset> own) {
    return name == Source.VOC || name == Source.FIGURES || own.isPresent() && own.get().hasBoxes();
  }

  private static void requireLists(String key, Optional<List<String>> lists, Source name) {
    if (lists.isEmpty()) return;
    if (name != Source.VOC) throw new IllegalArgumentException(key + " is " + lists.get() + " where name is " + Recipes.word(name) + "; lists of images are keys of voc only");
    if (lists.get().isEmpty()) throw new IllegalArgumentException(key + " is []; it must name a list, as VOC2007/trainval");
  }

  private static void requireBoxes(Source name, int height, int width, int channels, int classes, AugmentRecipe augment, int eval) {
    String of = "; images of " + Recipes.word(name) + " ";
    if (name == Source.VOC && classes != BOX_CLASSES) throw new IllegalArgumentException("classes is " + classes + of + "have " + BOX_CLASSES);
    if (name == Source.FIGURES && classes > BOX_CLASSES) throw new IllegalArgumentException("classes is " + classes + of + "have at most " + BOX_CLASSES);
    if (channels != 3) throw new IllegalArgumentException("channels is " + channels + of + "have 3");
    if (height != width) throw new IllegalArgumentException("height is " + height + " and width " + width + of + "become square, so both must be equal");
    if (eval > 0) throw new IllegalArgumentException("evalResize or evalCrop is " + eval + of + "are judged whole, so both must be 0");
    String alone = augment.movesPixelsAlone();
    if (alone != null) throw new IllegalArgumentException("augment." + alone + " moves pixels without the boxes on them" + of + "have boxes; flip, expand and overlapCrop move both");
  }
}
