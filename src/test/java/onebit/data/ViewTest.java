package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What the steps will show is known before the image is there; what they then make is what they would make of the whole image, one after the other. */
class ViewTest {
  private static final Path SAMPLE = Path.of("../shared/data/voc2012-sample");
  private static final Augmentation COLOURS = new Photometric(32, 0.5, 0.5, 18), EXPAND = new Expand(4, 123, 117, 104), CROP = new OverlapCrop(), FLIP = new Augmentation.Flip(0.5);
  private static final List<List<Augmentation>> CHAINS = List.of(List.of(COLOURS, EXPAND, CROP, FLIP, new ResizeTo(300)), List.of(EXPAND, new ResizeTo(41)), List.of(CROP, FLIP, new ResizeTo(97)),
      List.of(EXPAND, FLIP, new ResizeTo(64)), List.of(EXPAND, COLOURS, CROP, new ResizeTo(33)), List.of(CROP, EXPAND, CROP, EXPAND, COLOURS, new ResizeTo(50)),
      List.of(FLIP, EXPAND, CROP, CROP, new ResizeTo(20)), List.of(COLOURS, new Expand(8, 1, 2, 3), new ResizeTo(7)), List.of(new ResizeTo(50), EXPAND, CROP, new ResizeTo(60)));

  private static void requirePlain(Dataset set, List<Augmentation> steps, int epochs) throws IOException {
    Augmenter augmenter = new Augmenter(steps, 5);
    Boxes plain = new Boxes(), boxes = new Boxes();
    int side = ((ResizeTo) steps.getLast()).side();
    byte[] x = new byte[side * side * 3 + 7];
    for (int epoch = 0; epoch < epochs; epoch++) {
      for (int i = 0; i < set.size(); i++) {
        Picture expected = PlainSteps.of(set, steps, 5, epoch, i, plain);
        augmenter.read(set, i, epoch, x, 7, boxes);
        assertArrayEquals(Arrays.copyOf(expected.pixels(), expected.bytes()), Arrays.copyOfRange(x, 7, x.length), steps + ", " + set.describe(i) + ", epoch " + epoch);
        assertEquals(BoxAugmentationTest.words(plain), BoxAugmentationTest.words(boxes));
      }
    }
  }

  @Test void everyChainGivesTheBytesOfPlainSteps() throws IOException {
    for (List<Augmentation> steps : CHAINS) requirePlain(new FigureDataset(3, Split.TRAIN, 61, 20, 30), steps, 4);
  }

  @Test void photosGiveTheBytesOfPlainSteps() throws IOException {
    assumeTrue(Files.isDirectory(SAMPLE), "needs the photos of ../shared/data/voc2012-sample");
    VocDataset photos = VocDataset.open(SAMPLE, List.of("./sample"), Split.TRAIN, 300);
    requirePlain(photos, CHAINS.getFirst(), 2);
  }

  /** The decoder is asked for less than the photo wherever a crop hides some of it, and pixels it was not asked for have no part in the result. */
  @Test void pixelsThatAreNotSeenAreNotAskedFor() throws IOException {
    FigureDataset figures = new FigureDataset(3, Split.TRAIN, 61, 20, 60);
    int[] asked = {0};
    Dataset partly = new Dataset() {
      @Override public void decode(int index, Box.Choice choice, Picture into) throws IOException {
        Picture whole = new Picture();
        figures.decode(index, Box.Choice.WHOLE, whole);
        Box box = choice.of(61, 61);
        asked[0] += box.height() * box.width();
        into.resize(box, 61, 61, 3);
        System.arraycopy(PlainSteps.cut(whole, box).pixels(), 0, into.pixels(), 0, into.bytes());
      }

      @Override public void read(int index, byte[] into, int offset) {
        throw new UnsupportedOperationException();
      }

      @Override public void boxes(int index, Boxes into) {
        figures.boxes(index, into);
      }

      @Override public boolean hasBoxes() {
        return true;
      }

      @Override public String name() {
        return "figures in parts";
      }

      @Override public int size() {
        return 60;
      }

      @Override public int height() {
        return 61;
      }

      @Override public int width() {
        return 61;
      }

      @Override public int channels() {
        return 3;
      }

      @Override public int classes() {
        return 20;
      }

      @Override public int label(int index) {
        return 0;
      }
    };
    for (List<Augmentation> steps : CHAINS) requirePlain(partly, steps, 2);
    asked[0] = 0;
    Augmenter augmenter = new Augmenter(CHAINS.getFirst(), 1);
    for (int i = 0; i < 60; i++) augmenter.read(partly, i, 0, new byte[300 * 300 * 3], 0, new Boxes());
    double share = asked[0] / (60.0 * 61 * 61);
    assertTrue(share > 0.3 && share < 0.85, "share of the pixels that were asked for: " + share);
  }

  @Test void aFrameThatShowsNothingOfTheImageIsGround() {
    Picture x = new Picture(), y = new Picture();
    x.resize(4, 5, 3);
    View view = new View(4, 5, null);
    view.onto(20, 30, 2, 3, 0x010203);
    view.cut(new Box(10, 10, 6, 8));
    assertEquals(new Box(3, 4, 1, 1), view.seen());
    x.show(view);
    assertEquals(List.of(6, 8), List.of(x.imageHeight(), x.imageWidth()));
    new Resize().apply(x, 3, 4, y);
    for (int i = 0; i < y.bytes(); i++) assertEquals(1 + i % 3, y.pixels()[i]);
  }

  /** Each part of a frame around an image, shown at once or after the whole frame: the image's pixels, and ground where none of them is. */
  @Test void eachPartOfAFrameHasItsPixels() {
    byte[] frame = new byte[7 * 8 * 3];
    for (int i = 0; i < frame.length; i++) {
      int row = i / 3 / 8 - 2, column = i / 3 % 8 - 1;
      frame[i] = row < 0 || row >= 3 || column < 0 || column >= 4 ? (byte) (1 + i % 3) : ResizeTest.pattern(3, 4, 3).pixels()[(row * 4 + column) * 3 + i % 3];
    }
    for (int top = 0; top < 7; top++) {
      for (int left = 0; left < 8; left++) {
        for (int i = 0; i < (7 - top) * (8 - left); i++) {
          Box part = new Box(top, left, 1 + i / (8 - left), 1 + i % (8 - left));
          requirePart(frame, part, false);
          requirePart(frame, part, true);
        }
      }
    }
  }

  private static void requirePart(byte[] frame, Box part, boolean afterWhole) {
    Picture x = ResizeTest.pattern(3, 4, 3);
    View view = new View(3, 4, null);
    view.onto(7, 8, 2, 1, 0x010203);
    if (afterWhole) {
      x.show(view);
      view = new View(7, 8, null);
    }
    view.cut(part);
    x.show(view);
    byte[] line = new byte[part.width() * 3];
    for (int h = 0; h < part.height(); h++) {
      int at = ((part.top() + h) * 8 + part.left()) * 3;
      x.row(h, 0, part.width(), line, 0);
      assertArrayEquals(Arrays.copyOfRange(frame, at, at + line.length), line, part + ", after the whole frame: " + afterWhole + ", row " + h);
    }
  }
}
