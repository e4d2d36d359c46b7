package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import java.util.zip.DeflaterOutputStream;
import java.util.zip.GZIPOutputStream;
import onebit.cli.Main;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Small archives laid out as the official ones, prepared, killed and resumed. */
class ImageNetArchivesTest {
  /** Sorted WNIDs, and the ID that the development kit gives each: not in that order. */
  private static final List<String> WNIDS = List.of("n01440764", "n02119789", "n03445777", "n04067472");
  private static final int[] IDS = {3, 1, 4, 2};
  static final int VALIDATION = 23;

  private static final Path PHOTOS = Path.of("../shared/data/imagenet-full-size");

  /** Real photos where the shared folder is there, else drawn ones. */
  private static List<byte[]> images() throws IOException {
    if (!Files.isDirectory(PHOTOS)) return Stream.iterate(0, i -> i + 1).limit(20).map(i -> {
      try {
        return ShardTest.jpeg(i);
      } catch (IOException e) {
        throw new java.io.UncheckedIOException(e);
      }
    }).toList();
    try (Stream<Path> files = Files.list(PHOTOS)) {
      return files.sorted().limit(20).map(f -> {
        try {
          return Files.readAllBytes(f);
        } catch (IOException e) {
          throw new java.io.UncheckedIOException(e);
        }
      }).toList();
    }
  }

  private static byte[] classTar(int c, int count, List<byte[]> images) {
    TarFile tar = new TarFile();
    for (int i = 0; i < count; i++) tar.add(WNIDS.get(c) + "_" + (1000 + i) + ".JPEG", images.get((c * 7 + i) % images.size()));
    return tar.end();
  }

  /** train.tar of 4 classes with 10, 11, 12 and 13 images, val.tar of 23 and the development kit. */
  static void archives(Path dir) throws IOException {
    List<byte[]> images = images();
    TarFile train = new TarFile();
    for (int c : new int[] {2, 0, 3, 1}) train.add(WNIDS.get(c) + ".tar", classTar(c, 10 + c, images));
    Files.write(dir.resolve("train.tar"), train.end());
    TarFile validation = new TarFile();
    StringBuilder truth = new StringBuilder();
    for (int i = 1; i <= VALIDATION; i++) {
      validation.add(String.format("ILSVRC2012_val_%08d.JPEG", i), images.get((i * 3) % images.size()));
      truth.append(IDS[label(i)]).append('\n');
    }
    Files.write(dir.resolve("val.tar"), validation.end());
    ByteArrayOutputStream kit = new ByteArrayOutputStream();
    try (GZIPOutputStream zip = new GZIPOutputStream(kit)) {
      zip.write(new TarFile().add("ILSVRC2012_devkit_t12/readme.txt", "x").add("ILSVRC2012_devkit_t12/data/meta.mat", meta(true))
          .add("ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", truth.toString()).end());
    }
    Files.write(dir.resolve("ILSVRC2012_devkit_t12.tar.gz"), kit.toByteArray());
  }

  private static int label(int image) {
    return image * 7 / 3 % 4;
  }

  /** The synsets structure of meta.mat: IDs 1 to 4 and a fifth that is no leaf. */
  static byte[] meta(boolean compressed) throws IOException {
    ByteArrayOutputStream fields = new ByteArrayOutputStream();
    fields.writeBytes(element(6, ints(2, 0)));
    fields.writeBytes(element(5, ints(5, 1)));
    fields.writeBytes(element(1, "synsets".getBytes()));
    fields.writeBytes(small(5, ints(20)));
    byte[] names = new byte[60];
    for (int f = 0; f < 3; f++) System.arraycopy(List.of("ILSVRC2012_ID", "WNID", "words").get(f).getBytes(), 0, names, 20 * f, List.of(13, 4, 5).get(f));
    fields.writeBytes(element(1, names));
    for (int id = 1; id <= 5; id++) {
      int at = 4;
      for (int c = 0; c < 4; c++) if (IDS[c] == id) at = c;
      fields.writeBytes(element(14, matrix(6, small(2, new byte[] {(byte) id}), 1)));
      byte[] wnid = at < 4 ? WNIDS.get(at).getBytes(StandardCharsets.UTF_16LE) : "n00000001".getBytes(StandardCharsets.UTF_16LE);
      fields.writeBytes(element(14, matrix(4, element(4, wnid), 9)));
      fields.writeBytes(element(14, matrix(4, element(16, "kit fox, Vulpes".getBytes()), 15)));
    }
    byte[] whole = element(14, fields.toByteArray());
    if (compressed) {
      ByteArrayOutputStream zipped = new ByteArrayOutputStream();
      try (DeflaterOutputStream zip = new DeflaterOutputStream(zipped)) {
        zip.write(whole);
      }
      whole = ByteBuffer.allocate(8 + zipped.size()).order(ByteOrder.LITTLE_ENDIAN).putInt(15).putInt(zipped.size()).put(zipped.toByteArray()).array();
    }
    ByteBuffer file = ByteBuffer.allocate(128 + whole.length).order(ByteOrder.LITTLE_ENDIAN);
    file.put("MATLAB 5.0 MAT-file".getBytes()).position(124).putShort((short) 0x0100).put((byte) 'I').put((byte) 'M').put(whole);
    return file.array();
  }

  static byte[] matrix(int kind, byte[] values, int columns) {
    byte[] head = element(6, ints(kind, 0)), dimensions = element(5, ints(1, columns)), name = element(1, new byte[0]);
    return ByteBuffer.allocate(head.length + dimensions.length + name.length + values.length).put(head).put(dimensions).put(name).put(values).array();
  }

  static byte[] ints(int... values) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (int v : values) bytes.putInt(v);
    return bytes.array();
  }

  static byte[] element(int type, byte[] data) {
    return ByteBuffer.allocate(8 + (data.length + 7) / 8 * 8).order(ByteOrder.LITTLE_ENDIAN).putInt(type).putInt(data.length).put(data).array();
  }

  static byte[] small(int type, byte[] data) {
    return ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putInt(data.length << 16 | type).put(data).array();
  }

  private static ImageNetArchives.Result prepare(Path dir, String out, int shortSide) throws IOException {
    return prepare(dir, out, shortSide, 46, VALIDATION, dir.resolve("ILSVRC2012_devkit_t12.tar.gz"));
  }

  private static ImageNetArchives.Result prepare(Path dir, String out, int shortSide, int train, int validation, Path labels) throws IOException {
    return prepare(dir, out, shortSide, ImageNetArchives.Encoding.JPEG, train, validation, labels);
  }

  private static ImageNetArchives.Result prepare(Path dir, String out, int shortSide, ImageNetArchives.Encoding encoding, int train, int validation, Path labels) throws IOException {
    return ImageNetArchives.prepare(new ImageNetArchives.Plan(dir.resolve("train.tar"), dir.resolve("val.tar"), labels, dir.resolve(out), shortSide, encoding, train, validation, 2),
        (done, all) -> { });
  }

  /** Checksum of every file of a folder but the lock. */
  static Map<String, Long> sums(Path folder) throws IOException {
    Map<String, Long> all = new TreeMap<>();
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.toList()) {
        CRC32C crc = new CRC32C();
        crc.update(Files.readAllBytes(file));
        if (!file.getFileName().toString().equals(".lock")) all.put(file.getFileName().toString(), crc.getValue());
      }
    }
    return all;
  }

  @Test void everyImageGetsItsClass(@TempDir Path dir) throws IOException {
    archives(dir);
    ImageNetArchives.Result result = prepare(dir, "original", 0);
    assertEquals(new ImageNetArchives.Result(46, VALIDATION, 4, result.bytes(), 0), result);
    ShardDataset train = ShardDataset.find(dir.resolve("original"), Split.TRAIN, 64), test = ShardDataset.find(dir.resolve("original"), Split.TEST, 64);
    assertEquals(46, train.size());
    assertEquals(WNIDS, train.classNames());
    assertEquals(VALIDATION, test.size());
    for (int i = 0; i < 46; i++) assertTrue(train.describe(i).contains(WNIDS.get(train.label(i)) + "_"), train.describe(i));
    for (int i = 0; i < VALIDATION; i++) {
      assertEquals(label(i + 1), test.label(i), "image " + (i + 1));
      assertTrue(test.describe(i).endsWith(String.format("%08d.jpg", i + 1)));
    }
    byte[] one = new byte[train.imageBytes()];
    train.read(45, one, 0);
    prepare(dir, "small", 48);
    prepare(dir, "again", 48);
    ShardDataset small = ShardDataset.find(dir.resolve("small"), Split.TRAIN, 32);
    assertEquals(small.fingerprint(), ShardDataset.find(dir.resolve("again"), Split.TRAIN, 32).fingerprint());
    Picture x = new Picture();
    for (int i = 0; i < 46; i++) {
      small.decode(i, Box.Choice.WHOLE, x);
      assertTrue(Math.min(x.height(), x.width()) <= 48, x.height() + "x" + x.width());
    }
    assertEquals(sums(dir.resolve("small")), sums(Files.createDirectories(dir.resolve("small"))));
    String message = assertThrows(IOException.class, () -> prepare(dir, "small", 40)).getMessage();
    assertTrue(message.contains("short side 48") && message.contains("another --out"), message);
  }

  @Test void theThreeFormsOfLabelsAgree(@TempDir Path dir) throws IOException {
    archives(dir);
    StringBuilder wnids = new StringBuilder(), named = new StringBuilder("ImageId,PredictionString\n"), numbers = new StringBuilder(), ids = new StringBuilder();
    for (int i = 1; i <= VALIDATION; i++) {
      wnids.append(WNIDS.get(label(i))).append('\n');
      numbers.append(String.format("ILSVRC2012_val_%08d.JPEG %d\n", i, label(i)));
      ids.append(IDS[label(i)]).append('\n');
    }
    for (int i = VALIDATION; i >= 1; i--) named.append(String.format("ILSVRC2012_val_%08d,%s 85 131 499 254\n", i, WNIDS.get(label(i))));
    int[] expected = ValidationLabels.read(dir.resolve("ILSVRC2012_devkit_t12.tar.gz"), WNIDS, VALIDATION);
    for (int i = 0; i < VALIDATION; i++) assertEquals(label(i + 1), expected[i]);
    Path list = dir.resolve("labels.txt");
    for (StringBuilder text : List.of(wnids, named, numbers)) {
      Files.writeString(list, text);
      assertArrayEquals(expected, ValidationLabels.read(list, WNIDS, VALIDATION));
      assertTrue(assertThrows(IOException.class, () -> ValidationLabels.read(list, WNIDS, VALIDATION + 1)).getMessage().startsWith(list.toString()));
      assertTrue(assertThrows(IOException.class, () -> ValidationLabels.read(list, WNIDS, VALIDATION - 1)).getMessage().startsWith(list.toString()));
      assertThrows(IOException.class, () -> ValidationLabels.read(list, WNIDS.subList(1, 4), VALIDATION));
      Files.writeString(list, "\n" + text.toString().replace("\n", " \r\n\n"));
      assertArrayEquals(expected, ValidationLabels.read(list, WNIDS, VALIDATION), "empty lines are no labels");
    }
    Files.writeString(list, ids);
    assertTrue(assertThrows(IOException.class, () -> ValidationLabels.read(list, WNIDS, VALIDATION)).getMessage().contains("meta.mat"));
    assertEquals(List.of(0, 2), List.of(label(2), label(1)));
    for (int image : new int[] {1, 2}) {
      Files.writeString(list, numbers + "ILSVRC2012_val_0000000" + image + ".JPEG 2\n");
      assertTrue(assertThrows(IOException.class, () -> ValidationLabels.read(list, WNIDS, VALIDATION)).getMessage().contains("line 24 gives image " + image + " a second class"));
    }
    for (String line : List.of("ILSVRC2012_val_00000002.JPEG", "ILSVRC2012_val_00000024.JPEG 1", "ILSVRC2012_val_00000000.JPEG 1", "ILSVRC2012_val_9999999999.JPEG 1", "photo.JPEG 1")) {
      Files.writeString(list, numbers.toString().replaceFirst("(?m)^.*_00000002.JPEG .*$", line));
      String message = assertThrows(IOException.class, () -> ValidationLabels.read(list, WNIDS, VALIDATION)).getMessage();
      assertEquals(list + ": line 2 is '" + line + "'; it must be an image 1 to 23 and its class", message);
    }
    assertTrue(assertThrows(IOException.class, () -> ValidationLabels.read(dir.resolve("none"), WNIDS, VALIDATION)).getMessage().contains("does not exist"));
    assertEquals(MatStructs.read("m", meta(true), "ILSVRC2012_ID", "WNID"), MatStructs.read("m", meta(false), "ILSVRC2012_ID", "WNID"));
  }

  @Test void aDevelopmentKitThatLacksSomethingIsRefusedByName(@TempDir Path dir) throws IOException {
    Path file = dir.resolve("kit.tar.gz");
    String truth = "ILSVRC2012_validation_ground_truth.txt";
    Object[][] cases = {{new TarFile().add("d/meta.mat", meta(true)), "has no " + truth}, {new TarFile().add("d/" + truth, "1\n2\n"), "has no meta.mat"},
        {new TarFile().add("d/meta.mat", meta(true)).add(truth, "1\n"), "has labels of 1 images, the archive has 2"},
        {new TarFile().add("d/meta.mat", meta(true)).add(truth, "1\n2\n3\n"), "has labels of 3 images, the archive has 2"},
        {new TarFile().add("d/meta.mat", meta(true)).add(truth, "1\n6\n"), "line 2 is '6'; meta.mat has no WNID for it"},
        {new TarFile().add("d/meta.mat", meta(true)).add(truth, "1\nn01440764\n"), "line 2 is 'n01440764'; meta.mat has no WNID for it"},
        {new TarFile().add("d/meta.mat", meta(true)).add(truth, "1\n5\n"), "line 2 names the class n00000001, which the training archive has not"}};
    for (Object[] c : cases) {
      try (GZIPOutputStream zip = new GZIPOutputStream(Files.newOutputStream(file))) {
        zip.write(((TarFile) c[0]).end());
      }
      String message = assertThrows(IOException.class, () -> ValidationLabels.read(file, WNIDS, 2), c[1].toString()).getMessage();
      assertTrue(message.startsWith(file + ":") && message.endsWith(c[1].toString()), message);
    }
  }

  /** Shards that another list has labelled are not taken for what this one asks. */
  @Test void shardsOfOtherLabelsAreRefusedByName(@TempDir Path dir) throws IOException {
    archives(dir);
    prepare(dir, "o", 0);
    Path list = dir.resolve("labels.txt");
    StringBuilder same = new StringBuilder();
    for (int i = 1; i <= VALIDATION; i++) same.append(WNIDS.get(label(i))).append('\n');
    Files.writeString(list, same);
    Map<String, Long> made = sums(dir.resolve("o"));
    prepare(dir, "o", 0, 46, VALIDATION, list);
    Files.writeString(list, same.substring(0, same.lastIndexOf("n")) + WNIDS.get((label(VALIDATION) + 1) % 4) + "\n");
    String message = assertThrows(IOException.class, () -> prepare(dir, "o", 0, 46, VALIDATION, list)).getMessage();
    assertTrue(message.startsWith(dir.resolve("o/val-00000.tar") + ": was made with other labels than those in " + list), message);
    assertEquals(made, sums(dir.resolve("o")));
    Files.delete(dir.resolve("o/val-00000.tar"));
    prepare(dir, "o", 0, 46, VALIDATION, list);
    assertEquals((label(VALIDATION) + 1) % 4, ShardDataset.find(dir.resolve("o"), Split.TEST, 32).label(VALIDATION - 1));
  }

  @Test void wrongCountsAndForeignFilesAreRefusedByName(@TempDir Path dir) throws IOException {
    archives(dir);
    Path kit = dir.resolve("ILSVRC2012_devkit_t12.tar.gz");
    assertTrue(assertThrows(IOException.class, () -> prepare(dir, "o", 0, 47, VALIDATION, kit)).getMessage().contains("holds 46 images; 47 are expected"));
    assertFalse(Files.exists(dir.resolve("o/train.index")), "no index of a set that is not whole");
    assertTrue(assertThrows(IOException.class, () -> prepare(dir, "o", 0, 46, 50_000, kit)).getMessage().contains("50,000 are expected of ILSVRC 2012"));
    assertTrue(assertThrows(IOException.class, () -> prepare(dir, "o", 0, ImageNetArchives.TRAIN_IMAGES, VALIDATION, kit)).getMessage().contains("4 classes"));
    byte[] good = Files.readAllBytes(dir.resolve("train.tar"));
    Files.write(dir.resolve("train.tar"), Arrays.copyOf(good, good.length * 2 / 3));
    assertTrue(assertThrows(IOException.class, () -> prepare(dir, "p", 0)).getMessage().contains("cut short"));
    for (TarFile wrong : List.of(new TarFile().add("readme.txt", "x"), new TarFile().add("n01.tar", new TarFile().add("x.txt", "y").end()), new TarFile().add("n01.tar", new TarFile().end()),
        new TarFile().add("n01.tar", "junk".repeat(200)), new TarFile().add("n01.tar", new byte[0]).add("n01.tar", new byte[0]))) {
      Files.write(dir.resolve("train.tar"), wrong.end());
      Files.writeString(dir.resolve("labels.txt"), "n01\n".repeat(VALIDATION));
      String message = assertThrows(IOException.class, () -> prepare(dir, "q", 0, 1, VALIDATION, dir.resolve("labels.txt"))).getMessage();
      assertTrue(message.contains("train.tar"), message);
    }
  }

  /** The archive of the second class holds no images, which is found while another thread is still slow with the first. */
  @Test void afterARefusalNothingIsWrittenAnyMore(@TempDir Path dir) throws IOException {
    archives(dir);
    Files.write(dir.resolve("train.tar"), new TarFile().add("n01440764.tar", classTar(0, 5, images())).add("n02119789.tar", new TarFile().end()).end());
    Files.writeString(dir.resolve("labels.txt"), "n01440764\n".repeat(VALIDATION));
    AtomicInteger begun = new AtomicInteger(), ended = new AtomicInteger();
    ImageNetArchives.Plan plan = new ImageNetArchives.Plan(dir.resolve("train.tar"), dir.resolve("val.tar"), dir.resolve("labels.txt"), dir.resolve("o"), 0,
        ImageNetArchives.Encoding.JPEG, 5, VALIDATION, 2);
    String message = assertThrows(IOException.class, () -> ImageNetArchives.prepare(plan, (done, all) -> {
      if (!Thread.currentThread().getName().startsWith("onebit-prepare-")) return;
      begun.incrementAndGet();
      for (long end = System.nanoTime() + 500_000_000L; System.nanoTime() < end; ) Thread.onSpinWait();
      ended.incrementAndGet();
    })).getMessage();
    int atWork = begun.get() - ended.get();
    assertTrue(message.endsWith("n02119789.tar: holds no images"), message);
    assertTrue(begun.get() > 0, "a thread was at work on the first class");
    assertEquals(0, atWork, "threads that were at work when the refusal was told");
    try (Stream<Path> files = Files.list(dir.resolve("o"))) {
      assertEquals(List.of(), files.map(f -> f.getFileName().toString()).filter(n -> n.endsWith(".part")).toList());
    }
  }

  @Test void aBadImageIsCopiedAsItIsAndCounted(@TempDir Path dir) throws IOException {
    archives(dir);
    byte[] bad = "no image".getBytes();
    Files.write(dir.resolve("train.tar"), new TarFile().add("n01440764.tar", new TarFile().add("n01440764_1.JPEG", ShardTest.jpeg(1)).add("n01440764_2.JPEG", bad).end()).end());
    Files.writeString(dir.resolve("labels.txt"), "n01440764\n".repeat(VALIDATION));
    assertEquals(1, prepare(dir, "o", 32, 2, VALIDATION, dir.resolve("labels.txt")).kept());
    ShardDataset train = ShardDataset.find(dir.resolve("o"), Split.TRAIN, 32);
    train.decode(0, Box.Choice.WHOLE, new Picture());
    assertThrows(BadImageException.class, () -> train.decode(1, Box.Choice.WHOLE, new Picture()));
  }

  /** What is stored is what the decoder and the resize in plain Java make of the archives' files; a file that cannot be decoded stays among them. */
  @Test void pixelsAreStoredAndReadExactly(@TempDir Path dir) throws IOException {
    archives(dir);
    Path kit = dir.resolve("ILSVRC2012_devkit_t12.tar.gz"), ppm = dir.resolve("ppm");
    byte[] train = Files.readAllBytes(dir.resolve("train.tar"));
    byte[] extra = new TarFile().add("n09000000.tar", new TarFile().add("n09000000_1.JPEG", "no image").end()).bytes();
    Files.write(dir.resolve("train.tar"), ByteBuffer.allocate(train.length - 1024 + extra.length).put(extra).put(train, 0, train.length - 1024).array());
    prepare(dir, "original", 0, 47, VALIDATION, kit);
    assertEquals(1, prepare(dir, "ppm", 48, ImageNetArchives.Encoding.PPM, 47, VALIDATION, kit).kept());
    Map<String, Long> made = sums(ppm);
    prepare(dir, "ppm", 48, ImageNetArchives.Encoding.PPM, 47, VALIDATION, kit);
    assertEquals(made, sums(ppm));
    String message = assertThrows(IOException.class, () -> prepare(dir, "ppm", 48, 47, VALIDATION, kit)).getMessage();
    assertTrue(message.contains("PPM of pixels") && message.contains("JPEG quality") && message.contains("another --out"), message);
    for (Split split : Split.values()) {
      ShardDataset files = ShardDataset.find(dir.resolve("original"), split, 32), pixels = ShardDataset.find(ppm, split, 32);
      assertEquals(files.size(), pixels.size());
      assertNotEquals(files.fingerprint(), pixels.fingerprint());
      assertTrue(pixels.stored().startsWith("short side 48, PPM of pixels decoded by "), pixels.stored());
      for (int i = 0; i < files.size(); i++) {
        assertEquals(files.label(i), pixels.label(i));
        requireResized(files, pixels, i, 48);
      }
    }
  }

  private static void requireResized(ShardDataset files, ShardDataset pixels, int i, int shortSide) throws IOException {
    Picture whole = new Picture(), small = new Picture(), found = new Picture();
    if (new String(files.encoded(i), StandardCharsets.ISO_8859_1).equals("no image")) {
      assertTrue(pixels.describe(i).endsWith(".jpg"), pixels.describe(i));
      assertThrows(BadImageException.class, () -> pixels.decode(i, Box.Choice.WHOLE, found));
      return;
    }
    files.decode(i, Box.Choice.WHOLE, whole);
    int h = whole.height(), w = whole.width();
    if (Math.min(h, w) > shortSide) new Resize(false).apply(whole, h <= w ? shortSide : h * shortSide / w, w <= h ? shortSide : w * shortSide / h, small);
    else small = whole;
    assertTrue(pixels.describe(i).endsWith(".ppm"), pixels.describe(i));
    pixels.decode(i, Box.Choice.WHOLE, found);
    assertEquals(small.height() + "x" + small.width(), found.height() + "x" + found.width());
    assertArrayEquals(Arrays.copyOf(small.pixels(), small.bytes()), Arrays.copyOf(found.pixels(), found.bytes()), "image " + i);
    String header = "P6\n" + small.width() + " " + small.height() + "\n255\n";
    assertEquals(header, new String(pixels.encoded(i), 0, header.length(), StandardCharsets.US_ASCII));
    Box box = new Box(small.height() / 3, small.width() / 4, small.height() / 2, small.width() / 2);
    pixels.decode(i, (height, width) -> box, found);
    for (int row = 0; row < box.height(); row++) {
      int from = ((box.top() + row) * small.width() + box.left()) * 3, line = box.width() * 3;
      assertArrayEquals(Arrays.copyOfRange(small.pixels(), from, from + line), Arrays.copyOfRange(found.pixels(), row * line, row * line + line), "image " + i + ", row " + row + " of " + box);
    }
  }

  @Test void pixelsAreCheckedAndGiveTheSameBatchesByAnyNumberOfThreads(@TempDir Path dir) throws IOException {
    archives(dir);
    Path ppm = dir.resolve("ppm");
    prepare(dir, "ppm", 64, ImageNetArchives.Encoding.PPM, 46, VALIDATION, dir.resolve("ILSVRC2012_devkit_t12.tar.gz"));
    ShardDataset indexed = ShardDataset.find(ppm, Split.TRAIN, 32);
    List<Long> batches = batches(indexed, 1);
    assertEquals(5, batches.size());
    assertEquals(batches, batches(indexed, 3));
    Files.delete(ppm.resolve("train.index"));
    ShardDataset scanned = ShardDataset.find(ppm, Split.TRAIN, 32);
    assertEquals("made elsewhere: 46 ppm", scanned.stored());
    assertEquals(batches, batches(scanned, 2));
    Path tar = ppm.resolve("val-00000.tar");
    byte[] content = Files.readAllBytes(tar);
    ShardIndex index = ShardIndex.read(ppm.resolve("val.index"));
    Random random = new Random(8);
    for (int n = 0; n < 20; n++) {
      int i = random.nextInt(VALIDATION), at = (int) index.at[i] + random.nextInt(index.length[i]);
      byte bit = (byte) (1 << random.nextInt(8));
      content[at] ^= bit;
      Files.write(tar, content);
      String message = assertThrows(BadImageException.class, () -> ShardDataset.find(ppm, Split.TEST, 32).decode(i, (h, w) -> new Box(0, 0, 1, 1), new Picture())).getMessage();
      assertTrue(message.contains(".ppm") && message.contains("CRC"), message);
      content[at] ^= bit;
    }
  }

  /** A checksum of each batch of an epoch as training sees it. */
  private static List<Long> batches(Dataset images, int threads) {
    List<Long> all = new ArrayList<>();
    try (Loader loader = new Loader(images, Sampler.training(4, images.size(), 9), Augmentation.imagenet(32, 0.08, 1), threads)) {
      loader.start(1, 0);
      for (ImageBatch batch = loader.next(); batch != null; batch = loader.next()) {
        CRC32C crc = new CRC32C();
        crc.update(batch.pixels(), 0, batch.count() * batch.imageBytes());
        for (int i = 0; i < batch.count(); i++) crc.update(batch.labels()[i]);
        all.add(crc.getValue());
      }
    }
    return all;
  }

  @Test void aKilledRunGoesOnToTheSameBytes(@TempDir Path dir) throws Exception {
    archives(dir);
    prepare(dir, "jpeg", 200);
    prepare(dir, "ppm", 200, ImageNetArchives.Encoding.PPM, 46, VALIDATION, dir.resolve("ILSVRC2012_devkit_t12.tar.gz"));
    Random random = new Random(2);
    int killed = 0;
    for (int round = 0; round < 3; round++) {
      Path out = dir.resolve("killed" + round);
      String encoding = round == 1 ? "ppm" : "jpeg";
      for (int attempt = 0; attempt < 3; attempt++) {
        Process child = child(dir, out, encoding);
        if (!child.waitFor(250 + random.nextInt(900), TimeUnit.MILLISECONDS)) {
          child.destroyForcibly().waitFor();
          killed++;
        }
      }
      Process last = child(dir, out, encoding);
      assertTrue(last.waitFor(120, TimeUnit.SECONDS));
      assertEquals(0, last.exitValue());
      Map<String, Long> found = sums(out);
      found.keySet().removeIf(name -> name.endsWith(".part"));
      assertEquals(sums(dir.resolve(encoding)), found);
    }
    assertTrue(killed > 0, "no run was killed");
  }

  private static Process child(Path dir, Path out, String encoding) throws IOException {
    return new ProcessBuilder(ProcessHandle.current().info().command().orElseThrow(), "--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED", "-Xmx512m",
        "-cp", System.getProperty("java.class.path"), Main.class.getName(), "data", "prepare", "imagenet", "--train", dir.resolve("train.tar").toString(), "--val",
        dir.resolve("val.tar").toString(), "--out", out.toString(), "--short-side", "200", "--encoding", encoding, "--expect-train", "46", "--expect-val", Integer.toString(VALIDATION), "--threads", "2")
        .redirectErrorStream(true).redirectOutput(dir.resolve("child.log").toFile()).start();
  }
}
