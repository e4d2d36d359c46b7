package onebit.data;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The data sets by name: mnist, fashion-mnist, cifar10, folder, generated, glyphs. */
public final class Datasets {
  /** Which data sets there are, what each is, and whether {@code data prepare} can fetch it. */
  public record Entry(String name, String description, boolean needsDirectory, boolean fetched) {}

  /**
   * What a recipe says of its images, for data sets whose files do not say it.
   *
   * <pre>
   * Units  side in pixels, used by folder; height to size used by generated; seed used by generated and glyphs
   * </pre>
   */
  public record Spec(int height, int width, int channels, int classes, int size, long seed) {
    /** 28x28 grey images of ten classes, 1,024 of them. */
    public static final Spec DEFAULT = new Spec(28, 28, 1, 10, 1024, 0);
    /** ImageNet's shape: 224x224, RGB, 1,000 classes. */
    public static final Spec IMAGENET = new Spec(224, 224, 3, 1000, 1024, 0);
  }

  private static final List<Entry> ENTRIES = List.of(
      new Entry("mnist", "handwritten digits, 28x28 grey, 60,000 / 10,000, 10 classes", true, true),
      new Entry("fashion-mnist", "articles of clothing, 28x28 grey, 60,000 / 10,000, 10 classes", true, true),
      new Entry("cifar10", "small photos, 32x32 RGB, 50,000 / 10,000, 10 classes", true, true),
      new Entry("folder", "ImageNet and your own: WebDataset tar shards, or JPEG and PNG files in train/CLASS and val/CLASS", true, false),
      new Entry("generated", "random images of any shape, for dry runs", false, false),
      new Entry("glyphs", "digits drawn by the program, 28x28 grey, 60,000 / 10,000, 10 classes", false, false));

  private Datasets() {}

  /** Every data set, in the order of the documentation. */
  public static List<Entry> list() {
    return ENTRIES;
  }

  /** Opens a data set with {@link Spec#DEFAULT}, or ImageNet's shape for a folder. */
  public static Dataset open(String name, Path dir, Split split) throws IOException {
    return open(name, dir, split, name.equals("folder") ? Spec.IMAGENET : Spec.DEFAULT);
  }

  /**
   * Opens one split of a data set.
   *
   * @param dir the folder of its files; null for generated and glyphs
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
      case "folder" -> {
        ShardDataset shards = ShardDataset.find(dir, split, square(spec));
        yield shards != null ? shards : ImageFolderDataset.open(dir, split, square(spec));
      }
      case "generated" -> new GeneratedDataset("generated", spec.size(), spec.height(), spec.width(), spec.channels(),
          spec.classes(), split == Split.TRAIN ? spec.seed() : ~spec.seed());
      default -> new GlyphDataset(spec.seed(), split);
    };
  }

  private static int square(Spec spec) {
    if (spec.height() != spec.width()) {
      throw new IllegalArgumentException("folder: images become square; height " + spec.height() + " and width " + spec.width() + " must be equal");
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

  private static String mend(String name, String dir) {
    boolean fetched = ENTRIES.stream().anyMatch(e -> e.name().equals(name) && e.fetched());
    return fetched ? "; onebit data prepare " + name + " --out " + dir + " fetches it" : "; datasets/imagenet/README.md says how to lay out image folders";
  }
}
