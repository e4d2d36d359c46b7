package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class VocDatasetTest {
  private static final Path SAMPLE = Path.of("../shared/data/voc2012-sample");
  private static final String DOG = VocFolder.object("dog", false, 11, 21, 51, 61);

  private static VocDataset open(Path dir, Split split, String... lists) throws IOException {
    return VocDataset.open(dir, List.of(lists), split, 30);
  }

  private static Boxes boxes(VocDataset set, int index) {
    Boxes boxes = new Boxes();
    set.boxes(index, boxes);
    return boxes;
  }

  private static void requireBox(Boxes boxes, int box, double left, double top, double right, double bottom) {
    assertArrayEquals(new float[] {(float) left, (float) top, (float) right, (float) bottom},
        new float[] {boxes.left(box), boxes.top(box), boxes.right(box), boxes.bottom(box)}, 1e-7f);
  }

  @Test void theRealSampleHasTheBoxesThatItsTextHas() throws IOException {
    assumeTrue(Files.isDirectory(SAMPLE), "needs the photos of ../shared/data/voc2012-sample");
    VocDataset test = open(SAMPLE, Split.TEST, "./sample"), train = open(SAMPLE, Split.TRAIN, "./sample");
    assertEquals(100, test.size());
    assertEquals("", test.finding());
    Pattern object = Pattern.compile("<object>\\s*<name>(\\w+)</name>.*?<difficult>(\\d)</difficult>(.*?)</object>", Pattern.DOTALL);
    int objects = 0, difficult = 0, inTraining = 0, learned = 0;
    Set<Integer> classes = new HashSet<>();
    for (int i = 0; i < test.size(); i++) {
      String text = Files.readString(SAMPLE.resolve("Annotations").resolve(test.id(i) + ".xml"));
      double width = number(text, "width"), height = number(text, "height");
      Boxes all = boxes(test, i);
      assertEquals((int) width, all.imageWidth());
      assertEquals((int) height, all.imageHeight());
      Matcher each = object.matcher(text);
      int box = 0, easy = 0;
      for (; each.find(); box++) {
        assertEquals(each.group(1), VocDataset.CLASSES.get(all.label(box)), test.id(i));
        assertEquals(each.group(2).equals("1"), all.difficult(box), test.id(i));
        requireBox(all, box, (number(each.group(3), "xmin") - 1) / width, (number(each.group(3), "ymin") - 1) / height,
            (number(each.group(3), "xmax") - 1) / width, (number(each.group(3), "ymax") - 1) / height);
        classes.add(all.label(box));
        if (all.difficult(box)) difficult++;
        else easy++;
      }
      assertEquals(box, all.count(), test.id(i));
      objects += box;
      learned += easy;
      if (easy > 0) assertEquals(test.id(i), train.id(inTraining++));
    }
    assertEquals(List.of(273, 38, 20), List.of(objects, difficult, classes.size()));
    assertEquals(inTraining, train.size());
    int left = 0;
    for (int i = 0; i < train.size(); i++) left += boxes(train, i).count();
    assertEquals(learned, left);
  }

  private static double number(String text, String tag) {
    Matcher found = Pattern.compile("<" + tag + ">([0-9.]+)</" + tag + ">").matcher(text);
    assertTrue(found.find(), tag);
    return Double.parseDouble(found.group(1));
  }

  @Test void realPhotosAreReadWholeAndResized() throws IOException {
    assumeTrue(Files.isDirectory(SAMPLE), "needs the photos of ../shared/data/voc2012-sample");
    VocDataset set = VocDataset.open(SAMPLE, List.of("./sample"), Split.TEST, 300);
    Picture whole = new Picture(), small = new Picture();
    byte[] read = new byte[set.imageBytes()];
    for (int i = 0; i < 10; i++) {
      set.decode(i, Box.Choice.WHOLE, whole);
      Boxes boxes = boxes(set, i);
      assertEquals(List.of(boxes.imageHeight(), boxes.imageWidth()), List.of(whole.height(), whole.width()));
      set.read(i, read, 0);
      new Resize().apply(whole, 300, 300, small);
      assertArrayEquals(Arrays.copyOf(small.pixels(), small.bytes()), read);
    }
  }

  @Test void listsAreJoinedInTheirOrderFromEitherFolder(@TempDir Path dir) throws IOException {
    new VocFolder(dir.resolve("VOCdevkit/VOC2007")).photo("trainval", "000005", 60, 70, DOG).photo("trainval", "000002", 60, 70, DOG).photo("test", "000001", 60, 70, DOG);
    new VocFolder(dir.resolve("VOC2012")).photo("trainval", "2008_000002", 60, 70, DOG).list("trainval", "");
    VocDataset both = open(dir, Split.TRAIN, "VOC2007/trainval", "VOC2012/trainval");
    assertEquals(List.of("000005", "000002", "2008_000002"), List.of(both.id(0), both.id(1), both.id(2)));
    assertEquals(3, both.size());
    assertEquals("000001", open(dir, Split.TEST, "VOC2007/test").id(0));
    assertEquals("2008_000002", open(dir.resolve("VOC2012"), Split.TEST, "./trainval").id(0));
    assertTrue(both.describe(2).endsWith("VOC2012/JPEGImages/2008_000002.jpg"), both.describe(2));
    assertEquals(20, both.classes());
    assertEquals(0, both.label(2));
  }

  @Test void onePixelIsTakenFromEveryCornerBeforeItIsDivided(@TempDir Path dir) throws IOException {
    new VocFolder(dir).photo("a", "x", 80, 40, VocFolder.object("cat", true, 1, 1, 80, 40) + VocFolder.object("bus", false, "45.5", 11, "47.25", 21));
    Path xml = new VocFolder(dir).xml("x");
    Files.writeString(xml, "\uFEFF<?xml version='1.0' encoding='utf-8'?>" + Files.readString(xml).replace("Left", "zu Füßen")
        .replace("<bndbox>", "<part><name>head</name><bndbox><xmin>3</xmin></bndbox></part><bndbox><score><xmin>5</xmin></score>"));
    Boxes boxes = boxes(open(dir, Split.TEST, "./a"), 0);
    requireBox(boxes, 0, 0, 0, 79 / 80.0, 39 / 40.0);
    requireBox(boxes, 1, 44.5 / 80, 0.25, 46.25 / 80, 0.5);
    assertEquals(List.of(7, 5), List.of(boxes.label(0), boxes.label(1)));
    assertEquals(List.of(true, false), List.of(boxes.difficult(0), boxes.difficult(1)));
  }

  @Test void boxesThatBreakARuleAreClippedOrLeftOutAndCounted(@TempDir Path dir) throws IOException {
    VocFolder folder = new VocFolder(dir);
    folder.photo("a", "out", 80, 40, VocFolder.object("cat", false, -20, 11, 41, 60) + VocFolder.object("cat", false, 90, 5, 99, 9) + VocFolder.object("cat", false, 11, 11, 11, 31)
        + VocFolder.object("cat", false, 41, 11, 21, 31) + VocFolder.object("cat", false, 11, 21, 31, 21) + VocFolder.object("cat", false, 11, 31, 31, 21) + VocFolder.object("dog", true, 1, 1, 41, 21));
    VocDataset test = open(dir, Split.TEST, "./a");
    Boxes boxes = boxes(test, 0);
    assertEquals(2, boxes.count());
    requireBox(boxes, 0, 0, 0.25, 0.5, 1);
    assertEquals(11, boxes.label(1));
    assertEquals("voc: of 1 photo and 7 boxes, 1 box reaches out of the photo and is clipped; 5 boxes are empty or outside and left out.", test.finding());

    folder.photo("b", "easy", 80, 40, DOG.replace("61", "40")).photo("b", "hard", 80, 40, VocFolder.object("cat", true, 1, 1, 41, 21)).photo("b", "bare", 80, 40, "");
    VocDataset train = open(dir, Split.TRAIN, "./b");
    assertEquals(List.of(1, "easy"), List.of(train.size(), train.id(0)));
    assertEquals("voc: of 3 photos and 1 box, 2 photos are left out of training, where all objects are difficult or none is.", train.finding());
    VocDataset all = open(dir, Split.TEST, "./b");
    assertEquals(List.of(3, ""), List.of(all.size(), all.finding()));
    assertEquals(0, boxes(all, 2).count());
    folder.list("c", "hard").list("c", "bare");
    assertTrue(assertThrows(IOException.class, () -> open(dir, Split.TRAIN, "./c")).getMessage().startsWith("voc: none of the 2 images has an object to learn from"));
  }

  @Test void thePhotosSizeCountsWhereTheAnnotationSaysAnother(@TempDir Path dir) throws IOException {
    VocFolder folder = new VocFolder(dir).photo("a", "x", 80, 40, DOG.replace("61", "40"));
    Files.writeString(folder.xml("x"), VocFolder.annotation(40, 80, VocFolder.object("dog", false, 21, 11, 61, 31)));
    VocDataset set = open(dir, Split.TEST, "./a");
    requireBox(boxes(set, 0), 0, 0.25, 0.25, 0.75, 0.75);
    assertEquals(List.of(40, 80), List.of(boxes(set, 0).imageHeight(), boxes(set, 0).imageWidth()));
    for (int[] size : new int[][] {{40, 80}, {81, 40}, {80, 41}}) {
      Files.writeString(folder.xml("x"), VocFolder.annotation(size[0], size[1], VocFolder.object("dog", false, 21, 11, 61, 31)));
      assertEquals("voc: of 1 photo and 1 box, 1 photo has another size than the annotation says, and the photo's counts.", open(dir, Split.TEST, "./a").finding());
    }
  }

  /** Boxes are of the pixels as they are stored, so a photo that asks for a quarter turn keeps its rows and its boxes. */
  @Test void aTurnThatExifAsksForIsNotMade(@TempDir Path dir) throws IOException {
    VocFolder folder = new VocFolder(dir).photo("a", "x", 80, 40, DOG.replace("61", "40"));
    byte[] plain = Files.readAllBytes(folder.jpeg("x"));
    byte[] exif = {(byte) 0xFF, (byte) 0xE1, 0, 34, 'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0};
    byte[] large = {(byte) 0xFF, (byte) 0xFE, (byte) 0xC0, 0};
    byte[] turned = new byte[plain.length + exif.length + 2 + 0xC000];
    System.arraycopy(plain, 0, turned, 0, 2);
    System.arraycopy(exif, 0, turned, 2, exif.length);
    System.arraycopy(large, 0, turned, 2 + exif.length, large.length);
    System.arraycopy(plain, 2, turned, 4 + exif.length + 0xC000, plain.length - 2);
    Picture before = new Picture(), after = new Picture();
    open(dir, Split.TEST, "./a").decode(0, Box.Choice.WHOLE, before);
    Files.write(folder.jpeg("x"), turned);
    VocDataset set = open(dir, Split.TEST, "./a");
    set.decode(0, Box.Choice.WHOLE, after);
    assertEquals(List.of(40, 80, 40, 80, ""), List.of(after.height(), after.width(), boxes(set, 0).imageHeight(), boxes(set, 0).imageWidth(), set.finding()));
    assertArrayEquals(Arrays.copyOf(before.pixels(), before.bytes()), Arrays.copyOf(after.pixels(), after.bytes()));
    requireBox(boxes(set, 0), 0, 10 / 80.0, 0.5, 50 / 80.0, 39 / 40.0);
  }

  @ParameterizedTest
  @CsvSource(quoteCharacter = '"', delimiter = '|', value = {
      "<name>dog</name> | <name>dgo</name> | line 3, column 25: class dgo is not known; known are aeroplane, bicycle,",
      "<name>dog</name> | \"\" | an object has no name",
      "<ymax>61</ymax> | \"\" | an object of class dog has no ymax",
      "<xmin>11</xmin> | <xmin>eleven</xmin> | xmin is eleven; it must be a number",
      "<xmin>11</xmin> | <xmin>NaN</xmin> | xmin is NaN; it must be a number",
      "<xmin>11</xmin> | <xmin>1<b>1</b></xmin> | line 3, column",
      "<width>80</width> | \"\" | its size is 0x40; it must have a size with a width and a height >= 1",
      "<width>80</width> | <width>0</width> | its size is 0x40",
      "<height>40</height> | \"\" | its size is 80x0; it must have a size with a width and a height >= 1",
      "<height>40</height> | <height>1048577</height> | height 1048577.0 must be a whole number of pixels",
      "<width>80</width> | <width>80.5</width> | width 80.5 must be a whole number of pixels",
      "<width>80</width> | <width>-80</width> | width -80.0 must be a whole number of pixels",
      "</object> | </obect> | line 3, column",
      "</annotation> | \"\" | line 5, column 1: ",
      "</annotation> | </annotation><annotation/> | line 4, column",
      "annotation> | notes> | begins with notes; it must be an annotation",
      "<annotation> | <!DOCTYPE annotation [<!ENTITY d SYSTEM 'secret'>]><annotation> | has a document type; annotations have none"})
  void anAnnotationThatCannotBeUsedIsNamedWithItsPlace(String what, String by, String sentence, @TempDir Path dir) throws IOException {
    VocFolder folder = new VocFolder(dir).photo("a", "x", 80, 40, DOG);
    Files.writeString(folder.xml("x"), Files.readString(folder.xml("x")).replace(what, by));
    String message = assertThrows(IOException.class, () -> open(dir, Split.TEST, "./a")).getMessage();
    assertTrue(message.startsWith(folder.xml("x") + ": ") && message.contains(sentence), message);
    assertEquals(1, message.lines().count(), message);
  }

  @Test void entitiesAndFilesThatAreNoAnnotationsAreRefused(@TempDir Path dir) throws IOException {
    VocFolder folder = new VocFolder(dir).photo("a", "x", 80, 40, DOG.replace("dog", "&d;"));
    for (byte[] content : new byte[][] {Files.readAllBytes(folder.xml("x")), {}, "no markup".getBytes(), new byte[(1 << 20) + 1], {(byte) 0xFF, (byte) 0xFE, 0}}) {
      Files.write(folder.xml("x"), content);
      String message = assertThrows(IOException.class, () -> open(dir, Split.TEST, "./a")).getMessage();
      assertTrue(message.startsWith(folder.xml("x") + ": "), message);
      assertEquals(1, message.lines().count(), message);
    }
    Files.writeString(folder.xml("x"), VocFolder.annotation(80, 40, DOG) + " ".repeat(1 << 20));
    assertTrue(assertThrows(IOException.class, () -> open(dir, Split.TEST, "./a")).getMessage().endsWith("an annotation has at most 1048576"));
  }

  @Test void missingFilesAreNamedWithWhatTheyAreFor(@TempDir Path dir) throws IOException {
    requireMissing(dir, "VOC2007/trainval", "the folder VOC2007 of the list VOC2007/trainval is not in " + dir);
    requireMissing(dir, "VOC2007/trainval", "datasets/voc/README.md");
    VocFolder folder = new VocFolder(dir.resolve("VOC2007"));
    requireMissing(dir, "VOC2007/trainval", "trainval.txt of the list VOC2007/trainval does not exist; datasets/voc/README.md");
    folder.photo("trainval", "x", 80, 40, DOG).photo("trainval", "y", 80, 40, DOG);
    Files.delete(folder.jpeg("y"));
    requireMissing(dir, "VOC2007/trainval", folder.jpeg("y") + " does not exist; every image of a list has its photo");
    Files.delete(folder.xml("x"));
    requireMissing(dir, "VOC2007/trainval", folder.xml("x") + " does not exist; every image of a list has its annotation");
  }

  private static void requireMissing(Path dir, String list, String sentence) {
    String message = assertThrows(FileNotFoundException.class, () -> open(dir, Split.TRAIN, list)).getMessage();
    assertTrue(message.startsWith("voc: ") && message.contains(sentence), message);
  }

  @Test void listsThatAreNoListsAreRefused(@TempDir Path dir) throws IOException {
    VocFolder folder = new VocFolder(dir).photo("a", "x", 80, 40, DOG);
    for (String wrong : new String[] {"trainval", "../VOC2007/a", "VOC2007/a/b", "/a", "VOC2007/", "..", "../a", "./..", ""}) {
      String message = assertThrows(IllegalArgumentException.class, () -> open(dir, Split.TEST, wrong)).getMessage();
      assertTrue(message.startsWith("voc: the list " + wrong + " must be written FOLDER/NAME"), message);
    }
    assertThrows(IllegalArgumentException.class, () -> open(dir, Split.TEST));
    for (String line : new String[] {"../../x", "x  1", "x -1"}) {
      folder.list("b" + line.length(), "x").list("b" + line.length(), line);
      String message = assertThrows(IOException.class, () -> open(dir, Split.TEST, "./b" + line.length())).getMessage();
      assertTrue(message.contains("line 2 must be the id of one image"), message);
    }
    assertTrue(assertThrows(IOException.class, () -> open(dir, Split.TEST, "./a", "./a")).getMessage().contains("image x has been named before"));
    folder.list("empty", "");
    assertTrue(assertThrows(IOException.class, () -> open(dir, Split.TEST, "./empty")).getMessage().endsWith("empty.txt: names no images"));
  }

  /** A photo that cannot be decoded is no reason not to open the set: its reader refuses it, and the run's ledger counts it. */
  @Test void aDamagedPhotoIsRefusedWhenItIsRead(@TempDir Path dir) throws IOException {
    VocFolder folder = new VocFolder(dir).photo("a", "x", 80, 40, DOG.replace("61", "40"));
    Files.write(folder.jpeg("x"), Arrays.copyOf(Files.readAllBytes(folder.jpeg("x")), 100));
    VocDataset set = open(dir, Split.TRAIN, "./a");
    requireBox(boxes(set, 0), 0, 10 / 80.0, 0.5, 50 / 80.0, 39 / 40.0);
    String message = assertThrows(BadImageException.class, () -> set.read(0, new byte[set.imageBytes()], 0)).getMessage();
    assertTrue(message.startsWith(folder.jpeg("x").toString()), message);
  }
}
