package onebit.data;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.Locale;

/**
 * Whole JPEG images decoded and encoded by libturbojpeg 1.4 or later, through java.lang.foreign.
 *
 * <p>Decoding is that of PIL: accurate inverse transform, smooth upsampling of colour, EXIF's rotation not applied. CMYK and YCCK files
 * hold inverted inks, as Adobe's do, and become RGB by white minus ink.
 *
 * <pre>
 * Source  libjpeg-turbo, turbojpeg.h; inks to RGB as Pillow's Convert.c (cmyk2rgb)
 * </pre>
 */
final class TurboJpeg {
  private static final int RGB = 0, CMYK = 11, YUV_420 = 2, NO_REALLOC = 1024, ACCURATE_DCT = 4096;
  /** Larger buffers are not kept between images. */
  private static final long KEPT_BYTES = 16L << 20;
  private static final JpegLibraries.Library LIBRARY = new JpegLibraries.Library("libturbojpeg.so.0", "1.4");
  private static final MethodHandle INIT_DECOMPRESS = LIBRARY.function("tjInitDecompress", FunctionDescriptor.of(ADDRESS));
  private static final MethodHandle INIT_COMPRESS = LIBRARY.function("tjInitCompress", FunctionDescriptor.of(ADDRESS));
  private static final MethodHandle DECOMPRESS = LIBRARY.function("tjDecompress2",
      FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT));
  private static final MethodHandle COMPRESS = LIBRARY.function("tjCompress2",
      FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS, JAVA_INT, JAVA_INT, JAVA_INT));
  private static final MethodHandle BUFFER_SIZE = LIBRARY.function("tjBufSize", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT));
  private static final MethodHandle ERROR = LIBRARY.function("tjGetErrorStr2", FunctionDescriptor.of(ADDRESS, ADDRESS));
  private static final MethodHandle DESTROY = LIBRARY.function("tjDestroy", FunctionDescriptor.of(JAVA_INT, ADDRESS));

  private MemorySegment kept = MemorySegment.NULL;

  static boolean available() {
    return LIBRARY.refusal() == null;
  }

  /** Why libturbojpeg is not used, or null. */
  static String refusal() {
    return LIBRARY.refusal();
  }

  /**
   * Decodes a file and keeps a box of it.
   *
   * @return null where the decoder's only complaint is of extra bytes between segments, behind which another may hide
   * @throws BadImageException if the decoder refuses the file or warns about its data
   */
  Picture decode(String name, MemorySegment data, long size, JpegHeader header, Box box, Picture into) throws IOException {
    boolean inks = header.components() == 4;
    int bytes = inks ? 4 : 3;
    long need = (long) header.width() * header.height() * bytes;
    try (Arena once = Arena.ofConfined()) {
      MemorySegment pixels;
      if (need > KEPT_BYTES) {
        pixels = once.allocate(need);
      } else {
        if (kept.byteSize() < need) kept = Arena.ofAuto().allocate(Math.min(KEPT_BYTES, need * 5 / 4));
        pixels = kept;
      }
      MemorySegment decoder = (MemorySegment) INIT_DECOMPRESS.invokeExact();
      try {
        int rc = (int) DECOMPRESS.invokeExact(decoder, data, size, pixels, header.width(), header.width() * bytes, header.height(), inks ? CMYK : RGB, ACCURATE_DCT);
        if (rc != 0) {
          String why = error(decoder);
          if (why.toLowerCase(Locale.ROOT).contains(ImageDecoder.HARMLESS)) return null;
          throw new BadImageException(name + ": the image is damaged: " + why);
        }
      } finally {
        int ignored = (int) DESTROY.invokeExact(decoder);
      }
      into.resize(box, header.height(), header.width(), 3);
      byte[] y = into.pixels();
      for (int h = 0; h < box.height(); h++) {
        long row = ((box.top() + h) * (long) header.width() + box.left()) * bytes;
        if (!inks) {
          MemorySegment.copy(pixels, JAVA_BYTE, row, y, h * box.width() * 3, box.width() * 3);
        } else {
          for (int w = 0; w < box.width(); w++) inksToRgb(pixels.asSlice(row + 4L * w, 4).toArray(JAVA_BYTE), y, (h * box.width() + w) * 3);
        }
      }
      return into;
    } catch (IOException | RuntimeException e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException("libturbojpeg failed on " + name, e);
    }
  }

  /** Encodes RGB rows, colour at half resolution; quality is libjpeg's, 1 to 100. */
  static byte[] encode(Picture image, int quality) {
    try (Arena arena = Arena.ofConfined()) {
      long room = (long) BUFFER_SIZE.invokeExact(image.width(), image.height(), YUV_420);
      MemorySegment pixels = arena.allocate(image.bytes()), out = arena.allocate(room), pointer = arena.allocate(ADDRESS), length = arena.allocate(JAVA_LONG);
      MemorySegment.copy(image.pixels(), 0, pixels, JAVA_BYTE, 0, image.bytes());
      pointer.set(ADDRESS, 0, out);
      length.set(JAVA_LONG, 0, room);
      MemorySegment encoder = (MemorySegment) INIT_COMPRESS.invokeExact();
      try {
        int rc = (int) COMPRESS.invokeExact(encoder, pixels, image.width(), image.width() * 3, image.height(), RGB, pointer, length, YUV_420, quality, NO_REALLOC | ACCURATE_DCT);
        if (rc != 0) throw new IllegalStateException("libturbojpeg cannot encode " + image.width() + "x" + image.height() + " pixels: " + error(encoder));
      } finally {
        int ignored = (int) DESTROY.invokeExact(encoder);
      }
      return out.asSlice(0, length.get(JAVA_LONG, 0)).toArray(JAVA_BYTE);
    } catch (RuntimeException e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException("libturbojpeg failed", e);
    }
  }

  private static String error(MemorySegment handle) throws Throwable {
    return ((MemorySegment) ERROR.invokeExact(handle)).reinterpret(256).getString(0);
  }

  /** rgb = black (255 - ink) / 255 of inverted inks, rounded as Pillow rounds. */
  static void inksToRgb(byte[] cmyk, byte[] rgb, int at) {
    int black = cmyk[3] & 255;
    for (int i = 0; i < 3; i++) {
      int product = (255 - (cmyk[i] & 255)) * black + 128;
      rgb[at + i] = (byte) (black - ((product >> 8) + product >> 8));
    }
  }
}
