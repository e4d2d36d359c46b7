package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AugmentationTest {
  /** One image, whatever the index. */
  private record Single(int height, int width, int channels, byte[] pixels) implements Dataset {
    @Override public String name() {
      return "single";
    }

    @Override public int size() {
      return 1 << 20;
    }

    @Override public int classes() {
      return 1;
    }

    @Override public int label(int index) {
      return 0;
    }

    @Override public void read(int index, byte[] into, int offset) {
      System.arraycopy(pixels, 0, into, offset, pixels.length);
    }
  }

  private static Single gradient(int height, int width) {
    byte[] p = new byte[height * width * 3];
    for (int i = 0; i < p.length; i += 3) {
      p[i] = (byte) (i / 3 % width);
      p[i + 1] = (byte) (i / 3 / width);
      p[i + 2] = 77;
    }
    return new Single(height, width, 3, p);
  }

  private static byte[] augmented(Dataset dataset, int index, int epoch, Augmentation... steps) throws IOException {
    List<Augmentation> list = List.of(steps);
    byte[] into = new byte[Augmenter.height(list, dataset) * Augmenter.width(list, dataset) * dataset.channels()];
    new Augmenter(list, 42).read(dataset, index, epoch, into, 0);
    return into;
  }

  @Test void everyWidthIsMirroredPixelByPixel() throws IOException {
    for (int channels : new int[] {3, 1}) {
      for (int width : new int[] {1, 15, 16, 17, 31, 32, 33, 48, 50, 224}) {
        Single image = new Single(3, width, channels, Arrays.copyOf(noise(3, width).pixels, 3 * width * channels));
        byte[] y = augmented(image, 0, 0, new Augmentation.Flip(1));
        for (int i = 0; i < y.length; i++) {
          int row = i / (channels * width), column = i / channels % width;
          assertEquals(image.pixels[(row * width + width - 1 - column) * channels + i % channels], y[i], "width " + width + ", value " + i);
        }
      }
    }
  }

  /** A photo of its own size, of which only the box that is asked for is decoded; the data set's own size is another. */
  private static final class Photo implements Dataset {
    final Picture whole = ResizeTest.pattern(70, 90, 3);
    int asked;

    @Override public void decode(int index, Box.Choice choice, Picture into) {
      Box box = choice.of(70, 90);
      asked += box.height() * box.width();
      into.resize(box, 70, 90, 3);
      System.arraycopy(PlainSteps.cut(whole, box).pixels(), 0, into.pixels(), 0, into.bytes());
    }

    @Override public void read(int index, byte[] into, int offset) {
      throw new UnsupportedOperationException("the photo in the data set's size");
    }

    @Override public String name() {
      return "photo";
    }

    @Override public int size() {
      return 1;
    }

    @Override public int height() {
      return 8;
    }

    @Override public int width() {
      return 8;
    }

    @Override public int channels() {
      return 3;
    }

    @Override public int classes() {
      return 1;
    }

    @Override public int label(int index) {
      return 0;
    }
  }

  @Test void stepsThatResizeTakeThePhotoInItsOwnSizeAndOnlyWhatTheyNeedOfIt() throws IOException {
    List<List<Augmentation>> all = List.of(Augmentation.imagenet(16, 0.1, 0.5), Augmentation.evaluation(20, 16), List.of(new Augmentation.ResizeShort(20), new Augmentation.RandomCrop(16)));
    double[] least = {0.25, 0.5, 1}, most = {0.35, 0.7, 1};
    for (int s = 0; s < all.size(); s++) {
      Photo photo = new Photo();
      for (int epoch = 0; epoch < 100; epoch++) {
        Augmenter.Bench bench = new Augmenter.Bench();
        photo.decode(0, Box.Choice.WHOLE, bench.image());
        for (int i = 0; i < all.get(s).size(); i++) all.get(s).get(i).apply(bench, new CounterRandom().reset(42, epoch, 0, CounterRandom.AUGMENT | (i + 1) << 8));
        photo.asked = epoch == 0 ? 0 : photo.asked - 70 * 90;
        byte[] y = new byte[16 * 16 * 3];
        new Augmenter(all.get(s), 42).read(photo, 0, epoch, y, 0);
        assertArrayEquals(Arrays.copyOf(bench.image().pixels(), y.length), y, all.get(s) + ", epoch " + epoch);
      }
      double share = photo.asked / (100.0 * 70 * 90);
      assertTrue(share >= least[s] && share <= most[s], all.get(s) + ": share of the photo that is decoded: " + share);
    }
    Picture expected = new Picture();
    new Resize().apply(ResizeTest.pattern(40, 40, 3), 8, 8, expected);
    Single square = new Single(40, 40, 3, Arrays.copyOf(ResizeTest.pattern(40, 40, 3).pixels(), 4800));
    assertArrayEquals(Arrays.copyOf(expected.pixels(), 192), augmented(square, 0, 0, new Augmentation.RandomResizedCrop(8, 1, 1, 1, 1)), "the whole of a square");
  }

  @Test void flipMirrorsHalfOfTheSamples() throws IOException {
    Single image = gradient(4, 7);
    byte[] mirrored = new byte[image.pixels.length];
    for (int y = 0; y < 4; y++) {
      for (int x = 0; x < 7; x++) System.arraycopy(image.pixels, (y * 7 + x) * 3, mirrored, (y * 7 + 6 - x) * 3, 3);
    }
    int flipped = 0;
    for (int i = 0; i < 2000; i++) {
      byte[] y = augmented(image, i, 3, new Augmentation.Flip(0.5));
      if (Arrays.equals(y, mirrored)) flipped++;
      else assertArrayEquals(image.pixels, y);
    }
    assertEquals(1000, flipped, 110);
    assertArrayEquals(mirrored, augmented(image, 0, 0, new Augmentation.Flip(1)));
    assertArrayEquals(image.pixels, augmented(image, 0, 0, new Augmentation.Flip(0)));
  }

  @Test void padCropIsAWindowOfTheBlackPaddedImageAndEveryWindowOccurs() throws IOException {
    Single image = gradient(6, 5);
    for (int i = 0; i < image.pixels.length; i++) image.pixels[i]++;
    boolean[][] seen = new boolean[5][5];
    for (int i = 0; i < 600; i++) {
      byte[] y = augmented(image, i, 0, new Augmentation.PadCrop(2));
      int matches = 0;
      for (int top = -2; top <= 2; top++) {
        for (int left = -2; left <= 2; left++) {
          if (!Arrays.equals(y, window(image, top, left))) continue;
          matches++;
          seen[top + 2][left + 2] = true;
        }
      }
      assertEquals(1, matches, "sample " + i);
    }
    for (boolean[] row : seen) for (boolean s : row) assertTrue(s);
    byte[] far = augmented(image, 1, 0, new Augmentation.PadCrop(100));
    assertEquals(image.pixels.length, far.length);
  }

  private static byte[] window(Single image, int top, int left) {
    byte[] y = new byte[image.pixels.length];
    for (int h = 0; h < image.height; h++) {
      for (int w = 0; w < image.width; w++) {
        int fromH = h + top;
        int fromW = w + left;
        if (fromH < 0 || fromH >= image.height || fromW < 0 || fromW >= image.width) continue;
        System.arraycopy(image.pixels, (fromH * image.width + fromW) * 3, y, (h * image.width + w) * 3, 3);
      }
    }
    return y;
  }

  /** The image's levels are its coordinates, so a crop tells which box it was. */
  @Test void randomResizedCropsHaveTheAskedAreasAndAspects() throws IOException {
    Single image = gradient(200, 200);
    int side = 50;
    double meanArea = 0;
    double meanLog = 0;
    double meanCentre = 0;
    int draws = 1500;
    for (int i = 0; i < draws; i++) {
      byte[] y = augmented(image, i, 1, new Augmentation.RandomResizedCrop(side, 0.2, 0.6, 0.75, 4.0 / 3));
      int middle = side / 2;
      double w = extent(y, middle * side * 3, (middle * side + side - 1) * 3, side);
      double h = extent(y, middle * 3 + 1, ((side - 1) * side + middle) * 3 + 1, side);
      double area = w * h / 40_000;
      assertTrue(area > 0.18 && area < 0.64, "area " + area);
      assertTrue(w / h > 0.7 && w / h < 1.43, "aspect " + w / h);
      meanArea += area / draws;
      meanLog += Math.log(w / h) / draws;
      meanCentre += (y[middle * side * 3 + middle * 3] & 255) / (double) draws;
    }
    assertEquals(0.4, meanArea, 0.012);
    assertEquals(0, meanLog, 0.02);
    assertEquals(101, meanCentre, 4);
  }

  /** Pixels that a box spans, from the levels of the outermost results, which lie half a result inside the box. */
  private static double extent(byte[] y, int first, int last, int side) {
    return ((y[last] & 255) - (y[first] & 255)) * (double) side / (side - 1);
  }

  @ParameterizedTest
  @CsvSource({"10, 100, 0, 43, 10, 13", "100, 10, 43, 0, 13, 10", "20, 20, 0, 0, 20, 20"})
  void whatNeverFitsBecomesTheLargestCentredBox(int height, int width, int top, int left, int boxH, int boxW) throws IOException {
    Single image = gradient(height, width);
    Picture whole = new Picture();
    image.decode(0, Box.Choice.WHOLE, whole);
    Picture expected = new Picture();
    new Resize().apply(whole, new Box(top, left, boxH, boxW), 8, 8, expected);
    byte[] y = augmented(image, 5, 0, new Augmentation.RandomResizedCrop(8, 4, 5, 0.75, 4.0 / 3));
    assertArrayEquals(Arrays.copyOf(expected.pixels(), 192), y);
  }

  /** Pixels computed by an independent HLS conversion. */
  @ParameterizedTest
  @CsvSource({"200 30 90, 10 -40 25, 207 73 78", "12 180 77, -30 20 -45, 61 100 2", "90 90 90, 20 30 40, 145 135 115",
    "250 240 10, -36 50 50, 255 105 105", "5 60 220, 36 -50 -10, 171 25 181", "255 0 0, 60 0 0, 0 255 0",
    "250 200 220, 20 30 -40, 251 119 119", "230 240 254, -15 -100 -20, 205 236 239",
    "200 210 180, 5 60 30, 225 240 210", "1 2 3, 0 0 255, 255 255 255", "9 200 3, 0 0 -255, 0 0 0", "255 0 0, -10 0 0, 255 0 0"})
  void hueSaturationAndLightnessMoveAsInAnIndependentConversion(String rgb, String shift, String expected) {
    int[] p = numbers(rgb);
    int[] s = numbers(shift);
    byte[] pixel = {(byte) p[0], (byte) p[1], (byte) p[2]};
    HslColour.shift(pixel, 0, s[0], s[1], s[2]);
    for (int c = 0; c < 3; c++) assertEquals(numbers(expected)[c], pixel[c] & 255, 1, "channel " + c);
  }

  @Test void jitterMovesAllPixelsOfAnImageAlikeAndStaysInItsRange() throws IOException {
    byte[] grey = new byte[2 * 2 * 3];
    Arrays.fill(grey, (byte) 120);
    Single image = new Single(2, 2, 3, grey);
    int low = 255;
    int high = 0;
    for (int i = 0; i < 500; i++) {
      byte[] y = augmented(image, i, 0, new Augmentation.HslJitter(0, 0, 50));
      for (byte b : y) assertEquals(y[0], b);
      low = Math.min(low, y[0] & 255);
      high = Math.max(high, y[0] & 255);
    }
    assertTrue(low >= 71 && low <= 74 && high <= 169 && high >= 166, low + " to " + high);
  }

  @Test void lightingHasThePrincipalColoursOfImageNetAsItsCovariance() throws IOException {
    byte[] grey = new byte[3];
    Arrays.fill(grey, (byte) 128);
    Single image = new Single(1, 1, 3, grey);
    double[][] covariance = new double[3][3];
    int draws = 20_000;
    for (int i = 0; i < draws; i++) {
      byte[] y = augmented(image, i, 0, new Augmentation.Lighting(0.3));
      for (int a = 0; a < 3; a++) {
        for (int b = 0; b < 3; b++) covariance[a][b] += ((y[a] & 255) - 128.0) * ((y[b] & 255) - 128.0) / draws;
      }
    }
    double[] values = {0.2175, 0.0188, 0.0045};
    double[][] vectors = {{-0.5675, -0.5808, -0.5836}, {0.7192, -0.0045, -0.6948}, {0.4009, -0.8140, 0.4203}};
    for (int a = 0; a < 3; a++) {
      for (int b = 0; b < 3; b++) {
        double expected = 0;
        for (int k = 0; k < 3; k++) expected += vectors[k][a] * vectors[k][b] * values[k] * values[k];
        assertEquals(expected * 0.3 * 255 * 0.3 * 255, covariance[a][b], 4.5, a + "," + b);
      }
    }
  }

  @Test void resultsDependOnEpochAndSampleButNotOnTheInstance() throws IOException {
    Single image = gradient(32, 32);
    Augmentation[] steps = Augmentation.cifar().toArray(Augmentation[]::new);
    byte[] first = augmented(image, 7, 2, steps);
    Augmenter used = new Augmenter(List.of(steps), 42);
    byte[] again = new byte[first.length];
    for (int i = 0; i < 20; i++) used.read(image, i, 1, again, 0);
    used.read(image, 7, 2, again, 0);
    assertArrayEquals(first, again);
    int same = 0;
    for (int epoch = 0; epoch < 200; epoch++) if (Arrays.equals(first, augmented(image, 7, epoch, steps))) same++;
    assertTrue(same < 10, same + " of 200 epochs gave the same image; 1 of 162 is expected");
  }

  @Test void impossibleStepsAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> new Augmentation.Flip(1.5));
    assertThrows(IllegalArgumentException.class, () -> new Augmentation.Flip(Double.NaN));
    assertThrows(IllegalArgumentException.class, () -> new Augmentation.PadCrop(0));
    assertThrows(IllegalArgumentException.class, () -> new Augmentation.RandomResizedCrop(8, 0.5, 0.2, 1, 1));
    assertThrows(IllegalArgumentException.class, () -> new Augmentation.ResizeCentreCrop(200, 224));
    assertThrows(IllegalArgumentException.class, () -> augmented(new Single(2, 2, 1, new byte[4]), 0, 0, new Augmentation.HslJitter(1, 1, 1)));
  }

  private static int[] numbers(String text) {
    return Arrays.stream(text.split(" ")).mapToInt(Integer::parseInt).toArray();
  }

  /** R = ((cos, sin), (-sin, cos)) by the angle, then the shear and stretch, undone one after the other for each pixel: MXNet's matrix is their product. */
  @ParameterizedTest
  @CsvSource({"40, 33, 10, 0, 0", "33, 40, 0, 0.1, 0", "40, 40, 0, 0, 0.25", "48, 30, 10, 0.1, 0.25", "21, 64, 45, 0.6, 0.5"})
  void turnsShearsAndStretchesAboutTheCentreAsMxnetDoes(int height, int width, int rotate, double shear, double aspect) throws IOException {
    Single image = noise(height, width);
    for (int index = 0; index < 6; index++) {
      CounterRandom drawn = new CounterRandom().reset(42, 3, index, CounterRandom.AUGMENT | 1 << 8);
      double t = drawn.nextDouble(-shear, shear), angle = Math.PI / 180 * (drawn.nextInt(2 * rotate + 1) - rotate), q = drawn.nextDouble(1 - aspect, 1 + aspect);
      double h = 2 / (1 + q), w = q * h;
      double[][] m = {{h * Math.cos(angle) - t * Math.sin(angle) * w, h * Math.sin(angle) + t * Math.cos(angle) * w},
          {-Math.sin(angle) * w, Math.cos(angle) * w}};
      double[] shift = {(width - m[0][0] * width - m[0][1] * height) / 2, (height - m[1][0] * width - m[1][1] * height) / 2};
      byte[] y = augmented(image, index, 3, new Augmentation.AffineJitter(rotate, shear, aspect));
      double det = m[0][0] * m[1][1] - m[0][1] * m[1][0];
      for (int row = 0; row < height; row++) {
        for (int column = 0; column < width; column++) {
          double dx = column - shift[0], dy = row - shift[1], sx = (m[1][1] * dx - m[0][1] * dy) / det, sy = (m[0][0] * dy - m[1][0] * dx) / det;
          for (int c = 0; c < 3; c++) {
            double want = 0;
            for (int j = (int) Math.floor(sy); j <= Math.floor(sy) + 1; j++) {
              for (int i = (int) Math.floor(sx); i <= Math.floor(sx) + 1; i++) {
                boolean inside = i >= 0 && j >= 0 && i < width && j < height;
                double level = inside ? image.pixels[(j * width + i) * 3 + c] & 255 : 255;
                want += level * (1 - Math.abs(sx - i)) * (1 - Math.abs(sy - j));
              }
            }
            assertEquals(want, y[(row * width + column) * 3 + c] & 255, 0.5 + 1e-6, "row " + row + " column " + column);
          }
        }
      }
    }
  }

  private static Single noise(int height, int width) {
    byte[] p = new byte[height * width * 3];
    new java.util.Random(7).nextBytes(p);
    return new Single(height, width, 3, p);
  }

  @Test void anAffineJitterOfNothingLeavesTheImageAndOthersDependOnTheirKeyAlone() throws IOException {
    Single image = noise(20, 24);
    assertArrayEquals(image.pixels, augmented(image, 5, 1, new Augmentation.AffineJitter(0, 0, 0)));
    Augmentation step = new Augmentation.AffineJitter(10, 0.1, 0.25);
    assertArrayEquals(augmented(image, 5, 1, step), augmented(image, 5, 1, step));
    assertTrue(!Arrays.equals(augmented(image, 5, 1, step), augmented(image, 6, 1, step)));
    assertTrue(!Arrays.equals(augmented(image, 5, 1, step), augmented(image, 5, 2, step)));
    assertThrows(IllegalArgumentException.class, () -> new Augmentation.AffineJitter(10, 0.1, 1));
  }

  @Test void theShorterSideIsResizedAndACropTakenAnywhereInside() throws IOException {
    Single image = gradient(30, 40);
    boolean[] lefts = new boolean[11];
    for (int index = 0; index < 200; index++) {
      byte[] y = augmented(image, index, 0, new Augmentation.ResizeShort(30), new Augmentation.RandomCrop(30));
      int left = y[0] & 255;
      for (int i = 0; i < y.length; i += 3) {
        assertEquals(left + i / 3 % 30, y[i] & 255);
        assertEquals(i / 3 / 30, y[i + 1] & 255);
      }
      lefts[left] = true;
    }
    for (int left = 0; left <= 10; left++) assertTrue(lefts[left], "no crop began at column " + left);
    byte[] small = augmented(image, 0, 0, new Augmentation.ResizeShort(15), new Augmentation.RandomCrop(15));
    assertEquals(15 * 15 * 3, small.length);
    assertThrows(IllegalArgumentException.class, () -> augmented(image, 0, 0, new Augmentation.RandomCrop(31)));
  }
}
