package onebit.data;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The photos of PASCAL VOC with a box and a class for every object, from lists that are joined in their order.
 *
 * <p>All annotations are read when the set is opened, photos when they are asked for. {@link #read} gives the whole photo resized to side x side,
 * {@link #decode} the photo in its own size.
 *
 * <pre>
 * list     := FOLDER/NAME: the image ids, one a line, of FOLDER/ImageSets/Main/NAME.txt; photo ID is FOLDER/JPEGImages/ID.jpg, what is on it
 *          FOLDER/Annotations/ID.xml. FOLDER lies in the data folder or in its folder VOCdevkit; "." is the data folder itself
 * Boxes    left = (xmin - 1) / width, right = (xmax - 1) / width, the same for rows, of the width and height of the JPEG file
 * Training difficult objects are left out, and so are photos without any other
 * Rules    a box that reaches out of its photo is clipped, one of which nothing is left is left out; {@link #finding} counts them
 * EXIF     a turn asked for is not made: boxes are of the pixels as they are stored
 * Source   Everingham et al. 2010 (IJCV 88); boxes as ssd.pytorch, data/voc0712.py
 * Differs  ssd.pytorch clips nothing, reads whole numbers only, and has no rule for a photo whose objects are all difficult
 * </pre>
 */
public final class VocDataset extends SquareDataset {
  /** The classes in the order of their labels. */
  public static final List<String> CLASSES = List.of("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
      "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor");
  /** What is usually learned from. */
  public static final List<String> TRAIN_LISTS = List.of("VOC2007/trainval", "VOC2012/trainval");
  /** What is usually judged on. */
  public static final List<String> TEST_LISTS = List.of("VOC2007/test");

  private static final String WORD = "[A-Za-z0-9_][A-Za-z0-9_.-]*", PAGE = "; " + Datasets.page("voc") + " says how to lay it out";
  private static final Pattern LIST = Pattern.compile("(\\.|" + WORD + ")/(" + WORD + ")"), ID = Pattern.compile(WORD);
  private static final int MOST_LIST_BYTES = 16 << 20;

  /** A photo of a list. */
  record Entry(Path folder, String id) {
    Path photo() {
      return folder.resolve("JPEGImages").resolve(id + ".jpg");
    }

    Path annotation() {
      return folder.resolve("Annotations").resolve(id + ".xml");
    }
  }

  private final VocObjects objects;
  private final ThreadLocal<Workspace> workspace = ThreadLocal.withInitial(Workspace::new);

  private VocDataset(VocObjects objects, int side) {
    super("voc", objects.size(), side, 3, CLASSES.size());
    this.objects = objects;
  }

  /**
   * Opens lists and reads their annotations, on all cores.
   *
   * @param dir the folder that holds VOC2007 and VOC2012, or VOCdevkit with both, or for lists {@code ./NAME} is one of them
   * @throws IllegalArgumentException if a list is not written FOLDER/NAME
   * @throws FileNotFoundException if a list, an annotation or a photo is missing
   * @throws IOException if a list or an annotation breaks a rule; the message names the file and the place
   */
  public static VocDataset open(Path dir, List<String> lists, Split split, int side) throws IOException {
    if (side < 1) throw new IllegalArgumentException("voc: side " + side + " must be >= 1");
    if (lists.isEmpty()) throw new IllegalArgumentException("voc: no list of images is named; there must be one, as VOC2007/trainval");
    List<Entry> entries = new ArrayList<>();
    Set<Entry> seen = new HashSet<>();
    for (String list : lists) {
      Matcher parts = LIST.matcher(list);
      if (!parts.matches()) throw new IllegalArgumentException("voc: the list " + list + " must be written FOLDER/NAME, as VOC2007/trainval, or ./NAME");
      Path folder = folder(dir, parts.group(1), list), file = folder.resolve("ImageSets").resolve("Main").resolve(parts.group(2) + ".txt");
      int before = entries.size(), line = 0;
      for (String text : lines(file, list)) {
        line++;
        String id = text.strip();
        if (id.isEmpty()) continue;
        if (!ID.matcher(id).matches()) throw new IOException(file + ": line " + line + " must be the id of one image, as 000005 or 2008_000002");
        Entry entry = new Entry(folder, id);
        if (!seen.add(entry)) throw new IOException(file + ": line " + line + ": image " + id + " has been named before, here or in another list");
        entries.add(entry);
      }
      if (entries.size() == before) throw new IOException(file + ": names no images");
    }
    return new VocDataset(VocObjects.read(entries, split), side);
  }

  private static Path folder(Path dir, String name, String list) throws IOException {
    if (name.equals(".")) return dir;
    for (Path parent : List.of(dir, dir.resolve("VOCdevkit"))) if (Files.isDirectory(parent.resolve(name))) return parent.resolve(name);
    throw new FileNotFoundException("voc: the folder " + name + " of the list " + list + " is not in " + dir + " and not in " + dir.resolve("VOCdevkit") + PAGE);
  }

  private static List<String> lines(Path file, String list) throws IOException {
    if (!Files.isRegularFile(file)) throw new FileNotFoundException("voc: " + file + " of the list " + list + " does not exist" + PAGE);
    if (Files.size(file) > MOST_LIST_BYTES) throw new IOException(file + ": has more than " + MOST_LIST_BYTES + " bytes");
    return Files.readString(file, StandardCharsets.ISO_8859_1).lines().toList();
  }

  @Override public void decode(int index, Box.Choice choice, Picture into) throws IOException {
    workspace.get().decoder.decode(objects.entry(index).photo(), choice, into);
  }

  @Override public void read(int index, byte[] into, int offset) throws IOException {
    Workspace w = workspace.get();
    decode(index, Box.Choice.WHOLE, w.whole);
    w.resize.apply(w.whole, side, side, w.small);
    System.arraycopy(w.small.pixels(), 0, into, offset, imageBytes());
  }

  @Override public boolean hasBoxes() {
    return true;
  }

  @Override public void boxes(int index, Boxes into) {
    objects.boxes(index, into);
  }

  @Override public String finding() {
    return objects.finding();
  }

  /** The name of an image in its list. */
  public String id(int index) {
    return objects.entry(index).id();
  }

  @Override public String describe(int index) {
    return objects.entry(index).photo().toString();
  }

  /** 0: a photo has many classes, one for each box. */
  @Override public int label(int index) {
    return 0;
  }
}
