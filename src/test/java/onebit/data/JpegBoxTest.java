package onebit.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Boxes of JPEG files against the whole decode of the same files, and what damage does to either. */
class JpegBoxTest {
  private static final Path PHOTOS = Path.of("../shared/data/imagenet-full-size");

  @BeforeEach void needsTheLibraries() {
    assumeTrue(TurboJpeg.available() && JpegBox.available(), "needs libjpeg-turbo: " + JpegLibraries.findings());
  }

  /** Drawn pictures of odd sizes, coded by the JDK (colour at half resolution) and by libturbojpeg, in colour and grey. */
  private static List<byte[]> drawn() throws IOException {
    List<byte[]> all = new ArrayList<>();
    for (int[] size : new int[][] {{1, 1}, {7, 5}, {16, 16}, {37, 61}, {97, 33}, {130, 129}}) {
      Picture x = new Picture();
      x.resize(size[0], size[1], 3);
      BufferedImage grey = new BufferedImage(size[1], size[0], BufferedImage.TYPE_BYTE_GRAY), colour = new BufferedImage(size[1], size[0], BufferedImage.TYPE_INT_RGB);
      Random random = new Random(size[0]);
      for (int i = 0; i < x.bytes(); i++) x.pixels()[i] = (byte) (i * 37 / (1 + i % 5) + random.nextInt(90));
      for (int i = 0; i < size[0] * size[1]; i++) {
        byte[] p = x.pixels();
        colour.setRGB(i % size[1], i / size[1], (p[3 * i] & 255) << 16 | (p[3 * i + 1] & 255) << 8 | p[3 * i + 2] & 255);
        grey.getRaster().setSample(i % size[1], i / size[1], 0, p[3 * i] & 255);
      }
      all.add(TurboJpeg.encode(x, 88));
      for (BufferedImage image : List.of(grey, colour)) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ImageIO.write(image, "jpg", out);
        all.add(out.toByteArray());
      }
    }
    return all;
  }

  private static List<byte[]> photos(int most) throws IOException {
    List<byte[]> all = new ArrayList<>();
    if (!Files.isDirectory(PHOTOS)) return all;
    try (Stream<Path> files = Files.list(PHOTOS)) {
      for (Path file : files.sorted().limit(most).toList()) all.add(Files.readAllBytes(file));
    }
    return all;
  }

  @Test void aBoxHasThePixelsOfTheWholeDecode() throws IOException {
    Random random = new Random(4);
    List<byte[]> files = drawn();
    files.addAll(photos(60));
    Picture whole = new Picture(), part = new Picture();
    TurboJpeg turbo = new TurboJpeg();
    JpegBox box = new JpegBox();
    int plain = 0;
    try (Arena arena = Arena.ofConfined()) {
      for (byte[] file : files) {
        MemorySegment data = arena.allocateFrom(ValueLayout.JAVA_BYTE, file);
        JpegHeader header = JpegHeader.read("x", data, file.length);
        int height = header.height(), width = header.width();
        turbo.decode("x", data, file.length, header, Box.whole(height, width), whole);
        if (!header.plain()) continue;
        plain++;
        for (int i = 0; i < 8; i++) {
          int top = random.nextInt(height), left = random.nextInt(width);
          Box wanted = i == 0 ? Box.whole(height, width) : new Box(top, left, 1 + random.nextInt(height - top), 1 + random.nextInt(width - left));
          box.decode("x", data, file.length, header, wanted, part);
          assertEquals(wanted.top(), part.top());
          assertEquals(width, part.imageWidth());
          for (int h = 0; h < wanted.height(); h++) {
            int from = ((wanted.top() + h) * width + wanted.left()) * 3, row = wanted.width() * 3;
            assertTrue(Arrays.equals(whole.pixels(), from, from + row, part.pixels(), h * row, (h + 1) * row), header + " " + wanted + " row " + h);
          }
        }
      }
    }
    assertTrue(plain >= files.size() - 1, plain + " of " + files.size() + " files are plain");
  }

  @Test void everyKindOfDamageIsRefusedOrGivesAPicture() throws IOException {
    ImageDecoder decoder = new ImageDecoder();
    Picture x = new Picture();
    Random random = new Random(8);
    List<byte[]> files = drawn();
    files.addAll(photos(10));
    int refused = 0, flips = 0;
    for (byte[] file : files) {
      decoder.decode("whole", file, x);
      for (int cut : new int[] {0, 1, 2, 3, 4, 20, file.length / 3, file.length - 2, file.length - 1}) {
        assertThrows(BadImageException.class, () -> decoder.decode("cut", Arrays.copyOf(file, cut), x));
      }
      for (int i = 0; i < 60; i++, flips++) {
        byte[] flipped = file.clone();
        int at = i < 30 ? random.nextInt(Math.min(file.length, 700)) : random.nextInt(file.length);
        flipped[at] ^= (byte) (1 << random.nextInt(8));
        try {
          decoder.decode("flipped", flipped, x);
        } catch (BadImageException e) {
          assertTrue(e.getMessage().startsWith("flipped: "), e.getMessage());
          refused++;
        }
      }
    }
    assertTrue(refused > flips / 10, refused + " of " + flips + " flipped bits were noticed");
  }

  /** A header is plain only if libjpeg has no fatal error with it: each of these has one, or is decoded another way. */
  @Test void headersThatLibjpegWouldRefuseAreNotPlain() throws IOException {
    byte[] file = drawn().get(9);
    int dqt = find(file, 0xDB), dht = find(file, 0xC4), sof = find(file, 0xC0), sos = find(file, 0xDA);
    assertTrue(plain(file));
    int[][] changes = {{dqt + 4, 4}, {dqt + 4, 0x20}, {dht + 4, 0x14}, {dht + 4, 0x20}, {dht + 5, 3}, {dht + 5, 255}, {sof + 1, 0xC2}, {sof + 1, 0xC9}, {sof + 4, 12},
        {sof + 9, 2}, {sof + 11, 0x41}, {sof + 12, 3}, {sof + 14, 0x21}, {sos + 4, 2}, {sos + 5, 77}, {sos + 6, 0x22}, {sos + 11, 1}, {sos + 12, 62}, {sos + 13, 1}};
    for (int[] change : changes) {
      byte[] other = file.clone();
      other[change[0]] = (byte) change[1];
      try {
        assertFalse(plain(other), Arrays.toString(change) + " of dqt " + dqt + " dht " + dht + " sof " + sof + " sos " + sos);
      } catch (BadImageException refused) {
        assertTrue(refused.getMessage().contains("damaged"));
      }
    }
  }

  @Test void aTableThatIsNoPrefixCodeIsNotPlainAndRefusedByTheSafeDecoder() throws IOException {
    byte[] file = drawn().get(9);
    int dht = find(file, 0xC4);
    int from = dht + 5;
    while (file[from] < 3) from++;
    file[from] -= 2;
    file[dht + 5] += 2;
    assertFalse(plain(file), "two more codes of one bit");
    byte[] later = drawn().get(9);
    assertEquals(6, later[dht + 5] + later[dht + 6] + later[dht + 7]);
    assertFalse(plain(spliced(later, dht + 5, dht + 8, 1, 2, 3)), "a code of one bit leaves no two of two bits");
    String message = assertThrows(BadImageException.class, () -> new ImageDecoder().decode("x", file, new Picture())).getMessage();
    assertTrue(message.contains("Huffman"), message);
  }

  /** A file with other bytes in the place of [from, to). */
  private static byte[] spliced(byte[] file, int from, int to, int... bytes) {
    byte[] other = Arrays.copyOf(file, from + bytes.length + file.length - to);
    for (int i = 0; i < bytes.length; i++) other[from + i] = (byte) bytes[i];
    System.arraycopy(file, to, other, from + bytes.length, file.length - to);
    return other;
  }

  private static int end(byte[] file, int segment) {
    return segment + 2 + ((file[segment + 2] & 255) << 8 | file[segment + 3] & 255);
  }

  /** Each file here that is not plain makes libjpeg end the process, or has a marker that no photo has there. */
  @Test void whatLiesBetweenTheSegmentsIsPlainOnlyIfLibjpegReadsIt() throws IOException {
    byte[] file = drawn().get(9);
    int sof = find(file, 0xC0);
    Picture whole = new Picture(), x = new Picture();
    new ImageDecoder().decode("whole", file, whole);
    for (int[] plain : new int[][] {{0xFF}, {0xFF, 0xDD, 0, 4, 0, 0}, {0xFF, 0xFE, 0, 3, 'x'}, {0xFF, 0xE0, 0, 2}, {0xFF, 0xEF, 0, 2}}) {
      byte[] other = spliced(file, sof, sof, plain);
      assertTrue(plain(other), Arrays.toString(plain));
      new ImageDecoder().decode("other", other, x);
      assertArrayEquals(Arrays.copyOf(whole.pixels(), whole.bytes()), Arrays.copyOf(x.pixels(), x.bytes()));
    }
    for (int[] odd : new int[][] {{'x'}, {0xFF, 0}, {0xFF, 0xD8}, {0xFF, 0xD0}, {0xFF, 0xD7}, {0xFF, 1}, {0xFF, 0xDD, 0, 5, 0, 0, 0}, {0xFF, 0xDD, 0, 3, 0}, {0xFF, 0xF0, 0, 2}, {0xFF, 0xDC, 0, 4, 0, 1},
        {0xFF, 0xC8, 0, 2}, {0xFF, 0xCC, 0, 2}, {0xFF, 0xBF, 0, 2}}) {
      assertFalse(plain(spliced(file, sof, sof, odd)), Arrays.toString(odd));
    }
  }

  @Test void segmentsThatAreTooLongOrTooShortAreNotPlain() throws IOException {
    byte[] file = drawn().get(9);
    int dht = find(file, 0xC4), sof = find(file, 0xC0), sos = find(file, 0xDA), ac = end(file, dht);
    assertEquals(0x10C4, (file[ac + 1] & 255) | file[ac + 4] << 8, "the table of the others");
    for (int at : new int[] {find(file, 0xDB), dht, ac, sof, sos}) {
      int end = end(file, at), length = end - at - 2;
      byte[] longer = spliced(file, end, end, 0), shorter = spliced(file, end - 1, end);
      for (byte[] other : List.of(longer, shorter)) {
        int now = length + other.length - file.length;
        other[at + 2] = (byte) (now >> 8);
        other[at + 3] = (byte) now;
        try {
          assertFalse(plain(other), Integer.toHexString(file[at + 1] & 255) + " of " + now + " bytes");
        } catch (BadImageException refused) {
          assertTrue(refused.getMessage().contains("damaged"));
        }
      }
    }
    int codes = 0;
    for (int bits = 1; bits <= 16; bits++) codes += file[dht + 4 + bits];
    int[][] changes = {{dht + 21, 16}, {dht + 20 + codes, 16}, {sof + 11, 0x14}, {sof + 14, 0x12}};
    for (int[] change : changes) assertFalse(plain(spliced(file, change[0], change[0] + 1, change[1])), Arrays.toString(change));
    assertFalse(plain(spliced(spliced(file, sof + 13, sof + 14, 1), sos + 7, sos + 8, 1)), "two components of one name");
    assertFalse(plain(spliced(file, sos, end(file, sos), 0xFF, 0xDA, 0, 8, 1, file[sos + 5], 0, 0, 63, 0)), "a scan of one component of three");
  }

  @Test void headersThatSayNothingAreRefusedInWords() throws IOException {
    byte[] file = drawn().get(9);
    int sof = find(file, 0xC0), scan = end(file, find(file, 0xDA));
    for (int length = 4; length < scan; length++) {
      byte[] cut = Arrays.copyOf(file, length);
      assertEquals("x: the image is damaged: the JPEG file ends inside its header", assertThrows(BadImageException.class, () -> plain(cut), "cut to " + length).getMessage());
    }
    Object[][] cases = {{spliced(file, sof, sof, 0xFF, 0xD9), "the JPEG file has no scan"}, {spliced(file, sof, end(file, sof)), "the JPEG file has a scan before its size"},
        {spliced(file, sof, sof, 0xFF, 0xE5, 0, 1), "ends inside its header"}, {spliced(file, sof, sof, 0xFF, 0xC0, 0, 7, 8, 0, 9, 0, 9), "ends inside its header"}, {spliced(file, sof, sof, 0xFF, 0xE5, 0xFF, 0xFF), "ends inside its header"},
        {spliced(file, sof + 5, sof + 7, 0, 0), "61x0 pixels"}, {spliced(file, sof + 7, sof + 9, 0, 0), "0x37 pixels"}, {spliced(file, sof + 9, sof + 10, 0), "of 0 components"},
        {spliced(file, sof + 9, sof + 10, 255), "ends inside its header"}};
    for (Object[] c : cases) {
      String message = assertThrows(BadImageException.class, () -> plain((byte[]) c[0]), c[1].toString()).getMessage();
      assertTrue(message.contains(c[1].toString()), message);
    }
  }

  private static int find(byte[] file, int marker) {
    for (int i = 2; i + 3 < file.length; ) {
      if ((file[i + 1] & 255) == marker) return i;
      i += 2 + ((file[i + 2] & 255) << 8 | file[i + 3] & 255);
    }
    throw new AssertionError("no marker " + marker);
  }

  private static boolean plain(byte[] file) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      return JpegHeader.read("x", arena.allocateFrom(ValueLayout.JAVA_BYTE, file), file.length).plain();
    }
  }
}
