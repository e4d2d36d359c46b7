package onebit.data;

import java.awt.image.BufferedImage;
import java.awt.image.DataBuffer;
import java.awt.image.IndexColorModel;
import java.awt.image.Raster;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.zip.CRC32;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.ImageInputStream;

/**
 * The pixels of a JPEG or PNG file as RGB levels; a damaged file is refused, never returned half grey.
 *
 * <p>The JDK's decoders return an image for a file cut in half: JPEG's warnings about data are errors here, and PNG's chunks
 * and their CRCs are checked before decoding.
 * Grey images are repeated over the three channels; a turn asked for by EXIF is not made, as in PIL.
 */
final class ImageDecoder {
  private static final long MAX_PIXELS = 64_000_000;
  private static final List<String> DAMAGE = List.of("truncated", "premature", "corrupt", "missing eoi");
  /** Bytes between segments that are skipped: the picture is whole, and every decoder reads it. */
  private static final String HARMLESS = "extraneous bytes before marker";

  static {
    ImageIO.setUseCache(false);
  }

  private int[] line = new int[0];

  void decode(Path file, Picture into) throws IOException {
    decode(file.toString(), Files.readAllBytes(file), into);
  }

  void decode(String name, byte[] encoded, Picture into) throws IOException {
    if (!isJpeg(encoded) && !isPng(encoded)) throw new IOException(name + ": is neither a JPEG nor a PNG file");
    if (isPng(encoded)) requireWholePng(name, encoded);
    List<String> warnings = new ArrayList<>();
    try (ImageInputStream stream = ImageIO.createImageInputStream(new ByteArrayInputStream(encoded))) {
      Iterator<ImageReader> readers = ImageIO.getImageReaders(stream);
      if (!readers.hasNext()) throw new IOException(name + ": no decoder for this image");
      ImageReader reader = readers.next();
      try {
        reader.addIIOReadWarningListener((source, warning) -> warnings.add(warning));
        reader.setInput(stream, true, true);
        long pixels = (long) reader.getWidth(0) * reader.getHeight(0);
        if (pixels > MAX_PIXELS) throw new IOException(name + ": has " + pixels + " pixels; at most " + MAX_PIXELS + " are read");
        BufferedImage image = reader.read(0);
        for (String warning : warnings) {
          String words = warning.toLowerCase(Locale.ROOT);
          if (!words.contains(HARMLESS) && DAMAGE.stream().anyMatch(words::contains)) {
            throw new IOException(name + ": the image is damaged: " + warning);
          }
        }
        copy(image, into);
      } finally {
        reader.dispose();
      }
    } catch (IOException e) {
      if (e.getMessage() != null && e.getMessage().startsWith(name)) throw e;
      throw new IOException(name + ": the image cannot be decoded: " + e.getMessage(), e);
    } catch (RuntimeException e) {
      throw new IOException(name + ": the image cannot be decoded: " + e, e);
    }
  }

  private void copy(BufferedImage image, Picture into) {
    int width = image.getWidth();
    into.resize(image.getHeight(), width, 3);
    byte[] y = into.pixels();
    Raster raster = image.getRaster();
    boolean levels = raster.getSampleModel().getDataType() == DataBuffer.TYPE_BYTE
        && !(image.getColorModel() instanceof IndexColorModel)
        && raster.getSampleModel().getSampleSize(0) == 8;
    int bands = raster.getNumBands();
    if (line.length < width * Math.max(bands, 1)) line = new int[width * bands];
    int at = 0;
    for (int h = 0; h < image.getHeight(); h++) {
      if (levels) {
        raster.getPixels(0, h, width, 1, line);
        int second = bands >= 3 ? 1 : 0;
        for (int w = 0; w < width; w++) {
          y[at++] = (byte) line[w * bands];
          y[at++] = (byte) line[w * bands + second];
          y[at++] = (byte) line[w * bands + 2 * second];
        }
      } else {
        image.getRGB(0, h, width, 1, line, 0, width);
        for (int w = 0; w < width; w++) {
          y[at++] = (byte) (line[w] >> 16);
          y[at++] = (byte) (line[w] >> 8);
          y[at++] = (byte) line[w];
        }
      }
    }
  }

  /** Refuses a PNG whose chunks do not reach IEND or have another CRC. */
  private static void requireWholePng(String name, byte[] b) throws IOException {
    ByteBuffer chunks = ByteBuffer.wrap(b).position(8);
    while (chunks.remaining() >= 12) {
      int length = chunks.getInt();
      if (length < 0 || length > chunks.remaining() - 8) break;
      int start = chunks.position();
      CRC32 crc = new CRC32();
      crc.update(b, start, 4 + length);
      boolean last = chunks.getInt() == 0x49454E44;
      chunks.position(start + 4 + length);
      if (chunks.getInt() != (int) crc.getValue()) throw new IOException(name + ": the image is damaged: a PNG chunk has a wrong CRC");
      if (last) return;
    }
    throw new IOException(name + ": the image is damaged: the PNG file is cut short");
  }

  private static boolean isJpeg(byte[] b) {
    return b.length > 3 && (b[0] & 255) == 0xFF && (b[1] & 255) == 0xD8 && (b[2] & 255) == 0xFF;
  }

  private static boolean isPng(byte[] b) {
    return b.length > 8 && (b[0] & 255) == 0x89 && b[1] == 'P' && b[2] == 'N' && b[3] == 'G';
  }
}
