package onebit.data;

import com.google.common.hash.Hashing;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * Images in one folder per class: the sorted folder names are the classes, the sorted files in them and in folders in them the samples; files that are not named as images
 * are left out and counted. Tiny ImageNet's table for validation is read too.
 *
 * <p>{@link #read} gives a fixed size: shorter side to {@code side * 256 / 224}, then the centre of {@code side}; {@link
 * #decode} gives the file's own size for crops. Each thread that reads keeps its own decoder and buffers.
 */
public final class ImageFolderDataset extends SquareDataset {
  private static final int MOST_ANNOTATION_BYTES = 64 << 20;

  private final List<String> classNames;
  private final FolderFiles files;
  private final int[] labels;
  private final String finding;
  private final ThreadLocal<Workspace> workspace = ThreadLocal.withInitial(Workspace::new);

  private ImageFolderDataset(String name, List<String> classNames, FolderFiles files, int[] labels, int side, String finding) {
    super(name, labels.length, side, 3, classNames.size());
    this.classNames = classNames;
    this.files = files;
    this.labels = labels;
    this.finding = finding;
  }

  /**
   * Lists DIR/train for training and DIR/val or DIR/test for testing; images become {@code side} x {@code side}. Both must have the same classes.
   */
  public static ImageFolderDataset open(Path dir, Split split, int side) throws IOException {
    Path train = dir.resolve("train");
    for (String part : split == Split.TRAIN ? List.of("train") : List.of("val", "test")) {
      Path root = dir.resolve(part);
      if (!Files.isDirectory(root)) continue;
      Path annotations = root.resolve("val_annotations.txt");
      List<String> trained = split == Split.TEST && Files.isDirectory(train) ? classes(train) : null;
      if (Files.isRegularFile(annotations)) return annotated(root, annotations, trained, side);
      if (trained != null) requireSameClasses(train, trained, root, classes(root));
      return list("folder", root, side);
    }
    if (split == Split.TEST && Files.isDirectory(train)) {
      throw new FileNotFoundException("folder: " + dir + " has train and no val to judge by; move some images of each class from " + train.resolve("CLASS") + " to " + dir.resolve("val/CLASS")
          + ", or keep a tenth of them back with --data " + train + " --set data.valShare=0.1");
    }
    if (!Files.isDirectory(train) && !classes(dir).isEmpty()) {
      throw new FileNotFoundException("folder: " + dir + " has no folder train; if those in it are the classes, --set data.valShare=0.1 keeps a tenth of their images to judge by");
    }
    throw Datasets.missing("folder", dir, split == Split.TRAIN ? "train/CLASS/IMAGE" : "val/CLASS/IMAGE");
  }

  /**
   * One part of the images in DIR/CLASS: for testing about so large a share of them, for training the others. The part of an image depends on its name, with its class
   * and the folders between, and on nothing else: others that come or go move none.
   *
   * @throws IOException if there are no class folders, a class has no image to train on, or there is none to judge by
   */
  public static ImageFolderDataset part(Path dir, Split split, double share, int side) throws IOException {
    Path train = dir.resolve("train");
    if (Files.isDirectory(train) && !classes(train).isEmpty()) {
      throw new IOException(dir + ": has a folder train with folders in it, and data.valShare is for a folder of classes; leave it out, or say --data " + train);
    }
    return list("folder", dir, side, split, share);
  }

  private static void requireSameClasses(Path train, List<String> trained, Path root, List<String> tested) throws IOException {
    for (String name : trained) if (!tested.contains(name)) throw new IOException(root + ": has no folder of the class " + name + ", which " + train + " has");
    for (String name : tested) if (!trained.contains(name)) throw new IOException(root + ": has a folder of the class " + name + ", which " + train + " has not");
  }

  /** The sorted names of the class folders. */
  private static List<String> classes(Path root) throws IOException {
    List<String> names = new ArrayList<>();
    for (String name : sorted(root)) {
      Path entry = root.resolve(name);
      if (Files.isSymbolicLink(entry) && !Files.exists(entry)) throw new IOException(entry + ": is a link that leads nowhere or in a circle");
      if (Files.isDirectory(entry)) names.add(name);
    }
    return names;
  }

  /** Lists one folder of class folders; a class without an image is refused. */
  public static ImageFolderDataset list(String name, Path root, int side) throws IOException {
    return list(name, root, side, Split.TRAIN, 0);
  }

  private static ImageFolderDataset list(String name, Path root, int side, Split split, double share) throws IOException {
    if (side < 1) throw new IllegalArgumentException(name + ": side " + side + " must be >= 1");
    List<String> classes = classes(root);
    if (classes.isEmpty()) throw new IOException(root + ": has no class folders");
    ClassFolders found = new ClassFolders(root, split, share);
    int[] ends = new int[classes.size()];
    List<String> without = new ArrayList<>();
    for (int c = 0; c < ends.length; c++) {
      Path folder = root.resolve(classes.get(c));
      int before = found.images;
      found.add(folder, new HashSet<>());
      ends[c] = found.files.size();
      if (found.images == before) throw new IOException(folder + ": the class folder has no images" + (found.others == 0 ? "" : "; " + found.finding()));
      if (ends[c] == (c == 0 ? 0 : ends[c - 1])) without.add(classes.get(c));
    }
    if (split == Split.TRAIN && !without.isEmpty()) throw leaves(root.resolve(without.getFirst()), share, "train on", "smaller");
    if (without.size() == ends.length) throw leaves(root, share, "judge by", "larger");
    FolderFiles files = found.files;
    int[] labels = new int[files.size()];
    for (int c = 0, i = 0; c < ends.length; c++) for (; i < ends[c]; i++) labels[i] = c;
    String kept = String.format(Locale.ROOT, "%,d of %,d images are kept to judge by (data.valShare %s)%s", files.size(), found.images, share,
        without.isEmpty() ? "" : ", of " + without.size() + " of the " + ends.length + " classes none: " + String.join(", ", without.subList(0, Math.min(5, without.size())))
            + (without.size() > 5 ? ", ..." : ""));
    return new ImageFolderDataset(name, classes, files, labels, side, split == Split.TEST ? kept : found.finding());
  }

  private static IOException leaves(Path where, double share, String what, String other) {
    return new IOException(where + ": data.valShare " + share + " leaves no image to " + what + "; give more images or a " + other
        + " share, or choose by hand: DIR/train/CLASS and DIR/val/CLASS without data.valShare");
  }

  /** The image files of one folder, all of one class. */
  public static ImageFolderDataset flat(Path folder, int side) throws IOException {
    FolderFiles files = new FolderFiles();
    files.add(folder, sorted(folder).stream().filter(ImageFolderDataset::isImage).toList());
    if (files.isEmpty()) throw new IOException(folder + ": has no JPEG or PNG files");
    return new ImageFolderDataset(folder.toString(), List.of("all"), files, new int[files.size()], side, "");
  }

  static boolean isImage(String name) {
    String lower = name.toLowerCase(Locale.ROOT);
    return lower.endsWith(".jpg") || lower.endsWith(".jpeg") || lower.endsWith(".png");
  }

  /** Tiny ImageNet's validation: images in one folder, their classes in a table of name, class and a box, separated by tabs. */
  private static ImageFolderDataset annotated(Path root, Path annotations, List<String> trained, int side) throws IOException {
    if (trained == null) throw new IOException(annotations + ": names classes; their numbers come from the folder train, which is not there");
    Map<String, Integer> numbers = new HashMap<>();
    for (int c = 0; c < trained.size(); c++) numbers.put(trained.get(c), c);
    List<String> files = new ArrayList<>();
    List<Integer> labels = new ArrayList<>();
    int line = 0;
    for (String text : annotations(annotations)) {
      String[] words = text.split("\t");
      line++;
      Integer label = words.length < 2 ? null : numbers.get(words[1]);
      if (label == null || !isImage(words[0]) || !words[0].matches("[A-Za-z0-9_.-]+")) {
        throw new IOException(annotations + ": line " + line + " must be an image, a tab and a class of the folder train");
      }
      files.add(words[0]);
      labels.add(label);
    }
    if (files.isEmpty()) throw new IOException(annotations + ": names no images");
    FolderFiles all = new FolderFiles();
    all.add(root.resolve("images"), files);
    return new ImageFolderDataset("folder", trained, all, labels.stream().mapToInt(Integer::intValue).toArray(), side, "");
  }

  private static List<String> annotations(Path file) throws IOException {
    if (Files.size(file) > MOST_ANNOTATION_BYTES) throw new IOException(file + ": has more than " + MOST_ANNOTATION_BYTES + " bytes");
    return Files.readString(file, StandardCharsets.ISO_8859_1).lines().filter(l -> !l.isBlank()).toList();
  }

  /** The images of a part in class folders and the folders in them, how many there are of both parts, and how many other files. */
  private static final class ClassFolders {
    final FolderFiles files = new FolderFiles();
    final Path root;
    final Split split;
    final double share;
    int images;
    int others;
    Path other;

    ClassFolders(Path root, Split split, double share) {
      this.root = root;
      this.split = split;
      this.share = share;
    }

    /** A number in [0, 1) that the name stands for says which part it is of. */
    boolean isWanted(String name) {
      double number = (Hashing.farmHashFingerprint64().hashString(name, StandardCharsets.UTF_8).asLong() >>> 11) * 0x1p-53;
      return number < share == (split == Split.TEST);
    }

    /** The images of a folder in the order of their names, then those of each folder in it; {@code above} are the folders that it lies in, links followed. */
    void add(Path folder, Set<Path> above) throws IOException {
      Path real = folder.toRealPath();
      if (!above.add(real)) throw new IOException(folder + ": leads back to " + real + ", in which it lies");
      List<String> names = new ArrayList<>();
      List<Path> inside = new ArrayList<>();
      String place = root.relativize(folder) + "/";
      boolean folders = (int) Files.getAttribute(folder, "unix:nlink") != 2;   // 2: none lies in it, and no name has to be looked up
      for (String name : sorted(folder)) {
        if (isImage(name) && !(folders && Files.isDirectory(folder.resolve(name)))) {
          images++;
          if (share == 0 || isWanted(place + name)) names.add(name);
        } else if (Files.isDirectory(folder.resolve(name))) {
          inside.add(folder.resolve(name));
        } else if (others++ == 0) {
          other = folder.resolve(name);
        }
      }
      files.add(folder, names);
      for (Path each : inside) add(each, above);
      above.remove(real);
    }

    String finding() {
      return others == 0 ? "" : String.format(Locale.ROOT, "%,d file%s left out, not being named .jpg, .jpeg or .png; the first is %s", others, others == 1 ? " was" : "s were", other);
    }
  }

  /** The sorted names in a folder; those that begin with a dot are hidden, and so are the thumbnails that a Synology disk station keeps in @eaDir. */
  static List<String> sorted(Path folder) throws IOException {
    List<String> names = new ArrayList<>();
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder)) {
      for (Path entry : entries) {
        String name = entry.getFileName().toString();
        if (name.indexOf('\uFFFD') >= 0) {
          throw new IOException(entry + ": the bytes of this name are no text in " + System.getProperty("sun.jnu.encoding") + "; rename it, or set LC_ALL=C.UTF-8 if they are in UTF-8");
        }
        if (!name.startsWith(".") && !name.equals("@eaDir")) names.add(name);
      }
    } catch (DirectoryIteratorException e) {
      throw e.getCause();
    }
    Collections.sort(names);
    return names;
  }

  @Override public void decode(int index, Box.Choice choice, Picture into) throws IOException {
    workspace.get().decoder.decode(files.get(index), choice, into);
  }

  @Override public void read(int index, byte[] into, int offset) throws IOException {
    readCentre(index, workspace.get(), into, offset);
  }

  @Override public String finding() {
    return finding;
  }

  /** By the names of the files and their classes. */
  @Override public int fingerprint() {
    return 31 * files.fingerprint() + Arrays.hashCode(labels);
  }

  @Override public String describe(int index) {
    return files.get(index).toString();
  }

  /** The file of one image. */
  public Path file(int index) {
    return files.get(index);
  }

  /** The folder name of each class. */
  @Override public List<String> classNames() {
    return classNames;
  }

  @Override public int label(int index) {
    return labels[index];
  }
}
