package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ImageFolderDatasetTest {
  private static void png(Path file, int width, int height, int type) throws IOException {
    Files.createDirectories(file.getParent());
    BufferedImage image = new BufferedImage(width, height, type);
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        int[] levels = {x * 9 & 255, y * 5 & 255, x + y & 255, 255};
        image.getRaster().setPixel(x, y, Arrays.copyOf(levels, image.getRaster().getNumBands()));
      }
    }
    ImageIO.write(image, "png", file.toFile());
  }

  @Test void sortedFoldersAreTheClasses(@TempDir Path dir) throws IOException {
    png(dir.resolve("train/pear/b.png"), 40, 30, BufferedImage.TYPE_3BYTE_BGR);
    png(dir.resolve("train/apple/z.PNG"), 20, 20, BufferedImage.TYPE_BYTE_GRAY);
    png(dir.resolve("train/pear/a.png"), 28, 28, BufferedImage.TYPE_3BYTE_BGR);
    png(dir.resolve("val/apple/a.png"), 28, 28, BufferedImage.TYPE_3BYTE_BGR);
    ImageFolderDataset train = ImageFolderDataset.open(dir, Split.TRAIN, 14);
    assertEquals(List.of("apple", "pear"), train.classNames());
    assertArrayEquals(new int[] {0, 1, 1}, new int[] {train.label(0), train.label(1), train.label(2)});
    assertTrue(train.describe(1).endsWith("a.png"));
    assertTrue(assertThrows(IOException.class, () -> ImageFolderDataset.open(dir, Split.TEST, 14)).getMessage().contains("no folder of the class pear"));
    png(dir.resolve("val/pear/a.png"), 28, 28, BufferedImage.TYPE_3BYTE_BGR);
    assertEquals(2, ImageFolderDataset.open(dir, Split.TEST, 14).size());
    png(dir.resolve("val/plum/a.png"), 28, 28, BufferedImage.TYPE_3BYTE_BGR);
    assertTrue(assertThrows(IOException.class, () -> ImageFolderDataset.open(dir, Split.TEST, 14)).getMessage().contains("class plum, which"));

    Picture own = new Picture();
    train.decode(2, Box.Choice.WHOLE, own);
    assertEquals(30, own.height());
    assertEquals(40, own.width());
    assertArrayEquals(new byte[] {(byte) 90, (byte) 100, (byte) 30}, Arrays.copyOfRange(own.pixels(), (20 * 40 + 10) * 3, (20 * 40 + 10) * 3 + 3));
    train.decode(0, Box.Choice.WHOLE, own);
    assertArrayEquals(new byte[] {81, 81, 81}, Arrays.copyOfRange(own.pixels(), 27, 30), "grey levels are copied unchanged");

    byte[] fixed = new byte[train.imageBytes()];
    train.read(2, fixed, 0);
    Picture expected = new Picture();
    train.decode(2, Box.Choice.WHOLE, own);
    Augmentation.centre(own, 16, 14, new Resize(), expected);
    assertArrayEquals(Arrays.copyOf(expected.pixels(), fixed.length), fixed);
  }

  @Test void everyKindOfPngBecomesRgb(@TempDir Path dir) throws IOException {
    png(dir.resolve("alpha.png"), 9, 7, BufferedImage.TYPE_4BYTE_ABGR);
    Picture x = new Picture();
    new ImageDecoder().decode(dir.resolve("alpha.png"), x);
    assertArrayEquals(new byte[] {27, 20, 7}, Arrays.copyOfRange(x.pixels(), (4 * 9 + 3) * 3, (4 * 9 + 3) * 3 + 3));
    BufferedImage bits = new BufferedImage(8, 8, BufferedImage.TYPE_BYTE_BINARY);
    bits.setRGB(3, 2, 0xFFFFFF);
    ImageIO.write(bits, "png", dir.resolve("bits.png").toFile());
    new ImageDecoder().decode(dir.resolve("bits.png"), x);
    assertEquals(-1, x.pixels()[(2 * 8 + 3) * 3 + 1]);
    assertEquals(0, x.pixels()[(2 * 8 + 4) * 3 + 1]);
    BufferedImage deep = new BufferedImage(4, 1, BufferedImage.TYPE_USHORT_GRAY), coloured = new BufferedImage(2, 1, BufferedImage.TYPE_BYTE_INDEXED);
    for (int i = 0; i < 4; i++) deep.getRaster().setSample(i, 0, 0, new int[] {0, 81 * 257 + 128, 81 * 257 + 129, 65535}[i]);
    ImageIO.write(deep, "png", dir.resolve("deep.png").toFile());
    new ImageDecoder().decode(dir.resolve("deep.png"), x);
    assertArrayEquals(new byte[] {0, 0, 0, 81, 81, 81, 82, 82, 82, -1, -1, -1}, Arrays.copyOf(x.pixels(), 12), "sixteen bits a level");
    coloured.setRGB(0, 0, 0xFF6633);
    ImageIO.write(coloured, "png", dir.resolve("coloured.png").toFile());
    new ImageDecoder().decode(dir.resolve("coloured.png"), x);
    assertArrayEquals(new byte[] {-1, 0x66, 0x33, 0, 0, 0}, Arrays.copyOf(x.pixels(), 6), "a table of colours");
  }

  @Test void foldersThatAreNotClassesOfImagesAreRefused(@TempDir Path dir) throws IOException {
    assertTrue(refused(dir).contains("datasets/imagenet"));
    Files.createDirectories(dir.resolve("train"));
    assertTrue(refused(dir).contains("no class folders"));
    Files.createDirectories(dir.resolve("train/a"));
    assertTrue(refused(dir).contains("no images"));
    Files.writeString(dir.resolve("train/a/notes.txt"), "x");
    assertTrue(refused(dir).contains("notes.txt"));
    Files.createSymbolicLink(dir.resolve("train/b"), dir.resolve("train/c"));
    Files.createSymbolicLink(dir.resolve("train/c"), dir.resolve("train/b"));
    assertTrue(refused(dir).contains("in a circle"));
  }

  /** It says whether a run that goes on sees what it saw, wherever the folders lie now. */
  @Test void theFingerprintIsOfNamesAndClasses(@TempDir Path dir) throws IOException {
    String[][] folders = {{"a/1.png", "b/2.png"}, {"a/1.png", "b/2.png"}, {"a/1.png", "b/3.png"}, {"a/1.png", "a/2.png", "b/3.png"}, {"a/1.png", "b/2.png", "b/3.png"}};
    List<Integer> found = new ArrayList<>();
    for (int i = 0; i < folders.length; i++) {
      empty(dir.resolve("set" + i), folders[i]);
      found.add(ImageFolderDataset.list("x", dir.resolve("set" + i), 8).fingerprint());
    }
    assertEquals(found.get(0), found.get(1));
    assertEquals(4, new HashSet<>(found).size());
  }

  private static List<String> part(Path dir, Split split, double share) throws IOException {
    ImageFolderDataset part = ImageFolderDataset.part(dir, split, share, 8);
    return IntStream.range(0, part.size()).mapToObj(i -> dir.relativize(part.file(i)).toString()).toList();
  }

  private static void empty(Path dir, String... names) throws IOException {
    for (String name : names) {
      Files.createDirectories(dir.resolve(name).getParent());
      Files.createFile(dir.resolve(name));
    }
  }

  @Test void aShareOfTheImagesIsKeptToJudgeByAndNoneMovesWhenOthersCome(@TempDir Path dir) throws IOException {
    for (int i = 0; i < 500; i++) empty(dir, "a/" + i + ".png", "b/more/" + i + ".png");
    List<String> train = part(dir, Split.TRAIN, 0.2), test = part(dir, Split.TEST, 0.2);
    assertEquals(1000, train.size() + test.size());
    assertTrue(Collections.disjoint(train, test));
    for (String folder : List.of("a/", "b/")) {
      long kept = test.stream().filter(file -> file.startsWith(folder)).count();
      assertTrue(kept > 100 - 36 && kept < 100 + 36, "four deviations of a fifth of 500: " + kept);
    }
    assertEquals(List.of("a/0.png", "a/103.png", "a/104.png", "a/11.png", "a/110.png", "a/12.png"), test.stream().limit(6).toList(), "later versions split as this one");
    assertTrue(part(dir, Split.TEST, 0.3).containsAll(test), "a larger share takes more");
    for (int i = 500; i < 700; i++) empty(dir, "a/" + i + ".png", "0/" + i + ".png");
    assertTrue(part(dir, Split.TRAIN, 0.2).containsAll(train));
    assertTrue(part(dir, Split.TEST, 0.2).containsAll(test));
    ImageFolderDataset labelled = ImageFolderDataset.part(dir, Split.TEST, 0.2, 8);
    for (int i = 0; i < labelled.size(); i++) assertEquals(labelled.classNames().get(labelled.label(i)), dir.relativize(labelled.file(i)).getName(0).toString());
    assertEquals(labelled.size() + " of 1,400 images are kept to judge by (data.valShare 0.2)", labelled.finding());
  }

  @Test void partsThatLackWhatTheyAreForAreRefused(@TempDir Path dir) throws IOException {
    empty(dir, "a/0.png", "b/0.png");
    List<String> said = new ArrayList<>();
    for (double share = 0.05; share < 0.95; share += 0.05) {
      for (Split split : Split.values()) {
        try {
          ImageFolderDataset part = ImageFolderDataset.part(dir, split, share, 8);
          if (split == Split.TEST && part.size() == 1) assertTrue(part.finding().endsWith(", of 1 of the 2 classes none: " + part.classNames().get(1 - part.label(0))), part.finding());
        } catch (IOException e) {
          said.add(e.getMessage().replaceAll("0\\.\\d+", "X"));
        }
      }
    }
    String hand = ", or choose by hand: DIR/train/CLASS and DIR/val/CLASS without data.valShare";
    assertTrue(said.contains(dir + ": data.valShare X leaves no image to judge by; give more images or a larger share" + hand), said.toString());
    assertTrue(said.stream().anyMatch(s -> s.matches(".*/[ab]: data.valShare X leaves no image to train on; give more images or a smaller share" + hand)), said.toString());
    assertTrue(refused(dir).contains("has no folder train; if those in it are the classes, --set data.valShare=0.1 keeps a tenth of their images to judge by"), refused(dir));
    empty(dir, "train/a/0.png");
    String message = assertThrows(IOException.class, () -> ImageFolderDataset.part(dir, Split.TRAIN, 0.1, 8)).getMessage();
    assertTrue(message.contains("has a folder train with folders in it, and data.valShare is for a folder of classes; leave it out, or say --data " + dir.resolve("train")), message);
  }

  @Test void foldersInAClassAreReadAndOtherFilesAreCounted(@TempDir Path dir) throws IOException {
    for (String file : List.of("a/z.png", "a/c/1.png", "a/b d/2.png", "b/1.png")) png(dir.resolve("train").resolve(file), 8, 8, BufferedImage.TYPE_3BYTE_BGR);
    for (String file : List.of("a/Thumbs.db", "a/c/notes.txt", "b/.hidden")) Files.writeString(dir.resolve("train").resolve(file), "x");
    empty(dir, "train/a/@eaDir/z.png/SYNOPHOTO_THUMB_M.jpg", "train/a/c/._1.png");
    ImageFolderDataset train = ImageFolderDataset.open(dir, Split.TRAIN, 8);
    assertEquals(List.of("a/z.png", "a/b d/2.png", "a/c/1.png", "b/1.png"), IntStream.range(0, train.size()).mapToObj(i -> dir.resolve("train").relativize(train.file(i)).toString()).toList());
    assertArrayEquals(new int[] {0, 0, 0, 1}, IntStream.range(0, 4).map(train::label).toArray());
    assertTrue(train.finding().startsWith("2 files were left out") && train.finding().contains("Thumbs.db"), train.finding());
    Files.createSymbolicLink(dir.resolve("train/b/back"), dir.resolve("train/a"));
    assertEquals(7, ImageFolderDataset.open(dir, Split.TRAIN, 8).size(), "a link to another folder is followed");
    Files.createSymbolicLink(dir.resolve("train/a/c/loop"), dir.resolve("train/b"));
    assertTrue(refused(dir).contains("leads back to"), refused(dir));
  }

  @Test void aFolderNamedLikeAnImageIsReadLikeOtherFolders(@TempDir Path dir) throws IOException {
    for (String file : List.of("z.png", "album.jpg/1.png", "none.png/deep.jpeg/2.png")) png(dir.resolve("train/a").resolve(file), 8, 8, BufferedImage.TYPE_3BYTE_BGR);
    png(dir.resolve("train/b/1.png"), 8, 8, BufferedImage.TYPE_3BYTE_BGR);
    Files.createSymbolicLink(dir.resolve("train/b/linked.png"), dir.resolve("train/b/1.png"));
    Files.createDirectories(dir.resolve("train/a/empty.jpg"));
    ImageFolderDataset train = ImageFolderDataset.open(dir, Split.TRAIN, 8);
    assertEquals(List.of("a/z.png", "a/album.jpg/1.png", "a/none.png/deep.jpeg/2.png", "b/1.png", "b/linked.png"),
        IntStream.range(0, train.size()).mapToObj(i -> dir.resolve("train").relativize(train.file(i)).toString()).toList());
  }

  @Test void aNameThatIsNoTextIsRefused(@TempDir Path dir) throws IOException, InterruptedException {
    Path folder = Files.createDirectories(dir.resolve("train/a"));
    assertEquals(0, new ProcessBuilder("bash", "-c", "touch \"$1\"/$'caf\\xe9.png'", "-", folder.toString()).start().waitFor());
    assertTrue(refused(dir).contains("no text in "), refused(dir));
  }

  @Test void filesOfManyFoldersKeepTheirPlaces() throws IOException {
    FolderFiles files = new FolderFiles();
    String word = "UTF-8".equals(System.getProperty("sun.jnu.encoding")) ? "bild \u00e4\u65e5 " : "bild ";
    List<Path> expected = new ArrayList<>();
    for (int f = 0; f < 100; f++) {
      Path folder = Path.of("folder" + f);
      List<String> names = new ArrayList<>();
      for (int n = 0; n < f * 7 % 5; n++) names.add(word.repeat(n) + n + ".png");
      files.add(folder, names);
      names.forEach(n -> expected.add(folder.resolve(n)));
    }
    assertEquals(expected, files);
    assertThrows(IndexOutOfBoundsException.class, () -> files.get(files.size()));
  }

  private static String refused(Path dir) {
    return assertThrows(IOException.class, () -> ImageFolderDataset.open(dir, Split.TRAIN, 8)).getMessage();
  }

  @Test void tinyImageNetsLayoutIsRead(@TempDir Path dir) throws IOException {
    png(dir.resolve("train/n02/images/n02_0.JPEG"), 64, 64, BufferedImage.TYPE_3BYTE_BGR);
    png(dir.resolve("train/n01/images/n01_0.JPEG"), 64, 64, BufferedImage.TYPE_3BYTE_BGR);
    png(dir.resolve("train/n01/images/n01_1.JPEG"), 64, 64, BufferedImage.TYPE_3BYTE_BGR);
    Files.writeString(dir.resolve("train/n01/n01_boxes.txt"), "n01_0.JPEG\t0\t0\t10\t10\n");
    png(dir.resolve("val/images/val_0.JPEG"), 64, 64, BufferedImage.TYPE_3BYTE_BGR);
    png(dir.resolve("val/images/val_1.JPEG"), 64, 64, BufferedImage.TYPE_3BYTE_BGR);
    Path table = dir.resolve("val/val_annotations.txt");
    Files.writeString(table, "val_0.JPEG\tn02\t0\t32\t44\t62\nval_1.JPEG\tn01\t52\t55\t57\t59\n");
    ImageFolderDataset train = ImageFolderDataset.open(dir, Split.TRAIN, 56), test = ImageFolderDataset.open(dir, Split.TEST, 56);
    assertEquals(3, train.size());
    assertArrayEquals(new int[] {0, 0, 1}, new int[] {train.label(0), train.label(1), train.label(2)});
    assertArrayEquals(new int[] {1, 0}, new int[] {test.label(0), test.label(1)});
    test.read(1, new byte[test.imageBytes()], 0);
    Files.writeString(table, "\nval_0.JPEG\tn02\n\nval_1.JPEG\tn01\n");
    assertEquals(2, ImageFolderDataset.open(dir, Split.TEST, 56).size(), "a table without boxes, with empty lines");
    Files.move(dir.resolve("train"), dir.resolve("other"));
    String alone = assertThrows(IOException.class, () -> ImageFolderDataset.open(dir, Split.TEST, 56)).getMessage();
    assertTrue(alone.startsWith(table + ": names classes") && alone.contains("the folder train, which is not there"), alone);
    Files.move(dir.resolve("other"), dir.resolve("train"));
    for (String wrong : List.of("val_0.JPEG\tn03\t0\n", "val_0.JPEG n01\n", "../x.JPEG\tn01\n", "\n")) {
      Files.writeString(table, wrong);
      String message = assertThrows(IOException.class, () -> ImageFolderDataset.open(dir, Split.TEST, 56)).getMessage();
      assertTrue(message.startsWith(table.toString()), message);
    }
  }

  @Test void damagedImagesAreRefusedByName(@TempDir Path dir) throws IOException {
    Path png = dir.resolve("whole.png");
    png(png, 64, 64, BufferedImage.TYPE_3BYTE_BGR);
    Path jpeg = dir.resolve("whole.jpg");
    ImageIO.write(ImageIO.read(png.toFile()), "jpg", jpeg.toFile());
    ImageDecoder decoder = new ImageDecoder();
    Picture x = new Picture();
    decoder.decode(jpeg, x);
    byte[] changed = Files.readAllBytes(png);
    changed[29] ^= 1;
    assertEquals("x: the image is damaged: a PNG chunk has a wrong CRC", assertThrows(BadImageException.class, () -> decoder.decode("x", changed, x)).getMessage());
    for (Path whole : List.of(png, jpeg)) {
      byte[] content = Files.readAllBytes(whole);
      for (int length : new int[] {content.length / 2, content.length - 20, 30, 3, 0}) {
        String message = assertThrows(IOException.class, () -> decoder.decode("cut.img", Arrays.copyOf(content, length), x), whole + " " + length)
            .getMessage();
        assertTrue(message.startsWith("cut.img: "), message);
      }
    }
  }

  @Test void realPhotosAreReadWholeAndRefusedWhenHalved() throws IOException {
    Path folder = Path.of("../shared/data/imagenet-full-size");
    assumeTrue(Files.isDirectory(folder), "needs the photos of ../shared/data/imagenet-full-size");
    ImageDecoder decoder = new ImageDecoder();
    Picture x = new Picture();
    List<Path> files;
    try (var entries = Files.list(folder)) {
      files = entries.sorted().limit(25).toList();
    }
    for (Path file : files) {
      decoder.decode(file, x);
      assertEquals(3, x.channels());
      byte[] whole = Files.readAllBytes(file);
      assertThrows(IOException.class, () -> decoder.decode("half", Arrays.copyOf(whole, whole.length / 2), x), file.toString());
    }
  }
}
