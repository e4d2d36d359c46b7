package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Boxes move with the pixels: each box is painted in a colour of its own, and after a step the colour is looked for. */
class BoxAugmentationTest {
  /** Pixels of boxes that do not touch: left, top, right, bottom, the last two outside. */
  private static final int[][] BOXES = {{0, 0, 9, 7}, {20, 3, 50, 30}, {60, 10, 80, 59}, {5, 40, 30, 60}, {40, 45, 47, 52}};
  private static final int HEIGHT = 60, WIDTH = 80;

  private final Augmenter.Bench bench = new Augmenter.Bench();
  private final Boxes boxes = new Boxes();

  /** A black picture with boxes of green 50, 51, ...; label is the number of the box. */
  private void paint() {
    Picture x = bench.image();
    x.resize(HEIGHT, WIDTH, 3);
    Arrays.fill(x.pixels(), 0, x.bytes(), (byte) 0);
    boxes.clear(HEIGHT, WIDTH);
    for (int b = 0; b < BOXES.length; b++) {
      int[] box = BOXES[b];
      for (int h = box[1]; h < box[3]; h++) for (int w = box[0]; w < box[2]; w++) x.pixels()[(h * WIDTH + w) * 3 + 1] = (byte) (50 + b);
      boxes.add(b, b == 1, box[0] / (float) WIDTH, box[1] / (float) HEIGHT, box[2] / (float) WIDTH, box[3] / (float) HEIGHT);
    }
    bench.boxes(boxes);
  }

  private void apply(Augmentation step, int sample) {
    step.apply(bench, new CounterRandom().reset(7, 1, sample, 99));
    bench.fill();
  }

  /** The first and one past the last column and row with that colour, or null. */
  private int[] extent(int colour) {
    Picture x = bench.image();
    int[] found = {Integer.MAX_VALUE, Integer.MAX_VALUE, -1, -1};
    for (int h = 0; h < x.height(); h++) {
      for (int w = 0; w < x.width(); w++) {
        if (x.pixels()[(h * x.width() + w) * 3 + 1] != colour) continue;
        found[0] = Math.min(found[0], w);
        found[1] = Math.min(found[1], h);
        found[2] = Math.max(found[2], w + 1);
        found[3] = Math.max(found[3], h + 1);
      }
    }
    return found[2] < 0 ? null : found;
  }

  private void requireBoxesWhereTheirColoursAre(double most) {
    Picture x = bench.image();
    for (int i = 0; i < boxes.count(); i++) {
      int[] colour = extent(50 + boxes.label(i));
      double[] box = {boxes.left(i) * x.width(), boxes.top(i) * x.height(), boxes.right(i) * x.width(), boxes.bottom(i) * x.height()};
      for (int c = 0; c < 4; c++) assertEquals(colour[c], box[c], most, "box " + boxes.label(i) + " is " + Arrays.toString(box) + ", its colour " + Arrays.toString(colour));
      assertEquals(boxes.label(i) == 1, boxes.difficult(i));
    }
    assertEquals(List.of(HEIGHT, WIDTH), List.of(boxes.imageHeight(), boxes.imageWidth()), "the size on the disk stays");
  }

  @Test void flipMirrorsThem() {
    paint();
    apply(new Augmentation.Flip(1), 0);
    requireBoxesWhereTheirColoursAre(1e-4);
    assertEquals(1 - 9f / WIDTH, boxes.left(0), 1e-6f);
    assertEquals(BOXES.length, boxes.count());
  }

  @Test void expandShrinksThemOnACanvasOfTheMean() {
    double largest = 0;
    int larger = 0;
    for (int sample = 0; sample < 200; sample++) {
      paint();
      apply(new Expand(4, 123, 117, 104), sample);
      Picture x = bench.image();
      requireBoxesWhereTheirColoursAre(1e-3);
      assertEquals(BOXES.length, boxes.count());
      double ratio = (double) x.width() / WIDTH;
      largest = Math.max(largest, ratio);
      assertEquals(ratio, (double) x.height() / HEIGHT, 1.0 / HEIGHT + 1.0 / WIDTH);
      if (x.width() == WIDTH) continue;
      larger++;
      int mean = 0;
      for (int at = 0; at < x.bytes(); at += 3) if (x.pixels()[at] == 123 && x.pixels()[at + 1] == 117 && x.pixels()[at + 2] == 104) mean++;
      assertEquals(x.height() * x.width() - HEIGHT * WIDTH, mean, "all that is not the image has the mean's colour");
    }
    assertEquals(100, larger, 25);
    assertTrue(largest > 3.7 && largest < 4, "largest ratio " + largest);
  }

  @Test void aCropKeepsTheBoxesWhoseCentreItHolds() {
    int whole = 0, cut = 0, dropped = 0;
    for (int sample = 0; sample < 400; sample++) {
      paint();
      apply(new OverlapCrop(), sample);
      Picture x = bench.image();
      requireBoxesWhereTheirColoursAre(1e-3);
      assertTrue(boxes.count() > 0);
      if (x.height() == HEIGHT && x.width() == WIDTH) whole++;
      assertTrue(x.height() >= 0.3 * HEIGHT - 1 && x.width() >= 0.3 * WIDTH - 1, x.height() + "x" + x.width());
      if (x.height() < HEIGHT) assertTrue(x.width() <= 2 * x.height() && x.height() <= 2 * x.width(), x.height() + "x" + x.width());
      for (int b = 0, kept = 0; b < BOXES.length; b++) {
        boolean there = kept < boxes.count() && boxes.label(kept) == b;
        int[] colour = extent(50 + b), box = BOXES[b];
        boolean complete = colour != null && colour[2] - colour[0] == box[2] - box[0] && colour[3] - colour[1] == box[3] - box[1];
        if (complete) assertTrue(there, "a whole box is kept");
        if (there) {
          kept++;
          assertTrue(2 * (colour[2] - colour[0]) >= Math.min(box[2] - box[0], 2 * x.width()) && 2 * (colour[3] - colour[1]) >= Math.min(box[3] - box[1], 2 * x.height()),
              "its centre is inside, so half of each side is, or it fills the part");
          if (!complete) cut++;
        } else {
          dropped++;
          assertTrue(colour == null || 2 * (colour[2] - colour[0]) <= box[2] - box[0] || 2 * (colour[3] - colour[1]) <= box[3] - box[1], "its centre is outside");
        }
      }
    }
    assertTrue(whole > 20 && cut > 50 && dropped > 50, whole + " whole, " + cut + " cut, " + dropped + " left out");
  }

  @Test void theWholeWayEndsWithinAPixel() {
    for (int sample = 0; sample < 100; sample++) {
      paint();
      apply(new Expand(2, 0, 0, 0), sample);
      apply(new OverlapCrop(), sample);
      apply(new Augmentation.Flip(0.5), sample);
      Picture before = bench.image();
      int h = before.height(), w = before.width();
      int[][] colours = new int[boxes.count()][];
      for (int i = 0; i < colours.length; i++) colours[i] = extent(50 + boxes.label(i));
      apply(new ResizeTo(300), sample);
      Picture x = bench.image();
      assertEquals(List.of(300, 300), List.of(x.height(), x.width()));
      for (int i = 0; i < colours.length; i++) {
        double[] scaled = {colours[i][0] * 300.0 / w, colours[i][1] * 300.0 / h, colours[i][2] * 300.0 / w, colours[i][3] * 300.0 / h};
        double[] box = {300 * boxes.left(i), 300 * boxes.top(i), 300 * boxes.right(i), 300 * boxes.bottom(i)};
        assertArrayEquals(scaled, box, 0.01);
        int middle = ((int) ((box[1] + box[3]) / 2) * 300 + (int) ((box[0] + box[2]) / 2)) * 3 + 1;
        assertEquals(50 + boxes.label(i), x.pixels()[middle], 1, "its colour is in its middle");
      }
    }
  }

  /** The rule of the paper once more, in other words and with other random numbers: how much the chosen parts overlap must have the same distribution. */
  @Test void partsOverlapAsMuchAsThePaperDraws() {
    Random random = new Random(5);
    int rounds = 4000;
    double[][] objects = {{0.1, 0.2, 0.6, 0.8}, {0.55, 0.1, 0.95, 0.5}};
    int[] expected = new int[12], found = new int[12];
    for (int i = 0; i < rounds; i++) {
      expected[bin(byPaper(objects, random))]++;
      boxes.clear(200, 300);
      for (double[] o : objects) boxes.add(0, false, (float) o[0], (float) o[1], (float) o[2], (float) o[3]);
      Box part = CropSearch.of(boxes, 200, 300, new CounterRandom().reset(3, 0, i, 1));
      double[] relative = {part.left() / 300.0, part.top() / 200.0, (part.left() + part.width()) / 300.0, (part.top() + part.height()) / 200.0};
      found[bin(part.height() == 200 && part.width() == 300 ? -1 : overlap(objects, relative))]++;
    }
    for (int b = 0; b < found.length; b++) {
      assertEquals(expected[b], found[b], 5 * Math.sqrt(Math.max(expected[b], 10) * 2.0), "bin " + b + " of " + Arrays.toString(expected) + " and " + Arrays.toString(found));
    }
    assertTrue(found[0] > rounds / 7 * 0.9, "the whole image at least as often as it is drawn");
  }

  private static int bin(double overlap) {
    return overlap < 0 ? 0 : 1 + (int) (10 * overlap);
  }

  /** The largest overlap of a part that the paper's rule accepts; -1 for the whole image. */
  private static double byPaper(double[][] objects, Random random) {
    double[] minimums = {0.1, 0.3, 0.5, 0.7, 0.9, 0};
    while (true) {
      int option = random.nextInt(7);
      if (option == 6) return -1;
      for (int i = 0; i < 50; i++) {
        double w = Math.floor(300 * (0.3 + 0.7 * random.nextDouble())) / 300, h = Math.floor(200 * (0.3 + 0.7 * random.nextDouble())) / 200;
        double aspect = 300 * w / (200 * h);
        if (aspect < 0.5 || aspect > 2) continue;
        double left = random.nextDouble() * (1 - w), top = random.nextDouble() * (1 - h);
        double most = overlap(objects, new double[] {left, top, left + w, top + h});
        if (most >= 0 && most >= minimums[option]) return most;
      }
    }
  }

  private static double overlap(double[][] objects, double[] part) {
    double most = -1;
    for (double[] o : objects) {
      double x = (o[0] + o[2]) / 2, y = (o[1] + o[3]) / 2;
      if (x <= part[0] || x >= part[2] || y <= part[1] || y >= part[3]) continue;
      double common = (Math.min(o[2], part[2]) - Math.max(o[0], part[0])) * (Math.min(o[3], part[3]) - Math.max(o[1], part[1]));
      most = Math.max(most, common / ((o[2] - o[0]) * (o[3] - o[1]) + (part[2] - part[0]) * (part[3] - part[1]) - common));
    }
    return most;
  }

  /** No part of a third of the image overlaps a box of one pixel by a tenth: whole or any, and its centre is always inside. */
  @Test void aTinyBoxIsNeverLost() {
    int whole = 0;
    for (int sample = 0; sample < 1000; sample++) {
      boxes.clear(HEIGHT, WIDTH).add(3, false, 79f / WIDTH, 59f / HEIGHT, 1, 1);
      bench.boxes(boxes);
      bench.image().resize(HEIGHT, WIDTH, 3);
      apply(new OverlapCrop(), sample);
      assertEquals(1, boxes.count());
      if (bench.image().height() == HEIGHT && bench.image().width() == WIDTH) whole++;
    }
    assertTrue(whole > 500, "a part must reach the last pixel, so the whole image is more than every second: " + whole);
  }

  @Test void stepsThatWouldLeaveBoxesBehindAreRefused() {
    FigureDataset figures = new FigureDataset(1, Split.TRAIN, 64, 5, 10);
    Sampler sampler = Sampler.training(1, 10, 2);
    List<Augmentation> moving = List.of(new Augmentation.PadCrop(2), new Augmentation.RandomResizedCrop(8, 0.1, 1, 1, 1), new Augmentation.ResizeCentreCrop(8, 8),
        new Augmentation.ResizeShort(8), new Augmentation.RandomCrop(8), new Augmentation.AffineJitter(1, 0, 0));
    for (Augmentation step : moving) {
      String message = assertThrows(IllegalArgumentException.class, () -> new Loader(figures, sampler, List.of(step), 1)).getMessage();
      assertEquals(step.getClass().getSimpleName() + ": does not move boxes, and the images of figures have some", message);
    }
    GeneratedDataset bare = new GeneratedDataset("bare", 10, 8, 8, 3, 2, 1);
    String message = assertThrows(IllegalArgumentException.class, () -> new Loader(bare, sampler, List.of(new OverlapCrop()), 1)).getMessage();
    assertEquals("OverlapCrop: needs boxes, and the images of bare have none", message);
    List<Augmentation> suited = new ArrayList<>(List.of(new Photometric(32, 0.5, 0.5, 18), new Expand(4, 1, 2, 3), new OverlapCrop(), new Augmentation.Flip(0.5), new ResizeTo(32),
        new Augmentation.HslJitter(1, 1, 1), new Augmentation.Lighting(0.1)));
    new Loader(figures, sampler, suited, 1).close();
  }

  @Test void anImageWithoutABoxThatAPartCouldHoldStaysWhole() {
    for (int sample = 0; sample < 20; sample++) {
      boxes.clear(HEIGHT, WIDTH);
      if (sample % 2 == 0) boxes.add(0, false, 1.5f, 1.5f, 2, 2);
      bench.boxes(boxes);
      bench.image().resize(HEIGHT, WIDTH, 3);
      apply(new OverlapCrop(), sample);
      assertEquals(List.of(HEIGHT, WIDTH, 1 - sample % 2), List.of(bench.image().height(), bench.image().width(), boxes.count()));
    }
  }

  @Test void boxesAreDrawnAgainForEveryImageAndEpoch() throws java.io.IOException {
    FigureDataset figures = new FigureDataset(1, Split.TRAIN, 64, 20, 40);
    List<Augmentation> steps = List.of(new Expand(4, 1, 2, 3), new OverlapCrop(), new Augmentation.Flip(0.5), new ResizeTo(32));
    Augmenter one = new Augmenter(steps, 9), other = new Augmenter(steps, 9);
    byte[] x = new byte[32 * 32 * 3], y = x.clone();
    Boxes a = new Boxes(), b = new Boxes(), file = new Boxes();
    int moved = 0, again = 0;
    for (int i = 0; i < 40; i++) {
      one.read(figures, i, 3, x, 0, a);
      other.read(figures, (i + 7) % 40, 2, y, 0, b);
      other.read(figures, i, 3, y, 0, b);
      assertArrayEquals(x, y);
      assertEquals(words(a), words(b));
      assertTrue(a.count() > 0);
      figures.boxes(i, file);
      if (!words(file).equals(words(a))) moved++;
      one.read(figures, i, 4, x, 0, b);
      if (!words(a).equals(words(b))) again++;
    }
    assertTrue(moved > 30 && again > 30, moved + " moved, " + again + " moved otherwise in the next epoch");
    new Augmenter(List.of(), 9).read(new FigureDataset(1, Split.TRAIN, 32, 20, 40), 5, 0, x, 0, a);
    new FigureDataset(1, Split.TRAIN, 32, 20, 40).boxes(5, file);
    assertEquals(words(file), words(a));
  }

  static String words(Boxes boxes) {
    StringBuilder all = new StringBuilder();
    for (int i = 0; i < boxes.count(); i++) {
      all.append(boxes.label(i)).append(boxes.difficult(i) ? "?" : "").append(' ').append(boxes.left(i)).append(' ').append(boxes.top(i)).append(' ')
          .append(boxes.right(i)).append(' ').append(boxes.bottom(i)).append("; ");
    }
    return all.append(boxes.imageHeight()).append('x').append(boxes.imageWidth()).toString();
  }
}
