package onebit.data;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.awt.image.BufferedImage;
import java.awt.image.DataBuffer;
import java.awt.image.IndexColorModel;
import java.awt.image.Raster;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
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
 * The pixels of a JPEG, PNG or PPM file as RGB levels, or of the box of them that is wanted; a damaged file is refused, never returned half grey.
 *
 * <pre>
 * Kind      told by the first bytes, whatever the name says
 * Size      read before anything is decoded; more than 64,000,000 pixels are refused
 * Grey      repeated over the three channels
 * Depth     levels of 16 bits are rounded to 8
 * CMYK      inverted inks as Adobe writes them, white minus ink
 * EXIF      a turn asked for is not made, as in PIL and torchvision
 * Damage    any warning about data, a JPEG without its end marker, a PNG chunk with another CRC or without its end, a PPM of another length
 * Decoder   libjpeg-turbo where it is installed ({@link JpegLibraries}), else the JDK's
 * </pre>
 */
final class ImageDecoder {
  private static final long MAX_PIXELS = 64_000_000;
  /** Files are read whole; a larger one is no photo. */
  static final int MAX_BYTES = 64 << 20;
  private static final List<String> DAMAGE = List.of("truncated", "premature", "corrupt", "missing eoi");
  /** Bytes between segments that are skipped: the picture is whole, and every decoder reads it. */
  static final String HARMLESS = "extraneous bytes before marker";

  static {
    ImageIO.setUseCache(false);
  }

  private int[] line = new int[0];
  private ByteBuffer room = ByteBuffer.allocateDirect(1 << 18);
  private final TurboJpeg whole;
  private final JpegBox box;

  ImageDecoder() {
    this(TurboJpeg.available());
  }

  /** With libjpeg-turbo or with the JDK's decoder. */
  ImageDecoder(boolean onTurbo) {
    whole = onTurbo ? new TurboJpeg() : null;
    box = onTurbo && JpegBox.available() ? new JpegBox() : null;
  }

  /** A buffer for so many bytes of a file, from its position to its limit; what is put there is decoded next. */
  ByteBuffer room(String name, long bytes) throws IOException {
    if (bytes > MAX_BYTES) throw new BadImageException(name + ": has " + bytes + " bytes; at most " + MAX_BYTES + " are read");
    if (room.capacity() < bytes) room = ByteBuffer.allocateDirect(Math.toIntExact(Math.min(MAX_BYTES, bytes * 3 / 2)));
    return room.clear().limit((int) bytes);
  }

  void decode(Path file, Box.Choice choice, Picture into) throws IOException {
    try (FileChannel channel = FileChannel.open(file)) {
      ByteBuffer bytes = room(file.toString(), channel.size());
      while (bytes.hasRemaining() && channel.read(bytes) >= 0) { }
    }
    decode(file.toString(), choice, into);
  }

  void decode(Path file, Picture into) throws IOException {
    decode(file, Box.Choice.WHOLE, into);
  }

  void decode(String name, byte[] encoded, Picture into) throws IOException {
    room(name, encoded.length).put(encoded);
    decode(name, Box.Choice.WHOLE, into);
  }

  /** Decodes what was put into the room, up to its position; the picture holds at least the box that is chosen. */
  void decode(String name, Box.Choice choice, Picture into) throws IOException {
    int size = room.flip().limit();
    MemorySegment data = MemorySegment.ofBuffer(room);
    if (JpegHeader.isJpeg(data, size)) {
      JpegHeader header = JpegHeader.read(name, data, size);
      requirePixels(name, header.width(), header.height());
      if (!header.ends(data, size)) throw new BadImageException(name + ": the image is damaged: the JPEG file is cut short");
      if (whole == null) {
        decodeByJdk(name, data.toArray(JAVA_BYTE), header, into);
      } else {
        Box wanted = choice.of(header.height(), header.width());
        if (box != null && header.plain()) box.decode(name, data, size, header, wanted, into);
        else if (whole.decode(name, data, size, header, wanted, into) == null) decodeByJdk(name, data.toArray(JAVA_BYTE), header, into);
      }
    } else if (PpmHeader.isNetpbm(data, size)) {
      PpmHeader header = PpmHeader.read(name, data, size);
      copy(header, choice.of(header.height(), header.width()), into);
    } else {
      byte[] encoded = data.toArray(JAVA_BYTE);
      if (!isPng(encoded)) throw new BadImageException(name + ": is neither a JPEG nor a PNG nor a binary PPM file");
      requireWholePng(name, encoded);
      decodeByJdk(name, encoded, null, into);
    }
  }

  static void requirePixels(String name, long width, long height) throws BadImageException {
    if (width * height > MAX_PIXELS) throw new BadImageException(name + ": has " + width * height + " pixels; at most " + MAX_PIXELS + " are read");
  }

  /** The rows of a box of the PPM file that lies in the room. */
  private void copy(PpmHeader header, Box box, Picture into) {
    into.resize(box, header.height(), header.width(), 3);
    int stride = header.width() * 3, line = box.width() * 3, from = header.start() + box.top() * stride + box.left() * 3;
    if (line == stride) room.get(from, into.pixels(), 0, into.bytes());
    else for (int h = 0; h < box.height(); h++) room.get(from + h * stride, into.pixels(), h * line, line);
  }

  private void decodeByJdk(String name, byte[] encoded, JpegHeader header, Picture into) throws IOException {
    List<String> warnings = new ArrayList<>();
    try (ImageInputStream stream = ImageIO.createImageInputStream(new ByteArrayInputStream(encoded))) {
      Iterator<ImageReader> readers = ImageIO.getImageReaders(stream);
      if (!readers.hasNext()) throw new BadImageException(name + ": no decoder for this image");
      ImageReader reader = readers.next();
      try {
        reader.addIIOReadWarningListener((source, warning) -> warnings.add(warning));
        reader.setInput(stream, true, true);
        requirePixels(name, reader.getWidth(0), reader.getHeight(0));
        if (header != null && header.components() == 4) copyInks(reader.readRaster(0, null), header.ycck(), into);
        else copy(reader.read(0), into);
        for (String warning : warnings) {
          String words = warning.toLowerCase(Locale.ROOT);
          if (!words.contains(HARMLESS) && DAMAGE.stream().anyMatch(words::contains)) {
            throw new BadImageException(name + ": the image is damaged: " + warning);
          }
        }
      } finally {
        reader.dispose();
      }
    } catch (BadImageException e) {
      throw e;
    } catch (IOException | RuntimeException e) {
      throw new BadImageException(name + ": the image cannot be decoded: " + (e instanceof IOException ? e.getMessage() : e), e);
    }
  }

  /** The JDK gives the four inks of a file as they are stored; YCCK is turned into CMYK here. */
  private static void copyInks(Raster raster, boolean ycck, Picture into) {
    int width = raster.getWidth();
    into.resize(raster.getHeight(), width, 3);
    int[] inks = new int[width * 4];
    byte[] cmyk = new byte[4];
    for (int h = 0; h < raster.getHeight(); h++) {
      raster.getPixels(0, h, width, 1, inks);
      for (int w = 0; w < width; w++) {
        double y = inks[4 * w], cb = inks[4 * w + 1] - 128, cr = inks[4 * w + 2] - 128;
        if (ycck) {
          cmyk[0] = (byte) (255 - Math.clamp(Math.round(y + 1.402 * cr), 0, 255));
          cmyk[1] = (byte) (255 - Math.clamp(Math.round(y - 0.344136 * cb - 0.714136 * cr), 0, 255));
          cmyk[2] = (byte) (255 - Math.clamp(Math.round(y + 1.772 * cb), 0, 255));
        } else {
          for (int i = 0; i < 3; i++) cmyk[i] = (byte) inks[4 * w + i];
        }
        cmyk[3] = (byte) inks[4 * w + 3];
        TurboJpeg.inksToRgb(cmyk, into.pixels(), (h * width + w) * 3);
      }
    }
  }

  private void copy(BufferedImage image, Picture into) {
    int width = image.getWidth();
    into.resize(image.getHeight(), width, 3);
    byte[] y = into.pixels();
    Raster raster = image.getRaster();
    int kind = raster.getSampleModel().getDataType(), bits = raster.getSampleModel().getSampleSize(0);
    boolean wide = kind == DataBuffer.TYPE_USHORT && bits == 16;
    boolean levels = (wide || kind == DataBuffer.TYPE_BYTE && bits == 8) && !(image.getColorModel() instanceof IndexColorModel);
    int bands = raster.getNumBands();
    if (line.length < width * Math.max(bands, 1)) line = new int[width * bands];
    int at = 0;
    for (int h = 0; h < image.getHeight(); h++) {
      if (levels) {
        raster.getPixels(0, h, width, 1, line);
        for (int i = 0; wide && i < width * bands; i++) line[i] = (line[i] + 128) / 257;
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
  private static void requireWholePng(String name, byte[] b) throws BadImageException {
    ByteBuffer chunks = ByteBuffer.wrap(b).position(8);
    while (chunks.remaining() >= 12) {
      int length = chunks.getInt();
      if (length < 0 || length > chunks.remaining() - 8) break;
      int start = chunks.position();
      CRC32 crc = new CRC32();
      crc.update(b, start, 4 + length);
      boolean last = chunks.getInt() == 0x49454E44;
      chunks.position(start + 4 + length);
      if (chunks.getInt() != (int) crc.getValue()) throw new BadImageException(name + ": the image is damaged: a PNG chunk has a wrong CRC");
      if (last) return;
    }
    throw new BadImageException(name + ": the image is damaged: the PNG file is cut short");
  }

  private static boolean isPng(byte[] b) {
    return b.length > 8 && (b[0] & 255) == 0x89 && b[1] == 'P' && b[2] == 'N' && b[3] == 'G';
  }
}
