package onebit.train;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import onebit.data.Augmentation;
import onebit.data.Augmenter;
import onebit.data.Dataset;
import onebit.data.Datasets;
import onebit.data.Expand;
import onebit.data.ImageFolderDataset;
import onebit.data.ImageNetArchives;
import onebit.data.Loader;
import onebit.data.LoaderWatch;
import onebit.data.OverlapCrop;
import onebit.data.Photometric;
import onebit.data.ResizeTo;
import onebit.data.Sampler;
import onebit.data.ShardDataset;
import onebit.data.Split;
import onebit.data.VocDataset;
import onebit.ops.Processors;
import onebit.recipe.AugmentRecipe;
import onebit.recipe.DataRecipe;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;

/** Data sets and loaders as a recipe describes them. */
public final class InputPipeline {
  private static final int GENERATED_IMAGES = 512, MOST_WORKERS = 32, LEAST_WAIT = 10, LEAST_STEPS = 10;
  /** The part of their time that loader threads run where processors, not the disk, decide how many images they make. */
  private static final double LEAST_RAN = 0.5;

  private static final List<String> CIFAR10 = List.of("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck");
  private static final List<String> FASHION_MNIST = List.of("T-shirt or top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot");

  private InputPipeline() {}

  /** The number of loader threads: as the recipe says, else one per core of this process up to {@value #MOST_WORKERS}. */
  static int workers(DataRecipe data) {
    return data.workers() > 0 ? data.workers() : Math.min(Processors.COUNT, MOST_WORKERS);
  }

  /**
   * One split of the recipe's data set.
   *
   * @param folder where its files are; null for sets the program draws itself
   * @throws IOException if files are missing or damaged
   * @throws IllegalArgumentException if the images or classes are not those the recipe names
   */
  public static Dataset open(DataRecipe data, Path folder, Split split, long seed) throws IOException {
    Dataset dataset = files(data, folder, split, seed);
    if (dataset.hasBoxes() != data.hasBoxes()) {
      throw new IllegalArgumentException("images of " + dataset.name() + " have " + (dataset.hasBoxes() ? "boxes" : "no boxes") + ", and its record says otherwise");
    }
    if (dataset.channels() != data.channels()) {
      throw new IllegalArgumentException("data.channels is " + data.channels() + " and images of " + dataset.name() + " have " + dataset.channels()
          + "; data.mean and data.std have a value for each of them, so take a recipe that was made for such images");
    }
    List<Augmentation> steps = split == Split.TRAIN ? steps(data) : evaluationSteps(data);
    int height = Augmenter.height(steps, dataset), width = Augmenter.width(steps, dataset);
    if (height != data.height() || width != data.width()) {
      throw new IllegalArgumentException("data.height and data.width are " + data.height() + "x" + data.width() + " and images of " + dataset.name() + " come as " + height + "x" + width
          + "; say --set data.height=" + height + " --set data.width=" + width);
    }
    if (dataset.classes() > data.classes()) {
      throw new IllegalArgumentException("data.classes is " + data.classes() + " and " + dataset.name() + " has " + dataset.classes() + "; say --set data.classes=" + dataset.classes());
    }
    if (dataset.classes() == 1) {
      throw new IllegalArgumentException(folder + ": has one class, " + className(dataset.classNames(), 0) + ", so there is nothing to tell apart; if the classes are folders in it, they must lie one folder higher");
    }
    if (data.name() == DataRecipe.Source.IMAGENET && data.classes() == 1000) requireWhole(dataset, folder, split);
    return dataset;
  }

  private static Dataset files(DataRecipe data, Path folder, Split split, long seed) throws IOException {
    if (data.own().isPresent()) {
      Dataset own = data.own().get().open(folder, split, data.height(), data.width());
      if (own == null || own.size() < 1) throw new IllegalArgumentException("data.own has no images for the " + (split == Split.TRAIN ? "training" : "evaluation"));
      return own;
    }
    int side = split == Split.TEST && data.evalCrop() > 0 ? data.evalCrop() : data.height();
    if (data.valShare() > 0) return ImageFolderDataset.part(folder, split, data.valShare(), side);
    return Datasets.open(Recipes.word(data.name()), folder, split, new Datasets.Spec(side, data.name() == DataRecipe.Source.GENERATED ? data.width() : side, data.channels(), data.classes(),
        GENERATED_IMAGES, seed, (split == Split.TRAIN ? data.trainLists() : data.testLists()).orElse(List.of())));
  }

  /** Refuses a copy of ImageNet that lacks images; one that {@code data prepare} made has been counted there. */
  private static void requireWhole(Dataset dataset, Path folder, Split split) throws IOException {
    int all = split == Split.TRAIN ? ImageNetArchives.TRAIN_IMAGES : ImageNetArchives.VALIDATION_IMAGES;
    boolean counted = dataset instanceof ShardDataset shards && shards.prepared();
    if (!counted && dataset.size() != all) {
      throw new IOException(String.format(Locale.ROOT, "%s: holds %,d %s images; ImageNet has %,d. Mend the copy, or say --set data.name=folder for a set of your own",
          folder, dataset.size(), split == Split.TRAIN ? "training" : "validation", all));
    }
  }

  /** The names of a data set's classes where its name says them; none where they are known from its files, or are numbers. */
  public static List<String> classNames(DataRecipe data) {
    return switch (data.name()) {
      case CIFAR10 -> CIFAR10;
      case FASHION_MNIST -> FASHION_MNIST;
      case VOC -> VocDataset.CLASSES;
      default -> List.of();
    };
  }

  /** The name of a class, or its number where it has none. */
  public static String className(List<String> names, int label) {
    return label < names.size() ? names.get(label) : Integer.toString(label);
  }

  /** Shuffled, augmented batches. */
  public static Loader training(DataRecipe data, Dataset dataset, int batch, long seed, LoaderWatch watch) {
    return training(data, dataset, batch, seed, watch, 0, 1);
  }

  /**
   * A rank's slices of the same batches.
   *
   * @throws IllegalArgumentException if a batch would leave a rank without an image
   */
  static Loader training(DataRecipe data, Dataset dataset, int batch, long seed, LoaderWatch watch, int rank, int world) {
    DataRecipe.QuasiRandom order = data.quasiRandom().orElse(null);
    boolean dropLast = data.dropLast() && dataset.size() >= batch;
    Sampler sampler = order == null ? new Sampler(seed, dataset.size(), batch, true, dropLast, rank, world)
        : new Sampler(seed, dataset.size(), batch, true, dropLast, rank, world, order.chunk(), order.window());
    int last = sampler.visited() - (sampler.batches() - 1) * batch;
    if (last < world) {
      throw new IllegalArgumentException("data.dropLast is false and " + dataset.size() + " images in batches of " + batch + " leave " + last
          + " for the last batch, too few for " + world + " processes; set data.dropLast=true or another data.batch");
    }
    tell(dataset, rank, watch);
    if (rank == 0 && order != null && !dataset.readAhead(0, 1)) {
      watch.notice("data.quasiRandom gains nothing here: images of " + dataset.name() + " do not lie side by side in shards, and each is read alone; data.quasiRandom=null shuffles better");
    }
    if (rank == 0 && last < 2 * world && last < batch) {
      watch.notice("the last batch of an epoch has " + last + " image(s) for " + world + " process(es): of one image batch norm learns little, of one value a channel nothing, and still"
          + " moves its running statistics towards it just before the evaluation; data.dropLast=true leaves that batch out");
    }
    if (rank == 0 && !dataset.hasBoxes() && dataset.classes() < data.classes()) {
      watch.notice("data.classes is " + data.classes() + " and " + dataset.name() + " has " + dataset.classes() + " of them: the network's other outputs learn only not to be chosen; say --set data.classes=" + dataset.classes()
          + " to have none");
    }
    return new Loader(dataset, sampler, steps(data), workers(data), watch);
  }

  /** Every image once, in order. */
  public static Loader evaluation(DataRecipe data, Dataset dataset, int batch, LoaderWatch watch) {
    return evaluation(data, dataset, batch, watch, 0, 1);
  }

  /** A rank's slices: those of all ranks together hold every image once. */
  static Loader evaluation(DataRecipe data, Dataset dataset, int batch, LoaderWatch watch, int rank, int world) {
    tell(dataset, rank, watch);
    return new Loader(dataset, Sampler.evaluation(dataset.size(), batch).shard(rank, world), evaluationSteps(data), workers(data), watch);
  }

  /** What is done to an image of the evaluation. */
  static List<Augmentation> evaluationSteps(DataRecipe data) {
    if (data.hasBoxes()) return List.of(new ResizeTo(data.height()));
    return data.evalCrop() == 0 ? List.of() : Augmentation.evaluation(data.evalResize() > 0 ? data.evalResize() : data.evalCrop(), data.evalCrop());
  }

  /** Says what was found wrong in the files of a set, once for all ranks. */
  private static void tell(Dataset dataset, int rank, LoaderWatch watch) {
    if (rank == 0 && !dataset.finding().isEmpty()) watch.notice(dataset.finding());
  }

  /** What is done to a training image. */
  static List<Augmentation> steps(DataRecipe data) {
    AugmentRecipe augment = data.augment();
    int side = data.height();
    boolean boxes = data.hasBoxes();
    List<Augmentation> steps = new ArrayList<>(), colours = new ArrayList<>();
    augment.photometric().ifPresent(p -> (boxes ? steps : colours).add(new Photometric(p.brightness(), p.contrast(), p.saturation(), p.hue())));
    augment.expand().ifPresent(most -> steps.add(new Expand(most, level(data, 0), level(data, 1), level(data, 2))));
    if (augment.overlapCrop()) steps.add(new OverlapCrop());
    if (augment.shortSideCrop() > 0) steps.add(new Augmentation.ResizeShort(augment.shortSideCrop()));
    augment.affineJitter().ifPresent(j -> steps.add(new Augmentation.AffineJitter(j.rotate(), j.shear(), j.aspect())));
    if (augment.shortSideCrop() > 0) steps.add(new Augmentation.RandomCrop(side));
    if (augment.cropPad() > 0) steps.add(new Augmentation.PadCrop(augment.cropPad()));
    augment.randomResizedCrop().ifPresent(c -> steps.add(
        new Augmentation.RandomResizedCrop(side, c.area().get(0), c.area().get(1), c.aspect().get(0), c.aspect().get(1))));
    if (augment.flip() > 0) steps.add(new Augmentation.Flip(augment.flip()));
    if (boxes) steps.add(new ResizeTo(side));
    steps.addAll(colours);
    augment.hslJitter().ifPresent(j -> steps.add(
        new Augmentation.HslJitter((int) Math.round(j.hue()), (int) Math.round(j.saturation()), (int) Math.round(j.lightness()))));
    augment.lighting().ifPresent(l -> steps.add(new Augmentation.Lighting(l)));
    return steps;
  }

  /** The level that becomes 0 in a channel. */
  private static int level(DataRecipe data, int channel) {
    return (int) Math.clamp(Math.round(255 * data.mean().get(channel)), 0, 255);
  }

  /** Images of all processes in one batch of the evaluation, whose result does not depend on it: no more than a part of a training batch, where these have parts. */
  static int evalBatch(Recipe recipe, int processes) {
    int part = recipe.train().part((recipe.data().batch() + processes - 1) / processes);
    return recipe.train().gradientAccumulation() == 1 ? recipe.data().evalBatch() : (int) Math.min(recipe.data().evalBatch(), (long) part * processes);
  }

  /** What makes an epoch's steps wait for that share of its time, whose threads ran that part of theirs, in few sentences with what helps; null where it is under a tenth or under {@value #LEAST_WAIT} seconds, or of fewer than {@value #LEAST_STEPS} steps. */
  static String waiting(DataRecipe data, Dataset dataset, double share, double seconds, double ran) {
    if (share <= 0.1 || seconds < LEAST_WAIT || dataset.size() < LEAST_STEPS * data.batch()) return null;
    int threads = workers(data), processors = Processors.COUNT;
    String waited = String.format(Locale.ROOT, "Training waited for images %.0f %% of this epoch (%.0f s): ", 100 * share, seconds);
    String of = dataset.name() + (dataset.stored().isEmpty() ? "" : " (" + dataset.stored() + ")"), once = " `onebit bench feed` measures it. This is said once.";
    if (ran < LEAST_RAN) {
      boolean chunks = data.quasiRandom().isEmpty() && dataset instanceof ShardDataset;
      return waited + String.format(Locale.ROOT, "the loader's threads waited themselves, %.0f %% of their time, for the disk that holds %s, or for processors that other programs took. "
          + "What helps a disk: memory to keep the set, %simages stored smaller%s.", 100 * (1 - ran), of, chunks ? "--set data.quasiRandom.chunk=16, which reads neighbours together, " : "",
          dataset.stored().contains("PPM") ? ", as JPEG" : "") + once;
    }
    String helps = threads < processors ? "More threads help: --set data.workers=" + processors : "More processors help";
    if (data.name() == DataRecipe.Source.IMAGENET && !dataset.stored().contains("PPM")) {
      helps += ", and images stored smaller or decoded: `onebit data prepare imagenet --short-side 256 --encoding ppm`";
    }
    return waited + String.format(Locale.ROOT, "%d threads on %d processors make fewer of %s than its steps take. %s.", threads, processors, of, helps) + once;
  }
}
