package onebit.data;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;

/**
 * What a binary PPM file says before its levels, which begin at byte {@code start}.
 *
 * <pre>
 * file    := "P6" gap width gap height gap "255" space level{width x height x 3}
 * gap     := (space | "#" anything newline)+                  numbers: 1 to 9 digits
 * Shapes    levels H,W,3 in the file's last height x width x 3 bytes
 * Encoding  uint8; sixteen bits a level, several images in a file and the other kinds of Netpbm (P1 to P5, P7) are refused
 * Source    Netpbm, ppm(5); Pillow's PpmImagePlugin writes the same
 * </pre>
 */
record PpmHeader(int width, int height, int start) {
  private static final int MAXVAL = 255, MOST_DIGITS = 9, MAGIC_BYTES = 2;

  /** Whether the first bytes are those of a Netpbm file of any kind. */
  static boolean isNetpbm(MemorySegment data, long size) {
    return size >= MAGIC_BYTES && data.get(JAVA_BYTE, 0) == 'P' && data.get(JAVA_BYTE, 1) >= '1' && data.get(JAVA_BYTE, 1) <= '7';
  }

  /** A whole file of an RGB picture. */
  static byte[] file(Picture x) {
    byte[] header = ("P6\n" + x.width() + " " + x.height() + "\n" + MAXVAL + "\n").getBytes(StandardCharsets.US_ASCII);
    byte[] file = java.util.Arrays.copyOf(header, Math.addExact(header.length, x.bytes()));
    System.arraycopy(x.pixels(), 0, file, header.length, x.bytes());
    return file;
  }

  /**
   * Reads a Netpbm file's header and requires that the levels are what follows, no more and no less.
   *
   * @throws BadImageException if it is of another kind, says what cannot be, or the file has another length
   */
  static PpmHeader read(String name, MemorySegment data, long size) throws BadImageException {
    return new Reading(name, data, size).read();
  }

  /** Goes through a header once. */
  private static final class Reading {
    private final String name;
    private final MemorySegment data;
    private final long size;
    private int at = MAGIC_BYTES;

    Reading(String name, MemorySegment data, long size) {
      this.name = name;
      this.data = data;
      this.size = size;
    }

    PpmHeader read() throws BadImageException {
      char kind = (char) data.get(JAVA_BYTE, 1);
      if (kind != '6') throw new BadImageException(name + ": is a Netpbm file of kind P" + kind + "; only P6, binary RGB, is read");
      int width = number("width"), height = number("height"), most = number("maxval");
      if (width < 1 || height < 1) throw new BadImageException(name + ": the PPM header says " + width + "x" + height + " pixels; both must be >= 1");
      if (most != MAXVAL) throw new BadImageException(name + ": the PPM header's maxval is " + most + "; only " + MAXVAL + ", one byte a level, is read");
      if (!isSpace(next())) throw new BadImageException(name + ": the PPM header's maxval is not followed by white space");
      ImageDecoder.requirePixels(name, width, height);
      long levels = 3L * width * height, found = size - at;
      if (found < levels) throw new BadImageException(name + ": the image is damaged: the PPM file is cut short, " + found + " of " + levels + " levels are there");
      if (found > levels) throw new BadImageException(name + ": the image is damaged: " + (found - levels) + " bytes follow the levels of the PPM file");
      return new PpmHeader(width, height, at);
    }

    private int number(String what) throws BadImageException {
      int before = at;
      for (int c = peek(); isSpace(c) || c == '#'; c = peek()) {
        if (next() == '#') while (next() != '\n') { }
      }
      int digits = 0, value = 0;
      for (; peek() >= '0' && peek() <= '9'; digits++) {
        if (digits == MOST_DIGITS) throw new BadImageException(name + ": the PPM header's " + what + " has more than " + MOST_DIGITS + " digits");
        value = 10 * value + next() - '0';
      }
      if (digits == 0 || at - digits == before) throw new BadImageException(name + ": the PPM header has no " + what + " where one must be, at byte " + (at - digits));
      return value;
    }

    private int next() throws BadImageException {
      int value = peek();
      at++;
      return value;
    }

    private int peek() throws BadImageException {
      if (at >= size) throw new BadImageException(name + ": the image is damaged: the PPM file is cut short inside its header");
      return data.get(JAVA_BYTE, at);
    }

    private static boolean isSpace(int c) {
      return c == ' ' || c >= '\t' && c <= '\r';
    }
  }
}
