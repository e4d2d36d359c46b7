package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Binary PPM files through the decoder: right ones give their levels, every other one its sentence. */
class PpmHeaderTest {
  private final ImageDecoder decoder = new ImageDecoder();
  private final Picture y = new Picture();

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.ISO_8859_1);
  }

  @ParameterizedTest
  @ValueSource(strings = {"P6\n2 3\n255\n", "P6 2 3 255 ", "P6\t\r\n2\u000b\f3 \n 255\r", "P6\n# made by hand\n2 3\n255\n", "P6#a\n#b\n2#c\n3 # d\n255\n", "P6 002 000000003 0255\n"})
  void headersOfTheGrammarAreRead(String header) throws IOException {
    decoder.decode("x.ppm", bytes(header + "\n#abcdefghijklmn\u00ff "), y);
    assertEquals("3x2x3", y.height() + "x" + y.width() + "x" + y.channels());
    assertArrayEquals(bytes("\n#abcdefghijklmn\u00ff "), Arrays.copyOf(y.pixels(), y.bytes()));
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
    "P3 1 1 255 1 2 3 | is a Netpbm file of kind P3; only P6", "P5 1 1 255 x | is a Netpbm file of kind P5; only P6", "P7 WIDTH 1 | kind P7", "P8 1 1 255 abc | neither a JPEG nor a PNG nor a binary PPM",
    "Q6 1 1 255 abc | neither a JPEG nor a PNG nor a binary PPM", "P | neither a JPEG", "P6 | cut short inside its header", "P6 # | cut short inside its header", "P6 1 | cut short inside its header",
    "P6 1 1 25 | cut short inside its header", "P61 1 255 abc | no width", "P6 x 1 255 abc | no width where one must be, at byte 3", "P6 -1 1 255 abc | no width", "P6 1 1.5 255 abc | no maxval",
    "P6 1 +1 255 abc | no height", "P6 0 1 255 abc | says 0x1 pixels; both must be >= 1", "P6 1 0 255 abc | says 1x0 pixels", "P6 1234567890 1 255 abc | width has more than 9 digits",
    "P6 1 4294967297 255 abc | height has more than 9 digits", "P6 1 1 65535 abc | maxval is 65535; only 255", "P6 1 1 254 abc | maxval is 254", "P6 1 1 0 abc | maxval is 0", "P6 1 1 255abc | not followed by white space",
    "P6 1 1 255#abc | not followed by white space", "P6 1 1 255 ab | the PPM file is cut short, 2 of 3 levels", "P6 1 2 255 abc | cut short, 3 of 6 levels", "P6 1 1 255 abcd | 1 bytes follow the levels",
    "P6 1 1 255 abcP6 1 1 255 abc | 14 bytes follow the levels", "P6 64001 1000 255 abc | has 64001000 pixels; at most 64000000", "P6 999999999 999999999 255 abc | has 999999998000000001 pixels; at most 64000000",
    "P6 8000 8000 255 abc | cut short, 3 of 192000000 levels"})
  void everyOtherFileIsRefusedInOneSentence(String file, String why) {
    String message = assertThrows(BadImageException.class, () -> decoder.decode("x.ppm", bytes(file), y)).getMessage();
    assertTrue(message.startsWith("x.ppm: ") && message.contains(why) && !message.contains("\n"), message);
  }

  @Test void everyCutAndEveryLongerFileIsRefused() throws IOException {
    byte[] file = PpmHeader.file(ResizeTest.pattern(4, 5, 3));
    for (int cut = 0; cut < file.length; cut++) {
      byte[] part = Arrays.copyOf(file, cut);
      assertThrows(BadImageException.class, () -> decoder.decode("cut", part, y), "cut at " + cut);
    }
    assertThrows(BadImageException.class, () -> decoder.decode("long", Arrays.copyOf(file, file.length + 1), y));
    decoder.decode("whole", file, y);
  }

  @Test void aBoxHoldsItsPixelsAndKnowsItsPlace() throws IOException {
    for (int[] size : new int[][] {{1, 1}, {1, 70}, {33, 1}, {19, 27}}) {
      Picture x = ResizeTest.pattern(size[0], size[1], 3);
      byte[] file = PpmHeader.file(x);
      for (int i = 0; i < 40; i++) {
        int top = i * 7 % size[0], left = i * 11 % size[1];
        Box box = new Box(top, left, 1 + i * 5 % (size[0] - top), i % 4 == 0 ? size[1] - left : 1 + i * 3 % (size[1] - left));
        decoder.room("x", file.length).put(file);
        decoder.decode("x", (h, w) -> {
          assertArrayEquals(size, new int[] {h, w});
          return box;
        }, y);
        assertEquals(box, new Box(y.top(), y.left(), y.height(), y.width()));
        assertArrayEquals(size, new int[] {y.imageHeight(), y.imageWidth()});
        for (int p = 0; p < y.bytes(); p++) {
          int line = box.width() * 3;
          assertEquals(x.pixels()[((top + p / line) * size[1] + left) * 3 + p % line], y.pixels()[p], box + ", level " + p);
        }
      }
    }
  }
}
