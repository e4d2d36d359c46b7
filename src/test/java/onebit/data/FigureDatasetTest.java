package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;

class FigureDatasetTest {
  private static byte[] image(FigureDataset set, int index) {
    byte[] image = new byte[set.imageBytes()];
    set.read(index, image, 0);
    return image;
  }

  private static Boxes boxes(FigureDataset set, int index) {
    Boxes boxes = new Boxes();
    set.boxes(index, boxes);
    return boxes;
  }

  @Test void anImageDependsOnSeedSplitAndIndexOnly() {
    FigureDataset set = new FigureDataset(1, Split.TRAIN, 64, 20, 50);
    image(set, 3);
    byte[] x = image(set, 41);
    assertArrayEquals(x, image(new FigureDataset(1, Split.TRAIN, 64, 20, 42), 41));
    assertEquals(BoxAugmentationTest.words(boxes(set, 41)), BoxAugmentationTest.words(boxes(new FigureDataset(1, Split.TRAIN, 64, 20, 42), 41)));
    assertFalse(Arrays.equals(x, image(new FigureDataset(2, Split.TRAIN, 64, 20, 50), 41)));
    assertFalse(Arrays.equals(x, image(new FigureDataset(1, Split.TEST, 64, 20, 50), 41)));
    Set<Integer> train = new HashSet<>();
    for (int i = 0; i < 500; i++) train.add(Arrays.hashCode(image(new FigureDataset(1, Split.TRAIN, 32, 20, 500), i)));
    assertTrue(train.size() > 498, "images differ");
    for (int i = 0; i < 100; i++) assertFalse(train.contains(Arrays.hashCode(image(new FigureDataset(1, Split.TEST, 32, 20, 500), i))), "no image is in both splits");
  }

  @Test void theBytesAreTheSameOnEveryMachine() {
    CRC32 crc = new CRC32();
    FigureDataset set = new FigureDataset(0, Split.TEST, 300, 20);
    for (int i = 0; i < 5; i++) {
      crc.update(image(set, i));
      crc.update(BoxAugmentationTest.words(boxes(set, i)).getBytes());
    }
    assertEquals("76068d00", Long.toHexString(crc.getValue()));
  }

  /** A figure is far from the ground in at least one channel: inside its box there are such pixels on all four sides, beyond it there are none. */
  @Test void boxesAreExact() {
    FigureDataset set = new FigureDataset(4, Split.TEST, 96, 20, 400);
    int checked = 0;
    for (int i = 0; i < set.size(); i++) {
      Boxes all = boxes(set, i);
      if (all.count() != 1) continue;
      byte[] x = image(set, i);
      int left = Math.round(all.left(0) * 96), top = Math.round(all.top(0) * 96), right = Math.round(all.right(0) * 96), bottom = Math.round(all.bottom(0) * 96);
      int[] found = {96, 96, -1, -1};
      for (int h = 0; h < 96; h++) {
        for (int w = 0; w < 96; w++) {
          int at = (h * 96 + w) * 3, r = x[at] & 255, g = x[at + 1] & 255, b = x[at + 2] & 255;
          if (Math.max(r, Math.max(g, b)) - Math.min(r, Math.min(g, b)) <= 130) continue;   // the ground is grey within its cast and its noise
          found = new int[] {Math.min(found[0], w), Math.min(found[1], h), Math.max(found[2], w + 1), Math.max(found[3], h + 1)};
        }
      }
      // sides of figures in their dark texture may hide below the threshold, but nothing may lie outside
      assertTrue(found[0] >= left && found[1] >= top && found[2] <= right && found[3] <= bottom, "image " + i + ": " + Arrays.toString(found) + " in " + BoxAugmentationTest.words(all));
      if (all.label(0) == 0 || all.label(0) == 8 || all.label(0) == 16) {   // plain ones with broad sides
        assertArrayEquals(new int[] {left, top, right, bottom}, found, "image " + i + " of class " + all.label(0));
        checked++;
      }
    }
    assertTrue(checked > 8, checked + " plain figures alone");
  }

  @Test void everyClassOccursAndFaintOnesAreNotLearned() {
    FigureDataset test = new FigureDataset(2, Split.TEST, 64, 20, 1000), train = new FigureDataset(2, Split.TRAIN, 64, 20, 1000);
    int[] classes = new int[20];
    int difficult = 0, all = 0, learned = 0;
    for (int i = 0; i < 1000; i++) {
      Boxes boxes = boxes(test, i);
      assertFalse(boxes.difficult(0), "the first is never difficult");
      for (int b = 0; b < boxes.count(); b++, all++) {
        classes[boxes.label(b)]++;
        if (boxes.difficult(b)) difficult++;
        assertTrue(boxes.left(b) >= 0 && boxes.top(b) >= 0 && boxes.right(b) <= 1 && boxes.bottom(b) <= 1);
        assertTrue(boxes.right(b) - boxes.left(b) > 0.1 && boxes.bottom(b) - boxes.top(b) > 0.1);
      }
      Boxes few = boxes(train, i);
      assertTrue(few.count() > 0);
      for (int b = 0; b < few.count(); b++, learned++) assertFalse(few.difficult(b));
    }
    for (int c : classes) assertEquals(all / 20.0, c, 50);
    assertTrue(difficult > all / 30 && difficult < all / 12, difficult + " of " + all + " are difficult");
    assertEquals(all - difficult, learned, 150, "the splits hold about as many");
    assertEquals(4096, new FigureDataset(2, Split.TRAIN, 300, 20).size());
    assertEquals(512, new FigureDataset(2, Split.TEST, 300, 20).size());
  }

  @Test void rangesAreChecked() {
    assertTrue(assertThrows(IllegalArgumentException.class, () -> new FigureDataset(0, Split.TEST, 8, 20)).getMessage().startsWith("figures: side 8"));
    assertTrue(assertThrows(IllegalArgumentException.class, () -> new FigureDataset(0, Split.TEST, 300, 21)).getMessage().startsWith("figures: classes 21"));
    assertThrows(IllegalArgumentException.class, () -> new FigureDataset(0, Split.TEST, 300, 20, 0));
    assertThrows(IndexOutOfBoundsException.class, () -> boxes(new FigureDataset(0, Split.TEST, 300, 20), 512));
  }
}
