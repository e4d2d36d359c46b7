package onebit.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Arrays;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;

/** What is done with the kinds of files that data sets of photos are known to hold. The decoder is the one this machine has. */
class ImageRulesTest {
  private final ImageDecoder decoder = new ImageDecoder();
  private final Picture x = new Picture();

  /** A smooth picture, whose levels survive any decoder within a few steps. */
  private static Picture smooth(int height, int width) {
    Picture picture = new Picture();
    picture.resize(height, width, 3);
    for (int i = 0, h = 0; h < height; h++) {
      for (int w = 0; w < width; w++) {
        picture.pixels()[i++] = (byte) (40 + h);
        picture.pixels()[i++] = (byte) (60 + w);
        picture.pixels()[i++] = (byte) (200 - h);
      }
    }
    return picture;
  }

  private static byte[] coded(String format, int type) throws IOException {
    Picture from = smooth(48, 64);
    BufferedImage image = new BufferedImage(64, 48, type);
    for (int i = 0; i < 48 * 64; i++) {
      int r = from.pixels()[3 * i] & 255, g = from.pixels()[3 * i + 1] & 255, b = from.pixels()[3 * i + 2] & 255;
      if (type == BufferedImage.TYPE_BYTE_GRAY) image.getRaster().setSample(i % 64, i / 64, 0, r);
      else image.setRGB(i % 64, i / 64, r << 16 | g << 8 | b);
    }
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ImageIO.write(image, format, out);
    return out.toByteArray();
  }

  private void requireNear(Picture expected, int most) {
    assertEquals(expected.height(), x.height());
    assertEquals(expected.width(), x.width());
    for (int i = 0; i < x.bytes(); i++) {
      int difference = Math.abs((x.pixels()[i] & 255) - (expected.pixels()[i] & 255));
      assertTrue(difference <= most, "value " + i + " is " + difference + " off");
    }
  }

  @Test void aPngNamedJpegIsReadAsWhatItIs() throws IOException {
    decoder.decode("n02105855_2933.JPEG", coded("png", BufferedImage.TYPE_INT_RGB), x);
    requireNear(smooth(48, 64), 0);
  }

  @Test void greyIsRepeatedOverTheChannels() throws IOException {
    decoder.decode("grey", coded("jpg", BufferedImage.TYPE_BYTE_GRAY), x);
    for (int i = 0; i < x.bytes(); i += 3) {
      assertEquals(x.pixels()[i], x.pixels()[i + 1]);
      assertEquals(x.pixels()[i], x.pixels()[i + 2]);
      assertTrue(Math.abs((x.pixels()[i] & 255) - 40 - i / 3 / 64) <= 3);
    }
  }

  @Test void theTurnThatExifAsksForIsNotMade() throws IOException {
    byte[] plain = coded("jpg", BufferedImage.TYPE_INT_RGB);
    byte[] exif = {(byte) 0xFF, (byte) 0xE1, 0, 34, 'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0};
    byte[] turned = new byte[plain.length + exif.length];
    System.arraycopy(plain, 0, turned, 0, 2);
    System.arraycopy(exif, 0, turned, 2, exif.length);
    System.arraycopy(plain, 2, turned, 2 + exif.length, plain.length - 2);
    decoder.decode("turned", turned, x);
    requireNear(smooth(48, 64), 6);
  }

  /** An all-white picture coded as YCCK by libturbojpeg: inverted inks of 255 are paper. */
  @Test void inksOfCmykFilesBecomeRgb() throws IOException {
    byte[] rgb = new byte[3];
    TurboJpeg.inksToRgb(new byte[] {(byte) 255, (byte) 255, (byte) 255, (byte) 255}, rgb, 0);
    assertTrue(Arrays.equals(rgb, new byte[] {-1, -1, -1}), "no ink is white");
    TurboJpeg.inksToRgb(new byte[] {0, (byte) 255, (byte) 255, (byte) 255}, rgb, 0);
    assertTrue(Arrays.equals(rgb, new byte[] {0, -1, -1}), "cyan takes red away");
    TurboJpeg.inksToRgb(new byte[] {(byte) 200, 100, 50, (byte) 128}, rgb, 0);
    assertTrue(Arrays.equals(rgb, new byte[] {100, 50, 25}), Arrays.toString(rgb));
    assumeTrue(TurboJpeg.available(), "needs libturbojpeg to code a CMYK file: " + TurboJpeg.refusal());
    for (boolean ycck : new boolean[] {true, false}) {
      byte[] file = CmykFile.coded(48, 64, ycck);
      decoder.decode("cmyk", file, x);
      Picture first = new Picture();
      first.resize(x.height(), x.width(), 3);
      System.arraycopy(x.pixels(), 0, first.pixels(), 0, x.bytes());
      if (ycck) {
        for (int i = 0; i < 48 * 64; i++) {
          int black = 128 + i / 64, cyan = 60 + i % 64, red = cyan * black / 255;
          assertTrue(Math.abs((x.pixels()[3 * i] & 255) - red) <= 6, "pixel " + i + " is " + (x.pixels()[3 * i] & 255) + ", inks say " + red);
        }
      }
      x.resize(1, 1, 3);
      Arrays.fill(x.pixels(), (byte) 0);
      new ImageDecoder(false).decode("cmyk", file, x);
      requireNear(first, 6);
    }
  }

  @Test void theJdksDecoderGivesTheSamePictureWithinItsRounding() throws IOException {
    byte[] file = coded("jpg", BufferedImage.TYPE_INT_RGB);
    new ImageDecoder(false).decode("x", file, x);
    requireNear(smooth(48, 64), 6);
    for (int cut : new int[] {file.length / 2, file.length - 2, 30, 3, 0}) {
      assertThrows(BadImageException.class, () -> new ImageDecoder(false).decode("cut", Arrays.copyOf(file, cut), x), "cut at " + cut);
    }
  }

  /** A scan cut short that has an end marker: each decoder warns of it. Bytes between segments are no damage, and each decoder warns of them too. */
  @Test void warningsOfDamageCountAndOthersDoNot() throws IOException {
    byte[] file = coded("jpg", BufferedImage.TYPE_INT_RGB), cut = Arrays.copyOf(file, file.length - 50), loose = new byte[file.length + 3];
    cut[cut.length - 2] = (byte) 0xFF;
    cut[cut.length - 1] = (byte) 0xD9;
    System.arraycopy(file, 0, loose, 0, 20);
    System.arraycopy(file, 20, loose, 23, file.length - 20);
    for (boolean turbo : TurboJpeg.available() ? new boolean[] {true, false} : new boolean[] {false}) {
      String message = assertThrows(BadImageException.class, () -> new ImageDecoder(turbo).decode("cut", cut, x)).getMessage();
      assertEquals("cut: the image is damaged: Corrupt JPEG data: premature end of data segment", message);
      x.resize(1, 1, 3);
      Arrays.fill(x.pixels(), (byte) 0);
      new ImageDecoder(turbo).decode("loose", loose, x);
      requireNear(smooth(48, 64), 6);
    }
  }

  @Test void aHeaderOfManyPixelsIsRefusedBeforeAnythingIsDecoded() throws IOException {
    byte[] file = coded("jpg", BufferedImage.TYPE_INT_RGB);
    int sof = 0;
    while ((file[sof] & 255) != 0xFF || (file[sof + 1] & 255) != 0xC0) sof++;
    for (int side : new int[] {65_500, 65_535, 8_001}) {
      for (int i = 0; i < 4; i++) file[sof + 5 + i] = (byte) (i % 2 == 0 ? side >> 8 : side);
      String message = assertThrows(BadImageException.class, () -> decoder.decode("huge", file, x)).getMessage();
      assertTrue(message.contains("at most 64000000"), message);
    }
    byte[] png = coded("png", BufferedImage.TYPE_INT_RGB);
    png[16] = 0;
    png[17] = 1;
    png[20] = 0;
    png[21] = 1;
    java.util.zip.CRC32 crc = new java.util.zip.CRC32();
    crc.update(png, 12, 17);
    for (int i = 0; i < 4; i++) png[29 + i] = (byte) (crc.getValue() >> 24 - 8 * i);
    String message = assertThrows(BadImageException.class, () -> decoder.decode("huge.png", png, x)).getMessage();
    assertTrue(message.contains("at most 64000000"), message);
  }

  @Test void aFileLargerThanAnyPhotoIsRefusedBeforeThereIsRoomForIt() throws IOException {
    assertEquals(1 << 20, decoder.room("photo", 1 << 20).remaining());
    String message = assertThrows(BadImageException.class, () -> decoder.room("huge", (64L << 20) + 1)).getMessage();
    assertEquals("huge: has 67108865 bytes; at most 67108864 are read", message);
  }

  @Test void emptyFilesTextAndOnePixelHaveTheirRules() throws IOException {
    assertTrue(assertThrows(BadImageException.class, () -> decoder.decode("empty", new byte[0], x)).getMessage().contains("neither a JPEG nor a PNG nor a binary PPM"));
    assertTrue(assertThrows(BadImageException.class, () -> decoder.decode("text", "<html>404</html>".getBytes(), x)).getMessage().contains("neither"));
    BufferedImage dot = new BufferedImage(1, 1, BufferedImage.TYPE_INT_RGB);
    dot.setRGB(0, 0, 0x406080);
    for (String format : new String[] {"jpg", "png"}) {
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      ImageIO.write(dot, format, out);
      decoder.decode("dot", out.toByteArray(), x);
      assertEquals(1, x.height() * x.width());
      assertTrue(Math.abs((x.pixels()[0] & 255) - 0x40) <= 3);
    }
  }
}
