package onebit.data;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The data sets by name: mnist, fashion-mnist, cifar10, folder, voc, generated, glyphs, figures. */
public final class Datasets {
  /** Which data sets there are, what each is, and whether {@code data prepare} can fetch it. */
  public record Entry(String name, String description, boolean needsDirectory, boolean fetched) {}

  /**
   * What a recipe says of its images, for data sets whose files do not say it.
   *
   * <pre>
   * Units  side in pixels, used by folder, voc and figures; height to size used by generated; classes used by figures; seed used by generated, glyphs and
   *        figures; lists of the split, used by voc, none for the usual ones
   * </pre>
   */
  public record Spec(int height, int width, int channels, int classes, int size, long seed, List<String> lists) {
    /** 28x28 grey images of ten classes, 1,024 of them. */
    public static final Spec DEFAULT = new Spec(28, 28, 1, 10, 1024, 0);
    /** ImageNet's shape: 224x224, RGB, 1,000 classes. */
    public static final Spec IMAGENET = new Spec(224, 224, 3, 1000, 1024, 0);
    /** SSD300's shape: 300x300, RGB, 20 classes. */
    public static final Spec SSD = new Spec(300, 300, 3, 20, 1024, 0);

    public Spec {
      lists = List.copyOf(lists);
    }

    /** Without lists of images. */
    public Spec(int height, int width, int channels, int classes, int size, long seed) {
      this(height, width, channels, classes, size, seed, List.of());
    }
  }

  /** The name of the one that is prepared from archives. */
  public static final String IMAGENET = "imagenet";

  private static final List<Entry> ENTRIES = List.of(
      new Entry("mnist", "handwritten digits, 28x28 grey, 60,000 / 10,000, 10 classes", true, true),
      new Entry("fashion-mnist", "articles of clothing, 28x28 grey, 60,000 / 10,000, 10 classes", true, true),
      new Entry("cifar10", "small photos, 32x32 RGB, 50,000 / 10,000, 10 classes", true, true),
      new Entry("folder", "your own photos: JPEG and PNG files in train/CLASS and val/CLASS, or WebDataset tar shards", true, false),
      new Entry(IMAGENET, "photos, 1,281,167 / 50,000, 1,000 classes, as shards made of the official archives or laid out like folder", true, false),
      new Entry("voc", "PASCAL VOC, photos with boxes of objects, 16,551 / 4,952, 20 classes", true, false),
      new Entry("generated", "random images of any shape, for dry runs", false, false),
      new Entry("glyphs", "digits drawn by the program, 28x28 grey, 60,000 / 10,000, 10 classes", false, false),
      new Entry("figures", "figures drawn by the program, with their boxes, RGB, 4,096 / 512, up to 20 classes", false, false));

  private Datasets() {}

  /** Every data set, in the order of the documentation. */
  public static List<Entry> list() {
    return ENTRIES;
  }

  /** Opens a data set with {@link Spec#DEFAULT}, ImageNet's shape for a folder, or SSD300's where images have boxes. */
  public static Dataset open(String name, Path dir, Split split) throws IOException {
    return open(name, dir, split, switch (name) {
      case "folder", IMAGENET -> Spec.IMAGENET;
      case "voc", "figures" -> Spec.SSD;
      default -> Spec.DEFAULT;
    });
  }

  /**
   * Opens one split of a data set.
   *
   * @param dir the folder of its files; null for generated, glyphs and figures
   * @throws IllegalArgumentException if no data set has this name, or it needs a folder and none is given
   * @throws FileNotFoundException if a file is missing; the message says which command gets it
   * @throws IOException if a file is damaged; the message names it and the rule
   */
  public static Dataset open(String name, Path dir, Split split, Spec spec) throws IOException {
    Entry entry = ENTRIES.stream().filter(e -> e.name().equals(name)).findFirst().orElseThrow(() -> new IllegalArgumentException(
        "data set " + name + " is not known; known are " + String.join(", ", ENTRIES.stream().map(Entry::name).toList())));
    if (entry.needsDirectory()) {
      if (dir == null) throw new IllegalArgumentException("data set " + name + " needs its folder: give --data DIR" + mend(name, "DIR"));
      if (!Files.isDirectory(dir)) throw new FileNotFoundException(name + ": the folder " + dir + " does not exist" + mend(name, dir.toString()));
    }
    return switch (name) {
      case "mnist", "fashion-mnist" -> IdxDataset.open(name, dir, split);
      case "cifar10" -> Cifar10Dataset.open(dir, split);
      case "folder", IMAGENET -> {
        ShardDataset shards = ShardDataset.find(dir, split, square(name, spec));
        yield shards != null ? shards : ImageFolderDataset.open(dir, split, square(name, spec));
      }
      case "voc" -> {
        List<String> usual = split == Split.TRAIN ? VocDataset.TRAIN_LISTS : VocDataset.TEST_LISTS;
        yield VocDataset.open(dir, spec.lists().isEmpty() ? usual : spec.lists(), split, square(name, spec));
      }
      case "generated" -> new GeneratedDataset("generated", spec.size(), spec.height(), spec.width(), spec.channels(),
          spec.classes(), split == Split.TRAIN ? spec.seed() : ~spec.seed());
      case "figures" -> new FigureDataset(spec.seed(), split, square(name, spec), spec.classes());
      default -> new GlyphDataset(spec.seed(), split);
    };
  }

  private static int square(String name, Spec spec) {
    if (spec.height() != spec.width()) {
      throw new IllegalArgumentException(name + ": images become square; height " + spec.height() + " and width " + spec.width() + " must be equal");
    }
    return spec.height();
  }

  /** What decodes and resizes photos on this machine, and what would be faster: a few sentences. */
  public static List<String> findings() {
    List<String> all = new ArrayList<>(JpegLibraries.findings());
    all.add(LevelVectors.finding());
    return all;
  }

  /** The error for a file that is not there, with the command that gets it. */
  static FileNotFoundException missing(String name, Path dir, String file) {
    return new FileNotFoundException(name + ": " + file + " is not in " + dir + mend(name, dir.toString()));
  }

  /** The page that says how a data set which is not fetched is laid out. */
  public static String page(String name) {
    return "datasets/" + (name.equals("folder") ? "imagenet" : name) + "/README.md";
  }

  private static String mend(String name, String dir) {
    boolean fetched = ENTRIES.stream().anyMatch(e -> e.name().equals(name) && e.fetched());
    return fetched ? "; onebit data prepare " + name + " --out " + dir + " fetches it" : "; " + page(name) + " says how to lay it out";
  }
}
