package onebit.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * Images in one folder per class: the sorted folder names are the classes, the sorted files in them the samples.
 *
 * <p>{@link #read} gives a fixed size: shorter side to {@code side * 256 / 224}, then the centre of {@code side}; {@link
 * #decode} gives the file's own size for crops. Each thread that reads keeps its own decoder and buffers.
 */
public final class ImageFolderDataset implements Dataset {
  private final String name;
  private final List<String> classNames;
  private final List<Path> files;
  private final int[] labels;
  private final int side;
  private final ThreadLocal<Workspace> workspace = ThreadLocal.withInitial(Workspace::new);

  private static final class Workspace {
    final ImageDecoder decoder = new ImageDecoder();
    final Resize resize = new Resize();
    final Picture whole = new Picture();
    final Picture small = new Picture();
  }

  private ImageFolderDataset(String name, List<String> classNames, List<Path> files, int[] labels, int side) {
    this.name = name;
    this.classNames = classNames;
    this.files = files;
    this.labels = labels;
    this.side = side;
  }

  /** Lists DIR/train for training and DIR/val or DIR/test for testing; images become {@code side} x {@code side}. */
  public static ImageFolderDataset open(Path dir, Split split, int side) throws IOException {
    for (String part : split == Split.TRAIN ? List.of("train") : List.of("val", "test")) {
      if (Files.isDirectory(dir.resolve(part))) return list("folder", dir.resolve(part), side);
    }
    throw Datasets.missing("folder", dir, split == Split.TRAIN ? "train/CLASS/IMAGE" : "val/CLASS/IMAGE");
  }

  /** Lists one folder of class folders; an empty class or a file that is not an image is refused by name. */
  public static ImageFolderDataset list(String name, Path root, int side) throws IOException {
    if (side < 1) throw new IllegalArgumentException(name + ": side " + side + " must be >= 1");
    List<Path> classes = sorted(root).stream().filter(Files::isDirectory).toList();
    if (classes.isEmpty()) throw new IOException(root + ": has no class folders");
    List<Path> files = new ArrayList<>();
    List<Integer> labels = new ArrayList<>();
    for (int c = 0; c < classes.size(); c++) {
      int before = files.size();
      for (Path file : sorted(classes.get(c))) {
        String lower = file.getFileName().toString().toLowerCase(Locale.ROOT);
        if (!lower.endsWith(".jpg") && !lower.endsWith(".jpeg") && !lower.endsWith(".png")) {
          throw new IOException(file + ": is not named as a JPEG or PNG file");
        }
        files.add(file);
        labels.add(c);
      }
      if (files.size() == before) throw new IOException(classes.get(c) + ": the class folder has no images");
    }
    List<String> names = classes.stream().map(c -> c.getFileName().toString()).toList();
    return new ImageFolderDataset(name, names, files, labels.stream().mapToInt(Integer::intValue).toArray(), side);
  }

  private static List<Path> sorted(Path folder) throws IOException {
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.filter(p -> !p.getFileName().toString().startsWith("."))
          .sorted(java.util.Comparator.comparing(p -> p.getFileName().toString())).toList();
    }
  }

  @Override public void decode(int index, Box.Choice choice, Picture into) throws IOException {
    workspace.get().decoder.decode(files.get(index), choice, into);
  }

  @Override public void read(int index, byte[] into, int offset) throws IOException {
    Workspace w = workspace.get();
    int shortSide = (side * 256 + 112) / 224;
    decode(index, (height, width) -> Augmentation.centreSource(height, width, shortSide, side), w.whole);
    Augmentation.centre(w.whole, shortSide, side, w.resize, w.small);
    System.arraycopy(w.small.pixels(), 0, into, offset, imageBytes());
  }

  @Override public String describe(int index) {
    return files.get(index).toString();
  }

  /** The folder name of each class. */
  public List<String> classNames() {
    return classNames;
  }

  @Override public String name() {
    return name;
  }

  @Override public int size() {
    return labels.length;
  }

  @Override public int height() {
    return side;
  }

  @Override public int width() {
    return side;
  }

  @Override public int channels() {
    return 3;
  }

  @Override public int classes() {
    return classNames.size();
  }

  @Override public int label(int index) {
    return labels[index];
  }
}
