package onebit.data;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.GZIPInputStream;

/**
 * The class of every validation image of ImageNet, from one of the lists in which it is published.
 *
 * <pre>
 * devkit   ILSVRC2012_devkit_t12.tar.gz: data/ILSVRC2012_validation_ground_truth.txt has one ILSVRC2012_ID per image, data/meta.mat the WNID of each
 *          ID; the class is the place of the WNID among the sorted training folders
 * wnids    text: one WNID per line, in the order of the images
 * named    text: an image's name and its WNID or class number, separated by space, tab or comma; more columns and a title line are skipped
 * </pre>
 */
final class ValidationLabels {
  private static final String TRUTH = "ILSVRC2012_validation_ground_truth.txt";
  private static final int MOST_BYTES = 64 << 20;
  private static final Pattern NUMBERED = Pattern.compile(".*?(\\d+)(?:\\.[A-Za-z]+)?");

  private final Path file;
  private final Map<String, Integer> classes = new HashMap<>();
  private final int[] labels;

  private ValidationLabels(Path file, List<String> classNames, int images) {
    this.file = file;
    for (int c = 0; c < classNames.size(); c++) classes.put(classNames.get(c), c);
    labels = new int[images];
    Arrays.fill(labels, -1);
  }

  /**
   * The class of image 1 to {@code images} (the number at the end of its name), first image first.
   *
   * @param classNames the sorted names of the training folders
   * @throws IOException if the list is not one of the three, is damaged, or has another number of images
   */
  static int[] read(Path file, List<String> classNames, int images) throws IOException {
    ValidationLabels all = new ValidationLabels(file, classNames, images);
    String what = Files.isDirectory(file) ? ": is a folder" : ": does not exist";
    if (!Files.isRegularFile(file)) throw new IOException(file + what + "; the labels of the validation images are in ILSVRC2012_devkit_t12.tar.gz of image-net.org");
    byte[] head = new byte[2];
    try (InputStream in = Files.newInputStream(file)) {
      in.readNBytes(head, 0, 2);
    }
    if ((head[0] & 255) == 0x1F && (head[1] & 255) == 0x8B) all.devkit();
    else all.text();
    for (int i = 0; i < images; i++) if (all.labels[i] < 0) throw new IOException(file + ": has no class for image " + (i + 1) + " of " + images);
    return all.labels;
  }

  private void devkit() throws IOException {
    byte[] truth = null, meta = null;
    try (InputStream in = new GZIPInputStream(new BufferedInputStream(Files.newInputStream(file)))) {
      TarReader tar = TarReader.of(file.toString(), in);
      for (TarReader.Entry entry = tar.next(); entry != null && (truth == null || meta == null); entry = tar.next()) {
        if (entry.name().endsWith(TRUTH)) truth = tar.contents(entry, MOST_BYTES);
        else if (entry.name().endsWith("meta.mat")) meta = tar.contents(entry, MOST_BYTES);
      }
    }
    if (truth == null || meta == null) throw new IOException(file + ": has no " + (truth == null ? TRUTH : "meta.mat"));
    Map<Long, String> names = new HashMap<>();
    for (MatStructs.Pair pair : MatStructs.read(file + ":meta.mat", meta, "ILSVRC2012_ID", "WNID")) names.put(pair.number(), pair.text());
    List<String> lines = new String(truth, StandardCharsets.US_ASCII).lines().map(String::strip).filter(l -> !l.isEmpty()).toList();
    requireCount(lines.size());
    for (int i = 0; i < lines.size(); i++) {
      String id = lines.get(i), name = id.matches("\\d{1,6}") ? names.get(Long.parseLong(id)) : null;
      if (name == null) throw new IOException(file + ":" + TRUTH + ": line " + (i + 1) + " is '" + id + "'; meta.mat has no WNID for it");
      labels[i] = classOf(name, i + 1);
    }
  }

  private void text() throws IOException {
    if (Files.size(file) > MOST_BYTES) throw new IOException(file + ": has more than " + MOST_BYTES + " bytes");
    List<String> lines = Files.readString(file, StandardCharsets.ISO_8859_1).lines().map(String::strip).filter(l -> !l.isEmpty()).toList();
    boolean named = !lines.isEmpty() && lines.getLast().split("[\\s,]+").length > 1;
    if (!named) requireCount(lines.size());
    if (!named && lines.stream().allMatch(l -> l.matches("\\d+"))) {
      throw new IOException(file + ": holds ILSVRC2012_IDs, which only meta.mat explains; give the whole ILSVRC2012_devkit_t12.tar.gz");
    }
    for (int i = 0; i < lines.size(); i++) {
      String[] words = lines.get(i).split("[\\s,]+");
      if (!named) {
        labels[i] = classOf(words[0], i + 1);
        continue;
      }
      Matcher number = NUMBERED.matcher(words[0]);
      if (i == 0 && !number.matches()) continue;
      int image = number.matches() && number.group(1).length() < 10 ? Integer.parseInt(number.group(1)) : 0;
      if (words.length < 2 || image < 1 || image > labels.length) {
        throw new IOException(file + ": line " + (i + 1) + " is '" + lines.get(i) + "'; it must be an image 1 to " + labels.length + " and its class");
      }
      if (labels[image - 1] >= 0) throw new IOException(file + ": line " + (i + 1) + " gives image " + image + " a second class");
      labels[image - 1] = classOf(words[1], i + 1);
    }
  }

  private void requireCount(int found) throws IOException {
    if (found != labels.length) throw new IOException(file + ": has labels of " + found + " images, the archive has " + labels.length);
  }

  private int classOf(String word, int line) throws IOException {
    Integer found = word.matches("\\d{1,6}") ? Integer.valueOf(word) : classes.get(word);
    if (found == null || found >= classes.size()) throw new IOException(file + ": line " + line + " names the class " + word + ", which the training archive has not");
    return found;
  }
}
