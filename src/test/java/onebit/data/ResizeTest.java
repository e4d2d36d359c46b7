package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class ResizeTest {
  /** CRC-32 of what Pillow 12.3 makes of the same images, crop first, then resize with BILINEAR. */
  @ParameterizedTest
  @CsvSource({
    "37, 23, 3, 16, 16, 0, 0, 37, 23, 36c48f39", "16, 16, 3, 33, 21, 0, 0, 16, 16, 8474d151",
    "100, 80, 1, 7, 80, 0, 0, 100, 80, 8685d36c", "60, 90, 3, 24, 24, 5, 10, 42, 61, 3fb8cfee",
    "45, 60, 3, 224, 224, 0, 0, 45, 60, 23195b07"})
  void everyLevelIsPillows(int h, int w, int c, int outH, int outW, int top, int left, int boxH, int boxW, String crc) {
    Picture y = new Picture();
    new Resize().apply(pattern(h, w, c), new Box(top, left, boxH, boxW), outH, outW, y);
    CRC32 found = new CRC32();
    found.update(y.pixels(), 0, y.bytes());
    assertEquals(crc, Long.toHexString(found.getValue()));
  }

  @Test void aWindowIsThatPartOfTheWholeResult() {
    Picture x = pattern(61, 47, 3);
    Picture whole = new Picture();
    Picture window = new Picture();
    Resize resize = new Resize();
    resize.apply(x, 30, 25, whole);
    resize.window(x, 30, 25, 4, 7, 20, 11, window);
    for (int h = 0; h < 20; h++) {
      int from = ((h + 4) * 25 + 7) * 3;
      assertArrayEquals(Arrays.copyOfRange(whole.pixels(), from, from + 33), Arrays.copyOfRange(window.pixels(), h * 33, h * 33 + 33));
    }
  }

  @Test void theVectorTwinGivesTheLevelsOfThePlainOne() {
    assumeTrue(LevelVectors.REFUSAL == null, "needs vectors: " + LevelVectors.REFUSAL);
    VectorTwins.compare();
  }

  /** A processor with wider vectors works on 256 bits here as one with AVX2 does, and then without vectors. */
  @ParameterizedTest
  @CsvSource({"-XX:UseAVX=2, on 256-bit vectors: equal", "-Donebit.vector.off=true, 'in plain Java, about ten times slower than on vectors, because the system property onebit.vector.off is set: equal'"})
  void smallerProcessorsGiveThoseLevelsToo(String option, String finding) throws Exception {
    assumeTrue(LevelVectors.REFUSAL == null, "needs vectors: " + LevelVectors.REFUSAL);
    Process child = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "--add-modules", "jdk.incubator.vector",
        option, "-cp", System.getProperty("java.class.path"), VectorTwins.class.getName()).redirectErrorStream(true).start();
    String said = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, child.waitFor(), said);
    assertTrue(said.contains("resizing " + finding), said);
  }

  @Test void theSameSizeIsTheSamePicture() {
    Picture x = pattern(20, 30, 3);
    Picture y = new Picture();
    new Resize().apply(x, 20, 30, y);
    assertArrayEquals(Arrays.copyOf(x.pixels(), x.bytes()), Arrays.copyOf(y.pixels(), y.bytes()));
  }

  @Test void boxesOutsideThePictureAreRefused() {
    Picture x = pattern(20, 30, 3);
    assertThrows(IllegalArgumentException.class, () -> new Resize().apply(x, new Box(1, 0, 20, 30), 5, 5, new Picture()));
    assertThrows(IllegalArgumentException.class, () -> new Resize().window(x, 10, 10, 5, 0, 6, 10, new Picture()));
    for (int side : new int[] {5, 40}) assertThrows(IllegalArgumentException.class, () -> new Resize().apply(x, side, side, x));
    Picture part = new Picture();
    assertThrows(IllegalArgumentException.class, () -> part.resize(new Box(0, 20, 20, 11), 20, 30, 3));
    part.resize(new Box(5, 6, 10, 11), 20, 30, 3);
    new Resize().apply(part, new Box(5, 6, 10, 11), 4, 4, new Picture());
    for (Box box : new Box[] {new Box(4, 6, 11, 11), new Box(5, 6, 11, 11), new Box(5, 5, 10, 12), new Box(5, 6, 10, 12)}) {
      String message = assertThrows(IllegalArgumentException.class, () -> new Resize().apply(part, box, 4, 4, new Picture()), box.toString()).getMessage();
      assertTrue(message.endsWith("are wanted of a picture that holds 10x11"), message);
    }
  }

  /**
   * Photos through our decoder and resize against Pillow's: equal within one level with libjpeg-turbo, which Pillow uses too. The JDK's decoder
   * rounds its inverse transform and its colour conversion differently, so single pixels may be some levels off, and the average must be far below one.
   */
  @Test void photosAreAsPillowMakesThemUpToTheJpegDecoder() throws IOException {
    Path shared = Path.of("../shared");
    assumeTrue(Files.isDirectory(shared.resolve("golden/pil-resize")), "needs the recorded resize cases of ../shared/golden");
    JsonNode cases = JsonMapper.builder().build().readTree(Files.readAllBytes(shared.resolve("golden/pil-resize/cases.json")));
    for (boolean turbo : TurboJpeg.available() ? new boolean[] {true, false} : new boolean[] {false}) photosAreAsPillowMakesThem(shared, cases, turbo);
  }

  private static void photosAreAsPillowMakesThem(Path shared, JsonNode cases, boolean turbo) throws IOException {
    ImageDecoder decoder = new ImageDecoder(turbo);
    Resize resize = new Resize();
    Picture x = new Picture();
    Picture y = new Picture();
    for (JsonNode one : cases) {
      String source = one.get("source").asString();
      String stem = source.substring(0, source.lastIndexOf('.'));
      Path photo = shared.resolve("data/imagenet-full-size").resolve(source);
      decoder.decode(photo, (height, width) -> Augmentation.centreSource(height, width, 256, 224), x);
      assertEquals(one.get("size").get(0).asInt(), x.imageWidth());
      assertEquals(one.get("size").get(1).asInt(), x.imageHeight());
      Augmentation.centre(x, 256, 224, resize, y);
      compare(shared.resolve("golden/pil-resize/" + stem + ".val224.png"), y, turbo);
      box(one.get("crop_box_ltrb"), photo, decoder, x, y, resize);
      compare(shared.resolve("golden/pil-resize/" + stem + ".crop224.png"), y, turbo);
      box(one.get("up_box_ltrb"), photo, decoder, x, y, resize);
      compare(shared.resolve("golden/pil-resize/" + stem + ".up224.png"), y, turbo);
    }
    assertEquals(6, cases.size());
  }

  private static void box(JsonNode ltrb, Path photo, ImageDecoder decoder, Picture x, Picture y, Resize resize) throws IOException {
    int left = ltrb.get(0).asInt();
    int top = ltrb.get(1).asInt();
    Box box = new Box(top, left, ltrb.get(3).asInt() - top, ltrb.get(2).asInt() - left);
    decoder.decode(photo, (height, width) -> box, x);
    resize.apply(x, box, 224, 224, y);
  }

  private static void compare(Path golden, Picture y, boolean turbo) throws IOException {
    Picture expected = new Picture();
    new ImageDecoder().decode(golden, expected);
    assertEquals(expected.bytes(), y.bytes());
    int worst = 0;
    long sum = 0;
    for (int i = 0; i < y.bytes(); i++) {
      int difference = Math.abs((y.pixels()[i] & 255) - (expected.pixels()[i] & 255));
      worst = Math.max(worst, difference);
      sum += difference;
    }
    double mean = (double) sum / y.bytes();
    assertTrue(worst <= (turbo ? 1 : 4) && mean < 0.25, golden.getFileName() + ": worst " + worst + " levels, mean " + mean);
  }

  static Picture pattern(int h, int w, int c) {
    Picture x = new Picture();
    x.resize(h, w, c);
    for (int i = 0, row = 0; row < h; row++) {
      for (int col = 0; col < w; col++) {
        for (int k = 0; k < c; k++, i++) {
          x.pixels()[i] = (byte) (col * 7 + row * 13 + k * 29 + col * row * 3 + col * col % 11 * 17);
        }
      }
    }
    return x;
  }
}
